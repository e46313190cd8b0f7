"""What people say to an engine, and what it tells them. Both are written down."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from selfheal.errors import JournalError, StateError
from selfheal.events import ApprovalRequested, EventBus, Severity
from selfheal.healing.engine.parts import Parts
from selfheal.healing.engine.run import Told
from selfheal.levers import Notification, Notifying
from selfheal.policies.approvals import Approval, ApprovalState
from selfheal.policies.dormancy import DormantController
from selfheal.policies.silences import Silence

logger = logging.getLogger("selfheal.healing")

_TELL_WITHIN = 10.0
"""Seconds that a notification may take."""


class People:
    """Approvals, silences, releases, notifications.

    Args:
        parts: of the engine.
        levers: of the host; ``notifier`` is used, where there is one.
        dormancy: entered where a person has to look before anything else is done.
        events: where requests for approval are published.
    """

    def __init__(
        self, parts: Parts, levers: Mapping[str, object], dormancy: DormantController, events: EventBus
    ) -> None:
        self._parts = parts
        self._levers = levers
        self._dormancy = dormancy
        self._events = events

    def approve(self, id: str, *, by: str, reason: str) -> Approval:
        """Let a level begin."""
        return self._kept(self._parts.guards.decide(id, ApprovalState.APPROVED, by=by, reason=reason))

    def deny(self, id: str, *, by: str, reason: str) -> Approval:
        """Let a level not begin."""
        return self._kept(self._parts.guards.decide(id, ApprovalState.DENIED, by=by, reason=reason))

    def release(self, target: str, *, by: str, reason: str) -> None:
        """Let a held target be healed again; ``"*"`` stands for all, which more held ones than have room need."""
        for released in self._parts.guards.unhold(target, by=by, reason=reason):
            self._parts.chronicle.released(released, reason, by)

    def silence(self, match: Mapping[str, Any], *, duration: float, by: str, reason: str) -> Silence:
        """Have alerts not answered for a while."""
        made = self._parts.guards.silence(match, duration=duration, by=by, reason=reason)
        self._parts.chronicle.note("silence_added", silence=made.as_data())
        return made

    def unsilence(self, id: str, *, by: str, reason: str) -> Silence:
        """End a silence before its time."""
        ended = self._parts.guards.unsilence(id, by=by, reason=reason)
        self._parts.chronicle.note("silence_ended", silence=ended.as_data(), how="ended", by=by, reason=reason)
        return ended

    def asked(self, approval: Approval) -> None:
        """A level waits for a person, as of now."""
        self._kept(approval)
        self._events.publish(
            ApprovalRequested(
                at=approval.requested_at,
                id=approval.id,
                strategy=approval.strategy,
                target=approval.target,
                level=approval.level,
                why=approval.why,
                expires_at=approval.expires_at,
            )
        )
        ask = f"Call approve({approval.id!r}, by=…, reason=…) or deny(…) before it expires."
        self.tell(
            Told(title=f"{approval.strategy}: level {approval.level} needs approval", body=f"{approval.why}. {ask}")
        )

    def over(self) -> None:
        """Tell of silences and approvals whose time is over."""
        silences, approvals = self._parts.guards.expire()
        for ended in silences:
            self._parts.chronicle.note("silence_ended", silence=ended.silence.as_data(), how=ended.how)
            logger.info("silence %s of %s is over: %s", ended.silence.id, ended.silence.by, ended.silence.reason)
        for approval in approvals:
            self._parts.chronicle.note("approval", approval=approval.as_data())
            logger.warning("nobody decided on level %s of %s", approval.level, approval.strategy)

    def tell(self, told: Told) -> None:
        """Tell people; where that fails, it is logged and nothing else. May end all healing."""
        logger.warning("%s: %s", told.title, told.body)
        if told.dormant:
            try:
                self._dormancy.enter(f"{told.title}: {told.body}", "automatic")
            except StateError as error:  # it is dormant; that a restart would forget it was told there
                logger.error("dormancy is not kept over a restart: %s", error)
        notifier = self._levers.get("notifier")
        if not isinstance(notifier, Notifying):
            return
        notification = Notification(
            title=told.title,
            body=told.body,
            severity=Severity.CRITICAL,
            at=self._parts.clock.wall(),
            labels=dict(told.labels),
        )
        try:
            self._parts.runner.run(lambda: notifier.notify(notification), what="notifier", timeout=_TELL_WITHIN)
        except Exception as error:
            logger.error("nobody was told of %r: %s: %s", told.title, type(error).__name__, error)

    def _kept(self, approval: Approval) -> Approval:
        try:
            self._parts.chronicle.note("approval", sync=True, approval=approval.as_data())
        except JournalError as error:
            logger.error("approval %s (%s) is not kept over a restart: %s", approval.id, approval.state, error)
        return approval

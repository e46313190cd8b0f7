"""What a person has to allow before it is done. Pure: the caller gives the time.

========  ==================================  =========
from      when                                to
========  ==================================  =========
PENDING   a person approves                   APPROVED
PENDING   a person denies                     DENIED
PENDING   its time is over                    EXPIRED
PENDING   the problem is gone                 WITHDRAWN
APPROVED  the healing begins                  USED
APPROVED  its time is over                    EXPIRED
APPROVED  the problem is gone, or it's denied WITHDRAWN, DENIED
DENIED    its time is over                    EXPIRED
========  ==================================  =========
"""

from __future__ import annotations

import enum
import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypedDict, Unpack

import attrs

from selfheal.errors import ApprovalClosedError, GuardFullError, NotFoundError
from selfheal.policies.signed import Signed
from selfheal.policies.steady import SteadyTime
from selfheal.validators import between, name


class ApprovalState(enum.StrEnum):
    """Where an approval stands."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    USED = "used"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


_OPEN = (ApprovalState.PENDING, ApprovalState.APPROVED, ApprovalState.DENIED)
"""States in which it answers a request; the others are over."""


@attrs.frozen(kw_only=True)
class Approval:
    """What was asked, and what a person said.

    Args:
        id: which one it is.
        strategy: that asks.
        target: what it would act on.
        level: which level of it.
        run: the healing that asked; empty if none did yet.
        why: what is asked for, in words.
        requested_at: wall-clock seconds since 1970 UTC.
        expires_at: likewise; what was said holds until then.
        state: where it stands.
        by: who decided; empty if nobody did.
        reason: why they did.
    """

    id: str = attrs.field(validator=name)
    strategy: str
    target: str
    level: str
    run: str = ""
    why: str = ""
    requested_at: float = attrs.field(validator=between(0.0, 1e11, "s"))
    expires_at: float = attrs.field(validator=between(0.0, 1e11, "s"))
    state: ApprovalState = ApprovalState.PENDING
    by: str = ""
    reason: str = ""

    def as_data(self) -> dict[str, Any]:
        """As plain data; ``structure(data, Approval)`` makes it again."""
        return {**attrs.asdict(self), "state": self.state.value}


@attrs.frozen(kw_only=True)
class ApprovalsConfig:
    """How long and how many.

    Args:
        ttl: seconds from the request within which it has to be decided and used; a minute to a week.
        limit: open requests, approvals and denials at once.
        history: those that are over and remembered.

    Raises:
        ConfigError: if a value is out of range.
    """

    ttl: float = attrs.field(default=3600.0, validator=between(60.0, 604_800.0, "s"))
    limit: int = attrs.field(default=100, validator=between(1, 10_000))
    history: int = attrs.field(default=200, validator=between(1, 100_000))


class ApprovalsOptions(TypedDict, total=False):
    """The fields of :class:`ApprovalsConfig` as keyword arguments."""

    ttl: float
    limit: int
    history: int


@attrs.frozen(kw_only=True)
class ApprovalsSnapshot:
    """What waits for a person, and what they said.

    Args:
        open: pending, approved and denied ones, in the order in which they were asked for.
        closed: used, expired and withdrawn ones, the latest last.
        limit: open ones at most.
    """

    open: tuple[Approval, ...]
    closed: tuple[Approval, ...]
    limit: int


class Approvals:
    """Requests to people, at most one open for each strategy, target and level.

    An approval allows one healing, until it expires. A denial stands until it expires, and is not asked again before.
    Nothing is ever approved by time. Not thread-safe: the owner holds a lock.

    Args:
        config: how long and how many; the fields may be given as keyword arguments instead.
        new_id: makes the id of each.

    >>> approvals = Approvals()
    >>> asked = approvals.request("high_memory", "web-1", "critical", 1_700_000_000.0, why="stop optional work")
    >>> approvals.use(asked.id, 1_700_000_001.0)
    False
    >>> approvals.approve(asked.id, 1_700_000_060.0, by="maria", reason="yes, it is night").state.value
    'approved'
    >>> approvals.use(asked.id, 1_700_000_061.0), approvals.use(asked.id, 1_700_000_062.0)
    (True, False)
    """

    def __init__(
        self,
        config: ApprovalsConfig | None = None,
        *,
        new_id: Callable[[], str] = lambda: os.urandom(16).hex(),
        **options: Unpack[ApprovalsOptions],
    ) -> None:
        self.config = attrs.evolve(config or ApprovalsConfig(), **options)
        self._new_id = new_id
        self._time = SteadyTime()
        self._open: dict[str, tuple[Approval, float]] = {}  # by id, with the steady time of its end
        self._ids: dict[tuple[str, str, str], str] = {}
        self._closed: deque[Approval] = deque(maxlen=self.config.history)
        self._untold: deque[Approval] = deque(maxlen=self.config.limit)

    def __len__(self) -> int:
        return len(self._open)

    def request(
        self,
        strategy: str,
        target: str,
        level: str,
        wall: float,
        *,
        run: str = "",
        why: str = "",
        now: float | None = None,
    ) -> Approval:
        """Ask for approval, or look at what was said to the same question.

        Args:
            strategy: that asks.
            target: what it would act on.
            level: which level of it.
            wall: wall-clock seconds since 1970 UTC.
            run: the healing that asks.
            why: what is asked for, in words for people.
            now: monotonic seconds of the same moment.

        Returns:
            The open one of this strategy, target and level, if there is one, whatever its state; else a new, pending
            one. It is new if its ``requested_at`` is ``wall``.

        Raises:
            GuardFullError: if as many are open as may be.
        """
        known = self.find(strategy, target, level, wall, now=now)
        if known is not None:
            return known
        if len(self._open) >= self.config.limit:
            raise GuardFullError("approvals", len(self._open), self.config.limit)
        made = Approval(
            id=self._new_id(),
            strategy=strategy,
            target=target,
            level=level,
            run=run,
            why=why,
            requested_at=wall,
            expires_at=wall + self.config.ttl,
        )
        self._keep(made, self._time.at(wall, now) + self.config.ttl)
        return made

    def find(self, strategy: str, target: str, level: str, wall: float, *, now: float | None = None) -> Approval | None:
        """The open one of this strategy, target and level; asks for nothing."""
        self._close(wall, now)
        known = self._ids.get((strategy, target, level))
        return None if known is None else self._open[known][0]

    def approve(self, id: str, wall: float, *, by: str, reason: str, now: float | None = None) -> Approval:
        """Allow one healing until it expires.

        Raises:
            NotFoundError: if none of this id is known.
            ApprovalClosedError: if it is not pending.
            ConfigError: if ``by`` or ``reason`` is blank.
        """
        return self._decide(
            id, ApprovalState.APPROVED, (ApprovalState.PENDING,), Signed(by=by, reason=reason), wall, now
        )

    def deny(self, id: str, wall: float, *, by: str, reason: str, now: float | None = None) -> Approval:
        """Say no until it expires; what was approved and not used yet can still be denied.

        Raises:
            NotFoundError: if none of this id is known.
            ApprovalClosedError: if it is neither pending nor approved.
            ConfigError: if ``by`` or ``reason`` is blank.
        """
        allowed = (ApprovalState.PENDING, ApprovalState.APPROVED)
        return self._decide(id, ApprovalState.DENIED, allowed, Signed(by=by, reason=reason), wall, now)

    def use(self, id: str, wall: float, *, now: float | None = None) -> bool:
        """The healing begins: spend the approval. Tell whether it was approved and not used, denied or expired."""
        self._close(wall, now)
        known = self._open.get(id)
        if known is None or known[0].state is not ApprovalState.APPROVED:
            return False
        self._end(known[0], ApprovalState.USED)
        return True

    def withdraw(self, id: str, wall: float, *, now: float | None = None) -> bool:
        """The problem is gone: nobody needs to decide any more. A denial stays. Tell whether it was open."""
        self._close(wall, now)
        known = self._open.get(id)
        if known is None or known[0].state is ApprovalState.DENIED:
            return False
        self._end(known[0], ApprovalState.WITHDRAWN)
        return True

    def expire(self, wall: float, *, now: float | None = None) -> tuple[Approval, ...]:
        """End what is over; tell each that expired, once."""
        self._close(wall, now)
        told = tuple(self._untold)
        self._untold.clear()
        return told

    def restore(self, approvals: Iterable[Approval], wall: float, *, now: float | None = None) -> int:
        """Take over approvals of an earlier life of the process; tell how many are open.

        What is over is left out; of two of one strategy, target and level the first is taken; none holds longer than
        ``ttl`` from now; beyond the limit the others are left out.
        """
        at = self._close(wall, now)
        for approval in approvals:
            left = min(approval.expires_at - wall, self.config.ttl)
            taken = _key(approval) in self._ids or approval.id in self._open
            if approval.state in _OPEN and left > 0 and not taken and len(self._open) < self.config.limit:
                self._keep(attrs.evolve(approval, expires_at=wall + left), at + left)
        return len(self._open)

    def snapshot(self, wall: float, *, now: float | None = None) -> ApprovalsSnapshot:
        """What waits for a person now, and what they said."""
        self._close(wall, now)
        return ApprovalsSnapshot(
            open=tuple(approval for approval, _ in self._open.values()),
            closed=tuple(self._closed),
            limit=self.config.limit,
        )

    def _decide(
        self,
        id: str,
        state: ApprovalState,
        allowed: tuple[ApprovalState, ...],
        said: Signed,
        wall: float,
        now: float | None,
    ) -> Approval:
        self._close(wall, now)
        if id not in self._open:
            over = next((one for one in reversed(self._closed) if one.id == id), None)
            if over is None:
                raise NotFoundError("approval", id, self._open)
            raise ApprovalClosedError(id, over.state.value)
        approval, end = self._open[id]
        if approval.state not in allowed:
            raise ApprovalClosedError(id, approval.state.value)
        decided = attrs.evolve(approval, state=state, by=said.by, reason=said.reason)
        self._open[id] = (decided, end)
        return decided

    def _keep(self, approval: Approval, end: float) -> None:
        self._open[approval.id] = (approval, end)
        self._ids[_key(approval)] = approval.id

    def _end(self, approval: Approval, state: ApprovalState) -> Approval:
        del self._open[approval.id]
        del self._ids[_key(approval)]
        over = attrs.evolve(approval, state=state)
        self._closed.append(over)
        return over

    def _close(self, wall: float, now: float | None) -> float:
        """End what is over; the steady time now."""
        at = self._time.at(wall, now)
        for approval, end in list(self._open.values()):
            if end <= at or approval.expires_at <= wall:
                self._untold.append(self._end(approval, ApprovalState.EXPIRED))
        return at


def _key(approval: Approval) -> tuple[str, str, str]:
    return (approval.strategy, approval.target, approval.level)

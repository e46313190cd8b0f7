"""The calls by which a person steers, each leaving an audit record. HTTP and command line share them."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ConfigError, NotFoundError, SelfhealError
from selfheal.events import DEFAULT_BUS, ActionAudited, EventBus
from selfheal.redaction import scrub
from selfheal.status.breakers import BreakerSource, KnownBreakers

if TYPE_CHECKING:
    from selfheal.healing import Healer
    from selfheal.policies.dormancy import DormantController
    from selfheal.tasks import TaskRegistry

audit_log = logging.getLogger("selfheal.audit")


@attrs.frozen(kw_only=True)
class Caller:
    """Who steers, and why they say they do.

    Args:
        reason: why; empty when they gave none.
        by: who, as they call themselves; empty when they did not say.
        via: the way they came (``"python"``, ``"http 127.0.0.1"``).
    """

    reason: str = ""
    by: str = ""
    via: str = "python"


@attrs.frozen(kw_only=True)
class Done:
    """What came of a steering call.

    Args:
        changed: whether anything is different now.
        message: what came of it, for people.
        facts: the same for programs, camelCase keys.
    """

    changed: bool
    message: str
    facts: Mapping[str, Any] = attrs.field(factory=dict)


class Steering:
    """Resume, reset, pause: by a person, audited.

    Each call does what it says through the part concerned, publishes one
    :class:`~selfheal.events.ActionAudited`, writes one record to the logger ``selfheal.audit`` and keeps it in
    :attr:`audit`, whether it was done or refused.

    Args:
        healer: whose dormancy :meth:`resume` ends.
        dormancy: the dormant controller, where there is no healer.
        breakers: the registry that :meth:`reset_breaker` looks in; by default the one that breakers join
            when none is named. The healer's own breaker is found too.
        tasks: the registry that the task calls look in.
        events: where audit events go.
        clock: for the time of a record.
        audit_limit: how many done and, apart from them, how many refused calls are kept.

    Raises:
        ConfigError: if ``audit_limit`` is less than 1.
    """

    def __init__(
        self,
        *,
        healer: Healer | None = None,
        dormancy: DormantController | None = None,
        breakers: BreakerSource | None = None,
        tasks: TaskRegistry | None = None,
        events: EventBus = DEFAULT_BUS,
        clock: Clock = SYSTEM_CLOCK,
        audit_limit: int = 500,
    ) -> None:
        if audit_limit < 1:
            raise ConfigError("Steering.audit_limit", audit_limit, "an integer of 1 or more", "500")
        self._dormancy = dormancy if dormancy is not None or healer is None else healer.dormancy
        self._breakers = KnownBreakers(breakers, healer)
        self._tasks = tasks
        self._events = events
        self._clock = clock
        self._lock = threading.Lock()
        self._count = 0
        # Apart, so that a flood of refused calls cannot push out what was really done.
        self._done: deque[tuple[int, ActionAudited]] = deque(maxlen=audit_limit)
        self._refused: deque[tuple[int, ActionAudited]] = deque(maxlen=audit_limit)

    @property
    def breakers(self) -> KnownBreakers:
        """The breakers that are steered: the registry's, and the healer's own."""
        return self._breakers

    @property
    def tasks(self) -> TaskRegistry | None:
        """The task registry that is steered, or ``None``."""
        return self._tasks

    @property
    def audit(self) -> tuple[ActionAudited, ...]:
        """What was done and refused, oldest first, bounded."""
        with self._lock:
            return tuple(record for _, record in sorted([*self._done, *self._refused], key=lambda entry: entry[0]))

    def resume(self, caller: Caller) -> Done:
        """End dormancy.

        Raises:
            ResumeRefusedError: without a reason, or when a resume check failed.
            ConfigError: if no healer and no dormant controller was given.
        """
        return self._audited("resume", "healing", caller, lambda: self._resume(caller))

    def reset_breaker(self, name: str, caller: Caller, *, force: bool = False) -> Done:
        """Close breaker ``name``; a permanently open one only with ``force``.

        Raises:
            NotFoundError: if there is none of that name.
            ResetRefusedError: if it is permanently open and ``force`` is not given.
        """
        return self._audited("breaker.reset", name, caller, lambda: self._reset(name, caller, force))

    def pause_task(self, task_id: str, caller: Caller) -> Done:
        """Let a task start no more runs until it is resumed. :raises NotFoundError: if there is no such task."""
        return self._audited(
            "task.pause", task_id, caller, lambda: self._one(task_id, lambda tasks: tasks.pause(task_id), "paused")
        )

    def resume_task(self, task_id: str, caller: Caller) -> Done:
        """Let a paused task run again. :raises NotFoundError: if there is no such task."""
        return self._audited(
            "task.resume", task_id, caller, lambda: self._one(task_id, lambda tasks: tasks.resume(task_id), "resumed")
        )

    def unregister_task(self, task_id: str, caller: Caller) -> Done:
        """Take a task out of the registry. :raises NotFoundError: if there is no such task."""
        return self._audited("task.unregister", task_id, caller, lambda: self._unregister(task_id))

    def pause_all_tasks(self, caller: Caller) -> Done:
        """Let no task start a run, those registered later included, until all are resumed."""
        return self._audited("tasks.pause", "all", caller, lambda: self._all(lambda tasks: tasks.pause_all(), "paused"))

    def resume_all_tasks(self, caller: Caller) -> Done:
        """Undo :meth:`pause_all_tasks`; a task that was paused on its own stays paused."""
        return self._audited(
            "tasks.resume", "all", caller, lambda: self._all(lambda tasks: tasks.resume_all(), "resumed")
        )

    def clean_up_tasks(self, caller: Caller, timeout: float = 10.0) -> Done:
        """Shut the task registry down for good, waiting at most ``timeout`` seconds; says what still runs."""
        return self._audited("tasks.cleanup", "all", caller, lambda: self._clean_up(timeout))

    def refused(self, what: str, target: str, caller: Caller, detail: str) -> None:
        """Record a call that never got here (a wrong token, a malformed body)."""
        self._record(what, target, caller, False, detail)

    def _resume(self, caller: Caller) -> Done:
        if self._dormancy is None:
            raise ConfigError("Steering.healer", None, "a Healer, for its dormancy to be resumed")
        changed = self._dormancy.resume(caller.reason, by=caller.by or caller.via)
        last = self._dormancy.last_resume
        problems = list(last.problems) if changed and last is not None else []
        message = "Self-healing was resumed" if changed else "Self-healing was not dormant; nothing changed"
        message += f", with problems: {'; '.join(problems)}." if problems else "."
        facts = {"resumed": changed, "isDormant": self._dormancy.is_dormant, "problems": problems}
        return Done(changed=changed, message=message, facts=facts)

    def _reset(self, name: str, caller: Caller, force: bool) -> Done:
        breaker = self._breakers.get(name)
        changed = breaker.reset(force=force, reason=caller.reason, by=caller.by or caller.via)
        state = str(breaker.state)
        message = f"Circuit breaker {name!r} is {state}" + (" again." if changed else " already; nothing changed.")
        return Done(changed=changed, message=message, facts={"reset": changed, "name": name, "state": state})

    def _registry(self) -> TaskRegistry:
        if self._tasks is None:
            raise ConfigError("Steering.tasks", None, "a TaskRegistry, for its tasks to be steered")
        return self._tasks

    def _one(self, task_id: str, act: Callable[[TaskRegistry], bool], done: str) -> Done:
        changed = act(self._registry())
        message = f"Task {task_id!r} was {done}" + ("." if changed else " already; nothing changed.")
        return Done(changed=changed, message=message, facts={"id": task_id, done: changed})

    def _unregister(self, task_id: str) -> Done:
        registry = self._registry()
        known = [task.id for task in registry.snapshot().tasks]
        if not registry.unregister(task_id):
            raise NotFoundError("task", task_id, known)
        message = f"Task {task_id!r} was unregistered."
        return Done(changed=True, message=message, facts={"id": task_id, "unregistered": True})

    def _all(self, act: Callable[[TaskRegistry], Sequence[str]], done: str) -> Done:
        ids = list(act(self._registry()))
        message = f"{done.capitalize()}: {', '.join(ids) or 'no task'}."
        return Done(changed=bool(ids), message=message, facts={done: ids})

    def _clean_up(self, timeout: float) -> Done:
        registry = self._registry()
        changed = registry.snapshot().state != "stopped"
        report = registry.cleanup(timeout)
        still = f"still running: {', '.join(report.still_running)}" if report.still_running else "none is still running"
        message = f"The background tasks were {'' if changed else 'already '}stopped for good; {still}."
        facts = {"stillRunning": list(report.still_running), "dropped": list(report.dropped)}
        return Done(changed=changed, message=message, facts=facts)

    def _audited(self, what: str, target: str, caller: Caller, act: Callable[[], Done]) -> Done:
        try:
            done = act()
        except SelfhealError as refusal:
            self._record(what, target, caller, False, str(refusal))
            raise
        except Exception as error:
            self._record(what, target, caller, False, f"failed: {type(error).__name__}")
            raise
        self._record(what, target, caller, True, done.message)
        return done

    def _record(self, what: str, target: str, caller: Caller, allowed: bool, detail: str) -> None:
        record = ActionAudited(
            at=self._clock.wall(),
            who=_shown(f"{caller.by} ({caller.via})" if caller.by else caller.via),
            what=what,
            target=_shown(target),
            reason=_shown(caller.reason),
            allowed=allowed,
            detail=_shown(detail),
        )
        with self._lock:
            self._count += 1
            (self._done if allowed else self._refused).append((self._count, record))
        level = logging.INFO if allowed else logging.WARNING
        # As JSON: what people wrote cannot forge a second line of the log.
        audit_log.log(level, "%s", json.dumps(attrs.asdict(record)), extra={"audit": attrs.asdict(record)})
        self._events.publish(record)


def _shown(text: str) -> str:
    return scrub(text[:2000])[:1000]

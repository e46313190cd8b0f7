"""Standing still until a person says that it may go on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TypeVar

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ConfigError, ResumeRefusedError, StateError
from selfheal.events import DEFAULT_BUS, DormancyEntered, DormancyLeft, EventBus, ResumeLooksPossible
from selfheal.forking import track
from selfheal.policies.dormancy_records import (
    TRIGGERS,
    DormancyRecord,
    ResumeRecord,
    Trigger,
    from_stored,
    texts,
    to_stored,
)
from selfheal.state.store import Store

__all__ = ["CheckResult", "DormancyRecord", "DormantController", "ResumeRecord", "Trigger"]

logger = logging.getLogger("selfheal.dormancy")

KEY = "dormancy"
"""Key of the record in the store."""


@attrs.frozen(kw_only=True)
class CheckResult:
    """What one resume check said.

    Args:
        name: of the check.
        passed: whether it stands in the way no more.
        why: what it said, empty when it passed.
    """

    name: str
    passed: bool
    why: str = ""


F = TypeVar("F", bound=Callable[[ResumeRecord], object])


class DormantController:
    """Dormant or not, why, and who ended it. While dormant nothing may be healed.

    Entering is easy and holds: by the failure limit, by a breaker, by a person; the first record is
    kept. Leaving takes a person: :meth:`resume` with a reason, and every check passing. Time never
    ends it, nor does a restart when there is a durable ``store``.

    Args:
        clock: gives the time of the records.
        events: where ``DormancyEntered``, ``DormancyLeft`` and ``ResumeLooksPossible`` are published.
        store: keeps the record; ``None`` keeps it in memory alone. What cannot be read there counts as
            dormant. It is read at the first question, and by one controller: the file is not shared live.
        checks: by name, what must hold before a resume. A check passes by returning ``True`` or
            ``None``; it stands against it by returning anything else (a text says why) or raising.
        resume_conditions: in words, what a person should see to; used where :meth:`enter` is given none.

    Raises:
        ConfigError: if a check is not callable.

    >>> from selfheal.testing import FakeClock
    >>> dormancy = DormantController(clock=FakeClock())
    >>> dormancy.enter("deploying by hand")
    True
    >>> dormancy.resume("deployed", by="maria")
    True
    """

    def __init__(
        self,
        *,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
        store: Store | None = None,
        checks: Mapping[str, Callable[[], object]] | None = None,
        resume_conditions: Sequence[str] = (),
    ) -> None:
        self._clock = clock
        self._events = events
        self._store = store
        self._checks = dict(checks or {})
        for name, check in self._checks.items():
            if not callable(check):
                raise ConfigError(f"DormantController.checks[{name!r}]", check, "a callable")
        self._conditions = texts("DormantController.resume_conditions", resume_conditions)
        self._on_resume: list[Callable[[ResumeRecord], object]] = []
        # Held while the record is read or written, so that memory and store cannot end up apart; never
        # while a check, an on_resume callable or a subscriber runs.
        self._steering = threading.RLock()
        self._record: DormancyRecord | None = None
        self._last_resume: ResumeRecord | None = None
        self._loaded = store is None
        self._saved = True
        self._entered = 0
        self._announced: DormancyRecord | None = None
        track(self, DormantController._in_child)

    def __repr__(self) -> str:
        return f"DormantController(record={self._record!r}, store={self._store!r})"

    @property
    def durable(self) -> bool:
        """Whether it has a store, and outlives the process."""
        return self._store is not None

    @property
    def is_dormant(self) -> bool:
        """Whether healing is stopped."""
        return self.record is not None

    @property
    def record(self) -> DormancyRecord | None:
        """Why and since when it is dormant; ``None`` while it is not."""
        if not self._loaded:
            self._load()
        return self._record

    @property
    def last_resume(self) -> ResumeRecord | None:
        """Who ended the last dormancy and why; ``None`` where none was ended yet."""
        if not self._loaded:
            self._load()
        return self._last_resume

    def on_resume(self, callback: F) -> F:
        """Have ``callback`` called with the :class:`ResumeRecord` at each resume, before work may start again.

        It clears what must not outlive a dormancy: counters, backoff, breaker. One that raises is
        logged and reported in ``last_resume.problems``; the others still run. Returns ``callback``.
        """
        self._on_resume.append(callback)
        return callback

    def enter(
        self,
        reason: str,
        triggered_by: Trigger = "manual",
        resume_conditions: Sequence[str] | None = None,
    ) -> bool:
        """Stop healing. Dormant already: the first record stays.

        Args:
            reason: why, for people. Blank is taken as "no reason given": stopping is never refused.
            triggered_by: ``"automatic"``, ``"circuit_breaker"`` or ``"manual"``.
            resume_conditions: what a person should see to; ``None`` takes those of the controller.

        Returns:
            Whether this call entered it.

        Raises:
            StateError: if the record cannot be written. It is dormant none the less, until a restart.
            ConfigError: if ``triggered_by`` is none of the three.
        """
        record = self._new_record(reason, triggered_by, resume_conditions)
        self._load()
        with self._steering:
            self._entered += 1
            entered = self._record is None
            if entered:
                self._record, self._saved = record, False
            failed = None if self._saved else self._save_quietly()
        if entered:
            logger.critical("dormant (%s): %s. Nothing is healed until resume().", triggered_by, record.reason)
            self._tell_entered(record)
        if failed is not None:
            logger.critical("dormant, but a restart would forget it: %s", failed)
            raise failed
        return entered

    def resume(self, reason: str, by: str = "") -> bool:
        """Let healing start again, one at a time at first.

        In order: the reason and the checks are looked at, the ``on_resume`` callables clear what they
        keep, the record is written, and only then may work start.

        Args:
            reason: why it may; not blank.
            by: who says so.

        Returns:
            Whether anything changed: ``False`` if it was not dormant.

        Raises:
            ResumeRefusedError: if the reason is blank, a check failed, or dormancy was asked for anew meanwhile.
            StateError: if the record cannot be written. It stays dormant.
        """
        if _blank(reason):
            raise ResumeRefusedError("a reason is needed, in words")
        self._load()
        with self._steering:
            record, entered = self._record, self._entered
        if record is None:
            return False
        for result in self._run_checks():
            if not result.passed:
                raise ResumeRefusedError(result.why, result.name)
        resumed = ResumeRecord(reason=reason.strip(), by=str(by).strip(), timestamp=self._clock.wall())
        resumed = self._clear(resumed)
        if not self._leave(resumed, entered):
            return False
        logger.warning("no longer dormant: resumed by %s: %s", resumed.by or "somebody", resumed.reason)
        self._events.publish(DormancyLeft(at=resumed.timestamp, reason=resumed.reason, by=resumed.by))
        return True

    def check(self) -> tuple[CheckResult, ...]:
        """Run the resume checks and tell what each said. Changes nothing.

        The first time in a dormancy that all pass, one ``ResumeLooksPossible`` is published, so that a
        person hears that the cause looks gone. Nothing resumes by itself.
        """
        record = self.record
        results = self._run_checks()
        if record is None or not results or not all(result.passed for result in results):
            return results
        with self._steering:
            news = self._record is record and self._announced is not record
            self._announced = record
        if news:
            logger.warning("all resume checks pass; still dormant (%s) until resume()", record.reason)
            self._events.publish(ResumeLooksPossible(at=self._clock.wall(), reason=record.reason))
        return results

    def _new_record(self, reason: str, triggered_by: Trigger, conditions: Sequence[str] | None) -> DormancyRecord:
        if triggered_by not in TRIGGERS:
            raise ConfigError("triggered_by", triggered_by, "one of " + ", ".join(map(repr, TRIGGERS)))
        return DormancyRecord(
            reason=str(reason).strip() or "no reason given",
            timestamp=self._clock.wall(),
            triggered_by=triggered_by,
            resume_conditions=self._conditions if conditions is None else texts("resume_conditions", conditions),
        )

    def _leave(self, resumed: ResumeRecord, entered: int) -> bool:
        with self._steering:
            if self._record is None:
                return False
            if self._entered != entered:
                raise ResumeRefusedError("dormancy was asked for anew while it was being resumed")
            self._save(None, resumed)
            self._record, self._last_resume, self._saved = None, resumed, True
            return True

    def _clear(self, resumed: ResumeRecord) -> ResumeRecord:
        problems = []
        for callback in list(self._on_resume):
            try:
                callback(resumed)
            except Exception as error:
                logger.exception("on_resume callable %r raised", callback)
                problems.append(f"{getattr(callback, '__qualname__', callback)!s}: {_said(error)}")
        return attrs.evolve(resumed, problems=tuple(problems))

    def _run_checks(self) -> tuple[CheckResult, ...]:
        return tuple(_run_check(name, check) for name, check in self._checks.items())

    def _load(self) -> None:
        """Read the store, once. What cannot be read counts as dormant."""
        if self._loaded or self._store is None:
            return
        with self._steering:
            record, news = self._read(self._store)
        if record is not None:
            logger.critical("dormant: %s. Nothing is healed until resume().", record.reason)
        if record is not None and news:  # a dormancy read back was alerted when it was entered
            self._tell_entered(record)

    def _read(self, store: Store) -> tuple[DormancyRecord | None, bool]:
        """Take over what is stored; return the record if it was read now, and whether it is made up here."""
        if self._loaded:  # by another thread, meanwhile
            return None, False
        made_up = False
        try:
            self._record, self._last_resume = from_stored(store.get(KEY))
        except Exception as error:  # whatever a store raises: what cannot be read must not read as "go on"
            self._record, made_up = self._unreadable(error), True
        self._loaded = True
        return self._record, made_up

    def _unreadable(self, error: Exception) -> DormancyRecord:
        return DormancyRecord(
            reason=f"the stored dormancy record cannot be read, so it counts as dormant: {_said(error)}",
            timestamp=self._clock.wall(),
            triggered_by="automatic",
            resume_conditions=("make sure the store can be read and written", *self._conditions),
        )

    def _tell_entered(self, record: DormancyRecord) -> None:
        self._events.publish(
            DormancyEntered(at=record.timestamp, reason=record.reason, triggered_by=record.triggered_by)
        )

    def _save_quietly(self) -> StateError | None:
        try:
            self._save(self._record, self._last_resume)
        except StateError as error:
            return error
        self._saved = True
        return None

    def _save(self, record: DormancyRecord | None, resumed: ResumeRecord | None) -> None:
        if self._store is None:
            return
        try:
            self._store.put(KEY, to_stored(record, resumed))
        except StateError:
            raise
        except Exception as error:
            raise StateError(repr(self._store), KEY, _said(error)) from error

    def _in_child(self) -> None:
        """Make a new lock: its holder may not be in this process."""
        self._steering = threading.RLock()


def _blank(reason: object) -> bool:
    return not isinstance(reason, str) or not reason.strip()


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _run_check(name: str, check: Callable[[], object]) -> CheckResult:
    try:
        said = check()
    except Exception as error:
        return CheckResult(name=name, passed=False, why=_said(error))
    if said is None or said is True:
        return CheckResult(name=name, passed=True)
    if isinstance(said, Coroutine):
        said.close()
        said = "it is a coroutine function; a resume check is a plain function"
    why = said.strip() if isinstance(said, str) else ""
    return CheckResult(name=name, passed=False, why=why or f"it returned {said!r}")

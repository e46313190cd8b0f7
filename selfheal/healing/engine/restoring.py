"""Taking over from a process before this one: its counts at once, what it left unfinished as soon as one may act."""

from __future__ import annotations

import logging

import attrs

from selfheal.errors import JournalError
from selfheal.healing.driving import Steps
from selfheal.healing.engine.parts import Parts
from selfheal.healing.engine.people import People
from selfheal.healing.engine.reading import Past, Trace, read_past
from selfheal.healing.engine.recovering import RecoveredRun, Recovery, RecoveryReport
from selfheal.healing.engine.run import Told
from selfheal.healing.healer import Healer
from selfheal.journal import Journal, read_journal
from selfheal.policies.grace import LONGEST_GRACE

logger = logging.getLogger("selfheal.healing")

_HOUR = 3600.0


class Restorer:
    """Reads the journal once, when this process has become the one that writes it.

    Args:
        journal: what is read; ``None``: nothing is known of before.
        parts: of the engine.
        healer: takes over its counts, and tells whether one may act.
        people: are told what they have to look at.
        dry_run: whether the budgets are those of dry runs.
    """

    def __init__(self, journal: Journal | None, parts: Parts, healer: Healer, people: People, *, dry_run: bool) -> None:
        self._journal = journal
        self._parts = parts
        self._healer = healer
        self._people = people
        self._dry_run = dry_run
        self._recovery = Recovery(parts.actor, parts.guards, parts.chronicle, parts.clock, people.tell)
        self._to_end: list[Trace] = []
        self._problem = ""
        self.loaded = parts.guards.loaded = journal is None
        self.report = RecoveryReport()

    @property
    def done(self) -> bool:
        """Whether there is nothing left to take over."""
        return self.loaded and not self._to_end

    def take(self, trace: Trace) -> None:
        """A healing of this process was broken off: it is ended like the others, as soon as one may act."""
        self._to_end.append(trace)

    def steps(self) -> Steps[None]:
        """Become the writer if nobody is, read, and end what was interrupted if that may be done now."""
        if self._journal is not None and not self.loaded and self._writes():
            self._load(self._journal)
        while self._to_end and self.loaded and self._healer.standing() is None:
            trace = self._to_end[0]
            ended: RecoveredRun = yield from self._recovery.end(trace)
            self._to_end.pop(0)
            self._parts.guards.let_go(trace.facts.run)
            self._leave_in_force(trace, 0.0)
            self.report = attrs.evolve(self.report, runs=(*self.report.runs, ended))
            logger.warning("healing %s of %r was interrupted: %s", ended.strategy, ended.target, ended.reason)

    def _writes(self) -> bool:
        """Whether this process is the one that writes the journal, now."""
        try:
            return self._parts.chronicle.journal.try_to_write()
        except JournalError as error:
            if str(error) != self._problem:
                logger.error("nothing is healed: %s", error)
            self._problem = str(error)
            return False

    def _load(self, journal: Journal) -> None:
        wall = self._parts.clock.wall()
        past = read_past(read_journal(journal.path), dry_run=self._dry_run, since=wall - LONGEST_GRACE)
        self._parts.guards.restore(past)
        ago = [wall - at for _, _, at in past.begun]
        failures = self._failures(past)
        self._healer.restore(failures, ago)
        self._stop_after(failures, past.dormant)
        self._take_over(past, wall)
        self.report = RecoveryReport(
            entries=past.entries,
            begun=sum(one < _HOUR for one in ago),
            acted=sum(wall - at < _HOUR for at in past.acted),
            failures=failures,
            held=tuple(past.held),
        )
        self.loaded = True
        self._parts.guards.loaded = True

    def _failures(self, past: Past) -> int:
        """Failures in a row. A resume ends them, also one that only the store of the dormancy tells of."""
        resumed = self._healer.dormancy.last_resume
        return 0 if resumed is not None and resumed.timestamp >= past.failed_at else past.failures

    def _stop_after(self, failures: int, dormant: str) -> None:
        """Stand still if the process before this one did, or ended between the last failure and what follows from it.

        A dormancy with a store of its own knows better than the journal what a person has said since.
        """
        dormancy = self._healer.dormancy
        if dormancy.is_dormant:
            return
        if dormant and not dormancy.durable:
            self._people.tell(Told(title="healing still stands still", body=dormant, dormant=True))
        elif failures >= self._healer.failure_limit:
            why = f"{failures} consecutive healings had failed when the process before this one ended"
            self._people.tell(Told(title="healing stops", body=why, dormant=True))

    def _take_over(self, past: Past, wall: float) -> None:
        if self._dry_run:
            return  # what live healings left is not touched by a dry run
        for trace in past.runs.values():
            if trace.ended is None:
                self._to_end.append(trace)
            else:
                self._leave_in_force(trace, wall - trace.ended)

    def _leave_in_force(self, trace: Trace, ended_ago: float) -> None:
        """What is still to be undone by itself is, in time; but not by a plan that cannot be relied on."""
        if not trace.damaged:
            self._parts.releases.add(trace.facts, trace.saga, ended_ago=ended_ago)
        elif trace.open_steps:
            logger.error("measures of %s are not undone: its journal is damaged: %s", trace.facts.run, trace.damaged)

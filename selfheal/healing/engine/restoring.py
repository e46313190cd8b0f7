"""Taking over from a process before this one: its counts at once, what it left unfinished as soon as one may act."""

from __future__ import annotations

import logging

import attrs

from selfheal.errors import JournalError
from selfheal.healing.driving import Steps
from selfheal.healing.engine.parts import Parts
from selfheal.healing.engine.reading import Past, Trace, read_past
from selfheal.healing.engine.recovering import RecoveredRun, Recovery, RecoveryReport
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
        dry_run: whether the budgets are those of dry runs.
    """

    def __init__(self, journal: Journal | None, parts: Parts, healer: Healer, *, dry_run: bool) -> None:
        self._journal = journal
        self._parts = parts
        self._healer = healer
        self._dry_run = dry_run
        self._recovery = Recovery(parts.actor, parts.guards, parts.chronicle, parts.clock)
        self._to_end: list[Trace] = []
        self._problem = ""
        self.loaded = journal is None
        self.report = RecoveryReport()

    @property
    def done(self) -> bool:
        """Whether there is nothing left to take over."""
        return self.loaded and not self._to_end

    def steps(self) -> Steps[None]:
        """Become the writer if nobody is, read, and end what was interrupted if that may be done now."""
        if self._journal is not None and not self.loaded and self._writes():
            self._load(self._journal)
        while self._to_end and self.loaded and self._healer.standing() is None:
            trace = self._to_end[0]
            ended: RecoveredRun = yield from self._recovery.end(trace)
            self._to_end.pop(0)
            self._parts.guards.let_go(trace.facts.run)
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
        self._healer.restore(past.failures, ago)
        self._take_over(past, wall)
        self.report = RecoveryReport(
            entries=past.entries,
            begun=sum(one < _HOUR for one in ago),
            acted=sum(wall - at < _HOUR for at in past.acted),
            failures=past.failures,
            held=tuple(past.held),
        )
        self.loaded = True
        self._parts.guards.loaded = True

    def _take_over(self, past: Past, wall: float) -> None:
        if self._dry_run:
            return  # what live healings left is not touched by a dry run
        for trace in past.runs.values():
            if trace.ended is None:
                self._to_end.append(trace)
            else:
                self._parts.releases.add(trace.facts, trace.saga, ended_ago=wall - trace.ended)

"""Backups put back: planned, staged, exchanged, probed, and undone where that did not work; and after a crash."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import attrs

from selfheal.backup.entries import Manifest
from selfheal.backup.restoring.driving import Hook, Hooks, Undertaking
from selfheal.backup.restoring.exchanging import Step, no_step
from selfheal.backup.restoring.journalling import Record, RestoreJournal
from selfheal.backup.restoring.locking import locked
from selfheal.backup.restoring.machine import Direction, Phase, Standing, found
from selfheal.backup.restoring.moving import Mover, record_of
from selfheal.backup.restoring.planning import Backups, RestorePlan, Which, plan_restore
from selfheal.backup.restoring.reporting import REPORT, RestoreReport, read_report, write_report
from selfheal.backup.restoring.staging import Tell
from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import BackupError, NotFoundError, RestoreFailedError, RestoreRefusedError, RestoreStuckError
from selfheal.events import DEFAULT_BUS, EventBus
from selfheal.events.restores import RestoreFinished, RestoreRolledBack, RestoreStarted

_SETTLED = (Phase.COMMITTED, Phase.ROLLING_BACK, Phase.ROLLED_BACK)
"""It was decided how it ends: that it does so is no failure of whoever goes on with it."""

_log = logging.getLogger("selfheal.backup.restoring")


class Restorer:
    """Restores backups, one at a time.

    Each section is put together beside its target, compared byte for byte with the manifest, and then exchanged with
    what is there, which is kept until the host says that it works. A crash at any moment leaves a record that leads to
    the old or to the new: call :meth:`recover` at the start of the host, before it opens what may be restored.

    Args:
        store: where the backups are.
        directory: for the record of the restore under way and the report. It must be there, on a disk that survives a
            crash, and outside of all targets.
        pause: called before things are moved: stop writing, close files. What it raises ends the restore.
        resume: called after things were moved, forward or back.
        probe: called after that: whether the service works. ``False`` or an exception takes the restore back.
        states: section name to a callable that gives plain data about its state, compared before and after; by default
            the probes of the sections of the store.
        keep_previous: whether the previous state is kept after the probe, until :meth:`commit` or :meth:`rollback`.
            By default it is where there is no probe: nobody has said yet that it works.
        compare_hashes: compare what was there before by content too, which reads all of it; else by size and mode.
        exchange: try the exchange in one step; ``False`` for file systems that only claim to have it.
        progress: told how far the copying is. What it raises ends the restore.
        clock: the time.
        events: where it is told.
        step: called with a name between any two changes on the disk; for tests.

    Raises:
        NotADirectoryError: if ``directory`` is none.
    """

    def __init__(
        self,
        store: Backups,
        directory: Path | str,
        *,
        pause: Hook | None = None,
        resume: Hook | None = None,
        probe: Hook | None = None,
        states: Mapping[str, Hook] | None = None,
        keep_previous: bool | None = None,
        compare_hashes: bool = True,
        exchange: bool = True,
        progress: Tell | None = None,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
        step: Step = no_step,
    ) -> None:
        self.directory = Path(directory).absolute()
        if not self.directory.is_dir():
            raise NotADirectoryError(f"{self.directory} is no directory: make it, on a disk that survives a crash")
        self._store = store
        if states is None:
            states = {section.name: section.probe for section in store.sections if section.probe is not None}
        self._hooks = Hooks(pause=pause, resume=resume, probe=probe, states=dict(states), progress=progress)
        self._keep = probe is None if keep_previous is None else keep_previous
        self._hashes, self._exchange = compare_hashes, exchange
        self._clock, self._events, self._step = clock, events, step
        self._journal = RestoreJournal(self.directory, step)

    def __repr__(self) -> str:
        return f"Restorer({str(self.directory)!r})"

    @property
    def pending(self) -> Record | None:
        """The restore that is under way, was cut off, or whose previous state is kept; ``None`` where there is none.

        Raises:
            RestoreStuckError: if its record cannot be read.
        """
        return self._journal.read()

    def plan(
        self,
        which: Which = "latest",
        *,
        sections: Sequence[str] | None = None,
        targets: Mapping[str, Path | str] | None = None,
        in_place: Collection[str] = (),
    ) -> RestorePlan:
        """Find out what a restore would do; print it for a dry run. See :func:`plan_restore`."""
        return plan_restore(
            self._store, which, sections=sections, targets=targets, in_place=in_place, off_limits=[self.directory]
        )

    def restore(self, plan: RestorePlan) -> RestoreReport:
        """Do what was planned.

        Returns:
            What came of it: ``restored`` or ``kept``. The same is in ``restore_report_latest.md`` and ``.json``.

        Raises:
            RestoreRefusedError: if it was not begun: the plan has problems, or another restore is not at its end.
            RestoreFailedError: if it failed; everything is as it was before.
            RestoreStuckError: if it failed, and could not be taken back; :meth:`recover` goes on from there.
        """
        plan.check()
        with locked(self.directory, (one.target for one in plan.sections), plan.backup):
            self._refuse_pending(plan.backup)
            work = self._undertaking(self._new(plan), plan.manifest)
            report = self._run(work, Direction.FORWARD, plan)
        if not report.ok:
            raise self._failed(report)
        return report

    def recover(self, *, rollback: bool = True) -> RestoreReport | None:
        """Bring a restore to its end that a crash cut off. Call it before anything opens what may be restored.

        Args:
            rollback: put back what was there before; ``False`` goes on with the restore where that can be done: not
                while it was copying, nor once it was being taken back.

        Returns:
            What came of it; ``None`` where there was nothing to be done. A previous state that is kept stays so.

        Raises:
            RestoreFailedError: if it was to go on and failed; everything is as it was before.
            RestoreRefusedError: if another process is at it.
            RestoreStuckError: if it can go neither way.
        """
        record = self._journal.read()
        if record is None or record.standing.phase is Phase.KEPT:
            return None
        reason = "it was cut off by a crash, and taken back" if rollback else ""
        return self._go_on(record, lambda now: found(now.standing, rollback=rollback), reason)

    def rollback(self, reason: str = "asked for") -> RestoreReport:
        """Put back the previous state that is kept; what was written since the restore is lost.

        Raises:
            RestoreRefusedError: if none is kept, or another process is at it.
            RestoreStuckError: if that cannot be done.
        """
        return self._go_on(self._kept("rolled back"), lambda now: Direction.BACK, reason)

    def commit(self) -> RestoreReport:
        """Remove the previous state that is kept.

        Raises:
            RestoreRefusedError: if none is kept, or another process is at it.
            RestoreStuckError: if it cannot be removed; the restore stays.
        """
        return self._go_on(self._kept("committed"), lambda now: Direction.FORWARD, "")

    def _kept(self, what: str) -> Record:
        record = self._journal.read()
        if record is None:
            raise RestoreRefusedError(str(self.directory), [f"there is no restore that could be {what}"])
        if record.standing.phase is not Phase.KEPT:
            raise RestoreRefusedError(record.backup, ["it was cut off: call recover() first"])
        return record

    def _refuse_pending(self, backup: str) -> None:
        record = self._journal.read()
        if record is None:
            return
        if record.standing.phase is Phase.KEPT:
            why = f"the state before the restore of {record.backup} is kept: call commit() or rollback() first"
        else:
            why = f"a restore of {record.backup} was cut off ({record.standing}): call recover() first"
        raise RestoreRefusedError(backup, [why])

    def _new(self, plan: RestorePlan) -> Record:
        return Record(
            run=os.urandom(4).hex(),
            backup=plan.backup,
            backup_made=plan.manifest.created,
            started=self._clock.wall(),
            standing=Standing(Phase.STAGING, 0, len(plan.sections)),
            keep=self._keep,
            sections=tuple(map(record_of, plan.sections)),
            exchange=self._exchange,
        )

    def _undertaking(self, record: Record, manifest: Manifest | None) -> Undertaking:
        mover = Mover(record.run, record.exchange, self._step)
        return Undertaking(record, self._journal, mover, self._hooks, manifest, self._hashes)

    def _go_on(self, record: Record, way: Callable[[Record], Direction], reason: str) -> RestoreReport:
        with locked(self.directory, (Path(one.target) for one in record.sections), record.backup):
            now = self._journal.read()  # it may have moved on until it was ours
            if now is None or now.run != record.run:
                raise RestoreRefusedError(record.backup, ["another process brought it to its end meanwhile"])
            direction, settled = way(now), now.standing.phase in _SETTLED
            if reason and not now.why and not settled:
                now = attrs.evolve(now, why=reason)
            report = self._run(self._undertaking(now, self._manifest(now)), direction)
        if direction is Direction.FORWARD and not settled and not report.ok:
            raise self._failed(report)
        return report

    def _manifest(self, record: Record) -> Manifest | None:
        """Of the backup, to compare with; the store need not be there any more."""
        try:
            return self._store.manifest(record.backup)
        except (OSError, BackupError, NotFoundError) as error:
            _log.warning("the manifest of %s is not at hand: %s", record.backup, error)
            return None

    def _run(self, work: Undertaking, direction: Direction, plan: RestorePlan | None = None) -> RestoreReport:
        began = self._clock.monotonic()
        self._tell_begin(work.record)
        try:
            if plan is not None:
                direction = self._stage(work, plan)
            work.go(direction)
        except RestoreStuckError as error:
            self._tell_end(work, began, str(error))
            raise
        return self._tell_end(work, began)

    def _stage(self, work: Undertaking, plan: RestorePlan) -> Direction:
        try:
            work.stage(plan)
        except Exception as error:
            work.because(error)
            return Direction.BACK
        except BaseException as error:  # somebody wants this process to end: what was begun is removed first
            work.because(error)
            work.go(Direction.BACK)
            raise
        return Direction.FORWARD

    def _failed(self, report: RestoreReport) -> RestoreFailedError:
        path = self.directory / f"{REPORT}.md"
        return RestoreFailedError(report.backup, report.error, report.outcome, str(path) if path.exists() else "")

    def _tell_begin(self, record: Record) -> None:
        self._events.publish(
            RestoreStarted(
                at=self._clock.wall(),
                backup=record.backup,
                run=record.run,
                sections=tuple(one.name for one in record.sections),
                targets=tuple(one.target for one in record.sections),
                phase=record.standing.phase.value,
            )
        )

    def _tell_end(self, work: Undertaking, began: float, stuck: str = "") -> RestoreReport:
        now, record = self._clock.wall(), work.record
        report = work.report(now, stuck)
        earlier = read_report(self.directory) if report.ok and not work.compared else None
        if earlier is not None and earlier.run == report.run and earlier.ok:
            report = report.with_comparison(earlier)
        try:
            write_report(report, self.directory, self._step)
        except OSError as error:
            _log.warning("the report of the restore of %s could not be written: %s", record.backup, error)
        if work.put_back:
            names = tuple(work.put_back)
            self._events.publish(
                RestoreRolledBack(at=now, backup=record.backup, run=record.run, sections=names, reason=record.why)
            )
        self._events.publish(
            RestoreFinished(
                at=now,
                backup=record.backup,
                run=record.run,
                outcome=report.outcome,
                duration=self._clock.monotonic() - began,
                error=report.error,
            )
        )
        return report

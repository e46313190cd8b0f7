"""One restore on its way: asks the machine what comes next, writes it down, does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from selfheal.backup.entries import Manifest
from selfheal.backup.restoring.comparing import (
    StateDiff,
    diff_states,
    diff_values,
    manifest_state,
    tree_state,
)
from selfheal.backup.restoring.journalling import Record, RestoreJournal, SectionRecord
from selfheal.backup.restoring.machine import Direction, Phase, Standing, Work
from selfheal.backup.restoring.moving import Mover
from selfheal.backup.restoring.planning import RestorePlan
from selfheal.backup.restoring.reporting import RestoreReport, SectionReport, plain_answer
from selfheal.backup.restoring.staging import Tell
from selfheal.errors import RestoreStuckError

Hook = Callable[[], object]
_FATES = {"stuck": "unknown"}


@attrs.frozen(kw_only=True)
class Hooks:
    """What the host does during a restore. All of it is optional.

    Args:
        pause: called before things are moved: stop writing, close files.
        resume: called after things were moved, forward or back: open them again.
        probe: called after that: whether the service works. ``False`` or an exception takes the restore back.
        states: section name to a callable that gives plain data about its state, compared before and after.
        progress: told how far the copying is.
    """

    pause: Hook | None = None
    resume: Hook | None = None
    probe: Hook | None = None
    states: Mapping[str, Hook] = attrs.Factory(dict)
    progress: Tell | None = None


class ProbeFailedError(Exception):
    """The host says that it does not work."""


@attrs.define
class Undertaking:
    """A restore, from where it stands.

    Args:
        record: how it stands.
        journal: where that is written down.
        mover: what moves things.
        hooks: of the host.
        manifest: of the backup, where it is at hand.
        hashes: compare what was there before by content.
    """

    record: Record
    journal: RestoreJournal
    mover: Mover
    hooks: Hooks
    manifest: Manifest | None = None
    hashes: bool = True
    probed: str = "none"
    put_back: list[str] = attrs.Factory(list)
    _paused: bool = False
    _diffs: dict[str, StateDiff] = attrs.Factory(dict)
    _answers: dict[str, Any] = attrs.Factory(dict)

    def stage(self, plan: RestorePlan) -> None:
        """Copy all sections to beside their targets, compared and on the disk.

        Raises:
            BackupError: if the backup is damaged.
            OSError: if something cannot be read or written.
        """
        self.journal.write(self.record)
        notes: list[str] = []
        for one, section in zip(plan.sections, self.record.sections, strict=True):
            staged = self.mover.stage(one, section, plan.manifest.algorithm, self.hooks.progress)
            notes += staged.notes(section.name)
        self.record = attrs.evolve(self.record, notes=(*self.record.notes, *notes))

    def go(self, direction: Direction) -> Record:
        """Go on to an end, or to where the previous state is kept.

        Raises:
            RestoreStuckError: if the way back is barred; what is written down leads on from there.
        """
        while True:
            try:
                self._work(direction)
                after = self.record.standing.after_work(direction, keep=self.record.keep)
                if after is None:
                    return self.record
                self._enter(after)
                if after.phase is Phase.KEPT and direction is Direction.FORWARD:
                    return self.record
            except Exception as error:
                if self.record.standing.work is Work.CLEAN:
                    self._note(f"what is left beside the targets could not be removed, recover() tries again: {error}")
                    return self.record
                if direction is Direction.BACK or self._decided:
                    raise self._stuck(error) from error
                direction = Direction.BACK
                self.because(error)
            except BaseException as error:  # somebody wants this process to end: not in the middle of it
                if direction is Direction.BACK or self._decided:
                    raise
                self.because(error)
                self.go(Direction.BACK)
                raise

    def because(self, error: BaseException) -> None:
        """Keep why it goes back."""
        why = str(error) or type(error).__name__
        self.record = attrs.evolve(self.record, why=self.record.why or why)

    @property
    def compared(self) -> bool:
        """Whether before and after were compared here, and not by an earlier process."""
        return bool(self._diffs or self._answers)

    @property
    def _decided(self) -> bool:
        return self.record.standing.phase in (Phase.COMMITTED, Phase.ROLLED_BACK, Phase.ROLLING_BACK)

    def _stuck(self, error: Exception) -> RestoreStuckError:
        if isinstance(error, RestoreStuckError):
            return error
        works = ", ".join(str(self.mover.work(section)) for section in self.record.sections)
        why = f"on the way back ({self.record.standing}): {error}. Work directories: {works}"
        return RestoreStuckError(self.record.backup, why, "Put right what is named, and call recover().")

    def _enter(self, after: Standing) -> None:
        """Write down what is to be done next, before it is done."""
        record = attrs.evolve(self.record, standing=after)
        if after.phase is Phase.SWAPPING:
            if after.section == 0:
                record = attrs.evolve(record, before=self._ask())
            self._pause()
            sections = list(record.sections)
            sections[after.section] = self.mover.listed(sections[after.section])
            record = attrs.evolve(record, sections=tuple(sections))
        try:
            self.journal.write(record)
        except OSError:
            if after.phase is not Phase.ROLLED_BACK or self.record.standing.moved:
                raise
            # Nothing was moved: to remove what was staged is right with the older record too, and makes room.
        self.record = record

    def _work(self, direction: Direction) -> None:
        standing = self.record.standing
        match standing.work:
            case Work.SWAP if direction is Direction.FORWARD:
                self._pause()
                self.mover.swap(self.record.sections[standing.section])
            case Work.UNSWAP:
                self._pause(strict=False)
                section = self.record.sections[standing.section]
                self.mover.unswap(section)
                self.put_back.append(section.name)
            case Work.PROBE if direction is Direction.FORWARD:
                self._resume()
                self._probe()
                self._compare()
            case Work.CLEAN:
                self._resume(strict=standing.phase is Phase.COMMITTED)
                for section in self.record.sections:
                    self.mover.clean(section, undone=standing.phase is Phase.ROLLED_BACK)
                self.journal.remove()
            case _:
                pass

    def _pause(self, *, strict: bool = True) -> None:
        if not self._paused:
            self._paused = True
            self._call(self.hooks.pause, "pause", strict)

    def _resume(self, *, strict: bool = True) -> None:
        if self._paused:
            self._paused = False
            self._call(self.hooks.resume, "resume", strict)

    def _call(self, hook: Hook | None, name: str, strict: bool) -> None:
        if hook is None:
            return
        try:
            hook()
        except Exception as error:
            if strict:
                raise
            self._note(f"the host's {name}() failed on the way back: {type(error).__name__}: {error}")

    def _probe(self) -> None:
        if self.hooks.probe is None:
            return
        self.probed = "failed"
        try:
            answer = self.hooks.probe()
        except Exception as error:
            raise ProbeFailedError(f"the host's probe failed: {type(error).__name__}: {error}") from error
        if answer is False:
            raise ProbeFailedError("the host's probe says that it does not work")
        self.probed = "passed"

    def _note(self, note: str) -> None:
        self.record = attrs.evolve(self.record, notes=(*self.record.notes, note))

    def _ask(self) -> dict[str, Any]:
        """What the host says of its sections. That it cannot say is no reason not to restore."""
        answers = {}
        for section in self.record.sections:
            hook = self.hooks.states.get(section.name)
            if hook is None:
                continue
            try:
                answers[section.name] = plain_answer(hook())
            except Exception as error:
                answers[section.name] = f"no answer: {type(error).__name__}: {error}"
        return answers

    def _compare(self) -> None:
        """What differs from before. That it cannot be told is no reason to take it back."""
        self._answers = self._ask()
        for section in self.record.sections:
            try:
                self._diffs[section.name] = self._diff(section)
            except OSError as error:
                self._note(f"{section.name}: before and after could not be compared: {error}")

    def _diff(self, section: SectionRecord) -> StateDiff:
        algorithm = self.manifest.algorithm if self.manifest is not None else "sha256"
        before = tree_state(self.mover.previous(section), algorithm, hashes=self.hashes)
        told = self.manifest.section(section.name) if self.manifest is not None else None
        if told is None:
            return diff_states(before, tree_state(section.target, algorithm, hashes=self.hashes))
        after = manifest_state(told, hashes=self.hashes, name=section.target.rpartition("/")[2])
        return diff_states(before, after)

    def report(self, now: float, stuck: str = "") -> RestoreReport:
        """What came of it, and why it stands still if it does."""
        phase = self.record.standing.phase
        outcome = "stuck" if stuck else {Phase.COMMITTED: "restored", Phase.KEPT: "kept"}.get(phase, "rolled_back")
        if outcome == "rolled_back" and not any(section.items for section in self.record.sections):
            outcome = "discarded"
        return RestoreReport(
            outcome=outcome,
            backup=self.record.backup,
            backup_made=self.record.backup_made,
            run=self.record.run,
            started=self.record.started,
            finished=now,
            sections=tuple(self._section_report(section, outcome) for section in self.record.sections),
            probe=self.probed,
            error=stuck or self.record.why,
            notes=self.record.notes,
        )

    def _section_report(self, section: SectionRecord, outcome: str) -> SectionReport:
        good = outcome in ("restored", "kept")
        told = self.manifest.section(section.name) if self.manifest is not None else None
        answer = self._answers.get(section.name)
        asked = good and section.name in self._answers
        return SectionReport(
            name=section.name,
            target=section.target,
            outcome="restored" if good else _FATES.get(outcome, "put_back") if section.items else "untouched",
            how="in_place" if section.in_place else "exchanged",
            files=section.files,
            bytes=section.bytes,
            diff=self._diffs.get(section.name) if good else None,
            previous=str(self.mover.previous(section)) if outcome in ("kept", "stuck") else "",
            probe=tuple(diff_values(self.record.before.get(section.name), answer)) if asked else (),
            unlike_backup=(
                tuple(diff_values(told.probe, answer)) if asked and told is not None and told.probe is not None else ()
            ),
        )

"""What came of a restore, for whoever has to decide what to do next, perhaps at night."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from selfheal.backup.restoring.comparing import StateDiff
from selfheal.backup.restoring.exchanging import Step, no_step
from selfheal.backup.restoring.words import amount, count, moment
from selfheal.configuring import structure
from selfheal.durable import replace_file
from selfheal.errors import ConfigError

_log = logging.getLogger("selfheal.backup")

REPORT = "restore_report_latest"
_SHOWN = 20
_KEPT = 1000
"""Names of a kind that the JSON holds at most."""
_LARGEST = 64 * 1024 * 1024
_KINDS = {
    "added": "came back",
    "removed": "gone (not in the backup)",
    "changed": "changed",
    "unread": "could not be compared",
}
"""Lists of names in a diff, and the words for each."""

_HEADLINES = {
    "restored": "RESTORED: everything below is in place, and the previous state is gone.",
    "kept": "RESTORED: everything below is in place, and the previous state is still kept.",
    "rolled_back": "NOT RESTORED: it failed or was taken back, and the previous state was put back.",
    "stuck": "STANDS STILL: it is neither done nor undone, and needs a person. Nothing was removed.",
    "discarded": "NOT RESTORED: it did not get as far as touching anything. All targets are as they were.",
}


@attrs.frozen(kw_only=True)
class SectionReport:
    """What came of one section.

    Args:
        name: of the section.
        target: what was, or would have been, replaced.
        outcome: ``restored``, ``put_back``, ``untouched`` or ``unknown``.
        how: ``exchanged`` as a whole, or ``in_place``, its entries one by one.
        files: in the backup.
        bytes: in the backup.
        diff: what differs between before and after; ``None`` where it was not compared.
        previous: where the previous state is kept, empty where it is not.
        probe: what differs between what the host's probe said before and says now, a line for each value.
        unlike_backup: what differs between what the probe says now and what it said when the backup was made.
        unlisted: of ``added`` and the like of ``diff``, how many names more there were, where they are not all known.
    """

    name: str
    target: str
    outcome: str
    how: str
    files: int
    bytes: int
    diff: StateDiff | None = None
    previous: str = ""
    probe: tuple[str, ...] = ()
    unlike_backup: tuple[str, ...] = ()
    unlisted: Mapping[str, int] = attrs.Factory(dict)

    @property
    def compared(self) -> bool:
        """Whether it says what differs from before."""
        return self.diff is not None or bool(self.probe or self.unlike_backup)


@attrs.frozen(kw_only=True)
class RestoreReport:
    """What came of a restore.

    Args:
        outcome: ``restored``, ``kept``, ``rolled_back``, ``discarded`` or ``stuck``.
        backup: id of the backup.
        backup_made: when that was made, wall seconds.
        run: names the restore.
        started: wall seconds.
        finished: wall seconds.
        sections: in the order in which they are restored.
        probe: ``passed``, ``failed``, or ``none`` where the host gave none or it was not got to.
        error: why it failed, empty where it did not.
        notes: what else a person has to know.
    """

    outcome: str
    backup: str
    backup_made: float
    run: str
    started: float
    finished: float
    sections: tuple[SectionReport, ...]
    probe: str = "none"
    error: str = ""
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the backup is in place."""
        return self.outcome in ("restored", "kept")

    def as_dict(self) -> dict[str, Any]:
        """As plain data; of long lists of names the first 1,000."""
        data: dict[str, Any] = json.loads(json.dumps(attrs.asdict(self)))
        for section in data["sections"]:
            unlisted = section.pop("unlisted")
            for names in _KINDS if section["diff"] else ():
                section["diff"][f"{names}_count"] = len(section["diff"][names]) + unlisted.get(names, 0)
                section["diff"][names] = section["diff"][names][:_KEPT]
        return data

    def with_comparison(self, earlier: RestoreReport) -> RestoreReport:
        """This report of a restore that is in place, with what an earlier one of the same restore says of changes."""
        before = {one.name: one for one in earlier.sections}
        sections = []
        for one in self.sections:
            told = before.get(one.name)
            if told is not None and not one.compared:
                kept = {name: getattr(told, name) for name in ("diff", "probe", "unlike_backup", "unlisted")}
                one = attrs.evolve(one, **kept)
            sections.append(one)
        probe = earlier.probe if self.probe == "none" else self.probe
        return attrs.evolve(self, sections=tuple(sections), probe=probe)

    def as_markdown(self) -> str:
        """For a person."""
        return "\n".join(_lines(self)) + "\n"


def write_report(report: RestoreReport, directory: Path, step: Step = no_step) -> Path:
    """Write ``restore_report_latest.md`` and ``.json``, each whole or not at all; give the first.

    Raises:
        OSError: if one cannot be written.
    """
    text = report.as_markdown().encode("utf-8", "backslashreplace")
    data = json.dumps(report.as_dict(), indent=1).encode()
    path = directory / f"{REPORT}.md"
    replace_file(path, text, mode=None, step=lambda at: step(f"{at} report"))
    replace_file(path.with_suffix(".json"), data, mode=None, step=lambda at: step(f"{at} report data"))
    return path


def read_report(directory: Path) -> RestoreReport | None:
    """The last report; ``None`` where there is none, or it cannot be read as one."""
    try:
        with (directory / f"{REPORT}.json").open("rb") as file:
            data = json.loads(file.read(_LARGEST))
        for section in data["sections"]:
            diff, section["unlisted"] = section["diff"], {}
            for names in _KINDS if diff else ():
                more = diff.pop(f"{names}_count") - len(diff[names])
                section["unlisted"] |= {names: more} if more > 0 else {}
        return structure(data, RestoreReport)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, ConfigError) as error:
        _log.warning("the report %s.json in %s cannot be read: %s", REPORT, directory, error)
        return None


def _lines(report: RestoreReport) -> Iterator[str]:
    yield from ("# Restore report", "", f"**{_HEADLINES[report.outcome]}**", "")
    yield f"- Backup: `{report.backup}`, made {moment(report.backup_made)}"
    took = max(report.finished - report.started, 0.0)
    yield f"- Began {moment(report.started)}, ended {moment(report.finished)} ({took:.1f} s), run `{report.run}`"
    if report.error:
        yield f"- Why: {report.error}"
    yield f"- The host's own check: {report.probe}"
    yield from ("", "## What to do next", "")
    yield from (f"{number}. {told}" for number, told in enumerate(_advice(report), 1))
    yield from (
        "",
        "## Sections",
        "",
        "| section | outcome | target | files | size | how |",
        "|---|---|---|---|---|---|",
    )
    for one in report.sections:
        how = "as a whole" if one.how == "exchanged" else "entry by entry (not atomic as a whole)"
        size = f"{one.files:,} | {amount(one.bytes)}"
        yield f"| {one.name} | {one.outcome.replace('_', ' ')} | `{_safe(one.target)}` | {size} | {how} |"
    kept = [one for one in report.sections if one.previous]
    if kept:
        yield from ("", "## What is kept where", "")
        yield from (f"- {one.name}: the previous state is in `{_safe(one.previous)}`" for one in kept)
    for one in report.sections:
        yield from _changes(one)
    if report.notes:
        yield from ("", "## Notes", "", *(f"- {note}" for note in report.notes))


def _advice(report: RestoreReport) -> Iterator[str]:
    match report.outcome:
        case "restored":
            yield f"Check that the service does what it should; its data are those of {moment(report.backup_made)}."
            yield "What was written after that moment is not in it: replay it from elsewhere if you can."
            yield "There is no undo: restore another backup if this was not the right one."
        case "kept":
            yield f"Check that the service does what it should; its data are those of {moment(report.backup_made)}."
            yield (
                "If it does: call `commit()`, or `selfheal backup restore --commit`; "
                "the previous state is removed and its space is free again."
            )
            yield (
                "If it does not: call `rollback()`, or `selfheal backup restore --rollback`; "
                "the previous state is put back, and what was written since the restore is lost."
            )
        case "rolled_back":
            yield "The service runs on what it had before; check that it does."
            yield "Put right what the reason above names, or choose another backup, and restore again."
        case "stuck":
            yield (
                "Put right what the reason above names, and call `recover()`, or `selfheal backup restore --recover`: "
                "it goes on from where it stands."
            )
            yield "Do not start the service before: its sections may be of different times."
        case _:
            yield "Nothing has to be undone."
            yield "Put right what the reason above names, or choose another backup, and restore again."


def _changes(one: SectionReport) -> Iterator[str]:
    diff = one.diff
    if not one.compared:
        return
    yield from ("", f"## What changed in {one.name}", "")
    if diff is not None:
        before, after = count(diff.files_before, "file"), count(diff.files_after, "file")
        yield f"- before: {before}, {amount(diff.bytes_before)}; after: {after}, {amount(diff.bytes_after)}"
        yield f"- as it was: {count(diff.same, 'name')}"
        for kind, word in _KINDS.items():
            names: tuple[str, ...] = getattr(diff, kind)
            if names:
                number = len(names) + one.unlisted.get(kind, 0)
                more = f", and {number - _SHOWN:,} more" if number > _SHOWN else ""
                some = ", ".join(f"`{_safe(name)}`" for name in names[:_SHOWN])
                yield f"- {word}: {count(number, 'name')}: {some}{more}"
    yield from (f"- the host says: {line}" for line in one.probe)
    yield from (f"- NOT AS WHEN THE BACKUP WAS MADE: {line}" for line in one.unlike_backup)


def _safe(name: str) -> str:
    """A name that cannot be taken for anything else in the report."""
    return "".join(c if c.isprintable() and c not in "`|" else _escaped(c) for c in name)


def _escaped(character: str) -> str:
    return f"\\x{ord(character):02x}" if character in "`|" else character.encode("unicode_escape").decode()


def plain_answer(answer: object) -> Any:
    """What a host's probe said, as the record can hold it."""
    try:
        held: Mapping[str, Any] = json.loads(json.dumps({"answer": answer}, allow_nan=False))
        return held["answer"]
    except (TypeError, ValueError, RecursionError):
        return repr(answer)

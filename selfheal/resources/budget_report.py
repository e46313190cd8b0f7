"""What a resource budget shows: a snapshot, a section of the status, and a report for people."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from selfheal.durable import replace_file
from selfheal.errors import StateError
from selfheal.plain import camel_cased
from selfheal.resources.budget_admission import Tally
from selfheal.resources.budget_config import BudgetConfig
from selfheal.resources.budget_machine import BudgetLevel
from selfheal.resources.budget_responding import Deed
from selfheal.usage import Usage

REPORT_NAME = "resource_usage_report_latest.md"


@attrs.frozen
class LevelChange:
    """One step of a budget from level to level, for people.

    Args:
        at: wall-clock seconds.
        old: level left.
        new: level entered.
        reason: why.
    """

    at: float
    old: BudgetLevel
    new: BudgetLevel
    reason: str


@attrs.frozen(kw_only=True)
class BudgetSnapshot:
    """Everything there is to see of a budget, at one moment.

    Args:
        name: of the budget.
        at: wall-clock seconds.
        level: where it stands.
        since: seconds it has stood there.
        reason: why.
        cpu: smoothed percent, or ``None`` where it is not known.
        memory: the same.
        usage: the last reading, or ``None`` before the first.
        peaks: highest reading so far, by resource; ``None`` where there was none.
        changes: level changes so far.
        spent: seconds in each level so far.
        history: the last 100 level changes, oldest first.
        waiting: pieces of work that wait now.
        work: what became of the work so far, by criticality.
        engaged: responses engaged now.
        problems: responses whose last step failed, and what they raised; and what could not be read or written.
        deeds: what responses did, the last 100, oldest first.
        protected: names that are never touched.
        config: the limits.
    """

    name: str
    at: float
    level: BudgetLevel
    since: float
    reason: str
    cpu: float | None
    memory: float | None
    usage: Usage | None
    peaks: Mapping[str, float | None]
    changes: int
    spent: Mapping[str, float]
    history: tuple[LevelChange, ...]
    waiting: int
    work: Mapping[str, Tally]
    engaged: tuple[str, ...]
    problems: Mapping[str, str]
    deeds: tuple[Deed, ...]
    protected: tuple[str, ...]
    config: BudgetConfig


def as_section(it: BudgetSnapshot) -> dict[str, Any]:
    """The snapshot as a section of a status report: plain data, durations in whole milliseconds."""
    usage = it.usage
    return {
        "level": it.level.value,
        "since": round(it.since * 1000),
        "reason": it.reason,
        "cpu": _rounded(it.cpu),
        "memory": _rounded(it.memory),
        "cpuSource": usage.cpu_source if usage else None,
        "memorySource": usage.memory_source if usage else None,
        "cpuPressure": usage.cpu_pressure if usage else None,
        "memoryPressure": usage.memory_pressure if usage else None,
        "peaks": {name: _rounded(value) for name, value in it.peaks.items()},
        "levelChanges": it.changes,
        "timeInLevel": {name: round(seconds * 1000) for name, seconds in it.spent.items()},
        "waiting": it.waiting,
        "work": {name: camel_cased(tally, {"longest_wait"}) for name, tally in it.work.items()},
        "engaged": list(it.engaged),
        "problems": dict(it.problems),
    }


def as_markdown(it: BudgetSnapshot) -> str:
    """The snapshot as a report that a person can read."""
    parts = [
        f"# Resource usage of {_cell(it.name)}",
        f"{iso(it.at)}. **{it.level.value}** for {_spoken(it.since)}: {_cell(it.reason)}.",
        "## Now",
        _now(it),
        "## Levels",
        _table(("level", "time"), ((name, _spoken(seconds)) for name, seconds in it.spent.items())),
        _table(
            ("when", "from", "to", "why"),
            ((iso(one.at), one.old.value, one.new.value, one.reason) for one in reversed(it.history)),
            "The level has never changed.",
        ),
        "## What was done",
        f"Engaged now: {', '.join(map(_cell, it.engaged)) or 'nothing'}. "
        f"Never touched: {', '.join(map(_cell, it.protected))}.",
        _table(
            ("when", "response", "step", "what"),
            ((iso(one.at), one.response, one.step, one.error or one.detail) for one in reversed(it.deeds)),
            "Nothing was done.",
        ),
        "## Work",
        _table(
            ("criticality", "admitted", "of these delayed", "refused", "gave up", "longest wait"),
            (
                (name, t.admitted, t.delayed, t.refused, t.left, _spoken(t.longest_wait))
                for name, t in sorted(it.work.items())
            ),
        ),
        f"Waiting now: {it.waiting}.",
    ]
    if it.problems:
        parts += ["## Problems", _table(("where", "what"), it.problems.items())]
    return "\n\n".join(parts) + "\n"


def _now(it: BudgetSnapshot) -> str:
    config, usage = it.config, it.usage or Usage()
    rows: list[tuple[object, ...]] = []
    for name, smoothed, last, source in (
        ("cpu", it.cpu, usage.cpu, usage.cpu_source),
        ("memory", it.memory, usage.memory, usage.memory_source),
    ):
        limits = [getattr(config, f"{name}_{which}") for which in ("enter", "leave", "shed_enter", "shed_leave")]
        slow, shed = f"{limits[0]:g} / {limits[1]:g} %", f"{limits[2]:g} / {limits[3]:g} %"
        rows.append((name, _percent(last), _percent(smoothed), _percent(it.peaks[name]), slow, shed, source))
    head = ("resource", "last", "smoothed", "peak", "SLOW enter / leave", "SHED enter / leave", "share of")
    told = [_table(head, rows)]
    if usage.memory_used is not None and usage.memory_limit:
        told.append(f"Memory: {usage.memory_used / 2**20:,.0f} of {usage.memory_limit / 2**20:,.0f} MiB.")
    if usage.cpu_pressure is not None:
        told.append(f"Some work waited for a CPU {usage.cpu_pressure:g} % of the last 10 s.")
    if usage.memory_pressure is not None:
        told.append(f"Some work waited for memory {usage.memory_pressure:g} % of the last 10 s.")
    return "\n\n".join(told)


def write_report(path: Path, text: str) -> None:
    """Write a report for all to read, whole or not at all.

    Raises:
        StateError: if it cannot be written; the old one is still there.
    """
    try:
        replace_file(path, text.encode(), mode=0o644, sync="content")
    except OSError as error:
        raise StateError(str(path.parent), path.name, error.strerror or str(error)) from error


def iso(at: float) -> str:
    """Wall-clock seconds as UTC, to the second."""
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _table(head: Iterable[str], rows: Iterable[Iterable[object]], otherwise: str = "") -> str:
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    if not lines and otherwise:
        return otherwise
    names = list(head)
    return "\n".join(["| " + " | ".join(names) + " |", "|" + "---|" * len(names), *lines])


def _cell(value: object) -> str:
    """Text that cannot break out of a table or begin markup of its own."""
    return " ".join(str(value).split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _percent(value: float | None) -> str:
    return "not known" if value is None else f"{value:.0f} %"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _spoken(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"

"""The status as Markdown, for a person who was just woken up: what is wrong, what to do, then the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from selfheal.status.shape import OWN_KEYS
from selfheal.status.words import spoken

_SIGNS: Final = {"healthy": "✅", "warning": "⚠️", "critical": "🛑"}
_NEVER: Final = "-"


def as_markdown(report: Mapping[str, Any]) -> str:
    """Render a report (as :meth:`~selfheal.status.StatusReport.as_dict` makes it) as Markdown."""
    parts = [
        f"# {_SIGNS.get(report['status'], '')} Status: {report['status'].upper()}\n\nAs of {report['timestamp']}.",
        _bullets("## What is the matter", report["issues"], "Nothing is the matter."),
        _bullets("## What to do", report["recommendations"], ""),
        _dormancy(report["dormancy"]),
        _self_healing(report["selfHealing"], report["healing"]),
        _breakers(report["circuitBreakers"], report["circuitBreakerDetails"]),
        _tasks(report["backgroundTasks"], report["backgroundTaskDetails"]),
        _flags(report["flags"]),
        _tree_of("## Limits", report["limits"]),
        *(_tree_of(f"## {_inline(name)}", shown) for name, shown in report.items() if name not in OWN_KEYS),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _dormancy(dormancy: Mapping[str, Any]) -> str:
    if not dormancy["isDormant"]:
        return ""
    rows = [
        ("reason", dormancy["reason"]),
        ("since", f"{dormancy['since']} ({_ms(dormancy['dormantFor'])} ago)"),
        ("triggered by", dormancy["triggeredBy"]),
        ("resume when", "; ".join(dormancy["resumeConditions"]) or "the cause is fixed"),
    ]
    calls = "\n".join(f"    {call}" for call in dormancy["resumeCall"].values())
    return f"## Dormant\n\n{_table(('what', 'value'), rows)}\n\nResume with one of:\n\n{calls}"


def _self_healing(healing: Mapping[str, Any], further: Mapping[str, Any]) -> str:
    rows: list[tuple[str, object]] = [
        ("enabled", healing["enabled"]),
        ("dormant", healing["isDormant"]),
        ("failures in a row", healing["consecutiveFailures"]),
        ("backoff", _ms(healing["backoffDelay"])),
        ("attempts", healing["totalAttempts"]),
        ("healed", healing["successfulHealings"]),
        ("failed", healing["failedHealings"]),
    ]
    if further:
        refused = ", ".join(f"{guard} {count}" for guard, count in further["refused"].items())
        rows += [
            ("next attempt in", _ms(further["retryIn"])),
            ("settling after a clock jump", _ms(further["settling"])),
            ("waiting", further["pending"]),
            ("refused by", refused or "no guard"),
        ]
    return f"## Self-healing\n\n{_table(('what', 'value'), rows)}"


def _breakers(breakers: Sequence[Mapping[str, Any]], details: Mapping[str, Mapping[str, Any]]) -> str:
    if not breakers:
        return "## Circuit breakers\n\nNone."
    rows = []
    for one in breakers:
        more = details.get(one["name"], {})
        why = one["permanentOpenReason"] or more.get("reason") or ""
        last = one["lastFailureAgo"]
        ago = _NEVER if last is None else f"{_ms(last)} ago"
        rows.append((one["name"], one["state"], one["failureCount"], ago, _ms(more.get("retryAfter")), why))
    return "## Circuit breakers\n\n" + _table(
        ("name", "state", "failures in a row", "last failure", "tries again in", "why"), rows
    )


def _tasks(tasks: Mapping[str, Any], details: Mapping[str, Mapping[str, Any]]) -> str:
    head = f"## Background tasks\n\n{tasks['totalTasks']} registered, {tasks['activeTasks']} active."
    if not tasks["tasks"]:
        return head
    rows = [
        (
            one["id"],
            one["type"],
            "on" if one["enabled"] else "paused",
            one["executionCount"],
            one["failureCount"],
            _ms(one["lastDuration"]),
            _ms(details.get(one["id"], {}).get("nextIn")),
            one["lastError"] or "",
        )
        for one in tasks["tasks"]
    ]
    columns = ("id", "type", "state", "runs", "failures", "last took", "next in", "last error")
    return f"{head}\n\n{_table(columns, rows)}"


def _flags(flags: Mapping[str, Mapping[str, Any]]) -> str:
    if not flags:
        return ""
    rows = [(name, "on" if one["value"] else "off", one["origin"], one["problem"] or "") for name, one in flags.items()]
    return "## Flags\n\n" + _table(("flag", "value", "from", "problem"), rows)


def _bullets(title: str, lines: Sequence[str], otherwise: str) -> str:
    if not lines:
        return f"{title}\n\n{otherwise}" if otherwise else ""
    return f"{title}\n\n" + "\n".join(f"- {_inline(line)}" for line in lines)


def _tree_of(title: str, shown: object) -> str:
    return f"{title}\n\n" + "\n".join(_tree(shown, 0)) if shown else ""


def _tree(shown: object, depth: int) -> Iterable[str]:
    pairs: Iterable[tuple[str, object]]
    if isinstance(shown, Mapping):
        pairs = ((f"{_inline(str(name))}:", value) for name, value in shown.items())
    elif isinstance(shown, list):
        pairs = ((f"{index}.", value) for index, value in enumerate(shown, 1))
    else:
        yield f"- {_inline(_said(shown))}"
        return
    for label, value in pairs:
        nested = isinstance(value, Mapping | list) and bool(value)
        yield "  " * depth + f"- {label}" + ("" if nested else f" {_inline(_said(value))}")
        if nested:
            yield from _tree(value, depth + 1)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(_inline(_said(cell)) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _NEVER if value is None or value in ([], {}) else str(value)


def _inline(text: str) -> str:
    """Text on one line that cannot break out of its cell, its list or into markup."""
    one_line = " ".join(text.split())
    for sign in ("\\", "|", "<", "`"):
        one_line = one_line.replace(sign, {"<": "&lt;"}.get(sign, f"\\{sign}"))
    return one_line.replace("](", "]\\(")


def _ms(milliseconds: int | None) -> str:
    return spoken(None if milliseconds is None else milliseconds / 1000)

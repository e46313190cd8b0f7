"""A report for a person who was just woken up."""

from __future__ import annotations

import datetime
import math
import zoneinfo
from collections.abc import Iterable, Iterator

from selfheal.detection.monitor.reporting import Coverage, Measured, Report
from selfheal.detection.monitor.telling import Told
from selfheal.redaction import scrub

MOST_ROWS = 50
_SPECIAL = str.maketrans({character: "\\" + character for character in "\\`*_[]<>|#"})


def as_markdown(report: Report) -> str:
    """The report as Markdown: what is wrong first, and what may be wrong with the report itself last."""
    return "\n".join([*_head(report), *_wrong(report), *_quiet_ones(report), *_recent(report), *_data(report)]) + "\n"


def _head(report: Report) -> Iterator[str]:
    snapshot, wrong = report.snapshot, report.wrong
    if wrong:
        critical = sum(told.incident.severity.value == "critical" for told in wrong)
        yield f"# {_count(len(wrong), 'thing')} wrong" + (f", {critical} critical" if critical else "")
    else:
        yield "# Nothing known is wrong"
    yield ""
    ran = "never" if math.isnan(snapshot.detected_at) else f"{_ago(report.made - snapshot.detected_at)} ago"
    yield f"{_clock(report, report.made)} · detection is {'on' if snapshot.enabled else '**OFF**'} · learners ran {ran}"
    yield ""
    if not snapshot.enabled:
        yield "**Detection is switched off: what begins now is not seen, and what is shown may be over.**\n"
    if not snapshot.samples and not report.coverage:
        yield "**Nothing has been measured: there is nothing that this report could know of.**\n"
    yield from (f"**Problem: {_text(problem)}**\n" for problem in snapshot.problems)


def _wrong(report: Report) -> Iterator[str]:
    if not report.wrong:
        return
    yield from _table(
        ("", "what", "where", "since", "now", "usual"),
        (
            (
                f"**{told.incident.severity.value}**",
                _text(told.incident.signal.kind),
                _text(told.incident.signal.target or "the machine"),
                f"{_ago(report.made - told.incident.since)} ago",
                *_now(report.measured.get(told.incident.fingerprint)),
            )
            for told in report.wrong[:MOST_ROWS]
        ),
    )
    for n, told in enumerate(report.wrong[:MOST_ROWS], start=1):
        yield from _one(report, n, told)
    if len(report.wrong) > MOST_ROWS:
        yield f"… and {len(report.wrong) - MOST_ROWS} more.\n"


def _one(report: Report, n: int, told: Told) -> Iterator[str]:
    incident, signal = told.incident, told.incident.signal
    place = _text(signal.target or "the machine")
    yield f"## {n}. {_text(signal.kind)} on {place} ({incident.severity.value})"
    yield ""
    yield _text(signal.message)
    yield ""
    yield f"- since {_clock(report, incident.since)}, {_ago(report.made - incident.since)} ago"
    yield f"- said by {_text(signal.source)}" + (f", metric {_text(signal.metric)}" if signal.metric else "")
    if incident.restored:
        yield "- known from before a restart; not seen again so far"
    if incident.flapping:
        state = "it is back now" if incident.live else "it is quiet now"
        held = f"stays raised until quiet for {_ago(report.held_for)}"
        yield f"- **flapping**: began {_count(incident.times, 'time')} so far; {state}; {held}"
    contributed = [text for key, text in signal.evidence.items() if key.startswith("contributed_")]
    yield from (f"- contributed: {_text(text)}" for text in contributed)
    rest = [(key, text) for key, text in signal.evidence.items() if not key.startswith("contributed_") and text]
    if rest:
        yield "- evidence: " + ", ".join(f"{_text(key)} {_text(text)}" for key, text in rest)
    yield from (f"- also seen by {_text(one.source)}: {_text(one.message)}" for one in incident.beside)
    yield ""
    if incident.fingerprint in report.plots:
        yield f"![{_text(signal.kind)} on {place}]({report.plots[incident.fingerprint]})\n"


def _quiet_ones(report: Report) -> Iterator[str]:
    silenced = report.snapshot.silenced
    if silenced:
        yield "## Silenced: nobody was told\n"
        yield from _table(
            ("severity", "what", "where", "since", "why it is silenced"),
            (
                (
                    told.incident.severity.value,
                    _text(told.incident.signal.kind),
                    _text(told.incident.signal.target or "the machine"),
                    f"{_ago(report.made - told.incident.since)} ago",
                    _text(told.silenced),
                )
                for told in silenced[:MOST_ROWS]
            ),
        )
    flapping = [told for told in report.snapshot.flapping if not told.silenced]
    if flapping:
        named = (f"{_text(one.incident.signal.kind)} on {_text(one.incident.signal.target)}" for one in flapping)
        yield f"Flapping: {', '.join(named)}.\n"


def _recent(report: Report) -> Iterator[str]:
    if not report.recent:
        return
    yield "## Over in the last 24 hours\n"
    yield from _table(
        ("what", "where", "lasted", "over", "why"),
        (
            (
                _text(past.told.incident.signal.kind) + (" (silenced)" if past.told.silenced else ""),
                _text(past.told.incident.signal.target or "the machine"),
                _ago(past.cleared - past.told.incident.since),
                f"{_ago(report.made - past.cleared)} ago",
                _text(past.why),
            )
            for past in report.recent[:MOST_ROWS]
        ),
    )


def _data(report: Report) -> Iterator[str]:
    snapshot, learning = report.snapshot, report.learning
    yield "## What is known, and what is not\n"
    learnt = len(snapshot.learning) - len(learning)
    yield f"- {_count(learnt, 'series', 'series')} learnt; {len(learning)} still learning, and not able to alarm yet"
    yield f"- {snapshot.series} of at most {snapshot.max_series} series kept; {snapshot.samples} values taken"
    yield f"- {len(snapshot.open)} of at most {snapshot.max_open} alerts open; {snapshot.waiting} signals part of none"
    if snapshot.dropped:
        yield f"- **{snapshot.dropped} were dropped for want of room**"
    if snapshot.unwritten:
        yield f"- **{_count(snapshot.unwritten, 'entry', 'entries')} could not be written to the log**"
    yield ""
    if learning:
        yield "### Still learning\n"
        yield from _table(
            ("learner", "metric", "where", "since", "steps"),
            (
                (
                    _text(one.learner),
                    _text(one.metric),
                    _text(one.target),
                    "" if math.isnan(one.since) else _clock(report, one.since),
                    str(one.steps),
                )
                for one in learning[:MOST_ROWS]
            ),
        )
    if report.coverage:
        yield "### Coverage of data, the least complete first\n"
        yield from _table(
            ("metric", "where", "last day", "all that is kept", "since", ""),
            (_covered(report, one) for one in report.coverage[:MOST_ROWS]),
        )
        if len(report.coverage) > MOST_ROWS:
            yield f"… and {len(report.coverage) - MOST_ROWS} more, which are more complete.\n"


def _covered(report: Report, one: Coverage) -> tuple[str, ...]:
    silent = f"**silent for {_ago(report.made - one.last)}**" if one.silent else ""
    since = _clock(report, one.first)
    return _text(one.metric), _text(one.target), f"{100 * one.day:.0f} %", f"{100 * one.kept:.0f} %", since, silent


def _now(measured: Measured | None) -> tuple[str, str]:
    if measured is None:
        return "", ""
    now = "no value" if math.isnan(measured.value) else f"{measured.value:.4g}"
    known = not math.isnan(measured.mean)
    return now, f"{measured.mean:.4g} ± {measured.spread:.2g}" if known else "not known"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _text(text: str) -> str:
    """Text of a host as text of a report: one line, without secrets, and nothing of it is Markdown."""
    line = " ".join(scrub(text[:1000]).split())
    return line[:500].translate(_SPECIAL)


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"


def _clock(report: Report, t: float) -> str:
    local = datetime.datetime.fromtimestamp(t, zoneinfo.ZoneInfo(report.zone))
    return f"{local:%Y-%m-%d %H:%M} {local.tzname()}"


def _ago(seconds: float) -> str:
    seconds = max(seconds, 0.0)
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    if seconds < 7200.0:
        return f"{seconds / 60.0:.0f} min"
    return f"{seconds / 3600.0:.1f} h" if seconds < 172_800.0 else f"{seconds / 86_400.0:.1f} days"

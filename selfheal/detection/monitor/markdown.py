"""A report for a person who was just woken up."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Iterator, Mapping

from selfheal.detection.monitor.amounts import amount
from selfheal.detection.monitor.reporting import Coverage, Measured, Report
from selfheal.detection.monitor.telling import Told
from selfheal.redaction import scrub
from selfheal.zones import zone_of

MOST_ROWS = 50
_SPECIAL = re.compile(
    r"""
      [\\`*\[\]<>|\#&~]             # emphasis, links, HTML, tables, entities
    | (?<![^\W_])_ | _(?![^\W_])     # an underscore inside a word is nothing special
    | (?<=:)/(?=/) | (?<=www)\. | @  # addresses that some readers make links of
    | ^[-+=]                         # lists and lines, at the beginning
    """,
    re.VERBOSE,
)
_NUMBERED = re.compile(r"^(\d+)([.)])(?=\s|$)")
_JOINER = "\u200d"


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
    ran = (snapshot.ticked_at, snapshot.detected_at)
    rules, learners = ("never" if math.isnan(at) else f"{_ago(report.made - at)} ago" for at in ran)
    on = "on" if snapshot.enabled else "**OFF**"
    yield f"{_clock(report, report.made)} · detection is {on} · rules ran {rules}, learners {learners}"
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
        ("", "what", "where", "since", "metric", "now", "usual"),
        (
            (
                f"**{told.incident.severity.value}**",
                *_what_and_where(told),
                f"{_ago(report.made - told.incident.since)} ago",
                *_now(told, report.measured.get(told.incident.fingerprint)),
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
    yield f"## {n}. {_text(signal.title)} ({incident.severity.value})"
    yield ""
    yield _text(signal.message)
    yield ""
    yield f"- since {_clock(report, incident.since)}, {_ago(report.made - incident.since)} ago"
    yield f"- found by {'learner ' if signal.learnt else ''}{_text(signal.source)}"
    if incident.restored:
        yield "- known from before a restart; not seen again so far"
    if incident.flapping:
        state = "it is back now" if incident.live else "it is quiet now"
        held = f"stays raised until quiet for {_ago(report.held_for)}"
        yield f"- **flapping**: began {_count(incident.times, 'time')} so far; {state}; {held}"
    yield from _contributed(signal.evidence)
    rest = [(key, text) for key, text in signal.evidence.items() if not key.startswith("contributed_") and text]
    if rest:
        yield "- evidence: " + ", ".join(f"{_text(key)} {_text(text)}" for key, text in rest)
    yield from (f"- also seen by {_text(one.source)}: {_text(one.message)}" for one in incident.beside)
    yield ""
    if incident.fingerprint in report.plots:
        yield f"![{_text(signal.title)}]({report.plots[incident.fingerprint]})\n"


def _contributed(evidence: Mapping[str, str]) -> Iterator[str]:
    """What contributed, each metric once with all that is said of it."""
    found: dict[str, list[str]] = {}
    for key, text in evidence.items():
        if key.startswith("contributed_"):
            metric, _, why = text.partition("; ")
            found.setdefault(metric, []).append(why)
    for metric, whys in found.items():
        yield f"- contributed: {_text(metric)}" + "".join(f"; {_text(why)}" for why in whys if why)


def _quiet_ones(report: Report) -> Iterator[str]:
    silenced = report.snapshot.silenced
    if silenced:
        yield "## Silenced: nobody was told\n"
        yield from _table(
            ("severity", "what", "where", "metric", "since", "why it is silenced"),
            (
                (
                    told.incident.severity.value,
                    *_what_and_where(told),
                    _text(told.incident.signal.metric),
                    f"{_ago(report.made - told.incident.since)} ago",
                    _text(told.silenced),
                )
                for told in silenced[:MOST_ROWS]
            ),
        )
    flapping = [told for told in report.snapshot.flapping if not told.silenced]
    if flapping:
        yield f"Flapping: {', '.join(_text(one.incident.signal.title) for one in flapping)}.\n"


def _recent(report: Report) -> Iterator[str]:
    if not report.recent:
        return
    yield "## Over in the last 24 hours\n"
    yield from _table(
        ("what", "where", "metric", "lasted", "over", "why"),
        (
            (
                _text(past.told.incident.signal.kind) + (" (silenced)" if past.told.silenced else ""),
                _place(past.told.incident.signal.target),
                _text(past.told.incident.signal.metric),
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
    unable = f"; **{len(learning)} still learning, and not able to alarm yet**" if learning else ""
    yield f"- {_count(learnt, 'series', 'series')} learnt{unable}"
    yield f"- {snapshot.series} of at most {snapshot.max_series} series kept; {snapshot.samples} values taken"
    yield f"- {len(snapshot.open)} of at most {snapshot.max_open} alerts open"
    if snapshot.waiting:
        yield f"- {_count(snapshot.waiting, 'signal')} part of none: late views of what is over, or without room"
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
                    _place(one.target),
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
    shares = (f"{math.floor(100 * share)} %" for share in (one.day, one.kept))  # 100 where all is there
    return _text(one.metric), _place(one.target), *shares, _clock(report, one.first), silent


def _what_and_where(told: Told) -> tuple[str, str]:
    signal = told.incident.signal
    return _text(signal.kind), _place(signal.target)


def _now(told: Told, measured: Measured | None) -> tuple[str, str, str]:
    """Which metric shows it, its value now, and what is usual."""
    signal = told.incident.signal
    if measured is None:
        return _text(signal.metric), "", ""
    metric, target = measured.series
    now = "no value" if math.isnan(measured.value) else amount(metric, measured.value)
    usual = "not known" if math.isnan(measured.mean) else amount(metric, measured.mean)
    if not math.isnan(measured.spread):
        usual += f" ± {amount(metric, measured.spread, 2)}"
    return _text(metric if target == signal.target else f"{metric} of {target or 'the machine'}"), now, usual


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _place(target: str) -> str:
    return _text(target or "the machine")


def _text(text: str) -> str:
    """Text of a host as text of a report: one line, without secrets, and nothing of it is Markdown or moves others."""
    line = " ".join(scrub(text[:1000]).split())
    line = line[:499] + "…" if len(line) > 500 else line
    line = "".join(one if one.isprintable() or one == _JOINER else "\ufffd" for one in line)
    return _NUMBERED.sub(r"\1\\\2", _SPECIAL.sub(r"\\\g<0>", line))


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"


def _clock(report: Report, t: float) -> str:
    local = datetime.datetime.fromtimestamp(t, zone_of(report.zone))
    return f"{local:%Y-%m-%d %H:%M} {local.tzname()}"


def _ago(seconds: float) -> str:
    seconds = max(seconds, 0.0)
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    if seconds < 7200.0:
        return f"{seconds / 60.0:.0f} min"
    return f"{seconds / 3600.0:.1f} h" if seconds < 172_800.0 else f"{seconds / 86_400.0:.1f} days"

"""What a rule or a learnt detector says is the matter, in one form for both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import attrs

from selfheal.conditions import metrics_of
from selfheal.detection.monitor.amounts import amount, chance
from selfheal.detection.rules.findings import Finding
from selfheal.detection.rules.specs import LatencyRule, RuleSpec
from selfheal.detection.verdict import Reason, Verdict
from selfheal.events import Severity

Series = tuple[str, str]
"""A metric, and what it is measured on."""
Key = tuple[str, str]
"""Who says it, and the fingerprint of what is said."""

ANOMALY = "anomaly"
"""Kind of whatever differs from the learnt past."""
MOST_CONTRIBUTIONS = 5
_WEIGHS = 0.5
"""A metric is what an anomaly is about if it contributed at least so much of what the first one did."""
_RANKS = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


def rank(severity: Severity) -> int:
    """How bad: 0 to 2."""
    return _RANKS[severity]


def _copied(evidence: Mapping[str, str]) -> Mapping[str, str]:
    return dict(evidence)


@attrs.frozen(kw_only=True)
class Signal:
    """Something that is the matter, as one source says it.

    Args:
        source: who says it: ``"rule cpu_spike"``, ``"series"``.
        kind: what is the matter.
        target: with what.
        metric: that showed it, or empty.
        value: that showed it; ``nan`` where there is none.
        severity: of the alert.
        since: wall seconds at which it began.
        message: for people.
        evidence: what it is judged by.
        covers: the series it is about.
        learnt: whether it was told by what was learnt, and not by a rule that a person wrote down.
        fresh: whether the latest values alone show it; if not, it goes on for what was before them.
        expected: what the metric that contributed most was expected to be; ``nan`` where nobody told.
    """

    source: str
    kind: str
    target: str = ""
    metric: str = ""
    value: float = float("nan")
    severity: Severity = Severity.WARNING
    since: float
    message: str = ""
    evidence: Mapping[str, str] = attrs.field(factory=dict, converter=_copied)
    covers: frozenset[Series] = frozenset()
    learnt: bool = False
    fresh: bool = True
    expected: float = float("nan")

    @property
    def fingerprint(self) -> str:
        """What makes two signals the same incident."""
        return f"{self.kind}|{self.target}|{self.metric}"

    @property
    def title(self) -> str:
        """What is the matter, with what, and which metric shows it."""
        return f"{self.kind} on {self.target or 'the machine'}" + (f": {self.metric}" if self.metric else "")

    @property
    def key(self) -> Key:
        """What makes two signals the same one."""
        return (self.source, self.fingerprint)


@attrs.frozen(kw_only=True)
class Ended:
    """A signal that is over.

    Args:
        key: which one.
        message: why, for people.
    """

    key: Key
    message: str = ""


class RuleSignals:
    """Makes signals of what rules find.

    Args:
        rules: their settings, by which it is known which series a finding is about.
    """

    def __init__(self, rules: Iterable[RuleSpec]) -> None:
        self._metrics = {rule.name: _metrics(rule) for rule in rules}

    def of(self, finding: Finding) -> Signal | Ended:
        """The same as a signal, or the end of one."""
        source = f"rule {finding.rule}"
        if not finding.raised:
            return Ended(key=(source, finding.fingerprint), message=finding.message)
        return Signal(
            source=source,
            kind=finding.kind,
            target=finding.target,
            metric=finding.metric,
            value=finding.value,
            severity=finding.severity,
            since=finding.since,
            message=finding.message,
            evidence={"rule": finding.rule, **finding.evidence},
            covers=frozenset(self._covers(finding)),
        )

    def _covers(self, finding: Finding) -> Iterable[Series]:
        targets = {finding.target, finding.evidence.get("measured_on", finding.target)}
        metrics = {finding.metric, finding.evidence.get("shown_by", ""), *self._metrics.get(finding.rule, ())}
        return ((metric, target) for metric in metrics if metric for target in targets)


def _metrics(rule: RuleSpec) -> frozenset[str]:
    """The metrics that a rule looks at on one target."""
    condition = getattr(rule, "condition", None)
    found = frozenset[str]() if condition is None else frozenset(metrics_of(condition))
    return found | {rule.metric} if isinstance(rule, LatencyRule) else found


def told(reasons: Iterable[Reason]) -> dict[str, str]:
    """What contributed to a verdict, as evidence, the most first."""
    found = {}
    for n, reason in enumerate(tuple(reasons)[:MOST_CONTRIBUTIONS], start=1):
        measured, usual = (amount(reason.metric, value) for value in (reason.value, reason.expected))
        found[f"contributed_{n}"] = f"{reason.metric}: {measured}, usual is {usual}; {reason.why}"
    return found


def about(reasons: tuple[Reason, ...]) -> frozenset[str]:
    """The metrics that contributed at least half of what the first one did."""
    return frozenset(reason.metric for reason in reasons if reason.score >= _WEIGHS * reasons[0].score)


def anomaly(
    source: str,
    series: Series,
    verdict: Verdict,
    since: float,
    *,
    value: float,
    severity: Severity,
    covers: frozenset[Series],
    fresh: bool = True,
) -> Signal:
    """A signal of a verdict that alarms."""
    metric, target = series
    first = verdict.reasons[0] if verdict.reasons else None
    why = "it differs from what was learnt"
    if first is not None:
        measured, usual = (amount(first.metric, value) for value in (first.value, first.expected))
        why = f"{first.metric} is {measured}, usual is {usual}: {first.why}"
    return Signal(
        source=source,
        kind=ANOMALY,
        target=target,
        metric=metric,
        value=value,
        severity=severity,
        since=since,
        message=f"unusual: {why} (chance {chance(verdict.score)})",
        evidence={"score": f"{verdict.score:.3g}", **told(verdict.reasons)},
        covers=covers,
        learnt=True,
        fresh=fresh,
        expected=math.nan if first is None else first.expected,
    )

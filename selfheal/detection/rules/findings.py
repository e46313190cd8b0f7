"""What a rule found: something began to be the matter, or ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Required, TypedDict, Unpack

import attrs

from selfheal.events import Alert, AlertCleared, Severity


def _copied(evidence: Mapping[str, str]) -> Mapping[str, str]:
    return dict(evidence)


@attrs.frozen(kw_only=True)
class Finding:
    """A rule was broken by a target, or is kept again.

    Args:
        rule: name of the rule.
        kind: what is the matter (``"cpu_spike"``); the ``kind`` of the alert.
        target: with what.
        metric: that showed it, or empty.
        value: that showed it; ``nan`` where there is none.
        severity: of the alert.
        raised: whether it began; ``False``: it ended.
        since: wall seconds at which it was raised.
        t: wall seconds of now.
        message: for people.
        evidence: what it is judged by, text to text.
    """

    rule: str
    kind: str
    target: str
    metric: str = ""
    value: float = float("nan")
    severity: Severity = Severity.WARNING
    raised: bool = True
    since: float
    t: float
    message: str = ""
    evidence: Mapping[str, str] = attrs.field(factory=dict, converter=_copied)

    @property
    def fingerprint(self) -> str:
        """What makes two findings the same problem."""
        return f"{self.kind}|{self.target}|{self.metric}"

    def event(self) -> Alert | AlertCleared:
        """The same as an event for the bus."""
        if not self.raised:
            return AlertCleared(at=self.t, fingerprint=self.fingerprint)
        return Alert(
            at=self.t,
            kind=self.kind,
            target=self.target,
            metric=self.metric,
            value=self.value,
            severity=self.severity,
            fingerprint=self.fingerprint,
            message=self.message,
            labels={"rule": self.rule, **self.evidence},
        )


class Known(TypedDict, total=False):
    """What of a finding depends on the rule."""

    target: Required[str]
    metric: str
    value: float
    message: str
    evidence: Mapping[str, str]


class OpenFindings:
    """What is open of one rule, by any key: each begins once and ends once.

    Args:
        rule: name of the rule.
        kind: of its findings.
    """

    def __init__(self, rule: str, kind: str) -> None:
        self._rule = rule
        self._kind = kind
        self._open: dict[object, Finding] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._open

    @property
    def all(self) -> tuple[Finding, ...]:
        """Each as it was raised, oldest first."""
        return tuple(self._open.values())

    def get(self, key: object) -> Finding | None:
        """What is open under a key."""
        return self._open.get(key)

    def begin(self, key: object, t: float, severity: Severity, **known: Unpack[Known]) -> list[Finding]:
        """Something is the matter: one finding, unless it is open already."""
        if key in self._open:
            return []
        made = Finding(rule=self._rule, kind=self._kind, since=t, t=t, severity=severity, **known)
        self._open[key] = made
        return [made]

    def end(self, key: object, t: float, message: str) -> list[Finding]:
        """It is over: one finding, if it was open."""
        was = self._open.pop(key, None)
        return [] if was is None else [attrs.evolve(was, raised=False, t=t, message=message)]

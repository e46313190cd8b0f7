"""While the cause is being dealt with, its consequences are left alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from selfheal.errors import ConfigError
from selfheal.events import Alert
from selfheal.policies.matching import AlertMatch
from selfheal.validators import name

MOST_RULES = 100
_OWN = ("kind", "target", "metric")


def _texts(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, tuple) or not all(isinstance(text, str) and text.strip() for text in value):
        raise ConfigError(f"InhibitionRule.{field.name}", value, "a list of names of labels", "()")


def _side(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, AlertMatch) or value.strategy is not None:
        raise ConfigError(f"InhibitionRule.{field.name}", value, "about kind, target or labels, and not strategy")


def _listed(given: Any) -> Any:
    return given if isinstance(given, str) else tuple(given)


@attrs.frozen(kw_only=True)
class InhibitionRule:
    """While a source alert is open, target alerts are not answered.

    An alert that is a source of the rule itself is never kept back by it.

    Args:
        name: what people call it.
        source: which open alerts keep others back; it has to say something.
        target: which alerts they keep back.
        equal: what both must have, and have the same: names of labels, or ``kind``, ``target``, ``metric`` for what
            the alert itself has. A label that one of them lacks is not the same.

    Raises:
        ConfigError: if a value is not accepted.
    """

    name: str = attrs.field(validator=name)
    source: AlertMatch = attrs.field(validator=_side)
    target: AlertMatch = attrs.field(validator=_side)
    equal: tuple[str, ...] = attrs.field(default=(), converter=_listed, validator=_texts)

    def __attrs_post_init__(self) -> None:
        if self.source.is_empty:
            raise ConfigError("InhibitionRule.source", "any alert", "about something: kind, target or labels")

    def inhibits(self, source: Alert, alert: Alert) -> bool:
        """Whether an open ``source`` keeps ``alert`` back."""
        return (
            source.fingerprint != alert.fingerprint
            and self.source.matches(source)
            and self.target.matches(alert)
            and not self.source.matches(alert)
            and all(_same(key, source, alert) for key in self.equal)
        )


def _same(key: str, one: Alert, other: Alert) -> bool:
    if key in _OWN:
        return bool(getattr(one, key) == getattr(other, key))
    return key in one.labels and one.labels[key] == other.labels.get(key)


def _rules(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, tuple) or len(value) > MOST_RULES or not all(isinstance(r, InhibitionRule) for r in value):
        raise ConfigError("Inhibition.rules", value, f"a list of at most {MOST_RULES} rules", "()")
    names = [rule.name for rule in value]
    if len(set(names)) < len(names):
        raise ConfigError("Inhibition.rules", names, "each with a name of its own", "()")
    ring = _ring(value)
    if ring:
        raise ConfigError("Inhibition.rules", " -> ".join(ring), "without rules that keep one another back in a ring")


def _ring(rules: tuple[InhibitionRule, ...]) -> list[str]:
    """Names of rules of which each may keep a source of the next back, and the last one of the first; else nothing."""
    after = {
        rule.name: [other.name for other in rules if other is not rule and rule.target.overlaps(other.source)]
        for rule in rules
    }
    done: set[str] = set()

    def visit(here: str, trail: list[str]) -> list[str]:
        if here in trail:
            return [*trail[trail.index(here) :], here]
        if here in done:
            return []
        for there in after[here]:
            found = visit(there, [*trail, here])
            if found:
                return found
        done.add(here)
        return []

    return next((found for rule in rules if (found := visit(rule.name, []))), [])


@attrs.frozen(kw_only=True)
class Inhibition:
    """All inhibition rules.

    Rules that could keep one another's sources back in a ring are refused. Therefore, of any set of open alerts, at
    least one is not kept back: nothing waits for ever.

    Args:
        rules: at most 100, each with a name of its own.

    Raises:
        ConfigError: if a rule is no rule, or rules form a ring.

    >>> host_down = InhibitionRule(
    ...     name="host", source=AlertMatch(kind="host_down"), target=AlertMatch(kind="slow"), equal=["zone"]
    ... )
    >>> down = Alert(kind="host_down", target="h1", labels={"zone": "a"})
    >>> Inhibition(rules=[host_down]).check(Alert(kind="slow", target="web", labels={"zone": "a"}), [down])
    "rule 'host': 'host_down' on 'h1' is open"
    """

    rules: tuple[InhibitionRule, ...] = attrs.field(default=(), converter=_listed, validator=_rules)

    def check(self, alert: Alert, open_alerts: Iterable[Alert]) -> str | None:
        """Why an alert is not answered while others are open; ``None`` if it may be.

        Args:
            alert: the one to be answered; it may be among the others.
            open_alerts: all that are open.
        """
        rules = [rule for rule in self.rules if rule.target.matches(alert)]
        if not rules:
            return None
        for source in open_alerts:
            for rule in rules:
                if rule.inhibits(source, alert):
                    return f"rule {rule.name!r}: {source.kind!r} on {source.target!r} is open"
        return None

    def snapshot(self) -> tuple[dict[str, Any], ...]:
        """The rules, in words."""
        return tuple(
            {"name": r.name, "source": r.source.describe(), "target": r.target.describe(), "equal": list(r.equal)}
            for r in self.rules
        )

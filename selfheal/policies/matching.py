"""Which alerts a silence or a rule is about: equality and lists, no patterns. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from selfheal.errors import ConfigError
from selfheal.events import Alert

Values = str | tuple[str, ...]
"""One text, or several of which one has to be equal."""

_ACCEPTED = "text that is not blank, or a list of 1 to 100 of those"
_MOST = 100


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _label_tuples(value: Any) -> Any:
    return {key: _tuples(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _good(value: object) -> bool:
    texts = value if isinstance(value, tuple) else (value,)
    return 0 < len(texts) <= _MOST and all(isinstance(text, str) and text.strip() for text in texts)


def _values(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not _good(value):
        raise ConfigError(f"AlertMatch.{field.name}", value, f"{_ACCEPTED}, or None", "None")


def _labels(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, Mapping) or len(value) > _MOST:
        raise ConfigError("AlertMatch.labels", value, f"a table of at most {_MOST} labels", "{}")
    for key, item in value.items():
        if not isinstance(key, str) or not _good(item):
            raise ConfigError(f"AlertMatch.labels[{key!r}]", item, _ACCEPTED)


@attrs.frozen(kw_only=True)
class AlertMatch:
    """What an alert has to be. What is not said may be anything; nothing said: any alert.

    Args:
        kind: of the alert; one text, or several of which one has to be equal. Exact in case, no patterns.
        target: of the alert, likewise.
        strategy: that would answer the alert, likewise.
        labels: by name, likewise; an alert without the label is not meant.

    Raises:
        ConfigError: if a value is blank or of another kind.
    """

    kind: Values | None = attrs.field(default=None, converter=_tuples, validator=_values)
    target: Values | None = attrs.field(default=None, converter=_tuples, validator=_values)
    strategy: Values | None = attrs.field(default=None, converter=_tuples, validator=_values)
    labels: Mapping[str, Values] = attrs.field(factory=dict, converter=_label_tuples, validator=_labels)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said, so that any alert is meant."""
        return self.kind is None and self.target is None and self.strategy is None and not self.labels

    def matches(self, alert: Alert, strategy: str = "") -> bool:
        """Whether an alert, answered by ``strategy``, is meant."""
        return (
            _has(self.kind, alert.kind)
            and _has(self.target, alert.target)
            and _has(self.strategy, strategy)
            and all(name in alert.labels and _has(values, alert.labels[name]) for name, values in self.labels.items())
        )

    def overlaps(self, other: AlertMatch) -> bool:
        """Whether there can be an alert that both mean."""
        return (
            _meet(self.kind, other.kind)
            and _meet(self.target, other.target)
            and _meet(self.strategy, other.strategy)
            and all(_meet(values, other.labels.get(name)) for name, values in self.labels.items())
        )

    def describe(self) -> str:
        """In words, for people."""
        said = [
            (name, values)
            for name, values in (("kind", self.kind), ("target", self.target), ("strategy", self.strategy))
            if values is not None
        ]
        said += [(f"label {name}", values) for name, values in sorted(self.labels.items())]
        return ", ".join(f"{name} {' or '.join(map(repr, _each(values)))}" for name, values in said) or "any alert"


def _each(values: Values) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else values


def _has(values: Values | None, value: str) -> bool:
    return values is None or value in _each(values)


def _meet(one: Values | None, other: Values | None) -> bool:
    return one is None or other is None or not set(_each(one)).isdisjoint(_each(other))

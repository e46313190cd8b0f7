"""Field validators for configuration classes: one clear :class:`~selfheal.errors.ConfigError` each.

A message names the class and field, the bound, the value found, and the default.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs

from selfheal.errors import ConfigError

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def _refuse(owner: object, field: attrs.Attribute[Any], accepted: str, found: object) -> ConfigError:
    return ConfigError(f"{type(owner).__name__}.{field.name}", found, accepted, _default_in_words(field.default))


def _default_in_words(default: object) -> str | None:
    if default is attrs.NOTHING or hasattr(default, "takes_self"):  # none, or made anew for each instance
        return None
    return repr(default)


@attrs.frozen
class Between:
    """What :func:`between` makes: accepts numbers within bounds, and can be asked for them.

    Args:
        low: the smallest accepted value.
        high: the largest accepted value.
        unit: written after the bounds.
        optional: whether ``None`` is accepted too.
    """

    low: float
    high: float
    unit: str = ""
    optional: bool = False

    def __call__(self, owner: object, field: attrs.Attribute[Any], value: Any) -> None:
        """Refuse what is out of bounds."""
        if value is None and self.optional:
            return
        kind: tuple[type, ...] = (int,) if isinstance(self.low, int) else (int, float)
        good = isinstance(value, kind) and not isinstance(value, bool)
        if not good or not self.low <= value <= self.high or abs(value) == math.inf:
            raise _refuse(owner, field, self._accepted(), value)

    def _accepted(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        bounds = f"between {self.low} and {self.high}{unit}{' or None' if self.optional else ''}"
        return f"an integer {bounds}" if isinstance(self.low, int) else bounds


def between(low: float, high: float, unit: str = "", *, optional: bool = False) -> Between:
    """Accept a finite number from ``low`` to ``high``, both included; booleans are not numbers.

    Args:
        low: the smallest accepted value. An ``int`` here means that only integers are accepted.
        high: the largest accepted value.
        unit: written after the bounds (``"s"``).
        optional: accept ``None`` too.
    """
    return Between(low, high, unit, optional)


def one_of(*accepted: str) -> Validator:
    """Accept exactly one of these words."""

    def check(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, str) or value not in accepted:
            raise _refuse(owner, field, "one of " + ", ".join(map(repr, accepted)), value)

    return check


def name(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    """Accept text that is not blank and has no control characters."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise _refuse(owner, field, "text that is not blank, without control characters", value)


def a_callable(*, optional: bool = False) -> Validator:
    """Accept something that can be called."""

    def check(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
        if not callable(value) and not (value is None and optional):
            raise _refuse(owner, field, "a callable" + (" or None" if optional else ""), value)

    return check


def boolean(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    """Accept ``True`` or ``False`` and nothing that merely looks like them."""
    if not isinstance(value, bool):
        raise _refuse(owner, field, "True or False", value)


def a_zone(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    """Accept the name of a time zone that this machine knows."""
    from selfheal.zones import zone_of  # only who names a zone pays

    try:
        zone_of(value if isinstance(value, str) else "")
    except ValueError as error:
        raise _refuse(owner, field, "the name of a time zone such as 'Europe/Berlin'", value) from error

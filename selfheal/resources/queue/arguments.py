"""Checks of what a queue's methods are given."""

from __future__ import annotations

from selfheal.errors import ConfigError
from selfheal.resources.criticality import Criticality
from selfheal.resources.queue.options import DEFAULT_PRIORITY, HIGHEST, LOWEST

_LONGEST = 366 * 86_400.0
_MOST = 1_000.0


def check_criticality(where: str, value: object) -> Criticality:
    """The class a word names."""
    if isinstance(value, str):
        for kind in Criticality:
            if value == kind.value:
                return kind
    words = ", ".join(repr(kind.value) for kind in Criticality)
    raise ConfigError(f"criticality of {where}", value, f"one of {words}", "'default'")


def check_priority(where: str, value: object) -> None:
    """Refuse what is no priority."""
    if not isinstance(value, int) or isinstance(value, bool) or not LOWEST <= value <= HIGHEST:
        words = f"an integer from {LOWEST} to {HIGHEST}"
        raise ConfigError(f"priority of {where}", value, words, str(DEFAULT_PRIORITY))


def check_seconds(where: str, value: object) -> None:
    """Refuse what is no number of seconds, 0 to 366 days."""
    if not _is_number(value, 0.0, _LONGEST):
        raise ConfigError(where, value, f"a number of seconds from 0 to {_LONGEST:g}", "0.0")


def check_factor(where: str, value: object) -> None:
    """Refuse what is no factor to slow down by, 1 to 1000."""
    if not _is_number(value, 1.0, _MOST):
        raise ConfigError(where, value, f"a number from 1 to {_MOST:g}", "1.0")


def check_text(where: str, value: object) -> None:
    """Refuse what is no text, or blank."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(where, value, "text that is not blank")


def _is_number(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high

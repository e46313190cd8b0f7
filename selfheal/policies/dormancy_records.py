"""The records of a dormancy, and their stored form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import attrs

from selfheal.errors import ConfigError

Trigger = Literal["automatic", "circuit_breaker", "manual"]
TRIGGERS: tuple[str, ...] = get_args(Trigger)
_VERSION = 1


@attrs.frozen(kw_only=True)
class DormancyRecord:
    """Why, when and by what healing was stopped.

    Args:
        reason: why, for people.
        timestamp: when; wall-clock seconds since 1970 UTC.
        triggered_by: ``"automatic"`` (failure limit), ``"circuit_breaker"`` or ``"manual"`` (a person).
        resume_conditions: what a person should see to before resuming, in words.
        manual_reset_required: always true: nothing but ``resume()`` leaves dormancy.
    """

    reason: str
    timestamp: float
    triggered_by: Trigger
    resume_conditions: tuple[str, ...] = ()
    manual_reset_required: Literal[True] = attrs.field(init=False, default=True)


@attrs.frozen(kw_only=True)
class ResumeRecord:
    """Who ended a dormancy.

    Args:
        reason: what they gave as reason.
        by: who; empty where nobody said.
        timestamp: when; wall-clock seconds since 1970 UTC.
        problems: what went wrong on the way without stopping it: each an ``on_resume`` callable that raised.
    """

    reason: str
    by: str
    timestamp: float
    problems: tuple[str, ...] = ()


def texts(where: str, given: Sequence[str]) -> tuple[str, ...]:
    """Take a sequence of texts, and not one text for a sequence of letters.

    Raises:
        ConfigError: naming ``where``, if it is something else.
    """
    if isinstance(given, str) or not all(isinstance(text, str) for text in given):
        raise ConfigError(where, given, "a sequence of texts")
    return tuple(given)


def to_stored(record: DormancyRecord | None, resumed: ResumeRecord | None) -> dict[str, Any]:
    """Make what the store keeps: the current dormancy, if any, and the last resume, if any."""

    def plain(record: Any) -> dict[str, Any] | None:
        if record is None:
            return None
        return {key: list(value) if isinstance(value, tuple) else value for key, value in attrs.asdict(record).items()}

    return {"version": _VERSION, "dormancy": plain(record), "last_resume": plain(resumed)}


def from_stored(stored: Mapping[str, Any] | None) -> tuple[DormancyRecord | None, ResumeRecord | None]:
    """Read both records back.

    Raises:
        Exception: of whatever kind, if it is anything but what :func:`to_stored` makes.
    """
    if stored is None:
        return None, None
    if stored["version"] != _VERSION:
        raise ValueError(f"version {stored['version']!r} is not {_VERSION}")
    dormancy, resumed = stored["dormancy"], stored["last_resume"]
    return (
        None if dormancy is None else _dormancy(dormancy),
        None if resumed is None else _resumed(resumed),
    )


def _dormancy(stored: Mapping[str, Any]) -> DormancyRecord:
    if stored["triggered_by"] not in TRIGGERS or stored["manual_reset_required"] is not True:
        raise ValueError("it is no dormancy record")
    return DormancyRecord(
        reason=_text(stored["reason"]),
        timestamp=float(stored["timestamp"]),
        triggered_by=stored["triggered_by"],
        resume_conditions=texts("resume_conditions", stored["resume_conditions"]),
    )


def _resumed(stored: Mapping[str, Any]) -> ResumeRecord:
    return ResumeRecord(
        reason=_text(stored["reason"]),
        by=_text(stored["by"]),
        timestamp=float(stored["timestamp"]),
        problems=texts("problems", stored["problems"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value

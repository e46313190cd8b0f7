"""What a monitor knows, in a file that is whole or refused."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import attrs

from selfheal.detection.kept import Kind, read_kept, set_aside, write_kept
from selfheal.detection.monitor.incidents import Incident
from selfheal.detection.monitor.signals import Signal
from selfheal.detection.monitor.telling import Told
from selfheal.errors import ConfigError, StateError
from selfheal.events import Severity

logger = logging.getLogger("selfheal.detection.monitor")

STATE = "detection_state.json"
OPEN = "detection_open.json"
HISTORY = "detection_history.json"
LOG = "detection_events.jsonl"
FORMAT = Kind("selfheal detection", 1, "detection")
OPEN_FORMAT = Kind("selfheal open incidents", 1, "open incidents")
T = TypeVar("T")
_NOT_OURS = (KeyError, TypeError, ValueError, AttributeError, ConfigError)
_TEXTS = ("source", "kind", "target", "metric", "message")


@attrs.frozen(kw_only=True)
class Saved:
    """What a file of an earlier life says.

    Args:
        at: wall seconds at which it was saved.
        next: number of the first step that was not learnt from.
        rules: what rules had learnt.
        learners: what learners had learnt, by name.
        usual: what had been usual in the latest steps.
    """

    at: float
    next: int
    rules: Mapping[str, Any]
    learners: Mapping[str, Any]
    usual: object = ()


def save(directory: Path, state: Saved) -> None:
    """Write what a monitor learnt.

    Raises:
        StateError: if it cannot be written; the old file is still there then.
    """
    write_kept(directory / STATE, FORMAT, attrs.asdict(state, recurse=False))


def save_open(directory: Path, told: Iterable[Told]) -> None:
    """Write what is open.

    Raises:
        StateError: if it cannot be written; the old file is still there then.
    """
    write_kept(directory / OPEN, OPEN_FORMAT, {"open": [_told_data(one) for one in told]})


def load(directory: Path, latest: float) -> tuple[Saved | None, str]:
    """Read what an earlier life learnt; ``None`` if there is nothing, or it is refused: then the reason too.

    A file that was saved later than ``latest`` (wall seconds), by a clock that was ahead, is refused too. A refused
    file is told as an error in the log, and set aside with ``.refused`` at the end of its name.
    """
    return _loaded(directory / STATE, partial(_read, latest), None)


def load_open(directory: Path) -> tuple[tuple[Told, ...], str]:
    """Read what was open at the end of an earlier life, however it ended. A bad file is refused likewise."""
    return _loaded(directory / OPEN, _read_open, ())


def _loaded(file: Path, read: Callable[[Path], T], otherwise: T) -> tuple[T, str]:
    if not os.path.lexists(file):
        return otherwise, ""
    try:
        return read(file), ""
    except StateError as error:
        return otherwise, set_aside(file, error)


def _read(latest: float, file: Path) -> Saved:
    data = read_kept(file, FORMAT)
    try:
        if (
            type(data["next"]) is not int
            or not isinstance(data["learners"], dict)
            or not isinstance(data["rules"], dict)
        ):
            raise TypeError("a part of it is of another type")
        saved = Saved(
            at=float(data["at"]),
            next=data["next"],
            rules=data["rules"],
            learners=data["learners"],
            usual=data["usual"],
        )
    except _NOT_OURS as error:
        raise FORMAT.wrong(file, f"its content is not that of a monitor ({error})") from None
    if saved.at > latest:
        raise FORMAT.ahead(file, saved.at)
    return saved


def _read_open(file: Path) -> tuple[Told, ...]:
    data = read_kept(file, OPEN_FORMAT)
    try:
        return tuple(_told_from(item) for item in data["open"])
    except _NOT_OURS as error:
        raise OPEN_FORMAT.wrong(file, f"its content is not that of a monitor ({error})") from None


def _told_data(told: Told) -> dict[str, Any]:
    incident, signal = told.incident, told.incident.signal
    value = signal.value if abs(signal.value) <= 1e308 else None  # nan and infinite are not JSON
    return {
        **{key: getattr(signal, key) for key in _TEXTS},
        "value": value,
        "severity": signal.severity.value,
        "evidence": dict(signal.evidence),
        "covers": sorted(list(series) for series in signal.covers),
        "learnt": signal.learnt,
        "since": incident.since,
        "flapping": incident.flapping,
        "times": incident.times,
        "silenced": told.silenced,
        "published": told.published,
    }


def _told_from(item: Mapping[str, Any]) -> Told:
    texts: dict[str, Any] = {key: _text(item[key]) for key in _TEXTS}
    signal = Signal(
        value=float("nan") if item["value"] is None else float(item["value"]),
        severity=Severity(item["severity"]),
        since=float(item["since"]),
        evidence={_text(key): _text(text) for key, text in item["evidence"].items()},
        covers=frozenset((_text(metric), _text(target)) for metric, target in item["covers"]),
        learnt=bool(item["learnt"]),
        **texts,
    )
    incident = Incident(
        signal=signal,
        since=signal.since,
        flapping=bool(item["flapping"]),
        times=int(item["times"]),
        live=False,
        restored=True,
    )
    return Told(incident=incident, silenced=_text(item["silenced"]), published=bool(item["published"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def published(alerts: Iterable[Any], most: int) -> list[Any]:
    """The alerts for a file that holds so many at most: the worst, and of those the latest."""
    ranks = {severity: n for n, severity in enumerate(Severity)}
    worst = sorted(alerts, key=lambda alert: (-ranks[alert.severity], -alert.at))[:most]
    return sorted(worst, key=lambda alert: alert.at)

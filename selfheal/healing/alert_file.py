"""Alerts that another program leaves in a file."""

from __future__ import annotations

import json
import logging
import math
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypedDict, Unpack

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.configuring import structure
from selfheal.errors import ConfigError
from selfheal.events import Alert, Severity
from selfheal.events.files import FILE_NAME, alert_data, write_alerts
from selfheal.policies.windows import moment_of
from selfheal.validators import between

__all__ = ["FILE_NAME", "AlertFile", "AlertFileConfig", "AlertFileSnapshot", "write_alerts"]

logger = logging.getLogger("selfheal.alert_file")

_REMEMBERED = 10_000
_RACY = 2.0
"""Seconds after a change in which another one may leave the same time stamp on the file."""


@attrs.frozen(kw_only=True)
class AlertFileConfig:
    """What of the file is taken.

    Args:
        max_age: seconds after which an alert is too old to act on.
        max_future: seconds that its time may be ahead of this machine's clock.
        max_bytes: size of the file at most; up to 16 MiB.
        max_alerts: alerts at most that are taken from the file at one look.

    Raises:
        ConfigError: if a value is out of range.
    """

    max_age: float = attrs.field(default=300.0, validator=between(1.0, 86_400.0, "s"))
    max_future: float = attrs.field(default=60.0, validator=between(0.0, 3600.0, "s"))
    max_bytes: int = attrs.field(default=1_048_576, validator=between(1, 16_777_216))
    max_alerts: int = attrs.field(default=100, validator=between(1, 10_000))


class AlertFileOptions(TypedDict, total=False):
    """The fields of :class:`AlertFileConfig` as keyword arguments."""

    max_age: float
    max_future: float
    max_bytes: int
    max_alerts: int


@attrs.frozen(kw_only=True)
class AlertFileSnapshot:
    """What came of the file so far.

    Args:
        path: the file.
        looks: how many times it was looked at.
        taken: alerts that were told.
        repeated: alerts that had been told already.
        stale: alerts that were too old.
        future: alerts whose time was too far ahead.
        invalid: alerts, or whole files, that were not what they have to be.
        unfinished: looks that found the file half-written.
        refused: looks that found no plain file, one too large, or one that cannot be read.
        problem: what was wrong last, in words; empty if nothing was, since the last look that found all in order.
    """

    path: str
    looks: int
    taken: int
    repeated: int
    stale: int
    future: int
    invalid: int
    unfinished: int
    refused: int
    problem: str


def _text(most: int, *, blank: bool = True) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    def check(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
        if value is not None and (len(value) > most or not (blank or value.strip()) or not _encodable(value)):
            accepted = f"text of at most {most} characters" + ("" if blank else ", not blank")
            raise ConfigError(f"{type(owner).__name__}.{field.name}", value[:100], accepted)

    return check


def _encodable(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _labels(owner: object, field: attrs.Attribute[Any], value: Mapping[str, str]) -> None:
    for key, text in value.items():
        if len(value) > 100 or len(key) > 1000 or len(text) > 1000 or not _encodable(key + text):
            accepted = "a table of at most 100 labels of 1000 characters"
            raise ConfigError(f"{type(owner).__name__}.labels", f"{len(value)} labels", accepted)


def _moment(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and moment_of(value) is None:
        accepted = "an ISO-8601 time with its offset, or seconds since 1970"
        raise ConfigError(f"{type(owner).__name__}.{field.name}", value, accepted)


@attrs.frozen(kw_only=True)
class _Entry:
    """An alert as it stands in the file."""

    kind: str = attrs.field(validator=_text(1000, blank=False))
    target: str = attrs.field(default="", validator=_text(1000))
    metric: str = attrs.field(default="", validator=_text(1000))
    value: float | None = None
    severity: Severity = Severity.WARNING
    fingerprint: str | None = attrs.field(default=None, validator=_text(3010, blank=False))
    message: str = attrs.field(default="", validator=_text(10_000))
    labels: Mapping[str, str] = attrs.field(factory=dict, validator=_labels)
    at: float | None = attrs.field(default=None, validator=_moment)
    timestamp: float | str | None = attrs.field(default=None, validator=_moment)

    def alert(self, otherwise: float | None) -> Alert:
        """The alert; ``otherwise`` is its time where it says none."""
        told = self.at if self.at is not None else moment_of(self.timestamp)
        at = otherwise if told is None else told
        if at is None:
            raise ConfigError("timestamp", None, "given, or at: how old the alert is must be known")
        more: dict[str, Any] = {} if self.fingerprint is None else {"fingerprint": self.fingerprint}
        value = math.nan if self.value is None else self.value
        return Alert(
            at=at, kind=self.kind, target=self.target, metric=self.metric, value=value, severity=self.severity,
            message=self.message, labels=self.labels, **more,
        )  # fmt: skip


class _UnfinishedError(Exception):
    """The file is being written."""


class _RefusedError(Exception):
    """The file is not what is read."""


@attrs.define
class _Counts:
    looks: int = 0
    taken: int = 0
    repeated: int = 0
    stale: int = 0
    future: int = 0
    invalid: int = 0
    unfinished: int = 0
    refused: int = 0


class AlertFile:
    """Looks at a file for alerts, tells each once, and never raises because of what it finds.

    The file holds one alert as a JSON object, or ``{"alerts": [...]}``, with the fields of
    :class:`~selfheal.events.Alert`: ``kind`` and a time are needed, the time as ``at`` (seconds since 1970) or
    ``timestamp`` (ISO-8601 with offset), in the alert or beside ``alerts``. A file that is being written is looked at
    again at the next look. A link, a directory, a device or a pipe is not read. One thread looks at a time.

    An alert whose labels tell ``since`` is an incident: written anew with a later time it is the same, and told again
    only if its severity is another. In a file with ``"complete": true`` what does not stand there any more is over.

    Args:
        path: the file; it need not be there.
        config: what of it is taken; the fields may be given as keyword arguments instead.
        clock: whose wall clock says how old an alert is.

    Attributes:
        over: fingerprints of alerts that the latest look did not find any more, in a file that says that it has all.

    Raises:
        ConfigError: if a limit is out of range.
    """

    def __init__(
        self,
        path: str | Path = FILE_NAME,
        config: AlertFileConfig | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        **options: Unpack[AlertFileOptions],
    ) -> None:
        self.path = Path(path)
        self.config = attrs.evolve(config or AlertFileConfig(), **options)
        self._clock = clock
        self.over: tuple[str, ...] = ()
        self._counts = _Counts()
        self._problem = ""
        self._open: dict[str, None] = {}  # fingerprints that were there and are not known to be over
        self._seen: dict[bytes, None] = {}  # digests of alerts that were judged, the latest last
        self._known: tuple[int, ...] | None = None  # what the file looked like when it was judged whole

    def look(self) -> list[Alert]:
        """The alerts that are new and neither too old nor from the future, in the order of the file."""
        self._counts.looks += 1
        self.over = ()
        try:
            data = self._read()
        except (FileNotFoundError, NotADirectoryError):
            return self._nothing("")
        except _UnfinishedError as error:
            self._counts.unfinished += 1
            return self._nothing(str(error))
        except (_RefusedError, OSError) as error:
            self._counts.refused += 1
            return self._nothing(str(error))
        if data is None:
            return []
        try:
            found = self._parse(data)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            self._known = None
            self._counts.unfinished += 1
            return self._nothing(f"it is not JSON (yet): {error}")
        except (ValueError, RecursionError) as error:
            self._counts.invalid += 1
            return self._nothing(f"it is not accepted: {error}")
        self._problem = ""
        return self._judge(*found)

    def snapshot(self) -> AlertFileSnapshot:
        """What came of the file so far."""
        return AlertFileSnapshot(path=str(self.path), problem=self._problem, **attrs.asdict(self._counts))

    def _nothing(self, problem: str) -> list[Alert]:
        if problem and problem != self._problem:
            logger.warning("%s: %s", self.path, problem)
        self._problem = problem
        return []

    def _read(self) -> bytes | None:
        """The content; ``None`` if the file is the one that was judged last."""
        if not stat.S_ISREG(os.lstat(self.path).st_mode):  # opening a device may do something
            raise _RefusedError("it is no plain file")
        fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                raise _RefusedError("it is no plain file")
            if before.st_size > self.config.max_bytes:
                raise _RefusedError(f"it has {before.st_size} bytes; at most {self.config.max_bytes} are read")
            if _looks(before) == self._known:
                return None
            data = file.read(self.config.max_bytes + 1)
            after = os.fstat(fd)
        if _looks(after) != _looks(before) or len(data) != after.st_size:
            raise _UnfinishedError("it changed while it was read")
        fresh = abs(self._clock.wall() - after.st_mtime) <= _RACY
        self._known = None if fresh else _looks(after)
        return data

    def _parse(self, data: bytes) -> tuple[list[Any], float | None, bool]:
        """The alerts as plain data, the time of those that have none, and whether they are all there are."""
        made = json.loads(data.decode("utf-8-sig"), parse_constant=lambda _: None)
        if not isinstance(made, dict):
            raise ValueError("it has to be an object")
        if "alerts" not in made:
            return [made], None, False
        if not isinstance(made["alerts"], list):
            raise ValueError("'alerts' has to be a list")
        return made["alerts"], moment_of(made.get("at", made.get("timestamp"))), made.get("complete") is True

    def _judge(self, entries: list[Any], otherwise: float | None, complete: bool) -> list[Alert]:
        most = self.config.max_alerts
        if len(entries) > most:
            self._counts.invalid += len(entries) - most
            self._nothing(f"it has {len(entries)} alerts; the first {most} are taken")
            complete = False
        told, there = [], dict[str, None]()
        for index, entry in enumerate(entries[:most]):
            try:
                alert = structure(entry, _Entry, f"alerts[{index}]").alert(otherwise)
            except (ConfigError, RecursionError) as error:
                self._counts.invalid += 1
                self._nothing(str(error)[:1000])
                complete = False
                continue
            there[alert.fingerprint] = None
            if self._is_first(alert_data(alert)) and self._is_timely(alert) and self._is_news(alert):
                told.append(alert)
        if complete:
            self.over = tuple(fingerprint for fingerprint in self._open if fingerprint not in there)
            self._open = there
        else:
            self._open = dict(tuple({**self._open, **there}.items())[-_REMEMBERED:])
        self._counts.taken += len(told)
        return told

    def _is_news(self, alert: Alert) -> bool:
        """Whether an incident was not told as bad as it is; without ``since`` there is no telling, and it is."""
        since = alert.labels.get("since")
        return since is None or self._is_first([alert.fingerprint, since, alert.severity.value])

    def _is_first(self, said: object) -> bool:
        import hashlib  # only where there are alerts

        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()
        known = digest in self._seen
        self._counts.repeated += known
        self._seen.pop(digest, None)
        self._seen[digest] = None
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return not known

    def _is_timely(self, alert: Alert) -> bool:
        age = self._clock.wall() - alert.at
        self._counts.stale += age > self.config.max_age
        self._counts.future += -age > self.config.max_future
        return -self.config.max_future <= age <= self.config.max_age


def _looks(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

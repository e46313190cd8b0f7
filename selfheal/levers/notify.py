"""Telling people: what there is to tell, and the ways that need nothing but the standard library."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, TextIO, runtime_checkable

import attrs

from selfheal.errors import ConfigError, NotifyError
from selfheal.events import Severity
from selfheal.forking import track
from selfheal.redaction import scrub
from selfheal.validators import between

_LEVELS = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.CRITICAL: logging.CRITICAL}
_MAX_TEXT = 10_000


def _text(value: object) -> str:
    return scrub(str(value)[:_MAX_TEXT])


def _labels(given: Mapping[str, object]) -> Mapping[str, str]:
    return {str(key): _text(value) for key, value in given.items()}


@attrs.frozen(kw_only=True)
class Notification:
    """Something a person should know. What looks like a secret in it is redacted.

    Args:
        title: in one line.
        body: in full.
        severity: info, warning or critical.
        at: wall-clock seconds since 1970 UTC.
        labels: further facts, text to text.
        fingerprint: what makes two notifications the same; by default severity and title.
    """

    title: str = attrs.field(converter=_text)
    body: str = attrs.field(default="", converter=_text)
    severity: Severity = attrs.field(default=Severity.WARNING, converter=Severity)
    at: float = 0.0
    labels: Mapping[str, str] = attrs.field(factory=dict, converter=_labels)
    fingerprint: str = attrs.field()

    @fingerprint.default
    def _same(self) -> str:
        return f"{self.severity}|{self.title}"

    def as_dict(self) -> dict[str, object]:
        """The notification as JSON data."""
        return {
            "title": self.title,
            "body": self.body,
            "severity": str(self.severity),
            "at": self.at,
            "labels": dict(self.labels),
        }

    def as_line(self) -> str:
        """The notification as one line of text: line breaks are written out."""
        told = f"[{self.severity}] {self.title}" + (f": {self.body}" if self.body else "")
        facts = " ".join(f"{key}={value}" for key, value in self.labels.items())
        line = f"{told} ({facts})" if facts else told
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


@runtime_checkable
class Notifier(Protocol):
    """A way to tell people. A host brings its own by having this method."""

    def notify(self, notification: Notification) -> None:
        """Deliver it, or raise. May block; :meth:`Notifiers.notify_on` sees to it that nobody waits."""


class LogNotifier:
    """Tells the log, at the level of the severity.

    Args:
        logger: name of the logger.
    """

    def __init__(self, logger: str = "selfheal.notify") -> None:
        if not str(logger).strip():
            raise ConfigError("LogNotifier.logger", logger, "a name of a logger", "'selfheal.notify'")
        self._logger = logging.getLogger(logger)

    def notify(self, notification: Notification) -> None:
        """Write one record."""
        self._logger.log(_LEVELS[notification.severity], "%s", notification.as_line())

    def __repr__(self) -> str:
        return f"LogNotifier({self._logger.name!r})"


class ConsoleNotifier:
    """Tells the console.

    Args:
        stream: where to; by default what ``sys.stderr`` is at that moment.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def notify(self, notification: Notification) -> None:
        """Write one line.

        Raises:
            OSError: if it cannot be written.
        """
        stream = self._stream if self._stream is not None else sys.stderr
        stream.write(notification.as_line() + "\n")
        stream.flush()

    def __repr__(self) -> str:
        return "ConsoleNotifier()"


@attrs.frozen(kw_only=True)
class FileNotifierConfig:
    """The settings of a :class:`FileNotifier`.

    Args:
        path: the file; its directory must exist.
        max_bytes: size from which a new file is begun.
        keep: older files kept, as ``path.1`` (the youngest) and so on.

    Raises:
        ConfigError: if a value is out of range.
    """

    path: Path = attrs.field(converter=Path)
    max_bytes: int = attrs.field(default=1_048_576, validator=between(1024, 2**40, "bytes"))
    keep: int = attrs.field(default=3, validator=between(0, 1000))


class FileNotifier:
    """Appends each notification as one line of JSON to a file that only the owner may read.

    The file is bounded: when it is full it is renamed to ``path.1``, and the oldest goes. A link in its place is
    not followed. One process writes; others may read meanwhile.

    Args:
        path: the file; its directory must exist.
        max_bytes: size from which a new file is begun; 1 KiB or more.
        keep: older files kept.

    Raises:
        ConfigError: if a value is out of range, or the directory is not there.
    """

    def __init__(self, path: Path | str, *, max_bytes: int = 1_048_576, keep: int = 3) -> None:
        if not str(path).strip() or "\0" in str(path):
            raise ConfigError("FileNotifier.path", path, "a path to a file")
        self._config = FileNotifierConfig(path=path, max_bytes=max_bytes, keep=keep)
        self.path = self._config.path.absolute()
        if not self.path.parent.is_dir() or self.path.is_dir():
            raise ConfigError("FileNotifier.path", str(path), "a file in a directory that is there")
        self._lock = threading.Lock()
        track(self, FileNotifier._in_child)

    def notify(self, notification: Notification) -> None:
        """Append one line.

        Raises:
            OSError: if it cannot be written.
        """
        line = (json.dumps(notification.as_dict(), ensure_ascii=False, allow_nan=False) + "\n").encode()
        with self._lock:
            self._rotate(len(line))
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(self.path, flags, 0o600)
            try:
                os.write(fd, line)
            finally:
                os.close(fd)

    def _rotate(self, coming: int) -> None:
        """Make room: the current file becomes number 1, and so on."""
        try:
            size = os.stat(self.path, follow_symlinks=False).st_size
        except FileNotFoundError:
            return
        if size + coming <= self._config.max_bytes or size == 0:
            return
        names = [self.path, *(Path(f"{self.path}.{n}") for n in range(1, self._config.keep + 1))]
        for older, newer in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
            if newer.exists():
                newer.replace(older)
        if not self._config.keep:
            self.path.unlink()

    def __repr__(self) -> str:
        return f"FileNotifier({str(self.path)!r})"

    def _in_child(self) -> None:
        """Make a new lock: its holder may not be in this process."""
        self._lock = threading.Lock()


def describe(error: BaseException) -> str:
    """An error as one line without secrets."""
    told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, NotifyError) and error.failed:
        told = "; ".join(error.failed.values())
    return scrub(told.replace("\n", " "))[:500]

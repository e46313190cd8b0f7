"""Everything there is to see of a process at one moment, in one file."""

from __future__ import annotations

import datetime
import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ConfigError
from selfheal.forking import track
from selfheal.levers import snapshot_parts as parts
from selfheal.levers.dated_files import DatedFiles
from selfheal.levers.notify import describe
from selfheal.redaction import scrub
from selfheal.validators import between

Section = Callable[[], object]

_OWN = ("reason", "at", "taken_at", "pid")


@attrs.frozen(kw_only=True)
class SnapshotterConfig:
    """The settings of a :class:`Snapshotter`.

    Args:
        directory: where the files go; it must exist.
        keep: files kept; the oldest goes.
        max_bytes: size of a file at most; the largest sections are left out until it fits.
        section_timeout: seconds of real time each section gets.
        processes: whether the table of processes is taken.

    Raises:
        ConfigError: if a value is out of range.
    """

    directory: Path = attrs.field(converter=Path)
    keep: int = attrs.field(default=20, validator=between(1, 10_000))
    max_bytes: int = attrs.field(default=2_097_152, validator=between(4096, 2**30, "bytes"))
    section_timeout: float = attrs.field(default=5.0, validator=between(0.01, 600.0, "s"))
    processes: bool = True


class Snapshotter:
    """Writes what is to be seen of this process into one JSON file, for whoever looks into an incident later.

    A file holds the sections of the host (status, metrics, queues), the stacks of all threads, the figures of
    this process and the table of processes. A section that raises or is late has its error there instead. Values
    under names of secrets and what looks like a secret are redacted; environments are never read. A file is
    written beside and renamed, so that it is there whole or not at all, and only its owner may read it.

    Args:
        directory: where the files go; it must exist.
        sections: name to a callable that gives JSON data, asked at each snapshot.
        keep: files kept; the oldest goes.
        max_bytes: size of a file at most; the largest sections are left out until it fits.
        section_timeout: seconds of real time each section gets.
        processes: whether the table of processes is taken.
        clock: for the time in the file and its name.

    Raises:
        ConfigError: if the directory is not there, a section cannot be called, or a value is out of range.
    """

    def __init__(
        self,
        directory: Path | str,
        sections: Mapping[str, Section] | None = None,
        *,
        keep: int = 20,
        max_bytes: int = 2_097_152,
        section_timeout: float = 5.0,
        processes: bool = True,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not str(directory).strip() or "\0" in str(directory):
            raise ConfigError("SnapshotterConfig.directory", directory, "a path to a directory")
        self._config = SnapshotterConfig(
            directory=directory,
            keep=keep,
            max_bytes=max_bytes,
            section_timeout=section_timeout,
            processes=processes,
        )
        self.directory = self._config.directory.absolute()
        if not self.directory.is_dir():
            raise ConfigError("SnapshotterConfig.directory", str(directory), "a directory that is there")
        own: dict[str, Section] = {"threads": parts.threads, "process": parts.process}
        if processes:
            own["processes"] = parts.processes
        for name, section in (sections or {}).items():
            if name in own or name in _OWN or not (str(name).strip() and callable(section)):
                raise ConfigError(f"Snapshotter.sections[{name!r}]", section, "a callable under a name of its own")
        self._sections: dict[str, Section] = {**(sections or {}), **own}
        self._clock = clock
        self._lock = threading.Lock()
        self._files = DatedFiles(self.directory, "snapshot", "json", keep=keep, sync="content")
        self._asked: dict[str, threading.Thread] = {}
        track(self, Snapshotter._in_child)

    @classmethod
    def from_config(
        cls,
        settings: Mapping[str, Any],
        sections: Mapping[str, Section] | None = None,
        where: str = "levers.snapshotter",
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> Snapshotter:
        """Make one of plain data, whose keys are those of :class:`SnapshotterConfig`.

        Raises:
            ConfigError: naming the path below ``where`` of what is not accepted.
        """
        from selfheal.configuring import structure

        given = structure(settings, SnapshotterConfig, where)
        try:
            return cls(sections=sections, clock=clock, **attrs.asdict(given, recurse=False))
        except ConfigError as error:
            place = error.where.replace("SnapshotterConfig", where)
            raise ConfigError(place, error.found, error.accepted, error.default) from None

    def snapshot(self, reason: str = "") -> Path:
        """Take one.

        Args:
            reason: why; in the file and, shortened, in its name.

        Returns:
            The file.

        Raises:
            OSError: if it cannot be written. What a section raises is in the file instead.
        """
        at = self._clock.wall()
        moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
        head = {"reason": scrub(reason)[:1000], "at": at, "taken_at": moment.isoformat(), "pid": os.getpid()}
        answers = {name: self._ask(name, section) for name, section in self._sections.items()}
        data = _fit(head, answers, self._config.max_bytes)
        return self._files.write(at, str(head["reason"]), data)

    def files(self) -> list[Path]:
        """The snapshots there are, oldest first."""
        return self._files.all()

    def __repr__(self) -> str:
        return f"Snapshotter({str(self.directory)!r})"

    def _ask(self, name: str, section: Section) -> Any:
        """What a section gives, or its error; in a thread of its own, so that one that hangs keeps nobody."""
        answer: list[Any] = []

        def ask() -> None:
            try:
                answer.append(parts.shown(section(), name))
            except BaseException as error:
                answer.append({"error": describe(error)})

        if section in (parts.threads, parts.process, parts.processes):
            ask()
            return answer[0]
        with self._lock:
            before = self._asked.get(name)
            if before is not None and before.is_alive():
                return {"error": "still busy with an earlier snapshot"}
            thread = self._asked[name] = threading.Thread(target=ask, name="selfheal-snapshot", daemon=True)
            thread.start()
        thread.join(self._config.section_timeout)
        return answer[0] if answer else {"error": f"no answer within {self._config.section_timeout:g} s"}

    def _in_child(self) -> None:
        """Make a new lock: its holder may not be in this process."""
        self._lock = threading.Lock()
        self._asked = {}


def _fit(head: Mapping[str, Any], answers: dict[str, Any], limit: int) -> bytes:
    """The JSON text; the largest sections are left out until it fits."""
    sizes = {name: len(_encode(answer)) for name, answer in answers.items()}
    answers = dict(answers)
    while True:
        data = _encode({**head, **answers})
        if len(data) <= limit or not sizes:
            return data
        largest = max(sizes, key=lambda name: sizes[name])
        size = sizes.pop(largest)
        answers[largest] = {"error": f"left out: {size} bytes, the file may have {limit}"}


def _encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, indent=1).encode()

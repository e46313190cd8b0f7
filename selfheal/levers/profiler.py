"""What the threads of this process do, by looking at their stacks many times."""

from __future__ import annotations

import collections
import os
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ConfigError
from selfheal.levers.dated_files import DatedFiles
from selfheal.validators import between

_MOST_FRAMES = 100
_MOST_STACKS = 10_000
_OTHERS = "(other stacks)"


@attrs.frozen(kw_only=True)
class ProfilerConfig:
    """The settings of a :class:`StackProfiler`.

    Args:
        directory: where the files go; it must exist.
        interval: seconds between two looks.
        keep: files kept; the oldest goes.
        max_bytes: size of a file at most; the rarest stacks are added up until it fits.

    Raises:
        ConfigError: if a value is out of range.
    """

    directory: Path = attrs.field(converter=Path)
    interval: float = attrs.field(default=0.01, validator=between(0.001, 10.0, "s"))
    keep: int = attrs.field(default=10, validator=between(1, 10_000))
    max_bytes: int = attrs.field(default=1_048_576, validator=between(4096, 2**30, "bytes"))


class StackProfiler:
    """Looks at the stacks of all threads and counts how often each was seen.

    The file is in folded form, ``thread;outermost;…;innermost count`` in each line, most seen first: what flame graph
    tools read. It holds names of functions, files and threads, no values. The looking itself is done in the calling
    thread, which is left out, and costs about 1 % of a processor with ten threads and the default interval.

    Args:
        directory: where the files go; it must exist.
        interval: seconds between two looks.
        keep: files kept; the oldest goes.
        max_bytes: size of a file at most.
        clock: the time it goes by.

    Raises:
        ConfigError: if the directory is not there or a value is out of range.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        interval: float = 0.01,
        keep: int = 10,
        max_bytes: int = 1_048_576,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._config = ProfilerConfig(directory=directory, interval=interval, keep=keep, max_bytes=max_bytes)
        self.directory = self._config.directory.absolute()
        if not str(directory).strip() or not self.directory.is_dir():
            raise ConfigError("ProfilerConfig.directory", str(directory), "a directory that is there")
        self._clock = clock
        self._files = DatedFiles(self.directory, "profile", "folded", keep=keep, sync="none")

    def profile(self, seconds: float, reason: str = "", cancelled: Callable[[], bool] = lambda: False) -> Path:
        """Look for ``seconds``, or until ``cancelled``.

        Args:
            seconds: how long; more than 0, at most 600.
            reason: shortened in the name of the file.
            cancelled: asked at each look.

        Returns:
            The file.

        Raises:
            ConfigError: if ``seconds`` is out of range.
            OSError: if it cannot be written.
        """
        if isinstance(seconds, bool) or not 0 < seconds <= 600:
            raise ConfigError("seconds of StackProfiler.profile", seconds, "more than 0, at most 600")
        counts = collections.Counter[str]()
        end = self._clock.monotonic() + seconds
        while True:
            for stack in _stacks():
                counts[stack if stack in counts or len(counts) < _MOST_STACKS else _OTHERS] += 1
            left = end - self._clock.monotonic()
            if left <= 0 or cancelled():
                break
            self._clock.sleep(min(self._config.interval, left))
        return self._files.write(self._clock.wall(), reason, _folded(counts, self._config.max_bytes))

    def files(self) -> list[Path]:
        """The profiles there are, oldest first."""
        return self._files.all()

    def __repr__(self) -> str:
        return f"StackProfiler({str(self.directory)!r})"


def _stacks() -> list[str]:
    """The stack of each thread but this one, as one folded line."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    own = threading.get_ident()
    return [
        ";".join([_plain(names.get(ident, "unknown")), *_frames(frame)])
        for ident, frame in sys._current_frames().items()
        if ident != own
    ]


def _frames(frame: FrameType | None) -> list[str]:
    told: list[str] = []
    while frame is not None and len(told) < _MOST_FRAMES:
        code = frame.f_code
        told.append(_plain(f"{os.path.basename(code.co_filename)}:{code.co_qualname}"))
        frame = frame.f_back
    return told[::-1]


def _plain(name: str) -> str:
    """A name without what separates in the file."""
    return re.sub(r"[;\s]+", "_", name)[:200]


def _folded(counts: collections.Counter[str], limit: int) -> bytes:
    """The lines, most seen first; what does not fit is added up in the last."""
    lines, size, others = [], 0, counts.pop(_OTHERS, 0)
    room = limit - 64
    for stack, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        line = f"{stack} {count}\n".encode()
        if size + len(line) > room:
            others += count
            continue
        lines.append(line)
        size += len(line)
    return b"".join(lines) + (f"{_OTHERS} {others}\n".encode() if others else b"")

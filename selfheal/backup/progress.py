"""How far something long has come, told now and then."""

from __future__ import annotations

import threading
from collections.abc import Callable

import attrs

_TIMES = 200
_FEWEST_BYTES = 4 * 1024 * 1024
_FEWEST_FILES = 32


@attrs.frozen
class Progress:
    """How far it is.

    Args:
        doing: ``copying``, ``verifying``, ``restoring``, ``comparing`` or ``sending``.
        section: which section.
        files: done so far in this section.
        files_total: that there are in it.
        bytes: done so far.
        bytes_total: that there are.
    """

    doing: str
    section: str
    files: int
    files_total: int
    bytes: int
    bytes_total: int


class Teller:
    """Counts files and bytes of one section, and tells at most some 400 times, by count and not by time.

    Args:
        tell: called with how far it is; what it raises ends the work.
        doing: see :class:`Progress`; so for the others.
        section: which section.
        files_total: that there are.
        bytes_total: that there are.
    """

    def __init__(
        self, tell: Callable[[Progress], object] | None, doing: str, section: str, files_total: int, bytes_total: int
    ) -> None:
        self._tell = tell
        self._doing, self._section = doing, section
        self._files_total, self._bytes_total = files_total, bytes_total
        self._files = self._bytes = 0
        self._files_step = max(_FEWEST_FILES, files_total // _TIMES)
        self._bytes_step = max(_FEWEST_BYTES, bytes_total // _TIMES)
        self._told_files = self._told_bytes = 0
        self._lock = threading.Lock()
        self._thread = threading.get_ident()

    def add_bytes(self, count: int) -> None:
        """So many bytes more are done. Safe from several threads; only the one that began tells."""
        with self._lock:
            self._bytes += count
        if threading.get_ident() == self._thread:
            self.look()

    def add_file(self) -> None:
        """A file more is done. Only from the thread that began."""
        self._files += 1
        self.look()

    def look(self) -> None:
        """Tell, if enough was done since it was told last."""
        if self._tell is None:
            return
        enough = self._files - self._told_files >= self._files_step
        if enough or self._bytes - self._told_bytes >= self._bytes_step:
            self._say()

    def end(self) -> None:
        """Tell that all is done."""
        self._say()

    def _say(self) -> None:
        self._told_files, self._told_bytes = self._files, self._bytes
        if self._tell is not None:
            self._tell(
                Progress(self._doing, self._section, self._files, self._files_total, self._bytes, self._bytes_total)
            )

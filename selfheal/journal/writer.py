"""The journal as its writer sees it."""

from __future__ import annotations

import logging
import os
import re
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.durable import sync_directory
from selfheal.errors import ConfigError, EntryRefusedError, JournalError, JournalObservedError
from selfheal.forking import track
from selfheal.journal.cleaning import clean
from selfheal.journal.entry import Entry, line_of
from selfheal.journal.places import (
    Places,
    cut_torn,
    holder_of,
    is_at,
    last_entry,
    open_to_append,
    release_lock,
    take_lock,
)
from selfheal.journal.rotating import rotate
from selfheal.journal.settings import JournalConfig, Sync
from selfheal.plain import NotPlainError

logger = logging.getLogger("selfheal.journal")

_TYPE = re.compile(r"[A-Za-z0-9_.:-]{1,100}", re.ASCII)
_TYPES = 1_000
"""Types that are remembered as good."""
_LOOK_EVERY = 1.0
"""Wall seconds after which an append looks whether its files are still where they were."""


class Journal:
    """An append-only file of entries, one JSON object a line, that a crash cannot leave half written.

    One process writes it, the one that holds the lock; every other observes, and may take over once the
    writer has ended (:meth:`try_to_write`). Anybody may read it meanwhile: :func:`~selfheal.journal.read_journal`.
    Safe from several threads. A forked child observes.

    Args:
        path: the file. Its directory must exist, on a local file system.
        clock: gives the time of the entries.
        max_bytes: see :class:`JournalConfig`; so for the others.
        keep: rotated files that are kept.
        sync: what is flushed to the disk.

    Raises:
        ConfigError: if a value is out of range.
        JournalError: if the file cannot be opened for writing while nobody else writes it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory, Journal(f"{directory}/journal.jsonl") as journal:
    ...     journal.append("silence_added", target="web", by="maria").seq
    2
    """

    _fd = -1
    _lock_fd = -1

    def __init__(
        self,
        path: Path | str,
        *,
        clock: Clock = SYSTEM_CLOCK,
        max_bytes: int = 10 * 1024 * 1024,
        keep: int = 5,
        sync: Sync = "destructive",
    ) -> None:
        if not str(path).strip():
            raise ConfigError("Journal.path", path, "a path to a file")
        self.config = JournalConfig(max_bytes=max_bytes, keep=keep, sync=sync)
        self.path = Path(path).absolute()
        self._places = Places(self.path)
        self._clock = clock
        self._lock = threading.Lock()  # held while the file is written, never while a caller's code runs
        self._types: set[str] = set()
        self._closed = False
        self._size = 0
        self._next_rotation = 0
        self._seq = 0
        self._torn = 0
        self._half_written = False
        self._looked = 0.0
        track(self, Journal._in_child, lock=lambda journal: journal._lock)
        self.try_to_write()

    def __repr__(self) -> str:
        return f"Journal({str(self.path)!r}, writing={self.writing})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close("" if kind is None else kind.__name__)

    def __del__(self) -> None:
        self._let_go()

    @property
    def writing(self) -> bool:
        """Whether this one writes the journal; otherwise it observes, or is closed."""
        return self._fd >= 0

    @property
    def seq(self) -> int:
        """Number of the last entry this one knows of; 0 where there is none."""
        return self._seq

    @property
    def torn(self) -> int:
        """Bytes of an unfinished line that were cut when the file was opened for writing."""
        return self._torn

    def append(self, type: str, /, *, sync: bool = False, **fields: Any) -> Entry:
        """Write one entry. When this returns, it is in the file, whole.

        Args:
            type: kind of entry: letters, digits and ``_.:-``, at most 100.
            sync: wait until it is on the disk; what :class:`JournalConfig` says comes first.
            fields: what it says, as JSON has it: ``nan`` and infinite become ``None``, enums and dates are taken
                as text, secrets are hidden, by name and by look. A field too long for a line of 64 KiB is cut to
                its beginning, and named in the field ``cut``.

        Returns:
            The entry, its fields as they were written.

        Raises:
            JournalError: if it could not be written. Nothing of it stays, and the caller must not act on it.
            EntryRefusedError: if it holds what JSON does not have.
            JournalObservedError: if another writes the journal.
        """
        if type not in self._types:
            self._learn(type)
        try:
            shown, text = clean(fields)
        except NotPlainError as error:
            raise EntryRefusedError(str(self.path), type, str(error)) from error
        with self._lock:
            if not self.writing:
                raise self._not_writing()
            return self._append(type, shown, text, sync)

    def try_to_write(self) -> bool:
        """Become the writer, if nobody else is; cut an unfinished line that the last one left.

        Returns:
            Whether this one writes now.

        Raises:
            JournalError: if nobody else writes and yet the file cannot be opened, or if this one is closed.
        """
        with self._lock:
            if self._closed:
                raise self._not_writing()
            return self.writing or self._begin()

    def close(self, reason: str = "") -> None:
        """Write ``clean_stop`` with the reason, if this one is the writer, and let go of the files. Once.

        Raises:
            JournalError: if that entry cannot be written. It is closed none the less.
        """
        with self._lock:
            if self._closed:
                return
            try:
                if self.writing:
                    self._append("clean_stop", *clean({"reason": str(reason)}), sync=True)
            finally:
                self._closed = True
                self._let_go()

    def _learn(self, kind: str) -> None:
        if not _TYPE.fullmatch(kind):
            raise EntryRefusedError(str(self.path), kind, "its type is not 1 to 100 letters, digits and _.:-")
        if len(self._types) < _TYPES:
            self._types.add(kind)

    # All below runs under the lock.

    def _append(self, kind: str, fields: dict[str, Any], text: str, sync: bool) -> Entry:
        at = float(self._clock.wall())
        if abs(at - self._looked) >= _LOOK_EVERY:
            self._look(at)
        seq = self._seq + 1
        try:
            line = line_of(seq, at, kind, text)
        except (ValueError, OverflowError) as error:
            raise self._failed(f"the clock gives {at}, which is no date ({error})") from error
        if self._size + len(line) > self._next_rotation:
            self._rotate(len(line))
        self._commit(line, self.config.sync == "always" or (sync and self.config.sync != "never"))
        return Entry(seq, at, kind, fields)

    def _commit(self, line: bytes, sync: bool) -> None:
        fd, written = self._fd, False
        try:
            if self._half_written:
                self._undo(fd)
            self._half_written = True
            self._write(line)
            written = True
            if sync:
                os.fdatasync(fd)
            self._size, self._seq, self._half_written = self._size + len(line), self._seq + 1, False
        except BaseException as error:
            self._seq += written  # a reader may have seen it: never give its number again
            self._undo_or_tell(fd)
            if isinstance(error, OSError):
                raise self._failed(f"the entry was not written ({error.strerror or error})") from error
            raise

    def _write(self, line: bytes) -> None:
        """Write one line, its end included, to the file: the one place where an entry reaches it."""
        fd = self._fd
        written = os.write(fd, line)
        while written < len(line):
            written += os.write(fd, line[written:])

    def _undo(self, fd: int) -> None:
        os.ftruncate(fd, self._size)
        self._half_written = False

    def _undo_or_tell(self, fd: int) -> None:
        try:
            self._undo(fd)
        except OSError as error:
            logger.error("journal %s: half an entry stays until the next append: %s", self.path, error)

    def _begin(self) -> bool:
        try:
            lock = take_lock(self._places.lock)
            if lock is None:
                return False
            self._lock_fd = lock
            self._open()
        except OSError as error:
            self._let_go()
            raise self._failed(f"it cannot be opened for writing ({error.strerror or error})") from error
        except BaseException:
            self._let_go()
            raise
        return True

    def _open(self) -> None:
        self._fd = fd = open_to_append(self.path)
        self._torn = cut_torn(fd, self._places.torn)
        self._half_written = False
        if self._torn:
            logger.warning("journal %s: %d bytes of an unfinished entry were cut", self.path, self._torn)
        last, seq = self._find_last(fd)
        self._seq = max(self._seq, seq)
        self._size = os.fstat(fd).st_size
        self._next_rotation = self.config.max_bytes
        if self.config.sync != "never":
            sync_directory(self.path.parent)
        self._looked = float(self._clock.wall())
        clean_stop = last is None or last.type == "clean_stop"
        told = {"pid": os.getpid(), "torn_bytes": self._torn, "after_clean_stop": clean_stop}
        self._append("journal_opened", *clean(told), sync=True)

    def _find_last(self, fd: int) -> tuple[Entry | None, int]:
        """The last entry there is, and the last number that may have been given."""
        last, damaged = last_entry(fd)
        rotated = self._places.rotated()
        known = last.seq if last is not None else 0
        if rotated:
            known = max(known, rotated[-1].number)
            last = last or _last_of(rotated[-1].path)
        return last, known + damaged

    def _look(self, at: float) -> None:
        """Begin anew if somebody moved or removed the files: what is written to them nobody would find."""
        try:
            there = is_at(self._fd, self.path) and is_at(self._lock_fd, self._places.lock)
        except OSError as error:
            raise self._failed(f"its files cannot be looked at ({error.strerror or error})") from error
        self._looked = at
        if not there:
            logger.warning("journal %s: it or its lock was moved or removed: opened anew", self.path)
            self._let_go()
            if not self._begin():
                raise self._not_writing()

    def _rotate(self, length: int) -> None:
        if not self._size:
            return
        try:
            if self._half_written:
                self._undo(self._fd)
            old, self._fd = self._fd, rotate(self._places, self._fd, self._seq, self.config)
            self._size, self._next_rotation = 0, self.config.max_bytes
            os.close(old)
        except OSError as error:  # better a file too large than no record of what is done
            logger.error("journal %s: it cannot be rotated, and grows: %s", self.path, error)
            self._next_rotation = self._size + length + self.config.max_bytes

    def _let_go(self, *, unlock: bool = True) -> None:
        if unlock and self._lock_fd >= 0:  # a child that has just been forked, or not yet begun its program, has it too
            release_lock(self._lock_fd)
        for fd in (self._fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock_fd = -1

    def _not_writing(self) -> JournalError:
        if self._closed:
            return self._failed("it was closed: nothing was written")
        return JournalObservedError(str(self.path), holder_of(self._places.lock))

    def _failed(self, why: str) -> JournalError:
        return JournalError(str(self.path), why)

    def _in_child(self) -> None:
        """The lock is the parent's; closing the child's copy of it takes nothing from the parent."""
        self._lock = threading.Lock()
        self._let_go(unlock=False)


def _last_of(path: Path) -> Entry | None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return last_entry(fd)[0]
    finally:
        os.close(fd)

"""What cannot be written is not written: no half line, no number given twice, and the caller is told."""

from __future__ import annotations

import errno
import math
import os
import threading
from pathlib import Path

import pytest

from selfheal.errors import JournalError
from selfheal.journal import Journal, read_journal
from selfheal.journal.settings import Sync
from selfheal.testing import FakeClock


class Failing(Journal):
    """A journal whose disk does what the test says: bytes that are still written, then the error."""

    fails: BaseException | None = None
    written = 0

    def _write(self, line: bytes) -> None:
        if self.fails is None:
            super()._write(line)
            return
        os.write(self._fd, line[: self.written])
        raise self.fails


def full() -> OSError:
    """No space left."""
    return OSError(errno.ENOSPC, "No space left on device")


def numbers(path: Path) -> list[int]:
    return [entry.seq for entry in read_journal(path)]


@pytest.mark.parametrize("written", [0, 1, 50, 1000])
def test_a_full_disk(tmp_path: Path, written: int) -> None:
    """However much was written before the disk was full, nothing of it stays, and later it works again."""
    with Failing(tmp_path / "j") as journal:
        journal.append("verified", n=1)
        before = journal.path.read_bytes()
        journal.fails, journal.written = full(), written
        for _ in range(3):
            with pytest.raises(JournalError, match=r"the entry was not written \(No space left on device\)"):
                journal.append("verified", n=2)
            assert journal.path.read_bytes() == before
        journal.fails = None
        assert journal.append("verified", n=3).seq == 3

    assert numbers(journal.path) == [1, 2, 3, 4]


def test_half_a_line_that_cannot_be_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as half a line stands in the file, every append fails; none is written after it."""
    with Failing(tmp_path / "j") as journal:
        journal.append("verified", n=1)
        journal.fails, journal.written = full(), 20
        with monkeypatch.context() as patch:
            patch.setattr(os, "ftruncate", _broken)
            with pytest.raises(JournalError, match="No space left"):
                journal.append("verified", n=2)
            journal.fails = None
            with pytest.raises(JournalError, match="Input/output error"):
                journal.append("verified", n=3)
            assert not journal.path.read_bytes().endswith(b"\n")
        journal.append("verified", n=4)

    reading = read_journal(journal.path)
    assert [entry.fields.get("n") for entry in reading] == [None, 1, 4, None]
    assert (reading.report.damaged, reading.report.missing) == (0, 0)


def _broken(*_: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_a_flush_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that may not be on the disk is taken back, and its number, which a reader may have seen, is not reused."""
    with Journal(tmp_path / "j") as journal:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", _broken)
            assert journal.append("verified").seq == 2
            with pytest.raises(JournalError, match=r"not written \(Input/output error\)"):
                journal.append("action_intent", sync=True)
        assert numbers(journal.path) == [1, 2]
        assert journal.append("action_intent", sync=True).seq == 4


@pytest.mark.parametrize(
    ("sync", "asked", "flushed"),
    [
        ("destructive", False, 0),
        ("destructive", True, 1),
        ("always", False, 1),
        ("always", True, 1),
        ("never", False, 0),
        ("never", True, 0),
    ],
)
def test_what_is_flushed(
    tmp_path: Path, sync: Sync, asked: bool, flushed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain entries are not waited for unless always; those asked for are, unless never."""
    calls: list[int] = []
    with Journal(tmp_path / "j", sync=sync) as journal:
        monkeypatch.setattr(os, "fdatasync", calls.append)
        journal.append("verified", sync=asked)
        assert len(calls) == flushed
        monkeypatch.undo()


@pytest.mark.parametrize("written", [0, 30, 10_000])
def test_an_interrupt_in_the_middle(tmp_path: Path, written: int) -> None:
    """A person's interrupt within the writing leaves no entry behind, and passes on."""
    with Failing(tmp_path / "j") as journal:
        journal.append("verified", n=1)
        journal.fails, journal.written = KeyboardInterrupt(), written
        with pytest.raises(KeyboardInterrupt):
            journal.append("verified", n=2)
        journal.fails = None
        journal.append("verified", n=3)

    assert [entry.fields.get("n") for entry in read_journal(journal.path)] == [None, 1, 3, None]


def test_an_interrupt_after_the_writing(tmp_path: Path) -> None:
    """Where the whole line was there already, its number is not given again."""

    class Late(Journal):
        late = False

        def _write(self, line: bytes) -> None:
            super()._write(line)
            if self.late:
                raise KeyboardInterrupt

    with Late(tmp_path / "j") as journal:
        journal.late = True
        with pytest.raises(KeyboardInterrupt):
            journal.append("verified", n=2)
        journal.late = False
        journal.append("verified", n=3)

    assert [entry.fields.get("n") for entry in read_journal(journal.path)] == [None, 3, None]


def test_short_writes_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes a few bytes at a time gets all of them."""
    write = os.write
    with Journal(tmp_path / "j") as journal:
        monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
        entry = journal.append("verified", text="x" * 100)
        monkeypatch.undo()
        assert list(read_journal(journal.path))[-1] == entry


@pytest.mark.parametrize("broken", [1, 2])
def test_a_rotation_that_fails(tmp_path: Path, broken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be rotated grows, all as before; it is rotated when that works again."""
    rename, calls = os.rename, [0]

    def failing(old: Path, new: Path) -> None:
        calls[0] += 1
        if calls[0] == broken:
            _broken()
        rename(old, new)

    with Journal(tmp_path / "j", max_bytes=1024) as journal:
        monkeypatch.setattr(os, "rename", failing)
        for n in range(40):
            journal.append("verified", n=n)
        monkeypatch.undo()
        assert calls[0] > broken
        assert max(path.stat().st_size for path in tmp_path.iterdir()) > 1024
        reading = read_journal(journal.path)
        assert [entry.fields.get("n") for entry in reading] == [None, *range(40)]
        assert reading.report.files > 1


def test_a_rotation_that_never_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not tried at each append, but each time that the file has grown by its size again."""
    calls: list[object] = []

    def failing(*files: object) -> None:
        calls.append(files)
        _broken()

    with Journal(tmp_path / "j", max_bytes=1024) as journal:
        monkeypatch.setattr(os, "rename", failing)
        for n in range(100):
            journal.append("verified", n=n)
        monkeypatch.undo()
        size = journal.path.stat().st_size

    assert 3 < len(calls) <= size // 1024


class Lost(FakeClock):
    """A clock that does not know the time."""

    lost = False

    def wall(self) -> float:
        return math.nan if self.lost else super().wall()


def test_a_clock_that_gives_no_date(tmp_path: Path) -> None:
    """A time that is none is an error of the journal, and nothing is written."""
    clock = Lost()
    with Journal(tmp_path / "j", clock=clock) as journal:
        clock.lost = True
        with pytest.raises(JournalError, match="the clock gives nan, which is no date"):
            journal.append("verified")
        clock.lost = False
        assert journal.append("verified").seq == 2


def test_closing_on_a_full_disk(tmp_path: Path) -> None:
    """A last entry that cannot be written is told, and the files are let go of none the less."""
    journal = Failing(tmp_path / "j")
    journal.fails = full()
    with pytest.raises(JournalError, match="No space left"):
        journal.close()
    assert not journal.writing
    journal.close()
    with pytest.raises(JournalError, match="it was closed"):
        journal.try_to_write()
    with Journal(tmp_path / "j") as other:
        assert other.writing


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    """Entries of several threads are all there, with numbers in the order of the file, across rotations."""
    with Journal(tmp_path / "j", max_bytes=4096, keep=1000) as journal:

        def work(name: int) -> None:
            for n in range(200):
                journal.append("verified", name=name, n=n)

        threads = [threading.Thread(target=work, args=[name]) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        entries = list(read_journal(journal.path, types="verified"))

    assert [entry.seq for entry in entries] == list(range(2, 802))
    for name in range(4):
        assert [e.fields["n"] for e in entries if e.fields["name"] == name] == list(range(200))


def test_a_journal_left_behind_gives_its_lock_back(tmp_path: Path) -> None:
    """A journal that nobody holds any more is let go of, without a last word."""
    Journal(tmp_path / "j").append("verified")

    with Journal(tmp_path / "j") as journal:
        assert journal.writing
        assert list(read_journal(journal.path))[-1].fields["after_clean_stop"] is False

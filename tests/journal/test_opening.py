"""Opening a journal for writing: after a crash, after damage, beside strangers."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from selfheal.errors import ConfigError, JournalError, JournalObservedError
from selfheal.journal import Entry, Journal, read_journal
from selfheal.testing import FakeClock


def crashed(path: Path, count: int = 5, **options: Any) -> list[Entry]:
    """A journal whose writer ended without a word; its entries."""
    journal = Journal(path, **options)
    for n in range(count):
        journal.append("verified", n=n)
    journal._let_go()
    return list(read_journal(path))


@pytest.mark.parametrize("tail", [b"{", b'{"v":1,"seq":7', b"\0" * 300_000, b"x" * 131_072, b"\xff\x00"])
def test_an_unfinished_line_is_cut_and_kept_aside(tmp_path: Path, tail: bytes) -> None:
    """What follows the last line end goes to ``.torn``, is counted and told, and numbers go on."""
    path = tmp_path / "j"
    before = crashed(path)
    with path.open("ab") as file:
        file.write(tail)

    with Journal(path) as journal:
        entry = journal.append("verified", n="after")
        entries = list(read_journal(path))

    assert journal.torn == len(tail)
    assert (tmp_path / "j.torn").read_bytes() == tail + b"\n"
    assert entries[:6] == before
    assert entries[6].fields == {"pid": os.getpid(), "torn_bytes": len(tail), "after_clean_stop": False}
    assert entries[7:] == [entry]
    assert [e.seq for e in entries] == list(range(1, 9))


def test_a_file_that_is_one_unfinished_line(tmp_path: Path) -> None:
    """A first line that was never finished leaves an empty journal."""
    (tmp_path / "j").write_bytes(b'{"v":1,"se')
    with Journal(tmp_path / "j") as journal:
        assert journal.torn == 10
        assert [e.seq for e in read_journal(journal.path)] == [1]


def test_what_was_cut_does_not_pile_up(tmp_path: Path) -> None:
    """The file of what was cut is begun anew once it holds a MiB."""
    for _ in range(3):
        with (tmp_path / "j").open("ab") as file:
            file.write(b"x" * 700_000)
        Journal(tmp_path / "j").close()

    assert (tmp_path / "j.torn").stat().st_size == 700_001


def test_a_whole_line_without_its_end_was_never_written(tmp_path: Path) -> None:
    """An append that did not return is as if it never was: its line is cut even if only the end is missing."""
    path = tmp_path / "j"
    before = crashed(path)
    path.write_bytes(path.read_bytes()[:-1])
    with Journal(path) as journal:
        assert [e.seq for e in read_journal(path)] == [1, 2, 3, 4, 5, 6]
        assert list(read_journal(path))[:5] == before[:5]
        assert journal.seq == 6


@pytest.mark.parametrize("damaged", [1, 3, 6])
def test_numbers_are_not_given_twice_after_damage(tmp_path: Path, damaged: int) -> None:
    """Lines at the end that cannot be read any more keep their numbers."""
    path = tmp_path / "j"
    crashed(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-damaged]) + b"".join(b"?" + line[1:] for line in lines[-damaged:]))
    with Journal(path) as journal:
        assert journal.seq == 7


def test_numbers_go_on_from_rotated_files(tmp_path: Path) -> None:
    """Where the file being written is gone, numbers go on after the newest rotated one."""
    path = tmp_path / "j"
    numbers = [entry.seq for entry in crashed(path, 60, max_bytes=1024)]
    gone = path.read_bytes().count(b"\n")
    path.unlink()
    (tmp_path / "j.next").write_text("left by a rotation that a crash ended")
    with Journal(path, max_bytes=1024) as journal:
        assert journal.seq == numbers[-1] - gone + 1
        assert journal.torn == 0
        for n in range(30):
            journal.append("verified", n=n)
        read = [entry.seq for entry in read_journal(path)]
    assert read == list(range(read[0], read[0] + len(read)))


def test_a_file_that_cannot_be_read_at_all_is_kept(tmp_path: Path) -> None:
    """A file of nothing but damage is rotated away under a name of its own, and overwrites none."""
    path = tmp_path / "j"
    crashed(path, 60, max_bytes=1024)
    rotated = {p.name for p in tmp_path.iterdir() if p.name[2:].isdigit()}
    path.write_bytes(b"x" * 1000 + b"\n" + b"x" * 1000 + b"\n")
    with Journal(path, max_bytes=1024, keep=100) as journal:
        assert journal.seq > max(int(name[2:]) for name in rotated)
        now = {p.name for p in tmp_path.iterdir() if p.name[2:].isdigit()}

    assert rotated < now
    assert len(now) == len(rotated) + 1


def test_an_older_copy_in_place_of_the_file(tmp_path: Path) -> None:
    """Where somebody put back an older copy, its rotation overwrites no other file, and numbers go on."""
    path = tmp_path / "j"
    crashed(path, 4, max_bytes=2048)
    older = path.read_bytes()
    crashed(path, 60, max_bytes=1024, keep=100)
    path.write_bytes(older * 2)
    before = {p: p.read_bytes() for p in tmp_path.iterdir() if p.name[2:].isdigit()}
    with Journal(path, max_bytes=1024, keep=100) as journal:
        assert journal.seq > max(int(p.name[2:]) for p in before)

    assert {p: p.read_bytes() for p in before} == before


def test_a_last_line_after_zeros(tmp_path: Path) -> None:
    """A last line that stands behind damage without a line end between them is found, and its number is kept."""
    path = tmp_path / "j"
    before = crashed(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\0" * 700 + lines[-1])
    with Journal(path) as journal:
        assert journal.seq == before[-1].seq + 1


def test_a_lock_removed_while_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock on a file that is there no more is none: it is taken on the one that is."""
    flock = fcntl.flock
    removed: list[int] = []

    def late(fd: int, how: int) -> None:
        if not removed:
            (tmp_path / "j.lock").unlink()
            removed.append(fd)
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with Journal(tmp_path / "j") as journal:
        assert journal.writing
        assert not Journal(tmp_path / "j").writing
    assert (tmp_path / "j.lock").read_text() == f"{os.getpid()}\n"


def test_the_directory_must_exist(tmp_path: Path) -> None:
    """A missing directory is an error: it may be a volume that was not mounted."""
    with pytest.raises(JournalError, match=r"cannot be opened for writing \(No such file or directory\)"):
        Journal(tmp_path / "no" / "j")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A directory or a pipe in place of the file is refused at once, and the lock is given back."""
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "p")
    for name, why in [("d", "Is a directory"), ("p", "is no regular file")]:
        with pytest.raises(JournalError, match=why):
            Journal(tmp_path / name)
        (tmp_path / name).rename(tmp_path / "aside")
        Journal(tmp_path / name).close()
        (tmp_path / "aside").rename(tmp_path / "gone")
        if (tmp_path / "gone").is_dir():
            (tmp_path / "gone").rmdir()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_bytes": 10}, "JournalConfig.max_bytes must be an integer between 1024"),
        ({"keep": 0}, "JournalConfig.keep must be an integer between 1 and 1000"),
        ({"sync": "sometimes"}, "JournalConfig.sync must be one of 'destructive', 'always', 'never'"),
    ],
)
def test_settings_are_checked(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    """A setting out of range is named with its bounds, before any file is made."""
    with pytest.raises(ConfigError, match=told):
        Journal(tmp_path / "j", **options)
    with pytest.raises(ConfigError, match="a path to a file"):
        Journal("")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["file", "lock", "both", "directory"])
def test_files_taken_away_are_noticed(tmp_path: Path, what: str) -> None:
    """Within a second of the clock the writer sees that its files are gone or replaced, and begins anew."""
    clock = FakeClock()
    home = tmp_path / "home"
    home.mkdir()
    with Journal(home / "j", clock=clock) as journal:
        journal.append("verified", n=1)
        if what in ("file", "both"):
            (home / "j").rename(tmp_path / "aside")
        if what in ("lock", "both"):
            (home / "j.lock").unlink()
        if what == "directory":
            home.rename(tmp_path / "elsewhere")
            clock.advance(1.0)
            with pytest.raises(JournalError, match="No such file or directory"):
                journal.append("verified", n=2)
            home.mkdir()
            assert journal.try_to_write()
        clock.advance(1.0)
        entry = journal.append("verified", n=2)
        read = list(read_journal(home / "j"))
        with pytest.raises(JournalObservedError):
            Journal(home / "j").append("verified")

    assert read[-1] == entry
    assert entry.seq == 4
    assert [e.seq for e in read] == ([1, 2, 3, 4] if what == "lock" else [3, 4])


def test_a_lock_taken_by_another_meanwhile(tmp_path: Path) -> None:
    """A writer whose lock file was removed, and taken anew by another, stops writing within a second."""
    clock = FakeClock()
    first = Journal(tmp_path / "j", clock=clock)
    (tmp_path / "j.lock").unlink()
    second = Journal(tmp_path / "j", clock=clock)
    clock.advance(1.0)
    with pytest.raises(JournalObservedError):
        first.append("verified")

    assert (first.writing, second.writing) == (False, True)
    second.close()
    first.close()

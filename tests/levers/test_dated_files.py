"""Files of one kind in a directory: named by their time, private, whole, and no more than are to be kept."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from selfheal.durable import Sync
from selfheal.levers.dated_files import DatedFiles

AT = 1_700_000_000.25


def files(directory: Path, kind: str = "note", keep: int = 3, sync: Sync = "none") -> DatedFiles:
    """Text files."""
    return DatedFiles(directory, kind, "txt", keep=keep, sync=sync)


@pytest.mark.parametrize(
    ("reason", "slug"),
    [
        ("Queue stuck!", "queue-stuck"),
        ("", ""),
        ("../../etc/passwd", "etc-passwd"),
        ("ü\0\n", ""),
        ("a" * 39 + "!!b", "a" * 39),
    ],
)
def test_what_it_is_called(tmp_path: Path, reason: str, slug: str) -> None:
    """By its time to the millisecond, a number, and why, as far as that can stand in a name."""
    path = files(tmp_path).write(AT, reason, b"1")
    assert path == tmp_path / f"note-20231114T221320.250Z-000001-{slug}.txt"
    assert path.read_bytes() == b"1"
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_oldest_go(tmp_path: Path) -> None:
    """By their names; also those of an earlier process, and never what is of another kind."""
    others = ["note.txt", "other-20231114T221320.250Z-000001-.txt", "note-20231114T221320.250Z-000001-.txt.bak"]
    for name in others:
        (tmp_path / name).touch()
    link = tmp_path / "note-20000101T000000.000Z-000001-.txt"
    link.symlink_to(tmp_path / others[0])
    before = [files(tmp_path).write(AT + n, "before", b"") for n in range(3)]
    mine = files(tmp_path)
    made = [mine.write(AT + 10 + n, "now", b"") for n in range(2)]

    assert mine.all() == [before[2], *made]
    assert sorted(os.listdir(tmp_path)) == sorted([*others, link.name, *(path.name for path in mine.all())])


def test_two_kinds_share_a_directory(tmp_path: Path) -> None:
    """Each keeps its own number of its own."""
    notes, marks = files(tmp_path, keep=1), files(tmp_path, "mark", keep=2)
    for n in range(3):
        notes.write(AT + n, "", b"")
        marks.write(AT + n, "", b"")
    assert (len(notes.all()), len(marks.all())) == (1, 2)


def test_threads_may_write_at_once(tmp_path: Path) -> None:
    """All of one moment are there, each with its content."""
    mine = files(tmp_path, keep=100)
    threads = [threading.Thread(target=mine.write, args=(AT, "", b"%d" % n)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(path.read_bytes()) for path in mine.all()) == list(range(16))
    assert len(os.listdir(tmp_path)) == 16

"""Readers: what is asked for, in order, whatever the state of the files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.errors import ConfigError, JournalError
from selfheal.journal import Entry, Journal, ReadReport, read_journal
from selfheal.journal.places import Places, Rotated
from selfheal.journal.selecting import Selection
from selfheal.testing import FakeClock


def written(path: Path, count: int = 20, **options: Any) -> list[int]:
    """A journal with so many entries and one more at the opening; their numbers."""
    journal = Journal(path, clock=FakeClock(), **options)
    for n in range(count):
        journal.append("verified", n=n)
    journal._let_go()
    return [entry.seq for entry in read_journal(path)]


def test_no_journal_is_no_entries(tmp_path: Path) -> None:
    """Where there is nothing, not even a directory, there is nothing to read, and no error."""
    reading = read_journal(tmp_path / "no" / "journal.jsonl")

    assert list(reading) == []
    assert reading.report == ReadReport()


def test_what_was_asked_for(tmp_path: Path) -> None:
    """Time, types, run, strategy and target choose; an entry without the last two goes by its run."""
    clock = FakeClock(wall=1000.0)
    with Journal(tmp_path / "j", clock=clock) as journal:
        journal.append("healing_started", run="a", strategy="cpu", target="web")
        journal.append("healing_started", run="b", strategy="cpu", target="db")
        clock.advance(10.0)
        journal.append("action_done", run="a")
        journal.append("action_done", run="b")
        journal.append("action_intent", run="b", target="cache")
        journal.append("target_held", target="web")
        journal.append("healing_finished", run=["not", "an", "id"])

    def numbers(**asked: Any) -> list[int]:
        return [entry.seq for entry in read_journal(tmp_path / "j", **asked)]

    assert numbers() == list(range(1, 10))
    assert numbers(since=1010.0) == [4, 5, 6, 7, 8, 9]
    assert numbers(types="action_done") == [4, 5]
    assert numbers(types=["action_done", "target_held"]) == [4, 5, 7]
    assert numbers(run="b") == [3, 5, 6]
    assert numbers(strategy="cpu") == [2, 3, 4, 5, 6]
    assert numbers(target="web") == [2, 4, 7]
    assert numbers(target="db") == [3, 5]
    assert numbers(target="cache") == [6]
    assert numbers(strategy="cpu", target="web", types="action_done") == [4]
    assert numbers(limit=2) == [8, 9]
    assert numbers(limit=2, strategy="cpu") == [5, 6]
    assert numbers(limit=0) == []
    assert numbers(limit=1000) == list(range(1, 10))


def test_a_run_whose_beginning_was_rotated_away(tmp_path: Path) -> None:
    """The first entry that names strategy or target speaks for those of its run that come after it."""
    with Journal(tmp_path / "j") as journal:
        journal.append("action_done", run="a")
        journal.append("action_intent", run="a", target="web")
        journal.append("action_intent", run="a", strategy="cpu", target="cache")
        journal.append("verified", run="a")

    assert [entry.seq for entry in read_journal(tmp_path / "j", target="web")] == [3, 5]
    assert [entry.seq for entry in read_journal(tmp_path / "j", strategy="cpu")] == [4, 5]


def test_runs_are_forgotten_in_time() -> None:
    """However many runs there are, only so many are remembered, the newest among them."""
    selection = Selection(strategy="cpu")
    for n in range(20_000):
        assert selection.takes(Entry(n, 1.0, "healing_started", {"run": f"r{n}", "strategy": "cpu"}))

    assert len(selection._runs) == 10_000
    assert selection.takes(Entry(1, 1.0, "verified", {"run": "r19999"}))
    assert not selection.takes(Entry(1, 1.0, "verified", {"run": "r0"}))


@pytest.mark.parametrize("limit", [-1, True, 1.5])
def test_a_limit_is_a_count(tmp_path: Path, limit: int) -> None:
    """A limit that is none is refused when it is given."""
    with pytest.raises(ConfigError, match="limit must be an integer of 0 or more"):
        read_journal(tmp_path / "j", limit=limit)


def test_an_unfinished_line_is_left_alone(tmp_path: Path) -> None:
    """What has no line end yet is neither an entry nor damage."""
    path = tmp_path / "j"
    numbers = written(path)
    path.write_bytes(path.read_bytes()[:-5])
    reading = read_journal(path)

    assert [entry.seq for entry in reading] == numbers[:-1]
    assert reading.report.damaged == 0
    assert reading.report.torn > 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a journal."""
    path = tmp_path_factory.mktemp("whole") / "j"
    written(path)
    return path.read_bytes()


@settings(max_examples=200)
@given(data=st.data())
def test_damage_costs_no_other_line(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """With bytes changed anywhere, every line that none of them is in still reads, and the damage is counted."""
    places = data.draw(st.lists(st.integers(0, len(whole) - 2), min_size=1, max_size=4, unique=True))
    damaged = bytearray(whole)
    for place in places:
        damaged[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damaged") / "j"
    path.write_bytes(damaged)
    reading = read_journal(path)
    read = [entry.seq for entry in reading]

    ends = [n for n, byte in enumerate(whole) if byte == 10]
    hit = {sum(end < place for end in ends) + 1 for place in places if whole[place] != 10}
    assert read == [seq for seq in range(1, len(ends) + 1) if seq not in hit]
    assert reading.report.damaged >= 1
    assert reading.report.entries == len(read)


@pytest.mark.parametrize(
    "noise",
    [
        b"\0" * 5000,
        b"\n\n\n",
        b"not json\n",
        b"{}\n",
        b"\xff" * 1_000_000 + b"\n",
        b"x" * 262_144,
        b"[" * 600_000 + b"\n",
    ],
    ids=["zeros", "empty lines", "text", "object", "a long line", "no line end", "deep"],
)
def test_noise_between_lines(whole: bytes, tmp_path: Path, noise: bytes) -> None:
    """Zeros as a loss of power leaves them, empty and endless lines between whole ones cost none of these."""
    lines = whole.splitlines(keepends=True)
    (tmp_path / "j").write_bytes(b"".join(lines[:7]) + noise + b"".join(lines[7:]))
    reading = read_journal(tmp_path / "j")
    read = [entry.seq for entry in reading]

    after_endless = 8 if noise == b"x" * 262_144 else 0  # more than a block without an end takes the next with it
    assert read == [seq for seq in range(1, len(lines) + 1) if seq != after_endless]
    assert reading.report.damaged >= 1
    assert reading.report.missing == (1 if after_endless else 0)


def test_what_is_missing_is_counted(whole: bytes, tmp_path: Path) -> None:
    """Numbers that no entry has, between those that are there, are told."""
    lines = whole.splitlines(keepends=True)
    (tmp_path / "j").write_bytes(b"".join(lines[3:7] + lines[9:]))
    reading = read_journal(tmp_path / "j")

    assert len(list(reading)) == len(lines) - 5
    assert (reading.report.missing, reading.report.damaged) == (2, 0)


def test_rotated_files_are_read_in_order(tmp_path: Path) -> None:
    """Files are read oldest first, also when the one being written is not there, as a crash may leave it."""
    path = tmp_path / "j"
    numbers = written(path, 40, max_bytes=1024)
    assert len(numbers) == 41
    assert numbers == sorted(numbers)
    current = path.read_bytes().count(b"\n")
    path.unlink()
    reading = read_journal(path)

    assert [entry.seq for entry in reading] == numbers[:-current]
    assert reading.report.files > 1


def test_rotation_under_a_reader(tmp_path: Path) -> None:
    """A reader in the middle gets each entry that was there when it began, once, while files are rotated on."""
    path = tmp_path / "j"
    with Journal(path, max_bytes=1024, keep=1000) as journal:
        for n in range(100):
            journal.append("verified", n=n)
        reading = read_journal(path)
        read = [next(reading).seq for _ in range(30)]
        for n in range(500):
            journal.append("verified", n=n)
        read += [entry.seq for entry in reading]

    assert read == list(range(1, 102))
    assert reading.report.missing == 0


def test_rotations_before_the_files_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files rotated away after the one being written was opened change neither the order nor the entries."""
    listed = Places.rotated
    with Journal(tmp_path / "j", max_bytes=1024, keep=1000) as journal:
        for n in range(20):
            journal.append("verified", n=n)

        def late(places: Places) -> list[Rotated]:
            monkeypatch.undo()
            for n in range(50):
                journal.append("verified", n=n)
            return listed(places)

        monkeypatch.setattr(Places, "rotated", late)
        reading = read_journal(journal.path)
        assert [entry.seq for entry in reading] == list(range(1, 22))


def test_what_was_rotated_away_is_finished(tmp_path: Path) -> None:
    """A rotated file that ends in the middle of a line is damaged; only the one being written may be unfinished."""
    written(tmp_path / "j", 40, max_bytes=1024)
    oldest = min(p for p in tmp_path.iterdir() if p.name[2:].isdigit())
    oldest.write_bytes(oldest.read_bytes()[:-10])
    reading = read_journal(tmp_path / "j")
    list(reading)

    assert (reading.report.damaged, reading.report.torn, reading.report.missing) == (1, 0, 1)


def test_a_line_read_while_it_changes(whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that does not look right is looked at again before it counts as damaged."""
    (tmp_path / "j").write_bytes(whole)
    pread, calls = os.pread, [0]

    def early(fd: int, length: int, offset: int) -> bytes:
        calls[0] += 1
        seen = pread(fd, length, offset)
        return seen.replace(b"verified", b"verifie?", 3) if calls[0] == 1 else seen

    monkeypatch.setattr(os, "pread", early)
    reading = read_journal(tmp_path / "j")
    assert len(list(reading)) == whole.count(b"\n")
    assert reading.report.damaged == 0


def test_files_that_went_meanwhile_are_missing(tmp_path: Path) -> None:
    """A rotated file removed under a reader is passed over, and its entries are counted as missing."""
    path = tmp_path / "j"
    numbers = written(path, 60, max_bytes=1024, keep=100)
    rotated = sorted(p for p in tmp_path.iterdir() if p.suffix.removeprefix(".").isdigit())
    reading = read_journal(path)
    read = [next(reading).seq]
    gone = rotated[1].read_bytes().count(b"\n")
    rotated[1].unlink()
    read += [entry.seq for entry in reading]

    assert len(read) == len(numbers) - gone
    assert reading.report.missing == gone


def test_other_files_are_not_of_the_journal(tmp_path: Path) -> None:
    """Names that only look like those of rotated files are not read."""
    path = tmp_path / "j"
    numbers = written(path)
    for name in ("j.1", "j.000000000001.gz", "jj.000000000001", "j.torn", "j.bak"):
        (tmp_path / name).write_bytes(path.read_bytes())

    assert [entry.seq for entry in read_journal(path)] == numbers


def test_a_directory_cannot_be_read(tmp_path: Path) -> None:
    """What is there and cannot be read is an error, not an empty journal."""
    with pytest.raises(JournalError, match=r"it cannot be read \(Is a directory\)"):
        list(read_journal(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"it cannot be read \(Not a directory\)"):
        list(read_journal(tmp_path / "file" / "j"))


def test_an_abandoned_reading_keeps_no_file_open(tmp_path: Path) -> None:
    """Who stops reading in the middle leaves no descriptor behind."""
    written(tmp_path / "j", 60, max_bytes=1024)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        next(read_journal(tmp_path / "j"))

    assert len(os.listdir("/proc/self/fd")) == before

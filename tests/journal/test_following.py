"""Following: each entry as it comes, once, whatever happens to the files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from selfheal.errors import ConfigError
from selfheal.journal import Journal, follow
from selfheal.testing import FakeClock


class Script(FakeClock):
    """A clock at which the next step is done in each sleep, and following ends after the last."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        super().__init__()
        self.steps: Iterator[Callable[[], object]] = iter(steps)
        self.over = False
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Do what comes next instead."""
        self.slept.append(seconds)
        step = next(self.steps, None)
        if step is None:
            self.over = True
        else:
            step()

    def stop(self) -> bool:
        """Whether all is done."""
        return self.over


def numbers(path: Path, clock: Script, **asked: Any) -> list[int]:
    return [entry.seq for entry in follow(path, clock=clock, stop=clock.stop, **asked)]


def writes(journal: Journal, count: int = 1) -> Callable[[], object]:
    return lambda: [journal.append("verified", n=n) for n in range(count)]


@pytest.mark.parametrize(("limit", "seen"), [(0, [4, 5]), (1, [3, 4, 5]), (None, [1, 2, 3, 4, 5])])
def test_new_entries_as_they_come(tmp_path: Path, limit: int | None, seen: list[int]) -> None:
    """What is new comes after so many of those that were there; looks are ``poll`` apart."""
    with Journal(tmp_path / "j") as journal:
        writes(journal, 2)()
        clock = Script(writes(journal), lambda: None, writes(journal))
        read = [e.seq for e in follow(journal.path, limit=limit, clock=clock, stop=clock.stop, poll=0.5)]

    assert read == seen
    assert clock.slept == [0.5] * 4


def test_only_what_was_asked_for(tmp_path: Path) -> None:
    """The choice holds for what comes, too."""
    with Journal(tmp_path / "j") as journal:
        clock = Script(
            lambda: journal.append("healing_started", run="a", strategy="cpu"),
            lambda: journal.append("healing_started", run="b", strategy="memory"),
            lambda: journal.append("verified", run="a"),
        )
        read = [e.seq for e in follow(journal.path, strategy="cpu", clock=clock, stop=clock.stop)]

    assert read == [2, 4]


@pytest.mark.parametrize("burst", [1, 7, 100])
def test_across_rotations(tmp_path: Path, burst: int) -> None:
    """Nothing is lost or repeated, be it rotated once between two looks or many times."""
    with Journal(tmp_path / "j", max_bytes=1024, keep=1000) as journal:
        clock = Script(*[writes(journal, burst) for _ in range(30)])
        assert numbers(journal.path, clock) == list(range(2, 2 + 30 * burst))


def test_before_there_is_a_journal(tmp_path: Path) -> None:
    """A journal that is made later is followed from its first entry."""
    made: list[Journal] = []
    clock = Script(
        lambda: None,
        lambda: made.append(Journal(tmp_path / "j")),
        lambda: made[0].append("verified"),
    )
    assert numbers(tmp_path / "j", clock) == [1, 2]
    made[0].close()


def test_an_unfinished_line_is_waited_for(tmp_path: Path) -> None:
    """Half a line is no entry before its other half is there, and none at all when another takes its place."""
    path = tmp_path / "j"
    with Journal(path) as journal:
        size = path.stat().st_size
        journal.append("verified", text="x" * 100)
        line = path.read_bytes()[size:]
    whole = path.read_bytes()[: size + len(line)]
    path.write_bytes(whole[:size])
    clock = Script(
        lambda: path.write_bytes(whole[:-40]),
        lambda: path.write_bytes(whole),
        lambda: path.write_bytes(whole + b'{"v":1,"seq":3,'),
        lambda: path.write_bytes(whole),
    )
    assert numbers(path, clock) == [2]


def test_a_line_taken_back(tmp_path: Path) -> None:
    """Where a whole line was taken back and others stand in its place, these are given."""
    with Journal(tmp_path / "j") as journal:
        writes(journal, 2)()
        path = journal.path
        whole = path.read_bytes()

        def replaced() -> None:
            path.write_bytes(whole.rsplit(b"\n", 2)[0] + b"\n")
            journal._size = path.stat().st_size
            journal.append("verified", n="after")
            journal.append("verified", n="after that")

        assert numbers(path, Script(writes(journal), replaced), limit=None) == [1, 2, 3, 4, 5, 6]


def test_a_journal_begun_anew(tmp_path: Path) -> None:
    """When all was removed and numbers begin at 1 again, following goes on with those."""
    path = tmp_path / "j"
    first = Journal(path)
    writes(first, 5)()
    second: list[Journal] = []

    def anew() -> None:
        first.close()
        for file in tmp_path.iterdir():
            file.unlink()
        second.append(Journal(path))

    assert numbers(path, Script(anew, lambda: second[0].append("verified")), limit=1) == [6, 7, 1, 2]
    second[0].close()


def test_damage_is_passed_over(tmp_path: Path) -> None:
    """A damaged line is counted, and what comes after it is given."""
    with Journal(tmp_path / "j") as journal:

        def noise() -> None:
            with journal.path.open("ab") as file:
                file.write(b"noise\n")
            journal._size = journal.path.stat().st_size

        clock = Script(writes(journal), noise, writes(journal))
        reading = follow(journal.path, clock=clock, stop=clock.stop)
        assert [entry.seq for entry in reading] == [2, 3]

    assert reading.report.damaged == 1


def test_a_limit_is_a_count(tmp_path: Path) -> None:
    """A limit that is none is refused when it is given."""
    with pytest.raises(ConfigError, match="limit must be an integer of 0 or more"):
        follow(tmp_path / "j", limit=-1)

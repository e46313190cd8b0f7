"""Recoveries, repairs and releases that are themselves cut off; a standby; full disks; death at any time."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfheal.journal import read_journal
from tests.integration.crash_host import GRACE, LEVELS, START, TARGET
from tests.integration.crash_story import KILLED, Host, Story, asked, copied, die, knobs, made_rooms, places, restart

ONCE, TWICE = 40, 80
"""Ticks for one healing and what comes after it; and for a second one after the grace period."""


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """One for all tests of a worker."""
    with Host() as started:
        yield started


@pytest.fixture
def rooms() -> Iterator[Iterator[Path]]:
    """Empty directories, one after the other."""
    with made_rooms() as made:
        yield made


def nth(names: list[str], name: str, which: int) -> int:
    """The place of the n-th (from 0, or from the end) of a name."""
    return [place for place, one in enumerate(names, 1) if one == name][which]


FIRST = {
    "second-level-in-doubt": ("second_level", "after run", -1),
    "release-cut-off": ("second_level", "after undo", -1),
    "all-done-one-raised": ("failing", "after run", -1),
    "half-rolled-back": ("failing", "after undo", 1),
    "blind-in-doubt": ("failing", "before run", 2),
    "undo-impossible": ("stuck", "after rollback_failed", 0),
    "wiped-perhaps": ("unknown", "before run", 1),
}
"""What a first death interrupts: scenario, and the place by name."""


@pytest.mark.parametrize("first", FIRST)
def test_death_during_recovery(host: Host, rooms: Iterator[Path], first: str, long_run: bool) -> None:
    """The recovery is killed at each of its places too; a third process finds the same, and ends the same."""
    scenario, name, which = FIRST[first]
    place = nth(places(host, room := next(rooms), asked(room, scenario, ONCE)), name, which)
    dead = next(rooms)
    die(host, asked(dead, scenario, ONCE), place)
    named = places(host, room := copied(dead, next(rooms)), asked(room, scenario, 20))
    assert "before healing_finished" in named or first == "release-cut-off"
    for again in range(1, len(named) + 1):
        room = copied(dead, next(rooms))
        die(host, asked(room, scenario, 20), again)
        Story(room).check()
        restart(host, room, scenario)
        if long_run or named[again - 1].startswith("within"):
            before = Story(room)
            assert restart(host, room, scenario)["recovered"]["runs"] == []
            assert Story(room).world["effects"] == before.world["effects"]


def test_death_around_the_last_failure_of_the_limit(host: Host, rooms: Iterator[Path]) -> None:
    """From the moment that the failure is written down, whoever starts next is dormant."""
    named = places(host, room := next(rooms), asked(room, "failing", TWICE))
    begins = nth(named, "before healing_finished", 1)
    assert named.count("after dormancy") == 1
    for place in range(begins, len(named) + 1):
        room = next(rooms)
        die(host, asked(room, "failing", TWICE), place)
        failures = Story(room).failures
        seen = restart(host, room, "failing")
        assert (failures == 2) == (place >= begins + 2)
        assert seen["first"]["dormant"] == (failures == 2)
        assert ("dormancy" in seen["first"]["refusals"]) == (failures == 2)


@pytest.mark.parametrize(
    ("scenario", "name", "which"),
    [
        ("stuck", "after target_held", 0),
        ("stuck", "after dormancy", 0),
        ("stuck", "after healing_finished", 0),
        ("unknown", "after run", 1),
        ("stuck_release", "after rollback_failed", 0),
    ],
)
def test_death_during_a_repair(host: Host, rooms: Iterator[Path], scenario: str, name: str, which: int) -> None:
    """A person releases and resumes, and that is cut off at each place; done again it holds, also over restarts."""
    place = nth(places(host, room := next(rooms), asked(room, scenario, ONCE)), name, which)

    dead = next(rooms)
    die(host, asked(dead, scenario, ONCE), place)
    code, seen = host.live(asked(dead, scenario, 2))
    assert code == 0
    assert seen["last"]["held"] == [TARGET] or seen["last"]["dormant"]

    named = places(host, room := copied(dead, next(rooms)), asked(room, scenario) | {"release": True})
    for again in range(1, len(named) + 1):
        room = copied(dead, next(rooms))
        die(host, asked(room, scenario) | {"release": True}, again)
        Story(room).check()
        restart(host, room, scenario)
        if named[again - 1].startswith("after"):
            continue
        code, seen = host.live(asked(room, scenario, 20) | {"release": True})
        assert code == 0
        for look in (seen["first"], seen["last"], restart(host, room, scenario)["first"]):
            assert look["held"] == []
            assert not look["dormant"]
            assert not {"held", "dormancy"} & set(look["refusals"])
        after = Story(room)
        after.check()
        assert after.open_runs == set()
        if scenario == "stuck_release":
            assert after.world["values"]["valve"] == START["valve"]


def test_the_standby_takes_over(host: Host, rooms: Iterator[Path]) -> None:
    """A process that only observed ends what the killed writer left, and heals from then on."""
    for delay in (0.02, 0.05, 0.1, 0.15):
        room = next(rooms)
        writer = host.begin(asked(room, "second_level", 10_000) | {"pause": 0.01, "until_observed": True})
        until(lambda room=room: told(room, "journal_opened"))
        standby = host.begin(asked(room, "second_level", wall=1_700_000_900.0) | {"until_writing": True})
        until(lambda room=room: told(room, "action_intent"))
        time.sleep(delay)
        os.kill(writer, signal.SIGKILL)
        assert host.wait(writer)[0] == KILLED
        code, seen = host.wait(standby)
        before = Story(room, lives=1)  # read late: the standby may write as soon as the other is dead

        assert code == 0
        assert seen["first"]["observing"]
        assert "observing" in seen["first"]["refusals"]
        assert not seen["last"]["observing"]
        assert {run["run"] for run in seen["recovered"]["runs"]} == before.open_runs
        after = Story(room)
        after.check()
        assert all(after.runs[run].finished for run in before.open_runs)
        assert seen["last"]["actions_last_hour"] >= before.intents_since(0.0)


def told(room: Path, kind: str) -> bool:
    """Whether a journal has an entry of a type."""
    return any(entry.type == kind for entry in read_journal(room / "journal.jsonl"))


def until(holds: object, seconds: float = 60.0) -> None:
    """Wait until it holds."""
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("scenario", ["second_level", "failing", "stuck"])
def test_a_disk_that_fills_up(host: Host, rooms: Iterator[Path], scenario: str) -> None:
    """What cannot be written down is not done, and healing ends; with room made, the next process puts it right."""
    named = places(host, room := next(rooms), asked(room, scenario, ONCE))
    appends = [name.removeprefix("within ") for name in named if name.startswith("within")]
    for full_from in range(2, len(appends)):
        room = next(rooms)
        code, seen = host.live(asked(room, scenario, ONCE) | {"full_from": full_from})
        assert code == 0
        left = Story(room)
        left.check()
        assert len(left.entries) == full_from - 1
        if appends[full_from - 1] != "healing_finished" and any(left.runs[run].intents for run in left.open_runs):
            assert seen["last"]["dormant"]
        restart(host, room, scenario)
        code, seen = host.live(asked(room, scenario, ONCE) | {"release": True})
        assert code == 0
        after = Story(room)
        after.check()
        assert after.open_runs == set()
        assert all(run.finished for run in after.runs.values())
        turned = {"size"} if any(run.finished and run.finished["success"] for run in after.runs.values()) else set()
        assert knobs(seen["last"]["values"], turned | {"valve"}) == knobs(START, turned | {"valve"})


def test_a_disk_that_was_full_for_a_while(host: Host, rooms: Iterator[Path]) -> None:
    """What a healing left that could not go on is put right by the same process, once a person has resumed."""
    named = places(host, room := next(rooms), asked(room, "failing", 30))
    appends = [name.removeprefix("within ") for name in named if name.startswith("within")]
    for full_from in range(appends.index("action_intent") + 1, appends.index("healing_finished") + 1):
        room = next(rooms)
        code, seen = host.live(asked(room, "failing", 60) | {"full_from": full_from, "mended": True})
        assert code == 0
        after = Story(room)
        after.check()
        assert after.open_runs == set()
        (run,) = after.runs.values()
        assert run.finished is not None
        assert run.finished["outcome"] == "interrupted"
        assert knobs(seen["last"]["values"]) == knobs(START)
        assert seen["last"]["held"] == []
        assert restart(host, room, "failing")["recovered"]["runs"] == []


def test_death_at_any_time(host: Host, rooms: Iterator[Path], long_run: bool) -> None:
    """Killed from outside at random moments, life after life on one journal, with a person who repairs now and then."""
    chance = random.Random(11)
    kills = interrupted = 0
    for _ in range(70 if long_run else 3):
        room, scenario = next(rooms), chance.choice(sorted(LEVELS))
        for _ in range(8):
            kills += death(host, room, scenario, chance)
            left = Story(room)
            left.check()
            interrupted += bool(left.open_runs)
            if chance.random() < 0.5:
                restart(host, room, scenario)
        code, _seen = host.live(asked(room, scenario, ONCE) | {"release": True})
        assert code == 0
        after = Story(room)
        after.check()
        assert all(run.finished for run in after.runs.values())
    assert kills >= (500 if long_run else 12)
    assert interrupted >= 10 or not long_run  # most lives find a grace period, a hold or a dormancy


def death(host: Host, room: Path, scenario: str, chance: random.Random) -> bool:
    """A life that is killed while it writes, or some time later; tell whether it was, or had ended before."""
    wall = Story(room).wall + chance.choice([0.0, GRACE, GRACE, GRACE])
    # more than it lives for, however long it takes until somebody kills it
    request = asked(room, scenario, 5_000, wall=wall) | {"pause": 0.002, "release": chance.random() < 0.5}
    journal = room / "journal.jsonl"
    enough = chance.randrange(6000) + (journal.stat().st_size if journal.exists() else 0)
    latest = time.monotonic() + chance.uniform(0.05, 0.3)
    life = host.begin(request)
    while time.monotonic() < latest and (not journal.exists() or journal.stat().st_size < enough):
        time.sleep(0.0005)
    os.kill(life, signal.SIGKILL)
    return host.wait(life)[0] == KILLED

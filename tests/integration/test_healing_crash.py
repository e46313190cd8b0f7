"""Healings whose process dies at every place there is; what the next process finds, and makes of it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.crash_host import LEVELS, START, TARGET, Request
from tests.integration.crash_story import KILLED, Host, Seen, Story, check_restart, knobs

SCENARIOS = sorted(LEVELS)
ONCE, BEYOND = 40, 90
"""Ticks for one healing and what comes after it; and for one more after the grace period."""


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """One for all tests of a worker."""
    with Host() as started:
        yield started


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Iterator[Path]]:
    """Empty directories, one after the other; what was in them is removed at the end."""

    def made() -> Iterator[Path]:
        for n in itertools.count():
            room = tmp_path / str(n)
            room.mkdir()
            yield room

    yield made()
    shutil.rmtree(tmp_path, ignore_errors=True)


def asked(room: Path, scenario: str, ticks: int = 0, *, wall: float | None = None) -> Request:
    """A life that begins a second after the last one wrote something."""
    begins = Story(room).wall if wall is None else wall
    return Request(directory=str(room), scenario=scenario, wall=begins, ticks=ticks)


def places(host: Host, room: Path, request: Request) -> list[str]:
    """Every place at which a life may die."""
    code, seen = host.live(request)
    assert code == 0
    named: list[str] = seen["places"]
    assert len(named) > 10
    return named


def die(host: Host, request: Request, place: int) -> None:
    """A life that is killed at a place."""
    code, _ = host.live(request | {"die_at": place})
    assert code == KILLED


def restart(host: Host, room: Path, scenario: str) -> Seen:
    """Start again and recover; all of it must be as the journal says."""
    before = Story(room)
    code, seen = host.live(asked(room, scenario))
    assert code == 0
    check_restart(before, Story(room), seen)
    return seen


def go_on(host: Host, room: Path, scenario: str, ticks: int) -> None:
    """A second restart finds nothing to do; the world goes on beyond the grace period, and comes to rest."""
    before = Story(room)
    code, seen = host.live(asked(room, scenario, ticks))
    assert code == 0
    assert seen["recovered"]["runs"] == [] or before.open_runs
    after = Story(room)
    after.check()
    if not (before.open_runs or seen["first"]["dormant"]):
        assert knobs(seen["first"]["values"]) == knobs(before.world["values"])
        assert seen["first"]["held"] == sorted(before.held)
    if ticks:
        AT_REST[scenario](seen["last"], after)


def _healed(last: Seen, story: Story) -> None:
    """It was restarted, by whichever healing; the limit is off again."""
    assert last["values"]["restart"] >= 1
    assert last["values"]["rate"] == START["rate"]
    assert last["values"]["size"] in (START["size"], START["size"] / 2)
    assert last["measures"] == []
    assert last["held"] == []


def _as_before(last: Seen, story: Story) -> None:
    """All was undone, and the next attempt after the grace period as well."""
    assert knobs(last["values"]) == knobs(START)
    assert last["held"] == []
    assert len(story.runs) == 2
    assert last["dormant"] == (story.failures == 2)


def _stuck(last: Seen, story: Story) -> None:
    """What can be undone was; the rest is for a person, and nothing is healed until then."""
    assert last["values"]["rate"] == START["rate"] or story.open_runs
    assert last["dormant"]
    assert last["held"] == [TARGET] or story.open_runs


def _in_doubt(last: Seen, story: Story) -> None:
    """Either it is known what was done, and it heals; or the target is held."""
    assert (last["held"] == [TARGET]) == ("held" in last["refusals"])
    assert last["held"] == [TARGET] or last["values"]["wipe"] == 1


def _held_or_on(last: Seen, story: Story) -> None:
    """What cannot be released is held for a person, also after restarts."""
    assert last["values"]["valve"] in (START["valve"], START["valve"] * 3)
    assert last["held"] == [TARGET]


AT_REST = {
    "second_level": _healed,
    "failing": _as_before,
    "worse": _as_before,
    "stuck": _stuck,
    "unknown": _in_doubt,
    "stuck_release": _held_or_on,
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_death_at_every_place(host: Host, rooms: Iterator[Path], scenario: str) -> None:
    """Killed before, within and after each entry and each effect; the next process ends it, the one after goes on."""
    room = next(rooms)
    for place, name in enumerate(places(host, room, asked(room, scenario, ONCE)), 1):
        room = next(rooms)
        die(host, asked(room, scenario, ONCE), place)
        Story(room).check()
        restart(host, room, scenario)
        go_on(host, room, scenario, BEYOND if name.startswith("after") else 0)

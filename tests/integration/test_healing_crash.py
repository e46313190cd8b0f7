"""Healings whose process dies at every place there is; what the next process finds, and makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.crash_host import LEVELS, START, TARGET
from tests.integration.crash_story import Host, Seen, Story, asked, die, knobs, made_rooms, places, restart

SCENARIOS = sorted(LEVELS)
ONCE, BEYOND = 40, 90
"""Ticks for one healing and what comes after it; and for one more after the grace period."""


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
    assert story.held == {TARGET}


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

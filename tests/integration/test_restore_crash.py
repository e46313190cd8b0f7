"""Restores that are killed between any two changes on the disk, and at any moment: old or new, never a mix."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from selfheal.backup.restoring.journalling import RECORD, RestoreJournal
from tests.backup.restoring.made import picture
from tests.integration.crash_story import KILLED, ROOT, made_rooms
from tests.integration.restore_host import SECTIONS, Request, make_world, strip_world, targets

WAYS: dict[str, Request] = {
    "exchanged": {"acts": ["restore"]},
    "renamed": {"acts": ["restore"], "exchange": False},
    "in_place": {"acts": ["restore"], "in_place": ["data"]},
    "in_place_renamed": {"acts": ["restore"], "in_place": ["data"], "exchange": False},
    "probe_fails": {"acts": ["restore"], "probe": False},
    "probe_fails_renamed": {"acts": ["restore"], "probe": False, "exchange": False, "in_place": ["data"]},
    "kept": {"acts": ["restore"], "keep": True},
}
"""How the backup is put back."""

EVERY = {("exchanged", "recover"), ("exchanged", "resume"), ("in_place_renamed", "resume")}
"""What is killed at each of its steps, and not only in a long run: these pass all of them between them."""

BACK = {"staging", "rolling_back", "rolled_back"}
"""Phases from which even one who wants to go on with the restore goes back."""


pytestmark = pytest.mark.timeout(900)
"""Thousands of processes on a machine that may be slow, loaded or both."""


class Host:
    """The process that forks lives."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.restore_host"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._process.communicate(timeout=60)

    def live(self, room: Path, request: Request) -> dict[str, Any]:
        """One life that comes to its end."""
        told = self._ask({"life": {**request, "room": str(room)}})
        assert told["code"] == 0
        seen: dict[str, Any] = told["seen"]
        return seen

    def die(self, room: Path, request: Request, place: int) -> None:
        """One life that is killed at a place."""
        assert self._ask({"life": {**request, "room": str(room), "die_at": place}})["code"] == KILLED

    def begin(self, room: Path, request: Request) -> int:
        """One life beside this one: its process."""
        pid: int = self._ask({"life": {**request, "room": str(room)}, "background": True})["pid"]
        return pid

    def wait(self, pid: int) -> int:
        """The exit code of one that was begun."""
        code: int = self._ask({"wait": pid})["code"]
        return code

    def _ask(self, asked: dict[str, object]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


class World:
    """A room with a backup, and what each section and its surroundings look like before and after."""

    def __init__(self, host: Host, rooms: Iterator[Path], *, files: int = 3, stripped: bool = False) -> None:
        self.host, self._rooms, self._files, self._stripped = host, rooms, files, stripped
        self._around: dict[Path, dict[str, Any]] = {}
        room = self.fresh()
        self.old = self.sections(room)
        assert host.live(room, {"acts": ["restore"]})["outcomes"] == ["restored"]
        self.new = self.sections(room)
        assert all(self.old[name] != self.new[name] for name in SECTIONS)

    def fresh(self) -> Path:
        """A new room, as it is before anything is restored."""
        room = next(self._rooms)
        make_world(room, self._files)
        if self._stripped:
            strip_world(room)
        self._around[room] = self.surroundings(room)
        return room

    def sections(self, room: Path) -> dict[str, Any]:
        """What each section looks like; times of what is made anew in each room are left out, work directories too."""
        seen = {name: _timeless(picture(path)) for name, path in targets(room).items()}
        db = targets(room)["db"]
        beside = {end: db.with_name(f"app.db{end}") for end in ("-wal", "-shm", "-journal")}
        seen["db"] |= {end: ("file", path.read_bytes()) for end, path in beside.items() if path.exists()}
        return seen

    def surroundings(self, room: Path) -> dict[str, Any]:
        """All that a restore has no business with; what it puts beside its targets for a while is told by name."""
        mine = [str(path.relative_to(room)) for path in targets(room).values()]
        holders = {name: each[:2] for name, each in picture(room).items() if name in (".", "srv", "etc")}
        return holders | {
            name: each
            for name, each in picture(room).items()
            if name not in (*mine, *holders, "state")
            and not name.startswith(("state/", *(f"{one}/" for one in mine)))
            and not name.startswith("srv/app.db-")
            and ".restore-" not in name
        }

    def generation(self, room: Path) -> str:
        """Whether everything is old or everything is new; nothing else is."""
        seen = self.sections(room)
        assert seen in (self.old, self.new), {name: seen[name] not in (self.old[name],) for name in SECTIONS}
        return "old" if seen == self.old else "new"

    def check_dead(self, room: Path, request: Request) -> None:
        """What holds at the very moment of a death, before anybody has done anything about it."""
        seen = self.sections(room)
        assert self._without_made(self.surroundings(room)) == self._without_made(self._around[room])
        for name in SECTIONS:
            if name in request.get("in_place", ()) or name == "db":  # told as not atomic: the record leads out of it
                continue
            if request.get("exchange", True):
                assert seen[name] in (self.old[name], self.new[name])
            else:
                assert seen[name] in (self.old[name], self.new[name], {})

    def check_ended(self, room: Path, generation: str) -> None:
        """What holds once a restore is at its end, whoever brought it there."""
        assert self.generation(room) == generation
        assert not (room / "state" / RECORD).exists()
        left = [str(path) for path in room.rglob("*") if ".restore-" in path.name]
        assert left == []
        if generation == "old" or not self._stripped:
            assert self.surroundings(room) == self._around[room]

    def _without_made(self, seen: dict[str, Any]) -> dict[str, Any]:
        """Without the directories that hold the targets, which may have to be made."""
        return {name: each for name, each in seen.items() if name not in ("srv", "etc", ".")}


def _timeless(seen: dict[str, Any]) -> dict[str, Any]:
    return {
        name: (each[0], each[1], *each[3:]) if len(each) > 3 else each[:2]
        for name, each in seen.items()
        if ".restore-" not in name
    }


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


def phase(room: Path) -> str:
    """What is written down."""
    record = RestoreJournal(room / "state").read()
    return "none" if record is None else record.standing.phase.value


def expected(before: str, act: str) -> str:
    """What recovery must lead to, by what is written down alone."""
    if before == "committed":
        return "new"
    return "old" if act == "recover" or before in BACK else "new"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("act", ["recover", "resume"])
def test_death_at_every_step_of_a_restore(
    host: Host, rooms: Iterator[Path], way: str, act: str, long_run: bool
) -> None:
    """Wherever it is killed, each section is old or new, the record leads to all old or all new, and only once."""
    world, request = World(host, rooms), WAYS[way]
    again: Request = {**request, "acts": [act], "probe": True, "keep": False}
    places = host.live(world.fresh(), request)["places"]
    assert len(places) > 60
    every = long_run or (way, act) in EVERY
    led = set()
    for place in range(1, len(places) + 1, 1 if every else 3):
        host.die(room := world.fresh(), request, place)
        world.check_dead(room, request)
        before, seen = phase(room), world.sections(room)
        outcome = host.live(room, again)["outcomes"]
        if before in ("none", "kept"):
            assert outcome == [None]
            assert world.sections(room) == seen
            continue
        led.add(before)
        if phase(room) == "kept":
            host.live(room, {"acts": ["commit"]})
        world.check_ended(room, expected(before, act))
        assert host.live(room, again)["outcomes"] == [None]
    assert not every or {"staging", "staged", "swapping", "swapped", "probing"} <= led


@pytest.mark.parametrize("way", ["exchanged", "renamed"])
def test_death_at_every_step_where_nothing_is_left(host: Host, rooms: Iterator[Path], way: str, long_run: bool) -> None:
    """With the targets and their directories gone, a restore that is killed and taken back leaves nothing behind."""
    world, request = World(host, rooms, stripped=True), WAYS[way]
    for place in range(1, len(host.live(world.fresh(), request)["places"]) + 1, 1 if long_run else 3):
        host.die(room := world.fresh(), request, place)
        before = phase(room)
        host.live(room, {**request, "acts": ["recover"]})
        if before != "none":
            world.check_ended(room, expected(before, "recover"))


@pytest.mark.parametrize("way", ["exchanged", "renamed", "in_place", "in_place_renamed"])
@pytest.mark.parametrize("act", ["rollback", "commit"])
def test_death_at_every_step_of_an_end_that_a_person_chose(
    host: Host, rooms: Iterator[Path], way: str, act: str, long_run: bool
) -> None:
    """Killed while the kept state is put back or removed, and asked again or recovered: it ends as was chosen."""
    world, request = World(host, rooms), WAYS[way]
    kept: Request = {**request, "keep": True}
    chosen: Request = {**request, "acts": [act]}
    host.live(room := world.fresh(), kept)
    places = host.live(room, chosen)["places"]
    for place in range(1, len(places) + 1, 1 if long_run or way == "renamed" else 2):
        room = world.fresh()
        assert host.live(room, kept)["pending"] == "kept"
        host.die(room, chosen, place)
        world.check_dead(room, chosen)
        before = phase(room)
        if before == "kept":  # what was chosen is not written down yet
            host.live(room, chosen)
        else:
            host.live(room, {**request, "acts": ["recover"]})
        if before != "none":
            world.check_ended(room, "old" if act == "rollback" else "new")


FIRST = {
    "exchanged": ["staged file", "within staged", "exchanged", "renamed", "after swapped", "within probing", "removed"],
    "renamed": ["staged and synced", "before rename", "renamed", "after swapping"],
    "in_place": ["renamed", "exchanged", "after swapping", "after probing"],
    "probe_fails": ["after rolling_back", "exchanged", "before removal"],
    "in_place_renamed": ["before rename", "after swapped"],
}
"""What a first death interrupts: by way, names of steps."""


CASES = [(way, name) for way, names in FIRST.items() for name in names]


@pytest.mark.parametrize(("way", "name"), CASES)
def test_death_during_recovery(host: Host, rooms: Iterator[Path], way: str, name: str, long_run: bool) -> None:
    """The recovery is killed at each of its steps too; a third process brings it to the same end."""
    world, request = World(host, rooms), WAYS[way]
    named = host.live(world.fresh(), request)["places"]
    found = [place for place, one in enumerate(named, 1) if one == name]
    assert found
    acts = ["recover", "resume"] if long_run else ["recover", "resume"][CASES.index((way, name)) % 2 :][:1]
    for first, act in itertools.product(found if long_run else found[len(found) // 2 :][:1], acts):
        again: Request = {**request, "acts": [act], "probe": True}
        host.die(room := world.fresh(), request, first)
        before = phase(room)
        places = host.live(room, again)["places"]
        for place in range(1, len(places) + 1, 1 if long_run else 6):
            die_twice(world, request, first, again, place, expected(before, act))


def die_twice(world: World, request: Request, first: int, again: Request, place: int, generation: str) -> None:
    """A restore that is killed, a recovery that is killed, and one that is not."""
    world.host.die(room := world.fresh(), request, first)
    world.host.die(room, again, place)
    world.check_dead(room, request)
    between = phase(room)
    world.host.live(room, again)
    assert world.generation(room) == generation
    if between != "none":
        world.check_ended(room, generation)


def test_death_at_any_time(host: Host, rooms: Iterator[Path], long_run: bool) -> None:
    """Killed from outside at random moments, life after life in one room, recovered in random directions."""
    chance = random.Random(7)
    world, kills, cut_off = World(host, rooms, files=40), 0, 0
    room, wanted = world.fresh(), 600 if long_run else 25
    while kills < wanted:
        way = WAYS[chance.choice(["exchanged", "renamed", "in_place", "in_place_renamed"])]
        life = host.begin(room, {**way, "acts": ["restore", "rollback"], "keep": True, "rounds": 10_000})
        until_written(room)
        time.sleep(chance.uniform(0.0, 0.08))
        kills += kill(host, life)
        world.check_dead(room, way)
        before = phase(room)
        cut_off += before not in ("none", "kept")
        act = chance.choice(["recover", "resume"])
        for longer in itertools.count(1):  # the recovery is killed too, until it was fast enough
            if phase(room) in ("none", "kept"):
                break
            life = host.begin(room, {**way, "acts": [act]})
            time.sleep(chance.uniform(0.0, 0.02 * longer))
            kills += kill(host, life)
            world.check_dead(room, way)
        if phase(room) == "kept":
            assert world.generation(room) == "new"
            host.live(room, {**way, "acts": ["rollback"] if before == "kept" else ["commit"]})
        now = world.generation(room)
        assert now == "old" or act == "resume"
        world.check_ended(room, now)
        if now == "new":
            room = world.fresh()
    assert kills >= (500 if long_run else 25)
    assert cut_off >= wanted // 10


def kill(host: Host, life: int) -> bool:
    """End one that was begun; tell whether it was not at its end already."""
    os.kill(life, signal.SIGKILL)
    return host.wait(life) == KILLED


def until_written(room: Path) -> None:
    """Wait until a restore has begun."""
    deadline = time.monotonic() + 60.0
    while not (room / "state" / RECORD).exists():
        assert time.monotonic() < deadline
        time.sleep(0.001)

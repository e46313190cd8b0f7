"""Old and new change places by renames, and any of them can be the last one before a crash."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from selfheal.backup.restoring import exchanging
from selfheal.backup.restoring.exchanging import (
    Item,
    Room,
    exchange,
    make_rooms,
    opened,
    put_strangers_aside,
    swap,
    sync_file_system,
    unswap,
    untouched,
)
from selfheal.errors import RestoreStuckError


class CutOffError(BaseException):
    """The process is gone."""


class Cut:
    """Ends everything at a step."""

    def __init__(self, at: int = 0) -> None:
        self.passed = 0
        self._at = at

    def __call__(self, name: str) -> None:
        self.passed += 1
        if self.passed == self._at:
            raise CutOffError


@attrs.define
class Scene:
    """A home with an old thing, and a new one that waits."""

    home: Path
    old: bool = True
    new: bool = True

    def __attrs_post_init__(self) -> None:
        self.home.mkdir(parents=True)
        (self.home / "neighbour").write_text("n")
        fd = os.open(self.home, os.O_RDONLY)
        make_rooms(fd, "work")
        os.close(fd)
        if self.old:
            (self.home / "it").mkdir()
            (self.home / "it" / "old").touch()
        if self.new:
            (self.home / "work" / "new" / "it").mkdir()
            (self.home / "work" / "new" / "it" / "new").touch()

    @property
    def item(self) -> Item:
        """What is to be exchanged."""
        waiting = self.home / "work" / "new" / "it"
        return Item("it", waiting.stat().st_ino if self.new else None, self.old)

    def where(self) -> dict[str, list[str]]:
        """What is where."""
        there = {"home": self.home, **{name: self.home / "work" / name for name in exchanging.ROOMS}}
        return {
            name: sorted(path.name for path in (at / "it").iterdir())
            for name, at in there.items()
            if (at / "it").exists()
        }


def room_of(scene: Scene, exchange: bool, cut: Cut | None = None) -> Iterator[Room]:
    """The rooms of a scene, opened."""
    with opened(str(scene.home), "work", exchange=exchange, step=cut or Cut()) as room:
        yield room


BEFORE = {"home": ["old"], "new": ["new"]}
AFTER = {"home": ["new"], "previous": ["old"]}
CASES = [
    (True, True, BEFORE, AFTER),
    (False, True, {"new": ["new"]}, {"home": ["new"]}),
    (True, False, {"home": ["old"]}, {"previous": ["old"]}),
    (False, False, {}, {}),
]


@pytest.mark.parametrize("way", [True, False], ids=["exchange", "rename"])
@pytest.mark.parametrize(("old", "new", "before", "after"), CASES)
def test_there_and_back(
    tmp_path: Path, way: bool, old: bool, new: bool, before: dict[str, list[str]], after: dict[str, list[str]]
) -> None:
    """A swap puts each in its place, done twice it does no more, and an unswap leaves all as it was."""
    scene = Scene(tmp_path / "home", old, new)
    item = scene.item
    for room in room_of(scene, way):
        assert scene.where() == before
        for _ in range(2):
            swap(room, item, "it")
            assert scene.where() == after
        for _ in range(2):
            unswap(room, item, "it")
            assert scene.where() == before
    assert (scene.home / "neighbour").read_text() == "n"


@pytest.mark.parametrize("way", [True, False], ids=["exchange", "rename"])
@pytest.mark.parametrize(("old", "new", "before", "after"), CASES)
@pytest.mark.parametrize("then", [swap, unswap])
@pytest.mark.parametrize("first", ["swap", "unswap"])
def test_cut_off_at_every_step(
    tmp_path: Path,
    way: bool,
    old: bool,
    new: bool,
    before: dict[str, list[str]],
    after: dict[str, list[str]],
    then: object,
    first: str,
) -> None:
    """Whichever rename was the last before a crash, going on and going back both lead to their end."""
    for number in itertools.count(1):
        scene = Scene(tmp_path / str(number), old, new)
        item, cut, ended = scene.item, Cut(), False
        if first == "unswap":
            for room in room_of(scene, way):
                swap(room, item, "it")
        cut = Cut(number)
        try:
            for room in room_of(scene, way, cut):
                (swap if first == "swap" else unswap)(room, item, "it")
            ended = True
        except CutOffError:
            pass
        for room in room_of(scene, way):
            if then is swap:
                unswap(room, item, "it") if first == "unswap" else None
                swap(room, item, "it")
                assert scene.where() == after
            else:
                unswap(room, item, "it", touched=not untouched(room, [item]))
                assert scene.where() == before
        if ended:
            break
    assert number <= 6


def test_an_exchange_leaves_no_moment_without_one(tmp_path: Path) -> None:
    """Where the kernel can exchange, the name is there at every step."""
    scene = Scene(tmp_path / "home")
    item, seen = scene.item, []
    with opened(str(scene.home), "work", step=lambda name: seen.append((scene.home / "it").exists())) as room:
        swap(room, item, "it")
        unswap(room, item, "it")
    assert len(seen) > 4
    assert all(seen)


@pytest.mark.parametrize("way", [True, False], ids=["exchange", "rename"])
def test_what_somebody_put_in_the_place_is_kept_aside(tmp_path: Path, way: bool) -> None:
    """A rollback brings the old back also where the restored one was replaced meanwhile, and throws nothing away."""
    scene = Scene(tmp_path / "home")
    item = scene.item
    for room in room_of(scene, way):
        swap(room, item, "it")
        (scene.home / "it").rename(tmp_path / "elsewhere")
        (scene.home / "it").mkdir()
        (scene.home / "it" / "third").touch()
        unswap(room, item, "it")
    assert scene.where() == {"home": ["old"], "aside": ["third"]}


def test_what_came_where_nothing_was_is_put_aside(tmp_path: Path) -> None:
    """What came into being where neither the old nor the new had anything goes too, if anything was exchanged."""
    scene = Scene(tmp_path / "home", old=False, new=False)
    item = Item("it", None, False)
    (scene.home / "it").mkdir()
    for room in room_of(scene, True):
        unswap(room, item, "it", touched=False)
        assert scene.where() == {"home": []}
        unswap(room, item, "it")
        assert scene.where() == {"aside": []}


def test_what_came_before_the_new_was_put_there_stays(tmp_path: Path) -> None:
    """While the new one still waits, what is in its place is not of the restore, whatever else was exchanged."""
    scene = Scene(tmp_path / "home", old=False)
    item = scene.item
    (scene.home / "it").mkdir()
    for room in room_of(scene, True):
        unswap(room, item, "it", touched=True)
    assert scene.where() == {"home": [], "new": ["new"]}


def test_strangers_are_put_aside_under_free_names(tmp_path: Path) -> None:
    """What is no item and not named goes aside; what has the name of something there gets another."""
    scene = Scene(tmp_path / "home")
    for text in ("one", "two"):
        (scene.home / "stranger").write_text(text)
        for room in room_of(scene, True):
            put_strangers_aside(room, ["work", "neighbour"], [scene.item])
    aside = scene.home / "work" / "aside"
    assert {path.name: path.read_text() for path in aside.iterdir()} == {"stranger": "one", "stranger~2": "two"}
    assert sorted(path.name for path in scene.home.iterdir()) == ["it", "neighbour", "work"]


def test_nothing_is_guessed(tmp_path: Path) -> None:
    """What is neither of the two, in places that tell nothing, ends it; both stay where they are."""
    scene = Scene(tmp_path / "home")
    unknown = Item("it", 1, True)
    for room in room_of(scene, True):
        for move in (swap, unswap):
            with pytest.raises(RestoreStuckError, match="old or the restored"):
                move(room, unknown, "section 'data'")
        (scene.home / "work" / "previous" / "it").mkdir()
        with pytest.raises(RestoreStuckError, match="in its place and in 'previous'"):
            swap(room, scene.item, "section 'data'")
    assert scene.where() == {"home": ["old"], "new": ["new"], "previous": []}


def test_rooms_are_private_and_no_links(tmp_path: Path) -> None:
    """The work directory is closed to others, made anew, and not followed where it is a link."""
    scene = Scene(tmp_path / "home")
    assert (scene.home / "work").stat().st_mode & 0o777 == 0o700
    fd = os.open(scene.home, os.O_RDONLY)
    with pytest.raises(FileExistsError):
        make_rooms(fd, "work")
    os.close(fd)
    (scene.home / "link").symlink_to("work")
    with pytest.raises(OSError, match="link|directory"), opened(str(scene.home), "link"):
        pass


def test_no_exchange_where_the_library_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the call, two renames do; nothing is tried half."""
    monkeypatch.setattr(exchanging, "_renameat2", lambda: None)
    scene = Scene(tmp_path / "home")
    item = scene.item
    for room in room_of(scene, True):
        swap(room, item, "it")
        assert scene.where() == AFTER
        unswap(room, item, "it")
        assert scene.where() == BEFORE


def test_an_exchange_that_fails_is_told(tmp_path: Path) -> None:
    """That one of the two is missing is an error with its name, not a reason to rename."""
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(FileNotFoundError, match="nothing"):
            exchange(fd, fd, "nothing")
        sync_file_system(fd)
    finally:
        os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        sync_file_system(fd)

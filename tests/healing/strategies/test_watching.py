"""Strategy files that change while they are used."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfheal.errors import ConfigError, InvalidConfigError
from selfheal.events import Event, EventBus, StrategiesRefused, StrategiesReloaded
from selfheal.healing.strategies import StrategyFile
from selfheal.healing.strategies.loading import contents_of
from selfheal.testing import FakeClock
from tests.healing.strategies.making import ACTIONS, file_of, strategy

NOW = 1_700_000_000.0


class Watched:
    """A file, who watches it, and what was told."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.path, self.clock, self.told = path, FakeClock(wall=NOW), list[Event]()
        bus = EventBus()
        bus.subscribe(self.told.append, StrategiesReloaded, StrategiesRefused, inline=True)
        self.file = StrategyFile(path, actions=ACTIONS, clock=self.clock, events=bus, **settings)

    def write(self, *names: str, ago: float = 60.0) -> None:
        """Write strategies of these names, so many seconds ago."""
        write(self.path, json.dumps(file_of(*(strategy(name=name) for name in names))), ago, self.clock.wall())

    def looked(self) -> tuple[str, ...] | None:
        """The names of the new strategies, if there are new ones."""
        found = self.file.look()
        return None if found is None else found.names


def write(path: Path, text: str, ago: float = 60.0, now: float = NOW) -> None:
    """Write a file and set its time."""
    path.write_text(text)
    os.utime(path, (now - ago, now - ago))


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """A file with strategy ``a``, watched since then."""
    path = tmp_path / "s.json"
    write(path, json.dumps(file_of(strategy(name="a"))))
    return Watched(path)


def test_what_did_not_change_is_not_taken_again(watched: Watched) -> None:
    """Looks at the same content give nothing and tell nothing."""
    assert [watched.looked() for _ in range(3)] == [None, None, None]
    assert watched.file.strategies.names == ("a",)
    assert (watched.file.problem, watched.told) == (None, [])


def test_a_good_change_is_taken_once(watched: Watched) -> None:
    """The look after a change gives the new set, and an event; the next one nothing."""
    watched.write("b", "c")

    assert [watched.looked(), watched.looked()] == [("b", "c"), None]
    assert watched.file.strategies.names == ("b", "c")
    assert watched.told == [StrategiesReloaded(at=NOW, source=str(watched.path), strategies=2)]


def test_a_bad_change_leaves_the_old_set(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """Content that is not accepted is told once, with all that is wrong, and kept as the problem until it is gone."""
    with caplog.at_level(logging.WARNING, "selfheal.strategies"):
        write(watched.path, json.dumps(file_of(strategy(actions=["lgo"]), 3)))
        assert [watched.looked() for _ in range(3)] == [None, None, None]

    assert watched.file.strategies.names == ("a",)
    assert isinstance(watched.file.problem, InvalidConfigError)
    assert len(watched.file.problem.problems) == 2
    assert watched.told == [
        StrategiesRefused(at=NOW, source=str(watched.path), problem=str(watched.file.problem)),
    ]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "strategies[0].actions[0] must be" in caplog.text

    watched.write("b")
    assert (watched.looked(), watched.file.problem) == (("b",), None)


def test_bad_content_that_changes_is_told_anew(watched: Watched) -> None:
    """A second bad content is another problem."""
    write(watched.path, "{")
    watched.looked()
    write(watched.path, "{{")
    watched.looked()

    assert [type(event) for event in watched.told] == [StrategiesRefused, StrategiesRefused]


def test_the_old_content_come_back_is_no_news(watched: Watched) -> None:
    """After a bad change taken back the same strategies hold as before, without an event, and no problem is left."""
    write(watched.path, "{")
    watched.looked()
    watched.write("a")

    assert (watched.looked(), watched.file.problem, len(watched.told)) == (None, None, 1)
    write(watched.path, "{")
    assert (watched.looked(), len(watched.told)) == (None, 2)


def test_a_vanished_file_leaves_the_old_set(watched: Watched) -> None:
    """A file that is gone is a problem, told once; when it is back it is taken."""
    watched.path.unlink()
    assert [watched.looked(), watched.looked()] == [None, None]
    assert "No such file" in str(watched.file.problem)
    assert (len(watched.told), watched.file.strategies.names) == (1, ("a",))

    watched.write("a")
    assert (watched.looked(), watched.file.problem) == (None, None)
    watched.path.unlink()
    watched.looked()
    watched.write("b")
    assert watched.looked() == ("b",)


def test_a_half_written_file_is_not_taken(tmp_path: Path) -> None:
    """A file written within the last half second is left for the next look: TOML cut off may be well formed."""
    path = tmp_path / "s.toml"
    whole = "version = 1\n" + "".join(
        f"[[strategies]]\nname = '{name}'\nalerts = ['x']\nactions = ['log']\n" for name in "abc"
    )
    write(path, whole.replace("'c'", "'d'"))
    watched = Watched(path)
    write(path, whole[: whole.index("[[strategies]]\nname = 'c'")], ago=0.1)

    assert watched.looked() is None
    assert watched.told == []
    write(path, whole, ago=0.0)
    assert watched.looked() is None
    watched.clock.advance(0.6)
    assert watched.looked() == ("a", "b", "c")


def test_without_quiet_a_change_is_taken_at_once(tmp_path: Path) -> None:
    """A host that replaces its files as a whole need not wait."""
    write(tmp_path / "s.json", json.dumps(file_of()))
    watched = Watched(tmp_path / "s.json", quiet=0.0)
    watched.write("b", ago=0.0)

    assert watched.looked() == ("b",)


def test_a_time_in_the_future_holds_nothing_up(watched: Watched) -> None:
    """A file server whose clock is ahead does not keep changes from being taken."""
    watched.write("b", ago=-3600.0)

    assert watched.looked() == ("b",)


def test_a_second_write_at_the_same_time_is_seen(tmp_path: Path) -> None:
    """A write that leaves size and time as they were is seen, if the file was read right after the first."""
    path = tmp_path / "s.json"
    write(path, json.dumps(file_of(strategy(name="a"))), ago=1.0)
    watched = Watched(path)
    watched.write("b", ago=1.0)

    assert watched.looked() == ("b",)


def test_a_file_that_rests_is_not_read(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at a file whose size and time are the same does not open it."""
    monkeypatch.setattr("selfheal.healing.strategies.watching.contents_of", lambda path: pytest.fail("was read"))

    assert watched.looked() is None


def test_a_file_written_while_it_is_read_waits(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content that changed between two glances of one look is not taken."""
    read, place = contents_of, "selfheal.healing.strategies.watching.contents_of"

    def meddled(path: str | Path) -> Any:
        found = read(path)
        watched.write("c", "d")
        monkeypatch.setattr(place, read)
        return found

    watched.write("beta")
    monkeypatch.setattr(place, meddled)

    assert [watched.looked(), watched.looked()] == [None, ("c", "d")]


def test_a_directory_is_watched_as_a_whole(tmp_path: Path) -> None:
    """New, changed and removed files of a directory are seen; one bad file keeps all as they were."""
    folder = tmp_path / "strategies"
    folder.mkdir()
    write(folder / "a.json", json.dumps(file_of(strategy(name="a"))))
    watched = Watched(folder)

    write(folder / "b.json", json.dumps(file_of(strategy(name="b"))))
    assert watched.looked() == ("a", "b")
    write(folder / "c.json", "{")
    assert (watched.looked(), watched.file.strategies.names) == (None, ("a", "b"))
    assert "c.json: the file must be" in str(watched.file.problem)
    (folder / "c.json").unlink()
    assert (watched.looked(), watched.file.problem) == (None, None)
    (folder / "a.json").unlink()
    assert watched.looked() == ("b",)


def test_a_directory_that_is_gone_for_a_while(tmp_path: Path) -> None:
    """A directory that vanishes, or is emptied, is a problem until it is there again."""
    folder = tmp_path / "strategies"
    folder.mkdir()
    write(folder / "a.json", json.dumps(file_of(strategy(name="a"))))
    watched = Watched(folder)
    shutil.move(folder, tmp_path / "aside")
    assert watched.looked() is None
    assert watched.file.problem is not None
    shutil.move(tmp_path / "aside", folder)

    assert (watched.looked(), watched.file.problem) == (None, None)
    shutil.move(folder / "a.json", tmp_path / "a.json")
    assert [watched.looked(), watched.looked()] == [None, None]
    assert isinstance(watched.file.problem, ConfigError)
    assert "one with 0" in str(watched.file.problem)
    assert len(watched.told) == 2
    shutil.move(tmp_path / "a.json", folder / "a.json")
    assert (watched.looked(), watched.file.problem) == (None, None)


def test_at_the_beginning_there_is_nothing_to_keep(tmp_path: Path) -> None:
    """A file that is not accepted at the start is an error: a host does not begin without its strategies."""
    write(tmp_path / "s.json", "{")
    with pytest.raises(InvalidConfigError):
        StrategyFile(tmp_path / "s.json")
    with pytest.raises(ConfigError, match=r"StrategyFile\.quiet must be between 0.0 and 60.0 s, got -1"):
        StrategyFile(tmp_path / "s.json", quiet=-1)


CONTENTS = ["{", "a", "b", "gone", json.dumps(file_of(3)), json.dumps(file_of(strategy(actions=["lgo"])))]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(CONTENTS), max_size=8))
def test_the_last_good_content_holds_whatever_happens(tmp_path: Path, contents: list[str]) -> None:
    """Through any changes: the strategies are those of the last good content, the problem that of the last content."""
    path = tmp_path / "s.json"
    write(path, json.dumps(file_of(strategy(name="a"))))
    watched, holds = Watched(path), ("a",)
    for number, content in enumerate(contents):
        if content in ("a", "b"):
            write(path, json.dumps(file_of(strategy(name=content))), 59.0 - number)
            assert watched.looked() == (None if holds == (content,) else (content,))
            holds = (content,)
        else:
            write(path, content, 59.0 - number)
            if content == "gone":
                path.unlink()
            assert watched.looked() is None
        assert watched.file.strategies.names == holds
        assert (watched.file.problem is None) == (content in ("a", "b"))

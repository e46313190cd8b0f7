"""``selfheal backup replicate``: copies at the places of the settings: sent, verified, listed, thinned out, fetched."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.cli.backup.rig import Host


@pytest.fixture
def id(host: Host) -> str:
    """A backup, and two places for copies: one that works, and one that does not."""
    settings = host.path("selfheal-backup.toml")
    host.path("wall").touch()
    places = [("offsite", host.path("offsite")), ("broken", host.path("wall/x"))]
    tables = "".join(f"\n[[places]]\nname = '{name}'\nurl = 'file://{path}'\n" for name, path in places)
    settings.write_text(settings.read_text() + tables)
    return host.made()


def copied(host: Host) -> Path:
    """The data of the copy."""
    return next(host.path("offsite").glob("*Z/data/data"))


def test_a_copy_is_sent(host: Host, id: str) -> None:
    """It says what was written, and the second time that nothing was."""
    told = host("replicate", "--place", "offsite")

    assert (told.code, told.err) == (0, "")
    assert told.lines[0].startswith(f"backup {id} is at offsite: 4 files written and read back, 69 bytes, in ")
    assert (copied(host) / "f1").read_text() == "1\n" * 10
    assert host("replicate", "--place", "offsite").lines[0].endswith(", 4 were there already and are right")


def test_one_place_fails(host: Host, id: str) -> None:
    """The others get their copy all the same; what failed is a line with the name of the place, and the code is 1."""
    told = host("replicate")

    assert told.code == 1
    assert told.lines[0].startswith(f"backup {id} is at offsite: 4 files")
    assert told.err.startswith("selfheal: broken: cannot ")
    assert told.err.count("\n") == 1
    places = host("replicate", "--json").document["places"]
    assert [(one["name"], "error" in one) for one in places] == [("offsite", False), ("broken", True)]


def test_copies_are_verified(host: Host, id: str) -> None:
    """Every byte is read there: sound is 0; damage is named, with 3; a new copy puts it right."""
    host("replicate", "--place", "offsite")
    told = host("replicate", "--verify", "--place", "offsite")
    assert (told.code, told.lines[:2]) == (0, ["at offsite:", f"backup {id}: sound"])
    assert host("replicate", id, "--verify", "--place", "offsite").code == 0
    assert host("replicate", "2100-01-01", "--verify", "--place", "offsite").code == 0

    (copied(host) / "f1").write_text("1\n" * 9 + "2\n")
    told = host("replicate", "--verify", "--place", "offsite")
    assert told.code == 3
    assert any(line.split()[:3] == ["data", "f1", "corrupt"] for line in told.lines)
    assert host("replicate", "--verify", "--place", "offsite", "--json").document["places"][0]["verification"]["counts"]
    assert host("replicate", "--verify").code == 3
    assert host("replicate", "--place", "offsite").code == 0
    assert host("replicate", "--verify", "--place", "offsite").code == 0


def test_copies_are_listed(host: Host, id: str) -> None:
    """A row for each, by place; a place without any is told."""
    assert host("replicate", "--list", "--place", "offsite").lines == ["there are no copies at offsite"]
    host("replicate", "--place", "offsite")
    told = host("replicate", "--list", "--place", "offsite")

    assert told.code == 0
    assert told.lines[0].split() == ["PLACE", "ID", "AGE", "FILES", "SIZE", "DAMAGE"]
    assert re.fullmatch(rf"offsite +{id} +\d+ s +4 +69 bytes +-", told.lines[1])
    copies = host("replicate", "--list", "--place", "offsite", "--json").document["places"][0]["copies"]
    assert [(one["id"], one["bytes"]) for one in copies] == [(id, 69)]


def test_copies_are_thinned_out(host: Host, id: str) -> None:
    """What the settings keep no longer goes there, and only there; a dry run says so before."""
    host.retain(1)
    host("replicate", "--place", "offsite")
    newest = host.made()
    host("replicate", "--place", "offsite")
    dry = host("replicate", "--prune", "--dry-run", "--place", "offsite")
    assert (dry.code, dry.lines[:2]) == (0, ["at offsite:", "1 backup kept, 1 would be removed"])
    assert len(list(host.path("offsite").glob("*Z*"))) == 2
    told = host("replicate", "--prune", "--place", "offsite")

    assert (told.code, told.err) == (0, "")
    assert told.lines[:2] == ["at offsite:", "1 backup kept, 1 removed"]
    assert told.lines[3].split() == [id, "removed", "-"]
    assert [path.name for path in host.path("offsite").glob("*Z*")] == [newest]
    assert host.ids() == [id, newest]
    (place,) = host("replicate", "--prune", "--place", "offsite", "--json").document["places"]
    assert place["pruned"]["removed"] == []
    assert list(place["pruned"]["keep"]) == [newest]


def test_a_place_that_cannot_be_thinned_out(host: Host, id: str) -> None:
    """One that cannot be read is told, and keeps the others from nothing."""
    host("replicate", "--place", "offsite")
    told = host("replicate", "--prune")

    assert told.code == 1
    assert told.err.startswith("selfheal: broken: cannot ")
    assert told.lines[:2] == ["at offsite:", "1 backup kept, 0 removed"]


@pytest.mark.parametrize("which", ["latest", "id"])
def test_a_copy_is_fetched(host: Host, id: str, which: str) -> None:
    """After the store was lost it is there again, sound, and the command that puts it back is told."""
    host("replicate", "--place", "offsite")
    shutil.rmtree("backups")
    told = host("replicate", "--fetch", id if which == "id" else which, "--place", "offsite")

    assert (told.code, told.err) == (0, "")
    assert told.lines[-1] == f"to put it back: selfheal backup restore {id}"
    assert host("verify").code == 0


def test_what_cannot_be_fetched(host: Host, id: str) -> None:
    """A copy is fetched from one place, and not over a backup that is there."""
    host("replicate", "--place", "offsite")

    assert "Say --place, one of: offsite, broken" in host("replicate", "--fetch", id).err
    assert f"there is a backup {id} already" in host("replicate", "--fetch", id, "--place", "offsite").err
    told = host("replicate", "--fetch", "20200101T000000Z", "--place", "offsite")
    assert (told.code, told.err) == (1, f"selfheal: no copy is named '20200101T000000Z'. There are: {id}.\n")


def test_places_are_known_by_name(host: Host, id: str) -> None:
    """An unknown one is told with those there are, before anything is sent."""
    told = host("replicate", "--place", "x", "--place", "offsite")

    assert (told.code, told.err) == (1, "selfheal: no place is named 'x'. There are: broken, offsite.\n")
    assert not host.path("offsite").exists()


def test_no_places(host: Host) -> None:
    """Settings without places cannot say where to."""
    host.made()
    told = host("replicate")

    assert (told.code, told.out) == (1, "")
    assert "the settings have no places" in told.err


@pytest.mark.parametrize(
    "arguments", [["x", "--list"], ["x", "--fetch", "y"], ["x", "--prune"], ["--list", "--verify"], ["--dry-run"]]
)
def test_wrong_arguments(host: Host, id: str, arguments: list[str]) -> None:
    """What does not go together is refused with code 2."""
    assert host("replicate", *arguments).code == 2

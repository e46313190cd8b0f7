"""What a restore would do, and why it would be refused, found out without touching anything."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import attrs
import pytest

from selfheal.backup import Section, Skipped
from selfheal.backup.restoring import plan_restore, planning
from selfheal.backup.restoring.planning import RestorePlan
from selfheal.backup.restoring.words import amount, count, moment
from selfheal.backup.store import BackupStore
from selfheal.errors import ManifestRefusedError, NotFoundError, RestoreRefusedError
from selfheal.testing import FakeClock
from tests.backup.restoring.made import Shelf, grown, picture


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """A backup of a file and a directory."""
    grown(tmp_path, {"etc/app.toml": "x = 1", "srv/data/a": "12345", "srv/data/b/c": ""})
    shelf = Shelf(tmp_path / "store")
    shelf.put({"config": tmp_path / "etc" / "app.toml", "data": tmp_path / "srv" / "data"})
    return shelf


def test_a_plan_for_a_person(shelf: Shelf, tmp_path: Path) -> None:
    """It says of what, from when, to where, how, with how much space, and that nothing was changed."""
    plan = plan_restore(shelf, in_place=["data"], targets={"config": tmp_path / "new" / "place" / "app.toml"})
    text = plan.as_text()
    assert text.splitlines()[0] == "Restore of backup 20231114T221320Z, made 2023-11-14 22:13:20 UTC"
    assert f"1. config: {tmp_path}/new/place/app.toml" in text
    assert "nothing is there now" in text
    assert f"{tmp_path}/new is made first" in text
    assert f"2. data: {tmp_path}/srv/data" in text
    assert "2 files, 5 bytes, copied from" in text
    assert "NOT atomic as a whole" in text
    assert "REFUSED" not in text
    assert text.endswith("Nothing was changed.")
    plan.check()


def test_a_plan_with_problems_says_so(shelf: Shelf, tmp_path: Path) -> None:
    """All of them, and checking it raises them."""
    plan = plan_restore(shelf, targets={"data": tmp_path / "etc", "config": tmp_path / "etc" / "app.toml"})
    assert "This would be REFUSED:" in str(plan)
    with pytest.raises(RestoreRefusedError) as caught:
        plan.check()
    assert caught.value.reasons == plan.problems


def refused(plan: RestorePlan, words: str) -> None:
    """There is one problem, with these words."""
    assert len(plan.problems) == 1, plan.problems
    assert words in plan.problems[0]


def test_targets_that_lie_in_one_another(shelf: Shelf, tmp_path: Path) -> None:
    """Neither two targets, nor a target and the store or the record, may be one inside the other."""
    for target in (tmp_path, tmp_path / "store", tmp_path / "store" / "20231114T221320Z" / "x"):
        refused(plan_restore(shelf, sections=["data"], targets={"data": target}), "lie in one another")
    run = tmp_path / "srv" / "data" / "run"
    refused(plan_restore(shelf, sections=["data"], off_limits=[run]), f"{run} lie in one another")
    both = {"config": tmp_path / "srv" / "data" / "app.toml"}
    refused(plan_restore(shelf, targets=both), "sections 'config' and 'data' lie in one another")
    (tmp_path / "link").symlink_to("store")
    refused(plan_restore(shelf, sections=["data"], targets={"data": tmp_path / "link"}), "lie in one another")


def test_the_root_is_never_replaced(shelf: Shelf) -> None:
    """Whatever else is the matter with it, that is told too."""
    plan = plan_restore(shelf, sections=["data"], targets={"data": "/"})
    assert any("would replace the root" in problem for problem in plan.problems)


def test_what_cannot_be_restored_in_place(shelf: Shelf, tmp_path: Path) -> None:
    """One file, and a directory where there is a file; where nothing is, in place means nothing."""
    refused(plan_restore(shelf, sections=["config"], in_place=["config"]), "is one file")
    target = {"data": tmp_path / "etc" / "app.toml"}
    refused(plan_restore(shelf, sections=["data"], targets=target, in_place=["data"]), "is no directory")
    plan = plan_restore(shelf, sections=["data"], targets={"data": tmp_path / "none"}, in_place=["data"])
    assert plan.problems == ()
    assert not plan.sections[0].in_place


def test_a_target_below_a_file(shelf: Shelf, tmp_path: Path) -> None:
    """A path through a file leads nowhere."""
    plan = plan_restore(shelf, sections=["data"], targets={"data": tmp_path / "etc" / "app.toml" / "x" / "y"})
    refused(plan, "app.toml is no directory")


def test_mounts_are_seen(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount point is restored in place; one inside a target is refused, for it would be carried off with it."""
    monkeypatch.setattr(planning, "mount_points", lambda: frozenset({tmp_path / "srv" / "data"}))
    plan = plan_restore(shelf, sections=["data"])
    assert plan.sections[0].in_place
    assert "it is a mount point" in str(plan)
    assert plan.problems == ()
    monkeypatch.setattr(planning, "mount_points", lambda: frozenset({tmp_path / "srv" / "data" / "b"}))
    refused(plan_restore(shelf, sections=["data"]), "is mounted inside the target")


def test_no_leave_to_write(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found out before anything is begun."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    refused(plan_restore(shelf, sections=["data"]), "no leave to write in")


@attrs.frozen
class Disk:
    """What a file system says of itself."""

    f_bavail: int = 1 << 40
    f_frsize: int = 1
    f_favail: int = 1 << 20
    f_files: int = 1 << 20
    f_flag: int = 0


def test_space_is_looked_at_first(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes and inodes, summed up by file system; one that does not count inodes has enough of them."""
    disk: dict[str, Any] = {}
    monkeypatch.setattr(os, "statvfs", lambda path: Disk(**disk))
    (space,) = plan_restore(shelf).space
    assert (space.bytes, space.inodes) == (planning._RESERVE + 4 * 4096, 16 + 5)
    disk = {"f_bavail": space.bytes, "f_favail": space.inodes}
    assert plan_restore(shelf).problems == ()
    for less in ({"f_bavail": space.bytes - 1}, {"f_favail": space.inodes - 1}):
        disk = less
        plan = plan_restore(shelf)
        refused(plan, "there is not enough space: 8.0 MiB of")
        assert "NOT ENOUGH" in str(plan)
    disk = {"f_favail": 0, "f_files": 0}
    assert plan_restore(shelf).problems == ()
    disk = {"f_flag": os.ST_RDONLY}
    assert all("is read-only" in problem for problem in plan_restore(shelf).problems)


def test_holes_and_second_names_need_no_space(tmp_path: Path) -> None:
    """A file of five gigabytes of nothing can be put back where there is not so much."""
    data = grown(tmp_path / "data", {"a": "1"})
    os.link(data / "a", data / "second")
    with (data / "huge").open("wb") as file:
        file.truncate(1 << 23)
    shelf = Shelf(tmp_path / "store")
    manifest = shelf.put({"data": data})
    (shelf.path(manifest.id) / "data" / "data" / "huge").unlink()
    with (shelf.path(manifest.id) / "data" / "data" / "huge").open("wb") as file:
        file.truncate(5 << 30)
    entries = tuple(attrs.evolve(e, size=5 << 30) if e.path == "huge" else e for e in manifest.sections[0].entries)
    shelf.write(attrs.evolve(manifest, sections=(attrs.evolve(manifest.sections[0], entries=entries),)))
    (space,) = plan_restore(shelf).space
    assert space.bytes - planning._RESERVE <= 3 * 4096
    assert space.inodes == 16 + 3


def test_what_is_asked_for_must_be_there(shelf: Shelf) -> None:
    """A section that the backup has not is named, with those it has; none is no restore."""
    for options in ({"sections": ["dta"]}, {"targets": {"dta": "/x"}}, {"in_place": ["dta"]}):
        with pytest.raises(NotFoundError, match="'dta'.*config, data"):
            plan_restore(shelf, **options)
    refused(plan_restore(shelf, sections=[]), "no section was chosen")


def test_an_incomplete_backup_is_told(shelf: Shelf) -> None:
    """What is not in it, and what changed while it was made, a person must know before they choose it."""
    manifest = shelf.manifest("20231114T221320Z")
    data = attrs.evolve(manifest.sections[1], unstable=("a",), skipped=(Skipped("sock", "socket"),))
    shelf.write(attrs.evolve(manifest, sections=(manifest.sections[0], data)))
    text = str(plan_restore(shelf))
    assert "1 file changed while being backed up: 'a'" in text
    assert "not in the backup: 1 name: 'sock' (socket)" in text


def test_a_manifest_with_another_key(tmp_path: Path) -> None:
    """Signed backups are only planned with the key they were signed with."""
    data = grown(tmp_path / "data", {"a": "1"})
    key = b"k" * 32
    BackupStore(tmp_path / "store", [Section("data", data)], clock=FakeClock(), key=key).create()
    assert plan_restore(BackupStore(tmp_path / "store", key=key)).sections[0].name == "data"
    with pytest.raises(ManifestRefusedError):
        plan_restore(BackupStore(tmp_path / "store", key=b"another key, also long enough"))


def test_the_newest_at_a_date_or_before(tmp_path: Path) -> None:
    """By date the backup is chosen that was there then."""
    data = grown(tmp_path / "data", {"a": "1"})
    clock = FakeClock(wall=1_700_000_000.0)
    store = BackupStore(tmp_path / "store", [Section("data", data)], clock=clock)
    first = store.create().id
    clock.advance(86_400.0)
    second = store.create().id
    assert plan_restore(store).backup == second
    assert plan_restore(store, datetime.datetime(2023, 11, 15, 22, 0, tzinfo=datetime.UTC)).backup == first
    assert plan_restore(store, "2023-11-16").backup == second
    with pytest.raises(NotFoundError):
        plan_restore(store, "2023-11-13")


def test_nothing_is_touched(shelf: Shelf, tmp_path: Path) -> None:
    """Not even a time of anything."""
    before = picture(tmp_path)
    plan_restore(shelf, in_place=["data"])
    assert picture(tmp_path) == before


def test_figures_as_people_read_them() -> None:
    """Units fit the size, and one is not many."""
    assert [amount(size) for size in (0, 1, 1023, 1024, 1 << 20, 3 << 29, 1 << 62)] == [
        "0 bytes",
        "1 byte",
        "1023 bytes",
        "1.0 KiB",
        "1.0 MiB",
        "1.5 GiB",
        "4096.0 PiB",
    ]
    assert (count(1, "file"), count(1200, "file")) == ("1 file", "1,200 files")
    assert moment(0.0) == "1970-01-01 00:00:00 UTC"

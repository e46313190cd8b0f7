"""What a restore does to the disk: databases with their companions, directories that must stay, and nothing else."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from selfheal.backup import Section
from selfheal.backup.restoring import Restorer, plan_restore
from selfheal.backup.restoring.mounts import mount_points
from selfheal.backup.restoring.moving import Mover, record_of
from selfheal.backup.store import BackupStore
from selfheal.errors import RestoreFailedError
from selfheal.testing import FakeClock
from tests.backup.restoring.made import Shelf, grown, picture


def restorer(shelf: Shelf | BackupStore, room: Path, **options: Any) -> Restorer:
    """One for a room."""
    (room / "run").mkdir(exist_ok=True)
    return Restorer(shelf, room / "run", clock=FakeClock(), **options)


def rows(path: Path) -> list[int]:
    """What is in the database; a companion that is not its own would show here."""
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [n for (n,) in connection.execute("SELECT n FROM t ORDER BY n")]
    finally:
        connection.close()


def writing(path: Path, *values: int) -> sqlite3.Connection:
    """A connection that keeps what it wrote in the write-ahead log."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("CREATE TABLE IF NOT EXISTS t (n)")
    connection.executemany("INSERT INTO t VALUES (?)", [(value,) for value in values])
    connection.commit()
    return connection


def as_after_a_crash(path: Path, *values: int) -> None:
    """A database whose last rows are in its log alone."""
    connection = writing(path.with_name("work.db"), *values)
    for end in ("", "-wal", "-shm"):
        (path.parent / f"{path.name}{end}").write_bytes((path.parent / f"work.db{end}").read_bytes())
    connection.close()
    path.with_name("work.db").unlink(missing_ok=True)


@pytest.mark.parametrize("whole", [True, False], ids=["in a directory", "alone"])
def test_no_stale_log_survives_beside_a_database(tmp_path: Path, whole: bool) -> None:
    """The restored database holds what was backed up, not what an old log would make of it; taken back, the old one."""
    db = tmp_path / "srv" / "app.db"
    db.parent.mkdir()
    writing(db, 1, 2).close()
    store = BackupStore(tmp_path / "store", [Section("db", db.parent if whole else db)], clock=FakeClock())
    store.create()
    db.unlink()
    as_after_a_crash(db, 7, 8, 9)
    assert (db.parent / "app.db-wal").stat().st_size > 0
    (db.parent / "app.db-journal").write_bytes(b"left by somebody")
    before = picture(db.parent)
    one = restorer(store, tmp_path)
    one.restore(one.plan())
    assert sorted(path.name for path in db.parent.iterdir() if not path.name.startswith(".")) == ["app.db"]
    assert rows(db) == [1, 2]
    connection = writing(db, 3)  # the host goes on, with a log of its own
    one.rollback()
    connection.close()
    after = picture(db.parent)
    assert {name: each for name, each in after.items() if name != "."} == {
        name: each for name, each in before.items() if name != "."
    }
    (db.parent / "app.db-journal").unlink()
    assert rows(db) == [7, 8, 9]


def test_a_log_that_came_before_anything_was_moved_stays(tmp_path: Path) -> None:
    """Cut off before the database itself was moved, what was written beside it meanwhile belongs to it."""
    db = tmp_path / "srv" / "app.db"
    db.parent.mkdir()
    writing(db, 1).close()
    store = BackupStore(tmp_path / "store", [Section("db", db)], clock=FakeClock())
    store.create()
    for end in ("-wal", "-shm"):
        db.with_name(f"app.db{end}").unlink(missing_ok=True)
    (plan,) = plan_restore(store).sections
    mover, section = Mover("0a0b"), record_of(plan)
    mover.stage(plan, section, "sha256", None)
    section = mover.listed(section)
    assert [item.name for item in section.items] == ["app.db-wal", "app.db-shm", "app.db-journal", "app.db"]
    wal = db.with_name("app.db-wal")
    wal.write_text("of the old one")
    mover.unswap(section)
    assert wal.read_text() == "of the old one"
    mover.swap(section)
    assert not wal.exists()
    wal.write_text("of the restored one")
    mover.unswap(section)
    assert wal.read_text() == "of the old one"
    mover.clean(section, undone=True)
    assert sorted(path.name for path in db.parent.iterdir()) == ["app.db", "app.db-wal"]


def test_a_backup_of_the_store_comes_back(tmp_path: Path) -> None:
    """What the store of backups made is what comes back: by date, with modes, times, links, holes and second names."""
    data = grown(tmp_path / "srv" / "data", {"a": "1", "b/c": "2", "empty": ""})
    (data / "b" / "link").symlink_to("../a")
    os.link(data / "a", data / "second")
    with (data / "holes").open("wb") as file:
        file.truncate(1 << 20)
    (data / os.fsdecode(b"\xff\xfe")).write_text("no utf-8")
    (data / "b").chmod(0o750)
    os.utime(data / "b", (1, 2))
    clock = FakeClock(wall=1_700_000_000.0)
    store = BackupStore(tmp_path / "store", [Section("data", data)], clock=clock)
    store.create()
    before = picture(data)
    clock.advance(86_400.0)
    (data / "a").write_text("later")
    store.create()
    for path in data.iterdir():
        if path.is_file():
            path.unlink()
    one = restorer(store, tmp_path, keep_previous=False)
    one.restore(one.plan("2023-11-15T12:00"))
    assert picture(data) == before
    one.restore(one.plan())
    assert (data / "a").read_text() == "later"


def in_place(tmp_path: Path) -> tuple[Shelf, Path]:
    """A directory that must stay, backed up and changed."""
    data = grown(tmp_path / "data", {"same": "s", "changed": "1", "gone/x": "g", "lost+found/f": "of the file system"})
    shelf = Shelf(tmp_path / "store")
    (data / "lost+found").rename(tmp_path / "aside")
    data.chmod(0o750)
    os.utime(data, (5, 5))
    shelf.put({"data": data})
    (tmp_path / "aside").rename(data / "lost+found")
    grown(data, {"changed": "2", "new/y": "n"})
    (data / "gone" / "x").unlink()
    (data / "gone").rmdir()
    data.chmod(0o700)
    return shelf, data


@pytest.mark.parametrize("exchange", [True, False])
def test_a_directory_that_must_stay(tmp_path: Path, exchange: bool) -> None:
    """Its entries change, it does not: who holds it open sees the restored ones; mode and time come and go too."""
    shelf, data = in_place(tmp_path)
    before, number = picture(data), data.stat().st_ino
    one = restorer(shelf, tmp_path, exchange=exchange)
    held = os.open(data, os.O_RDONLY)
    report = one.restore(one.plan(in_place=["data"]))
    names = [name for name in os.listdir(held) if ".restore-" not in name]
    os.close(held)
    assert sorted(names) == ["changed", "gone", "lost+found", "same"]
    assert (data / "changed").read_text() == "1"
    assert (data.stat().st_ino, data.stat().st_mode & 0o777) == (number, 0o750)
    assert report.sections[0].how == "in_place"
    assert "not atomic as a whole" in report.as_markdown()
    grown(data, {"written/since": "w"})
    one.rollback()
    assert picture(data) == before


def test_a_directory_that_stays_has_its_time_after_the_clean_up(tmp_path: Path) -> None:
    """The removal of what was beside its entries does not show in its time."""
    shelf, data = in_place(tmp_path)
    one = restorer(shelf, tmp_path, keep_previous=False)
    one.restore(one.plan(in_place=["data"]))
    assert data.stat().st_mtime_ns == 5_000_000_000
    assert (data / "lost+found" / "f").exists()


def test_a_mount_point_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That its own mode and time cannot be set is no reason to stop: its entries come and go."""
    shelf, data = in_place(tmp_path)
    number, utime, chmod = data.stat().st_ino, os.utime, os.chmod

    def strict(call: Any) -> Any:
        def refusing(at: Any, *arguments: Any, **named: Any) -> None:
            if "dir_fd" not in named and os.stat(at).st_ino == number:
                raise PermissionError(1, "Operation not permitted")
            call(at, *arguments, **named)

        return refusing

    monkeypatch.setattr(os, "utime", strict(utime))
    monkeypatch.setattr(os, "chmod", strict(chmod))
    one = restorer(shelf, tmp_path)
    one.restore(one.plan(in_place=["data"]))
    assert (data / "changed").read_text() == "1"
    one.rollback()
    assert (data / "changed").read_text() == "2"
    assert one.pending is None


def test_a_file_where_a_directory_was_and_the_other_way_round(tmp_path: Path) -> None:
    """What is there is exchanged whatever it is, links too, and comes back."""
    conf = grown(tmp_path / "etc", {"app.toml": "x"}) / "app.toml"
    data = grown(tmp_path / "srv" / "data", {"a": "1"})
    shelf = Shelf(tmp_path / "store")
    shelf.put({"config": conf, "data": data})
    conf.unlink()
    grown(conf, {"a": "directory"})
    (data / "a").unlink()
    data.rmdir()
    data.write_text("a file")
    one = restorer(shelf, tmp_path)
    one.restore(one.plan())
    assert (conf.read_text(), (data / "a").read_text()) == ("x", "1")
    one.rollback()
    assert ((conf / "a").read_text(), data.read_text()) == ("directory", "a file")


def test_a_target_that_is_a_link(tmp_path: Path) -> None:
    """What it leads to is replaced; the link stays."""
    data = grown(tmp_path / "releases" / "5", {"a": "1"})
    (tmp_path / "current").symlink_to("releases/5")
    shelf = Shelf(tmp_path / "store")
    shelf.put({"data": data})
    (data / "a").write_text("2")
    one = restorer(shelf, tmp_path)
    plan = one.plan(targets={"data": tmp_path / "current"})
    assert plan.sections[0].target == data
    one.restore(plan)
    assert os.readlink(tmp_path / "current") == "releases/5"
    assert (tmp_path / "current" / "a").read_text() == "1"


def test_directories_made_for_a_target_go_with_it(tmp_path: Path) -> None:
    """Taken back, a target that was not there is gone again, with what was made to hold it, unless somebody uses it."""
    data = grown(tmp_path / "source", {"a": "1"})
    shelf = Shelf(tmp_path / "store")
    shelf.put({"data": data, "other": data})
    targets = {"data": tmp_path / "x" / "y" / "data", "other": tmp_path / "v" / "w" / "data"}

    def use_and_fail() -> bool:
        (tmp_path / "v" / "used").touch()
        return False

    one = restorer(shelf, tmp_path, probe=use_and_fail)
    with pytest.raises(RestoreFailedError):
        one.restore(one.plan(targets=targets))
    assert not (tmp_path / "x").exists()
    assert [path.name for path in (tmp_path / "v").iterdir()] == ["used"]


def test_the_table_of_mounts(tmp_path: Path) -> None:
    """Names in it are written with octal escapes; a system without it has none."""
    table = tmp_path / "mountinfo"
    table.write_bytes(b"36 35 98:0 /a /mnt/with\\040blank rw - ext4 /dev/x rw\n37 35 98:0 / / rw - ext4 /dev/y rw\n\n")
    assert mount_points(str(table)) == {Path("/mnt/with blank"), Path("/")}
    assert mount_points(str(tmp_path / "none")) == frozenset()
    assert Path("/") in mount_points()

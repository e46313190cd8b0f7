"""Backups being made: hooks, what is skipped or changes meanwhile, databases, holes, and what goes wrong."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selfheal.backup import BackupStore, ManifestLimits, Progress, Section, SectionManifest, verify
from selfheal.errors import BackupBusyError, BackupError, ConfigError, SectionRefusedError
from selfheal.events import BackupCreated, BackupFailed, Event, EventBus
from tests.backup.rig import DiedError, dying_at, found, store_at
from tests.backup.trees import grow, look


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory with two files."""
    path = tmp_path / "source"
    (path / "inner").mkdir(parents=True)
    (path / "a").write_text("first")
    (path / "inner" / "b").write_text("second")
    return path


def _only(store: BackupStore) -> SectionManifest:
    (section,) = store.manifest(store.get().id).sections
    return section


def _kept(store: BackupStore, name: str = "data") -> Path:
    return store.get().path / "data" / name


def test_sections_in_order_with_a_single_file(tmp_path: Path, source: Path) -> None:
    """Sections keep their order; one that is a single file keeps its name."""
    (tmp_path / "app.toml").write_text("size = 3")
    store = store_at(tmp_path / "store", [Section("config", tmp_path / "app.toml"), Section("data", source)])
    record = store.create()
    manifest = store.manifest(record.id)

    assert [(section.name, section.root) for section in manifest.sections] == [("config", "file"), ("data", "dir")]
    assert (_kept(store, "config") / "app.toml").read_text() == "size = 3"
    assert (record.files, record.size) == (3, 8 + 5 + 6)
    assert verify(store).ok


def test_sha256sum_agrees(tmp_path: Path) -> None:
    """The tool of the system checks a backup by the file of checksums, whatever the names are, and finds a change."""
    grow(tmp_path / "source", 11, 80)
    store = store_at(tmp_path / "store", [Section("data", tmp_path / "source")])
    store.create()
    check = ["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"]
    assert subprocess.run(check, cwd=store.get().path, capture_output=True, check=False).returncode == 0
    lines = (store.get().path / "SHA256SUMS").read_bytes().count(b"\n")
    assert lines == store.get().files + 1

    with open(store.get().path / "hashes.json", "ab") as file:
        file.write(b" ")
    assert subprocess.run(check, cwd=store.get().path, capture_output=True, check=False).returncode == 1


def test_what_is_excluded_and_what_is_skipped(tmp_path: Path, source: Path) -> None:
    """What a pattern names is left out with all below it; sockets and pipes are left out and listed."""
    (source / "cache" / "deep").mkdir(parents=True)
    (source / "cache" / "deep" / "x").touch()
    (source / "b.tmp").touch()
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(source / "socket"))
    store = store_at(tmp_path / "store", [Section("data", source, exclude=["cache", "*.tmp"])])
    record = store.create()

    assert {entry.path for entry in _only(store).entries} == {".", "a", "inner", "inner/b"}
    assert {(skipped.path, skipped.why) for skipped in _only(store).skipped} == {
        ("pipe", "named pipe"),
        ("socket", "socket"),
    }
    assert record.skipped == 2


def test_the_store_is_not_in_its_own_backup(source: Path) -> None:
    """A store inside the source is left out, and listed as such."""
    store = store_at(source / "backups", [Section("data", source)])
    store.create()
    store.create()

    assert _only(store).skipped[0].path == "backups"
    assert not (_kept(store) / "backups").exists()


def test_hooks_and_probe(tmp_path: Path, source: Path) -> None:
    """Before, the copying, the probe, after: in this order, and the probe's answer is in the manifest."""
    told: list[str] = []

    def probe() -> dict[str, Any]:
        told.append("probe")
        return {"orders": 3, "password": "hunter2"}

    def step(name: str) -> None:
        told.append(name) if name == "file copied" else None

    section = Section(
        "data", source, before=lambda: told.append("before"), after=lambda: told.append("after"), probe=probe
    )
    store = store_at(tmp_path / "store", [section], step=step)
    store.create()

    assert told == ["before", "file copied", "file copied", "probe", "after"]
    assert _only(store).probe == {"orders": 3, "password": "[redacted]"}


@pytest.mark.parametrize("failing", ["before", "probe", "copying", "source"])
def test_after_is_always_called(tmp_path: Path, source: Path, failing: str) -> None:
    """Whatever goes wrong, the hook ``after`` runs, no backup is made, and nothing is left behind."""
    told: list[str] = []

    def fail() -> dict[str, Any]:
        raise RuntimeError("no")

    def step(name: str) -> None:
        if failing == "copying" and name == "file begun":
            raise OSError(errno.ENOSPC, "No space left on device")

    section = Section(
        "data",
        tmp_path / "nowhere" if failing == "source" else source,
        before=fail if failing == "before" else None,
        probe=fail if failing == "probe" else None,
        after=lambda: told.append("after"),
    )
    store = store_at(tmp_path / "store", [section], step=step)
    with pytest.raises(BackupError):
        store.create()

    assert told == ["after"]
    assert store.names() == []
    assert os.listdir(tmp_path / "store") == [".lock"]


def test_a_failing_after_is_told_and_the_backup_kept(tmp_path: Path, source: Path) -> None:
    """What was copied is no worse for a hook that fails afterwards; the record tells of it."""

    def fail() -> None:
        raise RuntimeError("cannot resume the writers")

    store = store_at(tmp_path / "store", [Section("data", source, after=fail)])
    record = store.create()

    assert "cannot resume the writers" in record.problems[0]
    assert verify(store).ok


@pytest.mark.parametrize(("policy", "made"), [("warn", True), ("fail", False)])
def test_a_file_that_changes_while_it_is_read(tmp_path: Path, source: Path, policy: str, made: bool) -> None:
    """It is read three times; then it is in the backup and named, or there is no backup, as the section says."""
    reads = []
    read = os.preadv
    inode = (source / "a").stat().st_ino

    def preadv(fd: int, buffers: list[memoryview], at: int) -> int:
        count = read(fd, buffers, at)
        if os.fstat(fd).st_ino == inode:
            reads.append(at)
            with open(source / "a", "a") as file:
                file.write("more")
        return count

    store = store_at(tmp_path / "store", [Section("data", source, unstable=policy)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "preadv", preadv)
        if not made:
            with pytest.raises(SectionRefusedError, match="changed each time") as caught:
                store.create()
            assert caught.value.paths == ("a",)
            assert store.names() == []
            return
        record = store.create()

    assert len(reads) == 3
    assert record.unstable == 1
    assert _only(store).unstable == ("a",)
    assert (_kept(store) / "a").read_text() == "firstmoremore"
    assert verify(store).ok


def test_a_file_that_changes_once_is_read_anew(tmp_path: Path, source: Path) -> None:
    """One change costs a second look, and what is kept is the file as it was then, whole."""
    read = os.preadv
    left = [1]

    def preadv(fd: int, buffers: list[memoryview], at: int) -> int:
        count = read(fd, buffers, at)
        if left[0]:
            left[0] -= 1
            (source / "a").write_text("new")
        return count

    store = store_at(tmp_path / "store", [Section("data", source)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "preadv", preadv)
        record = store.create()

    assert record.unstable == 0
    assert (_kept(store) / "a").read_text() == "new"
    assert verify(store).ok


def test_a_file_that_is_gone_and_one_that_cannot_be_read(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What went between looking and reading, and what gives an error when read, is listed; the rest is kept."""
    (source / "bad").write_text("bad")
    inode = (source / "bad").stat().st_ino
    read = os.preadv

    def preadv(fd: int, buffers: list[memoryview], at: int) -> int:
        if os.fstat(fd).st_ino == inode:
            raise OSError(errno.EIO, "Input/output error")
        return read(fd, buffers, at)

    def step(name: str) -> None:
        if name == "file begun" and (source / "a").exists():
            (source / "inner" / "b").unlink()
            (source / "inner").rmdir()
            (source / "a").unlink()

    monkeypatch.setattr(os, "preadv", preadv)
    store = store_at(tmp_path / "store", [Section("data", source)], step=step)
    store.create()

    skipped = {skipped.path: skipped.why for skipped in _only(store).skipped}
    assert skipped == {"bad": "unreadable: Input/output error", "inner/b": "gone before it was read"}
    assert not (_kept(store) / "bad").exists()
    assert found(verify(store)) == set()


def test_a_database_that_is_written_meanwhile(tmp_path: Path, source: Path) -> None:
    """What others committed is in the copy, that in the log included; the log is not, and the source is as it was."""
    with sqlite3.connect(source / "app.db") as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE orders (id INTEGER)")
        writer.executemany("INSERT INTO orders VALUES (?)", [(number,) for number in range(1_000)])
    writer.execute("BEGIN")
    writer.execute("INSERT INTO orders VALUES (4711)")
    assert (source / "app.db-wal").stat().st_size > 0
    before = (source / "app.db").read_bytes(), (source / "app.db-wal").read_bytes()
    store = store_at(tmp_path / "store", [Section("data", source)])
    store.create()
    writer.close()

    assert {entry.path for entry in _only(store).entries} == {".", "a", "app.db", "inner", "inner/b"}
    assert verify(store).ok
    assert before[0] == _committed(_kept(store) / "app.db", 1_000, before[0])


def _committed(path: Path, count: int, passed: bytes) -> bytes:
    with sqlite3.connect(path) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("SELECT count(*), max(id) FROM orders").fetchone() == (count, count - 1)
    copy.close()
    return passed


def test_a_database_left_by_a_crash_is_restorable(tmp_path: Path, source: Path) -> None:
    """A log that nobody has open, as a crash leaves it, is in the copy: by SQLite, or as the files that they are."""
    with sqlite3.connect(tmp_path / "live.db") as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE orders (id INTEGER)")
        writer.executemany("INSERT INTO orders VALUES (?)", [(number,) for number in range(50)])
    for end in ("", "-wal"):
        (source / f"app.db{end}").write_bytes((tmp_path / f"live.db{end}").read_bytes())
    writer.close()
    log = (source / "app.db-wal").read_bytes()
    store = store_at(tmp_path / "store", [Section("data", source)])
    store.create()

    assert (source / "app.db-wal").read_bytes() == log
    assert verify(store).ok
    _committed(_kept(store) / "app.db", 50, b"")


def test_what_only_looks_like_a_database(tmp_path: Path, source: Path) -> None:
    """A damaged database is copied byte by byte, with what is beside it, and told of; other files keep their ends."""
    (source / "bad.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5_000)
    (source / "bad.db-wal").write_text("beside")
    (source / "notes-wal").write_text("no database")
    (source / "notes").write_text("notes")
    store = store_at(tmp_path / "store", [Section("data", source)])
    record = store.create()

    there = {path: seen for path, seen in look(source).items() if path not in {"inner", "bad.db-shm"}}
    kept = look(_kept(store))
    del kept["inner"]
    assert kept == there  # SQLite, like any reader of a database, may have made a bad.db-shm
    assert "bad.db" in record.problems[0]
    assert verify(store).ok


def test_databases_only_where_asked_for(tmp_path: Path, source: Path) -> None:
    """With ``sqlite=()`` every file is a file."""
    sqlite3.connect(source / "app.db").executescript("CREATE TABLE t (a);").connection.close()
    (source / "app.db-wal").touch()
    store = store_at(tmp_path / "store", [Section("data", source, sqlite=())])
    store.create()

    assert look(_kept(store)) == look(source)


def test_holes_stay_holes(tmp_path: Path, source: Path) -> None:
    """A sparse file takes in the backup no more room than it did, and has its size."""
    with open(source / "sparse", "wb") as file:
        file.truncate(100 * 1024 * 1024)
        file.seek(50 * 1024 * 1024)
        file.write(b"island")
    store = store_at(tmp_path / "store", [Section("data", source)])
    store.create()
    status = (_kept(store) / "sparse").stat()

    assert status.st_size == 100 * 1024 * 1024
    assert status.st_blocks * 512 < 1024 * 1024
    assert verify(store).ok


def test_progress_comes_to_its_end(tmp_path: Path) -> None:
    """Progress grows, is told by count and not for each file, and ends at all of it."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(500):
        (source / str(number)).write_bytes(b"x" * 100)
    told: list[Progress] = []
    store = store_at(tmp_path / "store", [Section("data", source)], progress=told.append)
    store.create()
    verify(store)

    for doing in ("copying", "verifying"):
        files = [each.files for each in told if each.doing == doing]
        assert files == sorted(files)
        assert 2 < len(files) < 30
        last = [each for each in told if each.doing == doing][-1]
        assert (last.files, last.files_total, last.bytes, last.bytes_total) == (500, 500, 50_000, 50_000)


def test_who_is_told_may_end_it(tmp_path: Path, source: Path) -> None:
    """What the progress callback raises ends the backup, and nothing is left of it."""

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt if progress.doing == "never" else RuntimeError("enough")

    store = store_at(tmp_path / "store", [Section("data", source)], progress=stop)
    with pytest.raises(RuntimeError, match="enough"):
        store.create()
    assert os.listdir(tmp_path / "store") == [".lock"]


@pytest.mark.parametrize(
    ("limits", "make", "why"),
    [
        ({}, lambda path: (path / "A").touch(), "only in case"),
        ({}, lambda path: (path / "link").symlink_to("/etc"), "leads out"),
        ({"max_entries": 3}, lambda path: None, "more than 3 entries"),
    ],
)
def test_what_could_not_be_read_back_is_refused_at_once(
    tmp_path: Path, source: Path, limits: dict[str, Any], make: Callable[[Path], None], why: str
) -> None:
    """A source whose manifest would be refused is refused before anything is copied, and says how to allow it."""
    make(source)
    store = store_at(tmp_path / "store", [Section("data", source)], limits=ManifestLimits(**limits))
    with pytest.raises(SectionRefusedError, match=f"{why}.*ManifestLimits"):
        store.create()
    allowed = ManifestLimits(links_out=True, case_collisions=True)
    store = store_at(tmp_path / "store", [Section("data", source)], limits=allowed)
    store.create()
    assert verify(store).ok
    assert look(_kept(store)) == look(source)


STEPS = [
    "locked",
    "partial directory",
    "file begun",
    "file copied",
    "hard link made",
    "database begun",
    "database copied",
    "section copied",
    "sums",
    "manifest",
    "sync",
    "rename",
    "renamed",
]


@pytest.mark.parametrize("step", STEPS)
def test_a_death_at_each_step(tmp_path: Path, source: Path, step: str) -> None:
    """Wherever it dies, earlier backups are sound, the new one is whole or not there, and the next one cleans up."""
    os.link(source / "a", source / "also-a")
    sqlite3.connect(source / "app.db").executescript("CREATE TABLE t (a);").connection.close()
    first = store_at(tmp_path / "store", [Section("data", source)])
    first.create()
    dying = store_at(tmp_path / "store", [Section("data", source)], step=dying_at(step))
    with pytest.raises(DiedError):
        dying.create()
    names = first.names()
    assert len(names) == (2 if step == "renamed" else 1)
    assert all(verify(first, name, record=False).ok for name in names)

    first.create()
    assert all(verify(first, name, record=False).ok for name in first.names())
    assert not [name for name in os.listdir(tmp_path / "store") if name.startswith((".partial", ".removing"))]


def test_a_name_is_never_given_twice(tmp_path: Path, source: Path) -> None:
    """Not within one second either, when an earlier one is removed meanwhile: the newest stays the last, and sound."""
    store = store_at(tmp_path / "store", [Section("data", source)])
    first, second = store.create(), store.create()
    (source / "a").write_text("other")
    shutil.rmtree(first.path)
    third = store.create()
    assert verify(store, third.id).ok
    shutil.rmtree(third.path)
    (source / "a").write_text("another")
    fourth = store.create()

    assert [one.id.partition("Z")[2] for one in (first, second, third, fourth)] == ["", "-2", "-3", "-4"]
    assert store.get().id == fourth.id
    assert verify(store).ok


def test_what_was_half_removed_is_removed(tmp_path: Path, source: Path) -> None:
    """What a crash left while a backup was removed is gone after the next start, unreadable directories included."""
    store = store_at(tmp_path / "store", [Section("data", source)])
    store.create()
    left = tmp_path / "store" / ".removing-20200101T000000Z" / "inner"
    left.mkdir(parents=True)
    (left / "x").touch()
    left.chmod(0)
    with store.writing() as cleaned:
        assert cleaned == (".removing-20200101T000000Z",)
    assert not left.parent.exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.EDQUOT])
def test_a_disk_that_refuses(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """A write that fails is a clear error; earlier backups stay, and nothing half made is left."""
    store = store_at(tmp_path / "store", [Section("data", source)])
    store.create()

    def refuse(fd: int, data: memoryview, at: int) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse)
        with pytest.raises(BackupError, match=os.strerror(code)):
            store.create()
    assert len(store.names()) == 1
    assert verify(store).ok
    assert not [name for name in os.listdir(tmp_path / "store") if name.startswith(".partial")]


def test_no_room_is_known_beforehand(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A section larger than what is free is refused before a byte is written."""
    real = os.fstatvfs

    def full(fd: int) -> os.statvfs_result:
        values = list(real(fd))
        values[4] = 1
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "fstatvfs", full)
    store = store_at(tmp_path / "store", [Section("data", source)])
    with pytest.raises(BackupError, match="are free on the disk"):
        store.create()


def test_a_store_that_disappears(tmp_path: Path, source: Path) -> None:
    """A store that goes away while a backup is made is an error of the store, and the source is as it was."""
    before = look(source)

    def step(name: str) -> None:
        if name == "section copied":
            (tmp_path / "store").rename(tmp_path / "gone")
            subprocess.run(["rm", "-r", tmp_path / "gone"], check=True)

    store = store_at(tmp_path / "store", [Section("data", source)], step=step)
    with pytest.raises(BackupError, match="No such file"):
        store.create()
    assert look(source) == before


def test_one_writes_at_a_time(tmp_path: Path, source: Path) -> None:
    """A second writer is refused at once, told who writes, and changes nothing."""
    store = store_at(tmp_path / "store", [Section("data", source)])
    with store.writing(), pytest.raises(BackupBusyError) as caught:
        store_at(tmp_path / "store", [Section("data", source)]).create()
    assert caught.value.holder == os.getpid()
    store.create()


def test_what_happened_is_published(tmp_path: Path, source: Path) -> None:
    """A backup that was made, and one that was not, are events."""
    bus = EventBus()
    told: list[Event] = []
    bus.subscribe(told.append, BackupCreated, BackupFailed, inline=True)
    store_at(tmp_path / "store", [Section("data", source)], events=bus).create()
    with pytest.raises(BackupError):
        store_at(tmp_path / "store", [Section("data", tmp_path / "nowhere")], events=bus).create()
    created, failed = told
    assert isinstance(created, BackupCreated)
    assert (created.files, created.size) == (2, 11)
    assert isinstance(failed, BackupFailed)
    assert "nowhere" in failed.error


def test_no_sections_no_backup(tmp_path: Path) -> None:
    """A store without sections lists and verifies; it makes none."""
    with pytest.raises(ConfigError, match="sections"):
        store_at(tmp_path / "store").create()


def test_data_that_became_a_hole_meanwhile(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an attempt that did not count has written does not show through the holes of the next."""
    (source / "a").write_bytes(b"x" * 300_000)
    inode = (source / "a").stat().st_ino
    read = os.preadv
    left = [1]

    def preadv(fd: int, buffers: list[memoryview], at: int) -> int:
        count = read(fd, buffers, at)
        if left[0] and os.fstat(fd).st_ino == inode:
            left[0] -= 1
            os.truncate(source / "a", 0)
            os.truncate(source / "a", 300_000)
        return count

    store = store_at(tmp_path / "store", [Section("data", source)])
    with monkeypatch.context() as patch:
        patch.setattr(os, "preadv", preadv)
        store.create()

    assert (_kept(store) / "a").read_bytes() == bytes(300_000)
    assert verify(store).ok

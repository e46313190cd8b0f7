"""Backups with real processes, real signals and a real disk: kills, limits, missing rights, and 5 GiB of hole."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from selfheal.backup import BackupStore, Retention, Section, prune, verify
from selfheal.backup.restoring import tree_state
from selfheal.testing import FakeClock
from tests.backup.test_creating import STEPS
from tests.backup.trees import grow, look

ROOT = Path(__file__).parent.parent.parent


def _start(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.integration.backup_host", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _sound(store: BackupStore) -> None:
    """Every backup there is is whole, and nothing is left once the next one has begun."""
    assert [name for name in store.names() if not verify(store, name, record=False).ok] == []
    with store.writing():
        pass
    left = [name for name in os.listdir(store.directory) if name.startswith((".partial", ".removing"))]
    assert left == []


def _source(tmp_path: Path) -> Path:
    grow(tmp_path / "source", 17, 30)
    os.link(tmp_path / "source" / sorted(_files(tmp_path / "source"))[0], tmp_path / "source" / "name")
    sqlite3.connect(tmp_path / "source" / "app.db").executescript("CREATE TABLE t (a);").connection.close()
    return tmp_path / "source"


def _files(root: Path) -> list[str]:
    return [path for path, seen in look(root).items() if seen[5] is not None and "/" not in path]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_each_step(tmp_path: Path, step: str) -> None:
    """SIGKILL at a step leaves the earlier backup sound, the new one whole or absent, and the source untouched."""
    source = _source(tmp_path)
    before = look(source)
    store = BackupStore(tmp_path / "store", [Section("data", source)])
    first = store.create()
    host = _start(tmp_path / "store", source, step, 1)
    _, errors = host.communicate(timeout=120)

    assert host.returncode == -9, errors
    assert first.id in store.names()
    assert len(store.names()) == (2 if step == "renamed" else 1)
    _sound(store)
    assert look(source) == before


@pytest.mark.timeout(600)
def test_killed_at_any_time(tmp_path: Path, long_run: bool) -> None:
    """SIGKILL at random times while backups are made, again and again: all that are there are sound each time."""
    source = _source(tmp_path)
    store = BackupStore(tmp_path / "store", [Section("data", source)])
    rng = random.Random(23)
    for _ in range(120 if long_run else 6):
        host = _start(tmp_path / "store", source)
        assert host.stdout is not None
        assert host.stdout.readline() == "begun\n"
        try:
            host.wait(timeout=rng.uniform(0.0, 0.5))
        except subprocess.TimeoutExpired:
            host.kill()
        assert host.wait(timeout=60) == -9, host.communicate()
        host.communicate()
        _sound(store)
        for name in store.names()[:-1]:
            shutil.rmtree(store.path(name))
    store.create()
    _sound(store)


PRUNER = """
import sys
from selfheal.backup import BackupStore, Retention, prune
def step(name):
    print(name, flush=True)
    sys.stdin.readline()
prune(BackupStore(sys.argv[1], step=step), Retention(daily=1, weekly=0, monthly=0))
"""


@pytest.mark.timeout(600)
def test_killed_while_old_ones_are_removed(tmp_path: Path) -> None:
    """SIGKILL at each step: what is listed is sound, the newest and the proven one stay, the next one finishes."""
    source = _source(tmp_path)
    made = tmp_path / "made"
    clock = FakeClock()
    store = BackupStore(made, [Section("data", source)], clock=clock)
    for _ in range(4):
        store.create()
        clock.advance(86_400)
    first, *_, newest = store.names()
    assert verify(store, first).ok
    place = 0
    while True:
        room = tmp_path / f"killed-{place}"
        subprocess.run(["cp", "-a", made, room], check=True)
        ended = _pruned(room, place)
        copy = BackupStore(room)
        assert {first, newest} <= set(copy.names())
        _sound(copy)
        prune(copy, Retention(daily=1, weekly=0, monthly=0))
        assert copy.names() == [first, newest]
        if ended:
            break
        place += 1
    assert place >= 6


def _pruned(room: Path, place: int) -> bool:
    """Remove in a process of its own, killed when it is about to take a step; tell whether it came to its end."""
    with subprocess.Popen(
        [sys.executable, "-c", PRUNER, str(room)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(place):
            if not process.stdout.readline():
                return process.wait(60) == 0
            process.stdin.write("\n")
            process.stdin.flush()
        ended = not process.stdout.readline()
        if not ended:
            process.kill()
        process.wait(60)
    return ended


OTHER = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1])
print(other.execute("SELECT count(*) FROM t").fetchone()[0])
other.close()
"""


def _count(path: Path) -> int:
    """The rows that another process sees, which opens the database and closes it again."""
    return int(subprocess.run([sys.executable, "-c", OTHER, path], capture_output=True, check=True, timeout=60).stdout)


@pytest.mark.parametrize("named", ["auto", ()])
def test_a_backup_takes_no_lock_away_from_a_database_of_this_process(tmp_path: Path, named: Any) -> None:
    """What is committed after it is not lost, though others open and close the database; the copy is one state."""
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "shop.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as mine:
        mine.execute("PRAGMA journal_mode = WAL")
        mine.execute("CREATE TABLE t (a)")
        store = BackupStore(tmp_path / "store", [Section("data", tmp_path / "data", sqlite=named)])
        for rows in range(1, 4):
            mine.execute("INSERT INTO t VALUES (1)")
            assert _count(path) == rows
            record = store.create()
            assert record.problems == ()
            tree_state(tmp_path / "data")
            assert _count(store.path(record.id) / "data" / "data" / "shop.db") == rows
            assert _count(path) == rows
    assert _count(path) == 3


def test_one_that_is_locked_here_is_not_copied_behind_its_back(tmp_path: Path) -> None:
    """It is told as missing from the backup, for a file that is opened beside SQLite would harm it."""
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "shop.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as mine:
        mine.execute("CREATE TABLE t (a)")
        mine.execute("BEGIN EXCLUSIVE")
        store = BackupStore(tmp_path / "store", [Section("data", tmp_path / "data")])
        with mock.patch("selfheal.backup.databases._PATIENCE", 0.1):
            record = store.create()
        [skipped] = store.manifest(record.id).sections[0].skipped
        assert (skipped.path, "open in this process" in skipped.why) == ("shop.db", True)
        mine.execute("COMMIT")
        assert store.create().skipped == 0


LIMITED = """
import json, resource, sys
from selfheal.backup import BackupStore, Section
from selfheal.errors import BackupError
store = BackupStore(sys.argv[1], [Section("data", sys.argv[2])])
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    store.create()
except BackupError as error:
    print(json.dumps(str(error)))
"""


@pytest.mark.timeout(300)
def test_a_file_that_the_disk_does_not_take(tmp_path: Path) -> None:
    """Where the system refuses a write in the middle, the error says so, and the earlier backup is all there is."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "small").write_text("x")
    store = BackupStore(tmp_path / "store", [Section("data", source)])
    store.create()
    (source / "large").write_bytes(os.urandom(3_000_000))
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "store"), str(source)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    assert "File too large" in json.loads(done.stdout)
    assert len(store.names()) == 1
    assert not [name for name in os.listdir(store.directory) if name.startswith(".partial")]
    _sound(store)


UNPRIVILEGED = """
import json, os, sys, tempfile
from pathlib import Path
from selfheal.backup import BackupStore, Section, verify
from selfheal.errors import BackupError
with tempfile.TemporaryDirectory() as place:  # loads all modules while they can be read
    Path(place, "source").mkdir()
    warm = BackupStore(place + "/store", [Section("data", place + "/source")])
    warm.create()
    verify(warm)
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
told = {}
store = BackupStore(sys.argv[1], [Section("data", sys.argv[2])])
record = store.create()
section = store.manifest(record.id).sections[0]
told["skipped"] = {s.path: s.why for s in section.skipped}
told["entries"] = [e.path for e in section.entries]
os.chmod(record.path / "data" / "data" / "open", 0)
told["damages"] = [[d.path, d.kind, d.found] for d in verify(store, record=False).damages]
try:
    BackupStore(sys.argv[3], [Section("data", sys.argv[2])]).create()
except BackupError as error:
    told["refused"] = str(error)
print(json.dumps(told))
"""


@pytest.mark.timeout(300)
def test_without_the_right_to_read_or_write(tmp_path: Path) -> None:
    """What cannot be read is listed, a copy that cannot be is damage, and a store that may not be written says so."""
    if os.geteuid() == 0 and not _may_drop():
        pytest.skip("needs leave to become another user")
    place = _open_place(tmp_path)
    source = place / "source"
    (source / "closed").mkdir(parents=True)
    (source / "closed" / "inner").touch()
    (source / "open").write_text("x")
    (source / "secret").write_text("x")
    (place / "store").mkdir(mode=0o777)
    (place / "store").chmod(0o777)
    (place / "closed-store").mkdir()
    if os.geteuid() == 0:
        os.chown(source / "open", 65534, 65534)
    (source / "secret").chmod(0)
    (source / "closed").chmod(0)
    (place / "closed-store").chmod(0o555)
    try:
        places = [place / "store" / "own", source, place / "closed-store"]
        words = [sys.executable, "-c", UNPRIVILEGED, *map(str, places)]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
    finally:
        (source / "closed").chmod(0o755)
        (source / "secret").chmod(0o644)
        shutil.rmtree(place)

    assert told["skipped"] == {
        "closed": "unreadable: Permission denied",
        "secret": "unreadable: Permission denied",
    }
    assert told["entries"] == [".", "closed", "open"]
    assert ["open", "unreadable", "Permission denied"] in told["damages"]
    assert "Permission denied" in told["refused"]


def _may_drop() -> bool:
    drop = "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)"
    return subprocess.run([sys.executable, "-c", drop], cwd=ROOT, capture_output=True, check=False).returncode == 0


def _open_place(tmp_path: Path) -> Path:
    """A directory that another user can reach; those of pytest are for their owner alone."""
    import tempfile

    place = Path(tempfile.mkdtemp(prefix="selfheal-test-"))
    place.chmod(0o755)
    return place


@pytest.mark.timeout(900)
def test_five_gigabytes_of_hole(tmp_path: Path) -> None:
    """A sparse file of 5 GiB is kept with its hole, and a byte that changes in the midst of it is found."""
    source = tmp_path / "source"
    source.mkdir()
    with open(source / "disk.img", "wb") as file:
        file.truncate(5 * 1024**3)
        file.seek(3 * 1024**3)
        file.write(b"island")
    store = BackupStore(tmp_path / "store", [Section("data", source)])
    record = store.create()
    kept = record.path / "data" / "data" / "disk.img"

    assert record.size == 5 * 1024**3
    assert kept.stat().st_blocks * 512 < 1024 * 1024
    with open(kept, "r+b") as file:
        file.seek(4 * 1024**3)
        file.write(b"\x01")
    assert [(damage.path, damage.kind) for damage in verify(store).damages] == [("disk.img", "corrupt")]


MEASURED = """
import sys
from selfheal.backup import BackupStore, Section, verify
store = BackupStore(sys.argv[1], [Section("data", sys.argv[2])])
store.create()
assert verify(store).ok
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.timeout(600)
def test_memory_stays_small(tmp_path: Path) -> None:
    """Ten thousand files and a large one are copied and verified in less than 64 MiB, Python included."""
    source = tmp_path / "source"
    for number in range(100):
        (source / str(number)).mkdir(parents=True)
        for inner in range(100):
            (source / str(number) / str(inner)).write_bytes(b"%d" % inner)
    (source / "large").write_bytes(os.urandom(100 * 1024 * 1024))
    words = [sys.executable, "-c", MEASURED, str(tmp_path / "store"), str(source)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=500)

    assert int(done.stdout) < 64 * 1024

"""Restores on real disks: full, read-only, mounted, of somebody else, deep, large; and a store that goes away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from selfheal.backup import BackupStore, Restorer, Section
from selfheal.backup.paths import remove_tree
from selfheal.backup.restoring import tree_state
from selfheal.errors import RestoreFailedError
from selfheal.testing import FakeClock
from tests.backup.restoring.made import Shelf, grown, picture

ROOT = Path(__file__).parents[2]
MIB = 1 << 20


def mounted(*arguments: str) -> bool:
    """Mount something, or tell that it cannot be."""
    return os.geteuid() == 0 and not subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    at = tmp_path / "disk"
    at.mkdir()
    if not mounted("-t", "tmpfs", "-o", "size=24m,nr_inodes=400", "tmpfs", str(at)):
        pytest.skip("needs leave to mount a small file system, as root has it")
    yield at
    subprocess.run(["umount", str(at)], check=True)


def restorer(shelf: Shelf | BackupStore, room: Path, **options: Any) -> Restorer:
    """One for a room."""
    (room / "run").mkdir(exist_ok=True)
    return Restorer(shelf, room / "run", clock=FakeClock(), **options)


def at_step(name: str, do: Callable[[], object]) -> Callable[[str], None]:
    """Do something once, when a restore comes to a step."""
    done: list[str] = []

    def step(passed: str) -> None:
        if passed == name and not done:
            done.append(name)
            do()

    return step


def fill(path: Path) -> None:
    """Write until there is no more room."""
    with path.open("wb", buffering=0) as hog:
        try:
            while True:
                hog.write(bytes(4096))
        except OSError:
            return


@pytest.mark.parametrize("record", ["elsewhere", "on the same disk"])
def test_a_disk_that_becomes_full(disk: Path, tmp_path: Path, record: str) -> None:
    """Found out beforehand if it is so then; in the middle, it leaves everything as it was, and no litter."""
    data = grown(disk / "data", {"a": os.urandom(3 * MIB), "b": os.urandom(3 * MIB), "c": "1"})
    shelf = Shelf(tmp_path / "store")
    shelf.put({"data": data})
    (data / "c").write_text("2")
    before = picture(data)
    room = tmp_path if record == "elsewhere" else disk
    one = restorer(shelf, room, step=at_step("file filled", lambda: fill(disk / "hog")))
    plan = one.plan()
    with pytest.raises(RestoreFailedError, match="No space left on device") as caught:
        one.restore(plan)
    assert caught.value.outcome == "discarded"
    assert picture(data) == before
    assert one.pending is None
    assert [path.name for path in disk.iterdir() if "restore-" in path.name] == []
    assert any("not enough space" in problem for problem in restorer(shelf, room).plan().problems)
    (disk / "hog").unlink()
    assert one.restore(one.plan()).ok
    assert (data / "c").read_text() == "1"


def test_too_few_inodes(disk: Path, tmp_path: Path) -> None:
    """Many small files need room of another kind, which is looked at too."""
    data = grown(tmp_path / "data", {f"{number}": "" for number in range(390)})
    shelf = Shelf(tmp_path / "store")
    shelf.put({"data": data})
    (problem,) = restorer(shelf, tmp_path).plan(targets={"data": disk / "data"}).problems
    assert "407 inodes of" in problem


def test_a_disk_that_becomes_read_only(disk: Path, tmp_path: Path) -> None:
    """As file systems do on errors: the target stays, what is left is named, and goes with the next recovery."""
    data = grown(disk / "data", {"a": "1"})
    shelf = Shelf(tmp_path / "store")
    shelf.put({"data": data})
    (data / "a").write_text("2")

    def turn(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)

    one = restorer(shelf, tmp_path, step=at_step("staged and synced", lambda: turn("ro")))
    with pytest.raises(RestoreFailedError, match="Read-only file system"):
        one.restore(one.plan())
    assert (data / "a").read_text() == "2"
    assert any("read-only" in problem for problem in one.plan().problems)
    assert one.pending is not None
    turn("rw")
    assert one.recover() is not None
    assert one.pending is None
    assert [path.name for path in disk.iterdir()] == ["data"]


def test_a_mount_point(disk: Path, tmp_path: Path) -> None:
    """It is found, its entries are exchanged one by one, and go back; what is mounted inside a target is refused."""
    grown(disk, {"a": "1", "b/c": "2"})
    shelf = Shelf(tmp_path / "store")
    shelf.put({"disk": disk})
    shutil.rmtree(disk / "b")
    grown(disk, {"a": "3", "new": "n"})
    before = {name: each for name, each in picture(disk).items() if name != "."}
    one = restorer(shelf, tmp_path)
    plan = one.plan()
    assert "it is a mount point" in str(plan)
    report = one.restore(plan)
    assert (report.sections[0].how, (disk / "a").read_text(), (disk / "b" / "c").read_text()) == ("in_place", "1", "2")
    assert sorted(path.name for path in disk.iterdir()) == [".disk.restore-" + report.run, "a", "b"]
    one.rollback()
    assert {name: each for name, each in picture(disk).items() if name != "."} == before
    outer = one.plan(targets={"disk": tmp_path / "outer"})
    assert outer.problems == ()
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    if mounted("--bind", str(disk), str(tmp_path / "outer" / "inner")):
        (problem,) = one.plan(targets={"disk": tmp_path / "outer"}).problems
        subprocess.run(["umount", str(tmp_path / "outer" / "inner")], check=True)
        assert "is mounted inside the target" in problem


NOBODY = """
    import os, sys
    from pathlib import Path
    from selfheal.backup import BackupStore, Restorer
    room = Path(sys.argv[1])
    restorer = Restorer(BackupStore(room / "store"), room / "run")
    restorer.restore(restorer.plan(targets={"data": room / "mine" / "first"}))  # with this, all modules are loaded
    restorer.commit()
    for path in (room / "run", *(room / "run").iterdir(), room / "mine"):
        os.chown(path, 65534, 65534)
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    (problem,) = restorer.plan(targets={"data": room / "locked" / "data"}).problems
    assert "no leave to write" in problem, problem
    report = restorer.restore(restorer.plan(targets={"data": room / "mine" / "data"}))
    assert (room / "mine" / "data" / "a").read_text() == "1"
    assert "no leave to keep the owner of 5 names" in report.notes[0], report.notes
    assert (room / "mine" / "data" / "shut").stat().st_mode & 0o777 == 0
    restorer.rollback()
    assert [path.name for path in (room / "mine").iterdir()] == ["first"]
    print("done")
"""


def test_somebody_without_rights() -> None:
    """Where there is no leave that is a problem of the plan; where there is, files of others become one's own."""
    if os.geteuid() != 0:
        pytest.skip("needs leave to become somebody else, as root has it")
    with tempfile.TemporaryDirectory() as directory:
        room = Path(directory)
        room.chmod(0o755)
        data = grown(room / "data", {"a": "1", "shut/in/f": ""})
        (data / "shut").chmod(0)
        BackupStore(room / "store", [Section("data", data)]).create()
        for path in ((room / "store"), *(room / "store").rglob("*")):
            path.chmod(0o755)
        for name in ("run", "mine", "locked"):
            (room / name).mkdir(0o755)
        command = [sys.executable, "-c", textwrap.dedent(NOBODY), directory]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
        assert (run.stdout, run.returncode) == ("done\n", 0), run.stderr


def test_a_store_that_goes_away_in_the_middle(tmp_path: Path) -> None:
    """What cannot be read any more is named, and the target is as it was."""
    data = grown(tmp_path / "data", {f"{number:03}": "old" for number in range(50)})
    shelf = Shelf(tmp_path / "store")
    shelf.put({"data": data})
    (data / "000").write_text("new")
    before = picture(data)
    one = restorer(shelf, tmp_path, step=at_step("file filled", lambda: shutil.rmtree(tmp_path / "store")))
    with pytest.raises(RestoreFailedError, match="names damaged: '001' is missing"):
        one.restore(one.plan())
    assert picture(data) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "run"]


@pytest.fixture
def depths(tmp_path: Path) -> Iterator[Path]:
    """A place for what those who clean up after tests cannot remove: their paths are too long, or go too deep."""
    yield tmp_path / "depths"
    fd = os.open(tmp_path, os.O_RDONLY)
    remove_tree(fd, "depths")
    os.close(fd)


def test_a_tree_deeper_than_any_path_may_be_long(depths: Path) -> None:
    """Names below names beyond what the system takes as one path: restored, compared, and removed again."""
    data = depths / "data"
    data.mkdir(parents=True)
    deep(data, 620)
    store = BackupStore(depths / "store", [Section("data", data)], clock=FakeClock())
    store.create()
    before = tree_state(data)
    assert max(map(len, before.marks)) > 4096
    one = restorer(store, depths, keep_previous=False)
    (data / "new").touch()
    one.restore(one.plan())
    assert tree_state(data) == before
    report = one.restore(one.plan())
    assert report.sections[0].diff is not None
    assert report.sections[0].diff.is_empty
    assert sorted(path.name for path in depths.iterdir()) == ["data", "run", "store"]


def deep(root: Path, levels: int) -> None:
    """Directories in one another, with a file in the innermost."""
    fd = os.open(root, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("deeper", dir_fd=fd)
        below = os.open("deeper", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)


def test_ten_thousand_files_and_a_large_one_of_nothing(tmp_path: Path, long_run: bool) -> None:
    """All come back, and what is holes takes no room."""
    many = 10_000 if long_run else 2_000
    data = grown(tmp_path / "data", {f"{number % 100}/{number}": f"{number}" for number in range(many)})
    with (data / "sparse").open("wb") as file:
        file.truncate(5 << 30 if long_run else 1 << 28)
    store = BackupStore(tmp_path / "store", [Section("data", data)], clock=FakeClock())
    store.create()
    before = tree_state(data)
    for path in data.glob("5*/*"):
        path.write_text("changed")
    one = restorer(store, tmp_path, keep_previous=False)
    report = one.restore(one.plan())
    assert report.sections[0].diff is not None
    assert len(report.sections[0].diff.changed) == many * 11 // 100
    assert tree_state(data) == before
    assert (data / "sparse").stat().st_blocks * 512 < MIB

"""Files replaced by processes that are killed, stopped, without rights or without room: old or new, never a half."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest

from selfheal.durable import Sync, replace_file
from tests.integration.durable_host import SIZE

ROOT = Path(__file__).parents[2]


def start(*words: object) -> subprocess.Popen[str]:
    """A process of the host."""
    command = [sys.executable, "-m", "tests.integration.durable_host", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("left", ["clean", "left"])
@pytest.mark.parametrize("sync", get_args(Sync))
def test_death_at_each_call(tmp_path: Path, sync: Sync, left: str) -> None:
    """SIGKILL before each call: the old file until the rename, then the new; the next write leaves nothing beside."""
    told, _ = start("deaths", tmp_path, sync, left).communicate(timeout=120)
    seen = [json.loads(line) for line in told.splitlines()]
    calls = [one["call"] for one in seen]
    assert [one["code"] for one in seen] == [-9] * (len(seen) - 1) + [0]
    assert calls.count("fsync") == ("none", "content", "all").index(sync)
    for place, one in enumerate(seen):
        assert one["dead"]["file"] == ("old" if place <= calls.index("replace") else "new"), one
        assert one["dead"].keys() <= {"file", ".file.new"}
        assert one["after"] == {"file": "next"}, one
    begun = calls.index("write")
    assert any(".file.new" in one["dead"] for one in seen[begun:])


def test_death_at_any_time(tmp_path: Path, long_run: bool) -> None:
    """Two processes write one file and are killed, again and again: it is always whole, and few drafts are left."""
    chance, path = random.Random(11), tmp_path / "file"
    replace_file(path, bytes(SIZE))
    for _ in range(60 if long_run else 6):
        hosts = [start("writes", path, number) for number in (1, 2)]
        try:
            for host in hosts:
                assert host.stdout is not None
                assert host.stdout.readline() == "begun\n"
            until = time.monotonic() + chance.uniform(0.0, 0.3)
            while time.monotonic() < until:
                found = path.read_bytes()
                assert len(found) == SIZE
                assert len(set(found)) == 1
        finally:
            for host in hosts:
                host.kill()
                assert host.wait(60) == -9
                host.communicate()
        found = path.read_bytes()
        assert (len(found), len(set(found))) == (SIZE, 1)
        assert len(os.listdir(tmp_path)) <= 3, "a draft of each, where both were in the middle"
        for one in tmp_path.glob(".file.new.*"):
            one.unlink()
        replace_file(path, found)
        assert os.listdir(tmp_path) == ["file"]


def test_a_stopped_process_keeps_its_draft(tmp_path: Path) -> None:
    """Others write meanwhile and do not wait for it; what it had under way is as it was when it goes on."""
    path = tmp_path / "file"
    script = (
        "import os, signal, sys\n"
        "from selfheal.durable import replace_file\n"
        "def stop(at):\n"
        "    if at == 'within':\n"
        "        os.kill(os.getpid(), signal.SIGSTOP)\n"
        "replace_file(sys.argv[1], b'slow', step=stop)\n"
    )
    host = subprocess.Popen([sys.executable, "-c", script, str(path)], cwd=ROOT)
    assert os.WIFSTOPPED(os.waitpid(host.pid, os.WUNTRACED)[1])
    for content in (b"1", b"2"):
        replace_file(path, content)
        assert path.read_bytes() == content
        assert sorted(os.listdir(tmp_path)) == [".file.new", "file"]
    host.send_signal(signal.SIGCONT)
    assert host.wait(60) == 0
    assert path.read_bytes() == b"slow"
    assert os.listdir(tmp_path) == ["file"]


def in_child(do: Callable[[], None]) -> int:
    """Do something in a process of its own; its exit code."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            do()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """A limit that the system sets cuts a write in two: the old file stays, and nothing of the half is left."""
    path = tmp_path / "file"
    replace_file(path, b"old")

    def write() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        with pytest.raises(OSError, match="File too large"):
            replace_file(path, b"x" * 10_000)

    assert in_child(write) == 0
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    at = tmp_path / "disk"
    at.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(at)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs leave to mount a small file system, as root has it")
    yield at
    subprocess.run(["umount", str(at)], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    """The old file stays, nothing is left beside it that would keep the disk full, and with room it works again."""
    path = small_disk / "file"
    replace_file(path, b"old" * 1000)
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            replace_file(path, bytes(2**20))
        assert path.read_bytes() == b"old" * 1000
        assert os.listdir(small_disk) == ["file"]
    replace_file(path, bytes(2**19))
    assert path.stat().st_size == 2**19


def test_a_read_only_disk(small_disk: Path) -> None:
    """Told, and the file is as it was; a draft that was left there harms nobody."""
    path = small_disk / "file"
    replace_file(path, b"old")
    (small_disk / ".file.new").write_bytes(b"left")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OSError, match="Read-only file system"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    replace_file(path, b"new")
    assert os.listdir(small_disk) == ["file"]


def as_nobody(do: Callable[[], None]) -> int:
    """Do something without the rights of root; its exit code."""

    def drop() -> None:
        if not os.geteuid():
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        do()

    return in_child(drop)


@pytest.fixture
def open_room(tmp_path: Path) -> Iterator[Path]:
    """A directory that a process without rights gets to."""
    if not os.geteuid():
        for above in (tmp_path, *tmp_path.parents):
            if not above.stat().st_mode & 0o001 and above.owner() == "root" and str(above).startswith("/tmp/"):
                above.chmod(above.stat().st_mode | 0o011)
    at = tmp_path / "room"
    at.mkdir()
    yield at
    at.chmod(0o700)


def test_a_directory_without_rights(open_room: Path) -> None:
    """One that may not be written is told; in one that may not be read, all but its own sync can be had."""
    path = open_room / "file"
    replace_file(path, b"old")
    if not os.geteuid():
        os.chown(open_room, 65534, 65534)
    open_room.chmod(0o500)

    def refused() -> None:
        with pytest.raises(PermissionError):
            replace_file(path, b"new")

    assert as_nobody(refused) == 0
    assert path.read_bytes() == b"old"
    open_room.chmod(0o300)

    def written() -> None:
        replace_file(path, b"new", sync="content")
        with pytest.raises(PermissionError):
            replace_file(path, b"newer", sync="all")

    assert as_nobody(written) == 0
    assert path.read_bytes() == b"new"
    assert os.listdir(open_room) == ["file"]


def test_a_draft_of_another_user_is_left_alone(open_room: Path) -> None:
    """In a directory of all, what somebody else laid there is neither written into nor in the way."""
    if os.geteuid():
        pytest.skip("needs leave to be two users, as root has it")
    open_room.chmod(0o1777)
    (open_room / ".file.new").write_bytes(b"theirs")
    (open_room / ".file.new").chmod(0o666)
    assert as_nobody(lambda: replace_file(open_room / "file", b"ours")) == 0
    assert (open_room / "file").read_bytes() == b"ours"
    assert (open_room / "file").stat().st_uid == 65534
    assert (open_room / ".file.new").read_bytes() == b"theirs"

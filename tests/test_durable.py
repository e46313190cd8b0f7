"""Files that are there whole or not at all: whatever fails, whoever reads, whatever lies in the way."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import get_args

import pytest

from selfheal import durable
from selfheal.durable import Sync, replace_file, sync_directory

LEVELS: tuple[Sync, ...] = get_args(Sync)
LOOKS = {"fstat", "stat"}
"""Calls that only look: where one of these fails right after a draft was made, its name is not known to be ours."""


@contextmanager
def failing(at: int, number: int, calls: list[str]) -> Iterator[None]:
    """Have the n-th call that the module makes into the system or the interpreter fail; closing is not one."""

    def before(frame: FrameType, event: str, called: object) -> None:
        name = getattr(called, "__name__", "?")
        if event == "c_call" and frame.f_code.co_filename == durable.__file__ and name != "close":
            calls.append(name)
            if len(calls) == at:
                raise OSError(number, os.strerror(number))

    sys.setprofile(before)
    try:
        yield
    finally:
        sys.setprofile(None)


@contextmanager
def umask(bits: int) -> Iterator[None]:
    """Run with a umask."""
    before = os.umask(bits)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path: Path) -> int:
    """Permissions, of the file itself."""
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("sync", LEVELS)
@pytest.mark.parametrize("content", [b"", b"\0\xff\n", b"x" * 3_000_000], ids=["empty", "bytes", "large"])
def test_what_is_written_is_there_alone(tmp_path: Path, sync: Sync, content: bytes) -> None:
    """All of it, whatever was there before, and nothing beside it."""
    path = tmp_path / "file"
    replace_file(path, content, sync=sync)
    assert path.read_bytes() == content
    replace_file(str(path), b"next", sync=sync)
    assert path.read_bytes() == b"next"
    assert os.listdir(tmp_path) == ["file"]


def test_a_name_without_a_directory_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name lies in the current directory."""
    monkeypatch.chdir(tmp_path)
    replace_file("file", b"here")
    assert (tmp_path / "file").read_bytes() == b"here"


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, os.fsdecode(b"\xff\xfe odd"), ".hidden", "a\nb", "-"])
def test_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    """Names as long as the system takes them, and of any bytes, have room for a draft beside them."""
    replace_file(tmp_path / name, b"1")
    replace_file(tmp_path / name, b"2")
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"2"


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640, 0o400])
def test_permissions_are_those_asked_for(tmp_path: Path, mask: int, mode: int) -> None:
    """Whatever the umask, and whatever the file had before."""
    path = tmp_path / "file"
    with umask(mask):
        replace_file(path, b"1", mode=mode)
        assert mode_of(path) == mode
        path.chmod(0o666)
        replace_file(path, b"2", mode=mode)
        assert mode_of(path) == mode
        replace_file(tmp_path / "private", b"3")
        assert mode_of(tmp_path / "private") == 0o600


def test_permissions_that_somebody_gave_are_kept_on_request(tmp_path: Path) -> None:
    """A new file is for its owner alone until somebody says otherwise; a link has no say, nor have special bits."""
    path = tmp_path / "file"
    replace_file(path, b"1", mode=None)
    assert mode_of(path) == 0o600
    path.chmod(0o4644)
    replace_file(path, b"2", mode=None)
    assert mode_of(path) == 0o644
    path.unlink()
    path.symlink_to(__file__)
    replace_file(path, b"3", mode=None)
    assert mode_of(path) == 0o600


def test_no_permissions_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system that has none the file is written all the same."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchmod", refuse)
    replace_file(tmp_path / "file", b"1", mode=0o644)
    assert (tmp_path / "file").read_bytes() == b"1"


@pytest.mark.parametrize("points_at", ["there", "nowhere"])
def test_a_link_is_replaced(tmp_path: Path, points_at: str) -> None:
    """What it pointed to stays as it is."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "there").write_bytes(b"theirs")
    path = tmp_path / "file"
    path.symlink_to(elsewhere / points_at)
    replace_file(path, b"ours")
    assert not path.is_symlink()
    assert path.read_bytes() == b"ours"
    assert [(one.name, one.read_bytes()) for one in elsewhere.iterdir()] == [("there", b"theirs")]


def test_a_link_to_the_directory_is_followed(tmp_path: Path) -> None:
    """Whoever laid it said where the file is to go."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    replace_file(tmp_path / "link" / "file", b"1")
    assert (tmp_path / "real" / "file").read_bytes() == b"1"


def test_a_directory_that_is_moved_meanwhile_takes_its_file_with_it(tmp_path: Path) -> None:
    """It is looked up once: a name that leads elsewhere later changes nothing."""
    place, away = tmp_path / "place", tmp_path / "away"
    place.mkdir()

    def move(at: str) -> None:
        if at == "within":
            place.rename(away)
            place.mkdir()

    replace_file(place / "file", b"1", step=move)
    assert os.listdir(away) == ["file"]
    assert os.listdir(place) == []


def test_what_cannot_be_replaced_stays(tmp_path: Path) -> None:
    """A directory of that name, a directory that is not there, a file for one: told, and nothing left behind."""
    (tmp_path / "held").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path / "held", b"1")
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "gone" / "file", b"1")
    with pytest.raises(NotADirectoryError):
        replace_file(tmp_path / "file" / "file", b"1")
    assert sorted(os.listdir(tmp_path)) == ["file", "held"]


@pytest.mark.parametrize("sync", LEVELS)
@pytest.mark.parametrize("left", [False, True], ids=["clean", "left"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_each_call_may_fail(tmp_path: Path, sync: Sync, left: bool, error: int) -> None:
    """The old file or, once it was renamed, the new one; nothing beside it, no descriptor open, and it works again."""
    at, seen = 0, list[str]()
    while len(seen) >= at:
        at, seen = at + 1, list[str]()
        room = tmp_path / str(at)
        room.mkdir()
        (room / "file").write_bytes(b"old")
        if left:
            (room / ".file.new").write_bytes(b"half")
        open_before = len(os.listdir("/proc/self/fd"))
        try:
            with failing(at, error, seen):
                replace_file(room / "file", b"new", mode=0o640, sync=sync)
            failed = ""
        except OSError:
            failed = seen[at - 1]
        done = "replace" in seen[: at - 1]
        assert (room / "file").read_bytes() == (b"new" if done or not failed else b"old"), seen
        if seen[at - 1 :] and failed not in LOOKS and (not left or "unlink" in seen[: at - 1]):
            assert os.listdir(room) == ["file"], seen
        assert len(os.listdir("/proc/self/fd")) == open_before, seen
        replace_file(room / "file", b"again")
        assert (room / "file").read_bytes() == b"again"
        if not left:
            assert os.listdir(room) == ["file"]
    assert at >= 14
    assert "replace" in seen
    assert seen.count("fsync") == LEVELS.index(sync)


def test_what_is_raised_between_leaves_the_old_one(tmp_path: Path) -> None:
    """Also what is no error of the system."""
    replace_file(tmp_path / "file", b"old")

    def interrupt(at: str) -> None:
        if at == "within":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_file(tmp_path / "file", b"new", step=interrupt)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("sync", "order"),
    [
        ("none", ["before", "within", "replace", "written", "after"]),
        ("content", ["before", "within", "fsync file", "replace", "written", "after"]),
        ("all", ["before", "within", "fsync file", "replace", "written", "fsync directory", "after"]),
    ],
)
def test_what_is_synced_and_when(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: Sync, order: list[str]) -> None:
    """A file before it is in place, its directory after: an order in which a loss of power leaves no empty file."""
    did: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(fd: int) -> None:
        did.append("fsync directory" if stat.S_ISDIR(os.fstat(fd).st_mode) else "fsync file")
        fsync(fd)

    def replaced(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        did.append("replace")
        replace(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    replace_file(tmp_path / "file", b"1", sync=sync, step=did.append)
    assert did == order


def test_a_reader_has_the_old_or_the_new(tmp_path: Path) -> None:
    """At each step, and whoever has the old one open keeps it."""
    path = tmp_path / "file"
    replace_file(path, b"old")
    seen: list[tuple[str, bytes]] = []
    with path.open("rb") as opened:
        replace_file(path, b"new", step=lambda at: seen.append((at, path.read_bytes())))
        assert opened.read() == b"old"
    assert seen == [("before", b"old"), ("within", b"old"), ("written", b"new"), ("after", b"new")]


def test_what_a_dead_process_left_is_removed(tmp_path: Path) -> None:
    """Its content, its permissions and those who have it open have no part in the new file."""
    left = tmp_path / ".file.new"
    left.write_bytes(b"half of something long")
    left.chmod(0o666)
    with left.open("rb") as spy:
        replace_file(tmp_path / "file", b"new")
        assert spy.read() == b"half of something long"
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"new"
    assert mode_of(tmp_path / "file") == 0o600


def test_files_may_share_the_name_of_their_draft(tmp_path: Path) -> None:
    """Where each file has a name of its own, what was left is found by a name that all of them know."""
    (tmp_path / ".draft").write_bytes(b"left")
    replace_file(tmp_path / "one", b"1", draft=".draft")
    replace_file(tmp_path / "two", b"2", draft=".draft")
    assert sorted(os.listdir(tmp_path)) == ["one", "two"]


def test_a_draft_of_a_live_one_is_left_to_it(tmp_path: Path) -> None:
    """Nobody waits, both are written, and that of the last one to be done stays."""
    path = tmp_path / "file"

    def meanwhile(at: str) -> None:
        if at == "within":
            replace_file(path, b"quick")
            assert path.read_bytes() == b"quick"
            assert (tmp_path / ".file.new").read_bytes() == b"slow"

    replace_file(path, b"slow", step=meanwhile)
    assert path.read_bytes() == b"slow"
    assert os.listdir(tmp_path) == ["file"]


def test_a_failed_write_removes_no_draft_but_its_own(tmp_path: Path) -> None:
    """One that is interrupted right after its rename meets the draft of the next one under its name."""
    path, other = tmp_path / "file", tmp_path / ".file.new"
    replace = os.replace

    def renamed_and_interrupted(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        replace(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        other.write_bytes(b"of another")
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", renamed_and_interrupted)
        with pytest.raises(KeyboardInterrupt):
            replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert other.read_bytes() == b"of another"


def _link(draft: Path, victim: Path) -> None:
    draft.symlink_to(victim)


def _directory(draft: Path, _: Path) -> None:
    draft.mkdir()


def _pipe(draft: Path, _: Path) -> None:
    os.mkfifo(draft)


LAID: dict[str, Callable[[Path, Path], None]] = {"link": _link, "directory": _directory, "pipe": _pipe}


@pytest.mark.parametrize("what", LAID)
def test_what_was_laid_in_the_way_is_left_alone(tmp_path: Path, what: str) -> None:
    """Another name is taken then: nothing is written through a link, and nobody is kept waiting by a pipe."""
    victim, draft = tmp_path / "victim", tmp_path / ".file.new"
    victim.write_bytes(b"theirs")
    LAID[what](draft, victim)
    before = draft.lstat().st_ino
    replace_file(tmp_path / "file", b"ours")
    assert (tmp_path / "file").read_bytes() == b"ours"
    assert victim.read_bytes() == b"theirs"
    assert draft.lstat().st_ino == before
    assert sorted(os.listdir(tmp_path)) == [".file.new", "file", "victim"]


def test_a_second_name_of_a_file_costs_only_that_name(tmp_path: Path) -> None:
    """A draft that is a hard link to something else is not written into."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"theirs")
    os.link(victim, tmp_path / ".file.new")
    replace_file(tmp_path / "file", b"ours")
    assert victim.read_bytes() == b"theirs"
    assert (tmp_path / "file").read_bytes() == b"ours"


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies there is taken for a live one's, since it cannot be told; the file is written all the same."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(fcntl, "flock", refuse)
    replace_file(tmp_path / "file", b"1")
    assert os.listdir(tmp_path) == ["file"]
    (tmp_path / ".file.new").write_bytes(b"perhaps of somebody")
    replace_file(tmp_path / "file", b"2")
    assert (tmp_path / "file").read_bytes() == b"2"
    assert sorted(os.listdir(tmp_path)) == [".file.new", "file"]


def test_threads_may_write_the_same_file(tmp_path: Path) -> None:
    """Each reader sees what one of them wrote, whole; none fails, and nothing is left."""
    path, most = tmp_path / "file", 40
    wrong: list[object] = []
    replace_file(path, bytes(10_000))

    def write(number: int) -> None:
        try:
            for _ in range(most):
                replace_file(path, bytes([number]) * 10_000, sync="none")
                found = path.read_bytes()
                if len(found) != 10_000 or len(set(found)) != 1:
                    wrong.append(found[:100])
        except OSError as error:
            wrong.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert os.listdir(tmp_path) == ["file"]


def test_a_directory_is_synced_or_the_error_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no directory is an error, and so is a disk that refuses."""
    sync_directory(tmp_path)
    with pytest.raises(NotADirectoryError):
        sync_directory(__file__)

    def refuse(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    open_before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="Input/output"):
        sync_directory(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == open_before

"""Random trees, the same for the same seed, with everything that file systems have; and damage done to them."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

NAMES = [
    b"plain.txt", b"with space", b"-dash", b"~tilde", b"*star", b"line\nend", b"back\\slash", b"quote'\"", b"tab\tname",
    b"r\xc3\xa9sum\xc3\xa9", b"\xe6\x97\xa5\xe6\x9c\xac", b"\xf0\x9f\x92\xbe", b"latin\xe9", b"\xff\xfe\xfd",
    b"cr\rname", b"..dots", b"...", b"hash#", b"percent%41", b"e\xcc\x81combining", b"x" * 200,
]  # fmt: skip


def grow(root: Path, seed: int, files: int = 40) -> None:
    """Make a random tree below ``root``, which is made."""
    rng = random.Random(seed)
    root.mkdir()
    directories = [os.fsencode(root)]
    made: list[bytes] = []
    for number in range(files):
        above = rng.choice(directories)
        name = b"%d-%s" % (number, rng.choice(NAMES))
        path = above + b"/" + name
        kind = rng.choice(
            ["file"] * 6 + ["dir"] * 3 + ["empty", "link", "dangling", "hard", "sparse", "socket", "fifo"]
        )
        if kind == "dir":
            os.mkdir(path)
            directories.append(path)
        elif kind == "link" and made:
            os.symlink(os.path.relpath(rng.choice(made), above), path)
        elif kind == "dangling":
            os.symlink(b"nowhere-%d" % number, path)
        elif kind == "hard" and made:
            os.link(rng.choice(made), path)
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "socket":
            _socket(above, path, number)
        else:
            _file(path, kind, rng)
            made.append(path)
    for each in [*directories[1:], *made]:
        os.chmod(each, rng.choice([0o644, 0o600, 0o640, 0o755, 0o444]) | (0o700 if each in directories else 0))
        os.utime(each, ns=(rng.randrange(2**60), rng.randrange(2**60)), follow_symlinks=False)


def _socket(above: bytes, path: bytes, number: int) -> None:
    before = os.getcwd()
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(above)  # the name of a socket has 108 bytes at most
        try:
            made.bind(b"s%d" % number)
        finally:
            os.chdir(before)


def _file(path: bytes, kind: str, rng: random.Random) -> None:
    with open(path, "wb") as file:
        if kind == "sparse":
            file.truncate(rng.randrange(1, 3_000_000))
            file.seek(rng.randrange(1_000_000))
            file.write(rng.randbytes(5_000))
        elif kind == "file":
            size = rng.choice([1, 10, 100, 4_096, 10_000, 200_000, 1_300_000])
            file.write(rng.randbytes(rng.randrange(1, size + 1)))


Look = tuple[str, int, int, int, str | None, bytes | None]


def look(root: Path, times: bool = True) -> dict[str, Look]:
    """Everything in a tree: type, permissions, time, number of names, target, content."""
    seen = {}
    for above, directories, files in os.walk(os.fsencode(root)):
        for name in directories + files:
            path = above + b"/" + name
            status = os.lstat(path)
            kind = stat.S_IFMT(status.st_mode)
            link = os.fsdecode(os.readlink(path)) if kind == stat.S_IFLNK else None
            content = None
            if kind == stat.S_IFREG:
                with open(path, "rb") as file:
                    content = file.read()
            relative = os.fsdecode(os.path.relpath(path, os.fsencode(root)))
            mtime = status.st_mtime_ns if times else 0
            names = status.st_nlink if kind == stat.S_IFREG else 1
            seen[relative] = (oct(kind), stat.S_IMODE(status.st_mode), mtime, names, link, content)
    return seen


def special(root: Path) -> set[str]:
    """What of a tree cannot be backed up."""
    return {path for path, seen in look(root).items() if seen[0] in {oct(stat.S_IFSOCK), oct(stat.S_IFIFO)}}


Damage = Callable[[bytes, random.Random], None]


@contextlib.contextmanager
def _writable(path: bytes) -> Iterator[None]:
    mode = stat.S_IMODE(os.lstat(path).st_mode)
    os.chmod(path, 0o600)
    yield
    os.chmod(path, mode)


def _corrupt(path: bytes, rng: random.Random) -> None:
    size = os.path.getsize(path)
    at = rng.randrange(size)
    with _writable(path), open(path, "r+b") as file:
        file.seek(at)
        (old,) = file.read(1)
        file.seek(at)
        file.write(bytes([old ^ (1 << rng.randrange(8))]))


def _truncate(path: bytes, rng: random.Random) -> None:
    with _writable(path):
        os.truncate(path, rng.randrange(os.path.getsize(path)))


def _append(path: bytes, rng: random.Random) -> None:
    with _writable(path), open(path, "ab") as file:
        file.write(rng.randbytes(rng.randrange(1, 5_000)))


def _remove(path: bytes, rng: random.Random) -> None:
    os.unlink(path)


def _mode(path: bytes, rng: random.Random) -> None:
    os.chmod(path, stat.S_IMODE(os.lstat(path).st_mode) ^ 0o020)


def _to_directory(path: bytes, rng: random.Random) -> None:
    os.unlink(path)
    os.mkdir(path)


def _to_link(path: bytes, rng: random.Random) -> None:
    os.unlink(path)
    os.symlink(b"elsewhere", path)


def _to_fifo(path: bytes, rng: random.Random) -> None:
    os.unlink(path)
    os.mkfifo(path)


def _lead_elsewhere(path: bytes, rng: random.Random) -> None:
    os.unlink(path)
    os.symlink(b"elsewhere", path)


TO_FILES: list[tuple[str, Damage]] = [
    ("corrupt", _corrupt),
    ("truncated", _truncate),
    ("grown", _append),
    ("missing", _remove),
    ("mode", _mode),
    ("type", _to_directory),
    ("type", _to_link),
    ("type", _to_fifo),
]
TO_LINKS: list[tuple[str, Damage]] = [("link", _lead_elsewhere), ("missing", _remove)]

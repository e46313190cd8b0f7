"""Files reached by descriptors: depth without end, no link followed, nothing left, and everything removed."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from selfheal.backup import Section, verify
from selfheal.backup.paths import Below, remove_tree, walk
from tests.backup.rig import store_at


def _deep(root: Path, depth: int) -> str:
    """Make a directory so deep that no path to it can be told to the system at once."""
    with Below.at(root) as tree:
        path = "d" * 50
        tree.mkdir(path)
        for _ in range(depth - 1):
            path += "/" + "d" * 50
            tree.mkdir(path)
        os.close(tree.create(f"{path}/bottom"))
    return path


def test_deeper_than_a_path_may_be_long(tmp_path: Path) -> None:
    """A tree deeper than 4,096 bytes of path, and than files may be open, is backed up, verified and removed."""
    source = tmp_path / "source"
    source.mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        path = _deep(source, 300)
        store = store_at(tmp_path / "store", [Section("data", source)])
        record = store.create()
        assert [entry.path for entry in store.manifest(record.id).sections[0].entries][-1] == f"{path}/bottom"
        assert verify(store).ok
        for name in ("source", "store"):
            fd = os.open(tmp_path, os.O_RDONLY)
            remove_tree(fd, name)
            os.close(fd)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert os.listdir(tmp_path) == []


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    """Whatever was walked, compared and copied, as many files are open afterwards as before."""
    source = tmp_path / "source"
    source.mkdir()
    _deep(source, 80)
    (source / "large").write_bytes(b"x" * 3_000_000)
    before = len(os.listdir("/proc/self/fd"))
    store = store_at(tmp_path / "store", [Section("data", source)])
    store.create()
    verify(store)

    assert len(os.listdir("/proc/self/fd")) == before


def test_a_link_on_the_way_is_not_followed(tmp_path: Path) -> None:
    """A directory that became a link, and a file that did, are not opened, read or written through."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("secret")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "dir").symlink_to("../outside")
    (tmp_path / "tree" / "file").symlink_to("../outside/file")
    with Below.at(tmp_path / "tree") as tree:
        for attempt in (
            lambda: tree.open("dir/file"),
            lambda: tree.create("dir/new"),
            lambda: tree.mkdir("dir/new"),
            lambda: tree.symlink("x", "dir/new"),
            lambda: tree.names("dir"),
            lambda: tree.lstat("dir/file"),
            lambda: tree.open("file"),
            lambda: tree.create("file"),
        ):
            with pytest.raises(OSError, match=r"."):
                attempt()
        assert [found.path for found in walk(tree)] == ["dir", "file"]
    assert os.listdir(tmp_path / "outside") == ["file"]


def test_removing_follows_no_link(tmp_path: Path) -> None:
    """What a link in a removed tree leads to stays."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").touch()
    (tmp_path / "tree" / "inner").mkdir(parents=True)
    (tmp_path / "tree" / "inner" / "link").symlink_to(tmp_path / "outside")
    fd = os.open(tmp_path, os.O_RDONLY)
    remove_tree(fd, "tree")
    remove_tree(fd, "not there")
    os.close(fd)

    assert sorted(os.listdir(tmp_path)) == ["outside"]
    assert os.listdir(tmp_path / "outside") == ["file"]


def test_walk_tells_what_it_cannot_look_into(tmp_path: Path) -> None:
    """A directory that went away while walking is told of, or raised where nobody wants to be told."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    told = []
    with Below.at(tmp_path) as tree:
        seen = []
        for found in walk(tree, failed=lambda path, error: told.append(path)):
            seen.append(found.path)
            if found.path == "a":
                (tmp_path / "b" / "file").unlink()
                (tmp_path / "b").rmdir()
    assert seen == ["a", "b", "a/file"]
    assert told == ["b"]


def test_back_and_forth_between_directories(tmp_path: Path) -> None:
    """Descriptors are right whichever directory was asked for before, shallow or deep."""
    names = ["a", "b", "/".join("a" * 1 for _ in range(60)), "/".join(["a"] * 59 + ["b"]), "/".join(["a"] * 70)]
    for name in names:
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    inodes = {name: (tmp_path / name).stat().st_ino for name in ["", *names]}
    with Below.at(tmp_path) as tree:
        for first in inodes:
            for second in inodes:
                assert os.fstat(tree.directory(first)).st_ino == inodes[first]
                assert os.fstat(tree.directory(second)).st_ino == inodes[second]

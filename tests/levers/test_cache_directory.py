"""Directories as caches: emptied, never left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfheal.errors import ConfigError
from selfheal.levers import CacheControl
from selfheal.testing import FakeClock


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory beside the root, with a file that must survive."""
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "precious").write_text("keep me")
    (outside / "deep" / "precious").write_text("keep me")
    return outside


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "cache" / "sub").mkdir(parents=True)
    (root / "cache" / "a").write_text("12345")
    (root / "cache" / "sub" / "b").write_text("123")
    (root / "sibling").write_text("keep me")
    return root


def survives(outside: Path) -> bool:
    return all((outside / name).read_text() == "keep me" for name in ("precious", "deep/precious"))


def test_it_is_measured_and_emptied(root: Path) -> None:
    """Files are counted with their bytes and removed, inner directories too; the directory itself stays."""
    control = CacheControl("thumbs", root / "cache", root=root)
    assert (control.size().entries, control.size().bytes) == (2, 8)

    report = control.clear()

    assert (report.entries, report.bytes, report.failed) == (2, 8, ())
    assert list((root / "cache").iterdir()) == []
    assert (root / "sibling").exists()


@pytest.mark.parametrize("path", ["cache", "./cache", Path("cache")])
def test_relative_paths_are_taken_from_the_root(root: Path, path: Any) -> None:
    """A path that is not absolute lies below the root."""
    assert CacheControl("thumbs", path, root=root).size().entries == 2


def test_the_root_itself_may_be_the_cache(root: Path) -> None:
    """The directory can be the root."""
    assert CacheControl("thumbs", root, root=root).clear().entries == 3
    assert list(root.iterdir()) == []


def test_a_directory_that_is_not_there_is_empty(root: Path) -> None:
    """A cache not made yet holds nothing, and clearing it is no error."""
    control = CacheControl("thumbs", root / "later" / "on", root=root)

    assert control.size().entries == 0
    assert control.clear().entries == 0


@pytest.mark.parametrize(
    "path", ["..", "../outside", "cache/../../outside", "cache/..", "/", "/etc", "{outside}", "{root}/../outside", ""]
)
def test_a_path_out_of_the_root_is_refused(root: Path, outside: Path, path: str) -> None:
    """``..`` and what lies elsewhere is refused when the control is made."""
    with pytest.raises(ConfigError, match=r"CacheControl\.cache must be"):
        CacheControl("thumbs", path.format(root=root, outside=outside), root=root)
    assert survives(outside)


@pytest.mark.parametrize("bad", ["/", "{root}/none", "{root}/sibling", "", "\0"])
def test_a_bad_root_is_refused(root: Path, bad: str) -> None:
    """The root must be a directory that is there, and not that of the file system."""
    with pytest.raises(ConfigError, match=r"CacheControl\.root must be"):
        CacheControl("thumbs", "cache", root=bad.format(root=root))


def test_links_are_removed_and_not_followed(root: Path, outside: Path) -> None:
    """A link to a file or a directory outside is unlinked; what it leads to stays, and is not counted."""
    (root / "cache" / "file").symlink_to(outside / "precious")
    (root / "cache" / "dir").symlink_to(outside)
    (root / "cache" / "loop").symlink_to(root / "cache")
    (root / "cache" / "sub" / "up").symlink_to("../..")
    control = CacheControl("thumbs", root / "cache", root=root)
    assert control.size().entries == 6

    report = control.clear()

    assert (report.entries, report.failures) == (6, 0)
    assert survives(outside)
    assert (root / "sibling").exists()


def test_a_link_in_the_path_leads_nowhere(root: Path, outside: Path) -> None:
    """When the directory, or one above it, is a link, nothing is touched and the error says why."""
    (root / "linked").symlink_to(outside)
    for path in (root / "linked", root / "linked" / "deep"):
        control = CacheControl("thumbs", path, root=root)
        for move in (control.clear, control.size, lambda c=control: c.clean_temp(0)):
            with pytest.raises(NotADirectoryError):
                move()
    assert survives(outside)


def test_a_root_reached_through_a_link_is_resolved_once(root: Path, tmp_path: Path, outside: Path) -> None:
    """A link to the root is followed when the control is made, and no more after that."""
    (tmp_path / "link").symlink_to(root)
    control = CacheControl("thumbs", "cache", root=tmp_path / "link")
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to(outside)

    assert control.clear().entries == 2
    assert survives(outside)


def test_a_directory_replaced_by_a_link_while_it_is_emptied(
    root: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking at a directory and opening it somebody puts a link there: it is reported, not followed."""
    real = os.open

    def swap(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if path == "sub" and (root / "cache" / "sub").is_dir():
            (root / "cache" / "sub").rename(root / "cache" / "moved")
            (root / "cache" / "sub").symlink_to(outside)
        return real(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", swap)
    report = CacheControl("thumbs", root / "cache", root=root).clear()

    assert report.failures == 1
    assert report.failed[0].startswith("sub: it became a link")
    assert survives(outside)


def test_a_directory_moved_out_while_it_is_opened(root: Path, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that was moved elsewhere after it was opened is not emptied there."""
    real = os.open

    def move(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        fd = real(path, flags, *args, **kwargs)
        if path == "sub":
            (root / "cache" / "sub").rename(outside / "sub")
        return fd

    monkeypatch.setattr(os, "open", move)
    report = CacheControl("thumbs", root / "cache", root=root).clear()

    assert report.failed == ("sub: it was moved elsewhere meanwhile",)
    assert (outside / "sub" / "b").exists()


def test_what_cannot_be_removed_is_reported(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file that cannot be removed does not keep the others; it is named with the reason."""
    real = os.unlink

    def refuse(name: str, **kwargs: Any) -> None:
        if name == "b":
            raise PermissionError(13, "Permission denied")
        real(name, **kwargs)

    monkeypatch.setattr(os, "unlink", refuse)
    report = CacheControl("thumbs", root / "cache", root=root).clear()

    assert (report.entries, report.failures, report.failed) == (1, 1, ("sub/b: Permission denied",))
    assert (root / "cache" / "sub" / "b").exists()


def test_a_file_that_goes_meanwhile_is_no_failure(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody else removed first is gone, as wanted."""

    def gone(name: str, **kwargs: Any) -> None:
        raise FileNotFoundError(2, "No such file")

    monkeypatch.setattr(os, "unlink", gone)
    report = CacheControl("thumbs", root / "cache", root=root).clear()

    assert report.entries == 0
    assert all("sub:" in told for told in report.failed)


def test_hard_names_depth_and_kinds(root: Path) -> None:
    """Names that are no text, line breaks, pipes, hard links and deep trees are handled."""
    cache = root / "cache"
    (Path(os.fsdecode(os.fsencode(cache) + b"/\xff\n"))).write_text("x")
    os.mkfifo(cache / "pipe")
    os.link(root / "sibling", cache / "hard")
    inner = cache
    for _ in range(70):
        inner = inner / "d"
    inner.mkdir(parents=True)
    report = CacheControl("thumbs", cache, root=root).clear()

    assert report.entries == 5
    assert report.bytes == 9  # the second name of a file frees nothing
    assert (root / "sibling").read_text() == "keep me"
    assert report.failures == 1
    assert "more than 64 levels deep" in report.failed[0]


def test_old_temporary_files_go(root: Path) -> None:
    """Only files with the name of a temporary one that are old enough are removed."""
    clock = FakeClock(wall=1_000_000.0)
    cache = root / "cache"
    for name, age in [("old.tmp", 7200), ("new.tmp", 60), ("sub/old~", 7200), ("old.dat", 7200), (".tmpx", 3601)]:
        (cache / name).write_text("x")
        os.utime(cache / name, (1_000_000 - age, 1_000_000 - age))
    (cache / "link.tmp").symlink_to(root / "sibling")
    os.utime(cache / "link.tmp", (0, 0), follow_symlinks=False)
    (cache / "dir.tmp").mkdir()

    report = CacheControl("thumbs", cache, root=root, clock=clock).clean_temp(older_than=3600)

    assert (report.entries, report.bytes) == (3, 3)
    left = {str(path.relative_to(cache)) for path in cache.rglob("*")}
    assert left == {"a", "new.tmp", "old.dat", "sub", "sub/b", "link.tmp", "dir.tmp"}


@given(st.lists(st.sampled_from(["a", "b", "..", ".", "cache", "sub", "", "x/../..", "/"]), max_size=6))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_path_leads_out(tmp_path: Path, parts: list[str]) -> None:
    """Whatever is put together from names, dots and slashes is refused or lies below the root."""
    root = tmp_path / "held" / "root"
    root.mkdir(parents=True, exist_ok=True)
    (tmp_path / "held" / "precious").write_text("keep me")
    try:
        control = CacheControl("thumbs", "/".join(parts), root=root)
    except ConfigError:
        return
    control.clear()
    assert (tmp_path / "held" / "precious").read_text() == "keep me"
    assert root.is_dir()


def test_from_config(root: Path) -> None:
    """Plain data makes a control; what is not accepted is told with its path in the file."""
    made = CacheControl.from_config({"name": "thumbs", "directory": "cache", "root": str(root)})
    assert made.clear().entries == 2

    with pytest.raises(ConfigError, match=r"levers\.thumbs\.directory must be a path without '\.\.'"):
        CacheControl.from_config({"name": "x", "directory": "../x", "root": str(root)}, "levers.thumbs")
    with pytest.raises(ConfigError, match=r"levers\.thumbs\.root must be a directory"):
        CacheControl.from_config({"name": "x", "directory": "x", "root": "/none/there"}, "levers.thumbs")
    with pytest.raises(ConfigError, match=r"levers\.thumbs\.temporary"):
        CacheControl.from_config({"name": "x", "directory": "x", "root": str(root), "temporary": "*"}, "levers.thumbs")

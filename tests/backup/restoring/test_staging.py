"""What is staged is what was backed up, to the bit, or it is refused by name; and nothing else is written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.backup.entries import Entry, SectionManifest
from selfheal.backup.paths import Below
from selfheal.backup.progress import Progress
from selfheal.backup.restoring.staging import Staged, stage
from selfheal.errors import BackupError
from tests.backup.restoring.made import copy, grown, listed, picture

SECRET = "not to be touched"


def staged(section: SectionManifest, data: Path, into: Path, algorithm: str = "sha256", **options: object) -> Staged:
    """Stage into a new directory."""
    into.mkdir()
    with Below.at(data) as source, Below.at(into) as tree:
        return stage(section, source, tree, algorithm, **options)  # type: ignore[arg-type]


def backed_up(source: Path, data: Path, algorithm: str = "sha256") -> SectionManifest:
    """A copy and what a manifest says of it."""
    copy(source, data)
    return listed("data", source, data, algorithm)


NAMES = st.binary(min_size=1, max_size=12).filter(lambda raw: not set(raw) & {0, 47} and raw not in (b".", b".."))
LEAVES = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=64)),
    st.tuples(st.just("hole"), st.integers(0, 1 << 16)),
    st.tuples(st.just("link"), st.sampled_from(["a", "nowhere/at/all", "ü"])),
    st.tuples(st.just("second"), st.integers(0, 5)),
)
TREES = st.recursive(
    LEAVES, lambda inner: st.tuples(st.just("dir"), st.dictionaries(NAMES, inner, max_size=5)), max_leaves=12
)
MODES = st.integers(0, 0o777).map(lambda bits: bits | 0o400)


@settings(max_examples=40)
@given(st.dictionaries(NAMES, TREES, max_size=6), st.data())
def test_any_tree_arrives_as_it_was(tree: dict[bytes, tuple[str, object]], data: st.DataObject) -> None:
    """Types, contents, modes, times, holes, links and second names of a random tree are those of its source."""
    with tempfile.TemporaryDirectory() as room:
        source = Path(room, "source")
        source.mkdir()
        files: list[bytes] = []
        _grow(os.fsencode(source), tree, files, data)
        section = backed_up(source, Path(room, "data"))
        assert staged(section, Path(room, "data"), Path(room, "new")) == Staged()
        assert picture(Path(room, "new")) == picture(source)
        for raw in files:
            there = os.fsencode(room) + b"/new/" + os.path.relpath(raw, os.fsencode(source))
            assert os.lstat(there).st_blocks <= max(os.lstat(raw).st_blocks, 8)


def _grow(above: bytes, tree: dict[bytes, tuple[str, object]], files: list[bytes], data: st.DataObject) -> None:
    for name, (kind, what) in tree.items():
        path = above + b"/" + name
        if kind == "dir":
            os.mkdir(path)
            _grow(path, what, files, data)  # type: ignore[arg-type]
            os.chmod(path, data.draw(MODES) | 0o300)
        elif kind == "link":
            os.symlink(str(what), path)
        elif kind == "second" and files:
            os.link(files[int(what) % len(files)], path)  # type: ignore[call-overload]
            continue
        else:
            with open(path, "wb") as file:
                file.write(what) if isinstance(what, bytes) else file.truncate(what if kind == "hole" else 0)  # type: ignore[arg-type]
            os.chmod(path, data.draw(MODES))
            files.append(path)
        os.utime(path, ns=(0, data.draw(st.integers(0, 1 << 61))), follow_symlinks=False)


def test_a_large_file_with_a_hole(tmp_path: Path) -> None:
    """Megabytes around a hole arrive, the hole stays one, and progress ends at the whole size."""
    source = grown(tmp_path / "source", {"small": "s"})
    with (source / "large").open("wb") as file:
        file.write(b"x" * (3 << 20))
        file.seek(64 << 20)
        file.write(b"end")
    data = tmp_path / "data"
    data.mkdir()
    os.link(source / "large", data / "large")
    os.link(source / "small", data / "small")
    section = listed("data", source, data)
    told: list[Progress] = []
    staged(section, data, tmp_path / "new", progress=told.append)
    assert (tmp_path / "new" / "large").read_bytes() == (source / "large").read_bytes()
    assert (tmp_path / "new" / "large").stat().st_blocks * 512 < 8 << 20
    assert [one.bytes for one in told] == sorted(one.bytes for one in told)
    assert told[-1] == Progress("restoring", "data", 2, 2, section.size, section.size)


def test_progress_that_raises_ends_it(tmp_path: Path) -> None:
    """Who is told can say that it is enough."""
    section = backed_up(grown(tmp_path / "source", {"a": "1"}), tmp_path / "data")

    def enough(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        staged(section, tmp_path / "data", tmp_path / "new", progress=enough)


def test_setuid_and_setgid_are_not_given(tmp_path: Path) -> None:
    """They are taken off files and directories, each is told, and sticky stays."""
    source = grown(tmp_path / "source", {"tool": "x", "dir/file": "y"})
    (source / "tool").chmod(0o6755)
    (source / "dir").chmod(0o3770)
    section = backed_up(source, tmp_path / "data")
    told = staged(section, tmp_path / "data", tmp_path / "new")
    assert sorted(told.stripped) == ["dir", "tool"]
    assert (tmp_path / "new" / "tool").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "new" / "dir").stat().st_mode & 0o7777 == 0o1770
    assert list(told.notes("data")) == ["data: setuid or setgid was not restored for 2 names: 'tool', 'dir'"]


def test_owners_are_kept_where_that_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is given to its owner; where there is no leave for that, it is told and goes on."""
    source = grown(tmp_path / "source", {"a": "1"})
    (source / "link").symlink_to("a")
    section = backed_up(source, tmp_path / "data")
    owned = attrs.evolve(section, entries=tuple(attrs.evolve(e, uid=12345, gid=54321) for e in section.entries))
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "chown", lambda path, uid, gid, **_: given.append((uid, gid)))
    assert staged(owned, tmp_path / "data", tmp_path / "new").strangers == []
    assert given == [(12345, 54321)] * 3

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    told = staged(owned, tmp_path / "data", tmp_path / "again")
    assert sorted(told.strangers) == [".", "a", "link"]
    assert list(told.notes("data")) == ["data: no leave to keep the owner of 3 names, 'a' the first"]
    assert (tmp_path / "again" / "a").read_text() == "1"


def test_a_manifest_of_md5_sums_that_tells_no_modes(tmp_path: Path) -> None:
    """What it does not say is taken from the files of the store."""
    source = grown(tmp_path / "source", {"a": "1", "b/c": "2"})
    (source / "a").chmod(0o640)
    section = backed_up(source, tmp_path / "data", "md5")
    (tmp_path / "data" / "a").chmod(0o640)
    bare = tuple(attrs.evolve(e, mode=-1, mtime_ns=-1, uid=-1, gid=-1, size=-1) for e in section.entries)
    staged(attrs.evolve(section, entries=bare), tmp_path / "data", tmp_path / "new", "md5")
    assert (tmp_path / "new" / "a").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "new" / "b" / "c").read_text() == "2"


def _replaced(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


DAMAGES: dict[str, Callable[[Path], object]] = {
    "corrupt: sha256": lambda path: path.write_bytes(b"2"),
    "has 2 bytes, 1 in the manifest": lambda path: path.write_bytes(b"11"),
    "has 0 bytes": lambda path: path.write_bytes(b""),
    "is missing": Path.unlink,
    "cannot be read: Too many levels": _replaced(lambda path: path.symlink_to("/etc/passwd")),
    "is no file": _replaced(Path.mkdir),
    "is no file in the store": _replaced(os.mkfifo),
}


@pytest.mark.parametrize("told", DAMAGES)
def test_each_damage_is_told_by_name(tmp_path: Path, told: str) -> None:
    """A file of the store that is not what the manifest says is refused; all such files are named at once."""
    source = grown(tmp_path / "source", {"a": "1", "sub/b": "1", "sound": "w"})
    section = backed_up(source, tmp_path / "data")
    for name in ("a", "sub/b"):
        DAMAGES[told](tmp_path / "data" / name)
    with pytest.raises(BackupError, match="2 names damaged") as caught:
        staged(section, tmp_path / "data", tmp_path / "new")
    assert told in str(caught.value)
    assert "'a'" in str(caught.value)
    assert "'sub/b'" in str(caught.value)
    assert "sound" not in str(caught.value)


def test_a_store_that_is_gone_ends_it_early(tmp_path: Path) -> None:
    """With a hundred names missing, the others are not looked for."""
    source = grown(tmp_path / "source", {f"{n:03}": "1" for n in range(150)})
    section = backed_up(source, tmp_path / "data")
    for path in (tmp_path / "data").iterdir():
        path.unlink()
    with pytest.raises(BackupError, match="100 names or more damaged: '000' is missing"):
        staged(section, tmp_path / "data", tmp_path / "new")


def test_a_link_in_the_store_is_not_followed(tmp_path: Path) -> None:
    """A directory of the store that became a link leads nowhere."""
    source = grown(tmp_path / "source", {"sub/b": "1"})
    section = backed_up(source, tmp_path / "data")
    (tmp_path / "data" / "sub").rename(tmp_path / "elsewhere")
    (tmp_path / "data" / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BackupError, match="'sub/b' cannot be read"):
        staged(section, tmp_path / "data", tmp_path / "new")


REFUSED = (BackupError, OSError)
FILE = Entry("x", "file", 0o644, 1, 0, digest="0" * 64)
HOSTILE = {
    "up": [attrs.evolve(FILE, path="../victim")],
    "absolute": [attrs.evolve(FILE, path="/tmp/victim")],
    "up further on": [Entry("a", "dir", 0o755), attrs.evolve(FILE, path="a/../../victim")],
    "nul": [attrs.evolve(FILE, path="a\0b")],
    "empty part": [Entry("a", "dir", 0o755), attrs.evolve(FILE, path="a//b")],
    "dot": [attrs.evolve(FILE, path="./x")],
    "below a link": [Entry("l", "link", link="../outside"), attrs.evolve(FILE, path="l/victim")],
    "over a link": [Entry("l", "link", link="../outside/victim"), attrs.evolve(FILE, path="l")],
    "directory over a link": [Entry("l", "link", link="../outside"), Entry("l", "dir", 0o755)],
    "below a file": [Entry("f", "file", 0o644, 0, 0, digest=None), attrs.evolve(FILE, path="f/x")],
    "twice": [Entry("f", "file", 0o644, 0, 0), Entry("f", "file", 0o644, 0, 0)],
    "one file of two": [Entry("f", "file", 0, 0, 0, group=1), Entry("x", "file", 0, 1, 0, group=1)],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_manifest_writes_nothing_outside(tmp_path: Path, name: str) -> None:
    """Even past the checks of reading, nothing but the staging directory changes."""
    grown(tmp_path, {"victim": SECRET, "outside/victim": SECRET, "data/x": "1", "data/f": "", "data/victim": "1"})
    (tmp_path / "data" / "a").mkdir()
    (tmp_path / "new").mkdir()
    before = {k: v for k, v in picture(tmp_path).items() if k != "new"}
    hostile = SectionManifest("data", "/srv", tuple(HOSTILE[name]))
    with Below.at(tmp_path / "data") as source, Below.at(tmp_path / "new") as tree, pytest.raises(REFUSED):
        stage(hostile, source, tree, "sha256")
    after = {k: v for k, v in picture(tmp_path).items() if k != "new" and not k.startswith("new/")}
    assert after == before


def test_a_single_file_gets_the_name_of_its_target(tmp_path: Path) -> None:
    """A section that is one file can be put back under another name."""
    grown(tmp_path, {"app.toml": "x = 1"})
    section = backed_up(tmp_path / "app.toml", tmp_path / "data")
    staged(section, tmp_path / "data", tmp_path / "new", name="other.toml")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["other.toml"]
    assert (tmp_path / "new" / "other.toml").read_text() == "x = 1"

"""Damage of every class done to backups of random trees: all of it is found, all of it is named, none is invented."""

from __future__ import annotations

import os
import random
import shutil
import stat
from pathlib import Path

import pytest

from selfheal.backup import BackupStore, Section, verify
from tests.backup.rig import KEY, found, store_at
from tests.backup.trees import TO_FILES, TO_LINKS, grow, look, special


def _backup(tmp_path: Path, seed: int, files: int = 60) -> tuple[BackupStore, Path, Path]:
    source = tmp_path / "source"
    grow(source, seed, files)
    store = store_at(tmp_path / "store", [Section("data", source)], key=KEY)
    return store, store.create().path / "data" / "data", source


@pytest.mark.parametrize("seed", range(12))
def test_a_random_tree_is_kept_as_it_is(tmp_path: Path, seed: int) -> None:
    """Types, bytes, permissions, times, targets and names of one file are in the backup as in the source."""
    store, kept, source = _backup(tmp_path, seed)
    expected = {path: seen for path, seen in look(source).items() if path not in special(source)}
    (section,) = store.manifest(store.get().id).sections

    assert look(kept) == expected
    assert {skipped.path for skipped in section.skipped} == special(source)
    assert {entry.path for entry in section.entries} == {".", *expected}
    assert section.unstable == ()


@pytest.mark.parametrize("kind", ["quick", "deep", "rolling"])
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_invented(tmp_path: Path, seed: int, kind: str) -> None:
    """An undamaged backup is found sound, times changed or not."""
    store, kept, _ = _backup(tmp_path, seed)
    for path in look(kept):
        os.utime(kept / path, (1, 1), follow_symlinks=False)

    assert verify(store, kind=kind, share=3).damages == ()


@pytest.mark.parametrize("seed", range(20))
def test_all_damage_is_found_and_named(tmp_path: Path, seed: int) -> None:
    """Several random damages at once: exactly these are told, each by its class."""
    store, kept, _ = _backup(tmp_path, seed, files=80)
    rng = random.Random(seed)
    expected = set()
    root = os.fsencode(kept)
    everything = look(kept)
    victims = rng.sample(sorted(everything), min(25, len(everything)))
    for path in victims:
        kind, _, _, names, _, content = everything[path]
        if kind == oct(stat.S_IFLNK):
            damage, inflict = rng.choice(TO_LINKS)
        elif content and names == 1:
            damage, inflict = rng.choice(TO_FILES)
        else:
            continue
        inflict(root + b"/" + os.fsencode(path), rng)
        expected.add(("data", path, damage))
    for number in range(3):
        directories = [path for path, seen in everything.items() if seen[0] == oct(stat.S_IFDIR)]
        path = os.path.join(rng.choice([*directories, "."]), f"new-{number}").removeprefix("./")
        with open(root + b"/" + os.fsencode(path), "w") as file:
            file.write("not in the list")
        expected.add(("data", path, "extra"))

    assert len(expected) > 5
    assert found(verify(store)) == expected


@pytest.mark.parametrize("damage", ["corrupt", "truncated", "grown", "missing", "mode", "type"])
def test_each_class_alone(tmp_path: Path, damage: str) -> None:
    """One damage of each class to one file is told as that and as nothing else, with what was expected."""
    store, kept, _ = _backup(tmp_path, 5)
    everything = look(kept)
    path = next(path for path, seen in sorted(everything.items()) if seen[5] and seen[3] == 1)
    for name, inflict in TO_FILES:
        if name == damage:
            inflict(os.fsencode(kept / path), random.Random(1))
            break

    verification = verify(store)

    assert found(verification) == {("data", path, damage)}
    assert verification.damages[0].expected


def test_a_directory_that_is_gone_takes_all_below_it(tmp_path: Path) -> None:
    """Each thing below a missing directory is told as missing, and nothing beside it."""
    store, kept, _ = _backup(tmp_path, 3, files=120)
    below = look(kept)
    directory = next(
        path
        for path, seen in sorted(below.items())
        if seen[0] == oct(stat.S_IFDIR) and sum(1 for each in below if each.startswith(f"{path}/")) > 2
    )
    gone = {path for path in below if path == directory or path.startswith(f"{directory}/")}
    names = {path for path, seen in below.items() if seen[3] > 1}
    shutil.rmtree(os.fsencode(kept / directory))

    told = found(verify(store))

    assert {path for _, path, kind in told if kind == "missing"} == gone
    assert {path for _, path, kind in told if kind != "missing"} <= names - gone


def test_an_extra_directory_is_told_with_all_below_it(tmp_path: Path) -> None:
    """What is below an extra directory is extra, thing by thing."""
    store, kept, _ = _backup(tmp_path, 4)
    (kept / "new" / "deeper").mkdir(parents=True)
    (kept / "new" / "deeper" / "file").touch()

    assert found(verify(store)) == {("data", f"new{path}", "extra") for path in ("", "/deeper", "/deeper/file")}


def test_names_of_one_file_that_were_torn_apart(tmp_path: Path) -> None:
    """A name that is a copy now, and two files that are one now, are told as links."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_text("same")
    os.link(source / "a", source / "b")
    (source / "c").write_text("other")
    (source / "d").write_text("other")
    store = store_at(tmp_path / "store", [Section("data", source)])
    kept = store.create().path / "data" / "data"
    assert verify(store).ok
    (kept / "b").unlink()
    shutil.copy2(kept / "a", kept / "b")
    (kept / "d").unlink()
    os.link(kept / "c", kept / "d")

    assert found(verify(store)) == {("data", "b", "link"), ("data", "d", "link")}
    assert found(verify(store, kind="quick")) == {("data", "b", "link"), ("data", "d", "link")}


def test_a_directory_with_other_permissions(tmp_path: Path) -> None:
    """Permissions of directories count, also those of the section itself."""
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    store = store_at(tmp_path / "store", [Section("data", source)])
    kept = store.create().path / "data" / "data"
    kept.chmod(0o711)
    (kept / "inner").chmod(0o700)

    assert found(verify(store)) == {("data", ".", "mode"), ("data", "inner", "mode")}


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the disk while a file is read is told of that file, and the others are verified."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "bad").write_text("bad")
    (source / "good").write_text("good")
    store = store_at(tmp_path / "store", [Section("data", source)])
    kept = store.create().path / "data" / "data"
    inode = (kept / "bad").stat().st_ino
    read = os.read

    def failing(fd: int, size: int) -> bytes:
        if os.fstat(fd).st_ino == inode:
            raise OSError(5, "Input/output error")
        return read(fd, size)

    monkeypatch.setattr(os, "read", failing)
    verification = verify(store, record=False)

    assert found(verification) == {("data", "bad", "unreadable")}
    assert verification.damages[0].found == "Input/output error"


def test_ten_thousand_files(tmp_path: Path) -> None:
    """A single flipped bit, and a single name too many, are found among ten thousand files."""
    source = tmp_path / "source"
    for number in range(100):
        (source / f"{number:02d}").mkdir(parents=True)
        for inner in range(100):
            (source / f"{number:02d}" / f"{inner:02d}").write_bytes(b"%d" % (number * 100 + inner))
    store = store_at(tmp_path / "store", [Section("data", source)])
    kept = store.create().path / "data" / "data"
    sound = verify(store)
    assert (sound.files, sound.files_read, sound.damages) == (10_000, 10_000, ())

    (kept / "73" / "21").write_bytes(b"7320")
    (kept / "99" / "zz").touch()

    assert found(verify(store)) == {("data", "73/21", "corrupt"), ("data", "99/zz", "extra")}

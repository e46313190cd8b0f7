"""Backups made by hand, as a person would: files copied, and a manifest written beside them."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from selfheal.backup.entries import DATA_NAME, MANIFEST_NAME, Entry, Manifest, SectionManifest
from selfheal.backup.manifest import read_manifest
from selfheal.backup.restoring.planning import Which
from selfheal.backup.sections import Section
from selfheal.backup.writing import manifest_bytes
from selfheal.errors import NotFoundError

MADE = 1_700_000_000.0


@attrs.frozen
class Named:
    """What a store gives for a name."""

    id: str


@attrs.frozen
class Shelf:
    """A directory of backups."""

    directory: Path
    key: bytes | None = None
    sections: tuple[Section, ...] = ()

    def get(self, which: Which) -> Named:
        """By id, or the one with the greatest."""
        there = sorted(path.name for path in self.directory.iterdir() if (path / MANIFEST_NAME).exists())
        chosen = there[-1] if which == "latest" and there else str(which)
        if chosen not in there:
            raise NotFoundError("backup", chosen, there)
        return Named(chosen)

    def path(self, id: str) -> Path:
        """Where it is."""
        return self.directory / id

    def manifest(self, id: str) -> Manifest:
        """Read it, and believe nothing."""
        return read_manifest(self.path(id) / MANIFEST_NAME, self.key)

    def put(self, sources: Mapping[str, Path], id: str = "20231114T221320Z", **more: Any) -> Manifest:
        """Make a backup of each section."""
        sections = []
        for name, source in sources.items():
            data = self.path(id) / DATA_NAME / name
            copy(source, data)
            sections.append(listed(name, source, data))
        manifest = Manifest(id=id, created=MADE, sections=tuple(sections), **more)
        self.write(manifest)
        return manifest

    def write(self, manifest: Manifest) -> None:
        """Put a manifest in place."""
        (self.path(manifest.id) / MANIFEST_NAME).write_bytes(manifest_bytes(manifest, self.key))


def copy(source: Path, data: Path) -> None:
    """Files, links, modes, times and second names; a single file into a directory of its own."""
    data.mkdir(parents=True)
    if not source.is_dir():
        shutil.copy2(source, data / source.name)
        return
    firsts: dict[int, Path] = {}
    for path in walked(source):
        there, seen = data / path.relative_to(source), path.lstat()
        if stat.S_ISLNK(seen.st_mode):
            there.symlink_to(os.readlink(path))
            os.utime(there, ns=(seen.st_mtime_ns, seen.st_mtime_ns), follow_symlinks=False)
        elif stat.S_ISDIR(seen.st_mode):
            there.mkdir()
        elif seen.st_ino in firsts:
            os.link(firsts[seen.st_ino], there)
        else:
            firsts[seen.st_ino] = there
            _copy_file(path, there, seen)


def _copy_file(path: Path, there: Path, seen: os.stat_result) -> None:
    if seen.st_blocks * 512 < seen.st_size:
        with there.open("wb") as file:
            file.truncate(seen.st_size)
            data = path.read_bytes() if seen.st_size < 1 << 24 else b""
            start = len(data) - len(data.lstrip(b"\0"))
            file.seek(start)
            file.write(data[start:].rstrip(b"\0"))
    else:
        shutil.copyfile(path, there)


def walked(root: Path) -> list[Path]:
    """Everything below, each before what it contains."""
    found = []
    for above, directories, files in os.walk(root):
        found += [Path(above, name) for name in sorted([*directories, *files])]
    return sorted(found, key=lambda path: os.fsencode(path).split(b"/"))


def listed(name: str, source: Path, data: Path, algorithm: str = "sha256") -> SectionManifest:
    """What a manifest says of a section: attributes of the source, digests of the copy."""
    if not source.is_dir():
        return SectionManifest(
            name, str(source), (entry(source, source.name, data / source.name, algorithm),), root="file"
        )
    entries = [entry(source, ".", data, algorithm)]
    groups: dict[int, int] = {}
    for path in walked(source):
        relative, seen = str(path.relative_to(source)), path.lstat()
        one = entry(path, relative, data / relative, algorithm)
        if one.type == "file" and seen.st_nlink > 1:
            one = attrs.evolve(one, group=groups.setdefault(seen.st_ino, len(groups)))
        entries.append(one)
    return SectionManifest(name, str(source), tuple(entries))


def entry(path: Path, relative: str, copied: Path, algorithm: str = "sha256") -> Entry:
    """One entry."""
    seen = path.lstat()
    mode = stat.S_IMODE(seen.st_mode)
    uid, gid = seen.st_uid, seen.st_gid
    if stat.S_ISLNK(seen.st_mode):
        return Entry(relative, "link", mode, 0, seen.st_mtime_ns, link=os.readlink(path), uid=uid, gid=gid)
    if stat.S_ISDIR(seen.st_mode):
        return Entry(relative, "dir", mode, 0, seen.st_mtime_ns, uid=uid, gid=gid)
    digest = hashlib.new(algorithm, copied.read_bytes()).hexdigest()
    return Entry(relative, "file", mode, seen.st_size, seen.st_mtime_ns, digest=digest, uid=uid, gid=gid)


def grown(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """A tree of files with these contents."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def picture(root: Path) -> dict[str, tuple[Any, ...]]:
    """All there is to see of a tree: types, modes, times, contents, and which names are one file."""
    if not os.path.lexists(root):
        return {}
    seen: dict[str, tuple[Any, ...]] = {}
    firsts: dict[tuple[int, int], str] = {}
    for path in [root, *(walked(root) if root.is_dir() and not root.is_symlink() else [])]:
        relative, status = str(path.relative_to(root)), path.lstat()
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISLNK(status.st_mode):
            seen[relative] = ("link", os.readlink(path), status.st_mtime_ns)
        elif stat.S_ISDIR(status.st_mode):
            seen[relative] = ("dir", mode, status.st_mtime_ns)
        else:
            first = firsts.setdefault((status.st_dev, status.st_ino), relative)
            seen[relative] = ("file", mode, status.st_mtime_ns, path.read_bytes(), first)
    return seen

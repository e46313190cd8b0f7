"""What a manifest says: entries, sections, the whole, and what is accepted in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from selfheal.validators import between

MANIFEST_NAME = "hashes.json"
SUMS_NAME = "SHA256SUMS"
DATA_NAME = "data"
VERSION = 1
UNKNOWN = -1
"""In place of a mode, a size or a time that a manifest does not tell (a file of checksums tells none)."""

EntryType = Literal["file", "dir", "link"]
Algorithm = Literal["sha256", "md5"]


@attrs.frozen
class Entry:
    """A file, a directory or a symbolic link in a section.

    Args:
        path: relative to the section, with ``/``; bytes that are no UTF-8 as ``os.fsdecode`` has them. ``"."`` is the
            directory of the section itself, and comes first.
        type: ``file``, ``dir`` or ``link``.
        mode: permission bits, with setuid, setgid and sticky; ``-1`` if not known.
        size: bytes of a file, as many as were written; 0 for the others; ``-1`` if not known.
        mtime_ns: when it was changed last, nanoseconds since 1970; ``-1`` if not known.
        link: target of a link, else ``None``.
        group: number that files share which are one file under several names; else ``None``.
        digest: of the content of a file, in hex; else ``None``.
        uid: owner; ``-1`` if not known.
        gid: its group; ``-1`` if not known.
    """

    path: str
    type: EntryType
    mode: int = UNKNOWN
    size: int = 0
    mtime_ns: int = UNKNOWN
    link: str | None = None
    group: int | None = None
    digest: str | None = None
    uid: int = UNKNOWN
    gid: int = UNKNOWN


@attrs.frozen
class Skipped:
    """Something in a source that is not in the backup.

    Args:
        path: relative to the section.
        why: ``socket``, ``unreadable: Permission denied`` and the like.
    """

    path: str
    why: str


@attrs.frozen
class SectionManifest:
    """What is in one section.

    Args:
        name: of the section.
        source: the path it was copied from.
        root: ``dir``, or ``file`` where the source is a single file: then it is the one entry, by its name.
        entries: directories before what they contain.
        skipped: what is not in it, and why.
        unstable: files that changed each time they were read: what is in the backup may be no state they ever had.
        probe: what the host's probe said, as plain data.
    """

    name: str
    source: str
    entries: tuple[Entry, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    unstable: tuple[str, ...] = ()
    probe: Mapping[str, Any] | None = None
    root: Literal["dir", "file"] = "dir"

    @property
    def files(self) -> int:
        """How many files, each name counted."""
        return sum(1 for entry in self.entries if entry.type == "file")

    @property
    def size(self) -> int:
        """Bytes of all files, each name counted, holes included."""
        return sum(entry.size for entry in self.entries if entry.type == "file" and entry.size > 0)


@attrs.frozen
class Manifest:
    """What is in a backup.

    Args:
        id: of the backup.
        created: wall-clock seconds since 1970 UTC at which it was begun.
        sections: in the order in which they are restored.
        algorithm: of the digests: ``sha256``; ``md5`` is only read.
        previous: digest of the manifest before this one in the store, or ``None``.
        previous_id: the id of that backup, or ``None``.
        signature: HMAC-SHA256 of the manifest, in hex, or ``None``.
        version: of the format.
    """

    id: str
    created: float
    sections: tuple[SectionManifest, ...]
    algorithm: Algorithm = "sha256"
    previous: str | None = None
    previous_id: str | None = None
    signature: str | None = None
    version: int = VERSION

    def section(self, name: str) -> SectionManifest | None:
        """The section of this name, or ``None``."""
        return next((section for section in self.sections if section.name == name), None)

    @property
    def files(self) -> int:
        """How many files are in it."""
        return sum(section.files for section in self.sections)

    @property
    def size(self) -> int:
        """Bytes of all files in it."""
        return sum(section.size for section in self.sections)


@attrs.frozen(kw_only=True)
class ManifestLimits:
    """What is accepted in a manifest: of one that is read, and of a source that is backed up.

    Args:
        max_bytes: of the file.
        max_entries: in all sections, what was skipped included.
        links_out: accept symbolic links that lead out of their section (absolute ones among them).
        case_collisions: accept names that differ in nothing but case, which not every file system can keep apart.
    """

    max_bytes: int = attrs.field(default=256 * 1024 * 1024, validator=between(1, 1 << 40, "bytes"))
    max_entries: int = attrs.field(default=500_000, validator=between(1, 100_000_000))
    links_out: bool = False
    case_collisions: bool = False

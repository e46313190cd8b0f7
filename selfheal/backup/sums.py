r"""Files of checksums as ``sha256sum`` and ``md5sum`` write and check them.

A line is ``<digest>  <name>``, or ``<digest> *<name>``; where a name has a line end or a backslash the line begins with
a backslash, and the name has ``\n``, ``\r`` and ``\\`` instead. Lines of the BSD kind, ``MD5 (<name>) = <digest>``, are
read too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from selfheal.backup.checking import NameCheck
from selfheal.backup.entries import (
    DATA_NAME,
    MANIFEST_NAME,
    UNKNOWN,
    Algorithm,
    Entry,
    Manifest,
    ManifestLimits,
    SectionManifest,
)
from selfheal.backup.parsing import read_bounded
from selfheal.backup.paths import why_refused
from selfheal.errors import ManifestRefusedError

_GNU = re.compile(rb"(\\?)([0-9A-Fa-f]+) [ *](.+)", re.DOTALL)
_BSD = re.compile(rb"(\\?)(MD5|SHA256) \((.+)\) = ([0-9A-Fa-f]+)", re.DOTALL)
_ALGORITHMS: dict[int, Algorithm] = {32: "md5", 64: "sha256"}
_ESCAPED = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r"}
_MEANT = {b"\\\\": b"\\", b"\\n": b"\n", b"\\r": b"\r"}


def sums_bytes(manifest: Manifest, manifest_digest: str) -> bytes:
    """The file with which ``sha256sum -c`` checks a backup, from inside its directory.

    Args:
        manifest: what is in it.
        manifest_digest: of the manifest's own file.
    """
    lines = [_line(manifest_digest, MANIFEST_NAME)]
    for section in manifest.sections:
        before = f"{DATA_NAME}/{section.name}/"
        lines += [_line(entry.digest or "", before + entry.path) for entry in section.entries if entry.type == "file"]
    return b"".join(lines)


def _line(digest: str, name: str) -> bytes:
    raw = os.fsencode(name)
    escaped = re.sub(rb"[\\\n\r]", lambda found: _ESCAPED[found[0]], raw)
    return (b"\\" if escaped != raw else b"") + digest.encode("ascii") + b"  " + escaped + b"\n"


def read_sums(path: Path | str, *, limits: ManifestLimits | None = None) -> Manifest:
    """Read a file of MD5 or SHA-256 sums as a manifest of one section, ``sums``: what is beside the file.

    It tells no sizes, modes or times: they are ``-1``. The directories are those that the names need.

    Raises:
        ManifestRefusedError: if a line or a name in it is not as it must be. Nothing of it is used.
        OSError: if it cannot be read.
    """
    limits = limits or ManifestLimits()
    content = read_bounded(path, limits)
    where = str(path)
    if content.count(b"\n") > limits.max_entries:
        raise ManifestRefusedError(where, f"it has more than {limits.max_entries:,} entries")
    found = list(_parse(content, where))
    if not found:
        raise ManifestRefusedError(where, "there is no line in it")
    algorithms = {_ALGORITHMS.get(len(digest)) for _, digest in found}
    algorithm = algorithms.pop()
    if algorithms or algorithm is None:
        raise ManifestRefusedError(where, "its digests are not all MD5 or all SHA-256, by their length")
    entries = tuple(_entries(found, where, limits))
    section = SectionManifest("sums", str(Path(path).absolute().parent), entries)
    return Manifest("sums", 0.0, (section,), algorithm=algorithm)


def _parse(content: bytes, where: str) -> Iterator[tuple[str, str]]:
    lines = content.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, 1):
        line = line.removesuffix(b"\r")
        gnu = _GNU.fullmatch(line)
        if gnu is not None:
            escaped, digest, raw = gnu.groups()
        elif (bsd := _BSD.fullmatch(line)) is not None:
            escaped, _, raw, digest = bsd.groups()
        else:
            raise ManifestRefusedError(where, f"line {number} is no line of checksums")
        if escaped:
            if re.sub(rb"\\[\\nr]", b"", raw).count(b"\\"):
                raise ManifestRefusedError(where, f"line {number} has an escape that is not known")
            raw = re.sub(rb"\\[\\nr]", lambda found: _MEANT[found[0]], raw)
        yield os.fsdecode(raw).removeprefix("./"), digest.decode("ascii").lower()


def _entries(found: list[tuple[str, str]], where: str, limits: ManifestLimits) -> Iterator[Entry]:
    check = NameCheck(limits)
    directories: set[str] = set()
    for path, digest in found:
        if (why := why_refused(path)) is not None:
            raise ManifestRefusedError(where, why, path[:1_000])
        for entry in (*_above(path, directories), Entry(path, "file", size=UNKNOWN, digest=digest)):
            why = check.why_refused(entry)
            if why is not None:
                raise ManifestRefusedError(where, why, path[:1_000])
            yield entry


def _above(path: str, known: set[str]) -> Iterator[Entry]:
    above = path.rpartition("/")[0]
    missing = []
    while above and above not in known:
        missing.append(above)
        known.add(above)
        above = above.rpartition("/")[0]
    for each in reversed(missing):
        yield Entry(each, "dir")

"""The manifest of a backup: what is in it, entry by entry, and how that is written and read.

``hashes.json`` is one JSON document laid out line by line, an entry a line, so that it can be checked while it is read
and a person can search it with ``grep``. Reading trusts nothing in it: see :mod:`selfheal.backup.parsing`.
"""

from __future__ import annotations

from pathlib import Path

from selfheal.backup.entries import (
    DATA_NAME,
    MANIFEST_NAME,
    SUMS_NAME,
    UNKNOWN,
    VERSION,
    Algorithm,
    Entry,
    EntryType,
    Manifest,
    ManifestLimits,
    SectionManifest,
    Skipped,
)
from selfheal.backup.parsing import parse_manifest, read_bounded
from selfheal.backup.writing import manifest_bytes, manifest_digest

__all__ = [
    "Algorithm",
    "DATA_NAME",
    "Entry",
    "EntryType",
    "MANIFEST_NAME",
    "Manifest",
    "ManifestLimits",
    "SUMS_NAME",
    "SectionManifest",
    "Skipped",
    "UNKNOWN",
    "VERSION",
    "manifest_bytes",
    "manifest_digest",
    "parse_manifest",
    "read_manifest",
]


def read_manifest(path: Path | str, key: bytes | None = None, *, limits: ManifestLimits | None = None) -> Manifest:
    """Read a manifest, all or nothing.

    Args:
        path: ``hashes.json``.
        key: what it must be signed with; without one a signature is not looked at.
        limits: what is accepted; see there for the defaults.

    Raises:
        ManifestRefusedError: if anything in it is not as it must be; it names the entry. Nothing of it is used.
        OSError: if it cannot be read.
    """
    limits = limits or ManifestLimits()
    return parse_manifest(read_bounded(path, limits), str(path), key, limits=limits)

"""Backups that are proven: made, listed entry by entry in a manifest, verified down to the byte, and restored whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfheal.lazy import lazy_names

if TYPE_CHECKING:
    from selfheal.backup.manifest import Entry as Entry
    from selfheal.backup.manifest import Manifest as Manifest
    from selfheal.backup.manifest import ManifestLimits as ManifestLimits
    from selfheal.backup.manifest import SectionManifest as SectionManifest
    from selfheal.backup.manifest import Skipped as Skipped
    from selfheal.backup.manifest import manifest_bytes as manifest_bytes
    from selfheal.backup.manifest import read_manifest as read_manifest
    from selfheal.backup.progress import Progress as Progress
    from selfheal.backup.records import BackupRecord as BackupRecord
    from selfheal.backup.records import VerificationRecord as VerificationRecord
    from selfheal.backup.sections import Section as Section
    from selfheal.backup.store import BackupStore as BackupStore
    from selfheal.backup.sums import read_sums as read_sums

_HOME = {
    "BackupRecord": "records",
    "BackupStore": "store",
    "Entry": "manifest",
    "Manifest": "manifest",
    "ManifestLimits": "manifest",
    "Progress": "progress",
    "Section": "sections",
    "SectionManifest": "manifest",
    "Skipped": "manifest",
    "VerificationRecord": "records",
    "manifest_bytes": "manifest",
    "read_manifest": "manifest",
    "read_sums": "sums",
}

__all__ = [
    "BackupRecord",
    "BackupStore",
    "Entry",
    "Manifest",
    "ManifestLimits",
    "Progress",
    "Section",
    "SectionManifest",
    "Skipped",
    "VerificationRecord",
    "manifest_bytes",
    "read_manifest",
    "read_sums",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME, globals())

"""Backups that are proven: made, listed entry by entry in a manifest, verified down to the byte, and restored whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfheal.lazy import lazy_names

if TYPE_CHECKING:
    from selfheal.backup.damages import Damage as Damage
    from selfheal.backup.damages import Verification as Verification
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
    from selfheal.backup.restoring.planning import RestorePlan as RestorePlan
    from selfheal.backup.restoring.reporting import RestoreReport as RestoreReport
    from selfheal.backup.restoring.restorer import Restorer as Restorer
    from selfheal.backup.sections import Section as Section
    from selfheal.backup.store import BackupStore as BackupStore
    from selfheal.backup.sums import read_sums as read_sums
    from selfheal.backup.sums_verifying import verify_sums as verify_sums
    from selfheal.backup.verifying import verify as verify

_HOME = {
    "BackupRecord": "records",
    "BackupStore": "store",
    "Damage": "damages",
    "Entry": "manifest",
    "Manifest": "manifest",
    "ManifestLimits": "manifest",
    "Progress": "progress",
    "RestorePlan": "selfheal.backup.restoring.planning",
    "RestoreReport": "selfheal.backup.restoring.reporting",
    "Restorer": "selfheal.backup.restoring.restorer",
    "Section": "sections",
    "SectionManifest": "manifest",
    "Skipped": "manifest",
    "Verification": "damages",
    "VerificationRecord": "records",
    "manifest_bytes": "manifest",
    "read_manifest": "manifest",
    "read_sums": "sums",
    "verify": "verifying",
    "verify_sums": "sums_verifying",
}

__all__ = [
    "BackupRecord",
    "BackupStore",
    "Damage",
    "Entry",
    "Manifest",
    "ManifestLimits",
    "Progress",
    "RestorePlan",
    "RestoreReport",
    "Restorer",
    "Section",
    "SectionManifest",
    "Skipped",
    "Verification",
    "VerificationRecord",
    "manifest_bytes",
    "read_manifest",
    "read_sums",
    "verify",
    "verify_sums",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME, globals())

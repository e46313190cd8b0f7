"""Backups that are proven: made, listed entry by entry in a manifest, verified down to the byte, and restored whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfheal.lazy import lazy_names

if TYPE_CHECKING:
    from selfheal.backup.control import BackupControl as BackupControl
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
    from selfheal.backup.pruning import Pruned as Pruned
    from selfheal.backup.pruning import plan_pruning as plan_pruning
    from selfheal.backup.pruning import prune as prune
    from selfheal.backup.records import BackupRecord as BackupRecord
    from selfheal.backup.records import VerificationRecord as VerificationRecord
    from selfheal.backup.restoring.planning import RestorePlan as RestorePlan
    from selfheal.backup.restoring.reporting import RestoreReport as RestoreReport
    from selfheal.backup.restoring.restorer import Restorer as Restorer
    from selfheal.backup.retention import Retention as Retention
    from selfheal.backup.retention import RetentionPlan as RetentionPlan
    from selfheal.backup.routine import BackupRoutine as BackupRoutine
    from selfheal.backup.routine import Round as Round
    from selfheal.backup.sections import Section as Section
    from selfheal.backup.settings import BackupSettings as BackupSettings
    from selfheal.backup.settings import load_backup_settings as load_backup_settings
    from selfheal.backup.store import BackupStore as BackupStore
    from selfheal.backup.sums import read_sums as read_sums
    from selfheal.backup.sums_verifying import verify_sums as verify_sums
    from selfheal.backup.verifying import verify as verify
    from selfheal.backup.watching import BackupLimits as BackupLimits

_HOME = {
    "BackupControl": "control",
    "BackupLimits": "watching",
    "BackupRecord": "records",
    "BackupRoutine": "routine",
    "BackupSettings": "settings",
    "BackupStore": "store",
    "Damage": "damages",
    "Entry": "manifest",
    "Manifest": "manifest",
    "ManifestLimits": "manifest",
    "Progress": "progress",
    "Pruned": "pruning",
    "RestorePlan": "selfheal.backup.restoring.planning",
    "RestoreReport": "selfheal.backup.restoring.reporting",
    "Restorer": "selfheal.backup.restoring.restorer",
    "Retention": "retention",
    "RetentionPlan": "retention",
    "Round": "routine",
    "Section": "sections",
    "SectionManifest": "manifest",
    "Skipped": "manifest",
    "Verification": "damages",
    "VerificationRecord": "records",
    "load_backup_settings": "settings",
    "manifest_bytes": "manifest",
    "plan_pruning": "pruning",
    "prune": "pruning",
    "read_manifest": "manifest",
    "read_sums": "sums",
    "verify": "verifying",
    "verify_sums": "sums_verifying",
}

__all__ = [
    "BackupControl",
    "BackupLimits",
    "BackupRecord",
    "BackupRoutine",
    "BackupSettings",
    "BackupStore",
    "Damage",
    "Entry",
    "Manifest",
    "ManifestLimits",
    "Progress",
    "Pruned",
    "RestorePlan",
    "RestoreReport",
    "Restorer",
    "Retention",
    "RetentionPlan",
    "Round",
    "Section",
    "SectionManifest",
    "Skipped",
    "Verification",
    "VerificationRecord",
    "load_backup_settings",
    "manifest_bytes",
    "plan_pruning",
    "prune",
    "read_manifest",
    "read_sums",
    "verify",
    "verify_sums",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME, globals())

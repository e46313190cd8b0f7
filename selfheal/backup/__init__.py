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
    from selfheal.backup.sections import Section as Section

_HOME = {
    "Entry": "manifest",
    "Manifest": "manifest",
    "ManifestLimits": "manifest",
    "Section": "sections",
    "SectionManifest": "manifest",
    "Skipped": "manifest",
    "manifest_bytes": "manifest",
    "read_manifest": "manifest",
}

__all__ = [
    "Entry",
    "Manifest",
    "ManifestLimits",
    "Section",
    "SectionManifest",
    "Skipped",
    "manifest_bytes",
    "read_manifest",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME, globals())

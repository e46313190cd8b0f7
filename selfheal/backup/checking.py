"""What is accepted in a section: the same when a source is backed up and when a manifest is read."""

from __future__ import annotations

import re

import attrs

from selfheal.backup.entries import Entry, ManifestLimits
from selfheal.backup.paths import ROOT, why_refused

SECTION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
"""Sections are directories of the store: no dots, so that none is taken for a file or a way up."""


def leads_out(path: str, target: str) -> bool:
    """Whether a link at ``path`` (relative to its section) leads out of the section, by its text.

    >>> leads_out("a/b", "../c"), leads_out("a/b", "../../c"), leads_out("a", "/etc")
    (False, True, True)
    """
    if target.startswith("/"):
        return True
    depth = path.count("/")
    for part in target.split("/"):
        if part == "..":
            depth -= 1
            if depth < 0:
                return True
        elif part not in {"", "."}:
            depth += 1
    return False


@attrs.define
class NameCheck:
    """Looks at the entries of one section, in their order, and says what is the matter with one.

    Args:
        limits: what is accepted.
    """

    limits: ManifestLimits
    _types: dict[str, str] = attrs.field(factory=dict, init=False)
    _folded: dict[str, str] = attrs.field(factory=dict, init=False)
    _links_below: bool = attrs.field(default=False, init=False)

    def why_refused(self, entry: Entry) -> str | None:
        """Say why this entry is not accepted after those before it; ``None`` where it is."""
        path = entry.path
        if path == ROOT:
            return None if entry.type == "dir" and not self._types else "the directory of the section comes first"
        why = why_refused(path)
        if why is not None:
            return why
        if path in self._types:
            return "it is there twice"
        above = path.rpartition("/")[0]
        if above and self._types.get(above) != "dir":
            kind = self._types.get(above)
            return f"{above!r} is no directory before it" if kind is None else f"it lies below a {kind}, {above!r}"
        if not self.limits.case_collisions and (why := self._collides(path)):
            return why
        self._types[path] = entry.type
        if entry.type == "link":
            return self._why_link_refused(path, entry.link)
        return None

    def _collides(self, path: str) -> str | None:
        folded = path.lower() if path.isascii() else path.casefold()
        other = self._folded.setdefault(folded, path)
        return None if other == path else f"it differs from {other!r} only in case"

    def _why_link_refused(self, path: str, target: str | None) -> str | None:
        if not target or "\0" in target:
            return "the target of the link is empty or has a NUL"
        if not self.limits.links_out and leads_out(path, target):
            return f"the link leads out of the section, to {target!r}"
        return None

"""What a verification found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

import attrs

from selfheal.errors import ConfigError

Kind = Literal["quick", "deep", "rolling", "restore"]
KINDS: tuple[Kind, ...] = ("quick", "deep", "rolling", "restore")
DamageKind = Literal[
    "missing",
    "extra",
    "truncated",
    "grown",
    "corrupt",
    "type",
    "link",
    "mode",
    "unreadable",
    "manifest_tampered",
]


@attrs.frozen
class Damage:
    """One thing that is not as the manifest says.

    Args:
        section: where; empty for what belongs to the backup as a whole.
        path: relative to the section, or to the backup.
        kind: ``missing``; ``extra``; ``truncated`` or ``grown``: shorter or longer; ``corrupt``: as long, with other
            bytes; ``type``: something else than a file, or than a directory, or than a link; ``link``: leads elsewhere,
            or is no longer one file with the other names of it; ``mode``: other permissions; ``unreadable``;
            ``manifest_tampered``: the list itself cannot be believed.
        expected: what there should be, in words.
        found: what there is, in words.
    """

    section: str
    path: str
    kind: DamageKind
    expected: str = ""
    found: str = ""


@attrs.frozen
class Verification:
    """What a verification of one backup found.

    Args:
        id: of the backup.
        kind: ``quick``, ``deep``, ``rolling`` or ``restore``.
        at: wall seconds at which it ended.
        damages: all that was found.
        files: how many were looked at.
        files_read: how many of them were read to the last byte.
        bytes_read: how many bytes that were.
        duration: seconds it took.
        share: of a rolling one, in how many parts all is read; else 0.
        part: which of them was.
        signed: whether the manifest was checked with a key.
        digest: of the manifest's file.
        entries: how many things the manifest lists.
        store: the directory of the backups, or empty.
    """

    id: str
    kind: Kind
    at: float
    damages: tuple[Damage, ...]
    files: int = 0
    files_read: int = 0
    bytes_read: int = 0
    duration: float = 0.0
    share: int = 0
    part: int = 0
    signed: bool = False
    digest: str = ""
    entries: int = 0
    store: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.damages

    @property
    def counts(self) -> Mapping[str, int]:
        """How many damages of each kind there are."""
        return dict(sorted(Counter(damage.kind for damage in self.damages).items()))


def kind_of(value: str) -> Kind:
    """Check the name of a kind of verification.

    Raises:
        ConfigError: if there is none of this name.
    """
    for kind in KINDS:
        if kind == value:
            return kind
    raise ConfigError("kind of verification", value, "one of " + ", ".join(map(repr, KINDS)), "'deep'")

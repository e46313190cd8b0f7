"""What files of a backup are called in places that do not take every name."""

from __future__ import annotations

import hashlib
import os

_LONGEST = 255
_KEPT = 120
_MEANS_SOMETHING = frozenset('%*?[]{}\\:#~"<>|')
"""Letters that an address, a pattern or a file system elsewhere takes for something else."""


def place_name(path: str) -> str:
    """The path of a file at a place: readable where it can be, else with bytes as ``%41``; the same for the same path.

    A component that becomes too long by that ends in the digest of its name.

    >>> place_name("etc/app.toml"), place_name("what?/50%")
    ('etc/app.toml', 'what%3F/50%25')
    """
    return "/".join(map(_component, path.split("/")))


def _component(name: str) -> str:
    if all(letter.isprintable() and letter not in _MEANS_SOMETHING for letter in name) and name.strip() == name:
        told = name
    else:
        told = "".join(map(_letter, name))
        told = f"%20{told[1:]}" if told.startswith(" ") else told
        told = f"{told[:-1]}%20" if told.endswith(" ") else told
    raw = told.encode("utf-8")
    if len(raw) <= _LONGEST:
        return told
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f"{raw[:_KEPT].decode('utf-8', 'ignore').rstrip('%')}%{digest}"


def _letter(letter: str) -> str:
    if letter.isprintable() and letter not in _MEANS_SOMETHING:
        return letter
    return "".join(f"%{byte:02X}" for byte in os.fsencode(letter))

"""Where something is mounted, as this process sees it."""

from __future__ import annotations

import os
import re
from pathlib import Path

_TABLE = "/proc/self/mountinfo"
_OCTAL = re.compile(rb"\\([0-7]{3})")


def mount_points(table: str = _TABLE) -> frozenset[Path]:
    """All mount points; none where the system does not tell. A file can be one too."""
    try:
        with open(table, "rb") as file:
            lines = file.readlines()
    except FileNotFoundError:
        return frozenset()
    fields = [line.split(b" ") for line in lines]
    return frozenset(Path(os.fsdecode(_OCTAL.sub(_byte, one[4]))) for one in fields if len(one) > 4)


def _byte(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[1], 8)])

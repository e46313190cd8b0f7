"""Every byte of a backup read in so many runs: which part is read in the next one."""

from __future__ import annotations

import hashlib

from selfheal.backup.records import VerificationRecord


def part_of(section: str, path: str, share: int) -> int:
    """In which of ``share`` parts a file is, by its name."""
    digest = hashlib.sha256(f"{section}/{path}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") % share


def next_part(records: tuple[VerificationRecord, ...], id: str, share: int) -> int:
    """The part of a backup that was not read for longest; of those never read the first."""
    last = dict.fromkeys(range(share), -1)
    for number, record in enumerate(records):
        if record.id == id and record.kind == "rolling" and record.share == share and record.part in last:
            last[record.part] = number
    return min(last, key=lambda part: (last[part], part))

"""What a verification found, for a person who has to act on it, and for programs."""

from __future__ import annotations

import datetime
import json
import shlex
from pathlib import Path
from typing import Any

import attrs

from selfheal.backup.damages import Damage, Verification
from selfheal.durable import replace_file

REPORT_NAME = "backup_verification_report_latest.md"
REPORT_DATA_NAME = "backup_verification_report_latest.json"
_ROWS = 1_000
_CELL = 300
_MEANS = {
    "missing": "in the manifest, and not there",
    "extra": "there, and not in the manifest",
    "truncated": "shorter than it was",
    "grown": "longer than it was",
    "corrupt": "as long as it was, with other bytes",
    "type": "something else than it was (file, directory, link)",
    "link": "leads elsewhere, or is no longer one file under several names",
    "mode": "has other permissions",
    "unreadable": "cannot be read",
    "manifest_tampered": "the list of files itself was changed or damaged",
}
_DID = {
    "quick": "presence, type, size and permissions of everything; no byte of a file was read",
    "deep": "every byte of every file, and presence, type, size and permissions of everything",
    "rolling": "presence, type, size and permissions of everything, and every byte of part {part} of {share}",
    "restore": "restored aside, and every byte of what was restored",
}
_HOLDS = {
    "quick": "Files that are not listed below look as they were backed up (their bytes were not read)",
    "deep": "Files that are not listed below are as they were backed up",
    "rolling": "Files that are not listed below look as they were backed up (only a part of the bytes was read)",
    "restore": "Files that are not listed below came back as they were backed up",
}


def as_data(verification: Verification) -> dict[str, Any]:
    """A verification as JSON has it."""
    return {
        **attrs.asdict(verification, filter=lambda field, value: field.name != "damages"),
        "ok": verification.ok,
        "counts": dict(verification.counts),
        "damages": [attrs.asdict(damage) for damage in verification.damages],
    }


def as_markdown(verification: Verification) -> str:
    """A verification as a page: first what it comes to, then what to do, then each thing found."""
    when = datetime.datetime.fromtimestamp(verification.at, datetime.UTC)
    lines = [
        f"# Backup {verification.id}: {'sound' if verification.ok else 'DAMAGED'}",
        "",
        f"{_verdict(verification)}",
        "",
        f"- Verified: {when:%Y-%m-%d %H:%M:%S} UTC, {verification.kind}, in {verification.duration:.1f} s",
        f"- Looked at: {_DID[verification.kind].format(part=verification.part + 1, share=verification.share)}",
        f"- Files: {verification.files:,} looked at, {verification.files_read:,} read"
        f" ({verification.bytes_read:,} bytes)",
        f"- Manifest: {_signature(verification)}",
        "",
        "## What to do",
        "",
        *_to_do(verification),
        "",
    ]
    if verification.damages:
        lines += _found(verification)
    return "\n".join(lines)


def _verdict(verification: Verification) -> str:
    if verification.ok:
        return "Nothing was found: it can be restored as far as this look can tell."
    named = ", ".join(f"{count:,} {kind}" for kind, count in verification.counts.items())
    things = "thing is" if len(verification.damages) == 1 else "things are"
    return f"**{len(verification.damages):,} {things} not as they were backed up:** {named}."


def _signature(verification: Verification) -> str:
    if verification.signed:
        return "signed, and checked with the key: changes on purpose would have been found too"
    return "not checked with a key: accidents are found, changes on purpose by who can write the store are not"


def _to_do(verification: Verification) -> list[str]:
    if verification.ok:
        return ["Nothing."]
    there = shlex.quote(f"{verification.store}/{verification.id}")
    return [
        "1. Do not delete older backups: one of them may be the last sound one. Verify the one before this one deeply.",
        "2. Make a new backup now, if the service is well, and verify it.",
        f"3. {_HOLDS[verification.kind]}, and can be copied out by hand from `{_code(there)}/data`.",
        f"4. Look again without selfheal: `cd {_code(there)} && sha256sum --quiet -c SHA256SUMS`.",
        "5. Several files `corrupt` or `unreadable` at once mean a failing disk: see `dmesg`, and copy what is sound.",
    ]


def _found(verification: Verification) -> list[str]:
    lines = ["## What was found", ""]
    lines += [f"- `{kind}`: {_MEANS[kind]}" for kind in verification.counts]
    lines += ["", "| section | path | what | expected | found |", "|---|---|---|---|---|"]
    lines += [_row(damage) for damage in verification.damages[:_ROWS]]
    left = len(verification.damages) - _ROWS
    if left > 0:
        lines += ["", f"And {left:,} more, in {REPORT_DATA_NAME}."]
    return [*lines, ""]


def _row(damage: Damage) -> str:
    cells = [damage.section or "-", f"`{_code(damage.path)}`", damage.kind, damage.expected, damage.found]
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _code(text: str) -> str:
    return "".join(c if c.isprintable() and c != "`" else ascii(c)[1:-1].replace("`", "\\x60") for c in text)


def _cell(text: str) -> str:
    shown = _code(text) if not text.startswith("`") else text
    shown = shown.replace("|", "\\|")
    return shown if len(shown) <= _CELL else f"{shown[:_CELL]}…"


def write_report(verification: Verification, directory: Path) -> None:
    """Write both reports, each whole or not at all.

    Raises:
        OSError: if one cannot be written.
    """
    data = json.dumps(as_data(verification), ensure_ascii=True, indent=1, sort_keys=True)
    replace_file(directory / REPORT_DATA_NAME, data.encode("ascii") + b"\n", mode=None)
    replace_file(directory / REPORT_NAME, as_markdown(verification).encode("utf-8", "backslashreplace"), mode=None)

"""A manifest written: one JSON document, laid out line by line, the same bytes for the same manifest."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

from selfheal.backup.entries import UNKNOWN, Entry, Manifest, SectionManifest


def manifest_bytes(manifest: Manifest, key: bytes | None = None) -> bytes:
    """The file of a manifest: the same bytes for the same manifest.

    Args:
        manifest: what to write.
        key: sign with it; without one the signature is that of the manifest, if it has any.
    """
    body = b"".join(_lines(manifest))
    signature = manifest.signature if key is None else sign(body, key)
    return body + last_line(signature)


def sign(body: bytes | memoryview, key: bytes) -> str:
    """The signature of the lines of a manifest before its last."""
    return hmac.new(key, body, hashlib.sha256).hexdigest()


def last_line(signature: str | None) -> bytes:
    """The line that holds the signature."""
    return b'],"signature":' + _json(signature) + b"}\n"


def manifest_digest(content: bytes) -> str:
    """What the next manifest says of this one: the SHA-256 of the file."""
    return hashlib.sha256(content).hexdigest()


def totals_of(manifest: Manifest) -> dict[str, int]:
    """What the first line says of all sections, so that a list of backups needs no more than that line."""
    return {
        "files": manifest.files,
        "size": manifest.size,
        "skipped": sum(len(section.skipped) for section in manifest.sections),
        "unstable": sum(len(section.unstable) for section in manifest.sections),
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":")).encode("ascii")


def _lines(manifest: Manifest) -> Iterator[bytes]:
    head = {
        "algorithm": manifest.algorithm,
        "created": float(manifest.created),
        "id": manifest.id,
        "previous": manifest.previous,
        "previous_id": manifest.previous_id,
        "totals": totals_of(manifest),
        "version": manifest.version,
    }
    yield _json(head)[:-1] + b',"sections":[\n'
    for number, section in enumerate(manifest.sections):
        yield from _section_lines(section)
        yield b"]},\n" if number + 1 < len(manifest.sections) else b"]}\n"


def _section_lines(section: SectionManifest) -> Iterator[bytes]:
    head = {
        "name": section.name,
        "probe": section.probe if section.probe is None else dict(section.probe),
        "root": section.root,
        "source": section.source,
        "unstable": section.unstable,
    }
    yield _json(head)[:-1] + b',"skipped":[\n'
    yield from _items({"path": skipped.path, "why": skipped.why} for skipped in section.skipped)
    yield b'],"entries":[\n'
    yield from _items(map(_entry_data, section.entries))


def _items(items: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    before = b""
    for item in items:
        yield before + _json(item)
        before = b",\n"
    if before:
        yield b"\n"


def _entry_data(entry: Entry) -> dict[str, Any]:
    data: dict[str, Any] = {"path": entry.path, "type": entry.type, "mode": entry.mode, "mtime_ns": entry.mtime_ns}
    if entry.type == "file":
        data |= {"size": entry.size, "digest": entry.digest}
    for name, value in (("link", entry.link), ("group", entry.group)):
        if value is not None:
            data[name] = value
    if entry.uid != UNKNOWN or entry.gid != UNKNOWN:
        data |= {"uid": entry.uid, "gid": entry.gid}
    return data

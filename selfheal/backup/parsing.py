"""Reading a manifest that somebody may have made to do harm: all of it is checked before any of it is used."""

from __future__ import annotations

import hmac
import json
import math
import operator
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from selfheal.backup.checking import SECTION_NAME, NameCheck
from selfheal.backup.entries import UNKNOWN, VERSION, Entry, Manifest, ManifestLimits, SectionManifest, Skipped
from selfheal.backup.writing import last_line, sign, totals_of
from selfheal.errors import ManifestRefusedError

_BATCH = 256 * 1024
_LONGEST_LINE = 4 * 1024 * 1024
_LARGEST = (1 << 63) - 1
_DIGESTS = {"sha256": 64, "md5": 32}
_HEX = re.compile(r"[0-9a-f]+", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", re.ASCII)
_HEAD = {"algorithm", "created", "id", "previous", "previous_id", "totals", "version", "sections"}
_TOTALS = {"files", "size", "skipped", "unstable"}
_SECTION = {"name", "probe", "root", "source", "unstable", "skipped"}
_COMMON = {"path", "type", "mode", "mtime_ns"}
_OWNER = {"uid", "gid"}
_PLAIN_FILE = _COMMON | {"size", "digest"} | _OWNER
_PLAIN_VALUES = operator.itemgetter("digest", "gid", "mode", "mtime_ns", "size", "uid")
_TEXTS = {"path", "type", "link", "digest"}
_RANGES = {
    "mode": (UNKNOWN, 0o7777),
    "mtime_ns": (-_LARGEST, _LARGEST),
    "size": (UNKNOWN, _LARGEST),
    "group": (0, _LARGEST),
    "uid": (UNKNOWN, _LARGEST),
    "gid": (UNKNOWN, _LARGEST),
}
_NO_RANGE = (0, -1)
_FIELDS = {
    "file": (_COMMON | {"size", "digest"}, {"group"} | _OWNER),
    "dir": (_COMMON, _OWNER),
    "link": (_COMMON | {"link"}, _OWNER | {"group"}),
}


def read_bounded(path: Path | str, limits: ManifestLimits) -> bytes:
    """Read a regular file that is not larger than a manifest may be; links are not followed.

    Raises:
        ManifestRefusedError: if it is something else, or larger.
        OSError: if it cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ManifestRefusedError(str(path), "it is no regular file")
        if status.st_size > limits.max_bytes:
            raise ManifestRefusedError(str(path), f"it is larger than {limits.max_bytes:,} bytes")
        with open(fd, "rb", buffering=0, closefd=False) as file:
            content = file.read(status.st_size) or b""
            while len(content) < status.st_size and (more := file.read(status.st_size - len(content))):
                content += more
    finally:
        os.close(fd)
    return content


def parse_manifest(
    content: bytes, where: str, key: bytes | None = None, *, limits: ManifestLimits | None = None
) -> Manifest:
    """Read the bytes of a manifest; see :func:`~selfheal.backup.read_manifest`.

    Args:
        content: the file.
        where: its name, for messages.
        key: what it must be signed with.
        limits: what is accepted.

    Raises:
        ManifestRefusedError: if anything in it is not as it must be.
    """
    return _Parser(content, where, limits or ManifestLimits()).parse(key)


def parse_head(content: bytes, where: str) -> dict[str, Any]:
    """Read the first line of a manifest: ``id``, ``created``, ``previous``, ``totals`` and the others.

    It is fit for a list, and proves nothing.

    Raises:
        ManifestRefusedError: if it is not as it must be.
    """
    return _Parser(content, where, ManifestLimits()).head()


class _Parser:
    """One pass over the lines."""

    def __init__(self, content: bytes, where: str, limits: ManifestLimits) -> None:
        self._content = content
        self._where = where
        self._limits = limits
        self._left = limits.max_entries
        self._at = 0
        self._digits = 64
        self._end = 0
        self._comma = False

    def parse(self, key: bytes | None) -> Manifest:
        if self._content.count(b"\n") > self._limits.max_entries + 10_000:
            self._refuse(f"it has more than {self._limits.max_entries:,} entries")
        signature = self._signature(key)
        head = self.head()
        sections: list[SectionManifest] = []
        while not self._ends():
            if sections and not self._comma:
                self._refuse("something follows the last section")
            sections.append(self._section({section.name for section in sections}))
        if self._comma:
            self._refuse("a section is missing at its end")
        manifest = Manifest(
            id=head["id"],
            created=head["created"],
            sections=tuple(sections),
            algorithm=head["algorithm"],
            previous=head["previous"],
            previous_id=head["previous_id"],
            signature=signature,
        )
        if head["totals"] != totals_of(manifest):
            self._refuse("what its first line counts is not what there is")
        return manifest

    def _refuse(self, why: str, entry: str = "") -> NoReturn:
        raise ManifestRefusedError(self._where, why, entry)

    # Lines

    def _line(self) -> bytes:
        start = self._at
        end = self._content.find(b"\n", start) + 1
        if not end:
            self._refuse("it ends in the middle")
        if end - start > _LONGEST_LINE:
            self._refuse(f"a line is longer than {_LONGEST_LINE:,} bytes")
        self._at = end
        return self._content[start:end]

    def _ends(self) -> bool:
        return self._at >= self._end

    def _json(self, text: bytes) -> Any:
        try:
            return json.loads(text, object_pairs_hook=_no_twice, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            self._refuse(f"it is not laid out as a manifest ({error})")

    def _opened(self, closing: bytes, opening: bytes, fields: set[str]) -> dict[str, Any]:
        """A line that opens a list which the lines after it fill."""
        line = self._line()
        if not line.endswith(opening):
            self._refuse("it is not laid out as a manifest")
        data = self._json(line + closing)
        if not isinstance(data, dict) or data.keys() != fields:
            self._refuse("it is not laid out as a manifest: other fields than it must have")
        return data

    # Parts

    def _signature(self, key: bytes | None) -> str | None:
        self._end = self._content.rfind(b"\n", 0, -1) + 1
        last = self._content[self._end :]
        data = self._json(b"{" + last[2:]) if last.startswith(b"],") and len(last) < 1_000 else None
        signature = data.get("signature") if isinstance(data, dict) else None
        if last != last_line(signature) or not (signature is None or _is_digest(signature, 64)):
            self._refuse("its last line is not that of a manifest: it was cut or changed")
        if key is not None:
            if signature is None:
                self._refuse("it is not signed")
            if not hmac.compare_digest(sign(memoryview(self._content)[: self._end], key), signature):
                self._refuse("its signature is not that of the key: it was changed, or signed with another key")
        return signature

    def head(self) -> dict[str, Any]:
        head = self._opened(b"]}", b',"sections":[\n', _HEAD)
        if type(head["version"]) is not int or head["version"] != VERSION:
            self._refuse(f"its version is {head['version']!r}, not {VERSION}")
        if not isinstance(head["algorithm"], str) or head["algorithm"] not in _DIGESTS:
            self._refuse(f"its algorithm is {head['algorithm']!r}, not one of {', '.join(_DIGESTS)}")
        self._digits = _DIGESTS[head["algorithm"]]
        if type(head["created"]) is not float or not math.isfinite(head["created"]):
            self._refuse("'created' is no time")
        if not _is_id(head["id"]) or not (head["previous_id"] is None or _is_id(head["previous_id"])):
            self._refuse("its id is not the name of a backup")
        if not (head["previous"] is None or _is_digest(head["previous"], 64)):
            self._refuse("'previous' is no digest")
        totals = head["totals"]
        if not isinstance(totals, dict) or totals.keys() != _TOTALS or any(type(n) is not int for n in totals.values()):
            self._refuse("'totals' is not what its first line counts")
        return head

    def _section(self, before: set[str]) -> SectionManifest:
        head = self._opened(b"]}", b',"skipped":[\n', _SECTION)
        name = head["name"]
        if not isinstance(name, str) or not SECTION_NAME.fullmatch(name):
            self._refuse("that is no name of a section", str(name)[:200])
        if name in before:
            self._refuse("the section is there twice", name)
        self._check_section(name, head)
        skipped = [self._skipped(item) for item in self._items(b'],"entries":[\n')]
        checked = NameCheck(self._limits)
        entries = tuple(self._entry(item, checked) for item in self._items(b"]},\n", b"]}\n"))
        if head["root"] == "file" and (len(entries) > 1 or any(e.type != "file" for e in entries)):
            self._refuse("the section is a single file, and has other entries", name)
        unstable = tuple(head["unstable"])
        return SectionManifest(name, head["source"], entries, tuple(skipped), unstable, head["probe"], head["root"])

    def _check_section(self, name: str, head: dict[str, Any]) -> None:
        if head["root"] not in {"dir", "file"}:
            self._refuse("'root' is neither 'dir' nor 'file'", name)
        if not isinstance(head["source"], str) or "\0" in head["source"]:
            self._refuse("'source' is no path", name)
        if not (head["probe"] is None or isinstance(head["probe"], dict)):
            self._refuse("'probe' is no mapping", name)
        if not isinstance(head["unstable"], list) or not all(isinstance(path, str) for path in head["unstable"]):
            self._refuse("'unstable' is no list of names", name)

    def _items(self, *closing: bytes) -> Iterator[dict[str, Any]]:
        """The items of a list, an item a line, up to the line that closes it: the first that begins with a bracket."""
        content = self._content
        end = self._at if content.startswith(b"]", self._at) else content.find(b"\n]", self._at) + 1
        if not end or not content.startswith(closing, end):
            self._refuse("it is not laid out as a manifest: a list is not closed")
        while self._at < end:
            lines = self._lines(end)
            count = lines.count(b"\n")
            self._left -= count
            if self._left < 0:
                self._refuse(f"it has more than {self._limits.max_entries:,} entries")
            last = self._at >= end
            if lines.endswith(b",\n") is last or lines.count(b"},\n") != count - last:
                self._refuse("it is not laid out as a manifest: entries and commas do not fit")
            items = self._json(b"[" + lines.rstrip(b",\n") + b"]")
            if len(items) != count:
                self._refuse("it is not laid out as a manifest: not one entry a line")
            yield from items
        self._comma = self._line().endswith(b",\n")

    def _lines(self, end: int) -> bytes:
        """Some whole lines before ``end``: about as much as is well taken apart at once."""
        start = self._at
        cut = end if end - start <= _BATCH else self._content.rfind(b"\n", start, start + _BATCH) + 1
        if not cut:
            return self._line()
        self._at = cut
        return self._content[start:cut]

    def _skipped(self, item: Any) -> Skipped:
        if not isinstance(item, dict) or item.keys() != {"path", "why"}:
            self._refuse("something skipped has other fields than 'path' and 'why'")
        if not all(isinstance(value, str) for value in item.values()):
            self._refuse("something skipped has no text as 'path' and 'why'")
        return Skipped(item["path"], item["why"])

    def _entry(self, item: Any, checked: NameCheck) -> Entry:
        path = item.get("path") if isinstance(item, dict) else None
        if not isinstance(path, str):
            self._refuse(f"an entry has no path, but is {str(item)[:200]!r}")
        why = None if _is_plain_file(item, self._digits) else _why_wrong(item, self._digits)
        if why is None:
            entry = Entry(**item)
            why = checked.why_refused(entry)
            if why is None:
                return entry
        self._refuse(why, path[:1_000])


def _is_plain_file(item: dict[str, Any], digits: int) -> bool:
    """Whether all is well with an entry of the most frequent shape: tells nothing new, and is three times as fast."""
    if item.keys() != _PLAIN_FILE or item["type"] != "file":
        return False
    digest, gid, mode, mtime_ns, size, uid = _PLAIN_VALUES(item)
    return (
        type(gid) is type(mode) is type(mtime_ns) is type(size) is type(uid) is int
        and UNKNOWN <= gid <= _LARGEST
        and UNKNOWN <= mode <= 0o7777
        and -_LARGEST <= mtime_ns <= _LARGEST
        and UNKNOWN <= size <= _LARGEST
        and UNKNOWN <= uid <= _LARGEST
        and _is_digest(digest, digits)
    )


def _why_wrong(item: dict[str, Any], digits: int) -> str | None:
    kind = item.get("type")
    if not isinstance(kind, str) or kind not in _FIELDS:
        return f"its type is {str(kind)[:100]!r}, not one of {', '.join(_FIELDS)}"
    needed, allowed = _FIELDS[kind]
    if not needed <= item.keys() or not item.keys() <= needed | allowed:
        odd = sorted(needed - item.keys()) or sorted(item.keys() - needed - allowed)
        return f"its field {odd[0][:100]!r} is missing or unknown"
    for name, value in item.items():
        if type(value) is int:
            low, high = _RANGES.get(name, _NO_RANGE)
            good = low <= value <= high
        else:
            good = name in _TEXTS and isinstance(value, str) and (name != "digest" or _is_digest(value, digits))
        if not good:
            return f"its field {name!r} is {str(value)[:100]!r}, which it cannot be"
    return None


def _is_digest(value: object, digits: int) -> bool:
    return isinstance(value, str) and len(value) == digits and _HEX.fullmatch(value) is not None


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _no_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("a field is there twice")
    return data


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")

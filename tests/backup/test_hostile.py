"""Manifests that somebody made to do harm are refused by name, quickly, within bounds, and nothing is written."""

from __future__ import annotations

import json
import os
import random
import tracemalloc
from pathlib import Path

import pytest

from selfheal.backup import (
    Entry,
    Manifest,
    ManifestLimits,
    Section,
    SectionManifest,
    Skipped,
    manifest_bytes,
    read_manifest,
    read_sums,
    verify,
)
from selfheal.backup.manifest import parse_manifest
from selfheal.errors import ManifestRefusedError
from tests.backup.rig import KEY, file_entry, manifest_of, store_at

A_DIRECTORY = Entry("a", "dir", 0o755)

NAMES = [
    ("../passwd", "'..'"),
    ("a/../../passwd", "'..'"),
    ("a/..", "'..'"),
    ("..", "'..'"),
    ("/etc/passwd", "absolute"),
    ("//etc/passwd", "absolute"),
    ("", "empty"),
    ("a//b", "component ''"),
    ("a/", "component ''"),
    ("a/./b", "component '.'"),
    ("./b", "component '.'"),
    ("b\0c", "NUL"),
    ("x" * 256, "longer than 255"),
    ("é" * 128, "longer than 255"),
    ("d/" * 40_000 + "d", "longer than 65,536"),
    ("\ud800", "file name"),
    ("\udcc3\udca9", "file name"),
    ("nowhere/b", "no directory before it"),
]


@pytest.mark.parametrize(("path", "why"), NAMES, ids=[ascii(path)[:30] for path, _ in NAMES])
def test_a_name_that_leads_elsewhere(path: str, why: str) -> None:
    """A path that is no plain way down into the section is refused, by its name."""
    content = manifest_bytes(manifest_of(A_DIRECTORY, file_entry(path)))

    with pytest.raises(ManifestRefusedError) as caught:
        parse_manifest(content, "hashes.json")

    assert why in caught.value.why
    assert caught.value.entry == path[:1_000]


ENTRIES = [
    ([file_entry("a"), file_entry("a")], "twice"),
    ([file_entry("a"), file_entry("a/b")], "below a file"),
    ([Entry("a", "link", 0o777, link="b"), file_entry("a/b")], "below a link"),
    ([A_DIRECTORY, Entry("b/c", "dir"), Entry("b", "dir")], "no directory before it"),
    ([file_entry("Read"), file_entry("rEAD")], "only in case"),
    ([file_entry("straße"), file_entry("STRASSE")], "only in case"),
    ([Entry("A", "link", 0o777, link="b"), A_DIRECTORY], "only in case"),
    ([Entry("l", "link", 0o777, link="/etc")], "out of the section"),
    ([Entry("l", "link", 0o777, link="../x")], "out of the section"),
    ([A_DIRECTORY, Entry("a/l", "link", 0o777, link="b/../../../x")], "out of the section"),
    ([Entry("l", "link", 0o777, link="")], "empty or has a NUL"),
    ([Entry("l", "link", 0o777, link="a\0b")], "empty or has a NUL"),
    ([file_entry("a"), Entry(".", "dir", 0o755)], "comes first"),
    ([file_entry(".")], "comes first"),
    ([file_entry("a", digest="ab" * 16)], "digest"),
    ([file_entry("a", digest="AB" * 32)], "digest"),
    ([file_entry("a", digest=None)], "digest"),
    ([file_entry("a", size=-2)], "size"),
    ([file_entry("a", size=1 << 63)], "size"),
    ([file_entry("a", size=True)], "size"),
    ([file_entry("a", mtime_ns=1.0)], "mtime_ns"),
    ([file_entry("a", mode=0o10000)], "mode"),
    ([file_entry("a", mode="644")], "mode"),
    ([file_entry("a", group=-1)], "group"),
    ([file_entry("a", uid=0, gid="root")], "gid"),
    ([file_entry("a", link="b")], "link"),
    ([Entry("a", "dev", 0o644)], "type"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("entries", "why"), ENTRIES, ids=[f"{n}-{why}" for n, (_, why) in enumerate(ENTRIES)])
def test_entries_that_do_not_fit(entries: list[Entry], why: str) -> None:
    """Entries that contradict one another, or are made of what they cannot be, are refused."""
    with pytest.raises(ManifestRefusedError) as caught:
        parse_manifest(manifest_bytes(manifest_of(*entries)), "hashes.json")

    assert why in caught.value.why
    assert caught.value.entry in {entries[-1].path, "b/c"}


def test_what_limits_allow() -> None:
    """Links that lead out and names that differ in case are accepted where the limits say so, and only there."""
    for limits, entries in (
        (ManifestLimits(links_out=True), [Entry("l", "link", 0o777, link="/etc")]),
        (ManifestLimits(case_collisions=True), [file_entry("A"), file_entry("a")]),
    ):
        manifest = manifest_of(*entries)
        assert parse_manifest(manifest_bytes(manifest), "x", limits=limits) == manifest
        with pytest.raises(ManifestRefusedError):
            parse_manifest(manifest_bytes(manifest), "x")


GOOD = manifest_bytes(
    Manifest(
        "20260101T000000Z",
        5.0,
        (
            SectionManifest("one", "/one", (A_DIRECTORY, file_entry("a/b")), (Skipped("s", "socket"),), ("a/b",)),
            SectionManifest("two", "/two", (file_entry("a"), file_entry("b"))),
        ),
    )
)

CHANGES = [
    (b'"version":1', b'"version":2', "version"),
    (b'"version":1', b'"version":true', "version"),
    (b'"algorithm":"sha256"', b'"algorithm":"crc32"', "algorithm"),
    (b'"algorithm":"sha256"', b'"algorithm":[]', "algorithm"),
    (b'"created":5.0', b'"created":NaN', "laid out"),
    (b'"created":5.0', b'"created":1e999', "time"),
    (b'"created":5.0', b'"created":"now"', "time"),
    (b'"id":"20260101T000000Z"', b'"id":"../other"', "id"),
    (b'"id":"20260101T000000Z"', b'"id":".hidden"', "id"),
    (b'"previous":null', b'"previous":"x"', "previous"),
    (b'"previous_id":null', b'"previous_id":"a/b"', "id"),
    (b'"files":3', b'"files":4', "counts"),
    (b'"files":3', b'"files":3.0', "totals"),
    (b'"name":"two"', b'"name":"one"', "twice"),
    (b'"name":"two"', b'"name":".."', "name of a section"),
    (b'"name":"two"', b'"name":"a/b"', "name of a section"),
    (b'"name":"two"', b'"name":7', "name of a section"),
    (b'"root":"dir"', b'"root":"file"', "single file"),
    (b'"root":"dir"', b'"root":"link"', "root"),
    (b'"source":"/one"', b'"source":null', "source"),
    (b'"probe":null', b'"probe":[]', "probe"),
    (b'"unstable":["a/b"]', b'"unstable":"a/b"', "unstable"),
    (b'"unstable":["a/b"]', b'"unstable":[1]', "unstable"),
    (b'"why":"socket"', b'"why":7', "skipped"),
    (b'"why":"socket"', b'"how":"socket"', "skipped"),
    (b'"type":"file"', b'"type":"file","type":"file"', "twice"),
    (b'"type":"file"', b'"type":"file","owner":1', "unknown"),
    (b'"mode":493,', b"", "missing"),
    (b'"path":"b"', b'"path":["b"]', "no path"),
    (b'"type":"dir"},\n', b'"type":"dir"},', "one entry a line"),
    (b'"type":"dir"},\n', b'"type":"dir"}\n', "commas"),
    (b'"type":"dir"},\n', b'"type":"dir"},7,\n', "commas|one entry"),
    (b"]},\n", b"]}\n", "follows the last"),
    (b'],"signature":null}\n', b"", "last line"),
    (b'],"signature":null}\n', b'],"signature":null}', "last line"),
    (b'],"signature":null}\n', b'],"signature":null}\n\n', "last line"),
    (b'],"signature":null}\n', b'],"signature":"x"}\n', "last line"),
    (b'],"signature":null}\n', b'],"signature":{"a":1}}\n', "last line"),
    (b'"sections":[\n', b'"sections":[', "laid out|middle"),
    (b'],"entries":[\n', b'],"things":[\n', "."),
]


@pytest.mark.parametrize(("old", "new", "why"), CHANGES, ids=[f"{n}-{c[2]}" for n, c in enumerate(CHANGES)])
def test_a_manifest_laid_out_otherwise(old: bytes, new: bytes, why: str) -> None:
    """Fields missing, twice, unknown or of other types, and lines cut or joined, are refused with the reason."""
    assert old in GOOD
    with pytest.raises(ManifestRefusedError, match=why):
        parse_manifest(GOOD.replace(old, new, 1), "hashes.json")


def test_no_change_of_one_byte_crashes() -> None:
    """Whatever one byte is changed to, and wherever it is cut, it is read or refused, and nothing else happens."""
    rng = random.Random(1)
    for at in range(len(GOOD)):
        changed = bytearray(GOOD)
        changed[at] = rng.randrange(256)
        for content in (bytes(changed), GOOD[:at], GOOD[:at] + GOOD[at + 1 :]):
            try:
                parse_manifest(content, "x")
            except ManifestRefusedError:
                continue


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"{}",
        b"[]\n",
        b"null",
        b"\xff\xfe",
        b'{"a":' * 100_000,
        b"[" * 1_000_000,
        b"9" * 1_000_000,
        b"\n" * 9,
    ],
    ids=["empty", "line", "object", "list", "null", "utf16", "nested", "deep", "number", "lines"],
)
def test_no_manifest_at_all(content: bytes) -> None:
    """Whatever else is in the file, it is refused."""
    with pytest.raises(ManifestRefusedError):
        parse_manifest(content, "hashes.json")


def test_nested_without_end_in_a_probe() -> None:
    """What is nested too deep for the reader is refused as such."""
    deep = b'"probe":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    with pytest.raises(ManifestRefusedError, match="laid out"):
        parse_manifest(GOOD.replace(b'"probe":null', deep, 1), "hashes.json")


def test_a_million_entries_within_bounds(tmp_path: Path) -> None:
    """A million entries are refused before one of them is looked at, in no more memory than the file takes."""
    path = tmp_path / "hashes.json"
    line = json.dumps({"path": "x", "type": "dir", "mode": 0, "mtime_ns": 0}).encode() + b",\n"
    path.write_bytes(GOOD[: GOOD.index(b'{"mode"')] + line * 1_000_000 + GOOD[-40:])
    tracemalloc.start()
    try:
        with pytest.raises(ManifestRefusedError, match="more than 500,000 entries"):
            read_manifest(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 2 * path.stat().st_size


def test_more_entries_than_allowed() -> None:
    """The limit counts what was skipped too, over all sections."""
    assert parse_manifest(GOOD, "x", limits=ManifestLimits(max_entries=5)).files == 3
    with pytest.raises(ManifestRefusedError, match="more than 4 entries"):
        parse_manifest(GOOD, "x", limits=ManifestLimits(max_entries=4))


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """A file beyond the limit is refused by its size; no byte of it is read."""
    path = tmp_path / "hashes.json"
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    tracemalloc.start()
    try:
        with pytest.raises(ManifestRefusedError, match="larger than"):
            read_manifest(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 1_000_000


def test_a_long_line_is_refused() -> None:
    """A line beyond some megabytes is refused before it is taken apart."""
    content = GOOD.replace(b'"source":"/one"', b'"source":"' + b"x" * 5_000_000 + b'"')
    with pytest.raises(ManifestRefusedError, match="a line is longer"):
        parse_manifest(content, "x")


def test_what_is_no_file_is_not_opened_to_the_end(tmp_path: Path) -> None:
    """A link, a directory or a pipe in place of the manifest is refused, and nobody waits for the pipe."""
    (tmp_path / "real").write_bytes(GOOD)
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()

    with pytest.raises(OSError, match="symbolic|Too many"):
        read_manifest(tmp_path / "link")
    for name in ("pipe", "directory"):
        with pytest.raises(ManifestRefusedError, match="no regular file"):
            read_manifest(tmp_path / name)


def test_a_tampered_backup_is_damage_and_nothing_is_written(tmp_path: Path) -> None:
    """A manifest changed on purpose is told as tampered by the verification, which follows none of its names."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_text("x")
    store = store_at(tmp_path / "store", [Section("data", source)], key=KEY)
    path = store.create().path / "hashes.json"
    path.write_bytes(path.read_bytes().replace(b'"path":"a"', b'"path":"../../../../outside"'))

    verification = verify(store, record=False)

    assert [(damage.kind, damage.path) for damage in verification.damages] == [("manifest_tampered", "hashes.json")]
    assert not (tmp_path / "outside").exists()
    with pytest.raises(ManifestRefusedError, match="signature"):
        store.manifest(verification.id)


SUMS = [
    (b"d41d8cd98f00b204e9800998ecf8427e  ../x\n", "'..'"),
    (b"d41d8cd98f00b204e9800998ecf8427e  /etc/passwd\n", "absolute"),
    (b"d41d8cd98f00b204e9800998ecf8427e  a\nd41d8cd98f00b204e9800998ecf8427e  a\n", "twice"),
    (b"d41d8cd98f00b204e9800998ecf8427e  a\nd41d8cd98f00b204e9800998ecf8427e  a/b\n", "twice|below a file"),
    (b"d41d8cd98f00b204e9800998ecf8427e  a\nd41d8cd98f00b204e9800998ecf8427e  A\n", "only in case"),
    (b"d41d8cd98f00b204e9800998ecf8427e  a\0b\n", "NUL"),
    (b"d41d8cd98f00b204e9800998ecf8427  a\n", "MD5"),
    (b"d41d8cd98f00b204e9800998ecf8427e  a\n" + b"ab" * 32 + b"  b\n", "all MD5"),
    (b"hello\n", "line 1 is no line"),
    (b"\\d41d8cd98f00b204e9800998ecf8427e  a\\qb\n", "escape"),
    (b"", "no line"),
    (b"\n", "line 1 is no line"),
    (b"d41d8cd98f00b204e9800998ecf8427e  " + b"d/" * 50_000 + b"d\n", "longer"),
]


@pytest.mark.parametrize(("content", "why"), SUMS, ids=range(len(SUMS)))
def test_hostile_checksums(tmp_path: Path, content: bytes, why: str) -> None:
    """Names and lines of a file of checksums are refused like those of a manifest."""
    path = tmp_path / "MD5SUMS"
    path.write_bytes(content)
    with pytest.raises(ManifestRefusedError, match=why):
        read_sums(path)

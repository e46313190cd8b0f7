"""A manifest is written the same each time, and read back as it was."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.backup import Entry, Manifest, ManifestLimits, SectionManifest, Skipped, manifest_bytes, read_manifest
from selfheal.backup.manifest import manifest_digest, parse_manifest
from selfheal.backup.parsing import parse_head
from selfheal.errors import ManifestRefusedError
from tests.backup.rig import KEY, file_entry, manifest_of

NAME = st.binary(min_size=1, max_size=20).map(
    lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"_").decode("utf-8", "surrogateescape")
)
FULL = Manifest(
    "20260101T000000Z-2",
    1_767_225_600.25,
    (
        SectionManifest("config", "/etc/app.toml", (file_entry("app.toml"),), root="file"),
        SectionManifest("empty", "/srv/empty"),
        SectionManifest(
            "data",
            "/srv/d\udcffta",
            (
                Entry(".", "dir", 0o755, mtime_ns=5),
                Entry("a", "dir", 0o700, mtime_ns=-1),
                file_entry("a/b", group=1, uid=0, gid=0),
                file_entry("a/c\udcff", group=1, uid=0, gid=0),
                Entry("l", "link", 0o777, mtime_ns=9, link="a/b"),
            ),
            skipped=(Skipped("s", "socket"), Skipped("p\n", "named pipe")),
            unstable=("a/b",),
            probe={"orders": 3, "nested": {"x": [1, None, "y"]}},
        ),
    ),
    previous="cd" * 32,
    previous_id="20260101T000000Z",
)


def _written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "hashes.json"
    path.write_bytes(content)
    return path


def test_read_back_as_it_was(tmp_path: Path) -> None:
    """What is written is read back, the same, and written anew gives the same bytes."""
    content = manifest_bytes(FULL)
    read = read_manifest(_written(tmp_path, content))

    assert read == FULL
    assert manifest_bytes(read) == content


def test_it_is_json_an_entry_a_line() -> None:
    """Any program that reads JSON can read it, and a person finds a file with grep."""
    content = manifest_bytes(FULL)
    data = json.loads(content)

    assert [section["name"] for section in data["sections"]] == ["config", "empty", "data"]
    assert data["totals"] == {"files": 3, "size": 9, "skipped": 2, "unstable": 1}
    assert sum(b'"path":"a/b"' in line for line in content.split(b"\n")) == 1
    assert content.isascii()


def test_the_first_line_is_enough_for_a_list() -> None:
    """Id, time, predecessor and totals stand in the first line."""
    head = parse_head(manifest_bytes(FULL).split(b"\n", 1)[0] + b"\n", "x")

    assert (head["id"], head["previous_id"], head["totals"]["files"]) == (FULL.id, FULL.previous_id, 3)


def test_signed_and_read_with_the_key(tmp_path: Path) -> None:
    """A signed manifest is read with its key, and without one; its signature comes with it."""
    path = _written(tmp_path, manifest_bytes(FULL, KEY))
    read = read_manifest(path, KEY)

    assert read.signature is not None
    assert attrs.evolve(read, signature=None) == FULL
    assert read_manifest(path) == read
    assert manifest_bytes(read) == path.read_bytes()


@pytest.mark.parametrize("at", ["first", "middle", "last"])
def test_a_changed_byte_breaks_the_signature(at: str) -> None:
    """Whatever is changed in a signed manifest, it is refused."""
    content = bytearray(manifest_bytes(FULL, KEY))
    where = {"first": content.index(b"2026"), "middle": content.index(b"abab"), "last": len(content) - 10}[at]
    content[where] = ord("3") if content[where] != ord("3") else ord("4")

    with pytest.raises(ManifestRefusedError, match="signature|id"):
        parse_manifest(bytes(content), "x", KEY)


def test_unsigned_or_signed_by_another_is_refused() -> None:
    """With a key, a manifest without a signature or with that of another key is refused; the key is in no message."""
    for content, why in (
        (manifest_bytes(FULL), "not signed"),
        (manifest_bytes(FULL, b"another key, also long"), "not that of the key"),
    ):
        with pytest.raises(ManifestRefusedError, match=why) as caught:
            parse_manifest(content, "x", KEY)
        assert KEY.decode() not in repr(caught.value) + str(caught.value)


@given(st.lists(NAME, unique_by=str.casefold, max_size=30), st.integers(-1, 0o7777), st.integers(-1, 2**63 - 1))
def test_any_names_survive(names: list[str], mode: int, number: int) -> None:
    """Names of any bytes, and the largest numbers, are read back as they were."""
    names = [name for name in names if name not in {".", ".."}]
    entries = [file_entry(name, mode=mode, size=max(number, 0), mtime_ns=number) for name in names]
    manifest = manifest_of(*entries)

    assert parse_manifest(manifest_bytes(manifest), "x", limits=ManifestLimits(case_collisions=True)) == manifest


@pytest.mark.parametrize("count", [1_999, 2_000, 2_001, 4_000])
def test_around_the_size_of_a_batch(count: int) -> None:
    """Entries are read in batches; nothing is lost at their edges."""
    manifest = manifest_of(*(file_entry(f"f{number}") for number in range(count)))

    assert len(parse_manifest(manifest_bytes(manifest), "x").sections[0].entries) == count


def test_md5_digests_are_read() -> None:
    """A manifest with MD5 digests is read; with digests of another length than it says it is not."""
    older = manifest_of(file_entry("a", digest="ab" * 16), algorithm="md5")
    assert parse_manifest(manifest_bytes(older), "x") == older

    with pytest.raises(ManifestRefusedError, match="digest"):
        parse_manifest(manifest_bytes(attrs.evolve(older, algorithm="sha256")), "x")


def test_totals_and_sections() -> None:
    """Files and bytes are counted; a section is found by its name."""
    assert (FULL.files, FULL.size) == (3, 9)
    data = FULL.section("data")
    assert data is not None
    assert data.files == 2
    assert FULL.section("nothing") is None
    assert manifest_digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

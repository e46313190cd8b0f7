"""Verifications: which bytes each kind reads, what the chain and the records add, drills, and sums of other tools."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from selfheal.backup import BackupStore, Section, manifest_bytes, verify, verify_sums
from selfheal.backup.rolling import next_part, part_of
from selfheal.errors import BackupError, ConfigError, ManifestRefusedError, NotFoundError, RestoreFailedError
from selfheal.events import BackupVerified, EventBus
from selfheal.testing import FakeClock
from tests.backup.rig import KEY, found, store_at
from tests.backup.trees import grow, look


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory of thirty files."""
    path = tmp_path / "source"
    path.mkdir()
    for number in range(30):
        (path / f"f{number:02d}").write_bytes(b"%d" % number * 100)
    return path


@pytest.fixture
def store(tmp_path: Path, source: Path) -> BackupStore:
    """A store with one backup of it."""
    store = store_at(tmp_path / "store", [Section("data", source)])
    store.create()
    return store


def _later(store: BackupStore) -> None:
    assert isinstance(store.clock, FakeClock)
    store.clock.advance(60)


def _kept(store: BackupStore) -> Path:
    return store.get().path / "data" / "data"


def test_quick_reads_no_byte(store: BackupStore) -> None:
    """A quick look finds what the system tells, and not a changed byte, and says how much it read."""
    (_kept(store) / "f01").write_bytes(b"x" * 100)
    (_kept(store) / "f02").unlink()
    quick = verify(store, kind="quick")

    assert found(quick) == {("data", "f02", "missing")}
    assert (quick.files, quick.files_read, quick.bytes_read) == (29, 0, 0)
    assert found(verify(store)) == {("data", "f01", "corrupt"), ("data", "f02", "missing")}


@pytest.mark.parametrize("share", [1, 3, 7])
def test_rolling_reads_every_byte_in_so_many_runs(store: BackupStore, share: int) -> None:
    """After as many runs as there are parts each file was read exactly once, whatever days were left out."""
    runs = [verify(store, kind="rolling", share=share) for _ in range(share)]

    assert [run.part for run in runs] == list(range(share))
    assert sum(run.files_read for run in runs) == 30
    assert all(run.files == 30 for run in runs)
    assert verify(store, kind="rolling", share=share).part == 0


def test_rolling_finds_a_flipped_bit_in_its_round(store: BackupStore) -> None:
    """A damaged file is found in exactly the run that reads its part."""
    (_kept(store) / "f07").write_bytes(b"8" * 100)
    runs = [verify(store, kind="rolling", share=5) for _ in range(5)]

    assert [run.part for run in runs if not run.ok] == [part_of("data", "f07", 5)]


def test_a_part_that_was_missed_comes_next(store: BackupStore) -> None:
    """The next part is the one read longest ago, by the records, for this backup and this number of parts."""
    for _ in range(3):
        verify(store, kind="rolling", share=4)
    records = store.records

    assert next_part(records, store.get().id, 4) == 3
    assert next_part(records, store.get().id, 3) == 0
    assert next_part(records[1:], store.get().id, 4) == 0
    assert next_part(records, "another", 4) == 0


def test_what_is_missing_at_the_top(store: BackupStore) -> None:
    """The manifest, the checksums, the data or a section that is gone, and what does not belong there, are told."""
    path = store.get().path
    (path / "note.txt").touch()
    (path / "data" / "other").mkdir()
    (path / "SHA256SUMS").unlink()
    assert found(verify(store)) == {
        ("", "note.txt", "extra"),
        ("", "data/other", "extra"),
        ("", "SHA256SUMS", "missing"),
    }

    shutil.rmtree(path / "data")
    told = found(verify(store))
    assert ("data", ".", "missing") in told
    assert {each for _, each, kind in told if kind == "missing"} >= {f"f{number:02d}" for number in range(30)}

    (path / "hashes.json").unlink()
    assert found(verify(store)) == {("", "hashes.json", "missing")}


def test_checksums_that_were_changed(store: BackupStore) -> None:
    """The file of checksums must be what the manifest says."""
    with open(store.get().path / "SHA256SUMS", "ab") as file:
        file.write(b"\n")
    assert found(verify(store)) == {("", "SHA256SUMS", "corrupt")}


def test_a_consistent_forgery_is_found_by_the_next_backup(store: BackupStore) -> None:
    """A file changed together with manifest and checksums: the backup after it knows another digest."""
    first = store.get().id
    _later(store)
    store.create()
    _forge(store, first)

    verification = verify(store, first)
    assert found(verification) == {("", "hashes.json", "manifest_tampered")}
    assert "as the backup" in verification.damages[0].expected
    assert verify(store).ok


def test_a_consistent_forgery_is_found_by_an_earlier_verification(store: BackupStore) -> None:
    """The newest backup has none after it; what it was when it was verified is in the records."""
    assert verify(store).ok
    _forge(store, store.get().id)

    verification = verify(store)
    assert found(verification) == {("", "hashes.json", "manifest_tampered")}
    assert "as an earlier verification says" in verification.damages[0].expected


def test_a_damaged_next_backup_accuses_nobody(store: BackupStore) -> None:
    """What a damaged manifest says of the one before it does not count."""
    first = store.get().id
    _later(store)
    later = store.create().path / "hashes.json"
    content = later.read_bytes()
    at = content.index(b'"previous":"') + len(b'"previous":"')
    later.write_bytes(content[:at] + (b"0" if content[at : at + 1] != b"0" else b"1") + content[at + 1 :])

    assert verify(store, first).ok
    assert not verify(store).ok


def _forge(store: BackupStore, id: str) -> None:
    """Change a file, and everything in the backup that says what it was."""
    import attrs

    from selfheal.backup.manifest import manifest_digest
    from selfheal.backup.sums import sums_bytes

    manifest = store.manifest(id)
    path = store.directory / id
    (path / "data" / "data" / "f00").write_bytes(b"forged")
    (section,) = manifest.sections
    digest = manifest_digest(b"forged")
    entries = tuple(attrs.evolve(e, size=6, digest=digest) if e.path == "f00" else e for e in section.entries)
    forged = attrs.evolve(manifest, sections=(attrs.evolve(section, entries=entries),))
    content = manifest_bytes(forged)
    (path / "hashes.json").write_bytes(content)
    (path / "SHA256SUMS").write_bytes(sums_bytes(forged, manifest_digest(content)))


def test_a_manifest_of_another_backup_is_no_manifest(store: BackupStore) -> None:
    """A whole manifest in the wrong place is refused."""
    first = store.get()
    _later(store)
    second = store.create()
    shutil.copy(first.path / "hashes.json", second.path / "hashes.json")

    assert ("", "hashes.json", "manifest_tampered") in found(verify(store))


def test_records_and_events(tmp_path: Path, source: Path) -> None:
    """Each verification is written down in the store and published; one that is not to be recorded is neither."""
    bus = EventBus()
    told: list[BackupVerified] = []
    bus.subscribe(told.append, BackupVerified, inline=True)
    store = store_at(tmp_path / "store", [Section("data", source)], events=bus, key=KEY)
    store.create()
    verify(store)
    verify(store, record=False)
    (_kept(store) / "f00").unlink()
    verify(store, kind="quick")

    assert [(record.kind, record.ok, dict(record.damages)) for record in store.records] == [
        ("deep", True, {}),
        ("quick", False, {"missing": 1}),
    ]
    assert [(event.sound, event.damages) for event in told] == [(True, 0), (False, 1)]
    with open(store.directory / "verifications.jsonl", "ab") as file:
        file.write(b'{"id": "torn')
    verify(store)
    assert [record.ok for record in store.records] == [True, False, False]


def test_a_drill_by_restoring(store: BackupStore, tmp_path: Path) -> None:
    """What a drill brings back is compared byte by byte with the manifest; the scratch directory is left empty."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def restore(id: str, place: Path) -> dict[str, Path]:
        shutil.copytree(store.path(id) / "data" / "data", place / "back")
        return {"data": place / "back"}

    def restore_badly(id: str, place: Path) -> dict[str, Path]:
        places = restore(id, place)
        (places["data"] / "f03").write_text("lost")
        return places

    sound = verify(store, kind="restore", drill=restore, scratch=scratch)
    assert sound.ok
    assert sound.files_read == 30
    assert found(verify(store, kind="restore", drill=restore_badly)) == {("data", "f03", "truncated")}
    assert found(verify(store, kind="restore", drill=lambda id, place: {})) == {("data", ".", "missing")}
    assert os.listdir(scratch) == []


def test_by_default_a_drill_is_all_that_a_restore_does(tmp_path: Path) -> None:
    """Directories, files, links and databases come back aside and are read; what is damaged cannot be restored."""
    grow(tmp_path / "source", 4)
    (tmp_path / "app.toml").write_text("size = 3")
    sections = [Section("config", tmp_path / "app.toml"), Section("data", tmp_path / "source")]
    store = store_at(tmp_path / "store", sections)
    id = store.create().id
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    drilled = verify(store, kind="restore", scratch=scratch)
    assert drilled.ok
    assert drilled.files_read == store.manifest(id).files
    assert os.listdir(scratch) == []
    assert look(tmp_path / "source")
    (store.path(id) / "data" / "config" / "app.toml").write_text("size = 4")
    with pytest.raises(RestoreFailedError, match="corrupt"):
        verify(store, kind="restore", scratch=scratch)
    assert os.listdir(scratch) == []


def test_a_drill_of_a_single_file(tmp_path: Path) -> None:
    """A section that is one file may come back under another name, among other files."""
    (tmp_path / "app.toml").write_text("size = 3")
    store = store_at(tmp_path / "store", [Section("config", tmp_path / "app.toml")])
    store.create()

    def restore(id: str, place: Path) -> dict[str, Path]:
        (place / "beside").touch()
        return {"config": Path(shutil.copy2(store.path(id) / "data" / "config" / "app.toml", place / "new.toml"))}

    assert verify(store, kind="restore", drill=restore).ok


def test_a_store_that_goes_away_is_no_damage(store: BackupStore) -> None:
    """A backup removed while it is verified, or a store that is not there, is an error and no list of damages."""

    def remove(progress: object) -> None:
        if store.directory.exists():
            shutil.rmtree(store.directory)

    with pytest.raises(BackupError, match="removed meanwhile"):
        verify(store, progress=remove)
    with pytest.raises(BackupError, match="cannot be read"):
        verify(store)


def test_a_store_for_reading_only(store: BackupStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written down, what was found is returned none the less."""

    def refuse(*args: object, **options: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("selfheal.backup.verifying.append_record", refuse)
    assert verify(store).ok


def test_what_is_not_accepted(store: BackupStore) -> None:
    """Unknown kinds, no parts and unknown backups are told by name."""
    with pytest.raises(ConfigError, match="'quick', 'deep', 'rolling', 'restore'"):
        verify(store, kind="thorough")
    with pytest.raises(ConfigError, match="share"):
        verify(store, kind="rolling", share=0)
    with pytest.raises(NotFoundError, match="backup"):
        verify(store, "20200101T000000Z")


@pytest.mark.parametrize("tool", ["md5sum", "sha256sum"])
@pytest.mark.parametrize("style", [[], ["-b"], ["--tag"]])
def test_sums_that_tools_wrote(tmp_path: Path, tool: str, style: list[str]) -> None:
    """A file of checksums as the tools write it verifies, in each of their styles; every damage is told."""
    root = tmp_path / "tree"
    grow(root, 13, 60)
    raw = os.fsencode(root)
    find = [b"find", b".", b"-type", b"f", b"!", b"-name", b"SUMS", b"-exec", tool.encode(), *map(str.encode, style)]
    (root / "SUMS").write_bytes(subprocess.run([*find, b"{}", b"+"], cwd=raw, capture_output=True, check=True).stdout)
    sound = verify_sums(root / "SUMS", extras=False)
    assert sound.ok
    assert sound.files_read == (root / "SUMS").read_bytes().count(b"\n") > 10

    (root / "new").touch()
    victim = next(path for path in sorted(root.rglob("*")) if path.is_file() and path.stat().st_nlink == 1)
    changed = os.path.relpath(victim, root)
    if changed == "SUMS":
        pytest.fail("the tree has no file of its own")
    victim.chmod(0o600)
    victim.write_text("changed")
    told = {(path, kind) for _, path, kind in found(verify_sums(root / "SUMS"))}
    assert {(changed, "corrupt"), ("new", "extra")} <= told
    assert {kind for path, kind in told if path != changed} == {"extra"}


def test_a_wrong_key_is_tampering(tmp_path: Path, source: Path) -> None:
    """A backup signed with one key and verified with another is told as tampered; neither key is told."""
    store_at(tmp_path / "store", [Section("data", source)], key=KEY).create()
    other = store_at(tmp_path / "store", key=b"quite another key")

    verification = verify(other, record=False)
    assert found(verification) == {("", "hashes.json", "manifest_tampered")}
    assert KEY.decode() not in repr(verification) + repr(other)
    with pytest.raises(ManifestRefusedError):
        other.manifest(verification.id)

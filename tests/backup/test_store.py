"""Backups found by name, by date, and when they are damaged."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pytest

from selfheal.backup import BackupStore, Section
from selfheal.backup.naming import id_at, moment_of, order_of, time_of
from selfheal.errors import BackupError, ConfigError, ManifestRefusedError, NotFoundError
from selfheal.testing import FakeClock
from tests.backup.rig import KEY, store_at


def _store(tmp_path: Path, *ids: str) -> BackupStore:
    (tmp_path / "file").write_text("x")
    store = store_at(tmp_path / "store", [Section("data", tmp_path / "file")])
    store.directory.mkdir()
    for id in ids:
        (store.directory / id).mkdir()
    return store


def test_names_are_times() -> None:
    """An id is the second it was begun in, and a number where one second has several; anything else is none."""
    assert time_of(id_at(1_795_231_800.9)) == 1_795_231_800.0
    assert order_of("20261121T033000Z-10") == ("20261121T033000", 10)
    assert [name for name in ("x", ".partial-1", "20261121T033000Z-0", "20261121T033000", "") if order_of(name)] == []
    assert time_of("20269921T033000Z") is None


def test_in_order_of_time_and_number(tmp_path: Path) -> None:
    """The tenth of a second comes after the second of it; what is no backup is not listed."""
    ids = ["20260101T000000Z", "20260101T000000Z-2", "20260101T000000Z-10", "20260102T000000Z"]
    store = _store(tmp_path, *reversed(ids), "other", ".partial-20260103T000000Z", ".removing-20260103T000000Z")
    (store.directory / "20260104T000000Z").write_text("a file")
    (store.directory / "20260105T000000Z").symlink_to("20260101T000000Z")

    assert store.names() == ids


@pytest.mark.parametrize(
    ("which", "id"),
    [
        ("latest", "20260303T120000Z"),
        ("20260302T120000Z", "20260302T120000Z"),
        ("2026-03-02", "20260302T120000Z"),
        (datetime.date(2026, 3, 2), "20260302T120000Z"),
        ("2026-03-02T11:59:59", "20260301T120000Z"),
        ("2026-03-02T12:00:00", "20260302T120000Z"),
        ("2026-03-02T13:30:00+02:00", "20260301T120000Z"),
        (datetime.datetime(2026, 3, 2, 12, tzinfo=datetime.UTC), "20260302T120000Z"),
        ("2030-01-01", "20260303T120000Z"),
        ("2026-02-28", None),
        ("20260302T120001Z", None),
        ("yesterday", None),
        ("../..", None),
        ("", None),
    ],
)
def test_found_by_date(tmp_path: Path, which: str | datetime.date, id: str | None) -> None:
    """Latest, an id (that one or none), a day or a time: the newest begun then or before; what is not there is told."""
    store = _store(tmp_path, "20260301T120000Z", "20260302T120000Z", "20260303T120000Z")
    if id is None:
        with pytest.raises(NotFoundError, match="20260303T120000Z"):
            store.get(which)
    else:
        assert store.get(which).id == id


def test_a_moment_of_no_zone_is_utc() -> None:
    """What is no date is none; a day is all of it."""
    assert moment_of("2026-01-01") == pytest.approx(1_767_312_000, abs=1)
    assert moment_of("now") is None


def test_several_in_one_second(tmp_path: Path) -> None:
    """Backups begun in one second have names of their own, in order, each chained to the one before."""
    store = _store(tmp_path)
    records = [store.create() for _ in range(3)]

    assert [record.id for record in records] == store.names()
    assert [record.id[-2:] for record in records] == ["0Z", "-2", "-3"] or records[1].id.endswith("-2")
    second = store.manifest(records[1].id)
    assert (second.previous_id, second.previous) == (records[0].id, records[0].digest)
    assert store.manifest(records[0].id).previous is None


def test_a_list_tells_damaged_ones(tmp_path: Path) -> None:
    """A backup whose manifest cannot be read is in the list, with the reason; the others are as they are."""
    store = _store(tmp_path, "20200101T000000Z")
    store.create()
    damaged, sound = store.list()

    assert "No such file" in damaged.damage
    assert (sound.damage, sound.files, sound.size) == ("", 1, 1)
    with pytest.raises(FileNotFoundError):
        store.manifest(damaged.id)


def test_the_key_is_told_nowhere(tmp_path: Path) -> None:
    """A store shows that it signs, and never with what; a key that is too short is refused without showing it."""
    store = store_at(tmp_path, key=KEY)
    assert "signed=True" in repr(store)
    assert KEY.decode() not in repr(store)
    with pytest.raises(ConfigError) as caught:
        store_at(tmp_path, key=b"short")
    assert "short" not in str(caught.value)


def test_sections_of_one_name_are_refused(tmp_path: Path) -> None:
    """Two sections of one name would be one directory."""
    with pytest.raises(ConfigError, match="different names"):
        store_at(tmp_path, [Section("a", "/x"), Section("a", "/y")])


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    """Looking for backups where there is no store is an error of the store; making a backup makes it, for its owner."""
    (tmp_path / "file").write_text("x")
    store = store_at(tmp_path / "deep" / "store", [Section("data", tmp_path / "file")], clock=FakeClock())
    with pytest.raises(BackupError, match="cannot be read"):
        store.names()
    store.create()
    assert os.stat(store.directory).st_mode & 0o777 == 0o700
    (store.get().path / "hashes.json").write_text("{}")
    with pytest.raises(ManifestRefusedError):
        store.manifest(store.get().id)

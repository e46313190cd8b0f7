"""Settings of backups from files."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from selfheal.backup.sections import Section
from selfheal.backup.settings import backup_settings, load_backup_settings
from selfheal.errors import ConfigError, InvalidConfigError, SectionRefusedError

WHOLE = """
version = 1
store = "backups"
key_file = "backup.key"

[night]
at = "02:15"
zone = "Europe/Berlin"

[retention]
daily = 3

[limits]
backup_within = "30h"

[[sections]]
name = "config"
path = "etc"
exclude = ["*.tmp"]

[[sections]]
name = "data"
path = "shop.db"
unstable = "fail"

[[places]]
name = "elsewhere"
url = "file:///mnt/copies"
"""


def write(directory: Path, text: str) -> Path:
    """A settings file."""
    path = directory / "selfheal-backup.toml"
    path.write_text(text)
    return path


def test_a_file_says_all_there_is_to_say(tmp_path: Path) -> None:
    """Paths begin where the file is; times, numbers and places are taken; a store can be opened by it."""
    key = tmp_path / "backup.key"
    key.write_text("0123456789abcdef\n")
    key.chmod(0o600)
    (tmp_path / "etc").mkdir()
    (tmp_path / "shop.db").write_text("orders")

    settings = load_backup_settings(write(tmp_path, WHOLE))

    store = settings.open_store()
    assert (store.directory, store.signs) == (tmp_path / "backups", True)
    assert [(one.name, one.path, one.exclude, one.unstable) for one in store.sections] == [
        ("config", tmp_path / "etc", ("*.tmp",), "warn"),
        ("data", tmp_path / "shop.db", (), "fail"),
    ]
    assert settings.retained().daily == 3
    assert settings.limits.backup_within == 30 * 3600.0
    assert (settings.night.at, str(settings.night.tzinfo)) == ("02:15", "Europe/Berlin")
    assert settings.restores_directory == tmp_path / "backups-restores"
    assert store.manifest(store.create().id).id


def test_hooks_and_probes_are_given_in_code(tmp_path: Path) -> None:
    """A section of the same name takes the place of that of the file."""
    settings = load_backup_settings(write(tmp_path, WHOLE.replace('key_file = "backup.key"', "")))
    mine = Section("config", tmp_path / "etc", probe=lambda: {"schema": 4})
    assert settings.open_store(config=mine).sections[0] is mine


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": 2}, "version must be 1"),
        ({"store": 3}, "store must be"),
        ({"sections": [{"name": "a b", "path": "etc"}]}, "Section.name"),
        ({"sections": [{"name": "a", "path": "etc"}, {"name": "a", "path": "x"}]}, r"1\].name must be"),
        ({"sections": [{"name": "a", "path": "."}]}, "not above the store"),
        ({"sections": [{"name": "a", "path": "x", "unstable": "maybe"}]}, "unstable"),
        ({"night": {"at": "25:00"}}, "a time of day"),
        ({"night": {"zone": "Mars/Olympus"}}, "the name of a time zone"),
        ({"limits": {"backup_within": "soon"}}, "backup_within"),
        ({"retentoin": {}}, "retention"),
        ({"places": [{"name": "a", "url": "x"}, {"name": "a", "url": "y"}]}, r"places\[1\].name"),
    ],
)  # fmt: skip
def test_what_is_not_accepted_is_told_with_its_place(change: dict[str, Any], told: str) -> None:
    """Which setting, what was found, what is accepted."""
    with pytest.raises(InvalidConfigError, match=told):
        backup_settings({"version": 1, "store": "backups", **change}, directory="/nowhere")


def test_all_that_is_wrong_is_told_at_once() -> None:
    """Nobody has to try again for each mistake."""
    with pytest.raises(InvalidConfigError) as caught:
        backup_settings({"version": 2, "store": "", "night": {"at": "x"}, "nonsense": 1})
    assert len(caught.value.problems) >= 3


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [("0123456789abcdef", 0o644, "chmod 600"), ("short", 0o600, "16 to"), (None, 0, "read")],
)
def test_a_key_that_is_none_is_refused(tmp_path: Path, content: str | None, mode: int, told: str) -> None:
    """One that others can read, that is too short, or that is not there; the key itself is told nowhere."""
    if content is not None:
        (tmp_path / "backup.key").write_text(content)
        (tmp_path / "backup.key").chmod(mode)
    with pytest.raises(ConfigError, match=told) as caught:
        load_backup_settings(write(tmp_path, WHOLE)).open_store()
    assert content is None or content not in str(caught.value)


def test_nights_without_a_zone_are_those_of_the_machine() -> None:
    """And retention counts days in UTC then."""
    settings = backup_settings({"version": 1, "store": "backups"})
    assert settings.night.tzinfo is None
    assert settings.retained().zone is datetime.UTC


def test_where_copies_are_is_in_no_repr() -> None:
    """An address may hold a password that does not belong there."""
    settings = backup_settings({"version": 1, "store": "b", "places": [{"name": "a", "url": "ftp://me:secret@host"}]})
    assert "secret" not in repr(settings)


def test_links_that_lead_out_are_accepted_if_that_is_said(tmp_path: Path) -> None:
    """A source with an absolute link is refused, and backed up with ``links_out = true``."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "zone").symlink_to("/usr/share/zoneinfo/UTC")
    told = {"version": 1, "store": "backups", "sections": [{"name": "config", "path": "etc"}]}
    with pytest.raises(SectionRefusedError, match="zone"):
        backup_settings(told, directory=tmp_path).open_store().create()
    store = backup_settings({**told, "links_out": True}, directory=tmp_path).open_store()
    id = store.create().id
    assert (store.path(id) / "data" / "config" / "zone").readlink() == Path("/usr/share/zoneinfo/UTC")

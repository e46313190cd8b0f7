"""``selfheal backup init``: settings that load as they are written, and never in place of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfheal.backup.retention import Retention
from selfheal.backup.settings import BackupSettings, load_backup_settings
from tests.cli.backup.rig import Host


@pytest.fixture(autouse=True)
def _no_settings(host: Host) -> None:
    host.path("selfheal-backup.toml").unlink()


def test_it_writes_settings_that_work(host: Host) -> None:
    """With sections, the next command makes a backup of them."""
    told = host("init", "--section", "config=app.toml", "--section", "data=data")

    assert (told.code, told.err) == (0, "")
    assert told.lines[0] == "written: selfheal-backup.toml"
    assert told.lines[-1] == "  selfheal backup create --config selfheal-backup.toml"
    assert host("create", "--config", "selfheal-backup.toml").code == 0
    assert [one.name for one in load_backup_settings("selfheal-backup.toml").sections] == ["config", "data"]


def test_an_example(host: Host) -> None:
    """Without sections it writes an example, and says so; what is commented out is what counts without it."""
    told = host("init", "--config", "x.toml", "--json")
    settings = load_backup_settings("x.toml")

    assert told.document == {"ok": True, "exit_code": 0, "config": "x.toml"}
    assert [(one.name, one.path) for one in settings.sections] == [(n, n) for n in ("config", "data", "state")]
    plain = BackupSettings(version=1, store="backups")
    assert (settings.night, settings.retention, settings.limits) == (plain.night, plain.retention, plain.limits)
    assert settings.retained().daily == Retention().daily


def test_what_is_commented_out_can_be_put_in(host: Host) -> None:
    """Each line of settings that is commented out is accepted without its sign."""
    host("init")
    text = host.path("selfheal-backup.toml").read_text()
    lines = [
        line[2:] if line.startswith("# ") and (" = " in line or line.startswith("# [[")) else line
        for line in text.splitlines()
    ]
    Path("full.toml").write_text("\n".join(lines))
    settings = load_backup_settings("full.toml")

    assert settings.key_file == "backup.key"
    assert settings.sections[0].exclude == ("*.tmp", "cache/**")
    assert [place.name for place in settings.places] == ["offsite"]


def test_paths_with_signs(host: Host) -> None:
    """Quotes, backslashes, controls and other letters arrive as they were said."""
    path = 'a"b\\c\n\x7f\x1b é'
    assert host("init", "--section", f"x={path}", "--store", path + "s").code == 0
    settings = load_backup_settings("selfheal-backup.toml")

    assert (settings.sections[0].path, settings.store) == (path, path + "s")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config", "x.json"], "name a file that ends in .toml"),
        (["--config", "no/x.toml"], "no/x.toml: No such file or directory"),
        (["--section", "b.d=x"], "letters, digits"),
        (["--section", "a=x", "--section", "a=y"], "a name of its own"),
        (["--section", "a=\udcff"], "is no UTF-8"),
        (["--store", "data/b", "--section", "d=data"], "it would hold itself"),
    ],
)
def test_what_is_refused(host: Host, arguments: list[str], said: str) -> None:
    """It is told with code 1, and no file is left."""
    told = host("init", *arguments)

    assert (told.code, told.out) == (1, "")
    assert said in told.err
    assert list(host.directory.glob("**/*.toml")) == [host.path("app.toml")]


def test_the_next_command_is_fit_for_a_shell(host: Host) -> None:
    """A path with spaces is quoted in it."""
    assert (
        host("init", "--config", "my settings.toml").lines[-1] == "  selfheal backup create --config 'my settings.toml'"
    )


def test_it_never_overwrites(host: Host) -> None:
    """A file that is there stays as it is, and so does a link that leads nowhere."""
    host.path("selfheal-backup.toml").write_text("mine")
    told = host("init")

    assert told.code == 1
    assert "is never overwritten" in told.err
    assert host.path("selfheal-backup.toml").read_text() == "mine"
    host.path("link.toml").symlink_to("nowhere.toml")
    assert host("init", "--config", "link.toml").code == 1
    assert not host.path("nowhere.toml").exists()


def test_wrong_arguments(host: Host) -> None:
    """A section is a name and a path."""
    told = host("init", "--section", "data")

    assert told.code == 2
    assert "must be NAME=PATH, got 'data'" in told.err

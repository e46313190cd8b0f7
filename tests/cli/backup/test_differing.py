"""``selfheal backup diff``: what is otherwise now, as a backup would see it; or between two backups."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from selfheal.backup import Section
from selfheal.backup.settings import BackupSettings
from tests.cli.backup.rig import Host


def by_section(document: dict[str, Any], what: str) -> dict[str, list[str]]:
    """Paths of one kind, by section."""
    return {one["name"]: [found["path"] for found in one[what]] for one in document["sections"]}


@pytest.fixture
def id(host: Host) -> str:
    """A backup of the service as it is."""
    return host.made()


def test_nothing_differs(host: Host, id: str) -> None:
    """Right after a backup nothing does, with code 0; what is excluded does not count."""
    host.path("data/x.tmp").write_text("x")
    os.utime("data/f1", (1, 1))
    told = host("diff")

    assert (told.code, told.err) == (0, "")
    assert told.lines == [
        f"from backup {id} to what there is now:",
        "config: 0 added, 0 removed, 0 changed, 1 the same; 1 file, 9 bytes -> 1 file, 9 bytes",
        "data: 0 added, 0 removed, 0 changed, 3 the same; 3 files, 60 bytes -> 3 files, 60 bytes",
        "nothing differs",
    ]


def test_what_differs_is_named(host: Host, id: str) -> None:
    """What came, went and changed, with sizes and in which way; the code is 3."""
    host.path("data/f0").unlink()
    host.path("data/f1").write_text("short")
    host.path("data/f2").chmod(0o600)
    host.path("data/new").mkdir()
    host.path("data/new/link").symlink_to("../f1")
    host.path("app.toml").write_text("size = 4\n")
    told = host("diff")

    assert (told.code, told.err) == (3, "")
    assert told.lines[1:] == [
        "config: 0 added, 0 removed, 1 changed, 0 the same; 1 file, 9 bytes -> 1 file, 9 bytes",
        "  ~ app.toml: other content (9 bytes)",
        "data: 2 added, 1 removed, 2 changed, 0 the same; 3 files, 60 bytes -> 2 files, 25 bytes",
        "  + new/",
        "  + new/link (link to ../f1)",
        "  - f0 (20 bytes)",
        "  ~ f1: 20 bytes -> 5 bytes",
        "  ~ f2: mode 644 -> 600",
    ]


def test_without_contents(host: Host, id: str) -> None:
    """``--no-hashes`` does not see other bytes of the same number, and says so."""
    host.path("app.toml").write_text("size = 4\n")
    told = host("diff", "--no-hashes")

    assert told.code == 0
    assert told.lines[0].endswith("to what there is now, contents not compared:")


def test_two_backups(host: Host, id: str) -> None:
    """From the first to the second; neither settings nor sources are needed."""
    host.path("data/f0").unlink()
    host.path("data/f9").write_text("9")
    second = host.made()
    shutil.rmtree("data")
    host.path("selfheal-backup.toml").unlink()
    forward = host("diff", id, second, "--store", "backups", "--json")
    back = host("diff", second, id, "--store", "backups", "--json")

    assert (forward.code, back.code) == (3, 3)
    assert by_section(forward.document, "added")["data"] == by_section(back.document, "removed")["data"] == ["f9"]
    assert by_section(forward.document, "removed")["data"] == ["f0"]
    assert host("diff", id, id, "--store", "backups").code == 0
    assert (forward.document["before"], forward.document["after"]) == (id, second)


def test_the_source_is_gone(host: Host, id: str) -> None:
    """Then all of it is removed."""
    shutil.rmtree("data")

    assert by_section(host("diff", "--json").document, "removed") == {"config": [], "data": ["f0", "f1", "f2"]}


def test_a_database_counts_by_what_it_holds(host: Host) -> None:
    """A copy by SQLite has other bytes than its source: that is no difference; another row is."""
    with closing(sqlite3.connect("data/app.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE t (a)")
        database.commit()
        host.made()
        assert host("diff").lines[-1] == "nothing differs"
        database.execute("INSERT INTO t VALUES (1)")
        database.commit()
        told = host("diff", "--json")

    assert told.code == 3
    assert by_section(told.document, "changed")["data"] == ["app.db"]


def test_other_sections(host: Host, id: str) -> None:
    """A section that is new or no longer there is a difference, and is told as that."""
    path = host.path("selfheal-backup.toml")
    path.write_text(path.read_text().replace('name = "config"', 'name = "settings"'))
    told = host("diff")

    assert told.code == 3
    assert told.lines[1].startswith("config (no such section any more): 0 added, 1 removed")
    assert told.lines[-2].startswith("settings (no such section then): 1 added")


def test_a_section_with_nothing_in_it(host: Host, id: str) -> None:
    """That it is there is a difference, too."""
    path = host.path("selfheal-backup.toml")
    host.path("empty").mkdir()
    path.write_text(path.read_text() + '\n[[sections]]\nname = "empty"\npath = "empty"\n')
    told = host("diff")

    assert told.code == 3
    assert told.lines[-1].startswith("empty (no such section then): 0 added, 0 removed, 0 changed")


def test_a_file_of_another_name(host: Host, id: str) -> None:
    """A section that is one file may be called otherwise now."""
    path = host.path("selfheal-backup.toml")
    path.write_text(path.read_text().replace("app.toml", "new.toml"))
    host.path("app.toml").rename("new.toml")

    assert host("diff").code == 0


def test_hooks_and_probes_are_not_run(host: Host, id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison touches nothing of the host."""

    def fail() -> None:
        raise AssertionError

    def sections(settings: BackupSettings) -> dict[str, Section]:
        hooks: dict[str, Any] = {"before": fail, "after": fail, "probe": fail}
        return {"config": Section("config", "app.toml", **hooks), "data": Section("data", "data", **hooks)}

    monkeypatch.setattr(BackupSettings, "_sections", sections)

    assert host("diff").code == 0


def test_what_cannot_be_read(host: Host, id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as that, and as nothing else."""
    from selfheal.backup.paths import Below

    opened = Below.open

    def refuse(tree: Below, path: str, *rest: Any) -> int:
        if path == "f1":
            raise PermissionError(13, "Permission denied")
        return opened(tree, path, *rest)

    monkeypatch.setattr(Below, "open", refuse)
    told = host("diff")

    assert told.code == 3
    assert "  ? f1: cannot be read" in told.lines
    assert not any(line.startswith("  - ") for line in told.lines)


def test_a_directory_that_cannot_be_read(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in it is not called removed."""
    from selfheal.backup.paths import Below

    host.path("data/sub/deep").mkdir(parents=True)
    host.path("data/sub/deep/file").touch()
    host.made()
    entered = Below.directory

    def refuse(tree: Below, path: str) -> int:
        if path == "sub":
            raise PermissionError(13, "Permission denied")
        return entered(tree, path)

    monkeypatch.setattr(Below, "directory", refuse)
    told = host("diff")

    assert told.code == 3
    assert [line for line in told.lines if line.startswith("  ")] == ["  ? sub: cannot be read"]


def test_of_many_names_a_hundred_are_told(host: Host, id: str) -> None:
    """The rest is counted; the document has all."""
    for number in range(103):
        Path(f"data/x{number:03}").touch()

    assert "  and 3 more: see --json" in host("diff").lines
    assert len(by_section(host("diff", "--json").document, "added")["data"]) == 103


def test_what_needs_settings(host: Host, id: str) -> None:
    """What there is now is known by the settings only; an unknown backup is told by name."""
    assert host("diff", "--store", "backups").err == (
        "selfheal: this needs the sections of the settings: name the file by --config FILE\n"
    )
    assert host("diff", "x", "latest").err.startswith("selfheal: no backup is named 'x'")
    assert host("diff", "--hash").code == 2

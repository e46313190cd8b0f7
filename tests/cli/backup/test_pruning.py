"""``selfheal backup prune``: what goes, what stays and why."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from selfheal.backup import pruning, verify
from tests.cli.backup.rig import Host, old_store


def test_a_dry_run(host: Host) -> None:
    """It says what would go and why the others stay, and removes nothing."""
    verify(old_store(host.directory, *range(9)), "20231114T221320Z")
    told = host("prune", "--store", "old", "--dry-run")

    assert (told.code, told.err) == (0, "")
    assert told.lines[0] == "8 backups kept, 1 would be removed"
    assert told.lines[1].split() == ["ID", "WHAT", "WHY"]
    assert told.lines[2].split(maxsplit=1) == ["20231114T221320Z", "kept              last verified"]
    assert told.lines[3].split() == ["20231115T221320Z", "would", "be", "removed", "-"]
    assert told.lines[-1].split(maxsplit=2)[2].startswith("newest, daily")
    assert len(list(host.path("old").glob("*Z"))) == 9


def test_it_removes(host: Host) -> None:
    """What it said goes, and nothing else."""
    old_store(host.directory, *range(9))
    told = host("prune", "--store", "old")

    assert told.code == 0
    assert told.lines[0] == "7 backups kept, 2 removed"
    assert len(list(host.path("old").glob("*Z"))) == 7
    assert host("prune", "--store", "old", "--json").document["pruned"]["removed"] == []


def test_by_the_settings(host: Host) -> None:
    """The retention of the settings counts: one day, where seven are kept without any."""
    old_store(host.directory, 0, 1)
    host.retain(1)
    settings = host.path("selfheal-backup.toml")
    settings.write_text(settings.read_text().replace('"backups"', '"old"'))

    assert host("prune", "--store", "old", "--json").document["pruned"]["removed"] == []
    assert host("prune", "--json").document["pruned"]["removed"] == ["20231114T221320Z"]


def test_what_cannot_be_removed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays, is told with its reason once, and the code is 1."""
    host.retain(1)
    first = host.made()
    host.made()

    def refuse(*arguments: Any) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(pruning, "_remove", refuse)
    told = host("prune")

    assert (told.code, told.err) == (1, "")
    assert told.lines[0] == "1 backup kept, 0 removed"
    assert told.lines[2].split(maxsplit=1) == [first, "NOT REMOVED  [Errno 13] Permission denied"]


def test_a_store_that_is_not_there(host: Host) -> None:
    """It is told, and not made."""
    assert host("prune", "--store", "nowhere").code == 1
    assert not host.path("nowhere").exists()

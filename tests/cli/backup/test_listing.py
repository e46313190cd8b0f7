"""``selfheal backup list``: a table, the newest last, that says of each what was proven and when."""

from __future__ import annotations

import re

import pytest

from selfheal.backup import VerificationRecord, verify
from selfheal.backup.pruning import proven
from selfheal.cli.backup.listing import ago, telling
from tests.cli.backup.rig import Host, damage, old_store


def record(kind: str, at: float, ok: bool = True, part: int = 0) -> VerificationRecord:
    """That a backup was verified."""
    rolling = 2 if kind == "rolling" else 0
    return VerificationRecord("b", kind, at, ok, {} if ok else {"corrupt": 2}, share=rolling, part=part)


def test_the_table(host: Host) -> None:
    """Id, age, files, size, how and when it was verified, and what was found; the newest last."""
    first = host.made()
    host("create", "--no-verify")
    second = host.ids()[1]
    damage(host.path("backups") / first / "data" / "data" / "f1")
    host("verify", first)
    told = host("list")

    assert (told.code, told.err) == (0, "")
    assert told.lines[0].split() == ["ID", "AGE", "FILES", "SIZE", "VERIFIED", "DAMAGE"]
    assert re.fullmatch(rf"{first} +\d+ s +4 +69 bytes +deep, \d+ s ago +1 corrupt", told.lines[1])
    assert re.fullmatch(rf"{second} +\d+ s +4 +69 bytes +never +-", told.lines[2])


def test_as_a_document(host: Host) -> None:
    """The same, with times in seconds since 1970, and ages."""
    id = host.made()
    (found,) = host("list", "--json").document["backups"]

    assert (found["id"], found["files"], found["bytes"], found["damage"]) == (id, 4, 69, "")
    assert found["verified"]["kind"] == "deep"
    assert found["proven"] == found["verified"]["at"]
    assert found["age"] >= 0


def test_a_backup_without_a_manifest(host: Host) -> None:
    """It is listed, with what is the matter."""
    id = host.made()
    (host.path("backups") / id / "hashes.json").unlink()
    told = host("list")

    assert told.code == 0
    assert re.search(rf"^{id} +\d+ s +\? +\? .*No such file", told.out, re.MULTILINE)


def test_none(host: Host) -> None:
    """A store without backups is well; one that is not there is not."""
    host.path("backups").mkdir()

    assert host("list").lines == [f"there are no backups in {host.path('backups')}"]
    assert host("list", "--json").document["backups"] == []
    assert host("list", "--store", "nowhere").code == 1


def test_old_ones(host: Host) -> None:
    """Ages are told in days, by the real clock."""
    store = old_store(host.directory, 0, 3)
    verify(store, "latest", "quick")
    told = host("list", "--store", "old")

    assert re.search(r"^20231114T221320Z +\d+ d .* never ", told.out, re.MULTILINE)
    assert re.search(r"^20231117T221320Z +\d+ d .* quick, \d+ d ago ", told.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("records", "at"),
    [
        ([record("deep", 1), record("quick", 2)], 1),
        ([record("quick", 1), record("quick", 2)], 2),
        ([record("quick", 1, ok=False), record("quick", 2)], 1),
        ([record("deep", 1), record("quick", 2, ok=False), record("quick", 3)], 2),
        ([record("deep", 1, ok=False), record("restore", 2)], 2),
        ([record("rolling", 1, part=0), record("rolling", 2, part=1), record("quick", 3)], 2),
        ([record("rolling", 1, part=0), record("quick", 3)], 3),
    ],
)
def test_which_verification_tells(records: list[VerificationRecord], at: float) -> None:
    """That which proved every byte; else what was found wrong since, which no quick look takes back; else the last."""
    found = telling("b", records, proven(records))

    assert found is not None
    assert found.at == at
    assert telling("other", records, proven(records)) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0 s"), (59.9, "60 s"), (60, "1 min"), (7199, "1 h"), (86400, "1 d")]
)
def test_ages(seconds: float, text: str) -> None:
    """An age is told in the largest unit that fits."""
    assert ago(seconds) == text

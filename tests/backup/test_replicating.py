"""Copies of backups elsewhere: written file by file, believed only once they were read back."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.backup import BackupStore, Section
from selfheal.backup.replicating.naming import place_name
from selfheal.backup.retention import Retention
from selfheal.backup.verifying import verify
from selfheal.errors import (
    BackupError,
    ConfigError,
    ManifestRefusedError,
    MissingExtraError,
    NotFoundError,
    ReplicationError,
)
from selfheal.integrations.remote_files import replica_at, shown
from selfheal.testing import FakeClock
from tests.backup.rig import KEY, DiedError, found, store_at
from tests.backup.trees import grow, look

Address = Callable[[], str]


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An address: of a directory, and of a place that is none."""
    if request.param == "file":
        yield f"file://{tmp_path / 'copies'}"
        return
    root = f"/{uuid.uuid4().hex}"
    yield f"memory:/{root}"
    memory = fsspec.filesystem("memory")
    if memory.exists(root):
        memory.rm(root, recursive=True)


def backed_up(directory: Path, seed: int = 1, **options: Any) -> tuple[BackupStore, str]:
    """A store with a backup of a random tree."""
    directory.mkdir(exist_ok=True)
    grow(directory / "source", seed)
    store = store_at(directory / "backups", [Section("data", directory / "source")], **options)
    return store, store.create().id


def files_at(url: str) -> dict[str, bytes]:
    """All files of a place, by path below it."""
    fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    return {name[len(root) + 1 :]: fs.cat_file(name) for name in fs.find(root)}


def change(url: str, path: str, content: bytes | None) -> None:
    """Change or remove a file at a place."""
    fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    if content is None:
        fs.rm_file(f"{root}/{path}")
    else:
        with fs.open(f"{root}/{path}", "wb") as file:
            file.write(content)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_comes_back_is_what_was_sent(tmp_path: Path, url: str, seed: int) -> None:
    """Every name, mode, time, link and byte, also where the place knows only plain files of plain names."""
    store, id = backed_up(tmp_path / "here", seed)
    replica = replica_at(url, clock=FakeClock())

    sent = replica.send(store, id)

    assert (sent.kept, sent.id) == (0, id)
    assert replica.verify(id).ok
    back = store_at(tmp_path / "back")
    record = replica.fetch(id, back)
    assert look(back.path(id) / "data") == look(store.path(id) / "data")
    assert (back.path(id) / "hashes.json").read_bytes() == (store.path(id) / "hashes.json").read_bytes()
    assert (record.files, record.size) == (store.manifest(id).files, store.manifest(id).size)
    assert verify(back, id).ok


def test_what_is_there_is_listed(tmp_path: Path, url: str) -> None:
    """Each copy with what its manifest says of it; one whose manifest is none with what is the matter."""
    store, id = backed_up(tmp_path / "here")
    replica = replica_at(url, clock=FakeClock())
    assert replica.list() == ()

    sent = replica.send(store, id)
    (listed,) = replica.list()
    made = store.get(id)
    assert (listed.id, listed.created, listed.damage) == (sent.id, made.created, "")
    assert (listed.files, listed.size, listed.skipped) == (made.files, made.size, made.skipped)

    change(url, f"{id}/hashes.json", b"{}\n")
    assert "is refused" in replica.list()[0].damage


def test_sent_again_nothing_is_written_twice(tmp_path: Path, url: str) -> None:
    """What is there and right is kept; what is damaged there is written anew."""
    store, id = backed_up(tmp_path / "here")
    replica = replica_at(url, clock=FakeClock())
    first = replica.send(store, id)

    again = replica.send(store, id)
    assert (again.files, again.kept, again.bytes) == (0, first.files, 0)

    victim = max(files_at(url), key=lambda name: len(files_at(url)[name]) * ("/data/" in name))
    content = files_at(url)[victim]
    change(url, victim, b"?" + content[1:])
    assert replica.verify(id).counts == {"corrupt": 1}
    assert replica.send(store, id).files == 1
    assert replica.verify(id).ok


@pytest.mark.parametrize("damage", ["missing", "truncated", "grown", "corrupt", "extra", "manifest_tampered"])
def test_damage_there_is_found_and_named(tmp_path: Path, url: str, damage: str) -> None:
    """Each kind, and no other."""
    store, id = backed_up(tmp_path / "here")
    replica = replica_at(url, clock=FakeClock())
    replica.send(store, id)
    there = files_at(url)
    entry = next(one for one in store.manifest(id).sections[0].entries if one.type == "file" and one.size > 10)
    path = f"{id}/data/data/{place_name(entry.path)}"
    if damage == "extra":
        change(url, f"{id}/data/data/strange", b"x")
        expected = {("", "data/data/strange", "extra")}
    elif damage == "manifest_tampered":
        change(url, f"{id}/hashes.json", there[f"{id}/hashes.json"].replace(b'"version":1', b'"version":7'))
        expected = {("", "hashes.json", "manifest_tampered")}
    else:
        content = there[path]
        changed = {"missing": None, "truncated": content[:-1], "grown": content + b"x", "corrupt": b"?" * len(content)}
        change(url, path, changed[damage])
        expected = {("data", entry.path, damage)}

    assert found(replica.verify(id)) == expected
    if damage not in ("extra", "manifest_tampered"):
        back = store_at(tmp_path / "back")
        with pytest.raises(BackupError):
            replica.fetch(id, back)
        assert back.names() == []
        assert [path.name for path in back.directory.iterdir() if path.name.startswith(".partial")] == []


def test_a_backup_that_is_damaged_here_is_no_copy_there(tmp_path: Path, url: str) -> None:
    """It is told, by name; without a manifest what arrived is not listed."""
    store, id = backed_up(tmp_path / "here")
    entry = next(one for one in store.manifest(id).sections[0].entries if one.type == "file" and one.size > 10)
    path = store.path(id) / "data" / "data" / entry.path
    os.chmod(path, 0o600)
    path.write_bytes(b"?" * entry.size)
    replica = replica_at(url, clock=FakeClock())

    with pytest.raises(ReplicationError, match="is damaged in the store here"):
        replica.send(store, id)

    assert replica.names() == []
    with pytest.raises(NotFoundError):
        replica.verify(id)


def test_cut_off_anywhere_it_is_no_copy_until_it_is_completed(tmp_path: Path, url: str) -> None:
    """At each step that a process may die at: not listed, not fetched; sent again, whole."""
    store, id = backed_up(tmp_path / "here")
    names: list[str] = []
    replica_at(f"{url}-all", clock=FakeClock(), step=names.append).send(store, id)
    assert names[-1] == "sent"
    for place in range(len(names)):
        there = f"{url}-{place}"

        def die(name: str, left: list[int] = [place]) -> None:  # noqa: B006 - counted down over the calls
            left[0] -= 1
            if left[0] < 0:
                raise DiedError(name)

        with pytest.raises(DiedError):
            replica_at(there, clock=FakeClock(), step=die).send(store, id)
        whole = names[place] == "sent"
        replica = replica_at(there, clock=FakeClock())
        assert replica.names() == ([id] if whole else [])
        replica.send(store, id)
        assert replica.names() == [id]
        assert replica.verify(id).ok


def test_another_backup_under_the_same_name_is_replaced(tmp_path: Path, url: str) -> None:
    """Never a mix of both: the manifest of the old one goes before anything of it is written over."""
    first, id = backed_up(tmp_path / "one", 1)
    second, same = backed_up(tmp_path / "two", 2)
    assert id == same
    replica_at(url, clock=FakeClock()).send(first, id)

    def look_there(step: str) -> None:
        if step not in ("sent", "manifest removed"):
            assert replica_at(url, clock=FakeClock()).names() == []

    replica_at(url, clock=FakeClock(), step=look_there).send(second, id)
    damages = replica_at(url, clock=FakeClock()).verify(id).damages
    assert {damage.kind for damage in damages} <= {"extra"}


def test_the_sums_there_check_what_is_there(tmp_path: Path) -> None:
    """``sha256sum -c`` works at the place too, by the names that the files have there."""
    store, id = backed_up(tmp_path / "here")
    replica_at(f"file://{tmp_path / 'copies'}", clock=FakeClock()).send(store, id)
    run = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=tmp_path / "copies" / id, capture_output=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, b"")
    listed = {line.rpartition(b": ")[0] for line in run.stdout.splitlines()}
    assert len(listed) == len(files_at(f"file://{tmp_path / 'copies'}")) - 1


def test_old_copies_go_the_manifest_first(tmp_path: Path, url: str) -> None:
    """What a retention does not keep is removed whole; cut off in the middle it is no copy any more."""
    source = tmp_path / "app.toml"
    source.write_text("size = 3")
    clock = FakeClock()
    store = store_at(tmp_path / "backups", [Section("config", source)], clock=clock)
    replica = replica_at(url, clock=clock)
    for _ in range(5):
        replica.send(store, store.create().id)
        clock.advance(86_400)
    ids = replica.names()

    assert replica.last_copied() == store.get("latest").created
    plan = replica.plan_pruning(Retention(daily=2, weekly=0, monthly=0))
    assert plan.keep == {ids[4]: ("newest", "last verified", "daily"), ids[3]: ("daily",)}
    assert replica.names() == ids
    done = replica.prune(Retention(daily=2, weekly=0, monthly=0))
    assert (done.plan, done.removed, done.problems) == (plan, tuple(ids[:3]), {})
    assert replica.names() == ids[3:]
    assert {path.split("/")[0] for path in files_at(url)} == set(ids[3:])
    assert replica.verify(ids[3]).ok


def five_copies(tmp_path: Path, url: str) -> tuple[BackupStore, list[str]]:
    """A store, and copies of it of five days."""
    source = tmp_path / "app.toml"
    source.write_text("size = 3")
    clock = FakeClock()
    store = store_at(tmp_path / "backups", [Section("config", source)], clock=clock)
    replica = replica_at(url, clock=clock)
    for _ in range(5):
        replica.send(store, store.create().id)
        clock.advance(86_400)
    return store, replica.names()


ONE = Retention(daily=1, weekly=0, monthly=0)


def test_thinning_out_that_dies(tmp_path: Path, url: str) -> None:
    """Cut off before any step, the next one removes the rest too; what is kept is whole all the time."""
    _, ids = five_copies(tmp_path, url)
    at, died = 0, True
    while died:
        at, died = at + 1, False
        left = iter(range(at))

        def step(name: str, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise DiedError

        try:
            replica_at(url, step=step).prune(ONE)
        except DiedError:
            died = True
        assert replica_at(url).names()[-1] == ids[-1]
        assert replica_at(url).verify(ids[-1]).ok
    assert {path.split("/")[0] for path in files_at(url)} == {ids[-1]}
    assert at >= 3


def test_what_is_incomplete_stays_if_it_would_be_kept(tmp_path: Path, url: str) -> None:
    """It is a copy under way: sent again it is completed; and it does not push out one that is whole."""
    store, ids = five_copies(tmp_path, url)
    path = next(path for path in files_at(url) if path.startswith(ids[-1]) and path.endswith("hashes.json"))
    fsspec.filesystem(url.partition(":")[0]).rm_file(url.partition("://")[2] + "/" + path)
    assert replica_at(url).names() == ids[:-1]
    done = replica_at(url).prune(ONE)
    assert (set(done.plan.keep), done.removed) == ({ids[3]}, tuple(ids[:3]))
    assert {path.split("/")[0] for path in files_at(url)} == set(ids[3:])
    assert replica_at(url).send(store, ids[-1]).kept


def test_a_copy_that_cannot_be_read_proves_nothing(tmp_path: Path, url: str) -> None:
    """One whose manifest is damaged may be the newest; the newest that can be read stays as well."""
    _, ids = five_copies(tmp_path, url)
    path = next(path for path in files_at(url) if path.startswith(ids[-1]) and path.endswith("hashes.json"))
    fsspec.filesystem(url.partition(":")[0]).pipe_file(url.partition("://")[2] + "/" + path, b"nothing\n")
    assert replica_at(url).prune(ONE).plan.keep == {ids[4]: ("newest", "daily"), ids[3]: ("last verified",)}


def test_a_copy_that_cannot_be_removed(tmp_path: Path, url: str) -> None:
    """It is told with its reason, and the others go."""
    _, ids = five_copies(tmp_path, url)
    replica = replica_at(url)
    place = replica._place()
    remove = place.remove

    def refuse(path: str) -> None:
        if ids[1] in path:
            raise ReplicationError(replica.name, "no")
        remove(path)

    with mock.patch.object(place, "remove", refuse):
        done = replica.prune(ONE)
    assert done.removed == (ids[0], ids[2], ids[3])
    assert list(done.problems) == [ids[1]]
    assert replica.names() == [ids[1], ids[4]]
    assert replica.prune(ONE).removed == (ids[1],)


def test_a_key_is_asked_for_there_too(tmp_path: Path, url: str) -> None:
    """A copy that somebody signed with another key is not believed and not fetched."""
    store, id = backed_up(tmp_path / "here", key=KEY)
    replica_at(url, clock=FakeClock(), key=KEY).send(store, id)
    assert replica_at(url, clock=FakeClock(), key=KEY).verify(id).signed
    other = replica_at(url, clock=FakeClock(), key=b"another key altogether")
    assert other.verify(id).counts == {"manifest_tampered": 1}
    with pytest.raises(ManifestRefusedError):
        other.fetch(id, store_at(tmp_path / "back"))


def test_what_is_there_already_is_not_fetched_over(tmp_path: Path, url: str) -> None:
    """A backup of that name in the store stays as it is."""
    store, id = backed_up(tmp_path / "here")
    replica = replica_at(url, clock=FakeClock())
    replica.send(store, id)
    with pytest.raises(BackupError, match="already"):
        replica.fetch(id, store)
    assert verify(store, id).ok


def test_a_place_that_cannot_be_written_is_named_without_its_secrets(tmp_path: Path) -> None:
    """The error tells the place and what went wrong; no password is in it, in a name, or in a repr."""
    store, id = backed_up(tmp_path / "here")
    (tmp_path / "file").write_text("")
    replica = replica_at(f"file://{tmp_path / 'file'}", name="the file")
    with pytest.raises(ReplicationError, match="^the file: cannot "):
        replica.send(store, id)
    secret = replica_at("nosuch://me:hunter2@host:1/copies?token=hunter3")
    assert repr(secret) == "Replica('nosuch://host:1/copies')"
    with pytest.raises(ReplicationError) as caught:
        secret.list()
    assert "hunter" not in str(caught.value)


def test_without_fsspec_the_command_to_install_it_is_told(tmp_path: Path) -> None:
    """It is an extra, asked for when a place is first used."""
    with mock.patch.dict(sys.modules, {"fsspec": None}), pytest.raises(MissingExtraError, match=r"\[replication\]"):
        replica_at(f"file://{tmp_path}").list()


def test_a_hole_stays_one(tmp_path: Path) -> None:
    """A file of many zeros takes no room here when it is fetched."""
    (tmp_path / "source").mkdir()
    with open(tmp_path / "source" / "disk", "wb") as file:
        file.truncate(50_000_000)
        file.write(b"begin")
    store = store_at(tmp_path / "backups", [Section("data", tmp_path / "source")])
    id = store.create().id
    replica = replica_at(f"file://{tmp_path / 'copies'}", clock=FakeClock())
    replica.send(store, id)
    back = store_at(tmp_path / "back")
    replica.fetch(id, back)
    status = (back.path(id) / "data" / "data" / "disk").stat()
    assert (status.st_size, status.st_blocks * 512 < 1_000_000) == (50_000_000, True)


def test_progress_is_told_to_the_end(tmp_path: Path, url: str) -> None:
    """How far sending and verifying are, in bytes and files."""
    store, id = backed_up(tmp_path / "here")
    told: list[Any] = []
    replica = replica_at(url, clock=FakeClock(), progress=told.append)
    replica.send(store, id)
    assert (told[-1].doing, told[-1].bytes <= told[-1].bytes_total) == ("sending", True)
    replica.verify(id)
    assert told[-1].doing == "verifying"


def test_no_address_is_none() -> None:
    """An empty one is refused at once."""
    with pytest.raises(ConfigError, match=r"replica_at\.url"):
        replica_at(" ")


def test_what_is_shown_of_an_address() -> None:
    """Host and path, and nothing that lets one in."""
    assert shown("sftp://me:pw@host:22/a?k=v#f") == "sftp://host:22/a"
    assert shown("/mnt/copies") == "/mnt/copies"


PARTS = st.binary(min_size=1, max_size=255).filter(lambda raw: b"/" not in raw and b"\0" not in raw)


@given(st.lists(PARTS, min_size=1, max_size=40, unique=True))
def test_names_there_are_plain_and_never_meet(raw: list[bytes]) -> None:
    """Whatever bytes a name has: printable, at most 255 bytes, no letter that means something, and one of its own."""
    names = [os.fsdecode(one) for one in raw]
    told = [place_name(name) for name in names]
    assert len(set(told)) == len(names)
    for one in told:
        assert one.isprintable()
        assert len(one.encode()) <= 255
        assert not set(one) & set('*?[]{}\\:#~"<>|')
        assert one == one.strip()

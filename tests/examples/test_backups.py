"""The app's backups: what is in them, what they do to requests, and what comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from examples.reference_app.backups import Backups, open_restorer, open_store, recover, sections_of, whole
from examples.reference_app.places import Places
from examples.reference_app.request_log import Entry, NotKeptError, RequestLog, look_into
from selfheal.backup import BackupStore, Section
from selfheal.errors import RestoreFailedError, RestoreRefusedError
from selfheal.events import EventBus
from selfheal.policies.dormancy import DormantController
from selfheal.state import SQLiteStore


def entry(document: str) -> Entry:
    return Entry(at=1.0, document=document, size=9, outcome="ok", provider="upstream", error="", duration_ms=1.0)


class Service:
    """The files of a service, its request log and its backups; no process."""

    def __init__(self, root: Path, *, settings: bool = True) -> None:
        self.places = Places(root)
        self.places.make()
        if settings:
            self.places.settings.write_text("SUMMARY_API_KEYS=a,b\n")
        self.places.journal.write_text("{}\n")
        (self.places.state / "notifications.jsonl").write_text("{}\n")
        self.requests = RequestLog(self.places.requests, patience=0.5)
        self.restored = 0
        self.on_restored: Callable[[], object] = lambda: None
        self.backups = Backups(self.places, self.requests, events=EventBus(), on_restored=self._count)

    def _count(self) -> None:
        self.restored += 1
        self.on_restored()

    def close(self) -> None:
        self.backups.tasks.shutdown(timeout=10)
        self.requests.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "app")
    yield made
    made.close()


def test_config_data_state_and_journal_are_in_a_backup(service: Service) -> None:
    """In this order, each file where a person finds it, with the database copied as one state of it."""
    service.requests.add(entry("a"))

    done = service.backups.now()

    assert done.ok, done
    assert done.backup is not None
    data = done.backup.path / "data"
    assert (data / "config" / ".env.local").read_text() == "SUMMARY_API_KEYS=a,b\n"
    assert look_into(data / "data" / "requests.sqlite")["documents"] == 1
    assert (data / "state" / "notifications.jsonl").exists()
    assert (data / "journal" / "journal.jsonl").exists()
    assert [one.name for one in service.backups.store.sections] == ["config", "data", "state", "journal"]


def test_no_key_is_in_a_manifest(service: Service) -> None:
    """What a probe says of the settings is how many there are."""
    done = service.backups.now()

    assert done.backup is not None
    assert "SUMMARY_API_KEYS" not in (done.backup.path / "hashes.json").read_text()
    assert service.backups.store.manifest(done.backup.id).sections[0].probe == {"settings": 1}


def test_keys_of_the_environment_need_no_settings(tmp_path: Path) -> None:
    """Without a file there is no section for it, and a backup all the same."""
    service = Service(tmp_path / "app", settings=False)

    assert service.backups.now().ok
    assert [one.name for one in service.backups.store.sections] == ["data", "state", "journal"]
    service.close()


def test_requests_go_on_after_a_backup(service: Service) -> None:
    """The log is closed for the copy, and open again, with all that was in it."""
    service.requests.add(entry("a"))
    service.backups.now()

    assert service.requests.add(entry("b")) == 2


def test_what_is_not_whole_is_not_backed_up(service: Service) -> None:
    """A backup of emptiness would be the newest one, and the one that is restored."""
    good = service.backups.now().backup
    service.requests.pause()
    for file in service.places.data.iterdir():
        file.unlink()

    done = service.backups.now()

    assert done.backup is None
    assert good is not None
    assert service.backups.store.names() == [good.id]
    assert "data is not whole, restore it first: nothing is left of data" in done.errors[0]


def test_a_backup_that_is_refused_gives_back_no_damaged_log(service: Service) -> None:
    """What was found damaged stays distrusted: only who paused the log opens it again."""
    service.backups.now()
    content = service.places.requests.read_bytes()
    service.requests.pause()
    service.places.requests.write_bytes(b"x" * len(content))

    service.backups.losses.look()
    service.backups.now()

    with pytest.raises(NotKeptError, match="not a database"):
        service.requests.add(entry("a"))


def test_a_restore_brings_back_what_was_there_and_keeps_what_is(service: Service) -> None:
    """All three at once, under the open log; and what was there before, until somebody says that it may go."""
    service.requests.add(entry("a"))
    service.backups.now()
    service.requests.add(entry("b"))
    service.places.settings.unlink()
    (service.places.state / "notifications.jsonl").unlink()

    report = service.backups.put_back()

    assert (report.outcome, report.probe, service.restored) == ("kept", "passed", 1)
    assert [one.name for one in report.sections] == ["config", "data", "state"]
    assert look_into(service.places.requests)["documents"] == 1
    assert service.requests.add(entry("c")) == 2
    assert whole(service.places)
    assert service.places.settings.read_text() == "SUMMARY_API_KEYS=a,b\n"
    assert service.backups.section()["restore"] == {"run": report.run, "backup": report.backup}
    with pytest.raises(RestoreRefusedError, match="kept"):
        service.backups.put_back()
    service.backups.restorer.rollback("the wrong one")
    assert look_into(service.places.requests)["documents"] == 2
    assert service.requests.add(entry("d")) == 3


def test_requests_that_come_at_once_are_not_taken_for_a_difference(service: Service) -> None:
    """The report compares what came back, not what clients have added to it since."""
    service.requests.add(entry("a"))
    service.backups.now()
    service.requests.add(entry("b"))
    service.on_restored = lambda: service.requests.add(entry("c"))

    report = service.backups.put_back()

    config, data, state = report.sections
    assert data.probe == ("documents: 2 -> 1", "newest: 2 -> 1")
    assert (config.unlike_backup, data.unlike_backup, state.unlike_backup) == ((), (), ())
    assert look_into(service.places.requests)["documents"] == 2


def test_what_cannot_say_how_it_is_does_not_stand_in_the_way(service: Service) -> None:
    """That is why it is restored; the report has the words."""
    service.backups.now()
    service.places.settings.unlink()
    service.requests.pause()
    service.places.requests.write_text("no database" * 100)

    config, data, _ = service.backups.put_back().sections

    assert "no answer: " in config.probe[0]
    assert "no answer: file is not a database" in data.probe[0]
    assert service.requests.add(entry("a")) == 1


def test_the_journal_stays_under_who_writes_it(service: Service) -> None:
    """It is in the backup, and not put back while the engine may write it."""
    service.backups.now()
    service.places.journal.write_text("{}\n{}\n")

    service.backups.put_back()

    assert service.places.journal.read_text() == "{}\n{}\n"


def test_a_restore_that_does_not_work_is_taken_back(service: Service) -> None:
    """The backup itself holds a log without its table: all is as it was, and requests go on."""
    service.requests.add(entry("a"))
    other = BackupStore(service.backups.store.directory, [Section("state", service.places.state)])
    service.places.dormancy.write_text("no database" * 100)
    other.create()
    service.places.dormancy.unlink()

    with pytest.raises(RestoreFailedError, match="probe failed"):
        service.backups.put_back()

    assert service.restored == 0
    assert not service.places.dormancy.exists()
    assert service.requests.add(entry("b")) == 2


def test_dormancy_comes_back(service: Service) -> None:
    """A service whose healing was stopped is not started again by the loss of a file."""
    DormantController(store=SQLiteStore(service.places.dormancy), events=EventBus()).enter("a person has to look")
    service.backups.now()
    for file in service.places.state.iterdir():
        file.unlink()

    service.backups.put_back()

    after = DormantController(store=SQLiteStore(service.places.dormancy), events=EventBus())
    assert after.record is not None
    assert after.record.reason == "a person has to look"


def test_one_who_waits_for_the_files_does_not_open_them_for_another(service: Service) -> None:
    """A backup that is refused while a restore holds the log leaves it closed."""
    service.backups.pause()

    other = threading.Thread(target=service.backups.resume)
    other.start()
    other.join(60.0)

    with pytest.raises(NotKeptError, match="is paused"):
        service.requests.tally()
    service.backups.resume()
    assert service.requests.tally().total == 0


def test_it_is_registered_for_each_night(service: Service) -> None:
    """With a look in between; and what there is to see of it is in the section of the status."""
    service.backups.register("test")

    assert set(service.backups.section()["tasks"]) == {"backup", "backup-check"}
    assert [one.owner for one in service.backups.tasks.snapshot().tasks] == ["test", "test"]


class Cut(BaseException):
    """The process ends here."""


def test_a_restore_that_was_cut_off_is_taken_back_at_the_next_start(service: Service) -> None:
    """With two of the sections exchanged, and the others not: what was there before is there again."""
    service.requests.add(entry("a"))
    service.backups.now()
    service.requests.add(entry("b"))
    service.requests.close()
    seen: list[str] = []

    def step(name: str) -> None:
        seen.append(name)
        if seen.count("written swapped") >= 2:
            raise Cut

    restorer = open_restorer(service.places, open_store(service.places), step=step)
    plan = restorer.plan()
    with pytest.raises(Cut):
        restorer.restore(plan)
    mixed = look_into(service.places.requests)["documents"]
    report = recover(service.places)

    assert mixed == 1
    assert report is not None
    assert report.outcome == "rolled_back"
    assert look_into(service.places.requests)["documents"] == 2
    assert recover(service.places) is None


def test_nothing_is_recovered_where_nothing_was_cut_off(service: Service) -> None:
    """Nor is a store needed for that."""
    assert recover(service.places) is None
    assert not service.places.backups.exists()


def test_sections_are_where_the_service_has_them(service: Service) -> None:
    """For whoever restores a service of which nothing is left."""
    assert [one.path.name for one in sections_of(service.places)] == [".env.local", "data", "state", "journal.jsonl"]

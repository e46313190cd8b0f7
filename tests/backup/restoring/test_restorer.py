"""Backups put back: whole and in order, or everything is as it was."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from selfheal.backup import Section
from selfheal.backup.restoring import Restorer
from selfheal.backup.restoring.journalling import RECORD
from selfheal.backup.restoring.machine import Phase
from selfheal.errors import (
    ManifestRefusedError,
    NotFoundError,
    RestoreFailedError,
    RestoreRefusedError,
    RestoreStuckError,
)
from selfheal.events import Event, EventBus
from selfheal.testing import FakeClock
from tests.backup.restoring.made import Shelf, grown, picture


@attrs.define
class Host:
    """A host with a configuration, data and a state; backed up, and changed since."""

    room: Path
    shelf: Shelf = attrs.field(init=False)
    told: list[str] = attrs.Factory(list)
    events: EventBus = attrs.Factory(EventBus)
    seen: list[Event] = attrs.Factory(list)

    def __attrs_post_init__(self) -> None:
        grown(self.room, {"etc/app.toml": "level = 1", "srv/data/a": "1", "srv/data/b/c": "22", "srv/state/s": "s"})
        (self.room / "run").mkdir()
        self.shelf = Shelf(self.room / "store")
        self.shelf.put({"config": self.config, "data": self.data, "state": self.room / "srv" / "state"})
        self.good = self.picture()
        self.config.write_text("level = broken")
        (self.data / "a").unlink()
        grown(self.data, {"stray": "x", "b/c": "changed"})
        self.bad = self.picture()
        self.events.subscribe(self.seen.append, inline=True)

    good: dict[str, Any] = attrs.field(init=False)
    bad: dict[str, Any] = attrs.field(init=False)

    @property
    def config(self) -> Path:
        """One file."""
        return self.room / "etc" / "app.toml"

    @property
    def data(self) -> Path:
        """A tree."""
        return self.room / "srv" / "data"

    def picture(self) -> dict[str, Any]:
        """All of it, without the times of the directories that hold the targets."""
        seen = {name: picture(self.room / name) for name in ("etc", "srv")}
        return {name: {path: each for path, each in one.items() if path != "."} for name, one in seen.items()}

    def restorer(self, **options: Any) -> Restorer:
        """One that tells what it calls."""
        hooks: dict[str, Any] = {
            name: (lambda name=name: self.told.append(name)) for name in ("pause", "resume", "probe")
        }
        return Restorer(self.shelf, self.room / "run", clock=FakeClock(), events=self.events, **{**hooks, **options})


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """One that needs its backup."""
    return Host(tmp_path)


def failing(error: BaseException | str) -> Callable[..., object]:
    """A hook that raises."""

    def fail(*_: object) -> object:
        raise RuntimeError(error) if isinstance(error, str) else error

    return fail


def test_everything_comes_back(host: Host) -> None:
    """All sections are as they were in the backup, nothing is left beside them, and the host was asked in order."""
    restorer = host.restorer()
    report = restorer.restore(restorer.plan())
    assert host.picture() == host.good
    assert (report.ok, report.outcome, report.probe) == (True, "restored", "passed")
    assert host.told == ["pause", "resume", "probe"]
    assert restorer.pending is None
    assert [one.name for one in report.sections] == ["config", "data", "state"]
    data = report.sections[1].diff
    assert data is not None
    assert (data.added, data.removed, data.changed, data.same) == (("a",), ("stray",), ("b/c",), 1)
    assert report.sections[2].diff is not None
    assert report.sections[2].diff.is_empty


def test_things_move_only_while_the_host_is_paused(host: Host) -> None:
    """Nothing of a target changes before the pause, and all of it is in place when it resumes."""
    seen = []
    restorer = host.restorer(
        pause=lambda: seen.append(host.config.read_text()), resume=lambda: seen.append(host.config.read_text())
    )
    restorer.restore(restorer.plan())
    assert seen == ["level = broken", "level = 1"]


def test_a_choice_of_sections(host: Host) -> None:
    """Only those asked for, in the order of the backup."""
    restorer = host.restorer()
    report = restorer.restore(restorer.plan(sections=["state", "config"]))
    assert [one.name for one in report.sections] == ["config", "state"]
    assert host.picture()["etc"] == host.good["etc"]
    assert host.picture()["srv"] == host.bad["srv"]


def test_to_elsewhere(host: Host) -> None:
    """Another target is made, with the directories that hold it; the source stays."""
    restorer = host.restorer()
    restorer.restore(restorer.plan(sections=["data"], targets={"data": host.room / "new" / "place" / "copy"}))
    assert host.picture() == host.bad
    assert (host.room / "new" / "place" / "copy" / "b" / "c").read_text() == "22"
    assert [path.name for path in (host.room / "new" / "place").iterdir()] == ["copy"]


def test_an_older_one_by_id(host: Host) -> None:
    """The latest is the default; an id chooses."""
    host.shelf.put({"config": host.config}, id="20240101T000000Z")
    restorer = host.restorer()
    assert restorer.plan().backup == "20240101T000000Z"
    assert restorer.plan("20231114T221320Z").backup == "20231114T221320Z"
    with pytest.raises(NotFoundError, match="20231114T221320Z"):
        restorer.plan("19990101T000000Z")


def test_a_plan_touches_nothing(host: Host) -> None:
    """Neither the host nor the store nor the directory of the record is any different after a plan."""
    before = picture(host.room)
    text = str(host.restorer().plan())
    assert picture(host.room) == before
    assert "Nothing was changed." in text
    assert host.seen == []


@pytest.mark.parametrize("probe", [failing("no answer"), lambda: False])
def test_a_probe_that_fails_takes_it_back(host: Host, probe: Callable[[], object]) -> None:
    """The previous state is put back, in reverse, with the host paused; the error says so and names the report."""
    restorer = host.restorer(probe=probe)
    with pytest.raises(RestoreFailedError, match="probe") as caught:
        restorer.restore(restorer.plan())
    assert host.picture() == host.bad
    assert caught.value.outcome == "rolled_back"
    assert host.told == ["pause", "resume", "pause", "resume"]
    assert "NOT RESTORED" in Path(caught.value.report).read_text()
    assert [type(event).__name__ for event in host.seen] == ["RestoreStarted", "RestoreRolledBack", "RestoreFinished"]
    assert host.seen[1].sections == ("state", "data", "config")  # type: ignore[attr-defined]
    assert restorer.pending is None


@pytest.mark.parametrize(("hook", "outcome"), [("pause", "discarded"), ("resume", "rolled_back")])
def test_a_host_that_cannot_pause_or_resume(host: Host, hook: str, outcome: str) -> None:
    """What they raise takes it back, as far as it went."""
    restorer = host.restorer(**{hook: failing("busy")})
    with pytest.raises(RestoreFailedError, match="busy") as caught:
        restorer.restore(restorer.plan())
    assert caught.value.outcome == outcome
    assert host.picture() == host.bad
    assert restorer.pending is None
    if hook == "resume":
        assert "resume() failed on the way back" in (host.room / "run" / "restore_report_latest.md").read_text()


def test_kept_until_somebody_says(host: Host) -> None:
    """Without a probe the previous state stays; a rollback brings it back, a second one has nothing to do."""
    restorer = host.restorer(probe=None)
    report = restorer.restore(restorer.plan())
    assert (report.outcome, report.probe) == ("kept", "none")
    kept = [Path(one.previous) for one in report.sections]
    assert (kept[1] / "stray").read_text() == "x"
    assert (kept[0] / "app.toml").read_text() == "level = broken"
    assert restorer.recover() is None
    (host.data / "written since").write_text("w")
    assert restorer.rollback("it does not help").error == "it does not help"
    assert host.picture() == host.bad
    with pytest.raises(RestoreRefusedError, match="no restore that could be rolled back"):
        restorer.rollback()


def test_committed_when_somebody_says(host: Host) -> None:
    """A commit removes the previous state and leaves what was restored."""
    restorer = host.restorer(keep_previous=True)
    assert restorer.restore(restorer.plan()).outcome == "kept"
    pending = restorer.pending
    assert pending is not None
    assert pending.standing.phase is Phase.KEPT
    with pytest.raises(RestoreRefusedError, match=r"call commit\(\) or rollback\(\) first"):
        restorer.restore(restorer.plan())
    assert restorer.commit().outcome == "restored"
    assert host.picture() == host.good
    with pytest.raises(RestoreRefusedError, match="no restore that could be committed"):
        restorer.commit()


@pytest.mark.parametrize("same_process", [True, False])
def test_the_report_of_a_commit_says_what_changed_too(host: Host, same_process: bool) -> None:
    """It is what a person has who asks the day after: before and after, the host's answers, and that it works."""
    orders = iter([0, 790])
    restorer = host.restorer(keep_previous=True, states={"data": lambda: {"orders": next(orders)}})
    kept = restorer.restore(restorer.plan())
    done = (restorer if same_process else host.restorer()).commit()

    assert (kept.outcome, done.outcome, done.probe) == ("kept", "restored", "passed")
    assert [one.diff for one in done.sections] == [one.diff for one in kept.sections]
    assert [one.probe for one in done.sections if one.probe] == [("orders: 0 -> 790",)]
    assert [one.previous for one in done.sections] == [""] * len(kept.sections)
    assert kept.sections[1].diff is not None
    assert kept.sections[1].diff.removed == ("stray",)
    path = host.room / "run" / "restore_report_latest.md"
    assert path.read_text() == done.as_markdown()
    assert "`stray`" in path.read_text()


@pytest.mark.parametrize("spoilt", ["gone", "no JSON", "another run", "another shape"])
def test_a_commit_needs_no_earlier_report(host: Host, spoilt: str) -> None:
    """Without one that can be read and is of this restore, nothing is said of changes."""
    restorer = host.restorer(keep_previous=True)
    restorer.restore(restorer.plan())
    path = host.room / "run" / "restore_report_latest.json"
    data = json.loads(path.read_text())
    if spoilt == "another run":
        data["run"] = "00000000"
    elif spoilt == "another shape":
        data["sections"][0]["diff"]["added"] = 5
    path.write_text("{" if spoilt == "no JSON" else json.dumps(data))
    if spoilt == "gone":
        path.unlink()
    done = host.restorer().commit()

    assert done.outcome == "restored"
    assert not any(one.compared for one in done.sections)


def cut_off(host: Host, at: str, **options: Any) -> None:
    """A restore whose process ends at a step: only what is on the disk stays."""

    class GoneError(BaseException):
        pass

    gone: list[str] = []

    def step(name: str) -> None:
        if gone or name == at:
            gone.append(name)
            raise GoneError

    restorer = host.restorer(step=step, **options)
    with pytest.raises((GoneError, RestoreStuckError)):
        restorer.restore(restorer.plan())
    host.told.clear()
    host.seen.clear()


@pytest.mark.parametrize(
    ("at", "rollback", "outcome", "good"),
    [
        ("staged file", True, "discarded", False),
        ("staged file", False, "discarded", False),
        ("after staged", True, "discarded", False),
        ("after staged", False, "restored", True),
        ("exchanged", True, "rolled_back", False),
        ("exchanged", False, "restored", True),
        ("after probing", True, "rolled_back", False),
        ("after probing", False, "restored", True),
        ("before removal", True, "restored", True),
    ],
)
def test_what_a_crash_left(host: Host, at: str, rollback: bool, outcome: str, good: bool) -> None:
    """By default it goes back, by choice on; half a copy goes back always, and what was decided stays so."""
    cut_off(host, at)
    restorer = host.restorer()
    with pytest.raises(RestoreRefusedError, match=r"call recover\(\) first"):
        restorer.restore(restorer.plan())
    report = restorer.recover(rollback=rollback)
    assert report is not None
    assert report.outcome == outcome
    assert host.picture() == (host.good if good else host.bad)
    assert restorer.recover(rollback=rollback) is None
    assert restorer.pending is None


def test_a_resumed_restore_that_fails_says_so(host: Host) -> None:
    """Going on is a restore like any: a probe that fails takes it back, with an error."""
    cut_off(host, "after probing")
    restorer = host.restorer(probe=lambda: False)
    with pytest.raises(RestoreFailedError, match="put back"):
        restorer.recover(rollback=False)
    assert host.picture() == host.bad


def test_recovery_needs_no_store(host: Host) -> None:
    """With the store gone, what was staged still goes back or on."""
    cut_off(host, "exchanged")
    (host.room / "store").rename(host.room / "lost")
    restorer = host.restorer()
    report = restorer.recover(rollback=False)
    assert report is not None
    assert report.outcome == "restored"
    assert host.picture() == host.good
    assert report.sections[1].diff is not None
    assert report.sections[1].diff.removed == ("stray",)


def test_a_rollback_needs_cut_off_restores_recovered(host: Host) -> None:
    """What was cut off is neither kept nor to be committed."""
    cut_off(host, "exchanged")
    restorer = host.restorer()
    for call in (restorer.rollback, restorer.commit):
        with pytest.raises(RestoreRefusedError, match=r"call recover\(\) first"):
            call()


def test_only_one_at_a_time(host: Host) -> None:
    """Neither another one on the same record, nor one on targets beside it, whatever its record."""
    (host.room / "other").mkdir()
    refused: list[str] = []

    def meanwhile() -> None:
        for directory in ("run", "other"):
            other = Restorer(host.shelf, host.room / directory, clock=FakeClock(), events=host.events)
            with pytest.raises(RestoreRefusedError, match="another restore is at work") as caught:
                other.restore(other.plan(sections=["data"]))
            refused.append(str(caught.value))

    restorer = host.restorer(pause=meanwhile)
    restorer.restore(restorer.plan())
    assert len(refused) == 2
    assert str(host.room / "srv") in refused[1]
    restorer.restore(restorer.plan())


def test_the_lock_goes_with_its_holder(host: Host) -> None:
    """A descriptor that is open elsewhere holds it up; closed, it does no more."""
    fd = os.open(host.room / "srv", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    restorer = host.restorer()
    with pytest.raises(RestoreRefusedError, match="another restore"):
        restorer.restore(restorer.plan())
    os.close(fd)
    assert restorer.restore(restorer.plan()).ok


def test_a_damaged_backup_touches_nothing(host: Host) -> None:
    """Every damaged name is told; no target was touched, and nothing stays beside them."""
    for name in ("data/a", "data/b/c"):
        (host.shelf.path("20231114T221320Z") / "data" / name).write_text("??")
    restorer = host.restorer()
    with pytest.raises(RestoreFailedError, match="2 names damaged: 'a' has 2 bytes.*'b/c' is corrupt") as caught:
        restorer.restore(restorer.plan())
    assert caught.value.outcome == "discarded"
    assert host.picture() == host.bad
    assert host.told == []


def test_a_manifest_that_is_not_believed(host: Host) -> None:
    """It is refused before there is a plan."""
    path = host.shelf.path("20231114T221320Z") / "hashes.json"
    path.write_bytes(path.read_bytes().replace(b'"b/c"', b'"../"'))
    with pytest.raises(ManifestRefusedError):
        host.restorer().plan()


REFUSALS = [
    ("pwrite", errno.ENOSPC),
    ("pwrite", errno.EIO),
    ("fsync", errno.EIO),
    ("rename", errno.EACCES),
    ("mkdir", errno.EROFS),
    ("replace", errno.ENOSPC),
]


@pytest.mark.parametrize(("call", "code"), REFUSALS)
def test_a_disk_that_refuses(host: Host, monkeypatch: pytest.MonkeyPatch, code: int, call: str) -> None:
    """Whenever the disk begins to refuse, once, everything is as it was and the error is clear."""
    whole, calls = getattr(os, call), [0]
    options = {"exchange": call != "rename"}

    def counted(*arguments: Any, **named: Any) -> Any:
        calls[0] += 1
        return whole(*arguments, **named)

    with monkeypatch.context() as patched:
        dry = Host(host.room / "dry").restorer(**options)
        plan = dry.plan()
        patched.setattr(os, call, counted)
        dry.restore(plan)
    assert calls[0] > 0
    for nth in range(1, calls[0] + 1, max(1, calls[0] // 6)):
        left = [nth]

        def refuse(*arguments: Any, left: list[int] = left, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise OSError(code, os.strerror(code))
            return whole(*arguments, **named)

        monkeypatch.setattr(os, call, refuse)
        restorer = host.restorer(**options)
        try:
            restored = restorer.restore(restorer.plan()).ok
        except RestoreFailedError as error:
            assert os.strerror(code) in str(error)
            restored = False
        monkeypatch.setattr(os, call, whole)
        restorer.recover()
        assert host.picture() == (host.good if restored else host.bad)
        assert restorer.pending is None
        if restored:
            break


def test_a_disk_that_goes_on_refusing_stands_still_with_a_record(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither forward nor back: it says where everything is, removes nothing, and goes on once the disk does."""
    whole = os.rename
    down: list[int] = []

    def refuse(*arguments: Any, **named: Any) -> None:
        if down:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        whole(*arguments, **named)

    monkeypatch.setattr(os, "rename", refuse)

    def break_down() -> bool:
        down.append(1)
        return False

    restorer = host.restorer(probe=break_down, exchange=False)
    with pytest.raises(RestoreStuckError, match="Input/output error.*Work directories"):
        restorer.restore(restorer.plan())
    assert host.seen[-1].outcome == "stuck"  # type: ignore[attr-defined]
    assert "STANDS STILL" in (host.room / "run" / "restore_report_latest.md").read_text()
    down.clear()
    assert host.restorer().recover() is not None
    assert host.picture() == host.bad


def test_what_cannot_be_removed_is_told_and_tried_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The restore stands; what is left is named, and goes with the next recovery."""
    whole = os.rmdir

    def refuse(*arguments: Any, **named: Any) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(os, "rmdir", refuse)
    restorer = host.restorer()
    report = restorer.restore(restorer.plan())
    assert report.outcome == "restored"
    assert "could not be removed" in report.notes[-1]
    monkeypatch.setattr(os, "rmdir", whole)
    again = restorer.recover()
    assert again is not None
    assert again.outcome == "restored"
    assert host.picture() == host.good


def test_an_interrupt_from_the_keyboard_leaves_nothing_half_done(host: Host) -> None:
    """Whoever presses control and C gets the previous state, and then the interrupt."""
    for options in ({"probe": failing(KeyboardInterrupt())}, {"progress": failing(KeyboardInterrupt())}):
        restorer = host.restorer(**options)
        with pytest.raises(KeyboardInterrupt):
            restorer.restore(restorer.plan())
        assert host.picture() == host.bad
        assert restorer.pending is None


def test_what_the_host_says_of_its_state(host: Host) -> None:
    """Its probes are asked before and after, and compared with what they said when the backup was made."""
    manifest = host.shelf.manifest("20231114T221320Z")
    sections = tuple(attrs.evolve(one, probe={"files": 2, "schema": 4}) for one in manifest.sections)
    host.shelf.write(attrs.evolve(manifest, sections=sections))
    shelf = attrs.evolve(
        host.shelf,
        sections=(
            Section("data", host.data, probe=lambda: {"files": len(list(host.data.rglob("*"))), "schema": 4}),
            Section("config", host.config, probe=failing("cannot say")),  # type: ignore[arg-type]
        ),
    )
    restorer = Restorer(shelf, host.room / "run", clock=FakeClock(), events=host.events)
    grown(host.data, {"more": "", "and/more": ""})
    config, data, state = restorer.restore(restorer.plan()).sections
    assert data.probe == ("files: 6 -> 3",)
    assert data.unlike_backup == ("files: 2 -> 3",)
    assert config.probe == ()
    assert (state.probe, state.unlike_backup) == ((), ())


def test_events(host: Host) -> None:
    """Beginning and end are told, with what is restored and how it ended."""
    restorer = host.restorer()
    restorer.restore(restorer.plan())
    started, finished = (attrs.asdict(event) for event in host.seen)
    run = started["run"]
    assert finished["run"] == run
    assert started["backup"] == finished["backup"] == "20231114T221320Z"
    assert started["sections"] == ("config", "data", "state")
    assert started["targets"][0] == str(host.config)
    assert (started["phase"], finished["outcome"], finished["error"]) == ("staging", "restored", "")


def test_the_report_is_there_twice(host: Host) -> None:
    """As text and as data, with the same facts."""
    restorer = host.restorer()
    report = restorer.restore(restorer.plan())
    assert (host.room / "run" / "restore_report_latest.md").read_text() == report.as_markdown()
    data = json.loads((host.room / "run" / "restore_report_latest.json").read_text())
    assert data["outcome"] == "restored"
    assert data["sections"][1]["diff"]["removed"] == ["stray"]


def test_a_report_that_cannot_be_written_is_no_reason(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """The restore stands; that the report is missing is logged."""
    (host.room / "run" / "restore_report_latest.md").mkdir()
    restorer = host.restorer()
    assert restorer.restore(restorer.plan()).ok
    assert "could not be written" in caplog.text


def test_a_record_that_cannot_be_read_ends_all(host: Host) -> None:
    """Nothing is guessed from a bad record: neither a new restore nor a recovery begins."""
    (host.room / "run" / RECORD).write_text("{}")
    restorer = host.restorer()
    for call in (lambda: restorer.restore(restorer.plan()), restorer.recover, restorer.rollback):
        with pytest.raises(RestoreStuckError, match="cannot be read"):
            call()
    assert host.picture() == host.bad


def test_a_directory_that_is_not_there(host: Host) -> None:
    """It is not made: it may be a volume that was not mounted."""
    with pytest.raises(NotADirectoryError, match="is no directory"):
        Restorer(host.shelf, host.room / "nowhere")


def test_a_plan_with_problems_is_refused(host: Host) -> None:
    """What the plan says is wrong is what the error says."""
    restorer = host.restorer()
    plan = restorer.plan(targets={"data": host.room})
    with pytest.raises(RestoreRefusedError, match="lie in one another") as caught:
        restorer.restore(plan)
    assert caught.value.reasons == plan.problems
    assert host.picture() == host.bad

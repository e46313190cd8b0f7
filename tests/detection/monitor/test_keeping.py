"""Files of a monitor: what was learnt goes on after a restart, and nothing bad in them stops anything."""

from __future__ import annotations

import errno
import gc
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from selfheal.conditions import parse
from selfheal.detection import Monitor, SeriesLearner
from selfheal.detection.monitor.curves import Curve
from selfheal.detection.rules import TaskFailureRule, ThresholdRule
from selfheal.errors import ConfigError
from selfheal.events import Alert, EventBus, Severity
from selfheal.journal import read_journal
from selfheal.testing import FakeClock
from tests.detection.monitor.watching import WALL, Watched

QUEUE = ThresholdRule(name="queue_stuck", condition=parse("queue_depth > 100"), clear_for=0.0)


def life(directory: Path, clock: FakeClock, **options: Any) -> tuple[Monitor, list[str]]:
    """A monitor on a directory, and what it tells."""
    bus, told = EventBus(), list[str]()
    bus.subscribe(lambda event: told.append(Watched._short(event)), inline=True)
    options = {"rules": [QUEUE], **options}
    return Monitor(events=bus, clock=clock, directory=directory, **options), told


def learn(monitor: Monitor, clock: FakeClock, days: float = 3.0) -> None:
    """Some quiet days."""
    rng = random.Random(4)
    for _ in range(int(days * 288)):
        monitor.observe("orders", rng.gauss(40.0, 2.0), "shop")
        clock.advance(300.0)
    monitor.detect()


def test_what_was_learnt_goes_on_after_a_restart(tmp_path: Path) -> None:
    """History, baselines and readiness are those of before, and an anomaly is seen at the first step."""
    clock = FakeClock()
    first, _ = life(tmp_path, clock)
    learn(first, clock)
    known = first.snapshot().learning
    first.close()
    second, told = life(tmp_path, clock)
    assert second.snapshot().learning == known
    assert known[0].ready
    assert second.snapshot().series == 1
    second.observe("orders", 400.0, "shop")
    clock.advance(300.0)
    second.detect()
    assert told == ["! anomaly|shop|orders"]
    second.close()


def test_what_a_clock_years_ahead_left_is_set_aside(tmp_path: Path) -> None:
    """What is measured from now on would come too late for years: learning begins anew, and says so."""
    ahead = FakeClock(wall=WALL + 5.0 * 365.0 * 86_400.0)
    first, _ = life(tmp_path, ahead)
    learn(first, ahead)
    first.close()
    clock = FakeClock(wall=WALL)
    second, told = life(tmp_path, clock)
    assert "it is of 2028-11-15 22:10+00:00, when the clock was ahead" in second.snapshot().problems[0]
    assert {"detection_history.json.refused", "detection_state.json.refused"} <= set(os.listdir(tmp_path))
    learn(second, clock)
    assert second.snapshot().learning[0].ready
    second.observe("orders", 400.0, "shop")
    clock.advance(300.0)
    second.detect()
    assert told[-1] == "! anomaly|shop|orders"
    second.close()


def test_what_a_clock_hours_ahead_left_is_kept(tmp_path: Path) -> None:
    """It is worth more than the hours without learning, and those are told."""
    ahead = FakeClock(wall=WALL)
    first, _ = life(tmp_path, ahead)
    learn(first, ahead)
    first.close()
    second, _ = life(tmp_path, FakeClock(wall=ahead.wall() - 7_200.0))
    assert second.snapshot().series == 1
    assert second.snapshot().learning[0].ready
    second.close()


def test_what_was_not_judged_before_a_restart_is_judged_after_it(tmp_path: Path) -> None:
    """The step that was complete when the process ended is the first that the next one looks at."""
    clock = FakeClock()
    first, _ = life(tmp_path, clock)
    learn(first, clock)
    first.observe("orders", 400.0, "shop")
    clock.advance(300.0)
    first.close()
    second, told = life(tmp_path, clock)
    assert second.detect() == 1
    assert told == ["! anomaly|shop|orders"]
    second.close()


def test_what_was_open_is_held_and_told_again_when_it_is_seen(tmp_path: Path) -> None:
    """An incident goes on over a restart, as old as it is; one that is not seen again is told to be over."""
    clock = FakeClock()
    first, _ = life(tmp_path, clock, learners=())
    for target in ("jobs", "mails"):
        first.observe("queue_depth", 500.0, target)
    began = first.incidents[0].since
    first.close()
    clock.advance(600.0)
    second, told = life(tmp_path, clock, learners=())
    assert [incident.restored for incident in second.incidents] == [True, True]
    second.observe("queue_depth", 500.0, "jobs")
    assert told == ["! queue_stuck|jobs|queue_depth"]
    assert second.incidents[0].since == began
    for _ in range(180):
        clock.advance(10.0)
        second.observe("queue_depth", 500.0, "jobs")
        second.tick()
    assert told[1:] == [". queue_stuck|mails|queue_depth"]
    assert [past.why for past in second.snapshot().past] == ["it was not seen again after a restart"]
    second.close()


def test_a_silence_holds_for_what_is_seen_again_after_a_restart(tmp_path: Path) -> None:
    """What was told before the restart is not told again under a silence, and its end is told all the same."""
    clock = FakeClock()
    first, _ = life(tmp_path, clock, learners=())
    first.observe("queue_depth", 500.0, "jobs")
    first.close()
    second, told = life(tmp_path, clock, learners=(), silencing=lambda alert: "new disk")
    second.observe("queue_depth", 500.0, "jobs")
    assert (told, second.open) == ([], ())
    second.observe("queue_depth", 5.0, "jobs")
    assert told == [". queue_stuck|jobs|queue_depth"]
    second.close()


def test_how_often_tasks_fail_is_known_after_a_restart(tmp_path: Path) -> None:
    """A task that used to fail often is not told for what is usual; one that did not, is."""
    clock = FakeClock()
    options: dict[str, Any] = {"rules": [TaskFailureRule(consecutive=1000)], "learners": ()}
    first, _ = life(tmp_path, clock, **options)
    rng = random.Random(1)
    for _ in range(3000):
        first.observe("task_ok", float(rng.random() > 0.4), "flaky")
        first.observe("task_ok", 1.0, "solid")
        clock.advance(10.0)
    first.close()
    second, told = life(tmp_path, clock, **options)
    before = len(told)
    for n in range(40):
        for task in ("flaky", "solid"):
            second.observe("task_ok", float(n % 5 != 0 and n % 5 != 2), task)
        clock.advance(10.0)
    assert told[before:] == ["! task_failure_pattern|solid|task_ok"]
    second.close()


@pytest.mark.parametrize("damage", ["cut", "changed", "other kind", "no file", "empty", "directory"])
def test_a_bad_file_is_refused_said_and_set_aside(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Learning begins anew from the history, the reason is shown, and the file is kept for a person."""
    clock = FakeClock()
    first, _ = life(tmp_path, clock)
    learn(first, clock)
    first.close()
    file = tmp_path / "detection_state.json"
    content = file.read_bytes()
    file.unlink()
    if damage == "directory":
        file.mkdir()
    elif damage != "no file":
        bad = {
            "cut": content[:-100],
            "changed": content.replace(b'"steps"', b'"stops"', 1),
            "other kind": content.replace(b"selfheal detection", b"something else", 1),
            "empty": b"",
        }
        file.write_bytes(bad[damage])
    second, _ = life(tmp_path, clock)
    if damage != "no file":
        assert "detection_state.json" in second.snapshot().problems[0]
        assert "Learning begins anew" in caplog.text
        assert (tmp_path / "detection_state.json.refused").exists()
    second.observe("orders", 40.0, "shop")
    clock.advance(300.0)
    second.detect()
    (state,) = second.snapshot().learning
    assert state.ready  # from the history, which is a file of its own
    second.close()


def test_a_learner_that_does_not_know_its_record_is_refused_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What one learner refuses does not keep the others from theirs."""

    class Picky(SeriesLearner):
        def load(self, data: object) -> Any:
            raise KeyError("parts")

    clock = FakeClock()
    first, _ = life(tmp_path, clock, learners=[SeriesLearner(), Picky(name="picky")])
    learn(first, clock)
    first.close()
    second, _ = life(tmp_path, clock, learners=[SeriesLearner(), Picky(name="picky"), SeriesLearner(name="new")])
    assert [state.learner for state in second.snapshot().learning] == ["series"]
    assert "what learner picky had learnt is refused" in caplog.text
    assert "learner new is new" in caplog.text
    second.close()


def test_it_is_saved_now_and_then(tmp_path: Path) -> None:
    """Every hour with the learnt detection, so that a crash costs an hour at most."""
    clock = FakeClock()
    monitor, _ = life(tmp_path, clock)
    file = tmp_path / "detection_state.json"
    for _ in range(11):
        clock.advance(300.0)
        monitor.detect()
    assert not file.exists()
    clock.advance(300.0)
    monitor.detect()
    assert file.exists()
    assert monitor.save()
    monitor.close()


def test_the_open_alerts_and_every_change_are_in_files(tmp_path: Path) -> None:
    """What is open is in one file, rewritten with each change; what became of it in another."""
    clock = FakeClock()
    monitor, _ = life(tmp_path, clock, learners=())
    file = tmp_path / "anomaly_alert_latest.json"
    monitor.observe("queue_depth", 500.0, "jobs")
    assert [alert["fingerprint"] for alert in json.loads(file.read_text())["alerts"]] == [
        "queue_stuck|jobs|queue_depth"
    ]
    monitor.observe("queue_depth", 5.0, "jobs")
    assert json.loads(file.read_text()) == {"alerts": [], "complete": True}
    monitor.close()
    types = [entry.type for entry in read_journal(tmp_path / "detection_events.jsonl")]
    assert types == ["journal_opened", "alert_raised", "alert_cleared", "clean_stop"]


def test_a_silenced_alert_is_in_no_file_of_alerts(tmp_path: Path) -> None:
    """A healer in another process is not told either."""
    monitor, _ = life(tmp_path, FakeClock(), learners=(), silencing=lambda alert: "new disk")
    monitor.observe("queue_depth", 500.0, "jobs")
    assert json.loads((tmp_path / "anomaly_alert_latest.json").read_text()) == {"alerts": [], "complete": True}
    monitor.close()


def test_a_forked_child_leaves_the_files_to_its_parent(tmp_path: Path) -> None:
    """What a child observes is judged there, and in no file of the parent."""
    monitor, _ = life(tmp_path, FakeClock(), learners=())
    monitor.observe("queue_depth", 500.0, "jobs")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    child = os.fork()
    if not child:
        monitor.observe("queue_depth", 500.0, "mails")
        monitor.detect()
        monitor.save()
        monitor.close()
        os._exit(len(monitor.open))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    monitor.close()


def test_a_directory_that_is_gone_stops_no_alert(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Alerts are told; that their files cannot be written is shown, and said once."""
    clock = FakeClock()
    monitor, told = life(tmp_path / "gone", clock, learners=())
    for file in (tmp_path / "gone").iterdir():
        file.unlink()
    (tmp_path / "gone").rmdir()
    monitor.observe("queue_depth", 500.0, "jobs")
    clock.advance(300.0)
    monitor.detect()
    monitor.detect()
    assert told == ["! queue_stuck|jobs|queue_depth"]
    problems = " ".join(monitor.snapshot().problems)
    assert "alerts: " in problems
    assert "report: " in problems
    assert not monitor.save()
    assert sum("report: " in record.message for record in caplog.records) == 1
    monitor.close()


def test_what_could_not_be_written_is_written_when_it_can_be(tmp_path: Path) -> None:
    """An alert that ended while the disk was full does not stand in the files for ever."""
    clock = FakeClock()
    monitor, _ = life(tmp_path, clock, learners=())
    monitor.observe("queue_depth", 500.0, "jobs")
    files = [tmp_path / name for name in ("anomaly_alert_latest.json", "detection_open.json")]
    before = [file.read_bytes() for file in files]
    for file in files:
        file.unlink()
        file.mkdir()  # nothing can be put in its place
    monitor.observe("queue_depth", 5.0, "jobs")
    assert [problem.partition(":")[0] for problem in monitor.snapshot().problems] == ["alerts", "open"]
    for file, content in zip(files, before, strict=True):
        file.rmdir()
        file.write_bytes(content)
    clock.advance(70.0)
    monitor.tick()
    assert json.loads(files[0].read_text()) == {"alerts": [], "complete": True}
    assert monitor.snapshot().problems == ()
    monitor.close()
    second, _ = life(tmp_path, clock, learners=())
    assert second.incidents == ()
    second.close()


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """Who asks for files that cannot be written is told when it begins."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="Monitor.directory"):
        Monitor(directory=tmp_path / "file" / "below")


def test_plots_that_fail_cost_the_report_nothing(tmp_path: Path) -> None:
    """Whatever a drawer raises is shown; the report is written without it."""

    def broken(curve: Curve) -> bytes:
        raise RuntimeError("no fonts")

    clock = FakeClock()
    monitor, _ = life(tmp_path, clock, learners=(), plot=broken)
    for _ in range(3):
        monitor.observe("queue_depth", 500.0, "jobs")
        clock.advance(300.0)
    monitor.detect()
    assert "plots: no fonts" in monitor.snapshot().problems
    assert "queue" in (tmp_path / "anomaly_detection_report_latest.md").read_text()
    monitor.close()


def test_too_many_or_too_large_alerts_leave_the_worst(tmp_path: Path) -> None:
    """A reader takes a hundred alerts and a mebibyte: the file never holds more."""
    clock = FakeClock()
    bad = ThresholdRule(name="bad", condition=parse("bad > 1"), severity=Severity.CRITICAL, clear_for=0.0)
    monitor, _ = life(tmp_path, clock, learners=(), rules=[QUEUE, bad])
    labels = {f"label {n}": "é" * 400 for n in range(40)}
    for n in range(150):
        monitor.observe("queue_depth", 500.0, f"jobs {n}", labels=labels)
    monitor.observe("bad", 5.0, "db")
    monitor.observe("bad", 5.0, "x" * 5000)
    file = tmp_path / "anomaly_alert_latest.json"
    alerts = json.loads(file.read_text())["alerts"]
    assert 90 <= len(alerts) <= 100
    assert not json.loads(file.read_text())["complete"]
    assert any("shortened" in alert["labels"] for alert in alerts)
    assert all("since" in alert["labels"] for alert in alerts)
    assert file.stat().st_size <= 1_048_576
    assert [alert["target"] for alert in alerts if alert["kind"] == "bad"] == ["db"]
    assert all(isinstance(event, Alert) for event in monitor.open)
    monitor.close()


def test_what_is_open_for_long_does_not_grow_old_in_the_file(tmp_path: Path) -> None:
    """A healer that starts an hour later finds it fresh, and since when it is so; what is over is not told anew."""
    clock = FakeClock()
    monitor, _ = life(tmp_path, clock, learners=())
    file = tmp_path / "anomaly_alert_latest.json"
    monitor.observe("queue_depth", 500.0, "jobs")
    [first] = json.loads(file.read_text())["alerts"]
    for _ in range(360):
        clock.advance(10.0)
        monitor.observe("queue_depth", 500.0, "jobs")
        monitor.tick()
    [later] = json.loads(file.read_text())["alerts"]
    assert clock.wall() - later["at"] < 300.0
    assert later["labels"]["since"] == first["labels"]["since"]
    monitor.observe("queue_depth", 5.0, "jobs")
    file.unlink()
    clock.advance(3600.0)
    monitor.tick()
    assert not file.exists()
    monitor.close()


def test_a_record_that_is_no_json_does_not_keep_the_others_from_being_saved(tmp_path: Path) -> None:
    """A learner that leaves NaN in its record loses that record, is named, and no other loses anything."""

    class Leaky(SeriesLearner):
        def to_dict(self) -> dict[str, Any]:
            return {"mean": float("nan")}

    clock = FakeClock()
    first, _ = life(tmp_path, clock, learners=[Leaky(name="leaky"), SeriesLearner()])
    learn(first, clock, 1.0)
    assert first.save()
    assert "learner leaky failed" in " ".join(first.snapshot().problems)
    first.close()
    second, _ = life(tmp_path, clock, learners=[Leaky(name="leaky"), SeriesLearner()])
    assert [(state.learner, state.steps > 200) for state in second.snapshot().learning] == [("series", True)]
    second.close()


def test_what_was_open_when_the_process_was_killed_is_known(tmp_path: Path) -> None:
    """Without any last word it is as old and as silenced as it was, and told to be over if it is not seen again."""
    clock = FakeClock()

    def quiet(alert: Alert) -> str | None:
        return "new disk" if alert.target == "mails" else None

    first, _ = life(tmp_path / "first", clock, learners=(), silencing=quiet)
    for target in ("jobs", "mails", "gone"):
        first.observe("queue_depth", 500.0, target)
    first.observe("queue_depth", 5.0, "gone")
    began = first.incidents[0].since
    shutil.copytree(tmp_path / "first", tmp_path / "killed")  # what a kill at this moment leaves
    first.close()
    clock.advance(900.0)
    second, told = life(tmp_path / "killed", clock, learners=(), silencing=quiet)
    assert [one.incident.signal.target for one in second.snapshot().open] == ["jobs", "mails"]
    assert [one.silenced for one in second.snapshot().open] == ["", "new disk"]
    assert {incident.since for incident in second.incidents} == {began}
    clock.advance(1900.0)
    second.tick()
    assert told == [". queue_stuck|jobs|queue_depth"]
    second.close()
    third, _ = life(tmp_path / "killed", clock, learners=(), silencing=quiet)
    assert third.incidents == ()
    third.close()


def test_less_room_than_before_leaves_no_alert_open_for_ever(tmp_path: Path) -> None:
    """What was open in an earlier life is held, however little may be open now, and told to be over."""
    clock = FakeClock()
    first, _ = life(tmp_path, clock, learners=())
    for n in range(4):
        first.observe("queue_depth", 500.0, f"jobs {n}")
    first.close()
    second, told = life(tmp_path, clock, learners=(), max_open=2)
    clock.advance(1900.0)
    second.tick()
    assert told == [f". queue_stuck|jobs {n}|queue_depth" for n in range(4)]
    assert second.snapshot().open == ()
    second.close()


def test_a_bad_record_of_what_was_open_is_refused_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was learnt is not lost with it."""
    clock = FakeClock()
    first, _ = life(tmp_path, clock)
    learn(first, clock, 1.0)
    first.observe("queue_depth", 500.0, "jobs")
    first.close()
    file = tmp_path / "detection_open.json"
    file.write_bytes(file.read_bytes().replace(b"jobs", b"mops"))
    second, _ = life(tmp_path, clock)
    assert second.incidents == ()
    assert "detection_open.json" in second.snapshot().problems[0]
    assert (tmp_path / "detection_open.json.refused").exists()
    assert [state.metric for state in second.snapshot().learning] == ["orders"]
    second.close()


def test_a_second_monitor_leaves_the_files_to_the_first_until_that_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It works and says so at once; nothing of the first is overwritten. When that is closed, it writes."""
    clock = FakeClock()
    first, _ = life(tmp_path, clock, learners=())
    first.observe("queue_depth", 500.0, "jobs")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    second, told = life(tmp_path, clock, learners=())
    assert f"is that of a monitor in process {os.getpid()}" in second.snapshot().problems[0]
    assert "is that of a monitor" in caplog.text
    second.observe("queue_depth", 500.0, "mails")
    clock.advance(300.0)
    second.detect()
    assert not second.save()
    assert told == ["! queue_stuck|mails|queue_depth"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert second.snapshot().unwritten == 1
    first.close()
    second.observe("queue_depth", 500.0, "parcels")
    alerts = json.loads((tmp_path / "anomaly_alert_latest.json").read_text())["alerts"]
    assert [alert["target"] for alert in alerts] == ["mails", "parcels"]
    assert second.snapshot().problems == ()
    assert [entry.fields.get("target") for entry in read_journal(tmp_path / "detection_events.jsonl")][-1] == "parcels"
    second.close()


def test_a_file_system_without_locks_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There nobody can be kept from a directory, and that is no reason to keep nothing."""

    def none(path: Path) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("selfheal.detection.monitor.keeping.take_lock", none)
    monitor, _ = life(tmp_path, FakeClock(), learners=())
    monitor.observe("queue_depth", 500.0, "jobs")
    assert monitor.snapshot().problems == ()
    assert monitor.save()
    monitor.close()
    assert json.loads((tmp_path / "anomaly_alert_latest.json").read_text())["complete"]


def test_a_monitor_that_was_forgotten_leaves_its_directory(tmp_path: Path) -> None:
    """One that nobody closed and nobody has any more stands in nobody's way, and a child of its process neither."""
    monitor, _ = life(tmp_path, FakeClock(), learners=())
    ready, leave = os.pipe()
    child = os.fork()
    if not child:
        os.close(leave)
        os.read(ready, 1)
        os._exit(0)
    del monitor
    gc.collect()
    second, _ = life(tmp_path, FakeClock(), learners=())
    assert second.snapshot().problems == ()
    second.close()
    os.close(leave)
    os.waitpid(child, 0)


def test_what_fails_again_and_again_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A plot that cannot be drawn is an error in the log, and not one every five minutes; what works again is told."""
    works = [False]

    def plot(curve: Curve) -> bytes:
        if not works[0]:
            raise RuntimeError("no fonts")
        return b"png"

    clock = FakeClock()
    monitor, _ = life(tmp_path, clock, learners=(), plot=plot)
    for _ in range(6):
        monitor.observe("queue_depth", 500.0, "jobs")
        clock.advance(300.0)
        monitor.detect()
    assert caplog.text.count("plots: no fonts") == 1
    works[0] = True
    monitor.detect()
    assert monitor.snapshot().problems == ()
    monitor.close()


def test_a_log_that_could_not_be_opened_is_opened_later(tmp_path: Path) -> None:
    """What was not written meanwhile is counted."""
    blocked = tmp_path / "detection_events.jsonl"
    blocked.mkdir()
    monitor, _ = life(tmp_path, FakeClock(), learners=())
    monitor.observe("queue_depth", 500.0, "jobs")
    assert "log: " in monitor.snapshot().problems[0]
    blocked.rmdir()
    monitor.observe("queue_depth", 500.0, "mails")
    snapshot = monitor.snapshot()
    assert (snapshot.unwritten, snapshot.problems) == (1, ())
    assert [entry.fields.get("target") for entry in read_journal(blocked)][-1] == "mails"
    monitor.close()


def test_what_is_not_seen_again_yet_is_not_told_to_be_over(tmp_path: Path) -> None:
    """After a restart the file of alerts is not all there is, until what was open is seen again or let go."""
    clock = FakeClock()
    first, _ = life(tmp_path, clock, learners=())
    for target in ("jobs", "mails"):
        first.observe("queue_depth", 500.0, target)
    first.close()
    file = tmp_path / "anomaly_alert_latest.json"
    second, _ = life(tmp_path, clock, learners=())
    second.observe("queue_depth", 500.0, "jobs")
    data = json.loads(file.read_text())
    assert ([alert["target"] for alert in data["alerts"]], data["complete"]) == (["jobs"], False)
    second.observe("queue_depth", 500.0, "mails")
    data = json.loads(file.read_text())
    assert ([alert["target"] for alert in data["alerts"]], data["complete"]) == (["jobs", "mails"], True)
    second.close()

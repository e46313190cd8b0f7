"""Processes that are silent, stopped or zombies."""

from __future__ import annotations

from selfheal.detection.rules import ProcessRule
from selfheal.events import Severity
from tests.detection.rules.feeding import Fed, words


def test_silence_of_more_than_30_s() -> None:
    """After the last sign of life it takes more than 30 s; the next one ends it."""
    fed = Fed(ProcessRule())
    fed.see("heartbeat", 1.0, "worker")
    assert [fed.wait(10.0) for _ in range(3)] == [[], [], []]
    (found,) = fed.wait(0.5)
    assert (found.kind, found.severity) == ("process_unresponsive", Severity.CRITICAL)
    assert found.message == "worker has given no sign of life for 30 s"
    assert fed.wait(100.0) == []
    assert words(fed.see("heartbeat", 1.0, "worker")) == ["-process_unresponsive worker"]


def test_who_was_stopped_itself_takes_nobody_for_dead() -> None:
    """Two minutes in which nobody listened, as in a container that was frozen, are no silence of all the others."""
    fed = Fed(ProcessRule())
    for _ in range(10):
        for worker in ("a", "b"):
            fed.see("heartbeat", 1.0, worker, after=5.0)
    assert fed.wait(120.0) == []
    for _ in range(10):
        fed.see("heartbeat", 1.0, "a", after=5.0)
        fed.wait(0.0)
    assert words(fed.found) == ["+process_unresponsive b"]


def test_who_listens_seldom_finds_it_later() -> None:
    """With 30 s from one look to the next, twice two steps of 10 s are more than 30 s."""
    fed = Fed(ProcessRule())
    fed.see("heartbeat", 1.0, "worker")
    assert fed.wait(30.0) == []
    assert words(fed.wait(30.0)) == ["+process_unresponsive worker"]


def test_who_never_gave_a_sign_is_not_missed() -> None:
    """A process that has no heartbeat is judged by its state alone."""
    fed = Fed(ProcessRule())
    fed.hold("process_stopped", 0.0, 600.0)
    assert fed.wait(600.0) == []


def test_a_stopped_process() -> None:
    """Stopped for 30 s it is unresponsive; running again it is not."""
    fed = Fed(ProcessRule())
    fed.see("process_stopped", 1.0)
    assert fed.hold("process_stopped", 1.0, 20.0) == []
    assert words(fed.hold("process_stopped", 1.0, 10.0)) == ["+process_unresponsive web"]
    assert words(fed.see("process_stopped", 0.0)) == ["-process_unresponsive web"]


def test_a_short_stop_is_none() -> None:
    """A debugger that stops it for a moment, and a gap in between two such moments, count for nothing."""
    fed = Fed(ProcessRule())
    for _ in range(10):
        fed.hold("process_stopped", 1.0, 20.0)
        fed.hold("process_stopped", 0.0, 10.0)
    fed.see("process_stopped", 1.0)
    fed.see("process_stopped", 1.0, after=40.0)
    assert fed.found == []


def test_a_zombie_that_nobody_takes() -> None:
    """A zombie is seen twice before it counts, and is over a minute after nobody measures it any more."""
    fed = Fed(ProcessRule())
    assert fed.see("process_zombie", 1.0) == []
    assert words(fed.see("process_zombie", 1.0, after=10.0)) == ["+process_unresponsive web"]
    assert fed.wait(60.0) == []
    assert words(fed.wait(1.0)) == ["-process_unresponsive web"]


def test_a_sign_of_life_that_comes_late_sets_nothing_back() -> None:
    """The latest one counts, in whatever order they come."""
    fed = Fed(ProcessRule())
    fed.see("heartbeat", 1.0)
    fed.see("heartbeat", 1.0, after=-20.0)
    assert [fed.wait(15.0) for _ in range(3)] == [[], [], []]
    assert words(fed.wait(10.0)) == ["+process_unresponsive web"]


def test_a_state_that_was_forgotten_begins_anew() -> None:
    """What was stopped under a name before says nothing about what has the name now."""
    fed = Fed(ProcessRule())
    fed.see("process_stopped", 1.0)
    fed.hold("process_stopped", 1.0, 20.0)
    fed.rules.forget("web", fed.t, fed.now)
    assert fed.hold("process_stopped", 1.0, 30.0) == []
    assert words(fed.hold("process_stopped", 1.0, 10.0)) == ["+process_unresponsive web"]


def test_a_thousand_processes_are_watched_at_once() -> None:
    """Those beyond are not, until others are forgotten."""
    fed = Fed(ProcessRule())
    for metric in ("heartbeat", "process_stopped", "process_zombie"):
        for n in range(1001):
            fed.see(metric, 1.0, f"{metric}-{n}")
    for _ in range(4):
        fed.wait(10.0)
    assert len(fed.found) == 1000
    assert "heartbeat-1000" not in {finding.target for finding in fed.found}
    fed.rules.forget("heartbeat-0", fed.t, fed.now)
    fed.see("heartbeat", 1.0, "heartbeat-1000")
    for _ in range(4):
        fed.wait(10.0)
    assert words(fed.found)[-1] == "+process_unresponsive heartbeat-1000"


def test_states_of_two_thousand_processes_are_known_at_once() -> None:
    """Those beyond are not looked at."""
    fed = Fed(ProcessRule(stopped_for=5.0))
    for _ in range(2):
        fed.wait(10.0)
        for n in range(2001):
            fed.see("process_stopped", 1.0, f"p-{n}")
    assert len(fed.found) == 2000
    assert "p-2000" not in {finding.target for finding in fed.found}


def test_a_process_that_was_ended_on_purpose_is_not_missed() -> None:
    """Forgotten, its silence means nothing."""
    fed = Fed(ProcessRule())
    fed.see("heartbeat", 1.0)
    fed.rules.forget("web", fed.t, fed.now)
    assert fed.wait(600.0) == []

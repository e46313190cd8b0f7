"""What the demo of the levers measures with: a fault that is late, unseen or wrongly ended is a row that failed."""

from __future__ import annotations

import math
import threading

import pytest

from examples.demo_levers.measuring import Bound, Results, Watch, aligned, until
from examples.reference_app.running import NotSeenError
from examples.reference_app.story import Story
from selfheal import EventBus
from selfheal.clock import SYSTEM_CLOCK
from selfheal.events import ActionAudited, Event


@pytest.fixture
def results() -> Results:
    return Results(Story())


def told(what: str) -> ActionAudited:
    return ActionAudited(who="", what=what, target="t", reason="r", at=0.0)


def is_told(event: Event, what: str) -> bool:
    return isinstance(event, ActionAudited) and event.what == what


def test_in_time_is_ok(results: Results) -> None:
    """Seen and ended within the bounds, with nothing else wrong."""
    with results.trial("a fault") as trial:
        trial.seen("seen", 0.5, Bound.of(slack=1.0))
        trial.ended("mended", 1.5, Bound.of(slack=1.0, wait=1.0))
        trial.expect("all is well", True)

    (row,) = results.rows
    assert (row.held, row.how) == (True, "mended")
    assert results.held
    assert "ok" in results.table()


@pytest.mark.parametrize(("seen", "ended"), [(1.1, 1.5), (0.5, 2.1)])
def test_late_is_failed(results: Results, seen: float, ended: float) -> None:
    """Whichever of the two came too late."""
    with results.trial("a fault") as trial:
        trial.seen("seen", seen, Bound.of(slack=1.0))
        trial.ended("mended", ended, Bound.of(slack=2.0))

    assert not results.held
    assert "FAILED" in results.table()


def test_what_was_expected_and_did_not_hold_is_failed(results: Results) -> None:
    """However quick it was; the row says what."""
    with results.trial("a fault") as trial:
        trial.seen("seen", 0.0, Bound.of())
        trial.ended("mended", 0.0, Bound.of())
        trial.expect("nothing is lost", False)

    assert (results.rows[0].held, results.rows[0].how) == (False, "nothing is lost")


def test_what_does_not_happen_is_failed_and_the_next_goes_on(results: Results) -> None:
    """A wait in vain ends the trial, not the demo."""
    with results.trial("a fault") as trial:
        trial.seen("seen", 0.0, Bound.of())
        raise NotSeenError("not seen within 1 s: its end")
    with results.trial("another") as trial:
        trial.seen("seen", 0.0, Bound.of())
        trial.ended("mended", 0.0, Bound.of())

    first, second = results.rows
    assert (first.held, first.ended, first.how) == (False, math.inf, "NotSeenError: not seen within 1 s: its end")
    assert second.held
    assert not results.held


def test_an_error_in_the_demo_itself_is_not_hidden(results: Results) -> None:
    """Only what belongs to the world is a row; a bug ends the demo."""
    with pytest.raises(ZeroDivisionError), results.trial("a fault"):
        raise ZeroDivisionError


def test_no_row_is_no_success(results: Results) -> None:
    """A demo that tried nothing has shown nothing."""
    assert not results.held


def test_a_bound_says_what_it_is_made_of() -> None:
    """The sum, and the settings it follows from."""
    bound = Bound.of(0.5, hung_after=2.0, health_check=0.25)

    assert (bound.seconds, bound.made_of) == (2.75, "hung after 2 + health check 0.25 + slack 0.5")


def test_patience_is_for_the_slack_alone() -> None:
    """A machine that is busy gets more slack; what follows from settings has to hold there as well."""
    results = Results(Story(), patience=4.0)
    with results.trial("a fault") as trial:
        trial.seen("seen", 0.0, Bound.of(0.5))
        trial.ended("mended", 3.1, Bound.of(0.5, wait=1.0))

    (row,) = results.rows
    assert not row.held
    assert (row.seen_bound.seconds, row.ended_bound.seconds) == (2.0, 3.0)
    assert row.ended_bound.made_of == "wait 1 + slack 2"


def test_a_watch_finds_what_came_before_it_was_asked() -> None:
    """An event since the moment counts, be it there already; one from before does not."""
    events = EventBus()
    watch = Watch(events)
    events.publish(told("early"))
    began = SYSTEM_CLOCK.monotonic()
    events.publish(told("wanted"))

    assert 0.0 <= watch.wait("it", lambda e: is_told(e, "wanted"), began, 0.0) < 60.0
    with pytest.raises(NotSeenError, match="not seen within 0 s: the early one"):
        watch.wait("the early one", lambda e: is_told(e, "early"), began, 0.0)
    watch.close()


def test_a_watch_waits_for_what_comes() -> None:
    """From whichever thread."""
    events = EventBus()
    watch = Watch(events)
    began = SYSTEM_CLOCK.monotonic()
    other = threading.Timer(0.05, events.publish, [told("wanted")])
    other.start()

    assert watch.wait("it", lambda e: is_told(e, "wanted"), began, 60.0) > 0.0
    other.join()
    watch.close()


def test_until_gives_up() -> None:
    """In time, with what it was that did not happen."""
    with pytest.raises(NotSeenError, match="not seen within 0.02 s: the impossible"):
        until("the impossible", lambda: False, SYSTEM_CLOCK.monotonic(), 0.02)
    assert until("the certain", lambda: True, SYSTEM_CLOCK.monotonic(), 0.0) >= 0.0


def test_tables_are_aligned() -> None:
    """Each column as wide as its widest cell."""
    assert aligned([["a", "bb"], ["ccc", "d"]]) == "a    bb\n---  --\nccc  d"

"""Calls of actions in threads of their own: given up when they hang, and counted."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from selfheal.clock import SYSTEM_CLOCK
from selfheal.errors import ActionTimeoutError
from selfheal.healing.actions import ActionRegistry, Effect, Probed
from selfheal.healing.engine.executing import InlineRunner, ThreadRunner
from selfheal.testing import FakeClock
from tests.healing.engine.rig import Rig, strategy


def until(condition: Callable[[], bool]) -> bool:
    """Wait, in real time and bounded, until something holds."""
    end = SYSTEM_CLOCK.monotonic() + 60
    while not condition() and SYSTEM_CLOCK.monotonic() < end:
        SYSTEM_CLOCK.sleep(0.002)
    return condition()


def test_a_call_that_hangs_is_given_up_and_counted_until_it_comes_back() -> None:
    """The caller goes on after the timeout, and the count falls once the thread is free again."""
    runner, free = ThreadRunner(), threading.Event()
    with pytest.raises(ActionTimeoutError, match="hang"):
        runner.run(free.wait, what="hang", timeout=0.02)
    assert runner.abandoned == 1
    free.set()
    assert until(lambda: runner.abandoned == 0)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
def test_what_a_call_raises_is_raised_where_it_was_asked_for(error: BaseException) -> None:
    """An error in the thread is the caller's, whatever kind it is."""

    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        ThreadRunner().run(fail, what="fail", timeout=60)
    assert caught.value is error


def test_an_error_that_comes_too_late_is_lost_and_not_the_next_callers() -> None:
    """A call that was given up and then raises frees its place and disturbs nobody."""
    runner, free = ThreadRunner(), threading.Event()

    def late() -> None:
        free.wait()
        raise ValueError("too late")

    with pytest.raises(ActionTimeoutError):
        runner.run(late, what="late", timeout=0.02)
    free.set()
    assert until(lambda: runner.abandoned == 0)
    assert runner.run(lambda: 7, what="next", timeout=60) == 7


def test_a_child_has_no_abandoned_calls() -> None:
    """What hangs in the parent does not hang in its fork."""
    runner, free = ThreadRunner(), threading.Event()
    with pytest.raises(ActionTimeoutError):
        runner.run(free.wait, what="hang", timeout=0.02)
    pid = os.fork()
    if not pid:
        os._exit(runner.abandoned)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert runner.abandoned == 1
    free.set()


def test_inline_a_call_that_was_late_by_the_clock_is_an_error_although_it_came_back() -> None:
    """A simulation sees a timeout as threads would have made it."""
    clock = FakeClock()
    with pytest.raises(ActionTimeoutError):
        InlineRunner(clock).run(lambda: clock.advance(31), what="late", timeout=30)
    assert InlineRunner(clock).run(lambda: clock.advance(30), what="in time", timeout=30) is None


def hanging(free: threading.Event, probed: Probed = Probed.UNKNOWN) -> ActionRegistry:
    """A reversible action that waits to be freed."""
    actions = ActionRegistry()

    @actions.action("hang", effect=Effect.REVERSIBLE, timeout=0.02)
    def hang(call: Any) -> None:
        free.wait()

    hang.plan(lambda call: {})
    hang.rollback(lambda call, plan, receipt: None)
    hang.probe(lambda call, plan: probed)
    return actions


def test_too_many_actions_that_hang_end_all_healing() -> None:
    """With as many abandoned calls as may be the engine goes dormant and tells a person."""
    free = threading.Event()
    hang = strategy(["hang"], grace_period=0, max_attempts_per_hour=99)
    rig = Rig(hang, actions=hanging(free), inline_actions=False, max_abandoned=2)
    for _ in range(3):
        rig.raise_alert()
        rig.clock.advance(120)
    rig.engine.run_once()
    assert rig.engine.snapshot().abandoned == 2
    assert rig.engine.healer.dormancy.is_dormant
    assert "too many actions hang" in [one.title for one in rig.told]
    free.set()


def test_an_action_that_hangs_and_may_have_taken_effect_is_undone() -> None:
    """A timeout leaves the action in doubt, which rollback treats as done."""
    free = threading.Event()
    rig = Rig(strategy(["hang"]), actions=hanging(free), inline_actions=False)
    [record] = rig.raise_alert()
    assert record.outcome == "failed"
    assert [one["state"] for one in record.details["actions"]] == ["undone"]
    free.set()


def test_an_action_that_was_late_and_is_seen_to_have_worked_is_done() -> None:
    """If the probe finds the effect after a timeout, the healing goes on instead of undoing it."""
    free = threading.Event()
    rig = Rig(strategy(["hang"]), actions=hanging(free, Probed.DONE), inline_actions=False)
    [record] = rig.raise_alert()
    assert [one["state"] for one in record.details["actions"]] == ["done"]
    assert "not verified" in record.reason
    free.set()

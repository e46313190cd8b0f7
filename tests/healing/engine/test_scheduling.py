"""Healings that are asked for: begun in time, put off while a guard refuses, taken back, given up."""

from __future__ import annotations

import logging

import pytest

from selfheal.events import Alert
from tests.healing.engine.rig import ALERT, Rig, strategy

CURE = strategy(["turn"], grace_period=300)


def test_what_a_guard_refuses_is_put_off_until_the_guard_may_let_it_pass() -> None:
    """Within the grace period it does not wait with the others; when that is over it is healed, once."""
    rig = Rig(CURE)
    rig.engine.schedule("cure", "web")
    assert [one.outcome for one in rig.engine.run_once()] == ["healed"]

    rig.engine.schedule("cure", "web")
    assert [one.guard for one in rig.engine.run_once()] == ["grace"]
    [waiting] = rig.engine.scheduled
    assert (waiting.deferrals, waiting.reason.split(":")[0]) == (1, "grace")
    assert (rig.engine.snapshot().queued, rig.engine.snapshot().deferred) == (1, 1)
    assert rig.engine.healer.snapshot().pending == 0
    assert rig.pass_time(295) == []
    assert [one.outcome for one in rig.pass_time(10)] == ["healed"]
    assert rig.pass_time(1000) == []
    assert rig.engine.scheduled == ()


def test_where_no_time_is_told_it_is_asked_again_each_minute() -> None:
    """A flag that is off says nothing of when it will be on."""
    rig = Rig(CURE)
    rig.flag("false")
    rig.engine.schedule("cure", "web")
    assert len(rig.pass_time(300)) == 5
    rig.flag("true")
    assert [one.outcome for one in rig.pass_time(65)] == ["healed"]


def test_after_an_hour_it_is_given_up_and_that_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing waits for ever: what nobody let pass is forgotten, with the reason in the log."""
    rig = Rig(CURE)
    rig.flag("false")
    rig.engine.schedule("cure", "web")
    with caplog.at_level(logging.WARNING, "selfheal.healing"):
        rig.pass_time(3660, step=10)
    assert rig.engine.scheduled == ()
    assert [one.getMessage() for one in caplog.records if "given up" in one.getMessage()]
    assert "is off" in caplog.text
    rig.flag("true")
    assert rig.pass_time(120) == []


def test_an_alert_that_others_have_raised_is_not_taken_back() -> None:
    """Put off, the scheduled one goes; the same alert of somebody else waits as any other."""
    rig = Rig(CURE)
    rig.raise_alert(ALERT)
    scheduled = Alert(kind="ill", target="web").fingerprint
    rig.engine.schedule("cure", "web")
    rig.engine.run_once()
    assert not rig.engine.healer.waits(scheduled)

    rig.engine.unschedule("cure", "web")
    rig.engine.schedule("cure", "web")
    rig.engine.submit(Alert(kind="ill", target="web"))
    rig.engine.run_once()
    assert rig.engine.healer.waits(scheduled)
    assert [one.target for one in rig.engine.open_alerts if one.fingerprint == scheduled] == ["web"]


def test_it_can_be_taken_back_before_it_begins() -> None:
    """What a person asked for, a person can take back; then it is not done."""
    rig = Rig(CURE)
    rig.engine.schedule("cure", "web", after=60)
    assert rig.engine.unschedule("cure", "web")
    assert not rig.engine.unschedule("cure", "web")
    assert rig.pass_time(120) == []
    assert rig.world.calls == []


def test_a_healing_that_takes_time_is_not_begun_twice() -> None:
    """While it settles it stays one, and is over once it has ended."""
    rig = Rig(strategy(["turn"], settle=30, grace_period=0, verify={"by": "actions"}))
    rig.engine.schedule("cure", "web")
    records = rig.pass_time(120)
    assert [one.outcome for one in records] == ["healed"]
    assert len(rig.world.calls) == 1
    assert rig.engine.scheduled == ()

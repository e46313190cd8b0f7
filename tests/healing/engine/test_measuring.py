"""What is open, and what that says of a healing."""

from __future__ import annotations

from selfheal.events import Alert
from selfheal.healing.engine.measuring import OpenAlerts
from selfheal.testing import FakeClock
from tests.healing.engine.rig import ALERT, Rig, strategy

BY_ALERT = strategy(["turn"], verify={"by": "alert", "within": 600})


def test_an_alert_that_is_cleared_was_fixed() -> None:
    """The healing waits for the clearance, and succeeds with it."""
    rig = Rig(BY_ALERT)
    assert rig.raise_alert() == []
    rig.engine.clear(ALERT.fingerprint)
    assert [one.outcome for one in rig.engine.run_once()] == ["healed"]


def test_an_alert_that_goes_on_was_not_fixed() -> None:
    """If it is raised again and again and never cleared, the healing failed."""
    rig = Rig(BY_ALERT)
    rig.raise_alert()
    for _ in range(13):
        rig.engine.submit(ALERT)
        rig.clock.advance(50)
    [record, *_] = rig.engine.run_once()
    assert (record.outcome, record.details["verdict"]) == ("failed", "unchanged")


def test_an_alert_of_which_nothing_is_heard_any_more_is_not_taken_for_fixed() -> None:
    """Silence is no clearance: the verdict is unknown, and the healing no success."""
    rig = Rig(BY_ALERT)
    rig.raise_alert()
    rig.clock.advance(601)
    [record] = rig.engine.run_once()
    assert (record.outcome, record.details["verdict"]) == ("failed", "unknown")


def test_an_alert_raised_again_is_open_although_it_was_cleared() -> None:
    """The last that was heard of it counts."""
    alerts = OpenAlerts(FakeClock(), ttl=300)
    alerts.raised(ALERT)
    alerts.cleared(ALERT.fingerprint)
    assert alerts.holds(ALERT.fingerprint) is False
    alerts.raised(ALERT)
    assert alerts.holds(ALERT.fingerprint) is True


def test_open_alerts_end_by_age_and_are_bounded() -> None:
    """One not raised again within its time to live is gone; beyond the limit the oldest is forgotten and counted."""
    clock = FakeClock()
    alerts = OpenAlerts(clock, ttl=300, limit=2)
    for target in ("a", "b", "c"):
        alerts.raised(Alert(kind="ill", target=target))
    assert [alert.target for alert in alerts.all()] == ["b", "c"]
    assert alerts.forgotten == 1
    clock.advance(301)
    assert alerts.all() == []
    for number in range(5):
        alerts.cleared(str(number))
    assert [alerts.holds(str(number)) for number in range(5)] == [None, None, None, False, False]


def test_a_value_of_now_decides_whether_a_level_is_entered() -> None:
    """A level whose ``when`` does not hold by the latest sample is passed over, and the healing says so."""
    rig = Rig(strategy({"level": "soft", "when": "cpu > 80", "actions": ["turn"]}))
    rig.engine.observe("cpu", 60.0, "web")
    [record] = rig.raise_alert()
    assert record.reason == "not fixed: level soft was not entered: cpu > 80 does not hold"
    rig.clock.advance(400)
    rig.engine.observe("cpu", 90.0, "web")
    assert [one.outcome for one in rig.raise_alert()] == ["healed"]

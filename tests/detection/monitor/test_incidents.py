"""Signals become incidents: one for each fingerprint, none for what another explains, none without an end."""

from __future__ import annotations

from collections import Counter

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.detection.monitor import Change, Incidents, MonitorConfig, Signal
from selfheal.events import Severity
from tests.detection.monitor.watching import ended, signal

RULE = signal()
LEARNT = signal("anomaly", learnt=True)
OTHER = signal("high_latency", "api", "latency_ms")


def whats(changes: list[Change]) -> list[str]:
    """What became of which kind."""
    return [f"{change.what} {change.incident.signal.kind}" for change in changes]


@pytest.fixture
def incidents() -> Incidents:
    return Incidents(MonitorConfig(flap_raises=3, flap_window=200.0, flap_quiet=50.0, linger=30.0, restored_for=40.0))


def test_a_signal_is_one_incident_until_it_ends(incidents: Incidents) -> None:
    """What is said again is no news, and its end clears it."""
    assert whats(incidents.apply([RULE], 0.0)) == ["raised cpu_spike"]
    assert incidents.apply([RULE], 10.0) == []
    assert whats(incidents.apply([ended(RULE)], 20.0)) == ["cleared cpu_spike"]
    assert incidents.apply([ended(RULE)], 30.0) == []
    assert incidents.open == ()


def test_two_who_say_the_same_are_one_incident_until_both_are_silent(incidents: Incidents) -> None:
    """Two rules with one fingerprint raise once, and clear when the last of them ends."""
    second = signal(source="rule other")
    assert whats(incidents.apply([RULE, second], 0.0)) == ["raised cpu_spike", "joined cpu_spike"]
    assert incidents.apply([ended(RULE)], 1.0) == []
    assert whats(incidents.apply([ended(second)], 2.0)) == ["cleared cpu_spike"]


def test_worse_is_told_better_is_not(incidents: Incidents) -> None:
    """A rise in severity is told under the same fingerprint; what ends and begins at once goes on."""
    incidents.apply([RULE], 0.0)
    worse = attrs.evolve(RULE, severity=Severity.CRITICAL)
    assert whats(incidents.apply([ended(RULE), worse], 1.0)) == ["escalated cpu_spike"]
    assert incidents.open[0].severity is Severity.CRITICAL
    assert incidents.apply([RULE], 2.0) == []
    assert incidents.open[0].severity is Severity.WARNING


def test_what_begins_and_ends_at_once_is_over(incidents: Incidents) -> None:
    """The order within one batch counts: an end after the beginning is one."""
    assert whats(incidents.apply([RULE, ended(RULE)], 0.0)) == ["raised cpu_spike", "cleared cpu_spike"]


def test_an_anomaly_of_a_series_with_an_alert_is_evidence_of_that(incidents: Incidents) -> None:
    """A learnt detector that says the same as an open rule raises no alert of its own."""
    incidents.apply([RULE], 0.0)
    assert whats(incidents.apply([LEARNT], 1.0)) == ["joined cpu_spike"]
    assert [one.kind for one in incidents.open[0].beside] == ["anomaly"]
    newer = attrs.evolve(LEARNT, message="worse now")
    assert incidents.apply([newer], 2.0) == []
    assert incidents.open[0].beside == (newer,)
    incidents.apply([ended(LEARNT)], 3.0)
    assert incidents.open[0].beside == ()


def test_a_rule_takes_over_from_an_anomaly(incidents: Incidents) -> None:
    """The rule is raised first, then the anomaly is cleared, and the incident is as old as that was."""
    incidents.apply([attrs.evolve(LEARNT, since=5.0)], 0.0)
    changes = incidents.apply([RULE], 20.0)
    assert whats(changes) == ["raised cpu_spike", "cleared anomaly"]
    assert changes[1].why == "it is part of cpu_spike|web|cpu"
    assert incidents.open[0].since == 5.0
    assert [one.kind for one in incidents.open[0].beside] == ["anomaly"]


def test_an_anomaly_of_another_series_stands_alone(incidents: Incidents) -> None:
    """What no open alert is about is an alert of its own."""
    incidents.apply([OTHER], 0.0)
    assert whats(incidents.apply([LEARNT], 1.0)) == ["raised anomaly"]


def test_what_outlasts_its_explanation_lingers_and_then_stands_alone(incidents: Incidents) -> None:
    """A learnt detector needs longer to be quiet than a rule; only what goes on for long is told."""
    incidents.apply([RULE, LEARNT], 0.0)
    assert whats(incidents.apply([ended(RULE)], 10.0)) == ["cleared cpu_spike"]
    assert incidents.waiting == 1
    assert incidents.tick(39.0) == []
    assert whats(incidents.tick(40.0)) == ["raised anomaly"]
    assert incidents.waiting == 0


def test_the_late_view_of_what_is_over_is_no_second_page(incidents: Incidents) -> None:
    """A learnt detector judges minutes that are over: what it begins to say after the clear lingers, and so may end."""
    incidents.apply([RULE], 0.0)
    incidents.apply([ended(RULE)], 100.0)
    assert incidents.apply([LEARNT], 110.0) == []
    assert incidents.waiting == 1
    assert incidents.tick(129.0) == []
    assert whats(incidents.tick(130.0)) == ["raised anomaly"]
    incidents.apply([ended(LEARNT)], 140.0)
    assert whats(incidents.apply([LEARNT], 150.0)) == ["raised anomaly"]  # its own end explains nothing
    incidents.apply([ended(LEARNT)], 160.0)
    assert whats(incidents.apply([LEARNT], 1001.0)) == ["raised anomaly"]


def test_what_begins_long_after_is_told_at_once() -> None:
    """Once the aftermath is over, an anomaly of the same series is no late view of anything."""
    incidents = Incidents(MonitorConfig(linger=5000.0, aftermath=100.0))
    for began, told in ((1100.0, []), (1101.0, ["raised anomaly"])):
        incidents.apply([RULE], began - 200.0)
        incidents.apply([ended(RULE)], 1000.0)
        assert whats(incidents.apply([LEARNT], began)) == told
        incidents.apply([ended(LEARNT)], began)


def test_what_goes_on_for_what_was_before_does_not_come_to_stand_alone(incidents: Incidents) -> None:
    """A learnt detector that still has the past in mind, while the latest values are as usual, is no new alert."""
    incidents.apply([RULE, LEARNT], 0.0)
    incidents.apply([ended(RULE)], 10.0)
    incidents.apply([attrs.evolve(LEARNT, fresh=False)], 30.0)
    assert incidents.tick(59.0) == []
    assert whats(incidents.tick(60.0)) == ["raised anomaly"]


def test_what_lingers_is_explained_again_when_the_rule_is_back(incidents: Incidents) -> None:
    """The rule that comes back while the anomaly lingers has it as evidence at once."""
    incidents.apply([RULE, LEARNT], 0.0)
    incidents.apply([ended(RULE)], 10.0)
    incidents.apply([RULE], 20.0)
    assert [one.kind for one in incidents.open[0].beside] == ["anomaly"]
    assert incidents.tick(1000.0) == []


def test_a_flapping_one_is_held_until_it_is_quiet(incidents: Incidents) -> None:
    """The third raise within the window stays raised through ends and beginnings, and ends after the quiet time."""
    for at in (0.0, 20.0):
        assert whats(incidents.apply([RULE], at)) == ["raised cpu_spike"]
        assert whats(incidents.apply([ended(RULE)], at + 10.0)) == ["cleared cpu_spike"]
    changes = incidents.apply([RULE], 40.0)
    assert whats(changes) == ["raised cpu_spike"]
    assert changes[0].incident.flapping
    assert whats(incidents.apply([ended(RULE)], 50.0)) == ["held cpu_spike"]
    assert whats(incidents.apply([RULE], 60.0)) == ["again cpu_spike"]
    assert incidents.open[0].times == 4
    incidents.apply([ended(RULE)], 70.0)
    assert incidents.tick(119.0) == []
    assert whats(incidents.tick(120.0)) == ["cleared cpu_spike"]
    changes = incidents.apply([RULE], 121.0)
    assert not changes[0].incident.flapping


def test_a_restored_one_is_held_for_a_while(incidents: Incidents) -> None:
    """What was open in an earlier life ends when it is not seen again, and goes on, as old as it was, when it is."""
    before = Incidents(MonitorConfig())
    before.apply([attrs.evolve(RULE, since=5.0), OTHER], 0.0)
    incidents.restore(before.open, 100.0)
    assert all(one.restored and not one.live for one in incidents.open)
    changes = incidents.apply([RULE], 120.0)
    assert whats(changes) == ["raised cpu_spike"]
    assert changes[0].incident.since == 5.0
    assert not changes[0].incident.restored
    changes = incidents.tick(140.0)
    assert [(change.what, change.incident.signal.kind, change.why) for change in changes] == [
        ("cleared", "high_latency", "it was not seen again after a restart")
    ]


def test_what_finds_no_room_waits_for_it() -> None:
    """At the bound nothing more is raised; the worst that waits comes first when there is room."""
    incidents = Incidents(MonitorConfig(max_open=1))
    bad = signal("dead", severity=Severity.CRITICAL, covers=())
    incidents.apply([RULE], 0.0)
    assert incidents.apply([OTHER, bad], 1.0) == []
    assert incidents.waiting == 2
    incidents.apply([ended(RULE)], 2.0)
    assert whats(incidents.tick(2.0)) == ["raised dead"]
    assert incidents.waiting == 1


def test_signals_are_bounded() -> None:
    """Signals beyond four for each alert that may be open are dropped, and counted."""
    incidents = Incidents(MonitorConfig(max_open=2))
    incidents.apply([signal(f"kind {n}") for n in range(20)], 0.0)
    assert (len(incidents.open), incidents.waiting, incidents.dropped) == (2, 6, 12)


RULES = [signal(f"rule_{n}", metric=metric) for n, metric in enumerate(["cpu", "cpu", "memory"])]
VIEWS = [
    signal("anomaly", metric="cpu", learnt=True),
    signal("anomaly", metric="memory", learnt=True),
    signal("anomaly", metric="composite", learnt=True, covers=(("cpu", "web"), ("memory", "web")), source="composite"),
]
STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "end", "wait"]), st.integers(0, 5), st.integers(0, 60)), max_size=60
)


@given(STEPS)
def test_whatever_comes_alerts_alternate_and_each_has_an_end(steps: list[tuple[str, int, int]]) -> None:
    """Told by a model that knows only which signals are live."""
    config = MonitorConfig(flap_raises=3, flap_window=100.0, flap_quiet=50.0, linger=30.0, max_open=20)
    incidents, live = Incidents(config), dict[tuple[str, str], Signal]()
    told: Counter[str] = Counter()
    raises: list[tuple[float, str]] = []
    at = 0.0
    for what, which, seconds in [*steps, ("wait", 0, 0)]:
        one = [*RULES, *VIEWS][which]
        if what == "begin":
            live[one.key] = one
            changes = incidents.apply([one], at)
        elif what == "end":
            live.pop(one.key, None)
            changes = incidents.apply([ended(one)], at)
        else:
            at += seconds
            changes = incidents.tick(at)
        for change in changes:
            if change.what in ("raised", "cleared"):
                told[change.incident.fingerprint] += 1 if change.what == "raised" else -1
            if change.what == "raised":
                raises.append((at, change.incident.fingerprint))
        _holds(incidents, live, told)
        _flaps_no_more_than(config, raises)
    for one in [*RULES, *VIEWS]:
        incidents.apply([ended(one)], at)
    incidents.tick(at + config.flap_quiet)
    assert incidents.open == ()
    assert incidents.waiting == 0


def _holds(incidents: Incidents, live: dict[tuple[str, str], Signal], told: Counter[str]) -> None:
    there = {one.fingerprint: one for one in incidents.open}
    assert {fingerprint for fingerprint, times in told.items() if times} == set(there)
    assert all(told[fingerprint] == 1 for fingerprint in there)
    rules = {one.fingerprint for one in live.values() if not one.learnt}
    assert rules <= set(there)
    for fingerprint, one in there.items():
        assert one.flapping or any(signal.fingerprint == fingerprint for signal in live.values())
        assert one.live == any(signal.fingerprint == fingerprint for signal in live.values())
    covered = {series for one in there.values() if not one.signal.learnt for series in one.signal.covers}
    for one in there.values():
        assert not (one.signal.learnt and one.signal.covers & covered)
    beside = Counter(signal.key for one in there.values() for signal in one.beside)
    assert all(times == 1 and live[key].learnt for key, times in beside.items())


def _flaps_no_more_than(config: MonitorConfig, raises: list[tuple[float, str]]) -> None:
    """No fingerprint is raised more than ``flap_raises`` times within the window, and the quiet time after it."""
    if not raises:
        return
    at, fingerprint = raises[-1]
    recent = [when for when, which in raises if which == fingerprint and when > at - config.flap_quiet]
    assert len(recent) <= config.flap_raises

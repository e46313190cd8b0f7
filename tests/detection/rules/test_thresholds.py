"""Conditions over metrics, CPU and latency, in seconds of time and not in numbers of samples."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from selfheal.conditions import parse
from selfheal.detection.rules import CpuSpikeRule, LatencyRule, ProcessRule, ThresholdRule
from selfheal.detection.rules.thresholds import percentile
from selfheal.errors import ConfigError
from selfheal.events import Alert, AlertCleared
from tests.detection.rules.feeding import WALL, Fed, words


@pytest.mark.parametrize("step", [1.0, 5.0, 10.0])
def test_a_busy_cpu_is_a_spike_after_300_s(step: float) -> None:
    """It takes 300 s above 80 %, whatever the number of samples in them."""
    fed = Fed(CpuSpikeRule())
    fed.see("cpu_percent", 95.0)

    assert fed.hold("cpu_percent", 95.0, 300.0 - step, step) == []
    (found,) = fed.hold("cpu_percent", 95.0, step, step)
    assert (found.kind, found.target, found.value, found.since) == ("cpu_spike", "web", 95.0, WALL + 300.0)


def test_a_spike_ends_below_70_for_60_s() -> None:
    """A value between the thresholds, and a short dip, end nothing; and one alert lasts."""
    fed = Fed(CpuSpikeRule())
    fed.hold("cpu_percent", 95.0, 400.0)
    fed.hold("cpu_percent", 75.0, 400.0)
    fed.hold("cpu_percent", 60.0, 50.0)
    fed.hold("cpu_percent", 95.0, 400.0)
    assert words(fed.found) == ["+cpu_spike web"]

    fed.see("cpu_percent", 60.0, after=10.0)
    assert fed.hold("cpu_percent", 60.0, 50.0) == []
    assert words(fed.hold("cpu_percent", 60.0, 10.0)) == ["-cpu_spike web"]
    assert fed.rules.open == ()


def test_short_peaks_are_no_spike() -> None:
    """Two samples of each minute at 100 % are none."""
    fed = Fed(CpuSpikeRule())
    for _ in range(60):
        fed.hold("cpu_percent", 100.0, 20.0)
        fed.hold("cpu_percent", 30.0, 40.0)
    assert fed.found == []


def test_a_gap_of_more_than_two_steps_counts_for_nothing() -> None:
    """What was not measured for longer than two steps is unknown: that time is not counted, and sets nothing back."""
    fed = Fed(CpuSpikeRule())
    fed.see("cpu_percent", 95.0)
    fed.hold("cpu_percent", 95.0, 200.0)
    assert fed.wait(300.0) == []
    assert fed.see("cpu_percent", 95.0) == []
    assert words(fed.hold("cpu_percent", 95.0, 120.0)) == ["+cpu_spike web"]


@pytest.mark.parametrize(("apart", "found"), [(20.0, ["+cpu_spike web"]), (20.5, [])])
def test_two_steps_are_no_gap_and_more_is_one(apart: float, found: list[str]) -> None:
    """With a step of 10 s, samples 20 s apart tell of all the time between; a little further, of none."""
    fed = Fed(CpuSpikeRule())
    fed.hold("cpu_percent", 95.0, 20 * apart, apart)
    assert words(fed.found) == found


def test_a_gap_without_a_tick_counts_for_nothing_either() -> None:
    """The same where nobody looked in between."""
    fed = Fed(CpuSpikeRule())
    fed.see("cpu_percent", 95.0)
    fed.hold("cpu_percent", 95.0, 200.0)

    assert fed.see("cpu_percent", 95.0, after=300.0) == []


def test_missing_values_begin_and_end_nothing() -> None:
    """``nan`` is unknown: an alert stays."""
    fed = Fed(CpuSpikeRule())
    fed.hold("cpu_percent", math.nan, 600.0)
    assert fed.found == []
    fed.hold("cpu_percent", 95.0, 400.0)
    fed.hold("cpu_percent", math.nan, 600.0)
    assert words(fed.found) == ["+cpu_spike web"]


def test_targets_are_apart() -> None:
    """Each target has its own time."""
    fed = Fed(CpuSpikeRule())
    for _ in range(40):
        fed.see("cpu_percent", 95.0, "a", after=5.0)
        fed.see("cpu_percent", 20.0, "b", after=5.0)
    assert words(fed.found) == ["+cpu_spike a"]


def test_a_rule_of_ones_own() -> None:
    """Any condition over several metrics makes a rule, with its own kind and severity."""
    fed = Fed(ThresholdRule(name="full", condition=parse("disk > 90 and writes > 5"), clear_for=0.0))
    fed.see("disk", 95.0)
    assert fed.found == []
    fed.see("writes", 6.0)
    fed.see("writes", 1.0)
    assert words(fed.found) == ["+full web", "-full web"]


def test_a_finding_is_an_alert_with_its_evidence() -> None:
    """The events of begin and end share one fingerprint."""
    fed = Fed(ThresholdRule(name="r", kind="disk_full", condition=parse("disk > 90"), clear_for=0.0))
    begun, ended = fed.see("disk", 95.0)[0].event(), fed.see("disk", 5.0)[0].event()

    assert isinstance(begun, Alert)
    assert isinstance(ended, AlertCleared)
    assert (begun.kind, begun.metric, begun.value, begun.at) == ("disk_full", "disk", 95.0, WALL)
    assert begun.labels == {"rule": "r", "condition": "disk > 90"}
    assert begun.message == "disk > 90: disk is 95"
    assert begun.fingerprint == ended.fingerprint == "disk_full|web|disk"


def test_a_target_that_is_gone_ends_its_alert() -> None:
    """Forgotten on purpose, nothing of it stays open."""
    fed = Fed(ThresholdRule(name="r", condition=parse("disk > 90")))
    fed.see("disk", 95.0)
    assert words(fed.rules.forget("web", fed.t, fed.now)) == ["-r web"]
    assert fed.rules.open == ()


def test_what_is_not_measured_any_more_is_over_after_two_hours() -> None:
    """A process that died by itself leaves no alert for ever; what is measured as missing keeps its own."""
    fed = Fed(ThresholdRule(name="busy", condition=parse("process_cpu_percent > 90 and writes > 5")))
    for target in ("a", "b"):
        fed.see("writes", 9.0, target)
        fed.see("process_cpu_percent", 99.0, target)
    fed.wait(7000.0)
    fed.see("process_cpu_percent", math.nan, "b")
    assert fed.wait(200.0) == []
    assert words(fed.wait(1.0)) == ["-busy a"]
    fed.see("writes", 9.0, "b", after=6000.0)
    assert fed.wait(7200.0) == []
    assert words(fed.wait(1.0)) == ["-busy b"]


def test_a_value_that_concerns_all_keeps_the_alert_of_a_target() -> None:
    """A part of the condition that is measured on ``""`` stands in for it."""
    fed = Fed(ThresholdRule(name="busy", condition=parse("depth > 90 and writes > 5")))
    fed.see("writes", 9.0, "")
    fed.see("depth", 99.0, "jobs")
    for _ in range(100):
        fed.see("writes", 9.0, "", after=300.0)
        fed.wait(0.0)
    assert words(fed.found) == ["+busy jobs"]


def test_samples_too_far_apart_for_a_rule_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Every 30 s where a step is 10 s: the rule would never find anything, and says what to set; gaps say nothing."""
    seldom = ThresholdRule(name="seldom", condition=parse("cpu_percent > 90 for 5m"), step=30.0)
    fed = Fed(CpuSpikeRule(), seldom, ThresholdRule(name="at_once", condition=parse("cpu_percent > 90"), clear_for=0.0))
    for _ in range(20):
        fed.hold("cpu_percent", 95.0, 90.0, 10.0)
        fed.hold("cpu_percent", 95.0, 90.0, 30.0)
    fed.hold("cpu_percent", math.nan, 600.0, 30.0)
    assert caplog.messages == []
    fed.hold("cpu_percent", 95.0, 1500.0, 30.0)

    assert caplog.messages == [
        "rule cpu_spike: cpu_percent comes every 30 s. Time between samples further apart than two steps of 10 s"
        " counts for nothing, so that no duration is ever over: set step to what its samples are apart"
    ]
    assert {"seldom", "at_once"} <= {finding.rule for finding in fed.found}


def test_a_stopped_process_looked_at_too_seldom_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """The same for the states of processes; several of them looked at at once are no pace."""
    fed = Fed(ProcessRule())
    for _ in range(12):
        for target in ("a", "b"):
            fed.see("process_stopped", 1.0, target)
        fed.wait(60.0)
    assert fed.found == []
    assert [message[:45] for message in caplog.messages] == ["rule process_unresponsive: process_stopped co"]


def requests(fed: Fed, seconds: int, fast: float, slow: float, every_nth: int, a_second: int = 1) -> None:
    for n in range(seconds * a_second):
        fed.see("latency_ms", slow if n % every_nth == 0 else fast, "api", after=1.0 / a_second)
        if n % 10 == 0:
            fed.wait(0.0)


def test_a_slow_twentieth_is_no_alarm_and_a_slow_tenth_is() -> None:
    """The 95th percentile over a minute has to be above 500 ms for a minute."""
    fed = Fed(LatencyRule())
    requests(fed, 300, 50.0, 900.0, every_nth=21)
    assert fed.found == []
    requests(fed, 300, 50.0, 900.0, every_nth=10)
    assert words(fed.found) == ["+high_latency api"]
    assert fed.found[0].value == 900.0
    requests(fed, 300, 50.0, 50.0, every_nth=10)
    assert words(fed.found) == ["+high_latency api", "-high_latency api"]


def test_fewer_than_twenty_requests_tell_nothing() -> None:
    """Slow requests, one every four seconds, are fifteen in a minute: unknown."""
    fed = Fed(LatencyRule())
    for _ in range(200):
        fed.see("latency_ms", 900.0, "api", after=4.0)
        fed.wait(0.0)
    assert fed.found == []


def test_latency_that_is_missing_is_no_request() -> None:
    """``nan`` and negative latencies are left out."""
    fed = Fed(LatencyRule())
    for value in (math.nan, -1.0):
        fed.hold("latency_ms", value, 300.0, 1.0)
        for _ in range(150):  # with the slow ones in between they would be enough
            fed.see("latency_ms", value, after=2.0)
            fed.see("latency_ms", 900.0, after=2.0)
    fed.wait(0.0)
    assert fed.found == []


def at_once(**settings: Any) -> LatencyRule:
    return LatencyRule(condition=parse("latency_ms_p95 > 500"), clear_for=0.0, **settings)


def test_requests_alone_are_enough() -> None:
    """The percentile is taken anew with them, once a second, also where nobody lets time pass."""
    fed = Fed(LatencyRule())
    fed.hold("latency_ms", 900.0, 61.0, 0.1)
    assert fed.found == []
    assert words(fed.hold("latency_ms", 900.0, 3.0, 0.1)) == ["+high_latency web"]


def test_the_latest_two_thousand_requests_are_looked_at() -> None:
    """Of a target that is asked more often the percentile is that of its latest ones."""
    fed = Fed(at_once())
    fed.hold("latency_ms", 900.0, 5.0, 0.0025)
    assert words(fed.found) == ["+high_latency web"]
    assert fed.hold("latency_ms", 50.0, 4.0, 0.0025) == []
    assert words(fed.hold("latency_ms", 50.0, 2.0, 0.0025)) == ["-high_latency web"]


def test_a_thousand_targets_are_looked_at_at_once() -> None:
    """One more is not, until the requests of others have left the window for a minute."""
    fed = Fed(at_once(least=2))
    for n in range(1001):
        fed.see("latency_ms", 900.0, f"api-{n}")
    fed.wait(2.0)
    assert fed.found == []
    for target in ("api-999", "api-1000"):
        fed.see("latency_ms", 900.0, target)
    fed.wait(0.0)
    assert words(fed.found) == ["+high_latency api-999"]
    fed.wait(60.0)
    fed.wait(61.0)
    for _ in range(2):
        fed.see("latency_ms", 900.0, "api-1000", after=2.0)
    assert words(fed.found)[-1] == "+high_latency api-1000"


def test_a_target_that_was_forgotten_begins_anew() -> None:
    """Neither its requests of before count, nor the time for which something has held."""
    fed = Fed(at_once(least=5), CpuSpikeRule())
    for _ in range(4):
        fed.see("latency_ms", 900.0)
    fed.hold("cpu_percent", 95.0, 280.0)
    for _ in range(4):
        fed.see("latency_ms", 900.0)
    fed.rules.forget("web", fed.t, fed.now)
    fed.see("latency_ms", 900.0, after=2.0)
    fed.hold("cpu_percent", 95.0, 100.0)
    assert fed.found == []


def test_a_latency_rule_looks_at_its_percentile() -> None:
    """A condition over something else is refused, naming what it should look at."""
    with pytest.raises(ConfigError, match="a condition over 'latency_ms_p99'"):
        LatencyRule(percentile=99.0)


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=200), st.floats(1.0, 100.0))
def test_percentile_is_the_nearest_rank(values: list[float], percent: float) -> None:
    """At least so many percent are not above it, and fewer are not above any smaller value."""
    found = percentile(values, percent)
    share = percent / 100.0 * len(values)

    assert sum(value <= found for value in values) >= share - 1e-9
    assert all(sum(value <= lower for value in values) < share for lower in values if lower < found)


def spikes(values: list[float]) -> list[int]:
    """Which samples, 10 s apart, begin or end a spike, by the words of the rule."""
    changes, on, latched = [], False, False
    begun: int | None = None
    over: int | None = None
    for n, value in enumerate(values):
        begun = (n if begun is None else begun) if value > 80.0 else None
        if not on:
            if begun is not None and 10 * (n - begun) >= 300:
                on, latched, over = True, True, None
                changes.append(n)
            continue
        if value > 80.0:
            latched, over = True, None
        elif value <= 70.0 or not latched:
            latched = False
            over = n if over is None else over
            if 10 * (n - over) >= 60:
                on = False
                changes.append(n)
    return changes


@given(st.lists(st.tuples(st.sampled_from([60.0, 75.0, 95.0]), st.integers(1, 40)), max_size=12))
def test_a_spike_is_what_its_rule_says(runs: list[tuple[float, int]]) -> None:
    """It begins and ends at the samples at which a plain reading of the rule says so."""
    values = [value for value, n in runs for _ in range(n)]
    fed = Fed(CpuSpikeRule())
    changes = [n for n, value in enumerate(values) if fed.see("cpu_percent", value, after=10.0)]

    assert changes == spikes(values)
    assert [finding.raised for finding in fed.found] == [n % 2 == 0 for n in range(len(fed.found))]

"""What the drill of detection makes of its runs: what counts as found, what as wrong, and when a gate is missed."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Sequence

import attrs
import pytest

from benchmarks.drill_detect.__main__ import main
from benchmarks.drill_detect.cases import Case, Settings, cases
from benchmarks.drill_detect.clock import FastClock, RealSampler
from benchmarks.drill_detect.figures import print_results
from benchmarks.drill_detect.outcome import Heard, Outcome, Spent
from benchmarks.drill_detect.part import Part
from selfheal.clock import SYSTEM_CLOCK
from selfheal.detection.rules import DEFAULT_RULES, CpuSpikeRule
from selfheal.events import Alert

KINDS = {case.key: case for case in cases(Settings())}


def outcome(key: str, *heard: tuple[str, str, float], short: float = 0.0) -> Outcome:
    """A run on worker-1 with alerts: kind, target, and after how long."""
    alerts = [
        Heard(alert=Alert(kind=kind, target=target), after=after, real=after / 10.0) for kind, target, after in heard
    ]
    return Outcome(case=KINDS[key], seed=7, target="worker-1", heard=alerts, short=short)


def printed(outcomes: Sequence[Outcome], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The status for some outcomes, and all that was printed."""
    kinds: list[Case] = [case for key, case in KINDS.items() if key in {one.case.key for one in outcomes}]
    return print_results(outcomes, kinds), capsys.readouterr().out


def test_only_the_right_alert_about_the_right_process_after_the_fault_is_a_find() -> None:
    """Another kind, another process, or an alert before the fault is wrong, and no find."""
    assert outcome("stop", ("process_unresponsive", "worker-1", 30.0)).good
    for wrong in (
        ("high_latency", "worker-1", 30.0),
        ("process_unresponsive", "worker-2", 30.0),
        ("process_unresponsive", "worker-1", -1.0),
    ):
        one = outcome("stop", wrong)
        assert (one.found, len(one.wrong), one.good) == (None, 1, False)
    assert not outcome("stop").good
    assert outcome("quiet-life").good
    assert not outcome("quiet-life", ("process_unresponsive", "worker-1", 30.0)).good


def test_nineteen_of_twenty_faults_are_enough_and_eighteen_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    """The gate is at 95 %, and what was not found is told with the seed that shows it again."""
    found, missed = outcome("stop", ("process_unresponsive", "worker-1", 30.0)), outcome("stop")
    status, text = printed([found] * 19 + [missed], capsys)
    assert status == 0
    assert "19 / 20" in text
    assert "not found within 150 s  (again: --only stop --runs 1 --seed 7)" in text
    assert printed([found] * 18 + [missed] * 2, capsys)[0] == 1


def test_one_fault_that_is_never_found_is_not_hidden_by_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind of fault has the gate for itself too."""
    found = outcome("stop", ("process_unresponsive", "worker-1", 30.0))
    status, text = printed([found] * 99 + [outcome("slow")], capsys)
    assert status == 1
    assert "MISSED" in text


@pytest.mark.parametrize("key", ["quiet-cpu", "burst"])
def test_one_alarm_without_a_fault_misses_a_gate(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing is wrong, one alert of a hundred runs is too many, and is told."""
    status, text = printed([outcome(key)] * 99 + [outcome(key, ("cpu_spike", "worker-1", 301.0))], capsys)
    assert status == 1
    assert "301 s after: cpu_spike of worker-1" in text


def test_a_wrong_alarm_beside_the_right_one_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A fault that was found, with an alarm about the process beside it, is no clean run."""
    one = outcome("slow", ("cpu_spike", "worker-2", 60.0), ("high_latency", "worker-1", 70.0))
    status, text = printed([one], capsys)
    assert status == 1
    assert "cpu_spike of worker-2" in text


def test_a_starved_hog_is_not_counted_but_not_taken_as_found_either(capsys: pytest.CaptureFixture[str]) -> None:
    """What the machine kept from being a fault is left out; if no run is left, a gate is missed."""
    starved, found = outcome("hog", short=120.0), outcome("hog", ("cpu_spike", "worker-1", 305.0))
    status, text = printed([starved, found], capsys)
    assert (status, "1 / 1" in text, "not counted" in text) == (0, True, True)
    status, text = printed([starved, outcome("stop", ("process_unresponsive", "worker-1", 30.0))], capsys)
    assert status == 1
    assert "hog: runs in which it was there" in text


def test_how_long_a_process_was_busy_is_the_longest_time_without_a_pause() -> None:
    """A share too low begins the time anew; where nothing is known the time goes on, and nothing is busy by it."""
    spent = Spent(0.8)
    for n in range(300):
        spent.take(0.8 if n == 100 else math.inf if n > 290 else 0.9, 3.0 * n)
    assert spent.longest == 3.0 * (290 - 101)


def test_a_hog_sees_the_gaps_in_what_it_gets() -> None:
    """The least share is over every so many seconds, gaps included, and begins anew when it was told."""
    part = Part()
    points: deque[tuple[float, float]] = deque([(0.0, 0.0)])
    told, now, used = [], 0.0, 0.0
    for step, run in [*[(0.02, 0.02)] * 100, (0.5, 0.0), *[(0.02, 0.02)] * 100]:
        now, used = now + step, used + run
        points.append((now, used))
        part.over = 0.3
        part.note(points)
        told.append(part.noted())
    assert told[:14] == [math.inf] * 14
    assert told[20:100] == pytest.approx([1.0] * 80)
    assert told[100] < 0.05
    assert told[-1] == pytest.approx(1.0)


def test_without_other_settings_the_rules_are_those_that_ship() -> None:
    """Only the metric of the CPU rule is another one: that of a process."""
    for mine, shipped in zip(Settings().rules, DEFAULT_RULES, strict=True):
        if isinstance(mine, CpuSpikeRule):
            assert isinstance(shipped, CpuSpikeRule)
            assert attrs.evolve(mine, condition=shipped.condition) == shipped
            as_shipped = str(shipped.condition).replace("cpu_percent", "process_cpu_percent")
            assert str(mine.condition) == as_shipped
        else:
            assert mine == shipped


def test_the_fast_clock_goes_no_further_than_a_stride_without_its_monitor() -> None:
    """Its seconds may be longer than asked for, never shorter, and it never goes back."""
    clock = FastClock(1000.0, 10.0)
    began, seen = SYSTEM_CLOCK.monotonic(), [clock.monotonic()]
    for _ in range(5):
        clock.stride()
        seen.append(clock.monotonic())
    real = SYSTEM_CLOCK.monotonic() - began
    clock.sleep(100.0)
    assert seen == sorted(seen)
    assert 50.0 <= clock.monotonic() - 1000.0 <= 60.0
    assert real >= 0.05
    assert clock.wall() - SYSTEM_CLOCK.wall() < 60.0


def test_cpu_is_measured_against_real_time_and_stamped_with_the_fast_clock() -> None:
    """A process that is measured twice, with a thousandth of the time between, does not use a thousandth of the CPU."""
    clock = FastClock(1000.0, 1000.0)
    sampler = RealSampler(clock)
    sampler.watch(os.getpid(), "me")
    sampler.sample()
    ends = SYSTEM_CLOCK.monotonic() + 0.2
    while SYSTEM_CLOCK.monotonic() < ends:
        pass
    found = {one.metric: one for one in sampler.sample()}["process_cpu_percent"]
    assert found.value > 1.0
    assert 100.0 <= found.at - 1000.0 <= 1000.0


def test_what_cannot_be_run_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """No runs, a seed that is no number, and an unknown kind end with a message and status 2."""
    for given in (["--runs", "0"], ["--seed", "x"], ["--only", "nonsense"]):
        with pytest.raises(SystemExit) as ended:
            main(given)
        assert ended.value.code == 2
        assert "error: argument" in capsys.readouterr().err

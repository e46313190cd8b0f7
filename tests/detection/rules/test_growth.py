"""Leaks of machines and processes, with the process named that grows."""

from __future__ import annotations

import math

from selfheal.detection.history import History
from selfheal.detection.rules import LeakRule
from selfheal.events import Severity
from tests.detection.rules.feeding import WALL, Fed, words

MIB = 2.0**20


def hours(fed: Fed, n: float, percent_an_hour: float, **mib_an_hour: float) -> None:
    begun = fed.now
    for _ in range(int(n * 12)):
        passed = (fed.now - begun) / 3600.0
        fed.see("memory_percent", 40.0 + percent_an_hour * passed, "host", after=300.0)
        for process, growth in mib_an_hour.items():
            fed.see("process_memory_bytes", MIB * (200.0 + growth * passed), process)


def test_the_growing_process_is_named() -> None:
    """The alert is for the process that grows the most, and says when memory is exhausted."""
    fed = Fed(LeakRule())
    hours(fed, 20.0, 1.0, steady=0.0, leaky=100.0, slow=2.0)
    whole = next(finding for finding in fed.found if finding.metric == "memory_percent")

    assert (whole.kind, whole.target, whole.severity) == ("memory_leak", "leaky", Severity.WARNING)
    assert whole.evidence["measured_on"] == "host"
    assert 38.0 < float(whole.evidence["exhausted_in_s"]) / 3600.0 < 43.0
    assert "leaky grows the most" in whole.message
    assert {finding.target for finding in fed.found if finding.metric == "process_memory_bytes"} >= {"leaky"}
    assert "steady" not in {finding.target for finding in fed.found}
    process = next(finding for finding in fed.found if finding.metric == "process_memory_bytes")
    assert "exhausted_in_s" not in process.evidence  # a process has no limit of its own, unless one is set


def test_without_processes_the_machine_is_named() -> None:
    """What leaks is then the whole; what will soon be exhausted is critical."""
    fed = Fed(LeakRule())
    hours(fed, 8.0, 5.0)
    assert words(fed.found) == ["+memory_leak host"]
    assert fed.found[0].severity is Severity.CRITICAL


def test_a_process_that_does_not_grow_is_not_named() -> None:
    """What leaks is the whole, as long as no watched process grows with it."""
    fed = Fed(LeakRule())
    hours(fed, 20.0, 1.0, steady=0.0, shrinking=-5.0)
    assert words(fed.found) == ["+memory_leak host"]
    assert fed.found[0].evidence["process"] == ""


def test_processes_of_an_earlier_life_are_not_those_of_now() -> None:
    """Their past is not learnt from the history: a new one under an old name begins anew."""
    history, fed = History(), Fed(LeakRule(process_limit=2.0**30))
    for n in range(-20 * 12, 0):
        history.add("process_memory_bytes", MIB * (600.0 + n), "worker", WALL + 300.0 * n)
    fed.rules.warm_start(history, fed.now)
    hours(fed, 2.0, 0.0, worker=12.0)
    assert fed.found == []


def test_steady_memory_is_no_leak() -> None:
    """Two days of level memory raise nothing."""
    fed = Fed(LeakRule())
    hours(fed, 48.0, 0.0, a=0.0)
    assert fed.found == []


def test_a_process_that_is_gone_leaks_no_more() -> None:
    """Its alert ends when nobody has measured it for two hours, or at once when it was ended on purpose."""
    fed = Fed(LeakRule())
    hours(fed, 20.0, 0.0, a=100.0, b=100.0)
    assert words(fed.found) == ["+memory_leak a", "+memory_leak b"]
    assert words(fed.rules.forget("a", fed.t, fed.now)) == ["-memory_leak a"]
    assert fed.wait(7100.0) == []
    assert words(fed.wait(200.0)) == ["-memory_leak b"]


def test_a_pause_of_hours_ends_an_alert_and_forgets_no_days() -> None:
    """A whole that was not measured for some hours has its alert ended; what was learnt of its days is still there."""
    fed = Fed(LeakRule())
    hours(fed, 24.0, 1.0)
    assert words(fed.found) == ["+memory_leak host"]
    assert words(fed.wait(7201.0)) == ["-memory_leak host"]
    assert fed.found[-1].message == "memory_percent of host is not measured any more"
    fed.wait(3600.0)
    for n in range(12):
        fed.see("memory_percent", 67.0 + n / 12.0, "host", after=300.0)
    assert words(fed.found) == ["+memory_leak host", "-memory_leak host", "+memory_leak host"]


def test_wholes_that_are_gone_make_room() -> None:
    """Five hundred are watched at once; those that nobody measured for a week are forgotten."""
    fed = Fed(LeakRule())
    for n in range(500):
        fed.see("memory_percent", 40.0, f"pod-{n}")
    hours(fed, 20.0, 1.0)
    assert fed.found == []
    fed.wait(7 * 86_400.0)
    hours(fed, 20.0, 1.0)
    assert words(fed.found) == ["+memory_leak host"]


def test_the_shape_of_the_day_is_learnt_from_the_history() -> None:
    """With three days of the past given, a leak is found within half a day, and the day itself is none."""

    def by_day(t: float) -> float:
        return 50.0 + 15.0 * math.sin(2.0 * math.pi * t / 86_400.0)

    history, quiet, leaking = History(), Fed(LeakRule()), Fed(LeakRule())
    for n in range(-3 * 288, 0):
        for above in (0.0, 20.0):  # the lowest of each step counts, as in what is measured
            history.add("memory_percent", by_day(WALL + 300.0 * n) + above, "host", WALL + 300.0 * n)
    for fed in (quiet, leaking):
        fed.rules.warm_start(history, fed.now)
    for n in range(12 * 12):
        quiet.see("memory_percent", by_day(quiet.t), "host", after=300.0)
        leaking.see("memory_percent", by_day(leaking.t) + 0.15 * n, "host", after=300.0)

    assert quiet.found == []
    assert words(leaking.found) == ["+memory_leak host"]

"""All rules together: whatever they are given, each problem begins once and ends once."""

from __future__ import annotations

import math

import hypothesis.strategies as st
from hypothesis import given

from selfheal.detection.rules import DEFAULT_RULES, CascadeRule, RuleWatch
from selfheal.detection.sampler import Sample
from selfheal.events import BreakerStateChanged, Event, TaskFailed
from tests.detection.rules.feeding import START, WALL

METRICS = (
    *("cpu_percent", "latency_ms", "task_ok", "heartbeat"),
    *("process_stopped", "process_zombie", "memory_percent", "process_memory_bytes", "x"),
)
VALUES = st.one_of(st.sampled_from([0.0, 1.0, 95.0, math.nan, math.inf, -math.inf]), st.floats(-1e300, 1e300))
TARGETS = st.sampled_from(["a", "b", "c", ""])
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(TaskFailed, task_id=TARGETS, error=st.just("x"), consecutive=st.integers(1, 9)),
    st.builds(
        BreakerStateChanged,
        breaker=TARGETS,
        old=st.just("CLOSED"),
        new=st.sampled_from(["OPEN", "HALF_OPEN", "CLOSED", "PERMANENT_OPEN"]),
        reason=st.just("x"),
    ),
)
STEPS = st.tuples(
    st.one_of(
        st.tuples(st.just("sample"), st.sampled_from(METRICS), VALUES, TARGETS),
        st.tuples(st.just("event"), EVENTS),
        st.tuples(st.just("tick")),
        st.tuples(st.just("forget"), TARGETS),
    ),
    st.sampled_from([-50.0, 0.0, 1.0, 10.0, 31.0, 400.0, 8000.0]),
    st.integers(1, 8),
)


@given(st.lists(STEPS, max_size=40))
def test_each_problem_begins_once_and_ends_once(steps: list[tuple[tuple[object, ...], float, int]]) -> None:
    """Missing values, infinite ones, gaps and a time that goes back raise nothing and break no order."""
    rules = RuleWatch([*DEFAULT_RULES, CascadeRule(dependencies={"a": ("b",), "b": ("c",)}, least=2)])
    now, open_now = START, set[tuple[str, str]]()
    for what, passed, times in steps:
        for _ in range(times):
            now += passed
            t = WALL + now - START
            found = []
            match what:
                case ("sample", str(metric), float(value), str(target)):
                    found = rules.observe(Sample(metric, value, target, t, now))
                case ("event", Event() as event):
                    found = rules.event(event, t, now)
                case ("forget", str(target)):
                    found = rules.forget(target, t, now)
                case _:
                    found = rules.tick(t, now)
            for finding in found:
                key = (finding.rule, finding.fingerprint)
                assert (key not in open_now) is finding.raised
                open_now ^= {key}
                assert finding.event().at == t
            assert {(finding.rule, finding.fingerprint) for finding in rules.open} == open_now


def test_the_same_is_found_of_the_same() -> None:
    """Two that are given the same find the same."""
    told = []
    for _ in range(2):
        rules = RuleWatch()
        told.append(
            [
                rules.observe(Sample("cpu_percent", 95.0 if n % 100 < 60 else 5.0, "a", WALL + 10 * n, START + 10 * n))
                for n in range(500)
            ]
        )
    assert told[0] == told[1]
    assert sum(len(found) for found in told[0]) == 10

"""Tasks that fail more often than they used to, and circuits that opened."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from selfheal.detection.rules import BreakerRule, TaskFailureRule, failures
from selfheal.detection.rules.failures import binomial_tail
from selfheal.detection.sampler import Sample
from selfheal.events import BreakerStateChanged, Severity, TaskFailed
from tests.detection.rules.feeding import Fed, words


def attempts(fed: Fed, n: int, failing: float, rng: random.Random, after: float = 10.0) -> None:
    for _ in range(n):
        fed.see("task_ok", float(rng.random() >= failing), "import", after=after)


@pytest.mark.parametrize("usual", [0.0, 0.02, 0.2])
def test_what_always_failed_that_often_is_no_pattern(usual: float) -> None:
    """Two thousand attempts that fail as often as ever raise no alarm, once that is known."""
    fed = Fed(TaskFailureRule(consecutive=30))
    rng = random.Random(5)
    for step in range(1, 11):
        attempts(fed, 50, usual * step / 10, rng)
    fed.found.clear()
    attempts(fed, 2000, usual, rng)

    assert words(fed.found) == []


def test_failing_more_often_than_before_is_a_pattern() -> None:
    """From 2 % to 40 %: found within the window, though never five fail in a row; and over when it is well again."""
    fed = Fed(TaskFailureRule(consecutive=100))
    rng = random.Random(6)
    attempts(fed, 500, 0.02, rng)
    assert fed.found == []
    attempts(fed, 60, 0.4, rng)
    assert words(fed.found) == ["+task_failure_pattern import"]
    assert "usual is" in fed.found[0].message
    attempts(fed, 200, 0.02, rng)
    assert words(fed.found) == ["+task_failure_pattern import", "-task_failure_pattern import"]


def test_what_goes_on_for_hours_becomes_what_is_usual() -> None:
    """Failures that last longer than six hours are learnt, so that the alarm does not last for ever."""
    fed = Fed(TaskFailureRule(consecutive=100))
    rng = random.Random(7)
    attempts(fed, 500, 0.02, rng)
    attempts(fed, 4 * 8640, 0.4, rng)

    assert words(fed.found)[:2] == ["+task_failure_pattern import", "-task_failure_pattern import"]
    assert fed.rules.open == ()


def test_five_in_a_row_are_a_pattern_at_once() -> None:
    """Consecutive failures need no twenty attempts; one success after them is no end, unless few failed."""
    fed = Fed(TaskFailureRule())
    assert fed.hold("task_ok", 0.0, 40.0, target="import") == []
    assert words(fed.see("task_ok", 0.0, "import")) == ["+task_failure_pattern import"]
    assert words(fed.see("task_ok", 1.0, "import")) == ["-task_failure_pattern import"]


def test_failures_of_registered_tasks_are_heard() -> None:
    """The event tells how many failed in a row; a window without another one ends it."""
    fed = Fed(TaskFailureRule())
    fed.hear(TaskFailed(task_id="sync", error="x", consecutive=4))
    assert fed.found == []
    fed.hear(TaskFailed(task_id="sync", error="x", consecutive=5))
    fed.hear(TaskFailed(task_id="sync", error="x", consecutive=6))
    assert words(fed.found) == ["+task_failure_pattern sync"]
    assert fed.wait(599.0) == []
    assert words(fed.wait(2.0)) == ["-task_failure_pattern sync"]


def hour_by_hour(fed: Fed, hours: int, failed: Callable[[int], object]) -> None:
    for hour in range(1, hours + 1):
        failed(hour)
        for _ in range(60):
            fed.wait(60.0)


@pytest.mark.parametrize("way", ["attempts", "events"])
def test_a_task_that_runs_each_hour_and_always_fails_is_one_alarm(way: str) -> None:
    """Failures in a row are counted however far apart they are, and the alarm lasts from one to the next."""
    fed = Fed(TaskFailureRule())

    def fail(hour: int) -> None:
        if way == "attempts":
            fed.see("task_ok", 0.0, "backup")
        else:
            fed.hear(TaskFailed(task_id="backup", error="x", consecutive=hour))

    hour_by_hour(fed, 4, fail)
    assert fed.found == []
    hour_by_hour(fed, 8, lambda hour: fail(hour + 4))
    assert words(fed.found) == ["+task_failure_pattern backup"]
    assert fed.wait(3590.0) == []
    assert words(fed.wait(20.0)) == ["-task_failure_pattern backup"]
    assert fed.found[-1].message == "task backup has not failed for 7210 s"


def test_a_success_ends_what_failed_hour_by_hour() -> None:
    """The first run that goes well does, and counting begins anew."""
    fed = Fed(TaskFailureRule())
    hour_by_hour(fed, 6, lambda hour: fed.see("task_ok", 0.0, "backup"))
    assert words(fed.see("task_ok", 1.0, "backup")) == ["-task_failure_pattern backup"]
    hour_by_hour(fed, 4, lambda hour: fed.see("task_ok", 0.0, "backup"))
    assert len(fed.found) == 2


def test_no_failure_is_waited_for_longer_than_a_week() -> None:
    """Of a task that runs once a month the alarm ends all the same."""
    fed = Fed(TaskFailureRule())
    for month in range(5):
        fed.hear(TaskFailed(task_id="report", error="x", consecutive=month + 1), after=30 * 86_400.0)
    assert words(fed.found) == ["+task_failure_pattern report"]
    assert fed.wait(7 * 86_400.0) == []
    assert words(fed.wait(1.0)) == ["-task_failure_pattern report"]


def test_a_clock_that_is_set_makes_nothing_usual() -> None:
    """How long a task has been failing is not read off the wall: ten hours ahead at once teach nothing."""
    fed = Fed(TaskFailureRule())
    fed.hold("task_ok", 1.0, 1800.0, target="import")
    fed.hold("task_ok", 0.0, 600.0, target="import")
    (known,) = fed.rules.to_dict(fed.now).values()
    for n in range(1, 61):
        at = fed.now + 10.0 * n
        fed.rules.observe(Sample("task_ok", 0.0, "import", fed.t + 36_000.0 + 10.0 * n, at))
    (now,) = fed.rules.to_dict(fed.now).values()

    assert len(fed.rules.open) == 1
    assert now["import"][:2] == known["import"][:2]


def test_a_thousand_failing_tasks_have_no_room_for_more() -> None:
    """Those beyond are not looked at; none that is open is dropped, and each ends."""
    fed = Fed(TaskFailureRule())
    for n in range(1100):
        fed.hear(TaskFailed(task_id=f"t{n}", error="x", consecutive=9))
    assert len(fed.rules.open) == 1000
    assert fed.see("task_ok", 0.0, "t1050") == []
    fed.wait(601.0)
    assert fed.rules.open == ()
    assert words(fed.hear(TaskFailed(task_id="t1050", error="x", consecutive=9))) == ["+task_failure_pattern t1050"]


def test_time_that_passes_costs_nothing_for_tasks_that_are_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only tasks that fail are judged by it."""
    fed, rng = Fed(TaskFailureRule()), random.Random(8)
    for n in range(300):
        fed.see("task_ok", float(rng.random() > 0.02), f"t{n % 10}", after=1.0)
    asked: list[tuple[int, int, float]] = []

    def counted(k: int, n: int, p: float) -> float:
        asked.append((k, n, p))
        return 1.0

    monkeypatch.setattr(failures, "binomial_tail", counted)
    fed.wait(10.0)
    assert asked == []


def test_the_latest_five_hundred_attempts_are_judged() -> None:
    """Of a task that is tried more often the older ones are its past, though they are in the window."""
    fed = Fed(TaskFailureRule(consecutive=100))
    fed.hold("task_ok", 1.0, 400.0, 0.5, "import")
    fed.hold("task_ok", 0.0, 40.0, 0.5, "import")
    assert words(fed.found) == ["+task_failure_pattern import"]
    assert fed.found[0].evidence["attempts"] == "500"


def test_what_was_usual_fades_in_weeks() -> None:
    """An attempt of seven days ago weighs a third of one of now."""
    fed = Fed(TaskFailureRule())
    fed.hold("task_ok", 1.0, 3000.0, 10.0, "import")
    fed.wait(700.0)
    fed.see("task_ok", 1.0, "import")
    fed.see("task_ok", 1.0, "import", after=7 * 86_400.0)
    fed.see("task_ok", 1.0, "import", after=700.0)
    (known,) = fed.rules.to_dict(fed.now).values()

    assert known["import"][0] == pytest.approx(301 * math.exp(-1.0) + 1.0, rel=0.01)


def test_what_is_usual_is_kept_over_a_restart() -> None:
    """Rates of tasks come back, older by the time in between; a task that has no past yet is not in it."""
    before, after, anew = (Fed(TaskFailureRule(consecutive=100)) for _ in range(3))
    rng = random.Random(9)
    for step in range(1, 21):
        attempts(before, 50, 0.01 * step, rng)
    before.wait(700.0)
    before.see("task_ok", 1.0, "import")
    before.see("task_ok", 1.0, "other")
    kept = before.rules.to_dict(before.now)
    assert list(kept["task_failure_pattern"]) == ["import"]

    after.rules.load(kept, after.now, ago=60.0)
    for fed in (after, anew):
        attempts(fed, 60, 0.3, random.Random(10))
    assert (words(after.found), words(anew.found)) == ([], ["+task_failure_pattern import"])
    week = Fed(TaskFailureRule())
    week.rules.load(kept, week.now, ago=7 * 86_400.0)
    week.see("task_ok", 1.0, "import")
    week.see("task_ok", 1.0, "import", after=700.0)
    (now,) = week.rules.to_dict(week.now).values()
    assert now["import"][0] == pytest.approx(kept["task_failure_pattern"]["import"][0] * math.exp(-1.0) + 1.0, rel=0.01)


@pytest.mark.parametrize(
    "past",
    [
        [1.0, 2.0, 0.0],
        [5.0, -1.0, 0.0],
        [5.0, 1.0, -1.0],
        [math.inf, 1.0, 0.0],
        [1.0],
        None,
        ["x", 0.0, 0.0],
        [10**400, 0.0, 0.0],
        5,
    ],
)
def test_a_past_that_cannot_be_is_refused(past: Any) -> None:
    """Nothing of it is taken over."""
    fed = Fed(TaskFailureRule())
    with pytest.raises(ValueError, match="x|rule task_failure_pattern"):
        fed.rules.load({"task_failure_pattern": {"good": [5.0, 1.0, 0.0], "x": past}}, fed.now, 0.0)
    assert fed.rules.to_dict(fed.now) == {"task_failure_pattern": {}}


def test_of_a_past_of_too_many_tasks_the_latest_are_taken() -> None:
    """A thousand are known at once."""
    fed = Fed(TaskFailureRule())
    fed.rules.load({"task_failure_pattern": {f"t{n}": [5.0, 1.0, 0.0] for n in range(1100)}}, fed.now, 0.0)
    kept = list(fed.rules.to_dict(fed.now)["task_failure_pattern"])
    assert (kept[0], len(kept)) == ("t100", 1000)


def test_missing_outcomes_are_none() -> None:
    """``nan`` is no attempt."""
    fed = Fed(TaskFailureRule())
    fed.hold("task_ok", math.nan, 600.0)
    assert fed.found == []


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0.001, 0.999))
def test_the_tail_is_the_sum_of_the_distribution(k: int, n: int, p: float) -> None:
    """It is what adding up the probabilities by their definition gives."""
    plain = sum(math.comb(n, i) * p**i * (1.0 - p) ** (n - i) for i in range(k, n + 1))

    assert binomial_tail(k, n, p) == pytest.approx(min(plain, 1.0), rel=1e-6, abs=1e-150)


def moved(new: str, name: str = "db") -> BreakerStateChanged:
    return BreakerStateChanged(breaker=name, old="CLOSED", new=new, reason="3 failures")


def test_a_circuit_that_opens_and_closes() -> None:
    """Probing in between is no end; the same circuit opened again is the same alert."""
    fed = Fed(BreakerRule())
    for state in ("OPEN", "HALF_OPEN", "OPEN", "CLOSED"):
        fed.hear(moved(state))
    assert words(fed.found) == ["+breaker_opened db", "-breaker_opened db"]
    assert fed.found[0].message == "circuit db is OPEN: 3 failures"


def test_a_circuit_that_stays_open_is_critical() -> None:
    """Open for good is told anew, as critical."""
    fed = Fed(BreakerRule())
    fed.hear(moved("OPEN"))
    fed.hear(moved("PERMANENT_OPEN"))
    assert [(finding.raised, finding.severity) for finding in fed.found] == [
        (True, Severity.WARNING),
        (False, Severity.WARNING),
        (True, Severity.CRITICAL),
    ]


def test_a_circuit_opened_by_a_person_is_open_too() -> None:
    """Forced open it is the matter; switched off it is not."""
    fed = Fed(BreakerRule())
    fed.hear(moved("FORCED_OPEN"))
    fed.hear(moved("DISABLED"))
    assert words(fed.found) == ["+breaker_opened db", "-breaker_opened db"]


def test_a_circuit_that_opens_a_thousand_times() -> None:
    """Each time is one alert; while it stays open for good, it is told once."""
    fed = Fed(BreakerRule())
    for _ in range(1000):
        for state in ("OPEN", "HALF_OPEN", "OPEN", "HALF_OPEN", "CLOSED"):
            fed.hear(moved(state), after=1.0)
    assert len(fed.found) == 2000
    for state in ("PERMANENT_OPEN", "PERMANENT_OPEN", "OPEN"):
        fed.hear(moved(state))
    assert words(fed.found[2000:]) == ["+breaker_opened db"]
    assert len(fed.rules.open) == 1


def test_only_the_circuits_that_are_named() -> None:
    """Others are left alone."""
    fed = Fed(BreakerRule(breakers=("db",)))
    fed.hear(moved("OPEN", "cache"))
    assert fed.found == []
    assert fed.rules.forget("cache", fed.t, fed.now) == []

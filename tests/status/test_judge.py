"""What the facts mean."""

from __future__ import annotations

from typing import Any

import pytest

from selfheal.policies.flags import Flag
from selfheal.status.calls import Calls
from selfheal.status.judge import (
    Finding,
    Level,
    judge_breakers,
    judge_dormancy,
    judge_flags,
    judge_healer,
    judge_tasks,
    overall,
    worst_first,
)
from tests.status.records import a_breaker, a_healer, a_registry, a_task


def _finding(level: Level, issue: str = "x") -> Finding:
    return Finding(level=level, issue=issue)


def test_nothing_found_is_healthy() -> None:
    """No finding means healthy, and so does a remark alone."""
    assert overall([]) is Level.HEALTHY
    assert overall([_finding(Level.HEALTHY)]) is Level.HEALTHY


def test_the_worst_finding_decides() -> None:
    """One critical finding among others makes the whole critical, and stands first."""
    found = [_finding(Level.HEALTHY, "a"), _finding(Level.WARNING, "b"), _finding(Level.CRITICAL, "c")]

    assert overall(found) is Level.CRITICAL
    assert overall(found[:2]) is Level.WARNING
    assert [one.issue for one in worst_first(found)] == ["c", "b", "a"]


def test_dormant_is_critical_and_names_both_calls() -> None:
    """The issue begins with CRITICAL and gives the reason, the recommendation the call in Python and over HTTP."""
    (found,) = judge_dormancy(True, "10 healings failed in a row")

    assert found.level is Level.CRITICAL
    assert found.issue.startswith("CRITICAL: self-healing is dormant: 10 healings failed in a row")
    assert 'healer.dormancy.resume("what you fixed", by="your name")' in found.recommendation
    assert 'POST /api/system/heal/resume {"reason": "what you fixed"' in found.recommendation


def test_awake_is_nothing_to_tell() -> None:
    """While it is not dormant there is no finding, even if an old reason is handed over."""
    assert judge_dormancy(False, "old") == []


@pytest.mark.parametrize(("failures", "levels"), [(0, []), (4, []), (5, [Level.WARNING]), (9, [Level.WARNING])])
def test_five_failures_in_a_row_are_a_warning(failures: int, levels: list[Level]) -> None:
    """The fifth consecutive failure warns, the fourth does not."""
    found = judge_healer(a_healer(consecutive_failures=failures, retry_in=80.0))

    assert [one.level for one in found] == levels
    assert all(f"{failures} healings failed in a row" in one.issue and "1 min 20 s" in one.issue for one in found)


def test_failures_in_a_row_are_not_told_beside_a_dormancy() -> None:
    """While dormant nothing may begin, so nothing is said of when the next healing does."""
    assert judge_healer(a_healer(consecutive_failures=10, retry_in=600.0, is_dormant=True)) == []


def test_switched_off_healing_is_a_remark_with_the_switch() -> None:
    """Healing that a person switched off is told, with how to switch it on, and does not worsen the status."""
    (found,) = judge_healer(a_healer(enabled=False))

    assert found.level is Level.HEALTHY
    assert "FEATURE_AUTO_HEALING_ENABLED=true" in found.recommendation


def test_probation_is_a_remark_unless_dormant() -> None:
    """Probation after a resume is told, but not beside a dormancy."""
    assert [one.level for one in judge_healer(a_healer(probation=True))] == [Level.HEALTHY]
    assert judge_healer(a_healer(probation=True, is_dormant=True)) == []


def test_settling_is_a_remark_unless_dormant() -> None:
    """After a clock jump it is said until when healing waits; a dormant healer waits for a person anyway."""
    (found,) = judge_healer(a_healer(settling=12.0))
    assert found.level is Level.HEALTHY
    assert found.issue == "The clock jumped: things settle, and the next healing may begin in 12 s."
    assert judge_healer(a_healer(settling=12.0, is_dormant=True)) == []


@pytest.mark.parametrize(
    ("state", "level"),
    [
        ("CLOSED", None),
        ("OPEN", Level.WARNING),
        ("HALF_OPEN", Level.WARNING),
        ("FORCED_OPEN", Level.WARNING),
        ("PERMANENT_OPEN", Level.CRITICAL),
        ("DISABLED", Level.HEALTHY),
        ("METRICS_ONLY", Level.HEALTHY),
    ],
)
def test_each_breaker_state_is_judged(state: str, level: Level | None) -> None:
    """Every state of a breaker has its level, and the issue names the breaker and the state."""
    found = judge_breakers([a_breaker("db", state)])

    assert [one.level for one in found] == ([] if level is None else [level])
    assert all("'db'" in one.issue and state in one.issue for one in found)


def test_permanently_open_names_the_forced_reset() -> None:
    """The recommendation for a permanently open breaker can be copied, its odd name encoded."""
    (found,) = judge_breakers([a_breaker("open ai/gpt", "PERMANENT_OPEN", permanent_open_reason="unauthorized")])

    assert found.issue.startswith("CRITICAL: circuit breaker 'open ai/gpt' is PERMANENT_OPEN: unauthorized")
    assert "breakers.get('open ai/gpt').reset(force=True, reason=" in found.recommendation
    assert "POST /api/breakers/open%20ai%2Fgpt/reset" in found.recommendation
    assert '"force": true' in found.recommendation


def test_open_tells_when_it_tries_again() -> None:
    """An open breaker says how long it still refuses, and its reset needs no force."""
    (found,) = judge_breakers([a_breaker("db", "OPEN", failure_count=3, retry_after=12.4)])

    assert "3 failures in a row; it tries again in 12 s" in found.issue
    assert "force" not in found.recommendation


def test_a_known_address_is_part_of_the_calls() -> None:
    """With the API's address the calls can be copied whole."""
    (dormant,) = judge_dormancy(True, "x", Calls(base_url="http://localhost:3001/ops/"))
    (opened,) = judge_breakers([a_breaker("db", "OPEN")], Calls(base_url="http://localhost:3001/ops/"))

    assert "POST http://localhost:3001/ops/api/system/heal/resume" in dormant.recommendation
    assert "POST http://localhost:3001/ops/api/breakers/db/reset" in opened.recommendation


@pytest.mark.parametrize(
    ("tasks", "level", "word"),
    [(5, None, ""), (6, Level.HEALTHY, "Caution"), (10, Level.HEALTHY, "Caution"), (11, Level.WARNING, "Overload")],
)
def test_the_number_of_tasks_is_judged(tasks: int, level: Level | None, word: str) -> None:
    """Up to five tasks are normal, six to ten a caution, more an overload."""
    found = judge_tasks(a_registry(*(a_task(f"t{number}") for number in range(tasks))))

    assert [one.level for one in found] == ([] if level is None else [level])
    assert all(one.issue.startswith(word) and str(tasks) in one.issue and one.recommendation for one in found)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"consecutive_failures": 2, "failure_count": 2, "execution_count": 9, "last_error": "OSError: disk"},
            "2 of 9 runs",
        ),
        ({"phase": "stuck", "overdue": 1}, "stuck"),
    ],
)
def test_a_task_in_trouble_is_a_warning_that_names_it(changes: dict[str, Any], words: str) -> None:
    """A failing and a stuck task are told with what to call to stop them."""
    (found,) = judge_tasks(a_registry(a_task("detect", **changes)))

    assert found.level is Level.WARNING
    assert "'detect'" in found.issue
    assert words in found.issue
    assert "tasks.pause('detect') or POST /api/tasks/detect/pause" in found.recommendation


@pytest.mark.parametrize(
    "changes",
    [
        {"last_error": "OSError: disk", "failure_count": 1, "execution_count": 5},
        {"consecutive_failures": 3, "failure_count": 3, "last_error": "x", "enabled": False},
    ],
)
def test_a_task_that_recovered_or_was_paused_is_no_issue(changes: dict[str, Any]) -> None:
    """An error of the past, or of a task that a person paused, needs nobody now."""
    assert judge_tasks(a_registry(a_task(**changes))) == []


def test_exhausted_workers_are_a_warning() -> None:
    """A registry that starts no more runs says so."""
    (found,) = judge_tasks(a_registry(state="exhausted", abandoned=4))

    assert found.level is Level.WARNING
    assert "4 runs are stuck" in found.issue


def test_the_healers_own_breaker_is_reached_by_the_healer() -> None:
    """A breaker that stands in no registry is reset through the healer in Python, and by its name over HTTP."""
    (found,) = judge_breakers([a_breaker("healer", "OPEN")], Calls(healers_breaker="healer"))

    assert "healer.breaker.reset(reason=" in found.recommendation
    assert "POST /api/breakers/healer/reset" in found.recommendation


@pytest.mark.parametrize(("state", "call"), [("stopped", "restart the service"), ("forked", "tasks.start()")])
def test_a_registry_at_rest_is_a_warning(state: str, call: str) -> None:
    """A registry that was shut down or forked runs nothing, and the way out is named."""
    (found,) = judge_tasks(a_registry(state=state))

    assert found.level is Level.WARNING
    assert call in found.recommendation


def test_an_unreadable_flag_is_a_warning_that_says_where() -> None:
    """A flag that counts as off because nobody can read it is told with its place."""
    bad = Flag(
        name="FEATURE_X", value=False, origin=".env.local", raw="ture", problem="'ture' is neither true nor false"
    )
    good = Flag(name="FEATURE_Y", value=False, origin="environment", raw="off")

    (found,) = judge_flags([bad, good])

    assert found.level is Level.WARNING
    assert "FEATURE_X" in found.issue
    assert "'ture'" in found.issue
    assert "in .env.local" in found.recommendation

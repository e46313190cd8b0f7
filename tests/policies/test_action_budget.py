"""The budget of all automatic actions: never more an hour, whatever happens."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.configuring import structure
from selfheal.errors import ConfigError, InvalidConfigError
from selfheal.policies.action_budget import ActionBudget, ActionBudgetConfig

T0 = 1_700_000_000.0


def test_the_last_one_is_had_and_the_next_refused() -> None:
    """Exactly ``per_hour`` actions may begin; the next one when the first is an hour old."""
    budget = ActionBudget(per_hour=3)
    assert [budget.spend(T0 + n) for n in range(5)] == [True, True, True, False, False]
    refusal = budget.check(T0 + 10)
    told = budget.snapshot(T0 + 10)

    assert (told.spent, told.remaining, told.retry_in, told.refused) == (3, 0, 3590.0, 2)
    assert refusal is not None
    assert (refusal.kind, refusal.retry_in) == ("budget", 3590.0)
    assert budget.remaining(T0 + 3599) == 0
    assert budget.remaining(T0 + 3600) == 1
    told = budget.snapshot(T0 + 3600)
    assert (told.spent, told.remaining, told.retry_in, told.refused) == (2, 1, 0.0, 2)


def test_several_are_had_together_or_not_at_all() -> None:
    """A spend of more than is left spends nothing, and tells when there are that many."""
    budget = ActionBudget(per_hour=5)
    assert budget.spend(T0, 2)
    assert budget.spend(T0 + 60, 2)
    assert not budget.spend(T0 + 100, 2)
    refusal = budget.check(T0 + 100, 3)

    assert budget.remaining(T0 + 100) == 1
    assert refusal is not None
    assert refusal.retry_in == 3500.0


def test_more_than_there_ever_are_has_no_wait() -> None:
    """Asking for more than an hour's budget is refused without a time."""
    budget = ActionBudget(per_hour=5)
    refusal = budget.check(T0, 6)
    assert budget.spend(T0)
    whole = budget.check(T0, 5)
    assert whole is not None
    assert whole.retry_in == 3600.0

    assert refusal is not None
    assert refusal.retry_in is None


@pytest.mark.parametrize("n", [-1, 1.0, True, "1"])
def test_what_is_no_number_of_actions_is_refused(n: int) -> None:
    """Only whole numbers of 0 or more are spent."""
    budget = ActionBudget()
    with pytest.raises(ConfigError, match="an integer of 0 or more"):
        budget.spend(T0, n)
    assert budget.remaining(T0) == 60


def test_a_wall_clock_set_back_or_forward_gives_nothing_back() -> None:
    """Within a process only time that passed counts."""
    budget = ActionBudget(per_hour=1)
    assert budget.spend(T0, now=1000.0)

    assert not budget.spend(T0 + 7200, now=1010.0)
    assert not budget.spend(T0 - 7200, now=1020.0)
    assert budget.remaining(T0, now=4599.0) == 0
    assert budget.remaining(T0, now=4600.0) == 1


def test_what_was_spent_before_a_restart_is_spent() -> None:
    """Old spends count from their time, those in the future from now, those older than an hour not."""
    budget = ActionBudget(per_hour=3)
    budget.restore([T0 + 9999, T0 - 3600, T0 - 600], T0)

    assert budget.remaining(T0) == 1
    assert budget.remaining(T0 + 3000) == 2
    assert budget.remaining(T0 + 3600) == 3


def test_more_spent_before_than_there_is_leaves_nothing() -> None:
    """With a budget made smaller over a restart, nothing is left until enough of the old ones are an hour old."""
    budget = ActionBudget(per_hour=2)
    budget.restore([T0 - 3000, T0 - 2000, T0 - 1000], T0)

    assert budget.remaining(T0 + 600) == 0
    assert budget.remaining(T0 + 1599) == 0
    assert budget.remaining(T0 + 1600) == 1


def test_the_budget_comes_from_a_file_too() -> None:
    """Plain data makes the same budget; a wrong one is told with its path."""
    assert ActionBudget(structure({"per_hour": 7}, ActionBudgetConfig)).remaining(T0) == 7
    with pytest.raises(InvalidConfigError, match=r"budget\.per_hour must be an integer between 1 and 100000"):
        structure({"per_hour": 0}, ActionBudgetConfig, "budget")


STEP = st.tuples(st.floats(0.0, 1500.0), st.integers(0, 3), st.sampled_from(["", "back", "forward", "restart"]))


@settings(max_examples=200, deadline=None)
@given(steps=st.lists(STEP, max_size=60), most=st.integers(1, 5))
def test_no_hour_ever_has_more(steps: list[tuple[float, int, str]], most: int) -> None:
    """Over clock steps and restarts, no 3600 s of real time hold more than the budget."""
    budget = ActionBudget(per_hour=most)
    real, ahead = 1000.0, T0
    spent: list[float] = []
    for passed, n, happens in steps:
        real += passed
        if happens == "restart":
            budget, ahead = ActionBudget(per_hour=most), T0
            budget.restore([moment + T0 for moment in spent], real + T0, now=real)
        ahead += {"back": -4000.0, "forward": 4000.0}.get(happens, 0.0)
        before = budget.remaining(real + ahead, now=real)
        if budget.spend(real + ahead, n, now=real):
            spent += [real] * n
            assert budget.remaining(real + ahead, now=real) == before - n
        else:
            assert n > before
        assert sum(moment > real - 3600 + 1e-3 for moment in spent) <= most


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 3)), max_size=60), most=st.integers(1, 5))
def test_in_calm_times_it_is_exact(steps: list[tuple[int, int]], most: int) -> None:
    """With a clock that only goes, what is left is the budget less what a list of all moments holds."""
    budget = ActionBudget(per_hour=most)
    spent: list[float] = []
    wall = T0
    for passed, n in steps:
        wall += passed
        left = most - sum(moment > wall - 3600 for moment in spent)
        assert budget.remaining(wall) == left
        had = budget.spend(wall, n)
        assert had == (n <= left)
        spent += [wall] * n if had else []

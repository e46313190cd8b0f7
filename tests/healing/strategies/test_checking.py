"""What actions, levers and protected targets of a host say to strategies."""

from __future__ import annotations

from typing import Any

import pytest

from selfheal.errors import InvalidConfigError
from selfheal.healing.actions import ActionRegistry, Effect, LeverNeed
from selfheal.healing.strategies import LevelSpec, StepSpec, StrategySet, StrategySpec
from selfheal.levers import Caching, Levers
from selfheal.policies.protection import Protection
from tests.healing.strategies.making import ACTIONS, all_levers, file_of, made, strategy, told


def test_an_unknown_action_is_told_with_the_nearest() -> None:
    """A slip in a name is told where it stands, bare or as ``do``, with the one that was meant."""
    data = file_of(strategy(actions=["snapsot", {"do": "restart_servce"}]))

    bare, full = told(data, actions=ACTIONS)

    assert bare.startswith("strategies[0].actions[0] must be the name of an action: one of '")
    assert bare.endswith("; the nearest is 'snapshot', got 'snapsot'.")
    assert full.startswith("strategies[0].actions[1].do must be the name of an action: ")
    assert full.endswith("; the nearest is 'restart_service', got 'restart_servce'.")
    assert len(StrategySet.from_data(data)) == 1


def test_parameters_are_those_of_the_action() -> None:
    """Parameters of another kind, out of bounds or unknown are told with their path, in levels too."""
    steps = [{"do": "log", "params": {"message": 3}}, {"do": "rate_limit", "params": {"factor": 2, "fctor": 1}}]
    data = file_of({"name": "a", "alerts": ["x"], "levels": [{"actions": steps}]})

    assert told(data, actions=ACTIONS) == [
        "strategies[0].levels[0].actions[0].params.message must be text, got 3.",
        "strategies[0].levels[0].actions[1].params.factor must be between 0.001 and 1.0, got 2.0. The default is 0.5.",
        "strategies[0].levels[0].actions[1].params.fctor must be a known key (factor, minimum, rate; did you mean "
        "'factor'?), got 'fctor'.",
    ]


def test_a_missing_lever_is_told_with_strategy_action_and_protocol() -> None:
    """A lever that is not there, is called otherwise, or is something else is a problem of the strategy."""
    levers = Levers(cache=object(), services=all_levers()["services"], notifer=all_levers()["notifier"])
    data = file_of(
        strategy(
            name="memory",
            actions=["clear_cache", "restart_service", "notify", {"do": "log", "levers": {"cache": "cache"}}],
        )
    )

    assert told(data, actions=ACTIONS, levers=levers) == [
        "strategies[0].actions[0].levers.cache must be the name of a lever that is a Caching, which clear_cache of "
        "strategy 'memory' pulls; this one is of type object, got 'cache'.",
        "strategies[0].actions[2].levers.notifier must be the name of a lever that the host has, a Notifying, which "
        "notify of strategy 'memory' pulls (one of 'cache', 'notifer', 'services'; the nearest is 'notifer'), "
        "got 'notifier'.",
        "strategies[0].actions[3].levers.cache must be left out: it pulls none, got 'cache'.",
    ]


def test_a_step_names_another_lever() -> None:
    """Where a host has two caches, a step says which one; a role that the action has not is told."""
    cache = all_levers()["cache"]
    step: dict[str, Any] = {"do": "clear_cache", "levers": {"cache": "rows"}}
    data = file_of(strategy(actions=[step]))

    assert len(StrategySet.from_data(data, actions=ACTIONS, levers={"rows": cache})) == 1
    step["levers"] = {"cash": "rows"}
    assert told(data, actions=ACTIONS, levers={"rows": cache, "cache": cache}) == [
        "strategies[0].actions[0].levers.cash must be a lever that clear_cache pulls: one of 'cache'; the nearest is "
        "'cache', got 'cash'."
    ]


def test_without_any_lever_it_is_said_so() -> None:
    """A host without levers is not shown an empty list."""
    (said,) = told(file_of(strategy(actions=["clear_cache"])), actions=ACTIONS, levers={})

    assert "pulls (there is none), got 'cache'." in said


def test_a_lever_whose_properties_raise_is_none() -> None:
    """Looking at what a lever can do runs the host's properties: one that fails is a problem, not a crash."""

    class Broken:
        @property
        def rate(self) -> float:
            raise RuntimeError("not connected")

    data = file_of(strategy(actions=["rate_limit"]))

    (said,) = told(data, actions=ACTIONS, levers={"rate_limiter": Broken()})
    assert "this one is of type Broken" in said


def test_what_cannot_be_undone_comes_last() -> None:
    """A reversible action after an irreversible one of the same level is refused, unless nothing is rolled back."""
    actions = ["clear_cache", "notify", "rate_limit"]

    assert told(file_of(strategy(actions=actions)), actions=ACTIONS) == [
        "strategies[0].actions[2] must be before clear_cache, which cannot be undone, or in a later level; or the "
        "strategy without rollback, got 'rate_limit'."
    ]
    two = [{"actions": ["clear_cache"]}, {"level": "hard", "actions": ["rate_limit"]}]
    later = {"name": "c", "alerts": ["x"], "levels": two}
    good = file_of(
        strategy(actions=actions, rollback=False), strategy(name="b", actions=["rate_limit", "clear_cache"]), later
    )
    assert len(StrategySet.from_data(good, actions=ACTIONS)) == 3


def test_only_what_can_be_undone_is_undone_later() -> None:
    """``undo_after`` on an action that nothing undoes is refused, saying what it is."""
    irreversible = {"do": "clear_cache", "undo_after": 0}
    steps = [{"do": "rate_limit", "undo_after": 600}, {"do": "notify", "undo_after": 1}, irreversible]

    assert told(file_of(strategy(actions=steps)), actions=ACTIONS) == [
        "strategies[0].actions[1].undo_after must be left out: notify is neutral, so there is nothing to undo, got "
        "1.0.",
        "strategies[0].actions[2].undo_after must be left out: clear_cache is irreversible, so there is nothing to "
        "undo, got 0.0.",
    ]


def test_fixed_targets_that_are_protected_are_refused_at_load() -> None:
    """A target that a step or a strategy names exactly is looked up at once; patterns wait for the alert."""
    protection = Protection(denied=["db-*"], allowed=["web-*"])
    data = file_of(
        strategy(actions=[{"do": "restart_service", "target": "db-1"}, {"do": "restart_service", "target": "app"}]),
        strategy(name="b", targets=["db-2", "web-1", "*"], actions=["restart_service"]),
        strategy(name="c", targets=["web-1", "app-*"], actions=["restart_service", "log"]),
        strategy(name="d", actions=[{"do": "log", "target": "app"}]),
    )

    assert told(data, actions=ACTIONS, protection=protection) == [
        "strategies[0].actions[0].target must be one that may be touched: 'db-1' is protected: 'db-*' is denied, "
        "got 'db-1'.",
        "strategies[0].actions[1].target must be one that may be touched: 'app' is not allowed for destructive "
        "actions; allowed are 'web-*', got 'app'.",
        "strategies[1].targets[0] must be one that restart_service may touch: 'db-2' is protected: 'db-*' is denied, "
        "got 'db-2'.",
    ]


def test_a_strategy_that_is_refused_has_its_actions_checked_all_the_same() -> None:
    """A slip in one setting does not hide one in an action until the next attempt."""
    data = file_of(strategy(priority="x", actions=["lgo", {"do": "log", "params": {"a": 1}}, {"do": 3}]))

    assert [problem.partition(" must")[0] for problem in told(data, actions=ACTIONS)] == [
        "strategies[0].priority",
        "strategies[0].actions[2].do",
        "strategies[0].actions[0]",
        "strategies[0].actions[1].params.a",
    ]


def test_what_is_missing_across_settings_is_told_with_the_rest() -> None:
    """A strategy that answers nothing, or has nothing to be judged by, is told so beside its other problems."""
    data = file_of({"name": 3, "actions": ["log"], "verify": {"by": "condition"}})

    assert [problem.partition(" must")[0] for problem in told(data)] == [
        "strategies[0].name",
        "strategies[0].trigger",
        "strategies[0].verify.by",
    ]


def test_an_action_that_is_not_complete_is_a_problem() -> None:
    """An action declared reversible and never given what undoes it is told at the step that names it."""
    actions = ActionRegistry()

    @actions.action("half", effect=Effect.REVERSIBLE)
    def half(call: Any) -> None:
        """Never given a rollback."""

    (said,) = told(file_of(strategy(actions=["half"])), actions=actions)

    assert said.startswith("strategies[0].actions[0] must be an action that is complete: ")


def test_an_optional_lever_may_be_missing_but_not_be_named_in_vain() -> None:
    """An action does without an optional lever; a step that names one which is not there is wrong all the same."""
    actions = ActionRegistry()
    cache = LeverNeed(role="cache", protocol=Caching, optional=True)

    @actions.action("tidy", needs=[cache])
    def tidy(call: Any) -> None:
        """Nothing."""

    assert len(StrategySet.from_data(file_of(strategy(actions=["tidy"])), actions=actions, levers={})) == 1
    named = file_of(strategy(actions=[{"do": "tidy", "levers": {"cache": "rows"}}]))
    (said,) = told(named, actions=actions, levers={})
    assert said.endswith("got 'rows'.")


def test_an_action_of_the_host_is_known() -> None:
    """What a host registered is checked like what ships."""
    actions = ACTIONS.copy()

    @actions.action("flush_mail")
    def flush_mail(call: Any) -> None:
        """Nothing."""

    assert len(StrategySet.from_data(file_of(strategy(actions=["flush_mail"])), actions=actions)) == 1
    assert len(told(file_of(strategy(actions=["flush_mail"])), actions=ACTIONS)) == 1


def test_a_set_made_in_python_is_checked_with_paths_too() -> None:
    """Strategies that no file has are told by their number; ``checked`` raises what ``check`` tells."""
    spec = StrategySpec(name="p", alerts=["x"], levels=[LevelSpec(actions=[StepSpec(do="lgo")])])
    found = StrategySet([spec], source="python")

    (problem,) = found.check(ACTIONS)
    assert (problem.where, problem.found) == ("strategies[0].levels[0].actions[0].do", "lgo")
    with pytest.raises(InvalidConfigError, match=r"python: strategies\[0\]\.levels\[0\]"):
        found.checked(ACTIONS)


def test_nothing_is_checked_that_is_not_given() -> None:
    """Without actions, levers and protection any name is taken; a set that is right gives itself back."""
    found = made(strategy(actions=["whatever"]))

    assert found.check() == ()
    assert found.checked() is found
    assert made(strategy()).check(ACTIONS, {}, Protection()) == ()


def test_an_action_that_asks_cannot_be_let_off() -> None:
    """A level that says that nobody need approve it is refused if one of its actions always asks."""
    level = {"approval": False, "actions": ["notify", "restore"]}

    assert told(file_of({"name": "a", "alerts": ["x"], "levels": [level]}), actions=ACTIONS) == [
        "strategies[0].levels[0].approval must be left out or true: restore always waits for a person, got False."
    ]

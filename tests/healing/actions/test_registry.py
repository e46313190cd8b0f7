"""The registry: what is taken in, what is refused and how it is told, decorators, entry points."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from selfheal.errors import ConfigError, LeverUnsupportedError, NotFoundError
from selfheal.healing.actions import (
    Action,
    ActionCall,
    ActionRegistry,
    BaseAction,
    Effect,
    LeverNeed,
    Plan,
    Probed,
    Receipt,
    Repeat,
    Skip,
    builtin_actions,
)
from selfheal.healing.actions.protocol import asks
from selfheal.levers import Caching, RateLimiting
from selfheal.resources import RateLimiter
from tests.healing.actions.scenes import call_of, rate_limit

ELEVEN = {
    "log",
    "rate_limit",
    "restart_if_critical",
    "clear_cache",
    "restart_service",
    "fallback_llm",
    "notify",
    "enable_cache",
    "scale_workers",
    "redistribute_tasks",
    "snapshot",
}


async def coroutine(call: ActionCall, plan: Plan | None = None) -> None: ...


class Mine(BaseAction):
    """A host's own."""

    name = "mine"

    def run(self, call: ActionCall, plan: Plan) -> Receipt | None:
        return {"ran": call.target}


def test_the_shipped_ones_are_there() -> None:
    """The eleven and the further ones come in a new registry each time."""
    actions = builtin_actions()

    assert set(actions.names()) >= ELEVEN
    assert len(actions) == len(actions.names()) == 28
    assert actions.names() == tuple(sorted(actions.names())) == tuple(action.name for action in actions)
    actions.register(Mine)
    assert "mine" in actions
    assert "mine" not in builtin_actions()


EFFECTS = {
    Effect.NEUTRAL: {"log", "notify", "snapshot", "profile", "check_upstream", "backup", "verify_backup"},
    Effect.REVERSIBLE: {
        *("rate_limit", "fallback_llm", "enable_cache", "scale_workers", "suspend_low_priority", "prepare_restart"),
        *("resume_low_priority", "tighten_monitoring", "reorder_tasks", "restore"),
    },
    Effect.IRREVERSIBLE: {
        *("restart_if_critical", "restart_service", "restart_dependants", "clear_cache", "redistribute_tasks"),
        *("force_cleanup", "end_idle", "clean_temp", "trim_memory", "stop_optional", "reset_dependency"),
    },
}


def test_effects_are_as_agreed() -> None:
    """Each shipped action declares the effect that strategies and journals go by, and what it may end."""
    actions = builtin_actions()

    assert {effect: {a.name for a in actions if a.effect is effect} for effect in Effect} == EFFECTS
    assert {a.name for a in actions if a.destructive} == {
        *("restart_if_critical", "restart_service", "restart_dependants", "force_cleanup", "end_idle", "stop_optional"),
        "restore",
    }
    assert {a.name for a in actions if asks(a)} == {"restore"}


def test_an_unknown_name_has_a_nearest() -> None:
    """What is not there is refused with the nearest name, and with all there are."""
    with pytest.raises(NotFoundError) as caught:
        builtin_actions().get("restart_servce")

    assert str(caught.value).startswith(
        "no action is named 'restart_servce'. Did you mean 'restart_service'? There are"
    )
    with pytest.raises(NotFoundError, match=r"no action is named 'xyz'. There are: mine."):
        ActionRegistry([Mine]).get("xyz")


def test_a_name_is_taken_once() -> None:
    """A second action of one name is refused; the first stays."""
    first = Mine()
    actions = ActionRegistry([first])

    with pytest.raises(ConfigError, match="one that is not taken by <action mine>, got 'mine'"):
        actions.register(Mine)
    assert actions.get("mine") is first


class NoName(BaseAction):
    pass


class Blank(Mine):
    name = "two words"


class InAHurry(Mine):
    timeout = float("nan")


class Vague(Mine):
    effect: ClassVar[Any] = "neutral"


class Plainer(Mine):
    params = dict


class Twofold(Mine):
    needs = (LeverNeed(role="a", protocol=Caching), LeverNeed(role="a", protocol=RateLimiting))


class NoWayBack(Mine):
    effect = Effect.REVERSIBLE


class Later(Mine):
    run: Any = coroutine


class Wants(Mine):
    def __init__(self, url: str) -> None:
        self.url = url


REFUSED: list[tuple[Any, str]] = [
    (NoName, "it lacks name"),
    (Blank, "a word of letters"),
    (InAHurry, "timeout must be seconds, more than 0 and at most 3600, got nan"),
    (Vague, "effect must be an Effect, got 'neutral'"),
    (Plainer, "params must be an attrs class"),
    (Twofold, "needs must be a tuple of LeverNeed, each role once"),
    (NoWayBack, "plan and rollback must be given by an action that is reversible"),
    (Later, "run must be a plain function: actions run in threads"),
    (Wants, "a class made without arguments; or an instance"),
    (object(), "it lacks plan, run, probe, verify, rollback, name"),
    (print, "it lacks plan, run"),
]


@pytest.mark.parametrize(("given", "told"), REFUSED, ids=map(str, range(len(REFUSED))))
def test_what_is_no_action_is_refused(given: Any, told: str) -> None:
    """What cannot work is refused at registration, and the error says what is wrong."""
    actions = ActionRegistry()
    with pytest.raises(ConfigError) as caught:
        actions.register(given)

    assert told in str(caught.value)
    assert len(actions) == 0


def test_a_class_is_registered_by_decoration() -> None:
    """``register`` takes a class and gives the instance it made."""
    actions = ActionRegistry()
    made = actions.register(Mine)

    assert isinstance(made, Mine)
    assert isinstance(made, Action)


# --- functions


def a_call(**changes: Any) -> ActionCall:
    return attrs.evolve(call_of("rate_limit", rate_limit(Path())), **changes)


def test_a_function_becomes_an_action() -> None:
    """The decorator makes an action of a function, with what it declares; the function can be called as before."""
    actions = ActionRegistry()

    @actions.action("flush", destructive=True, timeout=3, needs=[LeverNeed(role="cache", protocol=Caching)])
    def flush(call: ActionCall) -> Receipt | None:
        """Flush it."""
        return {"flushed": call.target}

    made, call = actions.get("flush"), a_call(target="mail")
    assert (made.effect, made.destructive, made.timeout, made.repeat) == (Effect.IRREVERSIBLE, True, 3, Repeat.AGAIN)
    assert [need.role for need in made.needs] == ["cache"]
    plan = made.plan(call)
    assert plan == {}
    assert made.run(call, {}) == flush(call) == {"flushed": "mail"}
    assert made.probe(call, {}) is Probed.UNKNOWN
    assert made.verify(call, {}, {}) is None
    assert made.rollback(call, {}, None) is None
    assert repr(flush) == "<action flush>"
    assert flush.__doc__ == "Flush it."


def test_further_steps_are_given_by_further_decorators() -> None:
    """Plan, probe, verify and rollback of a function are functions too; run may take the plan."""
    actions, told = ActionRegistry(), list[Any]()

    @actions.action("turn", effect=Effect.REVERSIBLE, repeat=Repeat.ONCE)
    def turn(call: ActionCall, plan: Plan) -> Receipt | None:
        told.append(plan)
        return None

    @turn.plan
    def planned(call: ActionCall) -> Plan | Skip:
        return {"old": 1}

    @turn.probe
    def probed(call: ActionCall, plan: Plan) -> str:
        return "done"

    @turn.verify
    def verified(call: ActionCall, plan: Plan, receipt: Receipt) -> bool:
        return bool(plan)

    @turn.rollback
    def back(call: ActionCall, plan: Plan, receipt: Receipt | None) -> str:
        return f"left: {plan['old']}"

    made, call = actions.get("turn"), a_call()
    plan = made.plan(call)
    assert plan == {"old": 1}
    made.run(call, plan)
    assert told == [plan]
    assert made.probe(call, plan) is Probed.DONE
    assert made.verify(call, plan, {}) is True
    assert made.rollback(call, plan, None) == "left: 1"
    assert planned(call) == plan, "the functions stay what they were"
    assert callable(probed)
    assert callable(verified)
    assert callable(back)


def test_a_reversible_function_without_a_way_back_is_refused() -> None:
    """One that declares to be reversible and was never given what undoes it cannot be got."""
    actions = ActionRegistry()

    @actions.action("turn", effect=Effect.REVERSIBLE)
    def turn(call: ActionCall) -> None: ...

    with pytest.raises(ConfigError, match=r"action turn: plan must be given by the decorator \.plan"):
        actions.get("turn")
    turn.plan(lambda call: {})
    with pytest.raises(ConfigError, match=r"action turn: rollback must be given by the decorator \.rollback"):
        actions.get("turn")
    turn.rollback(lambda call, plan, receipt: None)
    assert actions.get("turn").name == "turn"


class AsyncCallable:
    async def __call__(self, call: ActionCall) -> None: ...


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (coroutine, "a plain function: actions run in threads"),
        (functools.partial(coroutine), "a plain function: actions run in threads"),
        (AsyncCallable(), "a plain function: actions run in threads"),
        (lambda: None, "a function of 2 arguments"),
        (lambda a, b, c: None, "a function of 2 arguments"),
        ("restart", "a function"),
    ],
)
def test_functions_that_cannot_be_called_are_refused(function: Any, told: str) -> None:
    """A coroutine function, or one of other arguments, is refused when it is declared."""
    with pytest.raises(ConfigError, match=told):
        ActionRegistry().action("x")(function)


def test_a_step_of_other_arguments_is_refused() -> None:
    """A rollback that does not take what it is handed is refused when it is declared."""
    declared = ActionRegistry().action("x")(lambda call: None)

    with pytest.raises(ConfigError, match="action x: rollback must be a function of 3 arguments"):
        declared.rollback(lambda call: None)
    with pytest.raises(ConfigError, match="plain function"):
        declared.plan(coroutine)


# --- levers of a call


def test_a_lever_that_is_missing_or_another_is_told() -> None:
    """A call hands out a lever as what was asked for, or says what is missing."""
    call = a_call(levers={"rate_limiter": RateLimiter(1), "cache": object()})

    assert call.lever("rate_limiter", RateLimiting).rate == 1
    for role in ("cache", "nothing"):
        with pytest.raises(LeverUnsupportedError, match=f"lever '{role}' cannot serve strategy 'slow': give one"):
            call.lever(role, Caching)


# --- entry points


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str, str], None]]:
    """Installs tiny distributions: a module and its ``.dist-info`` on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made: list[str] = []

    def install(name: str, module: str, entry_points: str) -> None:
        (tmp_path / f"{name}.py").write_text(module)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        importlib.invalidate_caches()
        made.append(name)

    yield install
    for name in made:
        sys.modules.pop(name, None)


PLUGIN = """
from selfheal.healing.actions import ActionRegistry, BaseAction

class Page(BaseAction):
    name = "page"
    def run(self, call, plan):
        return {"paged": call.target}

page = Page()
more = ActionRegistry()

@more.action("ring")
def ring(call):
    return {"rang": call.target}
"""


def test_entry_points_of_an_installed_package(site: Callable[[str, str, str], None]) -> None:
    """A class and a registry that a package offers are taken in when asked for, and their actions run."""
    site("acme_actions", PLUGIN, "[selfheal.actions]\npage = acme_actions:Page\nall = acme_actions:more\n")
    actions = builtin_actions()

    assert "page" not in actions, "nothing is loaded unasked"
    assert "acme_actions" not in sys.modules
    assert actions.load_entry_points() == ("ring", "page")
    assert actions.get("page").run(a_call(target="api"), {}) == {"paged": "api"}
    assert actions.get("ring").run(a_call(target="api"), {}) == {"rang": "api"}


def test_an_entry_point_may_give_an_instance_and_be_of_another_group(site: Callable[[str, str, str], None]) -> None:
    """An instance serves as well, and a host may use a group of its own."""
    site("acme_own", PLUGIN, "[acme.actions]\npage = acme_own:page\n")
    actions = ActionRegistry()

    assert actions.load_entry_points() == ()
    assert actions.load_entry_points("acme.actions") == ("page",)


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("raise RuntimeError('half built')", "RuntimeError: half built"),
        ("Page = 7", "it lacks plan, run"),
        (PLUGIN.replace('"page"', '"log"'), "one that is not taken by <action log>"),
        ("", "AttributeError"),
    ],
)
def test_a_broken_plugin_is_one_clear_error(site: Callable[[str, str, str], None], module: str, told: str) -> None:
    """What cannot be loaded or is not accepted is told with entry point and package, and nothing is taken in."""
    site("acme_good", PLUGIN, "[selfheal.actions]\na_good = acme_good:Page\n")
    site("acme_broken", module, "[selfheal.actions]\nbroken = acme_broken:Page\n")
    actions = builtin_actions()

    with pytest.raises(ConfigError) as caught:
        actions.load_entry_points()

    assert "entry point 'broken' of acme_broken (acme_broken:Page)" in str(caught.value)
    assert told in str(caught.value)
    assert "page" not in actions
    assert actions.names() == builtin_actions().names()

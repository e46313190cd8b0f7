"""What every action must keep, as checks that need no test framework."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import attrs

from selfheal.errors import ConfigError, SelfhealError
from selfheal.healing.actions import Action, BaseAction, Effect, Probed, Repeat, Skip
from selfheal.healing.actions.checking import checked
from selfheal.testing.action_scene import ActionScene, is_json, raises, same
from selfheal.testing.action_trial import Trial
from selfheal.testing.contract import Contract, ContractBreachError, require
from selfheal.testing.lever_proxies import Taps

_FOR_EVER = 1e12


class ActionContract(Contract, Trial):
    """Checks one action against scenes that are made anew for each check.

    With pytest: parametrize over :attr:`CHECKS` and call :meth:`check`. Without: :func:`check_action`.

    Args:
        action: the action.
        make_scene: makes a scene in which the action has something to do.
    """

    CHECKS: ClassVar[tuple[str, ...]] = (
        "declares_what_can_be",
        "needs_its_levers",
        "plan_changes_nothing",
        "plan_and_receipt_are_json",
        "acts_through_levers_and_raises",
        "neutral_changes_nothing",
        "probe_does_not_lie",
        "verify_changes_nothing_and_does_not_lie",
        "repeats_as_declared",
        "rollback_restores",
        "rollback_twice_is_once",
        "rollback_of_what_never_ran",
        "rollback_from_the_journal",
        "rollback_raises",
        "rollback_leaves_what_others_changed",
        "ends_early",
    )
    _ABOUT = "an action"

    def _concerns(self, name: str) -> bool:
        return self._action.effect is Effect.REVERSIBLE or not name.startswith("rollback")

    def _declares_what_can_be(self) -> None:
        try:
            action = checked(self._action)
        except ConfigError as error:
            raise ContractBreachError(str(error)) from error
        require(not (action.destructive and action.effect is Effect.NEUTRAL), "what is destructive is not neutral")
        with self._scene() as (_, call):
            require(isinstance(call.params, action.params), f"the params are no {action.params.__name__}")
            for field in attrs.fields(action.params):
                try:
                    setattr(call.params, field.name, getattr(call.params, field.name))
                except attrs.exceptions.FrozenInstanceError:
                    continue
                raise ContractBreachError(f"{action.params.__name__} is not frozen: declare it by attrs.frozen")

    def _needs_its_levers(self) -> None:
        for need in self._action.needs:
            with self._scene() as (_, call):
                without = attrs.evolve(call, levers={r: lever for r, lever in call.levers.items() if r != need.role})
                try:
                    plan = self._action.plan(without)
                    if not isinstance(plan, Skip):
                        self._action.run(without, plan)
                except SelfhealError:
                    require(not need.optional, f"lever {need.role!r} is declared optional, and it fails without")
                else:
                    require(need.optional, f"lever {need.role!r} is missing, and neither plan nor run says so")

    def _plan_changes_nothing(self) -> None:
        with self._scene() as (scene, call):
            before = scene.look()
            self._plan(call)
            same(before, scene.look(), "plan changed something")

    def _plan_and_receipt_are_json(self) -> None:
        with self._scene() as (_, call):
            plan = self._plan(call)
            is_json(plan, "the plan")
            is_json(self._run(call, plan), "the receipt")

    def _acts_through_levers_and_raises(self) -> None:
        taps = Taps()
        with self._scene(taps) as (_, call):
            plan = self._plan(call)
            taps.forget()
            self._run(call, plan)
        pulled = taps.pulled()
        required = [need.role for need in self._action.needs if not need.optional]
        require(not required or bool(pulled), f"run pulls none of its levers ({', '.join(required)})")
        for tap in pulled:
            taps = Taps()
            with self._scene(taps) as (_, call):
                plan = self._plan(call)
                taps.break_off(tap)
                raises(functools.partial(self._action.run, call, plan), f"run swallowed an error of {tap}")

    def _neutral_changes_nothing(self) -> None:
        if self._action.effect is not Effect.NEUTRAL:
            return
        with self._scene() as (scene, call):
            before = scene.look()
            self._run(call, self._plan(call))
            same(before, scene.look(), "a neutral action changed something")

    def _probe_does_not_lie(self) -> None:
        with self._scene() as (scene, call):
            plan = self._plan(call)
            before = scene.look()
            require(self._probe(call, plan) is not Probed.DONE, "probe says done before it ran")
            same(before, scene.look(), "probe changed something")
            receipt = self._run(call, plan)
            before = scene.look()
            require(self._probe(call, plan) is not Probed.NOT_DONE, "probe says not done after it ran")
            same(before, scene.look(), "probe changed something")
            if self._action.effect is Effect.REVERSIBLE:
                self._undo(call, plan, receipt)
                require(self._probe(call, plan) is not Probed.DONE, "probe says done after it was undone")

    def _verify_changes_nothing_and_does_not_lie(self) -> None:
        with self._scene() as (scene, call):
            plan = self._plan(call)
            receipt = self._run(call, plan)
            before = scene.look()
            require(
                self._verify(call, plan, receipt) is not False, "verify says that its effect does not hold after it ran"
            )
            same(before, scene.look(), "verify changed something")
            if self._action.effect is Effect.REVERSIBLE:
                self._undo(call, plan, receipt)
                told = self._verify(call, plan, receipt)
                require(told is not True, "verify says that its effect holds after it was undone")

    def _repeats_as_declared(self) -> None:
        if self._action.repeat is Repeat.AGAIN:
            return
        with self._scene() as (scene, call):
            plan = self._plan(call)
            self._run(call, plan)
            before = scene.look()
            self._run(call, plan)
            same(
                before, scene.look(), f"run a second time it did something more, and it declares {self._action.repeat}"
            )

    def _rollback_restores(self) -> None:
        for in_doubt in (False, True):
            with self._undoable() as (scene, call, before):
                plan = self._plan(call)
                receipt = self._run(call, plan)
                require(scene.look() != before, "nothing that the scene looks at was changed by run: look at what is")
                self._undo(call, plan, None if in_doubt else receipt)
                told = "in doubt whether it ran, rollback" if in_doubt else "rollback"
                same(before, scene.look(), f"{told} did not put things back")

    def _rollback_twice_is_once(self) -> None:
        with self._undoable() as (scene, call, before):
            plan = self._plan(call)
            receipt = self._run(call, plan)
            self._undo(call, plan, receipt)
            self._undo(call, plan, receipt)
            same(before, scene.look(), "a second rollback changed something")

    def _rollback_of_what_never_ran(self) -> None:
        with self._undoable() as (scene, call, before):
            self._undo(call, self._plan(call), None)
            same(before, scene.look(), "rollback of what never ran changed something")

    def _rollback_from_the_journal(self) -> None:
        with self._undoable() as (scene, call, before):
            plan = self._plan(call)
            self._run(call, plan)
            written = json.loads(json.dumps(dict(plan)))
            contract = ActionContract(_another(self._action), self._make)
            contract._undo(call, written, None)
            same(before, scene.look(), "another instance, given the plan as it was written, did not put things back")

    def _rollback_raises(self) -> None:
        taps = Taps()
        with self._scene(taps) as (_, call):
            plan = self._plan(call)
            receipt = self._run(call, plan)
            taps.forget()
            self._undo(call, plan, receipt)
        for tap in taps.pulled():
            taps = Taps()
            with self._scene(taps) as (_, call):
                plan = self._plan(call)
                receipt = self._run(call, plan)
                taps.break_off(tap)
                undo = functools.partial(self._action.rollback, call, plan, receipt)
                raises(undo, f"rollback swallowed an error of {tap}")

    def _rollback_leaves_what_others_changed(self) -> None:
        with self._undoable() as (scene, call, _):
            if scene.meddle is None:
                return
            plan = self._plan(call)
            receipt = self._run(call, plan)
            scene.meddle()
            before = scene.look()
            said = self._undo(call, plan, receipt)
            same(before, scene.look(), "rollback undid what somebody else had changed since")
            require(bool(said), "rollback left alone what somebody else had changed, and does not say so")

    def _ends_early(self) -> None:
        usual = self._pulls()
        for told, changes in (("cancelled", {"cancelled": lambda: True}), ("late", {"deadline": -_FOR_EVER})):
            for tap, times in self._pulls(**changes).items():
                many = usual.get(tap, 0)
                require(many < 2 or times < many, f"{told} from the start, run still pulled {tap} {times} times")

    def _pulls(self, **changes: Any) -> Mapping[str, int]:
        taps = Taps()
        with self._scene(taps) as (_, call):
            plan = self._plan(call)
            taps.forget()
            with contextlib.suppress(Exception):  # ending early is told by raising
                self._action.run(attrs.evolve(call, **changes), plan)
        return taps.pulled()


def check_action(action: Action, make_scene: Callable[[], ActionScene]) -> None:
    """Make all checks of one action.

    Args:
        action: the action.
        make_scene: makes a scene in which it has something to do; called for each check.

    Raises:
        ContractBreachError: with all that it does not keep.
    """
    ActionContract(action, make_scene)._require_all(f"action {action.name!r}")


def _another(action: Action) -> Action:
    """Another instance, as another process has it; the same one where it cannot be made without arguments."""
    return type(action)() if isinstance(action, BaseAction) and type(action).__init__ is object.__init__ else action

"""One action tried in scenes: its steps, each with what must hold whenever it is taken."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import attrs

from selfheal.healing.actions import Action, ActionCall, Plan, Probed, Receipt, Skip
from selfheal.testing.action_scene import ActionScene
from selfheal.testing.contract import ContractBreachError, require
from selfheal.testing.lever_proxies import Taps

T = TypeVar("T")


class Trial:
    """Takes the steps of an action.

    Args:
        action: the action.
        make_scene: makes a scene in which the action has something to do.
    """

    def __init__(self, action: Action, make_scene: Callable[[], ActionScene]) -> None:
        self._action, self._make = action, make_scene

    @contextlib.contextmanager
    def _scene(self, taps: Taps | None = None, **changes: Any) -> Iterator[tuple[ActionScene, ActionCall]]:
        scene = self._make()
        try:
            roles = {need.role for need in self._action.needs}
            levers = {role: lever for role, lever in scene.levers.items() if role in roles}
            call = ActionCall(
                key="contract:0",
                strategy="contract",
                target=scene.target,
                alert=scene.alert,
                params=self._action.params() if scene.params is None else scene.params,
                levers=levers if taps is None else taps.tapped(levers, self._action.needs),
                clock=scene.clock,
                deadline=scene.clock.monotonic() + self._action.timeout,
            )
            yield scene, attrs.evolve(call, **changes)
        finally:
            scene.close()

    def _plan(self, call: ActionCall) -> Plan:
        plan = self._tell("plan", lambda: self._action.plan(call))
        require(not isinstance(plan, Skip), f"plan skipped in a scene where there was something to do: {plan}")
        if isinstance(plan, Mapping):
            return plan
        raise ContractBreachError(f"plan must give a mapping or Skip, it gave {plan!r}")

    def _run(self, call: ActionCall, plan: Plan) -> Receipt:
        receipt = self._tell("run", lambda: self._action.run(call, plan))
        require(
            receipt is None or isinstance(receipt, Mapping), f"run must give a mapping or None, it gave {receipt!r}"
        )
        return {} if receipt is None else receipt

    def _probe(self, call: ActionCall, plan: Plan) -> Probed:
        probed = self._tell("probe", lambda: self._action.probe(call, plan))
        require(isinstance(probed, Probed), f"probe must give a Probed, it gave {probed!r}")
        return probed

    def _verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool | None:
        holds: object = self._tell("verify", lambda: self._action.verify(call, plan, receipt))
        require(holds is None or isinstance(holds, bool), f"verify must give a bool or None, it gave {holds!r}")
        return holds if isinstance(holds, bool) else None

    def _undo(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        said: object = self._tell("rollback", lambda: self._action.rollback(call, plan, receipt))
        require(said is None or isinstance(said, str), f"rollback must give text or None, it gave {said!r}")
        return said if isinstance(said, str) else None

    def _tell(self, step: str, do: Callable[[], T]) -> T:
        try:
            return do()
        except ContractBreachError:
            raise
        except Exception as error:
            raise ContractBreachError(f"{step} raised {type(error).__name__}: {error}") from error

    @contextlib.contextmanager
    def _undoable(self) -> Iterator[tuple[ActionScene, ActionCall, object]]:
        """A scene, and what it looks like before anything is done."""
        with self._scene() as (scene, call):
            yield scene, call, scene.look()

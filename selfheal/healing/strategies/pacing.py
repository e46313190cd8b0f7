"""The same strategy, faster."""

from __future__ import annotations

import attrs

from selfheal.conditions import Condition, scaled
from selfheal.healing.strategies.specs import LevelSpec, StepSpec, StrategySpec


def faster_spec(spec: StrategySpec, factor: float) -> StrategySpec:
    """The strategy with every duration divided. Timeouts of actions stay: they say how long the work takes."""

    def sooner(condition: Condition | None) -> Condition | None:
        return None if condition is None else scaled(condition, 1.0 / factor)

    def shorter(seconds: float | None) -> float | None:
        return None if seconds is None else seconds / factor

    def step(one: StepSpec) -> StepSpec:
        return attrs.evolve(one, undo_after=shorter(one.undo_after))

    def level(one: LevelSpec) -> LevelSpec:
        actions = tuple(map(step, one.actions))
        return attrs.evolve(one, when=sooner(one.when), settle=shorter(one.settle), actions=actions)

    verify = spec.verify
    return attrs.evolve(
        spec,
        trigger=sooner(spec.trigger),
        keep_firing_for=spec.keep_firing_for / factor,
        grace_period=spec.grace_period / factor,
        settle=spec.settle / factor,
        levels=tuple(map(level, spec.levels)),
        verify=attrs.evolve(verify, condition=sooner(verify.condition), within=verify.within / factor),
    )

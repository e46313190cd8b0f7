"""Strategies of a set, as a healer runs them."""

from __future__ import annotations

from collections.abc import Callable

from selfheal.events import Alert
from selfheal.healing.driving import Steps
from selfheal.healing.records import HealingResult
from selfheal.healing.strategies.specs import StrategySpec
from selfheal.healing.strategy import HealingContext, Strategy
from selfheal.policies.protection import matches

Begin = Callable[[StrategySpec, Alert, HealingContext], Steps[HealingResult]]


class SpecStrategy:
    """A :class:`~selfheal.healing.Strategy` made of a specification.

    Args:
        spec: what it answers, and with what.
        begin: begins a healing.
    """

    def __init__(self, spec: StrategySpec, begin: Begin) -> None:
        self.spec = spec
        self._begin = begin

    def __repr__(self) -> str:
        return f"<strategy {self.spec.name}>"

    @property
    def name(self) -> str:
        """Unique in its set."""
        return self.spec.name

    def answers(self, alert: Alert) -> bool:
        """Whether it is for this alert: by kind, labels and target."""
        spec = self.spec
        kind = alert.kind in spec.alerts or (spec.trigger is not None and alert.kind == spec.name)
        if not (kind and spec.enabled):
            return False
        if any(alert.labels.get(label) != value for label, value in spec.labels.items()):
            return False
        return not spec.targets or any(matches(pattern, alert.target) for pattern in spec.targets)

    def heal(self, alert: Alert, context: HealingContext) -> Steps[HealingResult]:
        """Begin a healing; its steps are gone through by whoever called."""
        return self._begin(self.spec, alert, context)


class UnrunStrategy:
    """A strategy of the host's own making in a dry run: it answers, and is not called.

    Args:
        strategy: what would be called.
    """

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy

    @property
    def name(self) -> str:
        """That of the strategy."""
        return self._strategy.name

    def answers(self, alert: Alert) -> bool:
        """What the strategy says."""
        return self._strategy.answers(alert)

    def heal(self, alert: Alert, context: HealingContext) -> HealingResult:
        """Nothing is done: what it would do cannot be told, so it is not called."""
        return HealingResult(success=False, planned=True, reason="dry run: the host's own callable is not called")


class NoStrategy:
    """Answers nothing: stands where there is no strategy at all."""

    name = "none"

    def answers(self, alert: Alert) -> bool:
        """Never."""
        return False

    def heal(self, alert: Alert, context: HealingContext) -> object:
        """Never asked to."""
        return False


def spec_of(strategy: Strategy) -> StrategySpec | None:
    """What a strategy is made of; ``None`` for one of the host's own making."""
    spec = getattr(strategy, "spec", None)
    return spec if isinstance(spec, StrategySpec) else None


def targets_of(spec: StrategySpec | None, alert: Alert) -> list[str]:
    """Everything that a healing is known beforehand to touch."""
    fixed = () if spec is None else (step.target for step in spec.steps if step.target)
    return sorted({alert.target, *fixed})

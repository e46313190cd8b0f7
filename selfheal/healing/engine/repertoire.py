"""All that an engine can heal by: the strategies of its set, and those that the host brings along itself."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable

from selfheal.events import Alert
from selfheal.healing.driving import Steps
from selfheal.healing.engine.adapting import NoStrategy, SpecStrategy, UnrunStrategy
from selfheal.healing.engine.hosted import HostStrategy, hosted
from selfheal.healing.engine.reading import PREVENTIVE
from selfheal.healing.engine.run import Desk, HealingRun
from selfheal.healing.records import HealingResult
from selfheal.healing.strategies import StrategySet, StrategySpec
from selfheal.healing.strategy import HealingContext, Strategy, preventive_strategy


class Repertoire:
    """Makes strategies of what was given, each of which is written down when it heals.

    Args:
        desk: what healings work with; asked when one begins.
        host_strategies: those of the host's own making.
        dry_run: whether what is the host's own is not called.
    """

    def __init__(self, desk: Callable[[], Desk], host_strategies: Iterable[Strategy], *, dry_run: bool) -> None:
        self._desk = desk
        self._dry_run = dry_run
        self._host = [HostStrategy(self._own(one), self._begin_own) for one in host_strategies]

    def all(self, strategies: StrategySet) -> list[Strategy]:
        """Those of a set, the highest priority first, and then the host's; or one that answers nothing."""
        ranked = sorted(strategies, key=lambda spec: -spec.priority)
        return [*(SpecStrategy(spec, self._begin) for spec in ranked), *self._host] or [NoStrategy()]

    def preventive(self, given: Callable[..., object] | None) -> Strategy | None:
        """What the host prevents trouble by.

        Raises:
            ConfigError: if it is nothing that can be called.
        """
        return None if given is None else HostStrategy(self._own(preventive_strategy(given)), self._prevent)

    def _own(self, strategy: Strategy) -> Strategy:
        return UnrunStrategy(strategy) if self._dry_run else strategy

    def _begin(self, spec: StrategySpec, alert: Alert, context: HealingContext) -> Steps[HealingResult]:
        desk = self._desk()
        return HealingRun(desk, spec, alert, context, desk.guards.run_of(alert)).steps()

    def _begin_own(self, strategy: Strategy, alert: Alert, context: HealingContext) -> Steps[object]:
        desk = self._desk()
        return hosted(desk, strategy, alert, context, desk.guards.run_of(alert), "alert")

    def _prevent(self, strategy: Strategy, alert: Alert, context: HealingContext) -> Steps[object]:
        return hosted(self._desk(), strategy, alert, context, uuid.uuid4().hex, PREVENTIVE)

"""Strategies of the host's own making, written down like those of a set: what began, and how it ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator

from selfheal.errors import JournalError
from selfheal.events import Alert
from selfheal.healing.driving import Call, Steps
from selfheal.healing.engine.chronicle import RunFacts
from selfheal.healing.engine.reading import Trace
from selfheal.healing.engine.run import Desk
from selfheal.healing.judging import Judged, judge_error, judge_result
from selfheal.healing.records import HealingResult, Outcome
from selfheal.healing.strategy import HealingContext, Strategy, runs_async

logger = logging.getLogger("selfheal.healing")

Begin = Callable[[Strategy, Alert, HealingContext], Steps[object]]


class HostStrategy:
    """A strategy of the host, of which the engine writes down what it does.

    Args:
        strategy: what answers and heals.
        begin: begins a healing by it.
    """

    def __init__(self, strategy: Strategy, begin: Begin) -> None:
        self._strategy = strategy
        self._begin = begin

    def __repr__(self) -> str:
        return f"<strategy {self.name} of the host>"

    @property
    def name(self) -> str:
        """That of the strategy."""
        return self._strategy.name

    @property
    def is_async(self) -> bool:
        """Whether the strategy is."""
        return runs_async(self._strategy)

    def answers(self, alert: Alert) -> bool:
        """What the strategy says."""
        return self._strategy.answers(alert)

    def heal(self, alert: Alert, context: HealingContext) -> Steps[object]:
        """Begin a healing; its steps are gone through by whoever called."""
        return self._begin(self._strategy, alert, context)


def hosted(
    desk: Desk, strategy: Strategy, alert: Alert, context: HealingContext, run: str, trigger: str
) -> Steps[object]:
    """Heal by a strategy of the host: its beginning is written down before, its end after.

    What it does in between is its own: there are no steps that could be probed or undone. One that the end of the
    process interrupts is told as interrupted at the next start.

    Args:
        desk: what is written by.
        strategy: heals.
        alert: what is answered.
        context: tells when to stop.
        run: id of the healing.
        trigger: what set it off.
    """
    facts = RunFacts(run=run, strategy=strategy.name, target=alert.target, alert=alert, dry_run=desk.dry_run)
    began, wall = desk.clock.monotonic(), desk.clock.wall()
    try:
        desk.chronicle.started(facts, "", 0, trigger, rollback=False)
    except JournalError as error:  # what cannot be written down is not done
        return HealingResult(success=False, reason=f"not begun: {error}", error=error)
    trace = Trace(facts=facts, began=wall, rollback=False, cut_off="its end could not be written down")
    judged = Judged(outcome=Outcome.INTERRUPTED, reason="broken off")
    try:
        result = yield Call(lambda: strategy.heal(alert, context))
        if isinstance(result, Generator):
            result = yield from result
        judged = judge_result(result, context)
        return result
    except Exception as error:
        judged = judge_error(error, context)
        raise
    finally:
        _end(desk, trace, judged, desk.clock.monotonic() - began)


def _end(desk: Desk, trace: Trace, judged: Judged, duration: float) -> None:
    """Write how it ended; if that cannot be done now, it is as soon as it can."""
    try:
        desk.chronicle.finished(
            trace.facts,
            trace.saga,
            0,
            outcome=judged.outcome.value,
            guard=judged.guard or "",
            reason=judged.reason,
            duration=duration,
        )
    except JournalError as error:
        logger.error("the end of %s is not in the journal: %s", trace.facts.strategy, error)
        if not trace.facts.dry_run:
            desk.left_open(trace)

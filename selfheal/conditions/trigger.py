"""One condition over time: inactive, pending, firing, clearing."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import attrs

from selfheal.conditions.compiling import COMPARE, NO_LABELS, Fold, Labels, Lookup, compile_fold
from selfheal.conditions.durations import parse_duration
from selfheal.conditions.nodes import Comparison, Condition


class TriggerState(enum.StrEnum):
    """Where a trigger is.

    ``INACTIVE``: the condition does not hold. ``PENDING``: it would, if what holds now went on for as long as is
    asked, or if nothing had to settle. ``FIRING``: it holds. ``CLEARING``: it held, does not hold any more, and is
    kept for ``keep_firing_for`` seconds.
    """

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    CLEARING = "clearing"


_ON = (TriggerState.FIRING, TriggerState.CLEARING)


@attrs.frozen
class Transition:
    """A move of a trigger.

    Args:
        old: where it was.
        new: where it is.
        at: when, as the caller gave it.
    """

    old: TriggerState
    new: TriggerState
    at: float

    @property
    def raised(self) -> bool:
        """Whether something began to be the matter."""
        return self.new in _ON and self.old not in _ON

    @property
    def cleared(self) -> bool:
        """Whether it ended."""
        return self.old in _ON and self.new not in _ON


class Hold:
    """Time for which something has to go on. What is unknown stops the count, and does not set it back.

    Args:
        needed: seconds.
    """

    __slots__ = ("_left", "_needed", "_seen_at", "ready_at")

    def __init__(self, needed: float) -> None:
        self._needed = needed
        self._left = needed
        self._seen_at = 0.0
        self.ready_at: float | None = None

    @property
    def begun(self) -> bool:
        """Whether it has counted anything."""
        return self.ready_at is not None or self._left < self._needed

    def run(self, now: float, start: float) -> bool:
        """It goes on at ``now``; count from ``start`` if it was not counting. Answers whether it was long enough."""
        if self.ready_at is None:
            self.ready_at = start + self._left if self._left else now  # what was long enough waits for nothing
        self._seen_at = now
        return now >= self.ready_at

    def touch(self, at: float) -> None:
        """It was seen to go on at ``at``."""
        if at > self._seen_at:
            self._seen_at = at

    def pause(self) -> None:
        """It is not known any more: keep what was counted until it was last seen."""
        if self.ready_at is not None:
            self._left = min(max(self.ready_at - self._seen_at, 0.0), self._needed)
            self.ready_at = None

    def reset(self) -> None:
        """It ended: count anew."""
        self._left = self._needed
        self.ready_at = None


class _Leaf:
    """A comparison with its past."""

    __slots__ = ("_clear", "_compare", "_limit", "hold", "latched", "metric")

    def __init__(self, leaf: Comparison) -> None:
        self.metric = leaf.metric
        self.hold = Hold(leaf.for_) if leaf.for_ else None
        self.latched = False
        self._compare = COMPARE[leaf.op]
        self._limit = leaf.value
        self._clear = leaf.clear

    def look(self, value: float | None, now: float, start: float) -> tuple[bool | None, bool | None]:
        """Whether it counts, and whether it would if enough time had passed."""
        hold = self.hold
        if value is None or value - value != 0.0:
            if hold is not None:
                hold.pause()
            return None, None
        if self._compare(value, self._limit):
            return (True if hold is None else hold.run(now, start)), True
        if hold is not None:
            hold.reset()
        self.latched = self.latched and self._clear is not None and self._compare(value, self._clear)
        return self.latched, self.latched

    def latch(self, counts: bool | None) -> None:
        """The trigger fires on it: from now on its ``clear`` is looked at, not its value."""
        if self._clear is not None and counts:
            self.latched = True


class TriggerMachine:
    """A condition for one target, over time. Pure: the caller gives the time and the values.

    - A comparison with ``for`` counts once it has held that long without a break. Time is counted between moments at
      which it was seen to hold; a moment at which it is unknown stops the count and sets nothing back.
    - A comparison with ``clear`` that the trigger fires on counts until its value is past ``clear``.
    - What is unknown neither begins, fires nor ends anything: the trigger stays where it is.

    Args:
        condition: what to watch.
        keep_firing_for: seconds (or text such as ``"5m"``) for which it goes on firing after the condition ended,
            so that a short dip makes no second alert.

    Raises:
        ConfigError: if ``keep_firing_for`` is no duration.
    """

    __slots__ = ("_blocked", "_clearing", "_fold", "_leaves", "_now", "_settled_at", "state")

    def __init__(
        self,
        condition: Condition,
        keep_firing_for: float | str = 0.0,
        *,
        compiled: tuple[tuple[Comparison, ...], Fold] | None = None,
    ) -> None:
        comparisons, self._fold = compiled or compile_fold(condition)
        self._leaves = [_Leaf(leaf) for leaf in comparisons]
        self._clearing = Hold(parse_duration(keep_firing_for, "TriggerMachine.keep_firing_for"))
        self._now = float("-inf")
        self._settled_at = float("-inf")
        self._blocked = False
        self.state = TriggerState.INACTIVE

    @property
    def due_at(self) -> float | None:
        """When to call :meth:`update` even if nothing is observed; ``None`` if time alone changes nothing."""
        moments = [leaf.hold.ready_at for leaf in self._leaves if leaf.hold is not None]
        moments += [self._clearing.ready_at, self._settled_at if self._blocked else None]
        return min((at for at in moments if at is not None and at > self._now), default=None)

    @property
    def idle(self) -> bool:
        """Whether it has no past but a settle time: a new machine that settles as long would go on the same way."""
        begun = any(leaf.hold is not None and leaf.hold.begun for leaf in self._leaves)
        return self.state is TriggerState.INACTIVE and not begun

    def update(self, now: float, lookup: Lookup, labels: Labels = NO_LABELS) -> Transition | None:
        """Look at the values of this moment.

        Args:
            now: monotonic seconds; taken for the latest time given if it lies before that.
            lookup: gives the value of a metric, ``None`` if it is unknown.
            labels: of the target.

        Returns:
            The move that followed, or ``None``.
        """
        self._now = now = max(now, self._now)
        start = max(now, self._settled_at)
        looks = [leaf.look(lookup(leaf.metric), now, start) for leaf in self._leaves]
        counts = [look[0] for look in looks]
        holds = self._fold(counts, labels)
        may = [look[1] for look in looks]
        would = holds if may == counts else self._fold(may, labels)
        move = self._moved(self._next(holds, would, now), now)
        self._latch(counts)
        return move

    def reset_pending(self, now: float) -> Transition | None:
        """Count what is pending anew, as after a jump of the clock. What fires is left as it is."""
        self._now = now = max(now, self._now)
        if self.state in _ON:
            return None
        for leaf in self._leaves:
            if leaf.hold is not None:
                leaf.hold.reset()
        self._blocked = False
        return self._moved(TriggerState.INACTIVE, now)

    def settle(self, now: float, seconds: float) -> Transition | None:
        """Something was done: count what is pending anew, and fire no more before ``seconds`` have passed.

        Time until then is not counted for ``for``. What fires already goes on, and may clear.
        """
        self._settled_at = max(self._settled_at, max(now, self._now) + seconds)
        return self.reset_pending(now)

    def touch(self, at: float) -> None:
        """At ``at`` a value was observed that changed no answer: what was counting went on."""
        for leaf in self._leaves:
            if leaf.hold is not None:
                leaf.hold.touch(at)
        self._clearing.touch(at)

    def _next(self, holds: bool | None, would: bool | None, now: float) -> TriggerState:
        if self.state in _ON:
            return self._next_on(holds, would, now)
        self._blocked = holds is True and now < self._settled_at
        if holds is True and not self._blocked:
            return TriggerState.FIRING
        if holds is True or would is True:
            return TriggerState.PENDING
        return self.state if holds is None or would is None else TriggerState.INACTIVE

    def _next_on(self, holds: bool | None, would: bool | None, now: float) -> TriggerState:
        if holds is None:
            self._clearing.pause()
            return self.state
        if holds:
            self._clearing.reset()
            return TriggerState.FIRING
        if not self._clearing.run(now, now):
            return TriggerState.CLEARING
        self._clearing.reset()
        return TriggerState.PENDING if would is True else TriggerState.INACTIVE

    def _moved(self, state: TriggerState, now: float) -> Transition | None:
        if state is self.state:
            return None
        move = Transition(self.state, state, now)
        self.state = state
        return move

    def _latch(self, counts: Sequence[bool | None]) -> None:
        if self.state is TriggerState.FIRING:
            for leaf, counted in zip(self._leaves, counts, strict=True):
                leaf.latch(counted)
        elif self.state is not TriggerState.CLEARING:
            for leaf in self._leaves:
                leaf.latched = False

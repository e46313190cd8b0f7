"""Rules of an index, and the single comparisons of one metric in order of their thresholds."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable

from selfheal.conditions.compiling import COMPARE, compile_fold
from selfheal.conditions.nodes import Comparison, Condition
from selfheal.conditions.samples import Series
from selfheal.conditions.trigger import TriggerMachine, TriggerState


class Watched:
    """The machine of a rule for one target.

    Args:
        machine: the machine.
    """

    __slots__ = ("machine", "scheduled")

    def __init__(self, machine: TriggerMachine) -> None:
        self.machine = machine
        self.scheduled: float | None = None


class Rule:
    """A condition under a key, with a machine for each target for which it is not plainly inactive.

    Args:
        key: the name it was added by.
        number: rises with each rule added.
        condition: what to watch.
        keep_firing_for: seconds.
    """

    __slots__ = ("_compiled", "_keep", "condition", "key", "metrics", "number", "single", "watched")

    def __init__(self, key: Hashable, number: int, condition: Condition, keep_firing_for: float | str) -> None:
        self._compiled = compile_fold(condition)
        self._keep = keep_firing_for
        self.key = key
        self.number = number
        self.condition = condition
        self.metrics = tuple(dict.fromkeys(leaf.metric for leaf in self._compiled[0]))
        self.single = condition if isinstance(condition, Comparison) else None
        self.watched: dict[str, Watched] = {}

    def machine(self) -> TriggerMachine:
        """A new machine."""
        return TriggerMachine(self.condition, self._keep, compiled=self._compiled)

    def holds(self, value: float) -> bool:
        """Whether the value alone speaks for it. Only for a single comparison."""
        return self.single is not None and COMPARE[self.single.op](value, self.single.value)


class Lane:
    """All rules that look at one metric.

    The answer of a single comparison changes only where the value comes to, leaves or passes its threshold or its
    ``clear``. These edges are kept in order, so that the rules an observation concerns are found by bisection; beside
    them it concerns those whose time is being counted, where the value was unknown in between.
    """

    def __init__(self) -> None:
        self.composed: dict[Hashable, Rule] = {}
        self.generation = -1
        self._singles: dict[Hashable, Rule] = {}
        self._edges: list[float] = []
        self._owners: list[Rule] = []
        self._timed: dict[str, dict[Hashable, Rule]] = {}

    def __len__(self) -> int:
        return len(self.composed) + len(self._singles)

    def add(self, rule: Rule) -> None:
        """Take a rule in. All targets are looked at anew, once."""
        self.generation = rule.number
        if rule.single is None:
            self.composed[rule.key] = rule
            return
        self._singles[rule.key] = rule
        for edge in {rule.single.value, rule.single.value if rule.single.clear is None else rule.single.clear}:
            place = bisect_right(self._edges, edge)
            self._edges.insert(place, edge)
            self._owners.insert(place, rule)

    def remove(self, rule: Rule) -> None:
        """Take a rule out."""
        self.composed.pop(rule.key, None)
        if self._singles.pop(rule.key, None) is None:
            return
        kept = [(edge, owner) for edge, owner in zip(self._edges, self._owners, strict=True) if owner is not rule]
        self._edges = [edge for edge, _ in kept]
        self._owners = [owner for _, owner in kept]
        for target in list(self._timed):
            self.note(rule, target, None)

    def note(self, rule: Rule, target: str, state: TriggerState | None) -> None:
        """A single comparison is in this state for this target; ``None``: it is not watched any more."""
        if state is TriggerState.PENDING or state is TriggerState.CLEARING:
            self._timed.setdefault(target, {})[rule.key] = rule
            return
        timed = self._timed.get(target)
        if timed is not None and timed.pop(rule.key, None) is not None and not timed:
            del self._timed[target]

    def timed(self, target: str) -> list[Rule]:
        """Single comparisons whose time is being counted for this target."""
        return list(self._timed.get(target, {}).values())

    def concerned(self, series: Series, value: float, target: str) -> Iterable[Rule]:
        """Single comparisons whose answer an observation may change; the value is finite."""
        if series.generation != self.generation:
            return list(self._singles.values())
        seen = series.seen
        if value == seen:
            return self.timed(target) if series.paused else ()
        low, high = (seen, value) if seen < value else (value, seen)
        first, last = bisect_left(self._edges, low), bisect_right(self._edges, high)
        found = self._owners[first:last]
        if series.paused:
            found += self.timed(target)
        return list(dict.fromkeys(found)) if len(found) > 1 else found

"""Tests of the index: it says what looking at every trigger would say, only sooner and without growing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.conditions import (
    Comparison,
    Condition,
    ConditionIndex,
    Firing,
    LabelIs,
    Samples,
    TriggerMachine,
    TriggerState,
    metrics_of,
    parse,
)
from selfheal.conditions.nodes import leaves_of
from selfheal.errors import ConfigError
from tests.conditions.forms import OPS, conditions

STALE = 10.0


class Naive:
    """Every trigger of every target, each looked at whenever anything it names is observed."""

    def __init__(self) -> None:
        self.samples = Samples(STALE, 8)
        self.rules: dict[Any, tuple[Condition, float]] = {}
        self.machines: dict[tuple[Any, str], TriggerMachine] = {}
        self.labels: dict[str, Mapping[str, str]] = {}
        self.settled: dict[str, float] = {}
        self.open: set[tuple[Any, str]] = set()

    def observe(
        self, metric: str, value: float | None, target: str, now: float, labels: Mapping[str, str]
    ) -> list[tuple[Any, str, str, float]]:
        found: list[tuple[Any, str, str, float]] = []
        series = self.samples.series(metric, target)
        if series is not None and now - series.points[-1][0] > STALE:
            self.look(metric, target, now, found)
        if not self.samples.observe(metric, value, target, now):
            return self.sorted(found)
        if labels:
            self.labels[target] = labels
        self.look(metric, target, now, found)
        self.due(now, found)
        return self.sorted(found)

    def tick(self, now: float) -> list[tuple[Any, str, str, float]]:
        found: list[tuple[Any, str, str, float]] = []
        self.due(now, found)
        return self.sorted(found)

    def look(self, metric: str, target: str, now: float, found: list[Any]) -> None:
        for key, (condition, _) in self.rules.items():
            metrics = metrics_of(condition)
            if metric not in metrics:
                continue
            targets = {target}
            if target == "" and not isinstance(condition, Comparison):
                targets |= {known for name in metrics for known in self.samples.targets(name)}
            for known in sorted(targets):
                self.update(key, known, now, found)

    def update(self, key: Any, target: str, now: float, found: list[Any]) -> None:
        condition, keep = self.rules[key]
        machine = self.machines.get((key, target))
        if machine is None:
            machine = self.machines[key, target] = TriggerMachine(condition, keep)
            if self.settled.get(target, now) > now:
                machine.settle(now, self.settled[target] - now)
        move = machine.update(now, lambda metric: self.samples.latest(metric, target, now), self.labels.get(target, {}))
        if move is not None and (move.raised or move.cleared):
            found.append((key, target, "raised" if move.raised else "cleared", now))
            (self.open.add if move.raised else self.open.discard)((key, target))

    def due(self, now: float, found: list[Any]) -> None:
        for key, target in list(self.machines):
            due = self.machines[key, target].due_at
            if due is not None and due <= now:
                self.update(key, target, now, found)

    def sorted(self, found: list[tuple[Any, str, str, float]]) -> list[tuple[Any, str, str, float]]:
        order = list(self.rules)
        return sorted(found, key=lambda told: (order.index(told[0]), told[1]))

    def remove(self, key: Any) -> None:
        del self.rules[key]
        self.machines = {at: machine for at, machine in self.machines.items() if at[0] != key}
        self.open = {at for at in self.open if at[0] != key}

    def reset(self, target: str | None, now: float, settle: float) -> None:
        targets = self.samples.all_targets() if target is None else {target}
        for known in targets:
            self.settled[known] = max(self.settled.get(known, 0.0), now + settle)
        for (_, known), machine in self.machines.items():
            if known in targets:
                machine.settle(now, settle)


METRICS, TARGETS = ("a", "b"), ("", "x", "y")
GRID = [0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0]


@st.composite
def leaves(draw: st.DrawFn) -> Comparison:
    """A comparison on a small grid."""
    op, value = draw(st.sampled_from(OPS)), draw(st.sampled_from([1.0, 2.0, 3.0]))
    clear = None
    if op[0] in "<>" and draw(st.booleans()):
        clear = value - 1.0 if op[0] == ">" else value + 1.0
    return Comparison(draw(st.sampled_from(METRICS)), op, value, draw(st.sampled_from([0.0, 3.0, 8.0])), clear=clear)


RULES = st.one_of(leaves(), leaves(), conditions(st.one_of(leaves(), st.just(LabelIs("k", "1")))))
MARKED = RULES.filter(lambda condition: bool(metrics_of(condition)))
ACTIONS = st.one_of(
    st.tuples(
        st.just("observe"),
        st.sampled_from(METRICS),
        st.sampled_from([*GRID, *GRID, None, math.nan]),
        st.sampled_from(TARGETS),
        st.sampled_from([{}, {}, {"k": "1"}, {"k": "2"}]),
    ),
    st.tuples(st.just("observe"), st.just("a"), st.sampled_from([0.0, 2.0, 2.5, None]), st.just("x"), st.just({})),
    st.tuples(st.just("tick")),
    st.tuples(st.just("reset"), st.sampled_from([None, *TARGETS]), st.sampled_from([0.0, 4.0])),
    st.tuples(st.just("add"), MARKED, st.sampled_from([0.0, 0.0, 5.0])),
    st.tuples(st.just("remove"), st.integers(0, 9)),
)


def facts(found: list[Firing]) -> list[tuple[Any, str, str, float]]:
    return [(firing.key, firing.target, firing.change, firing.at) for firing in found]


@settings(max_examples=300)
@given(
    st.lists(st.tuples(MARKED, st.sampled_from([0.0, 0.0, 5.0])), max_size=6),
    st.lists(st.tuples(st.sampled_from([0, 1, 1, 2, 3, 5, 12]), ACTIONS), max_size=40),
)
def test_the_index_answers_as_if_it_looked_at_everything(
    rules: list[tuple[Condition, float]], script: list[tuple[int, Any]]
) -> None:
    """For any conditions, values, targets, labels, times, actions and changes of the rules, it is all the same."""
    index, naive, now, added = ConditionIndex(STALE, 8), Naive(), 1000.0, 0
    for condition, keep in rules:
        index.add(added, condition, keep)
        naive.rules[added], added = (condition, keep), added + 1
    for step, (what, *details) in script:
        now += step
        if what == "observe":
            metric, value, target, labels = details
            found = index.observe(metric, value, target, now, labels)
            assert facts(found) == naive.observe(metric, value, target, now, labels)
        elif what == "tick":
            assert facts(index.tick(now)) == naive.tick(now)
        elif what == "reset":
            index.reset(details[0], now, details[1])
            naive.reset(details[0], now, details[1])
        elif what == "add":
            index.add(added, *details)
            naive.rules[added], added = (details[0], details[1]), added + 1
        elif details[0] in naive.rules:
            index.remove(details[0])
            naive.remove(details[0])
        assert {(firing.key, firing.target) for firing in index.firing()} == naive.open
        states = {at: index.state(*at) for at in naive.machines}
        assert states == {at: machine.state for at, machine in naive.machines.items()}
        due = min((at for m in naive.machines.values() if (at := m.due_at) is not None), default=None)
        assert index.due_at == due


def every_single() -> list[Condition]:
    """Single comparisons with each operator, with and without ``for`` and ``clear``."""
    found: list[Condition] = []
    for op, held in itertools.product(OPS, (0.0, 2.0)):
        found.append(Comparison("a", op, 2.0, held))
        if op[0] in "<>":
            found.append(Comparison("a", op, 2.0, held, clear=1.0 if op[0] == ">" else 3.0))
    return found


SINGLES = every_single()


@pytest.mark.parametrize("first", [0.0, 1.0, 2.0, 3.0, 4.0, None])
def test_every_way_from_value_to_value(first: float | None) -> None:
    """Below, at, between and above thresholds, unknown, and back: every walk of four values answers as it should."""
    for rest in itertools.product([0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, None], repeat=3):
        index, naive = ConditionIndex(STALE, 8), Naive()
        for key, condition in enumerate(SINGLES):
            index.add(key, condition)
            naive.rules[key] = (condition, 0.0)
        for step, value in enumerate([first, *rest]):
            now = 1000.0 + step * 1.5
            assert facts(index.observe("a", value, "x", now)) == naive.observe("a", value, "x", now, {})
        assert facts(index.tick(1005.0)) == naive.tick(1005.0)
        assert {(firing.key, firing.target) for firing in index.firing()} == naive.open


def hot(threshold: float = 80.0, more: str = "") -> Condition:
    return parse(f"cpu > {threshold} {more}")


def test_a_firing_says_what_where_when_and_by_how_much() -> None:
    """It has key, target, change, the first metric of the condition, its value, and the time."""
    index = ConditionIndex()
    index.add("both", parse("cpu > 80 and mem > 50"))
    index.observe("cpu", 90.0, "web", 1000.0)

    assert index.observe("mem", 60.0, "web", 1001.0) == [Firing("both", "web", "raised", "cpu", 90.0, 1001.0)]
    assert index.firing() == (Firing("both", "web", "raised", "cpu", 90.0, 1001.0),)
    assert index.observe("mem", 10.0, "web", 1002.0) == [Firing("both", "web", "cleared", "cpu", 90.0, 1002.0)]
    assert index.firing() == ()


def test_targets_are_apart() -> None:
    """What happens on one target says nothing about another."""
    index = ConditionIndex()
    index.add("hot", hot())
    index.observe("cpu", 90.0, "a", 1000.0)
    index.observe("cpu", 10.0, "b", 1000.0)

    assert (index.state("hot", "a"), index.state("hot", "b")) == (TriggerState.FIRING, TriggerState.INACTIVE)


def test_what_concerns_all_concerns_each() -> None:
    """A value of the target '' decides for the targets that have the other half of the condition."""
    index = ConditionIndex()
    index.add("both", parse("cpu > 80 and load > 5"))
    index.observe("cpu", 90.0, "a", 1000.0)
    index.observe("cpu", 10.0, "b", 1000.0)

    assert facts(index.observe("load", 6.0, "", 1001.0)) == [("both", "a", "raised", 1001.0)]


def test_labels_are_kept_until_others_are_given() -> None:
    """Labels of a target hold for later observations that give none."""
    index = ConditionIndex()
    index.add("zoned", parse("cpu > 80 and label.zone == 'x'"))
    index.observe("cpu", 10.0, "a", 1000.0, {"zone": "x"})

    assert facts(index.observe("cpu", 90.0, "a", 1001.0)) == [("zoned", "a", "raised", 1001.0)]
    assert facts(index.observe("cpu", 91.0, "a", 1002.0, {"zone": "y"})) == [("zoned", "a", "cleared", 1002.0)]


def test_a_condition_added_later_is_looked_at_with_the_next_value() -> None:
    """A threshold that was passed long ago fires at the next observation, though nothing is crossed by it."""
    index = ConditionIndex()
    index.observe("cpu", 90.0, "a", 1000.0)
    index.add("hot", hot())

    assert facts(index.observe("cpu", 90.0, "a", 1001.0)) == [("hot", "a", "raised", 1001.0)]


def test_a_key_used_again_begins_anew() -> None:
    """Removing answers what was firing; the same key may be added again, and knows nothing of before."""
    index = ConditionIndex()
    index.add("hot", hot(more="for 10s"))
    index.observe("cpu", 90.0, "a", 1000.0)
    assert index.remove("hot") == ()
    index.add("hot", hot(50.0))
    index.observe("cpu", 90.0, "a", 1001.0)

    assert index.tick(1010.0) == []
    assert [firing.target for firing in index.remove("hot")] == ["a"]
    assert (index.remove("hot"), index.firing(), len(index), "hot" in index) == ((), (), 0, False)
    assert index.observe("cpu", 10.0, "a", 1011.0) == []


@pytest.mark.parametrize("after", [90.0, 91.0])
def test_what_was_unknown_goes_on_with_the_next_value(after: float) -> None:
    """A count that stopped goes on when the value is known again, though it crosses nothing, or is the same."""
    index = ConditionIndex()
    index.add("hot", hot(more="for 10s"))
    for now, value in [(1000.0, 90.0), (1004.0, 90.0), (1005.0, None)]:
        index.observe("cpu", value, "a", now)
    assert index.due_at is None

    index.observe("cpu", after, "a", 1100.0)
    assert index.due_at == 1106.0
    assert [firing.key for firing in index.tick(1106.0)] == ["hot"]


def test_a_value_that_went_stale_stops_the_count() -> None:
    """Time without a fresh value is not counted, whether anybody looked meanwhile or not."""
    index = ConditionIndex(stale_after=10.0)
    index.add("hot", hot(more="for 30s"))
    index.observe("cpu", 90.0, "a", 1000.0)
    index.observe("cpu", 90.0, "a", 1008.0)
    index.observe("cpu", 90.0, "a", 1025.0)

    assert (index.due_at, index.tick(1030.0)) == (1047.0, [])


def test_a_forgotten_target_is_gone() -> None:
    """What fired for it is answered, and nothing comes of it any more."""
    index = ConditionIndex()
    index.add("hot", hot())
    index.add("slow", hot(85.0, "for 10s"))
    index.observe("cpu", 90.0, "a", 1000.0)

    assert [firing.key for firing in index.forget("a")] == ["hot"]
    assert (index.forget("a"), index.tick(1010.0), index.firing(), index.due_at) == ((), [], (), None)
    assert len(index.samples) == 0


@pytest.mark.parametrize(
    ("key", "condition", "keep", "told"),
    [
        ("hot", hot(), 0.0, "key must be one that is not taken, got 'hot'"),
        ("new", LabelIs("zone", "x"), 0.0, "condition must be one with a metric in it"),
        ("new", hot(), -1.0, "keep_firing_for must be"),
    ],
)
def test_what_cannot_be_added(key: str, condition: Condition, keep: float, told: str) -> None:
    """A taken key, a condition that nothing observed could move, and a wrong duration leave the index as it was."""
    index = ConditionIndex()
    index.add("hot", hot())

    with pytest.raises(ConfigError, match=told):
        index.add(key, condition, keep)
    assert len(index) == 1


def test_what_is_plainly_inactive_takes_no_memory() -> None:
    """Only triggers that are pending or firing are kept, and their timers do not pile up."""
    index = ConditionIndex(max_series=2000)
    for number in range(50):
        index.add(number, hot(50.0 + number, "for 10s"))
    for step in range(2000):
        index.observe("cpu", 10.0, f"t{step}", 1000.0)
    assert sum(len(rule.watched) for rule in index._rules.values()) == 0

    for step in range(2000):
        index.observe("cpu", 45.0 + step % 2 * 10.0, "t0", 1001.0 + step * 0.001)
    assert len(index._heap) < 200
    index.observe("cpu", 45.0, "t0", 1100.0)
    index.tick(1200.0)
    assert (sum(len(rule.watched) for rule in index._rules.values()), index._heap, index._watched) == (0, [], 0)


def test_no_more_is_watched_than_may_be() -> None:
    """Beyond max_watched nothing is raised, and it is counted."""
    index = ConditionIndex(max_watched=3)
    index.add("hot", hot())
    told = [index.observe("cpu", 90.0, f"t{number}", 1000.0) for number in range(5)]

    assert [len(found) for found in told] == [1, 1, 1, 0, 0]
    assert index.refused == 2


def test_labels_do_not_pile_up() -> None:
    """Labels of targets that have no series any more go when there are too many."""
    index = ConditionIndex(stale_after=10.0, max_series=5)
    for number in range(100):
        index.observe("cpu", 1.0, f"t{number}", 1000.0 + number * 20.0, {"n": str(number)})

    assert len(index._labels) <= 5


def test_a_value_that_crosses_nothing_looks_at_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among a thousand thresholds only those that a value passes are looked at."""
    index = ConditionIndex()
    for number in range(1000):
        index.add(number, hot(float(number), f"for 5m clear {number - 0.25}"))
    index.observe("cpu", 500.5, "a", 1000.0)
    index.observe("cpu", 500.5, "a", 1200.0)
    assert len(index.tick(1300.0)) == 501
    looked: list[Any] = []
    look = index._look

    def counted(rule: Any, *rest: Any) -> None:
        looked.append(rule.key)
        look(rule, *rest)

    monkeypatch.setattr(index, "_look", counted)

    index.observe("cpu", 500.6, "a", 1301.0)
    assert looked == []
    index.observe("cpu", 502.5, "a", 1302.0)
    assert sorted(looked) == [501, 502]
    looked.clear()
    assert [firing.key for firing in index.observe("cpu", 499.7, "a", 1303.0)] == [500]
    assert sorted(looked) == [500, 501, 502]


def test_leaves_are_found() -> None:
    """The comparisons and labels of a condition are given from left to right."""
    found = list(leaves_of(parse("a > 1 and (b > 2 or label.c == 'x') and not d > 3")))

    assert [getattr(leaf, "metric", "label") for leaf in found] == ["a", "b", "label", "d"]

"""Tests of the trigger: each rule by itself, then random lives beside a model that counts time another way."""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from selfheal.conditions import (
    All,
    AnyOf,
    Comparison,
    Condition,
    LabelIs,
    Not,
    Transition,
    TriggerMachine,
    TriggerState,
    parse,
)
from selfheal.errors import ConfigError
from tests.conditions.forms import OPS, conditions, expected

INACTIVE, PENDING, FIRING, CLEARING = TriggerState


def life(text: str, *steps: tuple[float, float | None], keep: float = 0.0) -> list[str]:
    """States of a trigger on the metric ``a``, after each time and value."""
    machine = TriggerMachine(parse(text), keep)
    states = []
    for now, value in steps:
        machine.update(1000.0 + now, {"a": value}.get)
        states.append(machine.state.value)
    return states


def test_without_for_it_fires_at_once_and_ends_at_once() -> None:
    """A plain comparison is inactive or firing."""
    assert life("a > 1", (0, 1.0), (1, 2.0), (2, 1.0)) == ["inactive", "firing", "inactive"]


def test_for_has_to_hold_without_a_break() -> None:
    """It fires when the time is full, not a moment before, and a break starts it anew."""
    steps = [(0, 2.0), (9, 2.0), (9.5, 0.0), (10, 2.0), (19.999, 2.0), (20, 2.0)]

    assert life("a > 1 for 10s", *steps) == ["pending", "pending", "inactive", "pending", "pending", "firing"]


def test_unknown_stops_the_count_and_sets_nothing_back() -> None:
    """Time is counted between moments at which it was seen to hold; unknown ones count for nothing."""
    steps = [(0, 2.0), (6, 2.0), (8, None), (100, None), (200, 2.0), (203, 2.0), (204, 2.0)]

    assert life("a > 1 for 10s", *steps) == ["pending"] * 6 + ["firing"]


def test_unknown_neither_fires_nor_clears() -> None:
    """Missing, NaN and infinite values leave the trigger where it is."""
    steps = [(0, None), (1, math.inf), (2, 2.0), (3, None), (4, math.nan), (5, -math.inf), (6, 0.0), (7, None)]

    assert life("a > 1", *steps) == ["inactive"] * 2 + ["firing"] * 4 + ["inactive"] * 2


def test_clear_is_looked_at_only_once_it_fires() -> None:
    """Between clear and value nothing begins, and what fires goes on until clear is passed."""
    steps = [(0, 75.0), (1, 81.0), (2, 75.0), (3, 70.5), (4, 70.0), (5, 75.0), (6, 81.0)]
    states = ["inactive", "firing", "firing", "firing", "inactive", "inactive", "firing"]

    assert life("a > 80 clear 70", *steps) == states


def test_clear_does_not_help_a_pending_comparison() -> None:
    """Before it fires, falling below the value is a break, even above clear."""
    steps = [(0, 81.0), (5, 75.0), (6, 81.0), (15, 81.0), (16, 75.0), (17, 69.0)]

    assert life("a > 80 for 10s clear 70", *steps) == [
        "pending",
        "inactive",
        "pending",
        "pending",
        "inactive",
        "inactive",
    ]
    assert life("a > 80 for 10s clear 70", (0, 81.0), (10, 81.0), (11, 75.0), (12, 70.0))[1:] == [
        "firing",
        "firing",
        "inactive",
    ]


def test_a_part_that_was_never_reached_is_not_held_by_its_clear() -> None:
    """Only a part that the trigger fired on is kept by its clear."""
    machine = TriggerMachine(parse("a > 80 clear 70 or b > 80 clear 70"))
    machine.update(1.0, {"a": 90.0, "b": 75.0}.get)
    assert machine.state is FIRING

    machine.update(2.0, {"a": 60.0, "b": 75.0}.get)
    assert machine.state is INACTIVE


def test_keep_firing_bridges_a_dip() -> None:
    """It clears only after it was over for that long; back within it, nothing was raised anew."""
    machine = TriggerMachine(parse("a > 1"), "10s")
    moves = [machine.update(now, {"a": value}.get) for now, value in [(0, 2.0), (5, 0.0), (14.9, 0.0), (14.95, 2.0)]]

    assert [(move.raised, move.cleared) for move in moves if move] == [(True, False), (False, False), (False, False)]
    assert life("a > 1", (0, 2.0), (5, 0.0), (14, 0.0), (15, 0.0), keep=10.0) == [
        "firing",
        "clearing",
        "clearing",
        "inactive",
    ]


def test_each_dip_is_counted_from_its_own_begin() -> None:
    """A dip that was bridged takes nothing from the time of the next."""
    steps = [(0, 2.0), (1, 0.0), (9, 0.0), (10, 2.0), (11, 0.0), (19, 0.0), (21, 0.0)]
    states = ["firing", "clearing", "clearing", "firing", "clearing", "clearing", "inactive"]

    assert life("a > 1", *steps, keep=10.0) == states


def test_what_ended_is_not_held_by_its_clear_any_more() -> None:
    """After the trigger ended by another part, a part has to pass its value again, not only its clear."""
    machine = TriggerMachine(parse("a > 80 clear 70 and b > 5"))
    for now, a, b in [(1.0, 90.0, 6.0), (2.0, 75.0, 6.0), (3.0, 75.0, 1.0)]:
        machine.update(now, {"a": a, "b": b}.get)
    assert machine.state is INACTIVE

    machine.update(4.0, {"a": 75.0, "b": 6.0}.get)
    assert machine.state is INACTIVE
    machine.update(5.0, {"a": 81.0, "b": 6.0}.get)
    assert machine.state is FIRING


def test_unknown_while_settling_adds_nothing_to_what_is_asked() -> None:
    """However long it settles, no more than the time of ``for`` is asked for after it."""
    machine = TriggerMachine(parse("a > 1 for 10s"))
    machine.settle(100.0, 30.0)
    for now, value in [(101.0, 2.0), (102.0, None), (120.0, 2.0)]:
        machine.update(now, {"a": value}.get)

    assert machine.due_at == 140.0


def test_keep_firing_counts_no_unknown_time() -> None:
    """While it is unknown whether it is over, it does not get nearer to its end."""
    steps = [(0, 2.0), (1, 0.0), (5, 0.0), (50, None), (60, 0.0), (65, 0.0), (66, 0.0)]

    assert life("a > 1", *steps, keep=10.0)[1:] == ["clearing"] * 5 + ["inactive"]


def test_the_trigger_tells_when_to_look_again() -> None:
    """due_at is the end of the count for ``for``, of keep_firing_for, or of the settle time, else None."""
    machine = TriggerMachine(parse("a > 1 for 10s"), 5.0)
    assert machine.due_at is None
    machine.update(100.0, {"a": 2.0}.get)
    assert machine.due_at == 110.0
    machine.update(110.0, {"a": 2.0}.get)
    assert (machine.state, machine.due_at) == (FIRING, None)
    machine.update(111.0, {"a": 0.0}.get)
    assert (machine.state, machine.due_at) == (CLEARING, 116.0)
    machine.update(112.0, lambda metric: None)
    assert (machine.state, machine.due_at) == (CLEARING, None)

    plain = TriggerMachine(parse("a > 1"))
    plain.settle(200.0, 30.0)
    plain.update(201.0, {"a": 2.0}.get)
    assert (plain.state, plain.due_at) == (PENDING, 230.0)


def test_settling_fires_nothing_and_counts_nothing() -> None:
    """After something was done, pending starts anew, and its time is counted from the end of the settle time."""
    machine = TriggerMachine(parse("a > 1 for 10s"))
    machine.update(100.0, {"a": 2.0}.get)
    move = machine.settle(109.0, 30.0)
    assert move == Transition(PENDING, INACTIVE, 109.0)

    machine.update(110.0, {"a": 2.0}.get)
    assert (machine.state, machine.due_at) == (PENDING, 149.0)
    machine.update(148.9, {"a": 2.0}.get)
    assert machine.state is PENDING
    machine.update(149.0, {"a": 2.0}.get)
    assert machine.state is FIRING


def test_what_fires_is_left_alone_by_settling() -> None:
    """A firing trigger goes on through an action and may clear meanwhile, but fires anew only after."""
    machine = TriggerMachine(parse("a > 1 for 10s"))
    machine.update(100.0, {"a": 2.0}.get)
    machine.update(110.0, {"a": 2.0}.get)

    assert (machine.settle(111.0, 30.0), machine.reset_pending(111.0), machine.state) == (None, None, FIRING)
    machine.update(112.0, {"a": 2.0}.get)
    assert machine.state is FIRING
    machine.update(113.0, {"a": 0.0}.get)
    assert machine.state is INACTIVE
    machine.update(114.0, {"a": 2.0}.get)
    machine.update(150.0, {"a": 2.0}.get)
    assert (machine.state, machine.due_at) == (PENDING, 151.0)


def test_what_fires_outlasts_an_unknown_value_while_it_settles() -> None:
    """A comparison that held for long enough before it was unknown still counts, whatever is settling."""
    machine = TriggerMachine(parse("a > 1 for 10s"))
    for now, value in [(100.0, 2.0), (110.0, 2.0)]:
        machine.update(now, {"a": value}.get)
    machine.settle(111.0, 30.0)
    for now, value in [(112.0, math.nan), (113.0, 2.0)]:
        machine.update(now, {"a": value}.get)

    assert machine.state is FIRING


def test_a_shorter_settle_time_does_not_end_a_longer_one() -> None:
    """Of two settle times the later end holds."""
    machine = TriggerMachine(parse("a > 1"))
    machine.settle(100.0, 30.0)
    machine.settle(101.0, 1.0)
    machine.update(129.0, {"a": 2.0}.get)
    assert machine.state is PENDING
    machine.update(130.0, {"a": 2.0}.get)
    assert machine.state is FIRING


def test_time_does_not_run_backwards() -> None:
    """A time before the latest is taken for the latest."""
    machine = TriggerMachine(parse("a > 1 for 10s"))
    machine.update(100.0, {"a": 2.0}.get)
    machine.update(50.0, {"a": 2.0}.get)
    assert machine.due_at == 110.0


def test_keep_firing_for_is_a_duration() -> None:
    """Anything else is refused, naming it."""
    with pytest.raises(ConfigError, match=r"TriggerMachine\.keep_firing_for must be"):
        TriggerMachine(parse("a > 1"), "10")


METRICS = ("a", "b")
VALUES: st.SearchStrategy[float | None] = st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0, None, math.nan])
LABELS = st.sampled_from([{}, {"x": "1"}, {"x": "2"}])


@st.composite
def timed(draw: st.DrawFn) -> Comparison:
    """A comparison on a small grid, so that values meet thresholds often."""
    op, value = draw(st.sampled_from(OPS)), draw(st.sampled_from([1.0, 2.0, 3.0]))
    clear = None
    if op[0] in "<>" and draw(st.booleans()):
        clear = value - 1.0 if op[0] == ">" else value + 1.0
    return Comparison(
        draw(st.sampled_from(METRICS)), op, value, draw(st.sampled_from([0.0, 0.0, 3.0, 5.0])), clear=clear
    )


CONDITIONS = st.one_of(timed(), conditions(st.one_of(timed(), st.just(LabelIs("x", "1")))))


class Model:
    """The trigger by its description: each leaf is judged from the list of all that was seen of it.

    Args:
        condition: what is watched.
        keep: seconds that it goes on firing.
    """

    def __init__(self, condition: Condition, keep: float) -> None:
        self.keep = keep
        self.state = INACTIVE
        self.settled = 0.0
        self.leaves: list[dict[str, Any]] = []
        self.shape = self._numbered(condition)
        self.over: list[tuple[float, str]] = []

    def _numbered(self, condition: Condition) -> Condition:
        """The same shape over metrics named by the number of the leaf, 1 for true and 0 for false."""
        if isinstance(condition, Comparison):
            self.leaves.append({"leaf": condition, "seen": [], "latched": False})
            return Comparison(str(len(self.leaves) - 1), "==", 1.0)
        if isinstance(condition, All | AnyOf):
            return type(condition)(tuple(self._numbered(part) for part in condition.conditions))
        return Not(self._numbered(condition.condition)) if isinstance(condition, Not) else condition

    @staticmethod
    def counted(seen: list[tuple[float, str, float]], needed: float) -> float:
        """Time between moments that follow one another without an unknown one; not before its start."""
        total = 0.0
        for (_, known, start), (after, then, _) in itertools.pairwise(seen):
            if (known, then) == ("yes", "yes"):
                total += max(0.0, after - start)
        return min(total, needed)

    def answer(self, part: dict[str, Any], value: float | None, now: float) -> tuple[bool | None, bool | None]:
        leaf, seen = part["leaf"], part["seen"]
        plain = Comparison("v", leaf.op, leaf.value)
        holds = expected(plain, {"v": value}, {})
        start = max(now, self.settled) if not seen or seen[-1][1] != "yes" else max(now, seen[-1][2])
        if holds is None:
            seen.append((now, "unknown", now))
            return None, None
        if holds:
            seen.append((now, "yes", start))
            enough = leaf.for_ == 0.0 or self.counted(seen, leaf.for_) >= leaf.for_
            return enough, True
        seen.clear()
        if part["latched"] and leaf.clear is not None:
            part["latched"] = expected(Comparison("v", leaf.op, leaf.clear), {"v": value}, {})
        else:
            part["latched"] = False
        return part["latched"], part["latched"]

    def update(self, now: float, values: Mapping[str, float | None], labels: Mapping[str, str]) -> None:
        answers = [self.answer(part, values.get(part["leaf"].metric), now) for part in self.leaves]
        holds, would = (self.folded([answer[n] for answer in answers], labels) for n in (0, 1))
        self.state = self._next(holds, would, now)
        for part, (counts, _) in zip(self.leaves, answers, strict=True):
            if self.state is FIRING and counts:
                part["latched"] = True
            elif self.state not in (FIRING, CLEARING):
                part["latched"] = False

    def folded(self, answers: list[bool | None], labels: Mapping[str, str]) -> bool | None:
        given = {str(i): None if answer is None else float(answer) for i, answer in enumerate(answers)}
        return expected(self.shape, given, labels)

    def _next(self, holds: bool | None, would: bool | None, now: float) -> TriggerState:
        if self.state in (FIRING, CLEARING):
            if holds is None:
                self.over.append((now, "unknown"))
                return self.state
            if holds:
                self.over = []
                return FIRING
            self.over.append((now, "yes"))
            if self.counted([(at, known, at) for at, known in self.over], self.keep) < self.keep:
                return CLEARING
            self.over = []
            return PENDING if would else INACTIVE
        if holds and now >= self.settled:
            return FIRING
        if holds or would:
            return PENDING
        return self.state if holds is None or would is None else INACTIVE

    def reset(self) -> None:
        if self.state in (INACTIVE, PENDING):
            self.state = INACTIVE
            for part in self.leaves:
                part["seen"].clear()


class TriggerLife(RuleBasedStateMachine):
    """Random values, times, actions and jumps, on the machine and on the model."""

    @initialize(condition=CONDITIONS, keep=st.sampled_from([0.0, 0.0, 4.0]))
    def begin(self, condition: Condition, keep: float) -> None:
        self.machine, self.model = TriggerMachine(condition, keep), Model(condition, keep)
        self.now = 1000.0
        self.values: dict[str, float | None] = {}
        self.labels: dict[str, str] = {}

    @rule(step=st.integers(0, 4), a=VALUES, b=VALUES, labels=LABELS)
    def look(self, step: int, a: float | None, b: float | None, labels: dict[str, str]) -> None:
        self.now += step
        self.values, self.labels = {"a": a, "b": b}, labels
        before = self.machine.state
        move = self.machine.update(self.now, self.values.get, labels)
        self.model.update(self.now, self.values, labels)
        after = self.machine.state
        assert move == (None if before is after else Transition(before, after, self.now))

    @rule(step=st.integers(0, 9))
    def time_passes(self, step: int) -> None:
        """Until due_at nothing changes while the values stay, once they were looked at."""
        due = self.machine.due_at
        early = copy.deepcopy(self.machine)
        self.now += step
        if self.values and (due is None or self.now < due):
            assert early.update(self.now, self.values.get, self.labels) is None

    @rule(step=st.integers(0, 2), seconds=st.integers(0, 6))
    def act(self, step: int, seconds: int) -> None:
        self.now += step
        self.machine.settle(self.now, float(seconds))
        self.model.settled = max(self.model.settled, self.now + seconds)
        self.model.reset()
        self.values = {}

    @rule()
    def jump(self) -> None:
        self.machine.reset_pending(self.now)
        self.model.reset()
        self.values = {}

    @invariant()
    def same(self) -> None:
        assert self.machine.state is self.model.state


TestTriggerLife = TriggerLife.TestCase
TestTriggerLife.settings = settings(max_examples=300, stateful_step_count=25)


@given(CONDITIONS, st.lists(st.tuples(st.integers(0, 4), VALUES, VALUES), max_size=10), st.data())
def test_an_idle_machine_is_as_good_as_a_new_one(
    condition: Condition, steps: list[tuple[int, float | None, float | None]], data: st.DataObject
) -> None:
    """One that says it is idle goes on exactly like one made anew."""
    machine, now = TriggerMachine(condition, 4.0), 1000.0
    for step, a, b in steps:
        now += step
        machine.update(now, {"a": a, "b": b}.get)
    if not machine.idle:
        return
    fresh = TriggerMachine(condition, 4.0)
    for step, a, b in data.draw(st.lists(st.tuples(st.integers(0, 4), VALUES, VALUES), max_size=6)):
        now += step
        values = {"a": a, "b": b}
        assert machine.update(now, values.get) == fresh.update(now, values.get)
        assert machine.due_at == fresh.due_at


def test_the_state_diagram_is_the_machine() -> None:
    """The page draws exactly the moves that the machine makes in any life of five steps."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "conditions.md").read_text()
    drawn = set(re.findall(r"^    ([A-Z]+) --> ([A-Z]+):", page, re.M))
    made = set()
    for steps in itertools.product(["0 0", "0 2", "2 0", "0 ?", "settle"], repeat=5):
        for keep in (0.0, 4.0):
            made |= moves(steps, keep)

    assert drawn == made


def moves(steps: Sequence[str], keep: float) -> set[tuple[str, str]]:
    """The moves of one life, three seconds a step."""
    machine, made = TriggerMachine(parse("a > 1 or b > 1 for 4s"), keep), set()
    for number, step in enumerate(steps):
        now = 1000.0 + 3.0 * number
        if step == "settle":
            move = machine.settle(now, 4.0)
        else:
            a, b = (None if value == "?" else float(value) for value in step.split())
            move = machine.update(now, {"a": a, "b": b}.get)
        if move is not None:
            made.add((move.old.name, move.new.name))
    return made

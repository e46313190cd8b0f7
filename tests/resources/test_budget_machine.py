"""The level of a budget: hysteresis, smoothing, hold, and what is not known."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Sequence
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from selfheal.resources.budget_config import BudgetConfig
from selfheal.resources.budget_machine import BudgetLevel, BudgetMachine
from selfheal.usage import Usage

NORMAL, SLOW, SHED = BudgetLevel.NORMAL, BudgetLevel.SLOW, BudgetLevel.SHED
RAW = BudgetConfig(smoothing=0.0, hold=0.0)


def levels(
    machine: BudgetMachine, values: Sequence[tuple[float | None, float | None]], step: float = 1.0
) -> list[BudgetLevel]:
    """The level after each reading, one each ``step`` seconds from 1000 on."""
    told = []
    for number, (cpu, memory) in enumerate(values):
        machine.observe(Usage(cpu=cpu, memory=memory), 1000.0 + number * step)
        told.append(machine.level)
    return told


@pytest.mark.parametrize(
    ("cpu", "memory", "level"),
    [
        (79.9, 69.9, NORMAL),
        (80.0, 0.0, SLOW),
        (0.0, 70.0, SLOW),
        (89.9, 84.9, SLOW),
        (90.0, 0.0, SHED),
        (0.0, 85.0, SHED),
        (80.0, 85.0, SHED),
    ],
)
def test_the_limits(cpu: float, memory: float, level: BudgetLevel) -> None:
    """A level is entered exactly at its limit; the worse of the two resources decides."""
    assert levels(BudgetMachine(RAW, 1000.0), [(cpu, memory)]) == [level]


def test_between_leave_and_enter_nothing_moves() -> None:
    """A use between the two limits keeps the level it finds."""
    up_and_down = [(75.0, 0.0), (80.0, 0.0), (75.0, 0.0), (70.1, 0.0), (70.0, 0.0), (75.0, 0.0)]

    assert levels(BudgetMachine(RAW, 1000.0), up_and_down) == [NORMAL, SLOW, SLOW, SLOW, NORMAL, NORMAL]


def test_a_level_is_held_until_the_use_was_low_long_enough() -> None:
    """One high reading begins the hold anew; 30 s of low ones without a break end the level."""
    machine = BudgetMachine(BudgetConfig(smoothing=0.0), 1000.0)
    values = [(85.0, 0.0)] + [(50.0, 0.0)] * 29 + [(71.0, 0.0)] + [(50.0, 0.0)] * 31

    told = levels(machine, values)

    assert told[:61] == [SLOW] * 61
    assert told[61] is NORMAL


def test_shed_is_left_by_steps_or_at_once() -> None:
    """From SHED it goes to SLOW while the use is above SLOW's limit, and straight to NORMAL when it is below both."""
    config = BudgetConfig(smoothing=0.0, hold=5.0)

    assert levels(BudgetMachine(config, 1000.0), [(95.0, 0.0)] + [(78.0, 0.0)] * 6)[-1] is SLOW
    assert levels(BudgetMachine(config, 1000.0), [(95.0, 0.0)] + [(10.0, 0.0)] * 6)[-1] is NORMAL


def test_a_step_comes_through_by_two_thirds_in_the_time_of_the_smoothing() -> None:
    """The smoothing goes by time, so that the pace of the readings does not matter."""
    for pace in (0.5, 1.0, 5.0, 10.0):
        machine = BudgetMachine(BudgetConfig(smoothing=10.0), 0.0)
        machine.observe(Usage(cpu=0.0), 1000.0)
        for number in range(1, int(10 / pace) + 1):
            machine.observe(Usage(cpu=100.0), 1000.0 + number * pace)

        assert machine.cpu.value == pytest.approx(100 * (1 - math.exp(-1)))


def test_a_start_is_no_load() -> None:
    """The readings of the first seconds, when a service reads its own code, enter no level; lasting ones do."""
    machine = BudgetMachine(BudgetConfig(), 1000.0)
    told = levels(machine, [(100.0, 50.0)] * 11)

    assert told == [NORMAL] * 10 + [SHED]


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf, -1.0])
def test_what_is_not_known_neither_enters_nor_leaves(nothing: float | None) -> None:
    """Missing and impossible readings change nothing."""
    machine = BudgetMachine(RAW, 1000.0)

    assert levels(machine, [(nothing, nothing), (85.0, nothing), (nothing, nothing)]) == [NORMAL, SLOW, SLOW]
    assert machine.cpu.value == 85.0


def test_without_readings_it_goes_back_to_normal() -> None:
    """What was not known for ``stale_after`` delays nobody, whether or not somebody looks."""
    machine = BudgetMachine(BudgetConfig(smoothing=0.0, stale_after=60.0), 1000.0)
    machine.observe(Usage(cpu=99.0, memory=96.0), 1000.0)

    assert machine.level_at(1059.9) is SHED
    assert machine.over_hard(1059.9)
    assert machine.level_at(1060.0) is NORMAL
    assert machine.over_hard(1060.0) is None
    assert machine.known(1060.0) == []
    (moved,) = machine.observe(Usage(), 1060.0)
    assert (moved.old, moved.new, moved.reason) == (SHED, NORMAL, "no reading of CPU and memory for 60 s")


def test_a_resource_that_falls_silent_does_not_hold_the_level() -> None:
    """When only one of the two is known any more, it alone decides."""
    machine = BudgetMachine(BudgetConfig(smoothing=0.0, hold=0.0, stale_after=10.0), 1000.0)
    told = levels(machine, [(95.0, 10.0)] + [(None, 10.0)] * 11)

    assert told[9] is SHED
    assert told[10] is NORMAL


def test_the_hard_limit_is_not_smoothed() -> None:
    """A last reading at the hard limit counts at once and ends with the next one."""
    machine = BudgetMachine(BudgetConfig(cpu_hard=99.0), 1000.0)
    machine.observe(Usage(cpu=10.0, memory=10.0), 1000.0)
    machine.observe(Usage(cpu=10.0, memory=95.0), 1001.0)

    assert machine.over_hard(1001.0) == "memory is at 95 %, the hard limit is 95 %"
    machine.observe(Usage(cpu=99.5, memory=50.0), 1002.0)
    assert "CPU is at 100 %" in (machine.over_hard(1002.0) or "")
    machine.observe(Usage(cpu=50.0, memory=50.0), 1003.0)
    assert machine.over_hard(1003.0) is None


def test_reasons_peaks_and_times() -> None:
    """Each step says which resource did it; peaks and seconds in each level are kept."""
    machine = BudgetMachine(BudgetConfig(smoothing=0.0, hold=2.0), 1000.0)
    steps = [
        machine.observe(Usage(cpu=cpu, memory=memory), now)
        for cpu, memory, now in ((10, 10, 1000.0), (85, 71, 1010.0), (20, 20, 1020.0), (20, 20, 1022.0))
    ]

    assert steps[1][0].reason == "CPU 85 % reached 80 %, memory 71 % reached 70 %"
    assert steps[3][0].reason == "CPU 20 %, memory 20 %: low for 2 s"
    assert (machine.cpu.peak, machine.memory.peak, machine.changes) == (85.0, 71.0, 2)
    assert machine.spent(1025.0) == {"NORMAL": 13.0, "SLOW": 12.0, "SHED": 0.0}


def noisy_hour(seed: int) -> list[float]:
    """A use around the limit, each second for an hour: slow waves (a minute long) under noise."""
    dice, slow, keep = random.Random(seed), 0.0, math.exp(-1 / 60)
    values = []
    for _ in range(3600):
        slow = slow * keep + dice.gauss(0, 8.0 * math.sqrt(1 - keep * keep))
        values.append(min(max(76.0 + slow + dice.gauss(0, 10.0), 0.0), 100.0))
    return values


def test_noise_around_the_limit() -> None:
    """Where the raw rule toggles more than a thousand times an hour, the budget does at most 26 times."""
    config = BudgetConfig(cpu_shed_enter=100.0, cpu_shed_leave=99.0)
    raw, ours = [], []
    for seed in range(20):
        values = noisy_hour(seed)
        over = [value >= 80.0 for value in values]
        raw.append(sum(one != other for one, other in itertools.pairwise(over)))
        machine = BudgetMachine(config, 1000.0)
        levels(machine, [(value, 50.0) for value in values])
        ours.append(machine.changes)

    assert min(raw) > 1_000
    assert 1_200 < sum(raw) / len(raw) < 1_400
    assert max(ours) <= 26
    assert sum(ours) > 20  # it does react


@given(
    st.lists(st.sampled_from([0.0, 69.0, 75.0, 81.0, 88.0, 95.0, 100.0]), min_size=1, max_size=400), st.integers(0, 30)
)
def test_no_signal_makes_it_flap(values: list[float], hold: int) -> None:
    """Whatever the signal, a level left is one that was held for ``hold`` at least: so many changes and no more."""
    machine = BudgetMachine(BudgetConfig(smoothing=0.0, hold=float(hold)), 1000.0)
    entered: dict[BudgetLevel, float] = {}
    downs = 0
    for number, value in enumerate(values):
        for move in machine.observe(Usage(cpu=value, memory=1.0), 1000.0 + number):
            if move.new.rank < move.old.rank:
                downs += 1
                assert move.at - entered[move.old] >= hold
            entered[move.new] = move.at

    assert downs <= 1 + 2 * len(values) / max(hold, 1)


class BudgetAgainstModel(RuleBasedStateMachine):
    """The machine against the rules said as plainly as can be, over the whole history."""

    def __init__(self) -> None:
        super().__init__()
        self.config = BudgetConfig(smoothing=0.0, hold=4.0, stale_after=20.0)
        self.machine = BudgetMachine(self.config, 1000.0)
        self.now = 1000.0
        self.seen: dict[str, list[tuple[float, float]]] = {"cpu": [], "memory": []}

    @rule(
        cpu=st.none() | st.sampled_from([0.0, 70.0, 70.5, 79.9, 80.0, 80.5, 89.9, 90.0, 100.0]),
        memory=st.none() | st.sampled_from([0.0, 60.0, 65.0, 70.0, 75.0, 76.0, 85.0]),
        passed=st.sampled_from([0.0, 1.0, 2.0, 4.0, 21.0]),
    )
    def observe(self, cpu: float | None, memory: float | None, passed: float) -> None:
        """Some time passes, then a reading comes."""
        self.now += passed
        for name, value in (("cpu", cpu), ("memory", memory)):
            if value is not None:
                self.seen[name].append((self.now, value))
            elif self.seen[name] and self.now - self.seen[name][-1][0] >= 20.0:
                self.seen[name].clear()
        self.machine.observe(Usage(cpu=cpu, memory=memory), self.now)

    def latched(self, name: str, enter: float, leave: float) -> bool:
        """Was entered, and not low for ``hold`` without a break since."""
        on, low = False, None
        for at, value in self.seen[name]:
            if not on:
                on, low = value >= enter, None
            elif value > leave:
                low = None
            else:
                low = at if low is None else low
                on = at - low < 4.0
        return on

    @invariant()
    def same_level(self) -> None:
        """Both are at the same level."""
        c = self.config
        shed = self.latched("cpu", c.cpu_shed_enter, c.cpu_shed_leave) or self.latched(
            "memory", c.memory_shed_enter, c.memory_shed_leave
        )
        slow = self.latched("cpu", c.cpu_enter, c.cpu_leave) or self.latched("memory", c.memory_enter, c.memory_leave)
        assert self.machine.level is (SHED if shed else SLOW if slow else NORMAL)

    @invariant()
    def time_is_accounted_for(self) -> None:
        """The seconds in the levels add up to its age."""
        assert sum(self.machine.spent(self.now).values()) == pytest.approx(self.now - 1000.0)


TestBudgetAgainstModel = BudgetAgainstModel.TestCase
TestBudgetAgainstModel.settings = settings(max_examples=60, stateful_step_count=40)


def test_the_diagram_is_the_machine() -> None:
    """The reference page draws exactly the moves that the machine makes under any readings."""
    page = Path(__file__).parents[2] / "docs" / "reference" / "resource-budget.md"
    drawn = set(re.findall(r"^    (\w+) --> (\w+):", page.read_text(), re.M))
    made = set()
    for values in itertools.product([10.0, 75.0, 85.0, 95.0], repeat=5):
        machine = BudgetMachine(BudgetConfig(smoothing=0.0, hold=1.0), 1000.0)
        for number, value in enumerate(values):
            made |= {(m.old.value, m.new.value) for m in machine.observe(Usage(cpu=value), 1000.0 + number)}

    assert drawn == made

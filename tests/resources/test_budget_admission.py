"""Who may begin, who waits, who is refused; and that nobody waits for ever."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from selfheal.resources.budget_admission import AdmissionMachine, Admitted, Conditions, Refused, Ticket, Wait
from selfheal.resources.budget_config import BudgetConfig
from selfheal.resources.budget_machine import BudgetLevel
from selfheal.resources.criticality import Criticality

CRITICAL, DEFAULT, SHEDDABLE = Criticality.CRITICAL, Criticality.DEFAULT, Criticality.SHEDDABLE
NORMAL, SLOW, SHED = BudgetLevel.NORMAL, BudgetLevel.SLOW, BudgetLevel.SHED


def at(now: float, level: BudgetLevel = SLOW, hard: str | None = None) -> Conditions:
    return Conditions(now, level, hard)


def waiting(machine: AdmissionMachine, criticality: Criticality, now: float, timeout: float | None = None) -> Ticket:
    ticket = machine.arrive(criticality, timeout, at(now))
    assert isinstance(ticket, Ticket)
    return ticket


def busy(**options: float) -> AdmissionMachine:
    """A machine at SLOW whose next turn is 10 s away."""
    machine = AdmissionMachine(BudgetConfig(slow_rate=0.1, shed_rate=0.1, **options))  # type: ignore[arg-type]
    assert machine.arrive(DEFAULT, None, at(1000.0)) == Admitted(0.0)
    return machine


@pytest.mark.parametrize("criticality", list(Criticality))
def test_at_normal_all_begin_at_once(criticality: Criticality) -> None:
    """Nothing is delayed, nothing refused, in any number."""
    machine = AdmissionMachine(BudgetConfig())

    assert {machine.arrive(criticality, None, at(1000.0, NORMAL)) for _ in range(50)} == {Admitted(0.0)}


def test_critical_work_is_never_delayed() -> None:
    """At SLOW and SHED alike, however many wait."""
    machine = busy()
    waiting(machine, DEFAULT, 1000.0)

    assert machine.arrive(CRITICAL, None, at(1000.0)) == Admitted(0.0)
    assert machine.arrive(CRITICAL, None, at(1000.0, SHED)) == Admitted(0.0)


@pytest.mark.parametrize("criticality", list(Criticality))
def test_the_hard_limit_is_for_all(criticality: Criticality) -> None:
    """Over it not even critical work begins."""
    verdict = AdmissionMachine(BudgetConfig()).arrive(criticality, None, at(1000.0, NORMAL, "memory is at 97 %"))

    assert verdict == Refused(0.0, 30.0, "memory is at 97 %")


def test_default_work_takes_turns() -> None:
    """At SLOW so many begin each second; who has to wait is told until when."""
    machine = busy()
    ticket = waiting(machine, DEFAULT, 1000.0)

    assert machine.poll(ticket, at(1000.0)) == Wait(1010.0)
    assert machine.poll(ticket, at(1010.0)) == Admitted(10.0)
    assert machine.waiting == 0


def test_it_is_refused_when_its_time_to_wait_is_over() -> None:
    """``max_wait`` bounds the wait, and so does the caller's timeout, whichever is less."""
    machine = busy(max_wait=5.0)
    long, short = waiting(machine, DEFAULT, 1000.0, timeout=99.0), waiting(machine, DEFAULT, 1000.0, timeout=2.0)

    assert isinstance(machine.poll(short, at(1001.9)), Wait)
    refused = machine.poll(short, at(1002.0))
    assert isinstance(refused, Refused)
    assert (refused.waited, refused.why) == (2.0, "its time to wait is over")
    assert isinstance(machine.poll(long, at(1004.9)), Wait)
    assert isinstance(machine.poll(long, at(1005.0)), Refused)


def test_no_time_to_wait_is_no_wait() -> None:
    """With a timeout of 0 the answer comes at once."""
    refused = busy().arrive(DEFAULT, 0.0, at(1000.0))

    assert isinstance(refused, Refused)
    assert refused.why == "it would have to wait"


def test_sheddable_work_is_refused_at_shed() -> None:
    """At once, and those that wait when the level rises too."""
    machine = busy()
    ticket = waiting(machine, SHEDDABLE, 1000.0)

    assert isinstance(machine.arrive(SHEDDABLE, None, at(1001.0, SHED)), Refused)
    assert isinstance(machine.poll(ticket, at(1001.0, SHED)), Refused)


def test_default_goes_before_sheddable_and_first_come_before_later() -> None:
    """Turns go to the more critical, and among equals to the one that waits longer."""
    machine = busy()
    sheddable = waiting(machine, SHEDDABLE, 1000.0)
    first, second = waiting(machine, DEFAULT, 1001.0), waiting(machine, DEFAULT, 1002.0)

    assert isinstance(machine.poll(second, at(1010.0)), Wait)
    assert isinstance(machine.poll(sheddable, at(1010.0)), Wait)
    assert isinstance(machine.poll(first, at(1010.0)), Admitted)
    assert isinstance(machine.poll(sheddable, at(1020.0)), Wait)
    assert isinstance(machine.poll(second, at(1020.0)), Admitted)
    assert isinstance(machine.poll(sheddable, at(1030.0)), Admitted | Refused)


def test_turns_are_rarer_at_shed() -> None:
    """A turn taken at SHED leaves the gap of ``shed_rate``, one at SLOW that of ``slow_rate``."""
    for level, gap in ((SLOW, 2.0), (SHED, 5.0)):
        machine = AdmissionMachine(BudgetConfig(slow_rate=0.5, shed_rate=0.2))
        assert isinstance(machine.arrive(DEFAULT, None, at(1000.0, level)), Admitted)
        ticket = waiting(machine, DEFAULT, 1000.0)

        assert machine.poll(ticket, at(1000.0, level)) == Wait(1000.0 + gap)


def test_a_more_critical_newcomer_takes_the_turn_that_is_due() -> None:
    """It does not queue behind less critical work; equally critical work does."""
    machine = busy()
    waiting(machine, SHEDDABLE, 1000.0)
    assert isinstance(machine.arrive(SHEDDABLE, None, at(1010.0)), Ticket)
    assert isinstance(machine.arrive(DEFAULT, None, at(1010.0)), Admitted)


def test_age_makes_critical() -> None:
    """After 60 s default work counts as critical and begins; sheddable counts as default, and after 120 s begins."""
    config = BudgetConfig(slow_rate=0.001, shed_rate=0.001, max_wait=500.0)
    machine = AdmissionMachine(config)
    machine.arrive(DEFAULT, None, at(999.0))
    ordinary, cheap = waiting(machine, DEFAULT, 1000.0), waiting(machine, SHEDDABLE, 1000.0)

    assert machine.poll(ordinary, at(1059.9)) == Wait(1060.0)
    assert machine.poll(ordinary, at(1060.0)) == Admitted(60.0)
    assert isinstance(machine.poll(cheap, at(1060.0, SHED)), Wait)
    assert machine.poll(cheap, at(1120.0, SHED)) == Admitted(120.0)


def test_the_line_is_bounded() -> None:
    """More than ``max_waiting`` are refused at once, whatever their class."""
    machine = busy(max_waiting=2)
    waiting(machine, DEFAULT, 1000.0)
    waiting(machine, SHEDDABLE, 1000.0)
    refused = machine.arrive(DEFAULT, None, at(1000.0))

    assert isinstance(refused, Refused)
    assert refused.why == "2 wait already"


def test_who_gives_up_makes_room() -> None:
    """Leaving is counted once, and hands the turn to the next."""
    machine = busy()
    first, second = waiting(machine, DEFAULT, 1000.0), waiting(machine, DEFAULT, 1001.0)

    assert machine.leave(first)
    assert not machine.leave(first)
    assert machine.first(1001.0) is second
    assert machine.tallies[DEFAULT].left == 1


def test_over_the_hard_limit_those_that_wait_wait_on() -> None:
    """It may pass while they wait; age does not lead past it."""
    machine = busy(max_wait=100.0)
    ticket = waiting(machine, DEFAULT, 1000.0)

    assert machine.poll(ticket, at(1070.0, SLOW, "memory")) == Wait(1100.0)
    assert isinstance(machine.poll(ticket, at(1071.0)), Admitted)


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.sampled_from([DEFAULT, SHEDDABLE]), st.floats(0.0, 3.0), st.sampled_from([SLOW, SLOW, SHED])),
        min_size=1,
        max_size=120,
    ),
    st.sampled_from([0.01, 0.2, 5.0]),
)
def test_nobody_waits_for_ever(arrivals: list[tuple[Criticality, float, BudgetLevel]], rate: float) -> None:
    """In a level that never ends and under any arrivals, each is answered within ``ageing`` (default) or twice it."""
    machine = AdmissionMachine(BudgetConfig(slow_rate=rate, shed_rate=rate, max_wait=10_000.0, ageing=60.0))
    now = 1000.0
    open_: list[Ticket] = []
    for criticality, gap, level in [*arrivals, *[(CRITICAL, 1.0, SLOW)] * 200]:
        now += gap
        arrived = machine.arrive(criticality, None, at(now, level))
        open_ += [arrived] if isinstance(arrived, Ticket) else []
        for ticket in list(open_):
            verdict = machine.poll(ticket, at(now, level))
            if not isinstance(verdict, Wait):
                open_.remove(ticket)
                bound = 60.0 if ticket.criticality is DEFAULT else 120.0
                assert verdict.waited <= bound + gap

    assert open_ == []
    assert machine.waiting == 0


class AdmissionAgainstModel(RuleBasedStateMachine):
    """The machine against a list that is searched from end to end."""

    def __init__(self) -> None:
        super().__init__()
        self.config = BudgetConfig(slow_rate=0.5, shed_rate=0.25, max_wait=40.0, ageing=10.0, max_waiting=5)
        self.machine = AdmissionMachine(self.config)
        self.now, self.level, self.turn = 1000.0, SLOW, -1.0
        self.open: list[Ticket] = []

    def rank(self, ticket: Ticket) -> int:
        """0 counts as critical."""
        return max(list(Criticality).index(ticket.criticality) - int((self.now - ticket.since) // 10.0), 0)

    def expected(self, ticket: Ticket) -> str:
        """What should become of a ticket now."""
        if self.level is NORMAL or self.rank(ticket) == 0:
            return "Admitted"
        if self.level is SHED and self.rank(ticket) == 2:
            return "Refused"
        ahead = [one for one in self.open if (self.rank(one), one.since) < (self.rank(ticket), ticket.since)]
        if not ahead and self.now >= self.turn:
            self.turn = self.now + (4.0 if self.level is SHED else 2.0)
            return "Admitted"
        return "Refused" if self.now >= ticket.deadline else "Wait"

    @rule(level=st.sampled_from([NORMAL, SLOW, SHED]))
    def move(self, level: BudgetLevel) -> None:
        """The level changes."""
        self.level = level

    @rule(passed=st.sampled_from([0.5, 1.0, 2.5, 10.0]))
    def wait(self, passed: float) -> None:
        """Time passes, and all that wait ask, the first in line first."""
        self.now += passed
        self.ask()

    @rule(criticality=st.sampled_from(list(Criticality)), timeout=st.sampled_from([None, 0.0, 3.0]))
    def arrive(self, criticality: Criticality, timeout: float | None) -> None:
        """A piece of work comes, a little after whatever was before it."""
        self.now += 0.125
        model = Ticket(criticality, self.now, self.now + min(40.0 if timeout is None else timeout, 40.0))
        expected = self.expected(model)
        if expected == "Wait" and len(self.open) >= 5:
            expected = "Refused"
        verdict = self.machine.arrive(criticality, timeout, at(self.now, self.level))
        assert type(verdict).__name__ == {"Wait": "Ticket"}.get(expected, expected)
        if isinstance(verdict, Ticket):
            self.open.append(verdict)

    def ask(self) -> None:
        """Poll all, in the order of their turns."""
        for ticket in sorted(self.open, key=lambda one: (self.rank(one), one.since)):
            expected = self.expected(ticket)
            verdict = self.machine.poll(ticket, at(self.now, self.level))
            assert type(verdict).__name__ == expected
            if isinstance(verdict, Wait):
                assert self.now < verdict.until <= ticket.deadline
            else:
                self.open.remove(ticket)

    @invariant()
    def same_line(self) -> None:
        """Both know the same that wait."""
        assert self.machine.waiting == len(self.open) <= 5


TestAdmissionAgainstModel = AdmissionAgainstModel.TestCase
TestAdmissionAgainstModel.settings = settings(max_examples=60, stateful_step_count=40)

"""The schedule machine: rules one by one, and all of them against a plain model."""

from __future__ import annotations

import math

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from selfheal.tasks.schedule import NEVER, Hold, Phase, Schedule


def run_through(schedule: Schedule, now: float) -> None:
    """Fire, begin and end one run at one moment."""
    assert schedule.fire(now)
    assert schedule.end(schedule.begin(now), now)


def test_slots_lie_on_the_grid_however_late_the_runs_are() -> None:
    """A late run moves no later slot."""
    schedule = Schedule(1000.0, 10.0)
    for late in (0.0, 3.0, 9.5, 0.1):
        run_through(schedule, schedule.due + late)

    assert schedule.due == 1040.0
    assert schedule.missed == 0


def test_a_gap_of_a_week_is_one_run_and_one_division() -> None:
    """A machine that slept a week finds its next slot at once, not by counting through it."""
    schedule = Schedule(1000.0, 0.001)
    week = 7 * 86_400.0

    assert schedule.fire(1000.0 + week)
    assert schedule.due > 1000.0 + week
    assert schedule.due <= 1000.0 + week + 0.001 + 1e-6
    assert schedule.missed == pytest.approx(week / 0.001, abs=1)


@pytest.mark.parametrize("every", [0.1, 0.3, 1 / 3, 7.0, 1e-3])
def test_rounding_never_fires_a_slot_twice_or_leaves_one_out(every: float) -> None:
    """Firing at exactly each due time takes exactly one slot, however ``every`` rounds."""
    schedule = Schedule(1000.1, every)
    for number in range(2000):
        assert schedule.due == (1000.1 if number == 0 else 1000.1 + number * every)
        run_through(schedule, schedule.due)

    assert schedule.missed == 0


@pytest.mark.parametrize("first", [1000.1, 0.1, 3.3])
@pytest.mark.parametrize("every", [0.1, 0.3, 1 / 3, 7.0, 1e-3])
def test_a_gap_that_ends_right_before_a_slot_leaves_that_slot_to_come(first: float, every: float) -> None:
    """However division rounds, a moment before a slot is before it, and the slot itself is at it."""
    for number in range(2, 2000):
        slot = first + number * every
        before, at = Schedule(first, every), Schedule(first, every)
        before.fire(math.nextafter(slot, 0.0))
        at.fire(slot)

        assert (before.due, before.missed) == (slot, number - 1)
        assert (at.due, at.missed) == (first + (number + 1) * every, number)


def test_later_than_its_grace_is_a_misfire_that_still_runs_once() -> None:
    """With run_once a late run makes up for all slots that passed, and both are counted."""
    schedule = Schedule(1000.0, 10.0, grace=10.0)

    assert schedule.fire(1035.0)
    assert (schedule.misfires, schedule.missed, schedule.due) == (1, 3, 1040.0)


def test_later_than_its_grace_is_left_out_with_skip() -> None:
    """With skip a late run does not happen, and every slot that passed counts as missed."""
    schedule = Schedule(1000.0, 10.0, grace=10.0, skip_late=True)

    assert not schedule.fire(1035.0)
    assert (schedule.misfires, schedule.missed, schedule.due) == (1, 4, 1040.0)


def test_within_its_grace_is_no_misfire() -> None:
    """Slots that pass within the grace coalesce into one run without a misfire."""
    schedule = Schedule(1000.0, 10.0, grace=60.0, skip_late=True)

    assert schedule.fire(1035.0)
    assert (schedule.misfires, schedule.missed) == (0, 3)


def test_a_run_that_waits_in_the_queue_beyond_its_grace_is_left_out() -> None:
    """The grace holds until the run begins, not only until it is queued."""
    schedule = Schedule(1000.0, 100.0, grace=5.0, skip_late=True)
    schedule.fire(1000.0)

    assert schedule.begin(1006.0) == 0
    assert (schedule.misfires, schedule.missed, schedule.phase) == (1, 1, Phase.WAITING)


def test_a_late_run_counts_as_one_misfire() -> None:
    """A run that was late when fired is not counted again for the time it then waits."""
    schedule = Schedule(1000.0, 100.0, grace=5.0)
    schedule.fire(1010.0)
    schedule.begin(1030.0)

    assert schedule.misfires == 1


def test_an_overrun_slot_is_skipped() -> None:
    """A slot that comes while the task runs is left out and counted."""
    schedule = Schedule(1000.0, 10.0)
    schedule.fire(1000.0)
    run = schedule.begin(1000.0)

    assert not schedule.fire(1025.0)
    assert schedule.end(run, 1026.0)
    assert (schedule.skipped, schedule.missed, schedule.phase) == (2, 0, Phase.WAITING)


def test_one_overrun_slot_is_buffered() -> None:
    """With buffer_one the first such slot runs right after; further ones are left out."""
    schedule = Schedule(1000.0, 10.0, buffer_one=True)
    schedule.fire(1000.0)
    run = schedule.begin(1000.0)
    schedule.fire(1010.0)
    schedule.fire(1020.0)

    assert schedule.end(run, 1026.0)
    assert schedule.phase is Phase.QUEUED
    assert schedule.begin(1026.0) == run + 1
    assert schedule.skipped == 1


def test_the_result_of_an_abandoned_run_does_not_count() -> None:
    """Once given up, a run that ends after all changes nothing but lets the task run again."""
    schedule = Schedule(1000.0, 10.0)
    schedule.fire(1000.0)
    run = schedule.begin(1000.0)

    assert schedule.abandon(run, 1005.0)
    assert not schedule.fire(1010.0)
    assert not schedule.end(run, 1011.0)
    assert schedule.phase is Phase.STUCK
    schedule.release(run, 1011.0)
    assert schedule.phase is Phase.WAITING


def test_a_stuck_task_may_be_told_to_run_again() -> None:
    """With rerun_stuck the next slot runs though the abandoned run is still alive, and its end is ignored."""
    schedule = Schedule(1000.0, 10.0, rerun_stuck=True)
    schedule.fire(1000.0)
    old = schedule.begin(1000.0)
    schedule.abandon(old, 1005.0)
    schedule.fire(1010.0)
    new = schedule.begin(1010.0)

    schedule.release(old, 1011.0)
    assert schedule.phase is Phase.RUNNING
    assert schedule.end(new, 1012.0)


def test_a_blocked_task_runs_once_what_came_while_it_waited() -> None:
    """A task that replaced a running one keeps its first slot until that run has ended."""
    schedule = Schedule(1000.0, 10.0, blocked=True)

    assert not schedule.fire(1000.0)
    assert not schedule.fire(1010.0)
    schedule.unblock(1012.0)
    assert schedule.phase is Phase.QUEUED
    assert schedule.skipped == 1


def test_pause_keeps_the_grid_and_resume_counts_no_misses() -> None:
    """After a pause the next slot is the one it would have been without it."""
    schedule = Schedule(1000.0, 10.0)
    schedule.pause()

    assert schedule.due == NEVER
    assert schedule.resume(1047.0)
    assert (schedule.due, schedule.missed) == (1050.0, 0)


def test_a_slot_taken_before_a_pause_does_not_come_again_after_it() -> None:
    """Pausing and resuming at the moment of a slot does not run it twice."""
    schedule = Schedule(1000.0, 10.0)
    run_through(schedule, 1000.0)
    schedule.pause()
    schedule.resume(1000.0)

    assert schedule.due == 1010.0


def test_a_slot_due_at_the_moment_of_resuming_runs() -> None:
    """A slot that is not past yet when the task is resumed is not lost."""
    schedule = Schedule(1000.0, 10.0)
    schedule.pause()
    schedule.resume(1020.0)

    assert schedule.due == 1020.0


def test_two_holds_need_two_releases() -> None:
    """A task paused on its own stays paused when the pause of all ends."""
    schedule = Schedule(1000.0, 10.0)
    schedule.pause(Hold.OWN)
    schedule.pause(Hold.ALL)
    schedule.resume(1000.0, Hold.ALL)

    assert schedule.paused
    assert schedule.resume(1000.0)
    assert not schedule.paused


def test_a_paused_single_run_happens_after_resume() -> None:
    """A single run whose moment passed in a pause is not lost, and not a misfire."""
    schedule = Schedule(1000.0, grace=5.0, skip_late=True)
    schedule.fire(1000.0)
    schedule.pause()
    assert schedule.begin(1000.0) == 0
    schedule.resume(1100.0)

    run_through(schedule, schedule.due)
    assert (schedule.phase, schedule.due, schedule.misfires) == (Phase.DONE, NEVER, 0)


def test_restart_forgets_the_run_that_is_in_another_process() -> None:
    """After a fork the child neither waits for the parent's run nor counts what passed."""
    schedule = Schedule(1000.0, 10.0)
    schedule.fire(1000.0)
    run = schedule.begin(1000.0)
    schedule.restart(1055.0)

    assert not schedule.end(run, 1056.0)
    assert (schedule.phase, schedule.due, schedule.missed) == (Phase.WAITING, 1060.0, 0)


def test_restart_does_not_repeat_a_single_run() -> None:
    """A single run that was under way at a fork belongs to the parent alone."""
    schedule = Schedule(1000.0)
    schedule.fire(1000.0)
    schedule.begin(1000.0)
    schedule.restart(1055.0)

    assert schedule.phase is Phase.DONE


class Model:
    """The same rules, slot by slot, in the plainest way."""

    def __init__(self, first: float, every: float, grace: float, skip_late: bool, buffer_one: bool) -> None:
        self.first, self.every, self.grace = first, every, grace
        self.skip_late, self.buffer_one = skip_late, buffer_one
        self.next = 0
        self.state = "waiting"
        self.waits_since = 0.0
        self.waiting_slot = False
        self.paused = False
        self.ran = self.missed = self.skipped = self.withdrawn = 0

    def due(self) -> float:
        if self.paused or (math.isinf(self.every) and self.next > 0):
            return NEVER
        return self.first if self.next == 0 else self.first + self.next * self.every

    def fire(self, now: float) -> None:
        oldest, taken = self.due(), 0
        while self.due() <= now:
            taken += 1
            self.next += 1
        if self.state != "waiting":
            if self.buffer_one and not self.waiting_slot:
                self.waiting_slot = True
                self.missed += taken - 1
            else:
                self.skipped += taken
        elif now - oldest > self.grace and self.skip_late:
            self.missed += taken
            self.rest(now)
        else:
            self.missed += taken - 1
            self.state = "queued"
            self.waits_since = math.inf if now - oldest > self.grace else oldest

    def begin(self, now: float) -> None:
        if now - self.waits_since > self.grace and self.skip_late:
            self.missed += 1
            self.rest(now)
        else:
            self.state = "running"
            self.ran += 1

    def rest(self, now: float) -> None:
        self.state = "waiting"
        if self.waiting_slot:
            self.waiting_slot, self.state, self.waits_since = False, "queued", now
        elif math.isinf(self.every):
            self.state = "done"

    def pause(self) -> None:
        self.paused = True
        self.withdrawn += (self.state == "queued") + self.waiting_slot
        if self.state == "queued":
            self.state = "waiting"
        self.waiting_slot = False

    def resume(self, now: float) -> None:
        self.paused = False
        while self.due() < now:
            self.next += 1
            self.withdrawn += 1


@st.composite
def settings_of_a_schedule(draw: st.DrawFn) -> dict[str, float]:
    """Any accepted combination."""
    every = draw(st.sampled_from([0.1, 1 / 3, 1.0, 7.0, 60.0]))
    return {
        "every": every,
        "grace": draw(st.sampled_from([0.0, every / 2, every, 5 * every, NEVER])),
        "skip_late": draw(st.booleans()),
        "buffer_one": draw(st.booleans()),
    }


class ScheduleAgainstModel(RuleBasedStateMachine):
    """Any order of time passing, firing, beginning, ending, giving up, pausing."""

    @initialize(chosen=settings_of_a_schedule(), first=st.floats(1000.0, 1010.0))
    def make(self, chosen: dict[str, float], first: float) -> None:
        self.now = 1000.0
        options = dict(chosen)
        every = options.pop("every")
        self.real = Schedule(first, every, **options)  # type: ignore[arg-type]
        self.model = Model(first, every, options["grace"], bool(options["skip_late"]), bool(options["buffer_one"]))
        self.run = 0

    @rule(seconds=st.one_of(st.floats(0.0, 1.0), st.floats(0.0, 400.0)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.real.due < NEVER)
    @rule()
    def time_passes_to_the_slot(self) -> None:
        self.now = max(self.now, self.real.due)

    @precondition(lambda self: self.real.due <= self.now)
    @rule()
    def fire(self) -> None:
        self.real.fire(self.now)
        self.model.fire(self.now)

    @precondition(lambda self: self.real.phase is Phase.QUEUED)
    @rule()
    def begin(self) -> None:
        self.run = self.real.begin(self.now)
        self.model.begin(self.now)
        assert bool(self.run) == (self.model.state == "running")

    @precondition(lambda self: self.real.phase is Phase.RUNNING)
    @rule()
    def end(self) -> None:
        assert self.real.end(self.run, self.now)
        assert not self.real.end(self.run, self.now)
        self.model.rest(self.now)

    @precondition(lambda self: self.real.phase is Phase.RUNNING)
    @rule()
    def give_up_and_end_late(self) -> None:
        assert self.real.abandon(self.run, self.now)
        assert self.real.phase is Phase.STUCK
        assert self.real.begin(self.now) == 0
        assert not self.real.end(self.run, self.now)
        self.real.release(self.run, self.now)
        self.model.rest(self.now)

    @precondition(lambda self: not self.real.paused)
    @rule()
    def pause(self) -> None:
        assert self.real.pause()
        self.model.pause()

    @precondition(lambda self: self.real.paused)
    @rule()
    def resume(self) -> None:
        assert self.real.resume(self.now)
        self.model.resume(self.now)

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "real"):
            return
        assert self.real.due == self.model.due()
        assert self.real.phase.value == self.model.state
        assert self.real.paused == self.model.paused
        assert self.real.buffered == self.model.waiting_slot
        assert (self.real.missed, self.real.skipped) == (self.model.missed, self.model.skipped)

    @invariant()
    def every_slot_is_accounted_for(self) -> None:
        if not hasattr(self, "real"):
            return
        held = (self.real.phase is Phase.QUEUED) + self.real.buffered
        told = self.model.ran + self.real.missed + self.real.skipped + self.model.withdrawn + held
        assert told == self.model.next


TestScheduleAgainstModel = ScheduleAgainstModel.TestCase

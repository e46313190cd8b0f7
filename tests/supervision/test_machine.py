"""The states of a worker: beside a plain model over any run of events, and one by one."""

from __future__ import annotations

import math

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from selfheal.supervision.configs import HeartbeatProbe, RestartPolicy, StopPolicy, When, WorkerConfig
from selfheal.supervision.exits import Exit, ExitKind
from selfheal.supervision.machine import WorkerMachine
from selfheal.supervision.states import Ending, Fate, Memory, Order, WorkerState

T0 = 1000.0
CRASH = Exit(kind=ExitKind.CRASH, code=1)
CLEAN = Exit(kind=ExitKind.CLEAN, code=0)
ENDED = Exit(kind=ExitKind.ENDED, signal="SIGTERM")
RETURN_NEVER = Exit(kind=ExitKind.NO_RESTART, code=78)


def config(
    *,
    checked: bool = True,
    when: When = When.ALWAYS,
    intensity: int = 2,
    period: float = 100.0,
    backoff: float = 1.0,
    max_bad: int = 8,
) -> WorkerConfig:
    """Settings with short, round times."""
    return WorkerConfig(
        command=["work"],
        health=HeartbeatProbe(every=1.0) if checked else None,
        hung_after=30.0,
        min_uptime=2.0,
        start_timeout=20.0,
        max_bad=max_bad,
        restart=RestartPolicy(when=when, intensity=intensity, period=period, backoff=backoff),
        stop=StopPolicy(grace=5.0),
    )


def started(made: WorkerConfig | None = None) -> WorkerMachine:
    """A machine whose process was just started."""
    machine = WorkerMachine(made or config(), T0)
    assert machine.start(T0) is Order.SPAWN
    machine.spawned(T0)
    return machine


def running(made: WorkerConfig | None = None) -> WorkerMachine:
    """A machine that is RUNNING since T0 + 2."""
    machine = started(made)
    machine.checked(machine.generation, T0 + 1, True)
    assert machine.tick(T0 + 2) is None
    assert machine.state is WorkerState.RUNNING
    return machine


class Plain:
    """What a worker ought to do, in the plainest words: no window kept, no deadline stored, all from the story."""

    def __init__(self, made: WorkerConfig) -> None:
        self.config = made
        self.state = "STOPPED"
        self.alive = self.held = self.good = False
        self.ending = ""
        self.born = self.heard = self.told = self.again = 0.0
        self.restarts: list[float] = []
        self.checks: list[bool] = []
        self.forced = 0.0

    def born_again(self, now: float) -> str:
        self.state, self.alive, self.good, self.born, self.heard, self.checks = "STARTING", True, False, now, now, []
        return "spawn"

    def failed(self, now: float) -> str:
        policy = self.config.restart
        recent = [at for at in self.restarts if at > now - policy.period]
        if policy.when is When.NEVER or len(recent) + 1 > policy.intensity:
            self.state = "FAILED"
            return ""
        self.restarts.append(now)
        self.again = now + policy.backoff * policy.factor ** len(recent)
        self.state = "BACKOFF"
        return ""

    def told_to_end(self, now: float, why: str) -> str:
        if self.ending:
            self.ending = why
            return ""
        self.ending, self.forced = why, now + self.config.stop.grace
        return "term"

    def died(self, now: float, exit: Exit) -> str:
        why, self.ending, self.alive = self.ending, "", False
        when = self.config.restart.when
        if why == "stop":
            self.state = "STOPPED"
        elif why == "restart":
            return self.born_again(now)
        elif why:
            return self.failed(now)
        elif exit.kind is ExitKind.CLEAN and when is not When.ALWAYS:
            self.state = "STOPPED"
        elif exit.kind is ExitKind.NO_RESTART:
            self.state = "FAILED"
        else:
            return self.failed(now)
        return ""

    def passed(self, now: float) -> str:
        if self.ending:
            if now < self.forced:
                return ""
            self.forced = now + self.config.stop.grace
            return "kill"
        if self.state == "BACKOFF" and now >= self.again:
            return self.born_again(now)
        checked = self.config.health is not None
        if self.state == "STARTING" and (self.good or not checked) and now - self.born >= self.config.min_uptime:
            self.state, self.heard = "RUNNING", now
        elif self.state == "STARTING" and now - self.born >= self.config.start_timeout:
            return self.told_to_end(now, "start-timeout")
        elif self.state == "RUNNING" and checked and now - self.heard >= self.config.hung_after:
            return self.told_to_end(now, "hung")
        return ""

    def checked(self, now: float, good: bool) -> str:
        self.checks.append(good)
        if good:
            self.good, self.heard = True, now
        bad = self.checks[-10:].count(False)
        if self.state == "RUNNING" and not self.ending and not good and bad >= self.config.max_bad:
            return self.told_to_end(now, "unhealthy")
        return self.passed(now)


class BesideThePlainModel(RuleBasedStateMachine):
    """Any run of events and times, told to both; and what must hold at every moment."""

    @initialize(
        checked=st.booleans(),
        when=st.sampled_from(When),
        intensity=st.integers(0, 3),
        max_bad=st.sampled_from([1, 3, 10]),
    )
    def make(self, checked: bool, when: When, intensity: int, max_bad: int) -> None:
        """Choose the settings."""
        made = config(checked=checked, when=when, intensity=intensity, max_bad=max_bad)
        self.now = T0
        self.real, self.plain = WorkerMachine(made, T0), Plain(made)
        self.begun: list[float] = []

    def told(self, order: Order | None, expected: str, *, by_hand: bool = False) -> None:
        """Compare the order, and do it."""
        assert (order or "") == expected
        if order is Order.SPAWN:
            assert not self.real.alive, "a second process beside a live one"
            assert by_hand or not self.plain.held, "a worker that a person stopped was started"
            self.real.spawned(self.now)

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0, 19.0, 30.0, 101.0]))
    def time_passes(self, seconds: float) -> None:
        """Nothing happens for a while."""
        self.now += seconds
        self.told(self.real.tick(self.now), self.plain.passed(self.now))

    @rule()
    def until_it_is_due(self) -> None:
        """Time passes exactly until the machine asks for it; a moment before, nothing happens."""
        due = self.real.due()
        if due in (math.inf,) or due < self.now:
            return
        if due - 0.01 > self.now:
            self.now = due - 0.01
            self.told(self.real.tick(self.now), "")
        self.now = due
        before = (self.real.state, self.real.ending, self.real.due())
        self.told(self.real.tick(self.now), self.plain.passed(self.now))
        assert (self.real.state, self.real.ending, self.real.due()) != before

    @rule(good=st.booleans())
    def check(self, good: bool) -> None:
        """A health check comes back."""
        if self.real.alive:
            self.told(self.real.checked(self.real.generation, self.now, good), self.plain.checked(self.now, good))

    @rule(good=st.booleans())
    def late_check(self, good: bool) -> None:
        """A check of an earlier process comes back: it changes nothing."""
        self.told(self.real.checked(self.real.generation - 1, self.now, good), "")

    @precondition(lambda self: self.real.alive)
    @rule(exit=st.sampled_from([CRASH, CLEAN, RETURN_NEVER]))
    def process_ends(self, exit: Exit) -> None:
        """The process ends."""
        self.told(self.real.exited(self.now, exit), self.plain.died(self.now, exit))

    @rule()
    def start(self) -> None:
        """A person starts it."""
        plain, expected = self.plain, ""
        if plain.state != "FAILED":
            plain.held = False
            if plain.alive:
                plain.ending = "restart" if plain.ending == "stop" else plain.ending
            else:
                expected = plain.born_again(self.now)
        self.told(self.real.start(self.now), expected, by_hand=True)

    @rule(hold=st.booleans())
    def stop(self, hold: bool) -> None:
        """A person, or a shutdown, stops it."""
        plain, expected = self.plain, ""
        plain.held = plain.held or hold
        if plain.alive:
            expected = plain.told_to_end(self.now, "stop")
        elif plain.state == "BACKOFF":
            plain.state = "STOPPED"
        self.told(self.real.stop(self.now, "why", hold=hold), expected)

    @rule()
    def restart(self) -> None:
        """Somebody, perhaps a healer, restarts it."""
        plain, expected = self.plain, ""
        if plain.state != "FAILED" and not plain.held:
            alive = plain.alive
            expected = plain.told_to_end(self.now, "restart") if alive else plain.born_again(self.now)
        self.told(self.real.restart(self.now, "why"), expected)

    @rule()
    def reset(self) -> None:
        """A person resets it."""
        was = self.plain.state == "FAILED"
        if was:
            self.plain.state, self.plain.restarts = "STOPPED", []
        assert self.real.reset(self.now, "mended") is was

    @rule(alive=st.booleans())
    def supervisor_is_replaced(self, alive: bool) -> None:
        """The supervisor is killed, and another goes on with what was written down."""
        memory = self.real.memory(self.now)
        if not self.plain.alive:
            again = WorkerMachine(self.real.config, self.now)
            assert again.restore(self.now, memory, Fate.NO_PROCESS) is None
            self.real = again
        elif not self.plain.ending and self.plain.state == "RUNNING" and alive:
            again = WorkerMachine(self.real.config, self.now)
            assert again.restore(self.now, memory, Fate.ALIVE) is None
            self.real = again
            self.plain.heard, self.plain.checks = self.now, []

    @invariant()
    def same(self) -> None:
        """Both stand in the same place."""
        real, plain = self.real, self.plain
        assert (real.state, real.alive, real.held, str(real.ending or "")) == (
            plain.state,
            plain.alive,
            plain.held,
            plain.ending,
        )

    @invariant()
    def restarts_are_bounded(self) -> None:
        """No window of the period has more restarts than the intensity."""
        assert self.real.restarts(self.now) <= self.real.config.restart.intensity

    @invariant()
    def moves_follow_one_another(self) -> None:
        """Each move begins where the one before ended, and FAILED is left by a reset alone."""
        for first, second in zip(self.real.moves, self.real.moves[1:], strict=False):
            assert first.new is second.old
        left = [move for move in self.real.moves if move.old is WorkerState.FAILED]
        assert all(move.new is WorkerState.STOPPED and move.reason == "mended" for move in left)


TestBesideThePlainModel = BesideThePlainModel.TestCase


def test_running_needs_min_uptime_and_a_good_check() -> None:
    """Neither the uptime nor a good check alone makes it RUNNING."""
    only_up, only_good = started(), started()
    only_up.tick(T0 + 2)
    only_good.checked(1, T0 + 1, True)

    assert only_up.state is only_good.state is WorkerState.STARTING
    assert only_up.checked(1, T0 + 3, True) is None
    assert only_up.state is WorkerState.RUNNING


def test_without_a_check_uptime_is_enough() -> None:
    """A worker without a health check is RUNNING at its minimum uptime."""
    machine = started(config(checked=False))
    machine.tick(T0 + 2)

    assert machine.state is WorkerState.RUNNING
    assert machine.due() == math.inf


def test_never_well_is_ended_at_the_start_timeout() -> None:
    """Bad checks while STARTING count for nothing until the start timeout, which ends it."""
    machine = started()
    for second in range(1, 20):
        assert machine.checked(1, T0 + second, False) is None

    assert machine.tick(T0 + 20) is Order.TERM
    assert machine.ending is Ending.START_TIMEOUT
    assert machine.exited(T0 + 21, ENDED) is None
    assert (machine.state, machine.retry_at) == (WorkerState.BACKOFF, T0 + 22)


def test_silence_is_hung_then_killed() -> None:
    """30 s without a good check: told to end; not gone after the grace: killed, again and again."""
    machine = running()

    assert machine.due() == T0 + 32
    assert machine.tick(T0 + 31.9) is None
    assert machine.tick(T0 + 32) is Order.TERM
    assert machine.ending is Ending.HUNG
    assert machine.tick(T0 + 36.9) is None
    assert machine.tick(T0 + 37) is Order.KILL
    assert machine.tick(T0 + 42) is Order.KILL


def test_a_check_that_could_not_be_made_is_no_silence() -> None:
    """It is neither good nor bad: 30 s after the last such check it is hung. One of an earlier process says nothing."""
    machine = running()
    machine.not_checked(machine.generation, T0 + 20)
    machine.not_checked(machine.generation - 1, T0 + 40)

    assert machine.due() == T0 + 50
    assert machine.last_good == T0 + 2
    assert machine.tick(T0 + 49.9) is None
    assert machine.tick(T0 + 50) is Order.TERM


def test_a_flapping_check_is_no_silence_but_too_many_bad_ones_are_too_many() -> None:
    """Every other check bad never restarts it; eight bad ones of the last ten do, though good ones lie between."""
    flapping, bad = running(), running()
    for second in range(3, 100):
        assert flapping.checked(1, T0 + second, second % 2 == 0) is None
    orders = [bad.checked(1, T0 + second, second % 5 == 0) for second in range(3, 20)]

    assert flapping.state is WorkerState.RUNNING
    assert orders.index(Order.TERM) == 9
    assert bad.ending is Ending.UNHEALTHY


def test_more_than_the_intensity_is_failed_though_it_ran_well_between() -> None:
    """A good run between two crashes does not clear the count: the third restart in 100 s is one too many."""
    machine = running()
    for crash in (10.0, 40.0):
        assert machine.exited(T0 + crash, CRASH) is None
        assert machine.tick(T0 + crash + 4) is Order.SPAWN
        machine.spawned(T0 + crash + 4)
        machine.checked(machine.generation, T0 + crash + 6, True)
        assert machine.state is WorkerState.RUNNING
    machine.exited(T0 + 90, CRASH)

    assert machine.state is WorkerState.FAILED
    assert machine.reason == "exit code 1; it would be more than 2 restarts in 100 s"
    assert machine.due() == math.inf
    assert machine.start(T0 + 500) is None
    assert machine.restart(T0 + 500, "healing") is None
    assert machine.reset(T0 + 500, "mended")
    assert machine.start(T0 + 500) is Order.SPAWN


def test_restarts_leave_the_count_when_they_are_old() -> None:
    """Crashes far enough apart go on for ever, at the bounded rate."""
    machine = running()
    for crash in range(1, 20):
        assert machine.exited(T0 + 60 * crash, CRASH) is None
        assert machine.tick(T0 + 60 * crash + 4) is Order.SPAWN
        machine.spawned(T0 + 60 * crash + 4)

    assert machine.total_restarts == 19
    assert machine.restarts(T0 + 60 * 19) == 2


def test_waits_grow_within_the_period() -> None:
    """The n-th restart of the period waits factor times as long as the one before, up to the cap."""
    policy = RestartPolicy(intensity=9, backoff=1.0, factor=3.0, cap=20.0)

    assert [policy.delay(n) for n in range(1, 6)] == [1.0, 3.0, 9.0, 20.0, 20.0]


@pytest.mark.parametrize(
    ("when", "exit", "state"),
    [
        (When.ALWAYS, CLEAN, WorkerState.BACKOFF),
        (When.ALWAYS, CRASH, WorkerState.BACKOFF),
        (When.ALWAYS, RETURN_NEVER, WorkerState.FAILED),
        (When.ON_FAILURE, CLEAN, WorkerState.STOPPED),
        (When.ON_FAILURE, CRASH, WorkerState.BACKOFF),
        (When.ON_FAILURE, RETURN_NEVER, WorkerState.FAILED),
        (When.NEVER, CLEAN, WorkerState.STOPPED),
        (When.NEVER, CRASH, WorkerState.FAILED),
    ],
)
def test_ends_are_told_apart(when: When, exit: Exit, state: WorkerState) -> None:
    """What follows an end depends on how it ended and on the policy."""
    machine = running(config(when=when))
    machine.exited(T0 + 3, exit)

    assert machine.state is state


def test_a_finished_worker_may_be_restarted_but_not_one_stopped_by_hand() -> None:
    """A stop by hand is sticky: no restart passes it, only a start."""
    finished, stopped = running(config(when=When.ON_FAILURE)), running()
    finished.exited(T0 + 3, CLEAN)
    assert stopped.stop(T0 + 3, "being moved") is Order.TERM
    stopped.exited(T0 + 4, ENDED)

    assert finished.restart(T0 + 5, "again") is Order.SPAWN
    assert stopped.restart(T0 + 5, "healing") is None
    assert stopped.reason == "being moved"
    assert stopped.start(T0 + 6) is Order.SPAWN


def test_a_program_that_cannot_be_run_is_given_up_in_bounded_time() -> None:
    """Failing to start counts like a crash: so many restarts, then FAILED."""
    machine, now = WorkerMachine(config(), T0), T0
    order, spawns = machine.start(now), 0
    while order is Order.SPAWN:
        spawns += 1
        machine.not_spawned(now, "no such file")
        now = min(machine.due(), now + 1000)
        order = machine.tick(now)

    assert spawns == 3
    assert machine.state is WorkerState.FAILED
    assert str(machine.last_exit) == "could not be started: no such file"


@pytest.mark.parametrize(
    ("memory", "fate", "state", "order", "ending"),
    [
        (Memory(state=WorkerState.RUNNING, good_seen=True), Fate.ALIVE, WorkerState.RUNNING, None, None),
        (Memory(state=WorkerState.STARTING), Fate.ALIVE, WorkerState.STARTING, None, None),
        (
            Memory(state=WorkerState.RUNNING, held=True, ending=Ending.STOP),
            Fate.ALIVE,
            WorkerState.RUNNING,
            Order.TERM,
            Ending.STOP,
        ),
        (
            Memory(state=WorkerState.RUNNING, ending=Ending.STOP),
            Fate.ALIVE,
            WorkerState.RUNNING,
            Order.TERM,
            Ending.RESTART,
        ),
        (
            Memory(state=WorkerState.RUNNING, ending=Ending.HUNG),
            Fate.ALIVE,
            WorkerState.RUNNING,
            Order.TERM,
            Ending.HUNG,
        ),
        (Memory(state=WorkerState.STOPPED), Fate.ALIVE, WorkerState.STARTING, Order.TERM, Ending.STOP),
        (Memory(state=WorkerState.RUNNING), Fate.GONE, WorkerState.BACKOFF, None, None),
        (Memory(state=WorkerState.RUNNING, held=True), Fate.GONE, WorkerState.STOPPED, None, None),
        (Memory(state=WorkerState.RUNNING), Fate.NO_PROCESS, WorkerState.STARTING, Order.SPAWN, None),
        (Memory(state=WorkerState.BACKOFF, retry_in=3.0), Fate.NO_PROCESS, WorkerState.BACKOFF, None, None),
        (Memory(state=WorkerState.FAILED), Fate.NO_PROCESS, WorkerState.FAILED, None, None),
        (Memory(state=WorkerState.STOPPED, held=True), Fate.NO_PROCESS, WorkerState.STOPPED, None, None),
    ],
)
def test_the_next_supervisor_goes_on(
    memory: Memory, fate: Fate, state: WorkerState, order: Order | None, ending: Ending | None
) -> None:
    """From what was written down and what became of the process follows where it stands now."""
    machine = WorkerMachine(config(), T0)

    assert machine.restore(T0, memory, fate) is order
    assert (machine.state, machine.ending) == (state, ending)


def test_restarts_are_counted_over_supervisors() -> None:
    """A crash loop is no longer because the supervisor was killed in it."""
    machine = WorkerMachine(config(), T0)
    machine.restore(T0, Memory(state=WorkerState.RUNNING, restarts=(99.0, 50.0)), Fate.GONE)
    assert machine.state is WorkerState.FAILED

    older = WorkerMachine(config(), T0)
    older.restore(T0, Memory(state=WorkerState.RUNNING, restarts=(101.0, 50.0)), Fate.GONE)
    assert (older.state, older.retry_at) == (WorkerState.BACKOFF, T0 + 2.0)

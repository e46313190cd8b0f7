"""The pool's decisions, without a process or a thread."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from selfheal.errors import ConfigError
from selfheal.resources import Criticality, Delivery
from selfheal.supervision.pool_machine import PoolMachine
from selfheal.supervision.pool_options import PoolOptions
from selfheal.supervision.pool_records import PoolState, WorkerPhase
from selfheal.supervision.pool_steps import Kill, Ping, Start, Stop

NOW = 1000.0


def delivery(id: int) -> Delivery:
    """A delivery as good as any."""
    return Delivery(id, None, 1, NOW + 60.0, "w", 1, 5, Criticality.DEFAULT)


def started(**options: Any) -> PoolMachine:
    """A running machine whose workers are ready."""
    machine = PoolMachine(PoolOptions(**options))
    machine.start()
    for step in machine.plan(NOW):
        assert isinstance(step, Start)
        machine.ready(step.worker, 7, NOW)
    return machine


def test_it_starts_as_many_as_wanted_and_no_more() -> None:
    """One plan starts them all, the next has nothing to do."""
    machine = PoolMachine(PoolOptions(size=3))
    assert machine.plan(NOW) == []
    assert machine.start()
    assert not machine.start()

    assert machine.plan(NOW) == [Start("pool-1"), Start("pool-2"), Start("pool-3")]
    assert machine.plan(NOW) == []


def test_shrinking_takes_idle_ones_first_and_lets_busy_ones_finish() -> None:
    """The idle worker is told to end at once, a busy one after its task."""
    machine = started(size=3)
    machine.assign("pool-1", delivery(1), NOW)
    machine.assign("pool-3", delivery(3), NOW)
    machine.scale(1)

    assert machine.plan(NOW) == [Stop("pool-2")]
    assert machine.idle() is None
    (retiring,) = [w.name for w in machine.workers.values() if w.retiring and w.phase is WorkerPhase.BUSY]
    assert machine.finished(retiring, NOW + 1, good=True) is not None
    assert machine.plan(NOW + 1) == [Stop(retiring)]
    assert machine.ended(retiring, NOW + 2, "exit code 0").how == "stopped"


def test_growing_back_counts_only_those_that_stay() -> None:
    """A retiring worker is replaced though it still works."""
    machine = started(size=1)
    machine.assign("pool-1", delivery(1), NOW)
    machine.retire("pool-1", kill=False)

    assert machine.plan(NOW) == [Start("pool-2")]


@pytest.mark.parametrize(
    ("prepare", "after"),
    [
        (lambda m: None, 30.0),
        (lambda m: m.ready("pool-1", 7, NOW) or m.assign("pool-1", delivery(1), NOW), 5.0),
    ],
    ids=["starting", "busy"],
)
def test_overdue_workers_are_killed_once(prepare: Any, after: float) -> None:
    """At its deadline, not before; and it is not killed again while its end is awaited."""
    machine = PoolMachine(PoolOptions(size=1, task_timeout=5.0))
    machine.start()
    machine.plan(NOW)
    prepare(machine)
    machine.scale(0)
    machine.scale(1)

    assert Kill("pool-1") not in machine.plan(NOW + after - 0.001)
    assert machine.next_alarm() == NOW + after
    assert Kill("pool-1") in machine.plan(NOW + after)
    assert Kill("pool-1") not in machine.plan(NOW + after + 1)
    ending = machine.ended("pool-1", NOW + after + 1, "killed by SIGKILL")
    assert ending.how == "hung"
    assert machine.hung == 1


def test_idle_workers_are_asked_and_killed_when_silent() -> None:
    """One question at a time; an answer starts the time anew."""
    machine = started(size=1, ping_every=10.0, silent_after=30.0)
    assert machine.next_alarm() == NOW + 10
    assert machine.plan(NOW + 10) == [Ping("pool-1")]
    assert machine.plan(NOW + 11) == []
    machine.heard("pool-1", NOW + 12)
    assert machine.plan(NOW + 21.9) == []
    assert machine.plan(NOW + 22) == [Ping("pool-1")]

    assert machine.plan(NOW + 51.9) == []
    assert machine.plan(NOW + 52)[0] == Kill("pool-1")


def test_progress_starts_the_tasks_time_anew() -> None:
    """The timeout counts from the last sign."""
    machine = started(size=1, task_timeout=5.0)
    machine.assign("pool-1", delivery(1), NOW)
    machine.heard("pool-1", NOW + 4)

    assert machine.plan(NOW + 8.9) == []
    assert Kill("pool-1") in machine.plan(NOW + 9)


def test_the_first_replacement_is_immediate_then_it_backs_off() -> None:
    """Ends in a row without a task done in between are answered later and later; a task done clears that."""
    machine = started(size=1, intensity=100)
    now, waits = NOW, []
    for _ in range(4):
        name = next(iter(machine.workers))
        machine.ended(name, now, "exit code 1")
        waits.append(max(machine.next_alarm() - now, 0.0))
        now += waits[-1]
        assert len(machine.plan(now)) == 1
    assert waits == pytest.approx([0.0, 0.2, 0.4, 0.8])
    name = next(iter(machine.workers))
    machine.ready(name, 7, now)
    machine.assign(name, delivery(1), now)
    machine.finished(name, now, good=True)
    machine.ended(name, now, "exit code 1")

    assert len(machine.plan(now)) == 1


def test_intensity_counts_a_sliding_period() -> None:
    """So many ends within the period are answered; one more fails the pool; older ones do not count."""
    machine = started(size=1, intensity=2, period=100.0)

    def end(now: float) -> bool:
        name = next(iter(machine.workers))
        machine.ready(name, 7, now)
        machine.assign(name, delivery(1), now)
        machine.finished(name, now, good=True)  # a task done does not clear the count
        failed = machine.ended(name, now, "exit code 1").failed
        machine.plan(now)
        return failed

    assert not end(NOW)
    assert not end(NOW + 50)
    assert not end(NOW + 100)
    assert end(NOW + 120)
    assert machine.state is PoolState.FAILED
    assert machine.reason == "3 unplanned ends of workers, more than 2 in 100 s, the last: exit code 1"


def test_failed_finishes_what_is_under_way_and_starts_nothing() -> None:
    """The busy worker keeps its task, idle ones end; only a reset starts new ones."""
    machine = started(size=3, intensity=0)
    machine.assign("pool-1", delivery(1), NOW)
    assert machine.ended("pool-2", NOW, "exit code 1").failed

    assert machine.plan(NOW) == [Stop("pool-3")]
    machine.finished("pool-1", NOW + 1, good=True)
    assert machine.plan(NOW + 1) == [Stop("pool-1")]
    machine.ended("pool-1", NOW + 1, "exit code 0")
    machine.ended("pool-3", NOW + 1, "exit code 0")
    assert machine.plan(NOW + 1000) == []
    assert machine.reset()
    assert not machine.reset()
    assert len(machine.plan(NOW + 1000)) == 3


def test_what_was_told_to_end_counts_as_no_crash() -> None:
    """Stopped and killed workers leave the count of unplanned ends alone, whatever their exit code."""
    machine = started(size=2, intensity=0)
    machine.retire("pool-1", kill=True)
    machine.retire("pool-2", kill=False)
    steps = machine.plan(NOW)
    assert {Kill("pool-1"), Stop("pool-2")} <= set(steps)

    assert machine.ended("pool-1", NOW, "killed by SIGKILL").how == "killed"
    assert machine.ended("pool-2", NOW, "exit code 1").how == "stopped"
    assert machine.recent_ends(NOW) == 0
    assert machine.state is PoolState.RUNNING


def test_stop_has_a_deadline() -> None:
    """Idle ones are told at once, busy ones killed at the deadline, and then it is over."""
    machine = started(size=2)
    machine.assign("pool-1", delivery(1), NOW)
    machine.stop(NOW + 5)
    assert machine.plan(NOW) == [Stop("pool-2")]
    machine.ended("pool-2", NOW, "exit code 0")
    assert machine.plan(NOW + 4.9) == []
    assert machine.plan(NOW + 5) == [Kill("pool-1")]
    ending = machine.ended("pool-1", NOW + 5, "killed by SIGKILL")

    assert (ending.how, ending.delivery) == ("killed", delivery(1))
    assert machine.plan(NOW + 5) == []
    assert machine.state is PoolState.STOPPED


def test_a_worker_that_does_not_end_is_killed_after_its_grace() -> None:
    """It was told to end; it is killed, and that is no crash."""
    machine = started(size=1, stop_grace=5.0)
    machine.scale(0)
    assert machine.plan(NOW) == [Stop("pool-1")]
    assert machine.plan(NOW + 4.9) == []
    assert machine.plan(NOW + 5.0) == [Kill("pool-1")]

    assert machine.ended("pool-1", NOW + 6, "killed by SIGKILL").how == "stopped"


def test_threads_are_not_asked() -> None:
    """A thread that is idle cannot be silent."""
    machine = started(size=1, mode="thread")

    assert machine.plan(NOW + 10_000) == []


@pytest.mark.parametrize(
    "options",
    [{"size": -1}, {"mode": "fibre"}, {"minimum": 5, "maximum": 3}, {"size": 9, "maximum": 3}, {"task_timeout": 0.0}],
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    """What is not accepted is refused by the field's name."""
    with pytest.raises(ConfigError, match=r"PoolOptions\.(size|mode|minimum|task_timeout)"):
        PoolOptions(**options)


class PoolLife(RuleBasedStateMachine):
    """Workers that start, work, crash and hang in any order, steered at random."""

    @initialize(size=st.integers(0, 4), intensity=st.integers(0, 6))
    def begin(self, size: int, intensity: int) -> None:
        self.now = NOW
        self.options = PoolOptions(size=size, maximum=5, intensity=intensity, period=50.0, task_timeout=10.0)
        self.machine = PoolMachine(self.options)
        self.machine.start()
        self.alive: set[str] = set()
        self.told: dict[str, str] = {}
        self.held: dict[str, int] = {}
        self.next = 0
        self.given: list[int] = []
        self.settled: list[int] = []
        self.plan()

    def plan(self) -> None:
        for step in self.machine.plan(self.now):
            if isinstance(step, Start):
                assert step.worker not in self.alive
                self.alive.add(step.worker)
            else:
                assert step.worker in self.alive
                if isinstance(step, Stop):
                    assert step.worker not in self.held
                    assert step.worker not in self.told
                if not isinstance(step, Ping):
                    assert self.told.get(step.worker) != "kill"
                    self.told[step.worker] = "stop" if isinstance(step, Stop) else "kill"

    @rule(pick=st.integers(0, 9))
    def ready(self, pick: int) -> None:
        starting = [w.name for w in self.machine.workers.values() if w.phase is WorkerPhase.STARTING]
        if starting:
            self.machine.ready(starting[pick % len(starting)], 7, self.now)
            self.plan()

    @rule()
    def assign(self) -> None:
        name = self.machine.idle()
        if name is not None:
            assert self.machine.state is PoolState.RUNNING
            assert name not in self.told
            self.next += 1
            self.machine.assign(name, delivery(self.next), self.now)
            self.held[name] = self.next
            self.given.append(self.next)
            self.plan()

    @precondition(lambda self: bool(self.held))
    @rule(pick=st.integers(0, 9), good=st.booleans())
    def finish(self, pick: int, good: bool) -> None:
        name = sorted(self.held)[pick % len(self.held)]
        done = self.machine.finished(name, self.now, good=good)
        assert done is not None
        assert done.id == self.held.pop(name)
        self.settled.append(done.id)
        self.plan()

    @precondition(lambda self: bool(self.alive))
    @rule(pick=st.integers(0, 9))
    def end(self, pick: int) -> None:
        name = sorted(self.alive)[pick % len(self.alive)]
        ending = self.machine.ended(name, self.now, "exit code 1")
        self.alive.remove(name)
        told, task = self.told.pop(name, None), self.held.pop(name, None)
        assert (ending.delivery.id if ending.delivery else None) == task
        assert ending.how in ({"crashed"} if told is None else {"stopped", "hung", "killed"})
        if task is not None:
            self.settled.append(task)
        self.plan()

    @rule(n=st.integers(0, 7))
    def scale(self, n: int) -> None:
        assert self.machine.scale(n) == min(n, 5)
        self.plan()

    @rule(seconds=st.sampled_from([0.1, 1.0, 6.0, 20.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.plan()

    @rule(what=st.sampled_from(["drain", "resume", "reset", "start"]))
    def steer(self, what: str) -> None:
        getattr(self.machine, what)()
        self.plan()

    @rule(seconds=st.sampled_from([0.0, 5.0]))
    def stop(self, seconds: float) -> None:
        self.machine.stop(self.now + seconds)
        self.plan()

    @invariant()
    def nothing_is_lost_and_nobody_forgotten(self) -> None:
        if not hasattr(self, "machine"):
            return
        assert set(self.machine.workers) == self.alive
        assert sorted([*self.settled, *self.held.values()]) == self.given
        staying = [
            w for w in self.machine.workers.values() if not w.retiring and not w.fate and w.name not in self.told
        ]
        if self.machine.state in {PoolState.RUNNING, PoolState.DRAINING}:
            assert len(staying) <= self.machine.size
            if not self.machine.next_alarm() > self.now:
                self.plan()
            room = len(self.alive) < 2 * self.options.maximum
            assert len(staying) == self.machine.size or self.machine.next_alarm() < float("inf") or not room
        if self.machine.state in {PoolState.FAILED, PoolState.STOPPING, PoolState.STOPPED}:
            assert all(w.retiring for w in self.machine.workers.values())
            assert self.machine.idle() is None
        assert self.machine.state is not PoolState.STOPPED or not self.alive
        assert len(self.alive) <= 2 * self.options.maximum


TestPoolLife = PoolLife.TestCase
TestPoolLife.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)

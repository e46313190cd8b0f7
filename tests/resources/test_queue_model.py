"""Random lives of a queue, in memory and in a file, beside a model that says what is to happen."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from selfheal.errors import NotFoundError, QueueFullError
from selfheal.events import EventBus
from selfheal.resources import Delivery, TaskQueue
from selfheal.testing import FakeClock
from tests.resources.queue_model import Model

WORKERS = st.sampled_from(["a", "b", "c"])
CLASSES = st.sampled_from(["critical", "default", "default", "sheddable"])
SECONDS = st.sampled_from([0.0, 0.5, 3.0, 10.0, 25.0, 100.0])


class QueueLife(RuleBasedStateMachine):
    """Anything that producers, takers, a person and time may do, in any order."""

    deliveries: Bundle[Delivery] = Bundle("deliveries")
    durable = False

    @initialize(
        max_size=st.integers(1, 6),
        max_deliveries=st.integers(1, 3),
        age_step=st.sampled_from([0.0, 1.0, 10.0]),
        burst=st.none() | st.integers(1, 3),
        shed=st.booleans(),
    )
    def open(self, max_size: int, max_deliveries: int, age_step: float, burst: int | None, shed: bool) -> None:
        self.clock = FakeClock()
        self.directory = tempfile.TemporaryDirectory()
        self.settings: Any = {
            "max_size": max_size,
            "max_deliveries": max_deliveries,
            "age_step": age_step,
            "visibility": 20.0,
            "slow_gap": 2.0,
            "critical_burst": burst,
            "shed_for_critical": shed,
            "path": Path(self.directory.name) / "queue.sqlite" if self.durable else None,
            "synchronous": "normal",
        }
        self.queue = TaskQueue("life", clock=self.clock, events=EventBus(), **self.settings)
        self.model = Model(self.queue.options)
        self.accepted: set[int] = set()
        self.gone: set[int] = set()

    def now(self) -> float:
        return self.clock.monotonic()

    @rule(priority=st.integers(0, 9), criticality=CLASSES, delay=SECONDS, dedup=st.sampled_from([None, None, "k", "l"]))
    def put(self, priority: int, criticality: str, delay: float, dedup: str | None) -> None:
        before = {task.id for task in self.model.tasks}
        expected = self.model.put([priority], priority, criticality, delay, dedup, self.now())
        self.gone |= before - {task.id for task in self.model.tasks}
        try:
            made = self.queue.put([priority], priority=priority, criticality=criticality, delay=delay, dedup=dedup)
        except QueueFullError as full:
            assert full.size >= full.max_size
            made = 0
        assert made == expected
        self.accepted |= {made} - {0}

    @rule(target=deliveries, worker=WORKERS)
    def take(self, worker: str) -> Any:
        expected = self.model.take(worker, self.now())
        found = self.queue.take(worker)
        if expected is None:
            assert found is None
            return multiple()
        assert found is not None
        assert (found.id, found.payload, found.delivery_count) == (expected.id, expected.payload, expected.delivered)
        assert (found.worker, found.deadline) == (worker, expected.due)
        assert (found.priority, found.criticality) == (expected.priority, expected.criticality)
        return found

    @rule(delivery=deliveries)
    def ack(self, delivery: Delivery) -> None:
        done = self.model.ack(delivery, self.now())
        assert self.queue.ack(delivery) is done
        if done:
            self.gone.add(delivery.id)

    @rule(delivery=deliveries, delay=SECONDS)
    def nack(self, delivery: Delivery, delay: float) -> None:
        assert self.queue.nack(delivery, delay) is self.model.nack(delivery, delay, self.now())

    @rule(delivery=deliveries)
    def bury(self, delivery: Delivery) -> None:
        assert self.queue.bury(delivery, "cannot be done") is self.model.bury(delivery, self.now())

    @rule(delivery=deliveries)
    def extend(self, delivery: Delivery) -> None:
        extended = self.queue.extend(delivery)
        assert (extended is not None) is self.model.extend(delivery, self.now())
        assert extended is None or extended == delivery._replace(deadline=self.now() + 20.0)

    @rule(worker=WORKERS)
    def redistribute(self, worker: str) -> None:
        assert self.queue.redistribute(worker) == self.model.redistribute(worker, self.now())

    @rule(pick=st.integers(0, 20), priority=st.none() | st.integers(0, 9), criticality=st.none() | CLASSES)
    def reprioritise(self, pick: int, priority: int | None, criticality: str | None) -> None:
        id = pick % (self.model.last + 1)
        self.model.expire(self.now())
        self.queue.snapshot()
        task = self.model.find(id)
        there = task is not None and task.state != "dead"
        if task is not None and there:
            task.priority = task.priority if priority is None else priority
            task.criticality = criticality or task.criticality
        assert self.queue.reprioritise(id, priority=priority, criticality=criticality) is there

    @rule(factor=st.sampled_from([1.0, 2.0, 5.0]))
    def slow_down(self, factor: float) -> None:
        self.model.slow_down(factor, self.now())
        self.queue.slow_down(factor)

    @rule(pick=st.integers(0, 20), kind=st.sampled_from(["revive", "discard"]))
    def settle(self, pick: int, kind: str) -> None:
        self.model.expire(self.now())
        dead = [letter.id for letter in self.queue.dead_letters()]
        id = dead[pick % len(dead)] if dead else pick
        done = self.model.revive(id, self.now()) if kind == "revive" else self.model.discard(id)
        if done and kind == "discard":
            self.gone.add(id)
        try:
            getattr(self.queue, kind)(id, "seen to", by="ann")
            assert done
        except NotFoundError:
            assert not done

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def reopen(self) -> None:
        if self.durable:
            self.queue.close()
            self.queue = TaskQueue("life", clock=self.clock, events=EventBus(), **self.settings)

    @invariant()
    def sizes_and_time_agree(self) -> None:
        if not hasattr(self, "queue"):
            return
        wait, now = self.queue.next_change_in(), self.now()
        self.model.expire(now)
        snapshot = self.queue.snapshot()
        states = [task.state for task in self.model.tasks]
        told = (snapshot.ready, snapshot.delivered, snapshot.delayed, snapshot.dead)
        assert told == tuple(states.count(state) for state in ("ready", "leased", "delayed", "dead"))
        assert snapshot.size == len(states) <= snapshot.max_size
        ages = [now - task.since for task in self.model.of("ready")]
        assert snapshot.oldest_wait == pytest.approx(max(ages, default=0.0))
        assert {task.id for task in self.model.tasks} == self.accepted - self.gone
        dead = sorted(self.model.of("dead"), key=lambda t: (t.buried, t.id))
        told_dead = [(letter.id, letter.delivery_count) for letter in self.queue.dead_letters()]
        assert sorted(told_dead) == sorted((task.id, task.delivered) for task in dead)
        self.check_alarm(now, wait)

    def check_alarm(self, now: float, wait: float | None) -> None:
        """Where nothing can be taken now, the alarm rings no later than something can."""
        if self.model.next(now) is not None:
            return
        moments = {task.due for task in self.model.tasks if task.state in {"leased", "delayed"}} | {self.model.slot}
        for moment in sorted(moment for moment in moments if moment > now):
            if copy.deepcopy(self.model).next(moment) is not None:
                assert wait is not None
                assert now + wait <= moment + 1e-9
                return

    def teardown(self) -> None:
        if hasattr(self, "queue"):
            self.queue.close()
            self.directory.cleanup()


class DurableLife(QueueLife):
    """The same in a file."""

    durable = True


TestQueueLife = QueueLife.TestCase
TestQueueLife.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestDurableLife = DurableLife.TestCase
TestDurableLife.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)

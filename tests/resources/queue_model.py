"""What a task queue is to do, said as plainly as possible and without regard to speed."""

from __future__ import annotations

from typing import Any

import attrs

from selfheal.resources import Delivery, QueueOptions


@attrs.define
class ModelTask:
    """One task of the model."""

    id: int
    payload: Any
    priority: int
    criticality: str
    since: float
    dedup: str | None
    state: str = "ready"
    due: float = 0.0
    delivered: int = 0
    generation: int = 0
    worker: str = ""
    buried: float = 0.0

    @property
    def rank(self) -> int:
        return self.priority + (10 if self.criticality == "default" else 0)


class Model:
    """The tasks as a list. Each question is answered by looking at all of them."""

    def __init__(self, options: QueueOptions) -> None:
        self.options = options
        self.tasks: list[ModelTask] = []
        self.last = 0
        self.factor = 1.0
        self.slot = float("-inf")
        self.run = 0

    def of(self, state: str) -> list[ModelTask]:
        return [task for task in self.tasks if task.state == state]

    def find(self, id: int) -> ModelTask | None:
        return next((task for task in self.tasks if task.id == id), None)

    def expire(self, now: float) -> None:
        for task in self.of("delayed"):
            if task.due <= now:
                task.state = "ready"
        for task in sorted(self.of("leased"), key=lambda t: t.due):
            if task.due <= now:
                self.give_back(task, now)

    def put(self, payload: Any, priority: int, criticality: str, delay: float, dedup: str | None, now: float) -> int:
        """The id; 0 for a refusal."""
        same = [t for t in self.tasks if dedup is not None and t.dedup == dedup and t.state != "dead"]
        if same:
            return same[0].id
        if len(self.tasks) >= self.options.max_size:
            victims = [t for t in self.of("ready") if t.criticality == "sheddable"]
            if not (self.options.shed_for_critical and criticality == "critical" and victims):
                return 0
            self.tasks.remove(victims[-1])
        self.last += 1
        made = ModelTask(self.last, payload, priority, criticality, now + delay, dedup)
        if delay:
            made.state, made.due = "delayed", now + delay
        self.tasks.append(made)
        return made.id

    def score(self, task: ModelTask, now: float) -> tuple[float, int]:
        """Rank and age together, the highest first: age counts one rank each ``age_step`` seconds."""
        return (-(task.rank * self.options.age_step + (now - task.since)), task.id)

    def next(self, now: float) -> ModelTask | None:
        self.expire(now)
        ready = sorted(self.of("ready"), key=lambda t: self.score(t, now))
        critical = [t for t in ready if t.criticality == "critical"]
        others = [t for t in ready if t.criticality != "critical"] if now >= self.slot else []
        burst = self.options.critical_burst
        overdue = [t for t in others if now - t.since >= (19 - t.rank) * self.options.age_step]
        if critical and not (burst is not None and self.run >= burst and overdue):
            return critical[0]
        return others[0] if others else None

    def take(self, worker: str, now: float) -> ModelTask | None:
        task = self.next(now)
        if task is None:
            return None
        if task.criticality == "critical":
            self.run += 1
        else:
            self.run = 0
            if self.factor > 1:
                self.slot = now + (self.factor - 1) * self.options.slow_gap
        task.state, task.worker, task.due = "leased", worker, now + self.options.visibility
        task.delivered += 1
        task.generation += 1
        return task

    def held(self, delivery: Delivery, now: float) -> ModelTask | None:
        self.expire(now)
        task = self.find(delivery.id)
        return task if task and task.generation == delivery.generation and task.state == "leased" else None

    def ack(self, delivery: Delivery, now: float) -> bool:
        self.expire(now)
        task = self.find(delivery.id)
        if task is None or task.generation != delivery.generation or task.state == "dead":
            return False
        self.tasks.remove(task)
        return True

    def nack(self, delivery: Delivery, delay: float, now: float) -> bool:
        task = self.held(delivery, now)
        if task is None:
            return False
        task.generation += 1
        self.give_back(task, now, delay)
        return True

    def bury(self, delivery: Delivery, now: float) -> bool:
        task = self.held(delivery, now)
        if task is not None:
            self.dead(task, now)
        return task is not None

    def extend(self, delivery: Delivery, now: float) -> bool:
        task = self.held(delivery, now)
        if task is not None:
            task.due = now + self.options.visibility
        return task is not None

    def redistribute(self, worker: str, now: float) -> int:
        self.expire(now)
        held = [task for task in self.of("leased") if task.worker == worker]
        for task in held:
            self.give_back(task, now)
        return len(held)

    def give_back(self, task: ModelTask, now: float, delay: float = 0.0) -> None:
        if task.delivered >= self.options.max_deliveries:
            self.dead(task, now)
        else:
            task.state, task.due = ("delayed", now + delay) if delay else ("ready", 0.0)

    def dead(self, task: ModelTask, now: float) -> None:
        task.state, task.dedup, task.buried = "dead", None, now

    def revive(self, id: int, now: float) -> bool:
        task = self.find(id)
        if task is None or task.state != "dead":
            return False
        task.state, task.delivered, task.since = "ready", 0, now
        return True

    def discard(self, id: int) -> bool:
        task = self.find(id)
        if task is None or task.state != "dead":
            return False
        self.tasks.remove(task)
        return True

    def slow_down(self, factor: float, now: float) -> None:
        old, new = ((f - 1) * self.options.slow_gap for f in (self.factor, factor))
        self.slot = self.slot - old + new if new else min(self.slot, now)
        self.factor = factor

"""What every task queue does, in memory and in a file."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.errors import ConfigError, InvalidConfigError, NotFoundError, QueueClosedError, QueueFullError
from selfheal.events import ActionAudited, Event, EventBus, QueueSlowed, TaskBuried, TaskShed, TasksRedistributed
from selfheal.resources import Delivery, QueueOptions, TaskQueue
from selfheal.testing import FakeClock

Make = Callable[..., TaskQueue]


@pytest.fixture
def clock() -> FakeClock:
    """The clock of the queues."""
    return FakeClock()


@pytest.fixture
def events() -> list[Event]:
    """What the queues published."""
    return []


@pytest.fixture(params=["memory", "file"])
def make(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock, events: list[Event]) -> Iterator[Make]:
    """Makes a queue of each kind in turn."""
    made: list[TaskQueue] = []
    bus = EventBus()
    bus.subscribe(events.append, inline=True)

    def build(**options: Any) -> TaskQueue:
        if request.param == "file":
            options = {"path": tmp_path / "queue.sqlite", "synchronous": "normal", **options}
        made.append(TaskQueue("jobs", clock=clock, events=bus, **options))
        return made[-1]

    yield build
    for queue in made:
        queue.close()


def taken(queue: TaskQueue, worker: str = "w") -> Delivery:
    """Take what must be there."""
    delivery = queue.take(worker)
    assert delivery is not None
    return delivery


def drained(queue: TaskQueue) -> list[Any]:
    """The payloads of all that can be taken now, in order, acknowledged."""
    found = []
    while (delivery := queue.take("w")) is not None:
        found.append(delivery.payload)
        queue.ack(delivery)
    return found


def test_put_take_ack(make: Make) -> None:
    """A task comes out as it went in, and is gone when it was acknowledged."""
    queue = make()
    task = queue.put({"n": [1, None, "é"]}, priority=7, criticality="sheddable")
    delivery = taken(queue, "w1")

    assert delivery == Delivery(task, {"n": [1, None, "é"]}, 1, 1060.0, "w1", 1, 7, delivery.criticality)
    assert delivery.criticality == "sheddable"
    assert queue.take() is None
    assert queue.ack(delivery)
    assert not queue.ack(delivery)
    assert queue.snapshot().size == 0


def test_order(make: Make) -> None:
    """Critical first; then by priority, the highest first; default before sheddable; then first come first served."""
    queue = make()
    queue.put("sheddable", priority=9, criticality="sheddable")
    queue.put("low", priority=0)
    queue.put("high", priority=9)
    queue.put("first")
    queue.put("second")
    queue.put("critical low", priority=0, criticality="critical")
    queue.put("critical", criticality="critical")

    assert drained(queue) == ["critical", "critical low", "high", "first", "second", "low", "sheddable"]


def test_age_counts_one_priority_a_step(make: Make, clock: FakeClock) -> None:
    """A task that waited longer by n steps goes before one with n priorities more, not before n + 1 more."""
    queue = make(age_step=10.0)
    queue.put("old", priority=4)
    clock.advance(20.0)
    queue.put("even", priority=6)
    queue.put("more", priority=7)

    assert drained(queue) == ["more", "old", "even"]


@settings(max_examples=60)
@given(
    puts=st.lists(
        st.tuples(
            st.sampled_from([0.0, 1.0, 7.5, 40.0]), st.integers(0, 9), st.booleans(), st.booleans(), st.booleans()
        ),
        min_size=2,
        max_size=40,
    ),
    step=st.sampled_from([0.0, 0.5, 10.0]),
)
def test_the_ageing_bound_holds(puts: list[tuple[float, int, bool, bool, bool]], step: float) -> None:
    """No task is overtaken by one put more than (19 - rank) * age_step seconds after it."""
    clock = FakeClock()
    queue = TaskQueue("bound", clock=clock, events=EventBus(), age_step=step)
    born: dict[int, tuple[float, int]] = {}
    order: list[int] = []
    for wait, priority, sheddable, take, give_back in puts:
        clock.advance(wait)
        task = queue.put(None, priority=priority, criticality="sheddable" if sheddable else "default")
        born[task] = (clock.monotonic(), priority + (0 if sheddable else 10))
        delivery = queue.take() if take else None
        if delivery is not None and give_back and delivery.delivery_count == 1:
            queue.nack(delivery)
        elif delivery is not None:
            queue.ack(delivery)
            order.append(delivery.id)
    while (last := queue.take()) is not None:
        queue.ack(last)
        order.append(last.id)

    bound = queue.snapshot().ageing_bound
    assert bound == 19 * step
    for place, early in enumerate(order):
        for late in order[place + 1 :]:
            (put_early, _), (put_late, rank) = born[early], born[late]
            assert put_early <= put_late + (19 - rank) * step


def test_critical_work_may_be_made_to_share(make: Make, clock: FakeClock) -> None:
    """With critical_burst one other that waits past its bound is served after so many critical ones in a row."""
    queue = make(critical_burst=2, age_step=1.0)
    for n in range(5):
        queue.put(f"critical {n}", criticality="critical")
    queue.put("waits", priority=0)
    clock.advance(8.9)
    assert [taken(queue).payload for _ in range(3)] == ["critical 0", "critical 1", "critical 2"]
    clock.advance(0.1)
    assert [taken(queue).payload for _ in range(3)] == ["waits", "critical 3", "critical 4"]


def test_without_a_burst_critical_work_always_goes_first(make: Make, clock: FakeClock) -> None:
    """However long another waits, and however many there are."""
    queue = make()
    queue.put("other", priority=9)
    clock.advance(100_000.0)
    for n in range(20):
        queue.put(n, criticality="critical")

    assert drained(queue) == [*range(20), "other"]


def test_reprioritised_tasks_take_their_new_place(make: Make) -> None:
    """Up, down, and over to another class; what is not there is told."""
    queue = make()
    a, b, c, d = (queue.put(name) for name in "abcd")
    assert queue.reprioritise(a, priority=0)
    assert queue.reprioritise(c, priority=9)
    assert queue.reprioritise(d, criticality="critical")
    assert queue.reprioritise(b, priority=9)
    assert queue.reprioritise(b, priority=1)
    assert not queue.reprioritise(99, priority=1)

    assert drained(queue) == ["d", "c", "b", "a"]


def test_critical_tasks_have_priorities_too(make: Make) -> None:
    """A critical task made less urgent goes behind another critical one."""
    queue = make()
    a = queue.put("a", priority=9, criticality="critical")
    queue.put("b", criticality="critical")
    queue.reprioritise(a, priority=1)

    assert drained(queue) == ["b", "a"]


def test_a_critical_task_made_ordinary_waits_with_the_others(make: Make) -> None:
    """It is not delivered through its old place."""
    queue = make()
    a = queue.put("a", criticality="critical")
    queue.put("b", criticality="critical")
    queue.reprioritise(a, criticality="default")

    assert drained(queue) == ["b", "a"]


def test_slow_down_spaces_all_but_critical_work(make: Make, clock: FakeClock, events: list[Event]) -> None:
    """At factor f other deliveries are (f - 1) * slow_gap apart; critical ones come as they are asked for."""
    queue = make(slow_gap=0.5)
    for n in range(4):
        queue.put(n)
    queue.slow_down(3.0, "cpu 93 %")
    assert taken(queue).payload == 0
    assert queue.take() is None
    assert queue.next_change_in() == pytest.approx(1.0) or queue.options.path
    for n in range(3):
        queue.put(f"c{n}", criticality="critical")
    assert [taken(queue).payload for _ in range(3)] == ["c0", "c1", "c2"]
    clock.advance(0.999)
    assert queue.take() is None
    clock.advance(0.001)
    assert taken(queue).payload == 1
    assert queue.take() is None
    queue.slow_down(1.0)
    assert [taken(queue).payload for _ in range(2)] == [2, 3]

    told = [(e.factor, e.gap, e.reason) for e in events if isinstance(e, QueueSlowed)]
    assert told == [(3.0, 1.0, "cpu 93 %"), (1.0, 0.0, "")]


def test_slowing_further_counts_from_the_last_delivery(make: Make, clock: FakeClock) -> None:
    """A larger factor makes the wait under way longer, a smaller one shorter."""
    queue = make(slow_gap=1.0)
    for n in range(3):
        queue.put(n)
    queue.slow_down(2.0)
    taken(queue)
    queue.slow_down(5.0)
    clock.advance(3.9)
    assert queue.take() is None
    clock.advance(0.1)
    taken(queue)
    queue.slow_down(3.0)
    clock.advance(2.0)
    assert queue.take() is not None


def test_a_silent_taker_loses_its_task(make: Make, clock: FakeClock) -> None:
    """After the visibility time the task is delivered anew; what the first taker says then has no effect."""
    queue = make(visibility=30.0)
    task = queue.put("x")
    first = taken(queue, "a")
    clock.advance(29.999)
    assert queue.take("b") is None
    clock.advance(0.001)
    second = taken(queue, "b")

    assert (second.id, second.delivery_count, second.generation) == (task, 2, 2)
    assert not queue.ack(first)
    assert not queue.nack(first)
    assert not queue.bury(first, "no")
    assert queue.extend(first) is None
    assert queue.snapshot().late == 4
    assert queue.ack(second)
    counts = queue.snapshot()
    assert (counts.taken, counts.redelivered, counts.expired, counts.acked) == (2, 1, 1, 1)


def test_a_late_ack_counts_while_nobody_else_has_the_task(make: Make, clock: FakeClock) -> None:
    """The work was done: it is not done again only because the word came late. A nack changes nothing then."""
    queue = make(visibility=30.0)
    queue.put("x")
    delivery = taken(queue)
    clock.advance(31.0)

    assert not queue.nack(delivery)
    assert queue.ack(delivery)
    assert queue.take() is None


def test_what_was_given_back_cannot_be_acknowledged(make: Make) -> None:
    """A taker that gave the task back has said all it can say of that delivery."""
    queue = make()
    queue.put("x")
    delivery = taken(queue)

    assert queue.nack(delivery)
    assert not queue.ack(delivery)
    assert not queue.nack(delivery)
    assert taken(queue).delivery_count == 2


def test_extend_keeps_the_task(make: Make, clock: FakeClock) -> None:
    """A sign of life moves the deadline; without a further one the task goes back."""
    queue = make(visibility=10.0)
    queue.put("x")
    delivery = taken(queue)
    for _ in range(5):
        clock.advance(9.0)
        extended = queue.extend(delivery)
        assert extended is not None
        assert extended.deadline == clock.monotonic() + 10.0
    clock.advance(10.0)

    assert taken(queue).delivery_count == 2


def test_nack_with_delay(make: Make, clock: FakeClock) -> None:
    """A task given back with a delay is not seen before; it keeps its age."""
    queue = make(age_step=1.0)
    queue.put("x", priority=5)
    queue.nack(taken(queue), delay=5.0, reason="busy")
    assert queue.next_change_in() == pytest.approx(5.0) or queue.options.path
    clock.advance(4.9)
    assert queue.take() is None
    queue.put("y", priority=9)
    clock.advance(0.1)

    assert drained(queue) == ["x", "y"]


def test_put_with_delay_ages_from_its_time(make: Make, clock: FakeClock) -> None:
    """A task put for later starts to age when its time has come."""
    queue = make(age_step=1.0)
    queue.put("later", delay=10.0)
    clock.advance(9.0)
    assert queue.take() is None
    queue.put("now")
    clock.advance(1.0)

    assert drained(queue) == ["now", "later"]


def test_poison_becomes_a_dead_letter(make: Make, clock: FakeClock, events: list[Event]) -> None:
    """After max_deliveries the task is delivered no more; it can be listed, put back as new, or discarded."""
    queue = make(max_deliveries=2)
    task = queue.put({"p": 1}, priority=3)
    queue.nack(taken(queue), reason="first")
    clock.advance(5.0)
    queue.nack(taken(queue), reason="TypeError: no")

    assert queue.take() is None
    (letter,) = queue.dead_letters()
    assert (letter.id, letter.payload, letter.delivery_count, letter.priority) == (task, {"p": 1}, 2, 3)
    assert letter.reason == "TypeError: no, at delivery 2 of 2"
    assert letter.at == pytest.approx(clock.wall())
    assert [e.reason for e in events if isinstance(e, TaskBuried)] == [letter.reason]
    queue.revive(task, "fixed in 2.1", by="ann")
    assert queue.dead_letters() == ()
    assert taken(queue).delivery_count == 1
    assert [(e.who, e.what, e.target) for e in events if isinstance(e, ActionAudited)] == [
        ("ann", "queue.revive", f"jobs/{task}")
    ]


def test_discard_and_unknown_dead_letters(make: Make) -> None:
    """A discarded letter is gone; asking for one that is not there lists those that are."""
    queue = make()
    for _ in range(2):
        queue.put(1)
        queue.bury(taken(queue), "no use")
    queue.discard(1, "test data", by="ann")

    with pytest.raises(NotFoundError, match=r"no dead letter is named '1'. There are: 2."):
        queue.revive(1, "again")
    with pytest.raises(ConfigError, match="reason of queue.discard must be text that is not blank"):
        queue.discard(2, " ")
    assert queue.snapshot().size == queue.snapshot().dead == 1


def test_an_expired_last_delivery_is_buried_with_its_taker(make: Make, clock: FakeClock) -> None:
    """The letter says who took the task and never came back."""
    queue = make(max_deliveries=1, visibility=1.0)
    queue.put(1)
    delivery = taken(queue, "w7")
    clock.advance(1.0)

    assert not queue.ack(delivery)
    assert queue.dead_letters()[0].reason == "no sign of its taker 'w7', at delivery 1 of 1"


def test_redistribute_takes_from_the_stuck(make: Make, events: list[Event]) -> None:
    """All tasks of one worker go to others at once; those of others stay."""
    queue = make()
    for n in range(4):
        queue.put(n)
    stuck = [taken(queue, "stuck") for _ in range(3)]
    other = taken(queue, "other")

    assert dict(queue.snapshot().holders) == {"stuck": 3, "other": 1}
    assert queue.redistribute("stuck", "no progress for 60 s") == 3
    assert queue.redistribute("stuck") == 0
    assert [taken(queue, "new").payload for _ in range(3)] == [0, 1, 2]
    assert not any(queue.ack(delivery) for delivery in stuck)
    assert queue.ack(other)
    told = [(e.worker, e.tasks, e.reason) for e in events if isinstance(e, TasksRedistributed)]
    assert told == [("stuck", 3, "no progress for 60 s")]


def test_a_full_queue_refuses_visibly(make: Make) -> None:
    """A put beyond the bound raises, counts, and puts nothing; room comes with an acknowledgement."""
    queue = make(max_size=2)
    queue.put(1)
    queue.put(2)
    with pytest.raises(QueueFullError) as refused:
        queue.put(3, criticality="critical")
    assert (refused.value.queue, refused.value.size, refused.value.max_size) == ("jobs", 2, 2)
    held = taken(queue)
    with pytest.raises(QueueFullError):
        queue.put(3)
    queue.ack(held)
    queue.put(3)

    assert (queue.snapshot().refused, queue.snapshot().size) == (2, 2)


def test_dead_letters_take_room(make: Make) -> None:
    """Nothing is dropped in silence: a queue full of dead letters refuses, and says why."""
    queue = make(max_size=1, max_deliveries=1)
    queue.put(1)
    queue.nack(taken(queue))

    with pytest.raises(QueueFullError, match="1 of them dead letters"):
        queue.put(2)


def test_a_sheddable_task_gives_way_to_a_critical_one(make: Make, events: list[Event]) -> None:
    """On request, the sheddable task put last makes room, told as an event; only for critical work."""
    queue = make(max_size=3, shed_for_critical=True)
    queue.put("default")
    queue.put("shed 1", criticality="sheddable", priority=9)
    last = queue.put("shed 2", criticality="sheddable", priority=9)
    with pytest.raises(QueueFullError):
        queue.put("no")
    queue.put("urgent", criticality="critical")

    assert [e.task_id for e in events if isinstance(e, TaskShed)] == [last]
    assert queue.snapshot().shed == 1
    assert drained(queue) == ["urgent", "default", "shed 1"]


def test_what_is_worked_on_is_never_shed(make: Make) -> None:
    """A sheddable task in somebody's hands makes no room."""
    queue = make(max_size=1, shed_for_critical=True)
    queue.put("s", criticality="sheddable")
    taken(queue)

    with pytest.raises(QueueFullError):
        queue.put("urgent", criticality="critical")


def test_dedup(make: Make) -> None:
    """While a task of a key waits or is worked on, a second put answers its id; afterwards the key is free."""
    queue = make(max_size=2, max_deliveries=1)
    first = queue.put(1, dedup="a")
    assert queue.put(2, dedup="a") == first
    assert queue.put(3, dedup="b") != first
    assert queue.put(2, dedup="a") == first  # though the queue is full
    delivery = taken(queue)
    assert queue.put(2, dedup="a") == first
    queue.ack(delivery)
    second = queue.put(4, dedup="a")
    assert second != first
    assert queue.snapshot().deduplicated == 3
    queue.nack(taken(queue))
    queue.nack(taken(queue))
    assert queue.snapshot().dead == 2


def test_a_dead_letter_frees_its_key_and_a_discarded_one_its_room(make: Make) -> None:
    """The same work may be put again though an earlier one was given up; what was discarded takes no room."""
    queue = make(max_size=2)
    first = queue.put(1, dedup="a")
    queue.bury(taken(queue), "no use")
    second = queue.put(2, dedup="a")
    assert second != first
    with pytest.raises(QueueFullError):
        queue.put(3)
    queue.discard(first, "test data")
    queue.put(3)

    assert queue.snapshot().size == 2


def test_a_revived_task_comes_without_its_key(make: Make) -> None:
    """The key may belong to another by then: both are done."""
    queue = make()
    first = queue.put(1, dedup="a")
    queue.bury(taken(queue), "no use")
    queue.put(2, dedup="a")
    queue.revive(first, "fixed")

    assert queue.snapshot().ready == 2
    assert sorted(drained(queue)) == [1, 2]


def test_a_closed_queue_takes_nothing_in(make: Make) -> None:
    """Put raises; what is there can be taken and acknowledged; waiting ends at once."""
    queue = make()
    queue.put(1)
    queue.close()
    queue.close()

    with pytest.raises(QueueClosedError):
        queue.put(2)
    assert queue.ack(taken(queue))
    assert queue.take(timeout=None) is None


def test_waiting_ends_with_the_put(make: Make) -> None:
    """A thread that waits is woken by a put, not by the end of its time."""
    queue = make(poll=50.0)
    found: list[Delivery | None] = []
    thread = threading.Thread(target=lambda: found.append(queue.take("w", timeout=40.0)))
    thread.start()
    while not queue._desk.waiters.there:
        pass
    queue.put("x")
    thread.join(60)

    assert found[0] is not None
    assert found[0].payload == "x"


def test_waiting_ends_in_time(make: Make, clock: FakeClock) -> None:
    """A thread that waits in vain gets None when its time is over."""
    queue = make(poll=50.0)
    found: list[Delivery | None] = []
    thread = threading.Thread(target=lambda: found.append(queue.take("w", timeout=40.0)))
    thread.start()
    while not clock.waiters:
        pass
    clock.advance(39.9)
    assert found == []
    clock.advance(0.1)
    thread.join(60)

    assert found == [None]


def test_waiting_ends_when_a_lease_does(make: Make, clock: FakeClock) -> None:
    """Who waits gets the task of a taker that fell silent, at the moment its time is over."""
    queue = make(visibility=30.0, poll=50.0)
    queue.put("x")
    found: list[Delivery | None] = []
    thread = threading.Thread(target=lambda: found.append(queue.take("b", timeout=None)))
    taken(queue, "a")
    thread.start()
    while not clock.waiters:
        pass
    clock.advance(30.0)
    thread.join(60)

    assert found[0] is not None
    assert found[0].delivery_count == 2
    queue.close()


def test_the_alarm_is_handed_on(make: Make, clock: FakeClock) -> None:
    """A second waiter is served in time though the first, which knew of the delay, gave up before."""
    queue = make(poll=50.0, visibility=300.0)
    found: dict[str, Delivery | None] = {}

    def wait(name: str, timeout: float) -> threading.Thread:
        thread = threading.Thread(target=lambda: found.update({name: queue.take(name, timeout=timeout)}))
        before = clock.waiters
        thread.start()
        while clock.waiters == before:
            pass
        return thread

    first, second = wait("first", 5.0), wait("second", 200.0)
    queue.put("x", delay=20.0)
    clock.advance(5.0)
    first.join(60)
    while second.is_alive() and clock.monotonic() < 1100.0:  # far below its own 200 s
        clock.advance(1.0)
        second.join(0.01)

    assert found["first"] is None
    assert found["second"] is not None


def test_atake(make: Make, clock: FakeClock) -> None:
    """A coroutine waits without holding up its loop, is woken by a put of another thread, and gives up in time."""
    queue = make(poll=50.0)

    async def scene() -> None:
        asked = asyncio.ensure_future(queue.atake("w", timeout=60.0))
        await asyncio.sleep(0.01)
        await asyncio.to_thread(queue.put, "x")
        delivery = await asyncio.wait_for(asked, 5.0)
        assert delivery is not None
        assert delivery.payload == "x"
        asked = asyncio.ensure_future(queue.atake("w", timeout=3.0))
        await asyncio.sleep(0.01)
        await clock.aadvance(3.0)
        assert await asyncio.wait_for(asked, 5.0) is None

    asyncio.run(scene())


def test_a_cancelled_atake_loses_nothing(make: Make) -> None:
    """Whether cancelled before or after the put, the task is there for another."""
    queue = make(poll=50.0)

    async def scene() -> None:
        for _ in range(20):
            asked = asyncio.ensure_future(queue.atake("w", timeout=60.0))
            await asyncio.sleep(0)
            queue.put("x")
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            assert queue.ack(taken(queue))
        assert not queue._desk.waiters.there

    asyncio.run(scene())
    assert queue.snapshot().acked == 20


def test_listeners_are_called_until_they_end(make: Make) -> None:
    """A listener hears of each put and each return, and of nothing after it ended."""
    queue, heard = make(), list[int]()
    end = queue.listen(lambda: heard.append(1))
    queue.put(1)
    queue.nack(taken(queue))
    assert len(heard) == 2
    end()
    queue.put(2)

    assert len(heard) == 2


def test_threads_lose_nothing(make: Make, request: pytest.FixtureRequest) -> None:
    """Producers and takers in many threads: each task is done exactly once."""
    queue = make(max_size=100_000)
    each = 60 if "file" in request.node.name else 1_500
    done: list[int] = []
    over = threading.Event()

    def produce(n: int) -> None:
        for i in range(each):
            queue.put(n * each + i, priority=i % 10, criticality=("critical", "default", "sheddable")[i % 3])

    def consume(n: int) -> None:
        while True:
            delivery = queue.take(f"w{n}", timeout=0.0)
            if delivery is None:
                if over.is_set():
                    return
                continue
            if delivery.payload % 7 == 0 and delivery.delivery_count == 1:
                queue.nack(delivery)
            elif queue.ack(delivery):
                done.append(delivery.payload)

    producers = [threading.Thread(target=produce, args=(n,)) for n in range(4)]
    consumers = [threading.Thread(target=consume, args=(n,)) for n in range(4)]
    for thread in (*producers, *consumers):
        thread.start()
    for thread in producers:
        thread.join()
    over.set()
    for thread in consumers:
        thread.join()

    assert Counter(done) == dict.fromkeys(range(4 * each), 1)
    assert queue.snapshot().size == 0


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda q: q.put(1, priority=10), "priority of TaskQueue.put must be an integer from 0 to 9, got 10"),
        (lambda q: q.put(1, priority=True), "priority of TaskQueue.put"),
        (lambda q: q.put(1, priority=1.0), "priority of TaskQueue.put"),
        (lambda q: q.put(1, criticality="urgent"), "criticality of TaskQueue.put must be one of 'critical', 'default'"),
        (lambda q: q.put(1, delay=-1.0), "delay of TaskQueue.put"),
        (lambda q: q.put(1, delay=float("nan")), "delay of TaskQueue.put"),
        (lambda q: q.take(timeout=-1.0), "timeout of TaskQueue.take"),
        (lambda q: q.nack(None, delay="soon"), "delay of TaskQueue.nack"),
        (lambda q: q.slow_down(0.5), "factor of TaskQueue.slow_down must be a number from 1 to 1000, got 0.5"),
        (lambda q: q.slow_down(True), "factor of TaskQueue.slow_down"),
        (lambda q: q.reprioritise(1, priority=-1), "priority of TaskQueue.reprioritise"),
    ],
)
def test_bad_arguments(make: Make, call: Callable[[TaskQueue], object], told: str) -> None:
    """What is not accepted is refused naming the argument, and nothing is put."""
    queue = make()
    with pytest.raises(ConfigError) as refused:
        call(queue)

    assert told in str(refused.value)
    assert queue.snapshot().size == 0


def test_options_from_data() -> None:
    """A queue is made of plain data; all that is wrong is told at once, each with its path and the nearest key."""
    queue = TaskQueue.from_config({"name": "mail", "max_size": 5, "age_step": 2})
    assert (queue.name, queue.options.max_size, queue.options.ageing_bound) == ("mail", 5, 38.0)

    with pytest.raises(InvalidConfigError) as refused:
        TaskQueue.from_config({"max_sise": 5, "visibility": True, "poll": -1.0}, where="levers.queue")
    told = str(refused.value)
    for part in ("levers.queue.max_sise", "max_size", "levers.queue.visibility", "levers.queue.poll"):
        assert part in told


@pytest.mark.parametrize(
    "options",
    [{"max_size": 0}, {"visibility": 0.0}, {"max_deliveries": 0}, {"path": ":memory:"}, {"path": " "}, {"path": 5}],
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    """An option out of range is a ConfigError that names it."""
    with pytest.raises(ConfigError, match=f"QueueOptions.{next(iter(options))}"):
        QueueOptions(**options)


def test_a_taker_of_many_leaves_no_trace() -> None:
    """Heaps do not grow with what was changed, given back or acknowledged out of order."""
    queue = TaskQueue("jobs", events=EventBus(), max_deliveries=1_000_000)
    task = queue.put(0)
    queue.put(1, priority=9)
    for n in range(5_000):
        queue.reprioritise(task, priority=n % 9)
    lanes = queue._desk.book._lanes  # type: ignore[attr-defined]
    assert len(lanes.others) < 200
    held = taken(queue)
    for _ in range(5_000):
        other = taken(queue)
        queue.nack(other)
    assert len(lanes.others) < 200
    assert queue.ack(held)


def test_a_forked_child_starts_empty_and_leaves_the_parent_alone(make: Make) -> None:
    """Tasks in memory are the parent's; a file is opened anew in the child and shared."""
    import os

    queue = make()
    queue.put("x")
    child = os.fork()
    if child == 0:
        there = queue.snapshot().ready
        good = there == (1 if queue.options.path else 0)
        queue.put("from the child")
        os._exit(0 if good else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert drained(queue) == (["x", "from the child"] if queue.options.path else ["x"])

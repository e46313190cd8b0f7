"""The action queue: one order for what is to be done now or later, bounded, starving nobody."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.configuring import structure
from selfheal.errors import ConfigError, InvalidConfigError, QueueFullError
from selfheal.healing.action_queue import ActionQueue, ActionQueueConfig, QueuedAction

T0 = 1000.0


def put(queue: ActionQueue[str], name: str, now: float = T0, **more: Any) -> QueuedAction[str]:
    """Put an item named after its strategy."""
    return queue.add(name, name, "web", now, **more)


def drain(queue: ActionQueue[str], now: float) -> list[str]:
    """Take everything that is due."""
    return [one.item for one in iter(lambda: queue.take(now), None)]


def test_the_highest_priority_is_first_and_then_the_oldest() -> None:
    """Of items due together the urgent ones come first, and equals in the order in which they were put."""
    queue = ActionQueue[str]()
    for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 9), ("e", 5)):
        put(queue, name, priority=priority)

    assert [one.item for one in queue.in_turn(T0)] == ["d", "b", "e", "a", "c"]
    assert drain(queue, T0) == ["d", "b", "e", "a", "c"]
    assert len(queue) == 0


def test_what_is_not_due_waits_whatever_its_priority() -> None:
    """A scheduled item is nobody's turn before its moment, and then in its turn."""
    queue = ActionQueue[str]()
    later = put(queue, "later", due=T0 + 60, priority=9)
    put(queue, "now")

    assert (later.scheduled, later.sequence) == (True, 1)
    assert [(one.scheduled, one.sequence) for one in queue.items()] == [(True, 1), (False, 2)]
    assert drain(queue, T0) == ["now"]
    assert (queue.due(T0 + 59.9), queue.next_due(T0)) == (None, T0 + 60)
    assert queue.due(T0 + 60) is later
    assert queue.next_due(T0 + 60) == T0 + 60


def test_waiting_makes_up_for_priority() -> None:
    """Each ageing step of waiting is worth one step of priority; nine of them are worth all."""
    queue = ActionQueue[str](ttl=300.0, age_step=20.0)
    put(queue, "old")
    put(queue, "urgent", T0 + 179.9, priority=9)
    put(queue, "late", T0 + 180, priority=9)

    assert drain(queue, T0 + 180) == ["urgent", "old", "late"]


def test_looking_takes_nothing() -> None:
    """``due`` gives the same item until it is taken, removed or put off."""
    queue = ActionQueue[str]()
    put(queue, "a")
    put(queue, "b")
    first = queue.due(T0)

    assert first is not None
    assert queue.due(T0) is first
    assert queue.remove(first.key) is first
    assert queue.remove(first.key) is None
    assert drain(queue, T0) == ["b"]


def test_one_of_each_strategy_and_target_waits() -> None:
    """Put again, an item keeps its turn and is brought up to date; another target is another item."""
    queue = ActionQueue[str]()
    first = queue.add("old", "s", "web", T0)
    queue.add("other", "s", "db", T0 + 1)
    again = queue.add("new", "s", "web", T0 + 2, priority=3)

    assert (again.sequence, again.due, again.priority, again.expires) == (first.sequence, T0, 3, T0 + 302)
    assert len(queue) == 2
    assert drain(queue, T0 + 2) == ["new", "other"]
    assert queue.snapshot(T0 + 2).deduplicated == 1


def test_put_again_sooner_it_is_due_sooner() -> None:
    """A scheduled item that is wanted now is due now, and never later for being put again."""
    queue = ActionQueue[str]()
    put(queue, "a", due=T0 + 60)
    assert put(queue, "a", T0 + 10).due == T0 + 10

    put(queue, "b", T0 + 10)
    assert put(queue, "b", T0 + 20, due=T0 + 90).due == T0 + 10


def test_what_was_put_off_stays_put_off() -> None:
    """A deferral outlasts the same item put again, keeps its expiry, and is never to an earlier moment."""
    queue = ActionQueue[str]()
    put(queue, "a", priority=9)
    put(queue, "b")
    assert queue.defer(("a", "web"), T0 + 50, "web is locked")
    put(queue, "a", T0 + 1)
    assert drain(queue, T0 + 1) == ["b"]

    assert queue.defer(("a", "web"), T0)
    one = queue.items()[0]
    assert (one.due, one.deferrals, one.reason, one.expires) == (T0 + 50, 2, "", T0 + 301)
    assert not queue.defer(("gone", "web"), T0 + 99)
    assert drain(queue, T0 + 50) == ["a"]


def test_what_is_too_old_goes_and_is_told_once() -> None:
    """From its expiry on an item is never handed out; whoever keeps books hears of it once, also late."""
    queue = ActionQueue[str]()
    put(queue, "a")
    put(queue, "b", due=T0 + 100)
    put(queue, "c", ttl=10.0)
    queue.defer(("a", "web"), T0 + 1000)

    assert queue.due(T0 + 10) is None
    assert drain(queue, T0 + 399.9) == ["b"]
    assert [one.item for one in queue.expire(T0 + 399.9)] == ["c", "a"]
    assert queue.expire(T0 + 400) == []
    assert (len(queue), queue.snapshot(T0 + 400).expired, queue.next_due(T0 + 400)) == (0, 2, None)


def test_one_too_many_is_refused() -> None:
    """A full queue raises and counts; a known item is still brought up to date; an expired one makes room."""
    queue = ActionQueue[str](max_size=2, name="heals")
    put(queue, "a")
    put(queue, "b", due=T0 + 50)
    with pytest.raises(QueueFullError, match="'heals' is full: it holds 2 of 2"):
        put(queue, "c", priority=9)
    assert put(queue, "a", priority=9).priority == 9
    assert queue.snapshot(T0).refused == 1

    put(queue, "c", T0 + 300)
    assert [one.item for one in queue.items()] == ["b", "c"]


@pytest.mark.parametrize(
    "more",
    [
        {"priority": 10},
        {"priority": -1},
        {"priority": True},
        {"due": float("nan")},
        {"due": float("inf")},
        {"ttl": 0.0},
    ],
)
def test_wrong_values_are_refused_and_nothing_is_put(more: dict[str, Any]) -> None:
    """Priorities beyond 0 to 9, moments that are none and items that are too old at once raise."""
    queue = ActionQueue[str]()
    with pytest.raises(ConfigError):
        put(queue, "a", **more)
    assert len(queue) == 0
    put(queue, "a")
    with pytest.raises(ConfigError):
        queue.defer(("a", "web"), float("nan"))
    assert drain(queue, T0) == ["a"]


def test_an_item_lives_as_long_as_its_ageing_takes() -> None:
    """Limits under which an item could be too old before its turn are refused."""
    with pytest.raises(ConfigError, match="at most a ninth of ttl"):
        ActionQueueConfig(ttl=100.0)
    config = structure({"ttl": 900, "age_step": 100, "max_size": 5}, ActionQueueConfig)
    assert config.ageing_bound == config.ttl == 900.0
    with pytest.raises(InvalidConfigError, match=r"queue\.max_size"):
        structure({"max_size": 0}, ActionQueueConfig, "queue")


def test_the_snapshot_counts_what_waits() -> None:
    """Each item is ready, scheduled or put off, and the longest wait is told."""
    queue = ActionQueue[str]()
    put(queue, "a")
    put(queue, "b", T0 + 5)
    put(queue, "c", due=T0 + 90)
    put(queue, "d")
    queue.defer(("d", "web"), T0 + 99)
    snapshot = queue.snapshot(T0 + 10)

    assert (snapshot.size, snapshot.ready, snapshot.scheduled, snapshot.deferred) == (4, 2, 1, 1)
    assert (snapshot.oldest_wait, snapshot.ageing_bound, snapshot.added, snapshot.deferrals) == (10.0, 180.0, 4, 1)
    assert ("a", "web") in queue
    at_once = queue.snapshot(T0 + 90)
    assert (at_once.ready, at_once.scheduled, at_once.deferred) == (3, 0, 1)
    assert queue.snapshot(T0 + 99).deferred == 0


def test_memory_stays_small_whatever_is_changed() -> None:
    """A hundred thousand changes of two items leave no more places behind than a few dozen."""
    queue = ActionQueue[str](max_size=2, ttl=1000.0)
    put(queue, "a", due=T0 + 1)
    for number in range(20_000):
        put(queue, "b", T0, priority=number % 10)
        queue.due(T0)
        queue.defer(("a", "web"), T0 + 1 + number * 1e-6)

    assert max(len(queue._later), len(queue._ready), len(queue._ends)) <= 70
    assert drain(queue, T0 + 2) == ["b", "a"]


class Model:
    """The queue as a list that is sorted anew at every question."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.numbers = itertools.count()

    def expire(self, now: float) -> None:
        self.items = {name: one for name, one in self.items.items() if one["expires"] > now}

    def add(self, name: str, now: float, due: float, priority: int) -> bool:
        one = self.items.get(name)
        if one is not None:
            one["due"] = one["due"] if one["off"] else min(one["due"], due)
            one["priority"] = max(one["priority"], priority)
            one["expires"] = max(one["expires"], due + 90)
            return True
        if len(self.items) >= 4:
            return False
        self.items[name] = {
            "due": due, "priority": priority, "expires": due + 90, "off": 0, "number": next(self.numbers)
        }  # fmt: skip
        return True

    def turn(self, now: float) -> list[str]:
        ready = [name for name, one in self.items.items() if one["due"] <= now]
        return sorted(
            ready, key=lambda n: (self.items[n]["due"] - 10 * self.items[n]["priority"], self.items[n]["number"])
        )


CALLS = st.tuples(
    st.sampled_from(["add", "add", "take", "defer", "remove", "look"]),
    st.sampled_from("abcdef"),
    st.integers(0, 30),
    st.integers(0, 60),
    st.integers(0, 9),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(CALLS, max_size=80))
def test_it_is_a_sorted_list(calls: list[tuple[str, str, int, int, int]]) -> None:
    """For any calls it answers as a list does that is sorted anew each time, and keeps as many books."""
    queue, model = ActionQueue[str](max_size=4, ttl=90.0, age_step=10.0), Model()
    now = T0
    for call, name, passed, ahead, priority in calls:
        now += passed
        model.expire(now)
        if call == "add":
            try:
                put(queue, name, now, due=now + ahead, priority=priority)
            except QueueFullError:
                assert not model.add(name, now, now + ahead, priority)
            else:
                assert model.add(name, now, now + ahead, priority)
        elif call == "take":
            taken, turn = queue.take(now), model.turn(now)
            assert (None if taken is None else taken.item) == (turn[0] if turn else None)
            if turn:
                del model.items[turn[0]]
        elif call == "defer":
            queue.expire(now)
            assert queue.defer((name, "web"), now + ahead) is (name in model.items)
            if name in model.items:
                one = model.items[name]
                one["due"], one["off"] = max(one["due"], now + ahead), 1
        elif call == "remove":
            queue.expire(now)
            assert (queue.remove((name, "web")) is not None) is (model.items.pop(name, None) is not None)
        assert [one.item for one in queue.in_turn(now)] == model.turn(now)
        head = queue.due(now)
        assert (None if head is None else head.item) == next(iter(model.turn(now)), None)
        first = min((one["due"] for one in model.items.values()), default=None)
        assert queue.next_due(now) == (first if head is None else head.due)
        snapshot = queue.snapshot(now)
        gone = snapshot.taken + snapshot.removed + snapshot.expired
        assert snapshot.size == len(model.items) == snapshot.added - gone


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40)), min_size=1, max_size=40), st.integers(0, 9))
def test_nobody_starves(newcomers: list[tuple[int, int]], own: int) -> None:
    """An item is overtaken only by items that became due before its ageing bound was over."""
    queue = ActionQueue[str](ttl=10_000.0, age_step=10.0)
    put(queue, "mine", priority=own)
    now = T0
    for number, (priority, passed) in enumerate(newcomers):
        now += passed
        put(queue, f"n{number}", now, priority=priority)
    before = list(itertools.takewhile(lambda name: name != "mine", drain(queue, now)))

    assert all(due < T0 + 90 for due in (dues(newcomers)[int(name[1:])] for name in before))


def dues(newcomers: list[tuple[int, int]]) -> list[float]:
    """When each of the newcomers became due."""
    return list(itertools.accumulate((float(passed) for _, passed in newcomers), initial=T0))[1:]

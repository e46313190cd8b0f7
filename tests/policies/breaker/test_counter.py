"""One contract for both counters, and what each goes by."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from threading import Lock

import pytest

from selfheal import BreakerRegistry, CircuitBreaker
from selfheal.policies.breaker import circuit
from selfheal.policies.breaker.counter import AnyCounter, Counter
from selfheal.policies.breaker.counting import counter_of_this_interpreter
from selfheal.policies.breaker.sharded import ShardedCounter

Kind = Callable[[int, Lock], AnyCounter]

THREADS = 8
TICKS = 20_000


@pytest.fixture(autouse=True)
def switch_often() -> Iterator[None]:
    """Let threads change places as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(work: Callable[[], object], threads: int = THREADS) -> None:
    """Run it in so many threads at once, and wait for them."""
    started = [threading.Thread(target=work) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join(60)
    assert not any(thread.is_alive() for thread in started)


def test_fresh_ticks_are_told_once(kind: Kind) -> None:
    """Each reading tells what came since the one before, and reading itself counts for nothing."""
    counter = kind(7, Lock())
    assert (counter.generation, counter.fresh()) == (7, 0)
    next(counter.ticks)
    next(counter.ticks)

    assert [counter.fresh() for _ in range(3)] == [2, 0, 0]
    next(counter.ticks)
    assert counter.fresh() == 1


def test_no_tick_of_a_storm_is_lost_or_told_twice(kind: Kind) -> None:
    """While eight threads tick, a reader adds up what is fresh: in the end that is each tick once."""
    lock = Lock()
    counter = kind(1, lock)
    told, ended = [], threading.Event()

    def tick() -> None:
        ticks = counter.ticks
        for _ in range(TICKS):
            next(ticks)

    def read() -> None:
        while not ended.is_set():
            with lock:
                told.append(counter.fresh())

    reader = threading.Thread(target=read)
    reader.start()
    in_threads(tick)
    ended.set()
    reader.join(60)
    told.append(counter.fresh())

    assert sum(told) == THREADS * TICKS
    assert min(told) >= 0


def test_ticks_of_threads_that_ended_are_kept(kind: Kind) -> None:
    """Of a thousand threads, each gone after three ticks, all ticks stay, read now and then or never before."""
    read, unread = kind(1, Lock()), kind(1, Lock())

    def tick() -> None:
        for _ in range(3):
            next(read.ticks)
            next(unread.ticks)

    told = 0
    for _ in range(50):
        in_threads(tick, 20)
        told += read.fresh()

    assert (told, unread.fresh()) == (3000, 3000)


def test_a_retired_counter_is_held_until_its_last_call_ends(kind: Kind) -> None:
    """As long as a call has the ticks it may add to them, and what it adds is told."""
    counter = kind(1, Lock())
    stamp = counter.ticks
    next(stamp)
    counter.retire()
    assert counter.held
    next(stamp)
    assert (counter.fresh(), counter.held) == (2, True)
    del stamp

    assert (counter.held, counter.fresh()) == (False, 0)


def test_a_call_in_another_thread_holds_it(kind: Kind) -> None:
    """A retired counter is held by calls in other threads too, and let go when they end."""
    counter = kind(1, Lock())
    inside, go_on = threading.Event(), threading.Event()

    def call() -> None:
        stamp = counter.ticks
        inside.set()
        assert go_on.wait(60)
        next(stamp)

    thread = threading.Thread(target=call)
    thread.start()
    assert inside.wait(60)
    counter.retire()
    assert counter.held
    go_on.set()
    thread.join(60)

    assert (counter.held, counter.fresh()) == (False, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_goes_on_counting(kind: Kind) -> None:
    """What the parent's threads ticked is there in the child, which counts on by a lock of its own."""
    lock = Lock()
    counter = kind(1, lock)
    ticked, go_on = threading.Event(), threading.Event()

    def tick() -> None:
        next(counter.ticks)
        ticked.set()
        go_on.wait(60)

    thread = threading.Thread(target=tick)
    thread.start()
    assert ticked.wait(60)
    next(counter.ticks)
    with lock:  # another thread may hold it: the child must not wait for it
        pid = os.fork()
        if pid == 0:
            own = Lock()
            counter.in_child(own)
            for _ in range(100):
                alone = threading.Thread(target=lambda: next(counter.ticks))
                alone.start()
                alone.join(60)
            next(counter.ticks)
            with own:
                told = counter.fresh()
            os._exit(0 if told == 103 else 1)
    _, status = os.waitpid(pid, 0)
    go_on.set()
    thread.join(60)

    assert os.waitstatus_to_exitcode(status) == 0
    assert counter.fresh() == 2


def test_a_tick_between_the_steps_of_a_tick_is_not_lost() -> None:
    """Another thread may tick between the reading and the writing of a tick: its count is not written over."""
    counter = ShardedCounter(1, Lock())
    between = 0

    class Slow(int):
        def __add__(self, other: int) -> int:
            nonlocal between
            if not between:
                between = 3
                in_threads(lambda: next(counter.ticks), 3)
            return int(self) + other

    next(counter.ticks)
    counter._shards.own.shard[0] = Slow(1)
    next(counter.ticks)

    assert between == 3
    assert counter.fresh() == 5


def test_shards_of_ended_threads_are_let_go_though_nobody_reads() -> None:
    """With a thread for each call, and never a reading, what is kept does not grow with the calls."""
    counter, most = ShardedCounter(1, Lock()), 0
    for _ in range(40):
        in_threads(lambda: next(counter.ticks), 25)
        most = max(most, len(counter._shards))

    assert most <= 128
    assert counter.fresh() == 1000
    assert len(counter._shards) == 0


def test_as_many_shards_as_there_are_live_threads() -> None:
    """A thread has one shard however often it ticks, and keeps it as long as it lives."""
    counter = ShardedCounter(1, Lock())
    met = threading.Barrier(101)

    def tick() -> None:
        for _ in range(10):
            next(counter.ticks)
        met.wait(30)
        met.wait(30)

    threads = [threading.Thread(target=tick) for _ in range(100)]
    for thread in threads:
        thread.start()
    met.wait(30)
    assert (counter.fresh(), len(counter._shards)) == (1000, 100)
    met.wait(30)
    for thread in threads:
        thread.join(30)

    assert (counter.fresh(), len(counter._shards)) == (0, 0)


def test_a_first_tick_never_waits_for_the_lock() -> None:
    """In a signal handler of a thread that holds the lock, first ticks go through, and are counted, however many."""
    lock = Lock()
    counters = [ShardedCounter(1, lock) for _ in range(2)]
    with lock:
        next(counters[0].ticks)
        in_threads(lambda: next(counters[1].ticks), 200)

    assert [counter.fresh() for counter in counters] == [1, 200]


@pytest.mark.parametrize(("says", "expected"), [(None, Counter), (True, Counter), (False, ShardedCounter)])
def test_the_interpreter_says_which(
    says: bool | None, expected: type[AnyCounter], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no global interpreter lock it counts by thread; with it, or if nothing is said, by one count."""
    if says is None:
        monkeypatch.delattr(sys, "_is_gil_enabled", raising=False)
    else:
        monkeypatch.setattr(sys, "_is_gil_enabled", lambda: says, raising=False)

    assert counter_of_this_interpreter() is expected


def test_it_is_chosen_at_import() -> None:
    """A circuit of an interpreter that says it has no global lock counts by thread, without more being done."""
    code = (
        "import sys; sys._is_gil_enabled = lambda: False\n"
        "from selfheal import CircuitBreaker\n"
        "breaker = CircuitBreaker('x')\n"
        "breaker(abs)(1)\n"
        "print(type(breaker._circuit._counter).__name__, breaker.snapshot().successes)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert said.stdout.split() == ["ShardedCounter", "1"]


@pytest.mark.usefixtures("counting")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_circuit_counts_on_in_a_forked_child(kind: Kind) -> None:
    """Successes before the fork, and those of new threads after it, are all in the child's snapshot."""
    breaker = CircuitBreaker("forked", registry=BreakerRegistry())
    guarded = breaker(abs)
    guarded(1)
    assert type(breaker._circuit._counter) is kind is circuit.new_counter
    pid = os.fork()
    if pid == 0:
        for _ in range(100):
            thread = threading.Thread(target=guarded, args=(1,))
            thread.start()
            thread.join(60)
        os._exit(0 if breaker.snapshot().successes == 101 else 1)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert breaker.snapshot().successes == 1

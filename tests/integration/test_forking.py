"""Real forks: who registered is told, in the right process, and nothing stays locked in the child."""

from __future__ import annotations

import os
import select
import signal
import threading
import weakref
from collections.abc import Callable

import pytest

from selfheal import forking
from selfheal.events import ClockJumped, EventBus

WAIT = 60.0

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


def in_child(work: Callable[[], str]) -> str:
    """Fork, run ``work`` in the child, and give what it returned; a child that hangs is killed and told."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, work().encode())
        finally:
            os._exit(0)
    os.close(writing)
    ready, _, _ = select.select([reading], [], [], WAIT)
    told = os.read(reading, 65_536).decode() if ready else "hung"
    os.close(reading)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return told


class Keeper:
    """Keeps a lock, and writes down what came of it around a fork."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.told: list[str] = []

    def start_over(self) -> None:
        """Write down whether the old lock was taken before, and make a new one."""
        self.told.append("taken" if self.lock.locked() else "free")
        self.lock = threading.Lock()

    def give_lock(self) -> threading.Lock:
        """Write down that it was asked for."""
        self.told.append("asked")
        return self.lock


def track(keeper: Keeper) -> None:
    forking.track(keeper, type(keeper).start_over, lock=type(keeper).give_lock)


def test_the_lock_rests_and_only_the_child_starts_over() -> None:
    """The lock is taken before the fork, given back in the parent, and left behind in the child."""
    keeper = Keeper()
    track(keeper)
    track(keeper)

    assert in_child(lambda: f"{keeper.told} {keeper.lock.locked()}") == "['asked', 'taken'] False"
    assert keeper.told == ["asked"]
    assert not keeper.lock.locked()


def test_what_has_nothing_to_bring_to_rest_only_starts_over() -> None:
    """Without a lock, or with none just now, the child is told all the same."""

    class Free(Keeper):
        def no_lock(self) -> None:
            """There is none now."""

    first, second = Free(), Free()
    forking.track(first, Free.start_over)
    forking.track(second, Free.start_over, lock=Free.no_lock)

    assert in_child(lambda: f"{first.told} {second.told}") == "['free'] ['free']"
    assert (first.told, second.told) == ([], [])


def test_a_lock_that_is_not_given_up_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fork goes on, the parent releases nothing that it does not hold, and the child has a lock of its own."""
    monkeypatch.setattr(forking, "_WAIT", 0.01)
    keeper = Keeper()
    track(keeper)

    with HeldElsewhere(keeper.lock):
        told = in_child(lambda: str(keeper.lock.acquire(timeout=1)))
        assert keeper.lock.locked()

    assert told == "True"
    assert not keeper.lock.locked()


def test_nobody_is_kept_alive_to_be_told() -> None:
    """Being registered keeps nothing alive; what is gone is not asked."""
    asked: list[str] = []

    class Gone(Keeper):
        def give_lock(self) -> threading.Lock:
            asked.append("asked")
            return self.lock

    gone = Gone()
    track(gone)
    reference = weakref.ref(gone)
    del gone

    assert in_child(lambda: "ok") == "ok"
    assert reference() is None
    assert asked == []


def test_whoever_comes_during_a_fork_is_not_told_half() -> None:
    """What is registered after the fork began is told neither part, so that nothing is released that was not taken."""
    late = Keeper()

    class Registering(Keeper):
        def give_lock(self) -> threading.Lock:
            track(late)
            return self.lock

    first = Registering()
    track(first)

    assert in_child(lambda: f"{late.told} {first.told}") == "[] ['taken']"
    assert (late.told, first.lock.locked()) == ([], False)


def test_a_registration_under_way_in_another_thread_does_not_lock_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child can register even if another thread held the lock while the parent forked."""
    monkeypatch.setattr(forking, "_WAIT", 0.01)
    keeper = Keeper()
    track(keeper)

    def register() -> str:
        track(Keeper())
        return "registered"

    with HeldElsewhere(forking._lock):
        told = in_child(register)

    assert told == "registered"
    assert keeper.told == ["asked"]


def test_events_are_delivered_in_the_child() -> None:
    """A bus works in the child though its delivery was under way, and its locks held, in the parent."""
    bus = EventBus()
    entered, release = threading.Event(), threading.Event()
    got: list[float] = []

    def handler(event: ClockJumped) -> None:
        if event.seconds == 1.0:
            entered.set()
            release.wait(WAIT)
        got.append(event.seconds)

    subscription = bus.subscribe(handler, ClockJumped)
    bus.publish(ClockJumped(seconds=1.0))
    assert entered.wait(WAIT)

    def child() -> str:
        bus.publish(ClockJumped(seconds=2.0))
        drained = bus.drain(WAIT / 2)
        bus.subscribe(print).cancel()
        return f"{drained} {got}"

    locks = [subscription._lock, vars(subscription._idle)["_cond"], bus._lock]
    with HeldElsewhere(*locks):
        told = in_child(child)
    release.set()

    assert told == "True [2.0]"
    assert bus.drain(WAIT)
    assert got == [1.0]


class HeldElsewhere:
    """Has another thread hold the locks meanwhile."""

    def __init__(self, *locks: threading.Lock | threading.Condition) -> None:
        self.locks = locks
        self.held, self.release = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._hold)

    def _hold(self) -> None:
        for lock in self.locks:
            lock.acquire()
        self.held.set()
        self.release.wait(WAIT)
        for lock in self.locks:
            lock.release()

    def __enter__(self) -> None:
        self.thread.start()
        assert self.held.wait(WAIT)

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self.thread.join(WAIT)

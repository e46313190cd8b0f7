"""Real forks: who registered is told, in the right process, and nothing stays locked in the child."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable

import pytest

from selfheal import forking
from selfheal.events import ClockJumped, EventBus

WAIT = 20.0

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


class Recorder:
    """Writes down what it was told around a fork."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def before_fork(self) -> None:
        """Write down: before."""
        self.told.append("before")

    def after_fork_in_parent(self) -> None:
        """Write down: parent."""
        self.told.append("parent")

    def after_fork_in_child(self) -> None:
        """Write down: child."""
        self.told.append("child")


def test_each_process_is_told_its_own_part() -> None:
    """The parent hears of before and after, the child of before and of being the child."""
    recorder = Recorder()
    forking.track(recorder)
    forking.track(recorder)

    assert in_child(lambda: " ".join(recorder.told)) == "before child"
    assert recorder.told == ["before", "parent"]


def test_nobody_is_kept_alive_to_be_told() -> None:
    """Being registered keeps nothing alive; what is gone is not told."""
    told: list[str] = []

    class Gone(Recorder):
        def before_fork(self) -> None:
            told.append("before")

    gone = Gone()
    forking.track(gone)
    del gone

    assert in_child(lambda: "ok") == "ok"
    assert told == []


def test_whoever_comes_during_a_fork_is_not_told_half() -> None:
    """What is registered after the fork began is told neither part, so it cannot undo what it never did."""
    late = Recorder()

    class Registering(Recorder):
        def before_fork(self) -> None:
            forking.track(late)

    first = Registering()
    forking.track(first)

    assert in_child(lambda: " ".join(late.told)) == ""
    assert late.told == []
    assert first.told == ["parent"]


def test_a_registration_under_way_in_another_thread_does_not_lock_the_child() -> None:
    """The child can register even if another thread held the lock while the parent forked."""
    recorder = Recorder()
    forking.track(recorder)

    def register() -> str:
        forking.track(Recorder())
        return "registered"

    with HeldElsewhere(forking._lock):
        told = in_child(register)

    assert told == "registered"
    assert recorder.told == ["before", "parent"]


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

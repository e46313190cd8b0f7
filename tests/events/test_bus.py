"""Delivery of events: nothing a subscriber does reaches the publisher, and nothing is left running."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from typing import Any

import pytest

from selfheal.errors import ConfigError
from selfheal.events import Alert, AlertCleared, ClockJumped, Event, EventBus

WAIT = 60.0


class Blocking:
    """A subscriber that blocks on each event until released, and keeps what it got."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.release = threading.Event()
        self.got: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.entered.set()
        assert self.release.wait(WAIT)
        self.got.append(event)


def jumps(*seconds: float) -> list[ClockJumped]:
    """Events told apart by a number."""
    return [ClockJumped(seconds=s) for s in seconds]


def test_events_arrive_in_order() -> None:
    """Queued events are delivered in the order in which they were published."""
    bus, got = EventBus(), list[Event]()
    bus.subscribe(got.append)
    sent = jumps(*range(500))
    for event in sent:
        bus.publish(event)

    assert bus.drain(WAIT)
    assert got == sent


def test_inline_subscribers_are_called_before_publish_returns() -> None:
    """An inline subscriber runs in the publisher's thread, at once."""
    bus, threads = EventBus(), list[threading.Thread]()
    bus.subscribe(lambda _: threads.append(threading.current_thread()), inline=True)
    bus.publish(ClockJumped(seconds=1.0))

    assert threads == [threading.current_thread()]


@pytest.mark.parametrize("inline", [True, False])
def test_only_the_kinds_asked_for_arrive(inline: bool) -> None:
    """A subscription gets its kinds and their subclasses; one to ``Event`` gets all."""
    bus = EventBus()
    alerts, both, everything = list[Event](), list[Event](), list[Event]()
    bus.subscribe(alerts.append, Alert, inline=inline)
    bus.subscribe(both.append, Alert, AlertCleared, inline=inline)
    bus.subscribe(everything.append, Event, inline=inline)
    sent = [Alert(kind="leak"), AlertCleared(fingerprint="leak||"), ClockJumped(seconds=3.0)]
    for event in sent:
        bus.publish(event)

    assert bus.drain(WAIT)
    assert (alerts, both, everything) == (sent[:1], sent[:2], sent)


@pytest.mark.parametrize("inline", [True, False])
def test_a_subscriber_that_raises_reaches_nobody(inline: bool, caplog: pytest.LogCaptureFixture) -> None:
    """What a subscriber raises is logged and counted; the publisher and the others do not notice."""
    bus, got = EventBus(), list[Event]()

    def broken(event: Event) -> None:
        raise ValueError("subscriber is broken")

    failing = bus.subscribe(broken, inline=inline)
    bus.subscribe(got.append, inline=inline)
    sent = jumps(1, 2)
    with caplog.at_level(logging.ERROR, logger="selfheal.events"):
        for event in sent:
            bus.publish(event)
        assert bus.drain(WAIT)

    assert got == sent
    assert failing.failed == 2
    assert "raised on ClockJumped" in caplog.text
    assert "subscriber is broken" in caplog.text


def test_a_subscriber_that_blocks_holds_nobody_up() -> None:
    """``publish`` returns, and others get the event, while one subscriber is stuck."""
    bus, stuck, got = EventBus(), Blocking(), list[Event]()
    bus.subscribe(stuck)
    other = bus.subscribe(got.append)
    sent = jumps(1, 2)
    for event in sent:
        bus.publish(event)

    assert other.drain(WAIT)
    assert got == sent
    assert stuck.got == []
    assert not bus.drain(0.0)
    stuck.release.set()
    assert bus.drain(WAIT)
    assert stuck.got == sent


def test_a_full_queue_drops_the_oldest_and_counts() -> None:
    """A subscriber too slow for its queue loses the oldest events, and says how many."""
    bus, slow = EventBus(), Blocking()
    subscription = bus.subscribe(slow, limit=3)
    bus.publish(ClockJumped(seconds=0))
    assert slow.entered.wait(WAIT)
    for event in jumps(1, 2, 3, 4, 5):
        bus.publish(event)
    slow.release.set()

    assert bus.drain(WAIT)
    assert slow.got == jumps(0, 3, 4, 5)
    assert subscription.dropped == 2


def test_a_subscriber_may_publish() -> None:
    """A subscriber that publishes on the same bus does not deadlock, and its event arrives."""
    bus, got = EventBus(), list[Event]()
    bus.subscribe(lambda alert: bus.publish(AlertCleared(fingerprint=alert.fingerprint)), Alert)
    cleared = bus.subscribe(got.append, AlertCleared)
    bus.publish(Alert(kind="leak"))

    assert bus.drain(WAIT)
    assert cleared.drain(WAIT)
    assert got == [AlertCleared(fingerprint="leak||")]


def test_no_thread_lives_while_nothing_happens() -> None:
    """Delivery threads end when the queue ran empty, and start again for the next event."""
    bus, threads = EventBus(), list[threading.Thread]()
    bus.subscribe(lambda _: threads.append(threading.current_thread()))
    for _ in range(2):
        bus.publish(ClockJumped(seconds=1.0))
        assert bus.drain(WAIT)
        threads[-1].join(WAIT)
        assert not threads[-1].is_alive()

    assert threads[0] is not threads[1]
    assert all(thread.daemon for thread in threads)


@pytest.mark.parametrize("inline", [True, False])
def test_nothing_arrives_after_cancel(inline: bool) -> None:
    """A cancelled subscription gets nothing more, and cancelling again does nothing."""
    bus, got = EventBus(), list[Event]()
    subscription = bus.subscribe(got.append, inline=inline)
    subscription.cancel()
    subscription.cancel()
    bus.publish(ClockJumped(seconds=1.0))

    assert bus.drain(WAIT)
    assert got == []


@pytest.mark.parametrize("inline", [True, False])
def test_a_publish_under_way_delivers_nothing_after_cancel(inline: bool) -> None:
    """A subscriber cancelled by one called before it in the same publish is not called any more."""
    bus, got = EventBus(), list[Event]()
    bus.subscribe(lambda _: later.cancel(), inline=True)
    later = bus.subscribe(got.append, inline=inline)
    bus.publish(ClockJumped(seconds=1.0))

    assert later.drain(WAIT)
    assert got == []


def test_cancel_drops_what_is_queued() -> None:
    """Events that wait in the queue of a cancelled subscription are not delivered."""
    bus, slow = EventBus(), Blocking()
    subscription = bus.subscribe(slow)
    bus.publish(ClockJumped(seconds=1.0))
    assert slow.entered.wait(WAIT)
    bus.publish(ClockJumped(seconds=2.0))
    subscription.cancel()
    slow.release.set()

    assert subscription.drain(WAIT)
    assert slow.got == jumps(1.0)


def test_a_cancelled_subscription_is_let_go() -> None:
    """The bus keeps no cancelled subscription alive."""
    bus = EventBus()
    subscription = bus.subscribe(print)
    gone = weakref.ref(subscription)
    subscription.cancel()
    del subscription
    gc.collect()

    assert gone() is None


def test_events_wait_when_no_thread_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the system has no thread left, events stay queued and go out with the next one that gets a thread."""
    bus, got = EventBus(), list[Event]()
    subscription = bus.subscribe(got.append)
    sent = jumps(1, 2)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", _no_thread)
        bus.publish(sent[0])
        assert not subscription.drain(0.0)
    bus.publish(sent[1])

    assert subscription.drain(WAIT)
    assert got == sent


def test_cancel_ends_the_wait_for_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscription cancelled while its events wait for a thread counts as drained."""
    bus = EventBus()
    subscription = bus.subscribe(print)
    monkeypatch.setattr(threading.Thread, "start", _no_thread)
    bus.publish(ClockJumped(seconds=1.0))
    subscription.cancel()

    assert subscription.drain(0.0)


def test_events_are_delivered_at_the_interpreters_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """When no thread can start because the interpreter is ending, events are delivered in place."""
    bus, got = EventBus(), list[Event]()
    bus.subscribe(got.append)
    monkeypatch.setattr(threading.Thread, "start", _no_thread)
    monkeypatch.setattr(threading.main_thread(), "is_alive", lambda: False, raising=False)
    bus.publish(ClockJumped(seconds=1.0))

    assert got == jumps(1.0)


def _no_thread(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_no_event_is_lost_among_many_publishers() -> None:
    """Eight threads publish at once: every event arrives once, each publisher's own in order."""
    bus, got = EventBus(), list[Any]()
    bus.subscribe(got.append, limit=10_000)
    start = threading.Barrier(8)

    def publish(number: int) -> None:
        start.wait()
        for i in range(500):
            bus.publish(AlertCleared(fingerprint=f"{number}", at=i))

    threads = [threading.Thread(target=publish, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)

    assert bus.drain(WAIT)
    for number in range(8):
        assert [e.at for e in got if e.fingerprint == f"{number}"] == list(range(500))


@pytest.mark.parametrize(
    ("handler", "kinds", "limit", "told"),
    [
        (None, (), 1, "handler of EventBus.subscribe must be a callable that takes the event, got None."),
        (print, ("Alert",), 1, "kinds of EventBus.subscribe must be event classes, got 'Alert'."),
        (print, (int,), 1, "kinds of EventBus.subscribe must be event classes, got <class 'int'>."),
        (print, (), 0, "limit of EventBus.subscribe must be an integer of 1 or more, got 0. The default is 1000."),
        (print, (), True, "limit of EventBus.subscribe must be an integer of 1 or more, got True."),
    ],
)
def test_a_bad_subscription_is_refused(handler: Any, kinds: Any, limit: Any, told: str) -> None:
    """What would make every later publish fail is refused when subscribing."""
    with pytest.raises(ConfigError) as caught:
        EventBus().subscribe(handler, *kinds, limit=limit)

    assert str(caught.value).startswith(told)

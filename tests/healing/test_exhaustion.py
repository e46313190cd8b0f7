"""Task runs that are stuck for good end healing until a person looks."""

from __future__ import annotations

from selfheal import DormantController, EventBus, FeatureFlags, Healer
from selfheal.events import WorkersExhausted
from selfheal.testing import FakeClock


def test_exhausted_workers_make_the_healer_dormant() -> None:
    """A healer that listens to the bus goes dormant, naming the stuck tasks; only a person resumes it."""
    bus, clock = EventBus(), FakeClock()
    dormancy = DormantController(clock=clock, events=bus)
    healer = Healer(lambda alert: True, flags=FeatureFlags(environ={}), dormancy=dormancy, clock=clock, events=bus)
    healer.subscribe()
    bus.publish(WorkersExhausted(abandoned=3, task_ids=("poll", "sync")))

    assert bus.drain()
    record = dormancy.record
    assert record is not None
    assert (record.reason, record.triggered_by) == ("3 task runs are stuck: poll, sync", "automatic")
    assert dormancy.resume("threads looked at")

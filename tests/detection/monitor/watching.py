"""A monitor, its bus and its clock, as tests use them."""

from __future__ import annotations

from typing import Any

from selfheal.detection import Monitor
from selfheal.detection.monitor import Ended, Learning, Signal
from selfheal.events import Alert, AlertCleared, Event, EventBus, Severity
from selfheal.testing import FakeClock

WALL = 1_700_000_100.0  # a multiple of 300 s


def signal(
    kind: str = "cpu_spike",
    target: str = "web",
    metric: str = "cpu",
    *,
    source: str = "",
    severity: Severity = Severity.WARNING,
    learnt: bool = False,
    covers: tuple[tuple[str, str], ...] | None = None,
    since: float = WALL,
) -> Signal:
    """What a rule says, or a learnt detector."""
    return Signal(
        source=source or ("series" if learnt else f"rule {kind}"),
        kind=kind,
        target=target,
        metric=metric,
        value=95.0,
        severity=severity,
        since=since,
        message=f"{metric} of {target}",
        covers=frozenset({(metric, target)} if covers is None else covers),
        learnt=learnt,
    )


def ended(one: Signal) -> Ended:
    """The end of a signal."""
    return Ended(key=one.key, message="over")


class Watched:
    """A monitor that is looked at."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock(wall=WALL)
        self.bus = EventBus()
        self.seen: list[Event] = []
        self.bus.subscribe(self.seen.append, Alert, AlertCleared, inline=True)
        self.monitor = Monitor(events=self.bus, clock=self.clock, **options)

    def hold(self, metric: str, value: float, seconds: float, target: str = "web", step: float = 10.0) -> None:
        """Observe the same value every ``step`` seconds, with the tasks run as they are meant to."""
        for n in range(int(seconds // step)):
            self.monitor.observe(metric, value, target)
            self.clock.advance(step)
            if step >= 10.0 or n % 10 == 0:
                self.monitor.tick()
            if self.clock.wall() % 300.0 == 0.0:
                self.monitor.detect()

    @property
    def told(self) -> list[str]:
        """What was told on the bus, in short."""
        return [self._short(event) for event in self.seen]

    @staticmethod
    def _short(event: Event) -> str:
        if isinstance(event, Alert):
            return f"! {event.fingerprint}"
        return f". {event.fingerprint}" if isinstance(event, AlertCleared) else repr(event)


class Says:
    """A learner that says what it is told to."""

    name = "series"

    def __init__(self) -> None:
        self.news: list[Signal | Ended] = []

    def say(self, watched: Watched, *news: Signal | Ended) -> None:
        """Say it at the next step, which comes now."""
        self.news = list(news)
        watched.monitor.observe("some", 1.0)
        watched.clock.advance(300.0)
        assert watched.monitor.detect() == 1

    def step(self, *_: object) -> list[Signal | Ended]:
        return self.news

    def states(self) -> tuple[Learning, ...]:
        return ()

    def usual(self, *_: object) -> None:
        return None

    def to_dict(self) -> dict[str, Any]:
        return {}

    def load(self, *_: object) -> tuple[str, ...]:
        return ()

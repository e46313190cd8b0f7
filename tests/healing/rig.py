"""A healer on a fake clock, with everything it publishes and a healing that does as it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from selfheal.events import Alert, Event, EventBus, HealingFinished
from selfheal.healing import Healer, HealingContext, HealingRecord
from selfheal.policies.dormancy import DormantController
from selfheal.policies.flags import AUTO_HEALING, FeatureFlags
from selfheal.testing import FakeClock

ALERT = Alert(kind="high_latency", target="api")


class Rig:
    """``says`` is what the next healings return; an exception is raised, a callable is called with the context."""

    def __init__(self, *, dormancy: dict[str, Any] | None = None, **options: Any) -> None:
        self.clock = FakeClock()
        self.events = EventBus()
        self.seen: list[Event] = []
        self.events.subscribe(self.seen.append, inline=True)
        self.environ: dict[str, str] = {}
        self.flags = FeatureFlags("/nonexistent", environ=self.environ)
        self.says: object = None
        self.began: list[float] = []
        self.dormancy = DormantController(clock=self.clock, events=self.events, **(dormancy or {}))
        options = {"heal": self.heal, **options}
        self.healer = Healer(flags=self.flags, dormancy=self.dormancy, clock=self.clock, events=self.events, **options)

    def heal(self, alert: Alert, context: HealingContext) -> object:
        """Do as told."""
        self.began.append(self.clock.monotonic())
        says: Callable[[HealingContext], object] | object = self.says
        if isinstance(says, BaseException):
            raise says
        return says(context) if callable(says) else says

    def handle(self, says: object = None) -> HealingRecord:
        """Handle one alert with this result."""
        self.says = says
        return self.healer.handle(ALERT)

    def fail(self, times: int) -> None:
        """Fail so many times, waiting as long as the healer wants between."""
        for _ in range(times):
            self.wait()
            assert self.handle(False).outcome == "failed"

    def wait(self) -> None:
        """Let the time pass that the healer's guards ask for."""
        self.clock.advance(max(self.healer.snapshot().retry_in, self.healer.breaker.snapshot().retry_after or 0.0))

    def switch_off(self) -> None:
        """Flip the healing flag off."""
        self.environ[AUTO_HEALING] = "off"

    def switch_on(self) -> None:
        """Flip the healing flag on again."""
        self.environ.pop(AUTO_HEALING, None)

    def finished(self) -> list[HealingFinished]:
        """The published ends of healings."""
        return [event for event in self.seen if isinstance(event, HealingFinished)]

    def kinds(self) -> list[str]:
        """Names of the published events."""
        return [type(event).__name__ for event in self.seen]

"""An engine on a fake clock, with a world to act on, a journal to read, and everything it publishes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from selfheal.events import Alert, Event, EventBus
from selfheal.healing.engine import Policies, StrategyEngine
from selfheal.healing.records import HealingRecord
from selfheal.healing.strategies import StrategySet
from selfheal.journal import Entry, Journal, read_journal
from selfheal.levers import Notification
from selfheal.policies.flags import AUTO_HEALING, FeatureFlags
from selfheal.policies.protection import Protection
from tests.healing.engine.world import OK, World

ALERT = Alert(kind="ill", target="web", fingerprint="ill@web")


def strategy(*levels: Any, **more: Any) -> dict[str, Any]:
    """A strategy that answers ``ill``; a level is a list of actions, or written out. Verified by the actions."""
    order = ("soft", "hard", "critical")
    made = [
        {"level": order[index], "actions": level} if isinstance(level, list) else level
        for index, level in enumerate(levels)
    ]
    base = {"name": "cure", "alerts": ["ill"], "verify": {"by": "actions"}, "settle": 0, "levels": made}
    return {**base, **more}


class Rig:
    """An engine and its surroundings.

    Args:
        strategies: as a file has them.
        fates: what becomes of each use of an action.
        path: of the journal, if there is to be one.
        world: that of an engine before this one.
        policies: by default everything may be harmed.
        options: of the engine.
    """

    def __init__(
        self,
        *strategies: Mapping[str, Any],
        fates: Iterable[str] = (OK,),
        path: Path | None = None,
        world: World | None = None,
        policies: Policies | None = None,
        **options: Any,
    ) -> None:
        self.world = World(fates, ("cpu", "memory")) if world is None else world
        self.world.alive = True
        self.clock = options.pop("clock", self.world.clock)
        self.events = EventBus()
        self.seen: list[Event] = []
        self.events.subscribe(self.seen.append, inline=True)
        self.told: list[Notification] = []
        self.environ: dict[str, str] = {}
        self.path = path
        self.journal = None if path is None else Journal(path, clock=self.clock, sync="never")
        self.engine = StrategyEngine(
            StrategySet.from_data({"version": 1, "strategies": list(strategies)}),
            levers={"notifier": self},
            actions=options.pop("actions", None) or self.world.actions(),
            journal=self.journal,
            flags=FeatureFlags("/nonexistent", environ=self.environ),
            policies=policies or Policies(protection=Protection(allowed=["*"])),
            clock=self.clock,
            events=self.events,
            **{"inline_actions": True, **options},
        )

    def notify(self, notification: Notification) -> None:
        """A person is told."""
        self.told.append(notification)

    def flag(self, value: str) -> None:
        """Set the healing flag."""
        self.environ[AUTO_HEALING] = value

    def pass_time(
        self, seconds: float, *, step: float = 5.0, observe: Mapping[str, float] | None = None
    ) -> list[HealingRecord]:
        """Let time pass in steps, looking at each; with samples of ``web`` at each, if given."""
        records = []
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            for metric, value in (observe or {}).items():
                self.engine.observe(metric, value, "web")
            records += self.engine.run_once()
        return records

    def raise_alert(self, alert: Alert = ALERT) -> list[HealingRecord]:
        """Have an alert answered, as far as that goes without waiting."""
        self.engine.submit(alert)
        return self.engine.run_once()

    def entries(self, *types: str) -> list[Entry]:
        """What the journal says, all of it or of some types."""
        assert self.path is not None
        return [entry for entry in read_journal(self.path) if not types or entry.type in types]

    def of(self, kind: type[Event]) -> list[Any]:
        """The published events of a kind."""
        return [event for event in self.seen if isinstance(event, kind)]

    def die(self) -> None:
        """End as a killed process does."""
        assert self.journal is not None
        self.journal._let_go()

"""The zone of a monitor is that of the rules that ship."""

from __future__ import annotations

import pytest

from selfheal.detection import Monitor
from selfheal.detection.rules import shipped_rules
from selfheal.errors import ConfigError
from selfheal.events import EventBus
from selfheal.testing import FakeClock
from tests.detection.test_leak_past import DAY, MOVED, lows


@pytest.mark.parametrize(("zone", "told"), [("UTC", {"memory_leak"}), ("Europe/Berlin", set())])
def test_the_shipped_rules_go_by_the_clocks_of_the_monitor(zone: str, told: set[str]) -> None:
    """Memory that follows the clocks of Berlin looks like a leak when they are moved, but not to who goes by them."""
    first, found = MOVED["forward"] - 5 * DAY, set()
    clock = FakeClock(wall=first)
    monitor = Monitor(learners=(), zone=zone, events=EventBus(), clock=clock)
    for t, value in lows(first, first + 8 * DAY):
        clock.advance(t - clock.wall())
        monitor.observe("memory_percent", value, "host")
        found |= {alert.kind for alert in monitor.open if t > first + 4 * DAY}

    assert found == told


def test_rules_ship_for_zones_that_are_known() -> None:
    """A zone that this machine does not know is refused."""
    assert shipped_rules() == shipped_rules("UTC") != shipped_rules("Europe/Berlin")
    with pytest.raises(ConfigError, match=r"LeakConfig\.zone must be the name of a time zone"):
        shipped_rules("Mars/Olympus")

"""Tests of the samples: what is the latest, what is newer than a moment, and how much is kept."""

from __future__ import annotations

import math
from typing import Any

import pytest

from selfheal.conditions import Samples
from selfheal.errors import ConfigError


def test_the_latest_is_that_of_the_target_or_of_all() -> None:
    """A target without such a metric of its own has that of the target ''."""
    samples = Samples()
    samples.observe("cpu", 10.0, "", 1000.0)
    samples.observe("cpu", 90.0, "web", 1000.0)

    assert samples.latest("cpu", "web", 1000.0) == 90.0
    assert samples.latest("cpu", "db", 1000.0) == 10.0
    assert samples.latest("mem", "web", 1000.0) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, 10**400])
def test_what_is_not_finite_is_unknown(value: Any) -> None:
    """An unknown value hides the one before it and is no sample; that of '' does not stand in."""
    samples = Samples()
    samples.observe("cpu", 10.0, "", 1000.0)
    samples.observe("cpu", 90.0, "web", 1000.0)
    assert samples.observe("cpu", value, "web", 1001.0)

    assert samples.latest("cpu", "web", 1001.0) is None
    assert samples.since("cpu", "web", 0.0) == [(1000.0, 90.0)]


def test_a_stale_value_is_unknown() -> None:
    """A value counts for stale_after seconds, the last moment included."""
    samples = Samples(stale_after="1m")
    samples.observe("cpu", 90.0, "web", 1000.0)

    assert samples.latest("cpu", "web", 1060.0) == 90.0
    assert samples.latest("cpu", "web", 1060.1) is None


def test_since_is_strictly_newer() -> None:
    """Values of the very moment asked for are not newer than it."""
    samples = Samples()
    for step in range(4):
        samples.observe("cpu", float(step), "web", 1000.0 + step)

    assert samples.since("cpu", "web", 1001.0) == [(1002.0, 2.0), (1003.0, 3.0)]
    assert samples.since("cpu", "web", 1003.0) == []
    assert samples.since("nothing", "web", 0.0) == []


def test_only_the_newest_are_kept() -> None:
    """A series is as long as it may be, no longer."""
    samples = Samples(keep=3)
    for step in range(10):
        samples.observe("cpu", float(step), "web", float(step))

    assert [value for _, value in samples.since("cpu", "web", -1.0)] == [7.0, 8.0, 9.0]


def test_what_is_older_than_the_latest_is_refused() -> None:
    """A late value changes nothing and is counted; one of the same moment replaces."""
    samples = Samples()
    samples.observe("cpu", 1.0, "web", 1000.0)

    assert samples.observe("cpu", 2.0, "web", 1000.0) is True
    assert samples.observe("cpu", 3.0, "web", 999.0) is False
    assert (samples.latest("cpu", "web", 1000.0), samples.refused) == (2.0, 1)


def test_no_more_series_than_may_be() -> None:
    """One series too many is refused and counted, until another is stale and goes."""
    samples = Samples(stale_after=100.0, max_series=2)
    samples.observe("cpu", 1.0, "a", 1000.0)
    samples.observe("mem", 1.0, "b", 1050.0)

    assert samples.observe("cpu", 1.0, "c", 1100.0) is False
    assert samples.observe("cpu", 1.0, "c", 1105.0) is False
    assert samples.observe("cpu", 1.0, "c", 1111.0) is True
    assert (len(samples), samples.refused) == (2, 2)
    assert samples.latest("cpu", "a", 1000.0) is None
    assert samples.all_targets() == {"b", "c"}


def test_looking_for_stale_ones_is_rare() -> None:
    """A flood of new names does not make each refusal look at all that is kept."""
    samples = Samples(stale_after=100.0, max_series=1)
    samples.observe("cpu", 1.0, "a", 1000.0)
    looks = 0

    class Counted(dict[str, Any]):
        def items(self) -> Any:
            nonlocal looks
            looks += 1
            return super().items()

    samples._by_metric["cpu"] = Counted(samples._by_metric["cpu"])
    for step in range(1000):
        samples.observe("cpu", 1.0, f"t{step}", 1000.0 + step * 0.001)

    assert (looks, samples.refused) == (1, 1000)


def test_a_forgotten_target_makes_room() -> None:
    """All series of a target go, and its place is free."""
    samples = Samples(max_series=3)
    for metric, target in [("cpu", "a"), ("mem", "a"), ("cpu", "b")]:
        samples.observe(metric, 1.0, target, 1000.0)

    assert samples.forget("a") == 2
    assert (samples.forget("a"), len(samples)) == (0, 1)
    assert samples.targets("cpu") == ("b",)
    assert samples.targets("mem") == ()


@pytest.mark.parametrize("value", ["5", True, [1], b"1"])
def test_what_is_no_number_is_refused(value: Any) -> None:
    """Text and booleans are no values, and leave no series behind."""
    samples = Samples()
    with pytest.raises(ConfigError, match="value of 'cpu' must be a number"):
        samples.observe("cpu", value, "web", 1000.0)
    assert len(samples) == 0


@pytest.mark.parametrize(
    "options",
    [{"stale_after": 0}, {"stale_after": "5"}, {"keep": 0}, {"keep": True}, {"max_series": 0}, {"max_series": 1.5}],
)
def test_settings_out_of_range_are_refused(options: Any) -> None:
    """Each is refused, naming it."""
    with pytest.raises(ConfigError, match=f"Samples.{next(iter(options))} must be"):
        Samples(**options)

"""The blast radius: too much unhealthy at once ends healing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.configuring import structure
from selfheal.errors import ConfigError, InvalidConfigError
from selfheal.policies.blast_radius import BlastRadius

TEN = [f"t{n}" for n in range(10)]


def test_a_share_may_be_reached_and_not_passed() -> None:
    """Half of the targets unhealthy is still healed, one more is not."""
    radius = BlastRadius()

    assert radius.check(TEN[:5], TEN) is None
    assert radius.check(TEN[:6], TEN) == (
        "6 of 10 known targets are unhealthy or being healed, more than the share of 0.5"
    )


def test_a_count_may_be_reached_and_not_passed() -> None:
    """An integer is a number of targets, also 1, which a share of 1.0 is not."""
    assert BlastRadius(max_unhealthy=4).check(TEN[:4], TEN) is None
    assert BlastRadius(max_unhealthy=4).check(TEN[:5], TEN) == (
        "5 of 10 known targets are unhealthy or being healed, more than the 4 that may be"
    )
    assert BlastRadius(max_unhealthy=1, at_least=1).check(TEN[:2], TEN) is not None
    assert BlastRadius(max_unhealthy=1.0).check(TEN, TEN) is None


def test_few_targets_are_healed_whatever_their_share() -> None:
    """Fewer unhealthy ones than ``at_least`` never refuse."""
    assert BlastRadius().check(["a", "b"], ["a", "b"]) is None
    assert BlastRadius().check(["a", "b", "c"], ["a", "b", "c"]) is not None
    assert BlastRadius(at_least=1).check(["a"], ["a"]) is not None


def test_what_is_being_healed_is_unhealthy() -> None:
    """A target in healing counts once, with or without an open alert."""
    radius = BlastRadius(max_unhealthy=3)

    assert radius.check(TEN[:3], TEN, healing=TEN[:3]) is None
    assert radius.check(TEN[:3], TEN, healing=TEN[3:4]) is not None


def test_targets_nobody_knew_of_are_known_by_being_ill() -> None:
    """An unhealthy target that is not among the known ones is one of them."""
    assert BlastRadius(at_least=1).check(["x"], ["a"]) is None
    assert BlastRadius(at_least=1).check(["x", "y"], ["a"]) is not None


@pytest.mark.parametrize("value", [0.0, 1.5, 0, -1, True, "0.5", float("nan"), 2_000_000])
def test_what_is_neither_share_nor_count_is_refused(value: float) -> None:
    """Both ways of saying it are named in the error."""
    with pytest.raises(ConfigError, match="a share above 0.0 and up to 1.0, or a count"):
        BlastRadius(max_unhealthy=value)


def test_the_limits_come_from_a_file_too() -> None:
    """In plain data, too, an integer is a count and a fraction a share."""
    assert type(structure({"max_unhealthy": 3}, BlastRadius).max_unhealthy) is int
    assert type(structure({"max_unhealthy": 1.0}, BlastRadius).max_unhealthy) is float
    with pytest.raises(InvalidConfigError, match=r"blast\.at_least"):
        structure({"at_least": 0}, BlastRadius, "blast")
    assert BlastRadius(max_unhealthy=0.25).snapshot() == {"max_unhealthy": 0.25, "at_least": 3}


@given(st.integers(0, 40), st.integers(1, 40), st.integers(1, 100))
def test_the_share_is_exact(ill: int, known: int, percent: int) -> None:
    """It refuses exactly when more than that many hundredths are unhealthy, reckoned in whole numbers."""
    ill = min(ill, known)
    names = [str(n) for n in range(known)]
    radius = BlastRadius(max_unhealthy=percent / 100, at_least=1)

    assert (radius.check(names[:ill], names) is not None) is (ill * 100 > percent * known and ill > 0)

"""The univariate detectors that ship keep the detector contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from selfheal.detection import Detector, MetricDetector, SeasonalBaseline
from selfheal.testing import DetectorContract

MADE: dict[str, Callable[[str], Any]] = {
    "calibrated": lambda zone: SeasonalBaseline(zone=zone),
    "sigma": lambda zone: SeasonalBaseline(zone=zone, mode="sigma", sustain=(1, 1)),
    "metric": lambda zone: MetricDetector(zone=zone),
}


@pytest.mark.parametrize("check", DetectorContract.CHECKS)
@pytest.mark.parametrize("made", MADE)
def test_contract(made: str, check: str) -> None:
    """The detector keeps this part of the contract, in UTC and by the clocks of a zone."""
    DetectorContract(lambda: MADE[made]("UTC"), make_in_zone=MADE[made]).check(check)


@pytest.mark.parametrize("made", MADE)
def test_each_is_a_detector(made: str) -> None:
    """Each has all that the protocol asks for."""
    assert isinstance(MADE[made]("UTC"), Detector)

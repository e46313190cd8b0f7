"""The detectors of several metrics, watching one, keep the contract of detectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

import pytest

from selfheal.detection.composite import CompositeDetector
from selfheal.detection.forest.detector import IsolationForestDetector
from selfheal.detection.svm import OneClassSVMDetector
from selfheal.detection.verdict import Verdict
from selfheal.detection.windowed import WindowDetector
from selfheal.testing import DetectorContract

KINDS: list[type[WindowDetector]] = [CompositeDetector, IsolationForestDetector, OneClassSVMDetector]


class OneMetric:
    """A detector of several metrics as one of a single metric."""

    def __init__(self, several: WindowDetector) -> None:
        self._several = several

    def score(self, t: float, x: float) -> Verdict:
        return self._several.score(t, {"m": x})

    def learn(self, t: float, x: float, weight: float = 1.0) -> None:
        self._several.learn(t, {"m": x}, weight)

    def update(self, t: float, x: float) -> Verdict:
        return self._several.update(t, {"m": x})

    def warm_start(self, history: Iterable[tuple[float, float]]) -> int:
        return self._several.warm_start((t, {"m": x}) for t, x in history)

    def reset(self) -> None:
        self._several.reset()

    def to_dict(self) -> dict[str, Any]:
        return self._several.to_dict()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        kind = {kind.kind: kind for kind in KINDS}.get(data.get("kind", ""), CompositeDetector)
        return cls(kind.from_dict(data))


def made(kind: type[WindowDetector], zone: str = "UTC") -> OneMetric:
    """Small, so that a suite of hundreds of days is quick."""
    trees: dict[str, Any] = {"n_estimators": 20} if kind is IsolationForestDetector else {}
    return OneMetric(kind(["m"], zone=zone, max_rows=400, refit_every=86_400.0, smooth=1, **trees))


@pytest.mark.parametrize("check", DetectorContract.CHECKS)
@pytest.mark.parametrize("kind", KINDS)
def test_contract(kind: type[WindowDetector], check: str) -> None:
    """The detector keeps this part of the contract, in UTC and by the clocks of a zone."""
    DetectorContract(lambda: made(kind), make_in_zone=lambda zone: made(kind, zone)).check(check)

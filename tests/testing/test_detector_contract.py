"""The contract for detectors: each check finds the detector that breaks it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Self

import pytest

from selfheal.detection import MetricDetector, SeasonalBaseline, Verdict
from selfheal.errors import ConfigError
from selfheal.testing import ContractBreachError, DetectorContract, check_detector


class Negative(SeasonalBaseline):
    def score(self, t: float, x: float) -> Verdict:
        verdict = super().score(t, x)
        return verdict._replace(score=verdict.score - 0.1)


class HolesAreZero(SeasonalBaseline):
    def learn(self, t: float, x: float, weight: float = 1.0) -> None:
        super().learn(t, 0.0 if math.isnan(x) else x, weight)


class InfinityIsHuge(SeasonalBaseline):
    """Learns what is infinite as something large, and so takes it for usual."""

    def learn(self, t: float, x: float, weight: float = 1.0) -> None:
        if math.isinf(x):
            for n in range(3):
                super().learn(t + n, math.copysign(1e12, x), weight)
        super().learn(t, x, weight)


class Forgetful(SeasonalBaseline):
    def score(self, t: float, x: float) -> Verdict:
        if self.intake.after_gap(t):
            self.reset()
        return super().score(t, x)


class CountsAll(SeasonalBaseline):
    """Learns each sample as one of a second later, also one that was there already."""

    def learn(self, t: float, x: float, weight: float = 1.0) -> None:
        last = self.intake.last
        super().learn(last + 1.0 if t == last else t, x, weight)


class TakesLate(SeasonalBaseline):
    def learn(self, t: float, x: float, weight: float = 1.0) -> None:
        super().learn(max(t, self.intake.last + 1.0) if t < self.intake.last else t, x, weight)


class Nervous(SeasonalBaseline):
    """Finds everything a little unusual."""

    def score(self, t: float, x: float) -> Verdict:
        verdict = super().score(t, x)
        return Verdict.of(verdict.score + 1.6, ready=verdict.ready) if x == x else verdict


class Blind(SeasonalBaseline):
    def score(self, t: float, x: float) -> Verdict:
        verdict = super().score(t, x)
        return Verdict.of(min(verdict.score, 1.0), ready=verdict.ready)


class Stubborn(SeasonalBaseline):
    """Does not learn what is unusual."""

    def learn(self, t: float, x: float, weight: float = 1.0) -> None:
        if self.score(t, x).score < 3.0:
            super().learn(t, x, weight)


class Watched(SeasonalBaseline):
    """Learns by being asked."""

    def score(self, t: float, x: float) -> Verdict:
        verdict = super().score(t, x)
        if x == x:
            self._calibrator.learn(1.0)
        return verdict


class Late(SeasonalBaseline):
    def update(self, t: float, x: float) -> Verdict:
        self.learn(t, x)
        return self.score(t, x)


class Cold(SeasonalBaseline):
    def warm_start(self, history: Iterable[tuple[float, float]]) -> int:
        return sum(1 for _ in history)


class Sticky(SeasonalBaseline):
    def reset(self) -> None:
        kept = getattr(self, "_calibrator", None)
        super().reset()
        self._calibrator = kept or self._calibrator


class HalfSaved(SeasonalBaseline):
    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "calibrator": type(self)()._calibrator.to_dict()}


class Credulous(SeasonalBaseline):
    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        return super().from_dict({**data, "kind": "seasonal_baseline"})


class Moody(SeasonalBaseline):
    made = 0

    def reset(self) -> None:
        super().reset()
        Moody.made += 1
        self._mood = Moody.made % 2

    def score(self, t: float, x: float) -> Verdict:
        verdict = super().score(t, x)
        return verdict if verdict.score < 0.1 else Verdict.of(verdict.score * (1.0 + 0.1 * self._mood))


class Hoarder(SeasonalBaseline):
    def reset(self) -> None:
        super().reset()
        self._all: list[float] = []

    def learn(self, t: float, x: float, weight: float = 1.0) -> None:
        super().learn(t, x, weight)
        self._all.append(x)

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "all": [str(x) for x in self._all]}


BREAKERS = [
    ("scores_are_on_the_scale", Negative),
    ("missing_values_teach_nothing", HolesAreZero),
    ("infinite_values_are_seen_and_forgotten", InfinityIsHuge),
    ("a_gap_forgets_nothing", Forgetful),
    ("repeated_samples_count_once", CountsAll),
    ("late_samples_teach_nothing", TakesLate),
    ("a_constant_is_ordinary_and_its_change_is_seen", Nervous),
    ("a_constant_is_ordinary_and_its_change_is_seen", Blind),
    ("two_values_are_ordinary_and_a_third_is_not", Nervous),
    ("two_values_are_ordinary_and_a_third_is_not", Blind),
    ("a_step_is_seen_and_then_accepted", Stubborn),
    ("a_step_is_seen_and_then_accepted", Blind),
    ("scoring_changes_nothing", Watched),
    ("update_tells_what_score_tells", Late),
    ("learning_alone_teaches", Cold),
    ("reset_makes_it_new", Sticky),
    ("what_is_saved_goes_on_equally", HalfSaved),
    ("bad_records_are_refused", Credulous),
    ("the_same_samples_give_the_same_verdicts", Moody),
    ("memory_is_bounded", Hoarder),
]


@pytest.mark.parametrize(("check", "breaker"), BREAKERS)
def test_a_breaker_is_found(check: str, breaker: type[SeasonalBaseline]) -> None:
    """The check finds the detector that does not keep what it is about."""
    with pytest.raises(ContractBreachError):
        DetectorContract(breaker).check(check)


def test_a_detector_that_does_not_know_its_zone_is_found() -> None:
    """One that takes UTC for the clock on the wall takes the hour after a change of clocks for unusual."""
    with pytest.raises(ContractBreachError, match="change of clocks"):
        DetectorContract(SeasonalBaseline, make_in_zone=lambda zone: SeasonalBaseline()).check(
            "clock_changes_shift_nothing"
        )


def test_every_check_has_a_breaker() -> None:
    """No check is there that was never seen to fail."""
    assert {check for check, _ in BREAKERS} | {"clock_changes_shift_nothing"} == set(DetectorContract.CHECKS)


def test_all_that_is_wrong_is_told() -> None:
    """The call for all checks names each that is not kept."""
    with pytest.raises(ContractBreachError, match=r"Blind does not keep(.|\n)*- a_step(.|\n)*- learning_alone"):
        check_detector(Blind)


def test_a_good_detector_passes() -> None:
    """Nothing is found in one that keeps all."""
    check_detector(MetricDetector, days=6.0)


def test_an_unknown_check_is_an_error() -> None:
    """A check that is not there is refused, naming those that are."""
    with pytest.raises(ConfigError, match="memory_is_bounded"):
        DetectorContract(SeasonalBaseline).check("memory")

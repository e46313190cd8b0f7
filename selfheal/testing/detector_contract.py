"""What every detector must keep, as checks that need no test framework."""

from __future__ import annotations

import datetime
import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from selfheal.detection.verdict import HIGHEST_SCORE, Verdict
from selfheal.errors import StateError
from selfheal.testing.contract import Contract, ContractBreachError, require

DAY = 86_400.0
START = 1_709_251_200.0
"""2024-03-01 00:00 UTC."""
BERLIN_SPRING, BERLIN_AUTUMN = 1_711_846_800.0, 1_729_990_800.0
"""When Berlin moves its clocks in 2024: 31 March and 27 October, 01:00 UTC."""
ORDINARY = 1.5
"""No more is scored, on the median, for what the past is full of."""

Sample = tuple[float, Any]


class DetectorContract(Contract):
    """Checks one detector, of one metric or of several, on samples made by a seed.

    With pytest: parametrize over :attr:`CHECKS` and call :meth:`check`. Without: :func:`check_detector`.

    Args:
        make: makes a new detector, always the same way.
        make_in_zone: makes one whose time of day is that of a zone, given by name; without it the check of clock
            changes is left out.
        step: seconds between samples.
        days: days that it learns from before it is judged.
    """

    CHECKS: ClassVar[tuple[str, ...]] = (
        "scores_are_on_the_scale",
        "missing_values_teach_nothing",
        "infinite_values_are_seen_and_forgotten",
        "a_gap_forgets_nothing",
        "repeated_samples_count_once",
        "late_samples_teach_nothing",
        "a_constant_is_ordinary_and_its_change_is_seen",
        "two_values_are_ordinary_and_a_third_is_not",
        "a_step_is_seen_and_then_accepted",
        "clock_changes_shift_nothing",
        "scoring_changes_nothing",
        "update_tells_what_score_tells",
        "learning_alone_teaches",
        "reset_makes_it_new",
        "what_is_saved_goes_on_equally",
        "bad_records_are_refused",
        "the_same_samples_give_the_same_verdicts",
        "memory_is_bounded",
    )
    _ABOUT = "a detector"

    def __init__(
        self,
        make: Callable[[], Any],
        *,
        make_in_zone: Callable[[str], Any] | None = None,
        step: float = 300.0,
        days: float = 8.0,
    ) -> None:
        self._make = make
        self._make_in_zone = make_in_zone
        self._step = step
        self._days = days
        self._metrics: tuple[str, ...] | None = getattr(make(), "metrics", None)

    def _x(self, value: float) -> Any:
        return value if self._metrics is None else dict.fromkeys(self._metrics, value)

    def _noise(self, days: float, at: float = START, mean: float = 50.0, seed: int = 1) -> list[Sample]:
        """Normal samples around a mean with a spread of 2, the same for all metrics but for a little."""
        draw = random.Random(f"{seed} {at}")
        samples = []
        for n in range(int(days * DAY / self._step)):
            value = draw.gauss(mean, 2.0)
            some = self._metrics or ()
            x: Any = value if self._metrics is None else {m: value + draw.gauss(0.0, 0.5) for m in some}
            samples.append((at + n * self._step, x))
        return samples

    def _taught(self, samples: Sequence[Sample] | None = None, detector: Any = None) -> tuple[Any, float]:
        """A detector that lived through samples, and the time of the next one."""
        detector = self._make() if detector is None else detector
        samples = self._noise(self._days) if samples is None else samples
        for t, x in samples:
            detector.update(t, x)
        return detector, samples[-1][0] + self._step

    def _after(self, detector: Any, at: float) -> list[Verdict]:
        """Its verdicts on what follows: a day of noise with something far off in it."""
        found = [detector.update(t, x) for t, x in self._noise(0.5, at, seed=2)]
        found.append(detector.update(at + 0.5 * DAY, self._x(90.0)))
        return found

    def _same_after(self, one: Any, other: Any, at: float, otherwise: str) -> None:
        for n, (a, b) in enumerate(zip(self._after(one, at), self._after(other, at), strict=True)):
            require(a == b, f"{otherwise}: verdict {n} afterwards is {b!r}, not {a!r}")

    def _scores_are_on_the_scale(self) -> None:
        detector, at = self._taught()
        hostile = [1e308, -1e308, 5e-324, -0.0, 1e-300, 2.0**64, math.inf, -math.inf, math.nan, 50.0, 1e9]
        for value in hostile:
            verdict = detector.update(at, self._x(value))
            at += self._step
            good = 0.0 <= verdict.score <= HIGHEST_SCORE and 0.0 < verdict.p <= 1.0
            require(good, f"score and p of {value!r} are {verdict.score!r} and {verdict.p!r}")
            require(
                math.isclose(verdict.p, 10.0**-verdict.score, rel_tol=1e-9),
                f"p of {value!r} is {verdict.p!r}, and the score {verdict.score!r}",
            )

    def _missing_values_teach_nothing(self) -> None:
        plain, at = self._taught()
        holes = [hole for t, x in self._noise(self._days) for hole in ((t, x), (t + 1.0, self._x(math.nan)))]
        other, _ = self._taught(holes)
        verdict = other.score(at, self._x(math.nan))
        require(verdict.score == 0.0 and not verdict.ready, f"the verdict on a missing value is {verdict!r}")
        self._same_after(plain, other, at, "missing values taught it something")

    def _infinite_values_are_seen_and_forgotten(self) -> None:
        detector, at = self._taught()
        usual = self._median(detector, at)
        for value in (math.inf, -math.inf):
            seen = detector.score(at, self._x(value)).score
            require(seen > max(usual, ORDINARY), f"{value} scores {seen}, and an ordinary value {usual}")
        for n in range(20):  # for longer than what a detector may gather before it learns from it
            detector.update(at + n * self._step, self._x(math.inf if n % 2 else -math.inf))
        at += 100 * self._step
        require(self._median(detector, at) <= ORDINARY, "after infinite values an ordinary one is unusual")
        far = detector.score(at, self._x(90.0)).score
        require(far > ORDINARY, f"after infinite values, one 20 spreads off scores {far}")

    def _a_gap_forgets_nothing(self) -> None:
        detector, at = self._taught()
        at += 3 * DAY
        require(self._median(detector, at) <= ORDINARY, "after three days without samples an ordinary one is unusual")
        far = detector.score(at, self._x(90.0))
        require(far.ready and far.score > ORDINARY, f"after three days without samples one far off gets {far!r}")

    def _repeated_samples_count_once(self) -> None:
        plain, at = self._taught()
        other, _ = self._taught([sample for sample in self._noise(self._days) for _ in range(2)])
        self._same_after(plain, other, at, "samples of one moment, given twice, counted twice")

    def _late_samples_teach_nothing(self) -> None:
        plain, at = self._taught()
        other, _ = self._taught()
        for n in range(20):
            other.update(at - 3 * self._step - n * DAY / 20, self._x(70.0 + n))
        self._same_after(plain, other, at, "samples older than the latest taught it something")

    def _a_constant_is_ordinary_and_its_change_is_seen(self) -> None:
        for value in (0.0, 42.0, -1e9):
            samples = [(t, self._x(value)) for t, _ in self._noise(self._days)]
            detector = self._make()
            for t, x in samples:
                score = detector.update(t, x).score
                require(score == 0.0, f"a metric that is always {value} scores {score}")
            moved = detector.score(samples[-1][0] + self._step, self._x(value + 10.0)).score
            require(moved > ORDINARY, f"a metric that was always {value} scores {moved} when it moves by 10")

    def _two_values_are_ordinary_and_a_third_is_not(self) -> None:
        draw = random.Random(3)
        samples = [(t, self._x(float(draw.random() < 0.3))) for t, _ in self._noise(self._days)]
        detector, at = self._taught(samples)
        for value in (0.0, 1.0):
            score = detector.score(at, self._x(value)).score
            require(score <= ORDINARY, f"{value:g}, one of two values it always saw, scores {score}")
        third = detector.score(at, self._x(25.0)).score
        require(third > ORDINARY, f"25, where it only ever saw 0 and 1, scores {third}")

    def _a_step_is_seen_and_then_accepted(self) -> None:
        detector, at = self._taught()
        step = self._noise(3 * self._days, at, mean=90.0)
        first = [detector.update(t, x).score for t, x in step[:12]]
        require(max(first) > ORDINARY, f"of a step by 20 spreads, the first samples score at most {max(first)}")
        for t, x in step[12:]:
            detector.update(t, x)
        middle = self._median(detector, step[-1][0] + self._step, mean=90.0)
        require(middle <= ORDINARY, f"{3 * self._days:g} days after a step the new level still scores {middle}")

    def _clock_changes_shift_nothing(self) -> None:
        if self._make_in_zone is None:
            return
        zone = ZoneInfo("Europe/Berlin")
        for change in (BERLIN_SPRING, BERLIN_AUTUMN):
            before = [*self._office(zone, change - 15 * DAY, change)]
            detector, _ = self._taught(before, self._make_in_zone("Europe/Berlin"))
            hours: dict[float, list[float]] = {}
            for t, x in self._office(zone, change, change + DAY):
                hours.setdefault(t // 3600.0, []).append(detector.update(t, x).score)
            worst = max(sorted(scores)[len(scores) // 2] for scores in hours.values())
            require(worst <= ORDINARY, f"on the day after a change of clocks an ordinary hour scores {worst}")

    def _office(self, zone: ZoneInfo, start: float, end: float) -> Iterator[Sample]:
        """Samples that go by the clock on the wall: 80 from eight to eight, else 20."""
        draw = random.Random(4)
        for n in range(int((end - start) / self._step)):
            t = start + n * self._step
            hour = datetime.datetime.fromtimestamp(t, zone).hour
            yield t, self._x((80.0 if 8 <= hour < 20 else 20.0) + draw.gauss(0.0, 1.0))

    def _scoring_changes_nothing(self) -> None:
        plain, at = self._taught()
        other = self._make()
        for t, x in self._noise(self._days):
            other.score(t + self._step / 2, self._x(90.0))
            other.score(t + DAY, self._x(20.0))
            other.update(t, x)
        self._same_after(plain, other, at, "scoring changed later verdicts")

    def _update_tells_what_score_tells(self) -> None:
        detector = self._make()
        for t, x in self._noise(self._days):
            scored = detector.score(t, x)
            updated = detector.update(t, x)
            require(scored == updated, f"update tells {updated!r}, and score {scored!r}")

    def _learning_alone_teaches(self) -> None:
        samples = self._noise(self._days)
        detector = self._make()
        took = detector.warm_start(iter(samples))
        require(took == len(samples), f"warm_start took {took!r} of {len(samples)} samples")
        at = samples[-1][0] + self._step
        require(self._median(detector, at) <= ORDINARY, "after a warm start an ordinary value is unusual")
        far = detector.score(at, self._x(90.0))
        require(far.ready and far.score > ORDINARY, f"after a warm start one 20 spreads off gets {far!r}")

    def _reset_makes_it_new(self) -> None:
        used, at = self._taught()
        used.update(at, self._x(90.0))
        used.reset()
        fresh, _ = self._taught()
        again, at = self._taught(detector=used)
        self._same_after(fresh, again, at, "after reset it is not as new")

    def _what_is_saved_goes_on_equally(self) -> None:
        for days in (0.0, 0.01, self._days):
            detector, at = self._taught(self._noise(days)) if days * DAY > self._step else (self._make(), START)
            text = json.dumps(detector.to_dict(), allow_nan=False)
            other = type(detector).from_dict(json.loads(text))
            self._same_after(detector, other, at, f"after {days:g} days saved and loaded")

    def _bad_records_are_refused(self) -> None:
        data = self._taught()[0].to_dict()
        without = {key: value for key, value in data.items() if key not in {"kind", "version"}}
        for bad in ({**data, "kind": "other"}, {**data, "version": 1_000}, {}, without):
            try:
                type(self._make()).from_dict(bad)
            except StateError:
                continue
            raise ContractBreachError(f"a record with the keys {sorted(bad)[:5]} was not refused by a StateError")

    def _the_same_samples_give_the_same_verdicts(self) -> None:
        one, other = self._make(), self._make()
        for t, x in self._noise(self._days):
            a, b = one.update(t, x), other.update(t, x)
            require(a == b, f"two of them, given the same, differ: {a!r}, {b!r}")

    def _memory_is_bounded(self) -> None:
        detector, at = self._taught(self._noise(2 * self._days))
        before = len(json.dumps(detector.to_dict()))
        self._taught(self._noise(2 * self._days, at), detector)
        after = len(json.dumps(detector.to_dict()))
        require(after <= 1.25 * before, f"after twice as many samples it is {after} characters long, not {before}")

    def _median(self, detector: Any, at: float, mean: float = 50.0) -> float:
        """The score that half of ordinary samples at one time do not exceed."""
        scores: list[float] = sorted(detector.score(at, x).score for _, x in self._noise(0.2, at, mean, seed=5))
        return scores[len(scores) // 2]


def check_detector(make: Callable[[], Any], **options: Any) -> None:
    """Make all checks of one detector.

    Args:
        make: makes a new detector.
        options: as in :class:`DetectorContract`.

    Raises:
        ContractBreachError: with all that it does not keep.
    """
    DetectorContract(make, **options)._require_all(type(make()).__name__)

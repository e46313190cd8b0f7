"""What is normal for one metric at this time of day, learnt from a week: by rank in the past, or as mean ± 3σ."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Self, TypedDict, Unpack

import attrs

from selfheal.detection.calibrator import FOR_LITTLE, TailCalibrator
from selfheal.detection.intake import Intake, cut, timed
from selfheal.detection.periods import Thresholds, peak_from, reaching
from selfheal.detection.saved import Saved
from selfheal.detection.seasons import DAY, SeasonalProfile
from selfheal.detection.verdict import NOTHING_SAID, Reason, Verdict
from selfheal.errors import ConfigError
from selfheal.validators import a_zone, between, one_of

KIND, VERSION = "seasonal_baseline", 1
BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 96)
"""A bucket has to hold whole quarters of an hour."""
PRIOR = 5.0
"""Samples' worth of the spread of the whole that the spread of a bucket leans on."""
UNUSUAL = 1.0
"""From this score on, reasons are given."""
LEAST = 50
ALONE = 4.0
"""In mode ``"calibrated"``, a sample further off than so many spreads, and alone, is learnt as if no further off."""


def _some_buckets(owner: object, field: attrs.Attribute[int], value: object) -> None:
    if isinstance(value, bool) or value not in BUCKETS:
        raise ConfigError(f"{type(owner).__name__}.{field.name}", value, f"one of {BUCKETS}", "48")


def _sustained(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    pair = value if isinstance(value, tuple) and len(value) == 2 else (0, 0)
    if not all(type(n) is int for n in pair) or not 1 <= pair[0] <= pair[1] <= 100:
        accepted = "two integers (k, n): k of the latest n, at most 100"
        raise ConfigError(f"{type(owner).__name__}.{field.name}", value, accepted, "(3, 5)")


def _sigmas(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    for each in value if isinstance(value, tuple) and len(value) == 2 else (value,):
        between(1.0, 10.0)(owner, field, each)


@attrs.frozen(kw_only=True)
class BaselineConfig:
    """What a :class:`SeasonalBaseline` learns and how it judges.

    Args:
        zone: time zone whose time of day counts.
        buckets: parts of a day, each with a mean and a spread of its own; 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48 or 96.
        memory_days: days after which a sample counts 1/e of what a new one does; 1 to 365.
        mode: ``"calibrated"``: by how rarely the past was as far off. ``"sigma"``: by the normal distribution, as
            mean ± ``sigma`` spreads.
        sigma: spreads beyond which a sample is unusual, 1 to 10; or two of them, ``(off-peak, peak)``: which times of
            day are the peak is learnt. In mode ``"calibrated"`` a sample is unusual that is as rare as one beyond so
            many spreads is of a normal variable.
        sustain: ``(k, n)``: in mode ``"sigma"`` the score is that of the k-th furthest of the latest n samples, so that
            it is beyond the threshold only while k of n are.
        name: of the metric, for reasons.

    Raises:
        ConfigError: if a value is out of range.
    """

    zone: str = attrs.field(default="UTC", validator=a_zone)
    buckets: int = attrs.field(default=48, validator=_some_buckets)
    memory_days: float = attrs.field(default=8.0, validator=between(1.0, 365.0, "days"))
    mode: str = attrs.field(default="calibrated", validator=one_of("calibrated", "sigma"))
    sigma: float | tuple[float, float] = attrs.field(default=3.0, validator=_sigmas)
    sustain: tuple[int, int] = attrs.field(default=(3, 5), validator=_sustained)
    name: str = attrs.field(default="", validator=attrs.validators.instance_of(str))


class BaselineOptions(TypedDict, total=False):
    """The fields of :class:`BaselineConfig` as keyword arguments."""

    zone: str
    buckets: int
    memory_days: float
    mode: str
    sigma: float | tuple[float, float]
    sustain: tuple[int, int]
    name: str


def normal_score(spreads: float) -> float:
    """Minus log10 of the probability that a normal variable is at least so many spreads off, on either side."""
    if spreads < 25.0:
        return -math.log10(math.erfc(spreads / math.sqrt(2.0)))
    return spreads * spreads / (2.0 * math.log(10.0)) + math.log10(spreads * math.sqrt(math.pi / 2.0))


class SeasonalBaseline:
    """A :class:`~selfheal.detection.Detector` by time of day.

    Args:
        config: its settings; the fields may be given as keyword arguments instead.

    Attributes:
        intake: what came in, and what was left out.

    Raises:
        ConfigError: if a setting is out of range.

    >>> baseline = SeasonalBaseline(mode="sigma", sustain=(1, 1))
    >>> baseline.warm_start((60.0 * n, 50.0 + n % 3) for n in range(1440 * 4))
    5760
    >>> baseline.score(345_600.0, 51.0).score < baseline.threshold < baseline.score(345_600.0, 60.0).score
    True
    """

    def __init__(self, config: BaselineConfig | None = None, **options: Unpack[BaselineOptions]) -> None:
        self.config = BaselineConfig(**options) if config is None else attrs.evolve(config, **options)
        self.reset()

    def reset(self) -> None:
        """Forget all that was learnt; settings stay."""
        config, memory = self.config, self.config.memory_days * DAY
        self.intake = Intake()
        self._seasonal = False
        self._profile = SeasonalProfile(config.zone, config.buckets, memory, PRIOR)
        self._calibrator = TailCalibrator(LEAST)
        self._recent: deque[float] = deque(maxlen=config.sustain[1] - 1)
        self._far = 0.0
        self._peak_from = (math.nan, math.inf)

    @property
    def threshold(self) -> float:
        """The score of a sample ``sigma`` spreads off, above which it is unusual; of two sigmas, the larger one."""
        return normal_score(max(self._sigmas))

    @property
    def _sigmas(self) -> tuple[float, float]:
        sigma = self.config.sigma
        return sigma if isinstance(sigma, tuple) else (sigma, sigma)

    def usual(self, t: float) -> tuple[float, float]:
        """Mean and spread that are usual at ``t`` (wall seconds); both 0 before anything is known."""
        return self._profile.usual(timed(t))

    def band(self, t: float) -> tuple[float, float]:
        """The mean at ``t`` less ``sigma`` spreads, and plus as many: outside of it a sample is unusual."""
        mean, spread = self.usual(t)
        sigma = self._sigmas[self.is_peak(t)]
        return mean - sigma * spread, mean + sigma * spread

    def is_peak(self, t: float) -> bool:
        """Whether ``t`` is at a time of day that is busier than others; ``False`` before that is known."""
        latest = self._profile.latest
        if self._peak_from[0] != latest:
            self._peak_from = (latest, peak_from(self._profile))
        return self.usual(t)[0] >= self._peak_from[1]

    def thresholds(self, t: float) -> Thresholds:
        """What is unusual at ``t`` for one sample, for a person to see; nothing is before enough is known."""
        peak, (mean, spread) = self.is_peak(t), self.usual(t)
        sigma = self._sigmas[peak]
        score = normal_score(sigma)
        far = reaching(self._calibrator.score, score) if self.config.mode == "calibrated" else sigma
        off = far * spread if self._calibrator.ready else math.inf
        return Thresholds(
            period="peak" if peak else "off-peak",
            mean=mean,
            spread=spread,
            sigma=sigma,
            low=mean - off,
            high=mean + off,
            score=score,
        )

    def score(self, t: float, x: float) -> Verdict:
        """Say how unlikely ``x`` is at ``t``; :class:`~selfheal.detection.Detector` tells more."""
        timed(t)
        if x != x or not self._profile.known:
            return NOTHING_SAID
        return self._verdict(t, x, self._profile.deviation(t, cut(x)))

    def learn(self, t: float, x: float, weight: float = 1.0) -> None:
        """Take a sample into the past, unless it is missing, late, repeated or infinite."""
        deviation = 0.0 if x != x else self._profile.deviation(timed(t), cut(x))
        gap = self.intake.after_gap(t)
        if self.intake.takes(timed(t), x, deviation):
            if gap:
                self._recent.clear()
            if self._profile.known:
                self._recent.append(abs(deviation))
                days = self._ageing()
                if days:
                    self._calibrator.age(days)
                self._calibrator.learn(abs(deviation), weight)
            self._profile.learn(t, self._tempered(t, cut(x), deviation), weight)

    def _tempered(self, t: float, x: float, deviation: float) -> float:
        """What is learnt of a sample: one that is far off alone would hide, for days, what is less so."""
        if self.config.mode != "calibrated":
            return x
        before, self._far = self._far, deviation if abs(deviation) > ALONE else 0.0
        if not self._far or self._far * before > 0.0 or not self._profile.seasonal:
            return x
        mean, spread = self.usual(t)
        return mean + math.copysign(ALONE * spread, deviation)

    def update(self, t: float, x: float) -> Verdict:
        """Score a sample, then learn it."""
        verdict = self.score(t, x)
        self.learn(t, x)
        return verdict

    def warm_start(self, history: Iterable[tuple[float, float]]) -> int:
        """Learn pairs of time and value, oldest first, and tell how many there were."""
        count = 0
        for t, x in history:
            self.learn(t, x)
            count += 1
        return count

    def _verdict(self, t: float, x: float, deviation: float) -> Verdict:
        off = abs(deviation)
        score = self._calibrator.score(off) if self.config.mode == "calibrated" else self._sustained(t, off)
        reasons: tuple[Reason, ...] = ()
        if score >= UNUSUAL:
            way = "above" if deviation > 0.0 else "below"
            why = f"{off:.3g} spreads {way} what is usual at this time of day"
            reasons = (Reason(self.config.name, x, self.usual(t)[0], score, why),)
        return Verdict.of(score, reasons, ready=self._calibrator.ready)

    def _sustained(self, t: float, off: float) -> float:
        of = self.config.sustain[0]
        recent = [] if self.intake.after_gap(t) else [*self._recent]
        furthest = sorted([*recent, off], reverse=True)
        return normal_score(furthest[of - 1]) if len(furthest) >= of else 0.0

    def _ageing(self) -> int:
        """Days by which the calibrators age with this sample: more when the time of day begins to be known."""
        if self._profile.seasonal and not self._seasonal:
            self._seasonal = True
            return FOR_LITTLE
        return self.intake.new_days

    def to_dict(self) -> dict[str, Any]:
        """Settings and what was learnt, as JSON data."""
        return {
            "kind": KIND,
            "version": VERSION,
            "config": {k: list(v) if isinstance(v, tuple) else v for k, v in attrs.asdict(self.config).items()},
            "intake": self.intake.to_dict(),
            "seasonal": self._seasonal,
            "profile": self._profile.to_dict(),
            "calibrator": self._calibrator.to_dict(),
            "recent": list(self._recent),
            "far": self._far,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make it anew from what :meth:`to_dict` gave.

        Raises:
            StateError: if the record is of another kind or version, or damaged.
        """
        saved = Saved(data, KIND, VERSION)
        made = cls(saved.settings("config", BaselineConfig))
        made.intake = Intake.from_dict(saved.part("intake"))
        made._seasonal = saved.flag("seasonal")
        made._profile.load(saved.part("profile"))
        made._calibrator = TailCalibrator.from_dict(saved.part("calibrator"))
        made._recent.extend(saved.numbers("recent", low=0.0))
        made._far = saved.number("far")
        return made

"""The detector for one metric that is used where nothing else is asked for."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from typing import Any, Self, TypedDict, Unpack

import attrs

from selfheal.detection.baseline import LEAST, PRIOR, BaselineConfig
from selfheal.detection.calibrator import FOR_LITTLE, TailCalibrator
from selfheal.detection.combining import ExcessSum
from selfheal.detection.gate import AlertGate, GateConfig
from selfheal.detection.intake import Intake, cut, timed
from selfheal.detection.saved import Saved
from selfheal.detection.seasons import DAY, SeasonalProfile
from selfheal.detection.verdict import NOTHING_SAID, Reason, Verdict
from selfheal.errors import ConfigError
from selfheal.validators import between

KIND, VERSION = "metric_detector", 3
ORDINARY = Verdict.of(0.0)
_of_reason = operator.attrgetter("score")


def _some_means(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    numbers = value if isinstance(value, tuple) else ()
    rising = all(type(n) is int for n in numbers) and list(numbers) == sorted(set(numbers))
    if not numbers or not rising or numbers[0] < 2 or numbers[-1] > 500 or len(numbers) > 5:
        accepted = "one to five rising integers between 2 and 500"
        raise ConfigError(f"{type(owner).__name__}.{field.name}", value, accepted, repr(field.default))


@attrs.frozen(kw_only=True)
class MetricConfig:
    """What a :class:`MetricDetector` learns.

    Args:
        zone: time zone whose time of day counts.
        buckets: parts of a day, as in :class:`~selfheal.detection.BaselineConfig`.
        memory_days: days after which a sample counts 1/e of what a new one does; 1 to 365.
        means: beside the sample itself, the means of so many of the latest deviations are looked at: what is a little
            off for long is as unusual as what is far off once.
        lately: how far a sample jumped from where the metric was lately is half of what is said of the sample itself;
            samples after which that is forgotten to 1/e, 2 to 500.
        floor: what of each score does not count when they are added; 0 to 3.
        name: of the metric, for reasons.

    Raises:
        ConfigError: if a value is out of range.
    """

    zone: str = attrs.field(default="UTC")
    buckets: int = attrs.field(default=48)
    memory_days: float = attrs.field(default=8.0)
    means: tuple[int, ...] = attrs.field(default=(6, 48), validator=_some_means)
    lately: float = attrs.field(default=20.0, validator=between(2.0, 500.0, "samples"))
    floor: float = attrs.field(default=1.0, validator=between(0.0, 3.0))
    name: str = attrs.field(default="")

    def __attrs_post_init__(self) -> None:
        for shared in ("zone", "buckets", "memory_days", "name"):
            field = getattr(attrs.fields(BaselineConfig), shared)
            field.validator(self, field, getattr(self, shared))


class MetricOptions(TypedDict, total=False):
    """The fields of :class:`MetricConfig` as keyword arguments."""

    zone: str
    buckets: int
    memory_days: float
    means: tuple[int, ...]
    lately: float
    floor: float
    name: str


class MetricDetector:
    """A :class:`~selfheal.detection.Detector` with alarms: time of day, short means, their rarity, and a gate.

    How far a sample is off from what is usual at this time of day, how far it jumped from where the metric was lately,
    and how far the latest few are off on the mean, are each scored by how rarely the past was as far off. The first two
    are two views of one sample: their mean counts. The scores are added, and an
    :class:`~selfheal.detection.AlertGate` makes alarms of them.

    Args:
        config: its settings; the fields may be given as keyword arguments instead.
        gate: when alarms are raised and cleared.

    Attributes:
        gate: with the alarm there may be.
        intake: what came in, and what was left out.
        change: what the latest :meth:`update` did to the alarm: ``"raised"``, ``"cleared"`` or ``""``.

    Raises:
        ConfigError: if a setting is out of range.

    >>> detector = MetricDetector(name="latency")
    >>> detector.warm_start((300.0 * n, 50.0 + n * 7 % 11) for n in range(288 * 7))
    2016
    >>> detector.update(604_800.0, 53.0).score, detector.change
    (0.0, '')
    >>> verdict = detector.update(605_100.0, 95.0)
    >>> detector.change, verdict.reasons[0].why
    ('raised', '12.7 spreads above where it was lately')
    """

    def __init__(
        self,
        config: MetricConfig | None = None,
        *,
        gate: GateConfig | None = None,
        **options: Unpack[MetricOptions],
    ) -> None:
        self.config = MetricConfig(**options) if config is None else attrs.evolve(config, **options)
        self.gate = AlertGate(gate)
        self._sum = ExcessSum(1 + len(self.config.means), self.config.floor)
        self.reset()

    def reset(self) -> None:
        """Forget all that was learnt, and the alarm; settings stay."""
        config, memory = self.config, self.config.memory_days * DAY
        self.intake = Intake()
        self._seasonal = False
        self.change = ""
        self.gate.reset()
        self._profile = SeasonalProfile(config.zone, config.buckets, memory, PRIOR)
        self._calibrators = [TailCalibrator(LEAST, config.floor) for _ in range(2 + len(config.means))]
        self._recent: list[float] = []  # deviations, as many as the longest mean looks back to
        self._lately = 0.0

    def usual(self, t: float) -> tuple[float, float]:
        """Mean and spread that are usual at ``t`` (wall seconds); both 0 before anything is known."""
        return self._profile.usual(timed(t))

    def score(self, t: float, x: float) -> Verdict:
        """Say how unlikely ``x`` is at ``t``; :class:`~selfheal.detection.Detector` tells more."""
        gap = self.intake.after_gap(timed(t))
        return self._verdict(t, x, self._deviations(self._profile.deviation(t, cut(x)), gap))

    def learn(self, t: float, x: float, weight: float = 1.0) -> None:
        """Take a sample into the past, unless it is missing, late, repeated, infinite or a glitch."""
        gap = self.intake.after_gap(timed(t))
        self._take(t, x, self._deviations(self._profile.deviation(t, cut(x)), gap), gap, weight)

    def update(self, t: float, x: float) -> Verdict:
        """Score a sample, let the gate decide (:attr:`change`), then learn it, less during an alarm."""
        intake, gate = self.intake, self.gate
        gap = intake.after_gap(timed(t))
        deviations = self._deviations(self._profile.deviation(t, cut(x)), gap)
        verdict = self._verdict(t, x, deviations)
        self.change = ""
        if x == x and not t <= intake.last:
            self.change = gate.update(t, verdict.score, intake.step, ready=verdict.ready)
        self._take(t, x, deviations, gap, gate.learning_weight(t))
        return verdict

    def warm_start(self, history: Iterable[tuple[float, float]]) -> int:
        """Learn pairs of time and value, oldest first, without alarms, and tell how many there were."""
        count = 0
        for t, x in history:
            self.learn(t, x)
            count += 1
        return count

    def _deviations(self, now: float, gap: bool) -> list[float]:
        """The deviation of the sample, the means of the latest few including it, and its jump from where it was lately.

        A mean of fewer than it should be, after a gap, is made as much smaller as its spread is larger.
        """
        found = [now]
        for length in self.config.means:
            recent = [] if gap else self._recent[1 - length :]
            count = len(recent) + 1
            total = sum(recent) + now
            found.append(total / length if count == length else total / math.sqrt(count * length))
        found.append(now - self._lately)
        return found

    def _verdict(self, t: float, x: float, deviations: list[float]) -> Verdict:
        if x != x or not self._profile.known:
            return NOTHING_SAID
        calibrators = self._calibrators
        for n, off in enumerate(deviations):
            if abs(off) >= calibrators[n].quiet:
                return self._scored(t, x, deviations)
        return ORDINARY if calibrators[0].ready else NOTHING_SAID

    def _scored(self, t: float, x: float, deviations: list[float]) -> Verdict:
        """The verdict where a score may be above the floor. Those that are surely not are left at 0."""
        calibrators, scores = self._calibrators, []
        for n, off in enumerate(deviations):
            scores.append(calibrators[n].score(abs(off)) if abs(off) >= calibrators[n].quiet else 0.0)
        if scores[0] or scores[-1]:  # two views of the sample, of which the mean counts: both are needed
            for n in (0, -1):
                scores[n] = scores[n] or calibrators[n].score(abs(deviations[n]))
        total = self._sum.score([(scores[0] + scores[-1]) / 2.0, *scores[1:-1]])
        reasons = self._reasons(t, x, deviations, scores) if total else ()
        return Verdict.of(total, reasons, ready=calibrators[0].ready)

    def _reasons(self, t: float, x: float, deviations: list[float], scores: list[float]) -> tuple[Reason, ...]:
        expected, floor = self._profile.usual(t)[0], self._sum.floor
        found = []
        for n, score in enumerate(scores):
            if score > floor:
                found.append(Reason(self.config.name, x, expected, score, self._why(n, deviations[n])))
        found.sort(key=_of_reason, reverse=True)
        return tuple(found)

    def _why(self, n: int, off: float) -> str:
        side = "above" if off > 0.0 else "below"
        if n > len(self.config.means):
            return f"{abs(off):.3g} spreads {side} where it was lately"
        what = f"on the mean of the latest {self.config.means[n - 1]}, " if n else ""
        return f"{what}{abs(off):.3g} spreads {side} what is usual at this time of day"

    def _take(self, t: float, x: float, deviations: list[float], gap: bool, weight: float) -> None:
        if not self.intake.takes(t, x, deviations[0]):
            return
        if gap:
            self._recent.clear()
        if self._profile.known:
            self._remember(deviations, weight)
        self._profile.learn(t, cut(x), weight)

    def _remember(self, deviations: list[float], weight: float) -> None:
        days = self.intake.new_days if self._seasonal else self._ageing()
        if days:
            for calibrator in self._calibrators:
                calibrator.age(days)
        for n, calibrator in enumerate(self._calibrators):
            calibrator.learn(abs(deviations[n]), weight)
        now, recent = deviations[0], self._recent
        recent.append(now)
        if len(recent) >= self.config.means[-1]:
            del recent[0]
        self._lately += (now - self._lately) / self.config.lately

    def _ageing(self) -> int:
        """Days by which the calibrators age with this sample: more when the time of day begins to be known."""
        if self._profile.seasonal and not self._seasonal:
            self._seasonal = True
            return FOR_LITTLE
        return self.intake.new_days

    def to_dict(self) -> dict[str, Any]:
        """Settings, what was learnt, and the alarm there may be, as JSON data."""
        return {
            "kind": KIND,
            "version": VERSION,
            "config": {**attrs.asdict(self.config), "means": list(self.config.means)},
            "gate": self.gate.to_dict(),
            "intake": self.intake.to_dict(),
            "seasonal": self._seasonal,
            "profile": self._profile.to_dict(),
            "calibrators": [calibrator.to_dict() for calibrator in self._calibrators],
            "recent": list(self._recent),
            "lately": self._lately,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make it anew from what :meth:`to_dict` gave.

        Raises:
            StateError: if the record is of another kind or version, or damaged.
        """
        saved = Saved(data, KIND, VERSION)
        made = cls(saved.settings("config", MetricConfig))
        made.gate = AlertGate.from_dict(saved.part("gate"))
        made.intake = Intake.from_dict(saved.part("intake"))
        made._seasonal = saved.flag("seasonal")
        made._profile.load(saved.part("profile"))
        parts = saved.items("calibrators", len(made._calibrators))
        made._calibrators = [TailCalibrator.from_dict(part) for part in parts]
        if any(calibrator.floor != made.config.floor for calibrator in made._calibrators):
            raise saved.wrong("its calibrators are of another floor")
        made._recent = saved.numbers("recent")[1 - made.config.means[-1] :]
        made._lately = saved.number("lately")
        return made

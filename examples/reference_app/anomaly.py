"""How unusual the service is as a whole: a monitor that learns the past of four measurements, and judges them together.

The past is a week, in steps of five minutes. It comes from a recorded week, from an earlier life of the service, or it
is learnt as it passes: then nothing is judged before the end of the first day.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from examples.reference_app.pace import paced
from selfheal import EventBus, FeatureFlags
from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.detection import CompositeDetector, GateConfig, History, HistoryConfig, Monitor
from selfheal.detection.monitor import GroupLearner
from selfheal.detection.rules import CascadeRule, TaskFailureRule
from selfheal.errors import StateError

logger = logging.getLogger("reference_app.anomaly")

WHOLE = "reference-app"
"""The service as a whole: all measurements together."""
METRICS = ("cpu_percent", "memory_percent", "latency_ms", "success_rate")
"""CPU that this process takes, memory of its largest worker, mean time to an answer, share of calls that worked."""
DAY = 86_400.0
STEP = HistoryConfig().step
"""Seconds that are judged as one."""
SMOOTH = 2
"""Steps over which oddness is averaged: what is odd for one alone has to be very odd."""
RARE = GateConfig(threshold=3.2, hold=0.1)
"""A chance of 1 in 1600: scores over two steps are not as calm as those over the usual six."""
RULES = (
    TaskFailureRule(),
    CascadeRule(
        dependencies={
            "gateway": ("summary-provider", "summary-workers"),
            "summary-provider": ("provider", "key-pool"),
        }
    ),
)
"""What nobody else here tells: a task that fails again and again, and which of several failures pulled others along.
High CPU, memory and latency have triggers of strategies, and an open breaker is told by the app's own detection."""

Moment = Mapping[str, float]
"""A value of each of :data:`METRICS`; NaN where it is not known."""


class Anomalies:
    """The monitor of the service, and what a strategy asks of it: a score.

    The score is between 0, as always, and 1. It is 0.8 where a step as odd as the latest one has a chance of 1 in 1600
    by what was learnt, which is one step of five minutes in five days and a half; 0.96 at the square of that chance.

    Args:
        directory: for what the monitor keeps: what it learnt, its reports, the open alerts and its log.
        week: a recorded week to begin with, a file of :class:`~selfheal.detection.History`. It is only read, and only
            where there is nothing in ``directory`` yet.
        flags: switch it off and on.
        events: where it tells alerts, and hears of others.
        speed: how many times faster than others its clock goes.
        clock: the others'.

    Attributes:
        monitor: it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        flags: FeatureFlags,
        events: EventBus,
        week: Path | None = None,
        speed: float = 1.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = directory / "detection_history.json"
        history, detector = History(), CompositeDetector(METRICS, smooth=SMOOTH)
        if own.exists():
            history = History.load_or_new(own)
        elif week is not None:
            history = _learnt(week, detector)
        self._clock = paced(speed, clock, not_before=_end(history))
        self._learner = GroupLearner(detector, WHOLE, gate=RARE)
        self._step = self._number()
        self._moment: Moment = {}
        self.monitor = Monitor(
            rules=RULES,
            learners=[self._learner],
            history=history,
            enabled=lambda: flags.auto_detection,
            processes=lambda: flags.process_monitoring,
            directory=directory,
            events=events,
            clock=self._clock,
        )

    def start(self) -> None:
        """Listen to what others tell on the bus."""
        self.monitor.start()

    def close(self) -> None:
        """Listen no more, and keep what was learnt."""
        self.monitor.close()

    def look(self, moment: Moment) -> float:
        """Take the measurements of now, judge a step that is complete, and give the score; NaN while it is unknown."""
        self._moment = dict(moment)
        for metric, value in moment.items():
            self.monitor.observe(metric, value, WHOLE)
        self.monitor.tick()
        if self._number() != self._step:
            self._step = self._number()
            self.monitor.detect()
        return self.score()

    def score(self) -> float:
        """How unusual the latest step was; NaN while too little was learnt to tell."""
        (state,) = self._learner.states()
        return self.monitor.anomaly_score(WHOLE) if state.ready else math.nan

    def section(self) -> dict[str, Any]:
        """What there is to see, for the status: the monitor's section, the score, and what was measured last."""
        score = self.score()
        return {
            **self.monitor.section(),
            "anomalyScore": None if math.isnan(score) else round(score, 3),
            "moment": {metric: None if math.isnan(value) else value for metric, value in self._moment.items()},
        }

    def _number(self) -> int:
        return int(self._clock.wall() // STEP)


def _learnt(week: Path, detector: CompositeDetector) -> History:
    """A recorded week, which the detector has learnt step by step, as if it had been there; a bad one is refused."""
    began = SYSTEM_CLOCK.monotonic()
    try:
        history = History.load(week)
    except StateError as error:
        logger.error("%s Learning begins anew, with what comes.", error)
        history = History()
        history.refused = str(error)
        return history
    points = sum(len(history.points(metric, WHOLE)) for metric in METRICS)
    detector.warm_start(_steps(history))
    logger.info(
        "has learnt from %d points of %.0f days in %.1f s: %s",
        *(points, _days(history), SYSTEM_CLOCK.monotonic() - began, ", ".join(METRICS)),
    )
    return history


def _steps(history: History) -> Iterator[tuple[float, Moment]]:
    """Time and measurements of each step, oldest first."""
    for number, values in history.steps(0, _last(history) + 1).items():
        moment = {metric: values[metric, WHOLE] for metric in METRICS if (metric, WHOLE) in values}
        if moment:
            yield number * STEP, moment


def _last(history: History) -> int:
    return max((history.points(*series)[-1].number for series in history), default=-1)


def _end(history: History) -> float:
    return (_last(history) + 1) * STEP


def _days(history: History) -> float:
    first = min((history.points(*series)[0].number for series in history), default=0)
    return max(_last(history) + 1 - first, 0) * STEP / DAY

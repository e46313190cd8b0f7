"""The sampler: measures the service every second, and tells the strategies what it found."""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from examples.reference_app.anomaly import METRICS, WHOLE, Anomalies
from examples.reference_app.calls import Calls
from examples.reference_app.cpu import CpuMeter
from examples.reference_app.workers import SummaryWorkers
from selfheal import FeatureFlags
from selfheal.clock import SYSTEM_CLOCK, Clock

logger = logging.getLogger("reference_app.sampler")

GATEWAY, PROVIDER, WORKERS, INDEXER = "gateway", "provider", "summary-workers", "indexer"
"""What is measured, and restarted, by name."""


class Observe(Protocol):
    """Takes one measurement; a ``StrategyEngine`` has it."""

    def __call__(self, metric: str, value: float, target: str, /) -> object:
        """``value`` of ``metric`` of ``target`` now; NaN: it is not known."""


class Sampler:
    """One look at a time: :meth:`look` is part of a registered task.

    What cannot be told at a look is observed as NaN, so that nothing is concluded from what was known before: a rate
    of failures without requests, a latency without answers.

    Args:
        observe: is told each measurement.
        processes: whose CPU is measured: name to process id, or ``None`` while it does not run.
        calls: what became of the requests.
        workers: their memory, and whether the queue goes on.
        anomaly: learns and scores all of it together.
        flags: with detection switched off nothing is measured.
        queue_pace: what a second without progress in the queue counts for. A threshold is a number like any other,
            which no faster clockwork makes smaller: so a demonstration makes the seconds longer.
        clock: for the time between two looks.
    """

    def __init__(
        self,
        observe: Observe,
        *,
        processes: Mapping[str, Callable[[], int | None]],
        calls: Calls,
        workers: SummaryWorkers,
        anomaly: Anomalies,
        flags: FeatureFlags,
        queue_pace: float = 1.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._observe = observe
        self._processes = dict(processes)
        self._calls = calls
        self._workers = workers
        self._anomaly = anomaly
        self._flags = flags
        self._queue_pace = queue_pace
        self._clock = clock
        self._lock = threading.Lock()
        self._meters: dict[str, CpuMeter] = {}
        self._last: dict[str, float] = {}

    def look(self) -> None:
        """Measure everything once."""
        if not self._flags.auto_detection:
            return
        for name in self._processes:
            self._tell("cpu_percent", self._cpu(name), name)
        memory = self._workers.memory_percent()
        self._tell("memory_percent", memory, WORKERS)
        self._tell("queue_stuck_seconds", self._workers.stuck_seconds() * self._queue_pace, WORKERS)
        looked = self._calls.take()
        self._tell("success_rate", looked.success_rate, PROVIDER)
        self._tell("latency_ms", looked.latency_ms, GATEWAY)
        moment = (self._cpu(WHOLE), memory, looked.latency_ms, looked.success_rate)
        self._tell("anomaly_score", self._anomaly.look(dict(zip(METRICS, moment, strict=True))), WHOLE)
        self._workers.try_out()

    def section(self) -> dict[str, Any]:
        """The latest measurements, for the status; ``null`` where nothing is known."""
        with self._lock:
            return {name: None if math.isnan(value) else round(value, 3) for name, value in self._last.items()}

    def _tell(self, metric: str, value: float, target: str) -> None:
        with self._lock:
            self._last[f"{metric} of {target}"] = value
        self._observe(metric, value, target)

    def _cpu(self, name: str) -> float:
        whole = name == WHOLE
        pid = os.getpid() if whole else self._processes[name]()
        meter = self._meters.get(name)
        if meter is None or meter.pid != pid:
            meter = self._meters[name] = CpuMeter(pid, self._clock, waiting=not whole)
        return meter.percent()

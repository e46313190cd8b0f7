"""What there is to see of a monitor."""

from __future__ import annotations

import math
from typing import Any

import attrs

from selfheal.detection.monitor.learners import Learning
from selfheal.detection.monitor.telling import Past, Told, moment


@attrs.frozen(kw_only=True)
class MonitorSnapshot:
    """A monitor at one moment.

    Args:
        enabled: whether it looks at anything.
        open: incidents that are open, oldest first, with who knows of them.
        past: incidents that are over, latest last.
        learning: how far each learner has come with each series.
        series: series in the history, and how many there may be.
        samples: values that were taken.
        dropped: signals that found no room among the open incidents, and values that the sampler had no room for.
        waiting: signals that are no incident: what lingers, and what finds no room.
        max_open: alerts that may be open.
        max_series: series that may be in the history.
        ticks: runs of the rules.
        ticked_at: wall seconds of the latest one; ``nan`` before it.
        detections: runs of the learners.
        detected_at: wall seconds of the latest run of the learners; ``nan`` before it.
        unwritten: entries that could not be written to the log.
        problems: what stands in the way of detection, in words.
    """

    enabled: bool
    open: tuple[Told, ...]
    past: tuple[Past, ...]
    learning: tuple[Learning, ...]
    series: int
    samples: int
    dropped: int
    waiting: int
    max_open: int
    max_series: int
    ticks: int
    ticked_at: float
    detections: int
    detected_at: float
    unwritten: int
    problems: tuple[str, ...]

    @property
    def silenced(self) -> tuple[Told, ...]:
        """Those of the open that nobody was told of."""
        return tuple(told for told in self.open if told.silenced)

    @property
    def flapping(self) -> tuple[Told, ...]:
        """Those of the open that come and go."""
        return tuple(told for told in self.open if told.incident.flapping)


def as_section(snapshot: MonitorSnapshot) -> dict[str, Any]:
    """A snapshot as a section of the status: plain data, keys in camelCase."""
    not_ready = [state for state in snapshot.learning if not state.ready]
    return {
        "enabled": snapshot.enabled,
        "openAlerts": [shown(told) for told in snapshot.open],
        "silenced": len(snapshot.silenced),
        "flapping": len(snapshot.flapping),
        "learntSeries": len(snapshot.learning),
        "stillLearning": len(not_ready),
        "series": snapshot.series,
        "maxSeries": snapshot.max_series,
        "maxOpenAlerts": snapshot.max_open,
        "samples": snapshot.samples,
        "dropped": snapshot.dropped,
        "waiting": snapshot.waiting,
        "ticks": snapshot.ticks,
        "detections": snapshot.detections,
        "lastTick": None if math.isnan(snapshot.ticked_at) else moment(snapshot.ticked_at),
        "lastDetection": None if math.isnan(snapshot.detected_at) else moment(snapshot.detected_at),
        "unwrittenLogEntries": snapshot.unwritten,
        "problems": list(snapshot.problems),
    }


def shown(told: Told) -> dict[str, Any]:
    """An open incident as plain data."""
    incident = told.incident
    return {
        "kind": incident.signal.kind,
        "target": incident.signal.target,
        "metric": incident.signal.metric,
        "severity": incident.severity.value,
        "since": moment(incident.since),
        "message": incident.signal.message,
        "fingerprint": incident.fingerprint,
        "silenced": told.silenced,
        "flapping": incident.flapping,
        "times": incident.times,
        "published": told.published,
    }

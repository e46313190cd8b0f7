"""How well scores rank labelled incidents above the rest, by sample and by incident.

AUC-PR by sample, VUS-PR with room around each incident, and the share of incidents that is found.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
THRESHOLDS = 250
DAY = 86_400.0
MOST_WRONG, MOST_TIME = 1.0, 0.01
"""Alarms a day without an incident, and share of the time without one that is flagged, that are put up with."""


class Found(NamedTuple):
    """What alarms are worth.

    Args:
        recall: share of the incidents during which there is an alarm.
        wrong: alarms a day during which there is no incident.
        time: share of the time without incidents that is in alarm.
    """

    recall: float
    wrong: float
    time: float


def auc_pr(labels: Array, scores: Array) -> float:
    """Average precision: the area under precision over recall, ties taken together."""
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(labels[order])
    ends = np.r_[np.flatnonzero(np.diff(scores[order])), len(scores) - 1]
    gained = np.diff(np.r_[0, found[ends]])
    return float((gained * found[ends] / (ends + 1)).sum() / labels.sum())


def vus_pr(labels: Array, scores: Array, buffer: int = 20, step: int = 5) -> float:
    """Volume under the precision-recall surface over buffers of 0, ``step`` … ``buffer`` samples around incidents.

    Source: Paparrizos et al., "Volume under the surface", VLDB 2022; the computation of its authors' package ``VUS``
    (with ``step=1``, to six places).
    """
    return float(np.mean([_range_pr(labels, scores, window) for window in range(0, buffer + 1, step)]))


def _range_pr(labels: Array, scores: Array, window: int) -> float:
    starts, ends = _runs(labels)
    soft, half = labels.astype(float), window // 2
    for start, end in zip(starts, ends, strict=True):
        after, before = np.arange(end + 1, min(end + half + 1, len(labels))), np.arange(max(start - half, 0), start)
        soft[after] += np.sqrt(1 - (after - end) / (window or 1))
        soft[before] += np.sqrt(1 - (start - before) / (window or 1))
    soft = np.minimum(soft, 1.0)
    order = np.argsort(-scores, kind="stable")
    descending = scores[order]
    hits, margin = np.cumsum(soft[order]), np.cumsum(np.where(labels == 1, 0.0, soft)[order])
    highest = np.array([scores[max(a, 0) : b + 1].max() for a, b in _merged(starts, ends, half)])
    at = descending[np.linspace(0, len(scores) - 1, THRESHOLDS).astype(int)]
    flagged = np.searchsorted(-descending, -at, side="right")
    positives = labels.sum() + margin[flagged - 1] / 2
    seen = (highest[None, :] >= at[:, None]).mean(axis=1)
    recall = np.minimum(hits[flagged - 1] / positives, 1.0) * seen
    return float((np.diff(np.r_[0.0, recall]) * hits[flagged - 1] / flagged).sum())


def found(labels: Array, flagged: Array, step: float) -> Found:
    """What flagged samples, one every ``step`` seconds, find of the incidents; those in a row are one alarm."""
    ordinary = labels == 0
    recall = np.mean([flagged[start : end + 1].any() for start, end in zip(*_runs(labels), strict=True)])
    wrong = sum(not labels[start : end + 1].any() for start, end in zip(*_runs(flagged), strict=True))
    days = ordinary.sum() * step / DAY
    return Found(float(recall), float(wrong / days), float(flagged[ordinary].mean()))


def event_recall(labels: Array, scores: Array, step: float) -> float:
    """The share of incidents found above the threshold that suits the labels best.

    There must be at most one wrong alarm a day, and at most 1 % of the time without incidents flagged.
    """
    best = 0.0
    for cut in np.unique(np.quantile(scores, 1.0 - np.geomspace(0.5, 1e-4, THRESHOLDS // 2)))[::-1]:
        flagged = scores > cut
        if flagged[labels == 0].mean() > MOST_TIME:
            break
        each = found(labels, flagged, step)
        best = max(best, each.recall if each.wrong <= MOST_WRONG else 0.0)
    return best


def _runs(labels: Array) -> tuple[Array, Array]:
    turns = np.diff(np.r_[0, labels.astype(int), 0])
    return np.flatnonzero(turns == 1), np.flatnonzero(turns == -1) - 1


def _merged(starts: Array, ends: Array, half: int) -> list[tuple[int, int]]:
    merged = [(int(starts[0]) - half, int(ends[0]) + half)]
    for start, end in zip(starts[1:].tolist(), ends[1:].tolist(), strict=True):
        if merged[-1][1] < start - half:
            merged.append((start - half, end + half))
        else:
            merged[-1] = (merged[-1][0], end + half)
    return merged

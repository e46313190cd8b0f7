"""What every detector can do. Times are wall seconds since 1970-01-01 UTC, because the past is kept by time of day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, Self, runtime_checkable

from selfheal.detection.verdict import Verdict


@runtime_checkable
class Detector(Protocol):
    """Watches one metric: a detector scores a sample by what it learnt before.

    What every detector keeps, and :mod:`selfheal.testing.detector_contract` checks:

    - ``nan`` is a missing value: score 0, not ready, nothing learnt.
    - Infinite values are scored as the furthest from what is expected, and never learnt as such.
    - A sample older than the latest is not learnt; one of the same moment replaces nothing and counts once.
    - A value that never changes scores 0.
    - The same samples give the same verdicts, also after ``from_dict(to_dict())``.
    - Memory is bounded.

    Not thread-safe: the owner holds a lock.
    """

    def score(self, t: float, x: float) -> Verdict:
        """Say how unlikely ``x`` is at ``t``. Changes nothing that a later verdict depends on.

        Args:
            t: wall seconds.
            x: the value; ``nan`` if it is missing.
        """

    def learn(self, t: float, x: float, weight: float = 1.0) -> None:
        """Take a sample into the past.

        Args:
            t: wall seconds.
            x: the value; ``nan`` is not learnt.
            weight: how much it counts, from 0 (not at all) to 1; less during an incident.
        """

    def update(self, t: float, x: float) -> Verdict:
        """Score a sample, then learn it."""

    def warm_start(self, history: Iterable[tuple[float, float]]) -> int:
        """Learn pairs of time and value, oldest first, and tell how many were taken."""

    def reset(self) -> None:
        """Forget all that was learnt; settings stay."""

    def to_dict(self) -> dict[str, Any]:
        """Settings and what was learnt, as JSON data with the kind and version of the record."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make it anew from what :meth:`to_dict` gave.

        Raises:
            StateError: if the record is of another kind or version, or damaged.
        """


@runtime_checkable
class MultivariateDetector(Protocol):
    """Watches several metrics together; the rest as in :class:`Detector`.

    A metric that is missing from a sample, or ``nan``, is unknown in it; the others are still looked at. A sample
    without any known metric scores 0 and is not learnt. Reasons name the metrics that contributed, the most first.
    A detector that draws at random takes a ``seed`` and draws by that alone.
    """

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics it looks at, in its own order; others in a sample are left alone."""

    def score(self, t: float, x: Mapping[str, float]) -> Verdict:
        """Say how unlikely a sample is at ``t`` (wall seconds). Changes nothing that a later verdict depends on."""

    def learn(self, t: float, x: Mapping[str, float], weight: float = 1.0) -> None:
        """Take a sample into the past, with a weight from 0 to 1."""

    def update(self, t: float, x: Mapping[str, float]) -> Verdict:
        """Score a sample, then learn it."""

    def warm_start(self, history: Iterable[tuple[float, Mapping[str, float]]]) -> int:
        """Learn pairs of time and sample, oldest first, and tell how many were taken."""

    def reset(self) -> None:
        """Forget all that was learnt; settings stay."""

    def to_dict(self) -> dict[str, Any]:
        """Settings and what was learnt, as JSON data with the kind and version of the record."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make it anew from what :meth:`to_dict` gave.

        Raises:
            StateError: if the record is of another kind or version, or damaged.
        """

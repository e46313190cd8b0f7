"""Noticing that the wall clock and the monotonic clock moved apart. Pure: times are handed in."""

from __future__ import annotations

import math

TOLERANCE = 2.0
"""Seconds the two clocks may move apart between two looks before it is called a jump."""


class JumpWatch:
    """Compares the two clocks at each look.

    A jump means that the machine slept (the wall clock went on, the monotonic one need not have) or
    that somebody set the clock. Samples taken before and after do not belong together, so whoever
    decides on conditions that lasted a while should let things settle first.

    Args:
        monotonic: seconds now.
        wall: seconds since 1970 UTC now.
        settle: seconds to settle after a jump.
    """

    def __init__(self, monotonic: float, wall: float, settle: float) -> None:
        self._apart = wall - monotonic
        self._settle = settle
        self._settled_at = -math.inf

    def look(self, monotonic: float, wall: float) -> float | None:
        """Compare with the look before; tell how far the wall clock jumped, or ``None``."""
        apart = wall - monotonic
        moved = apart - self._apart
        self._apart = apart
        if abs(moved) <= TOLERANCE:
            return None
        self._settled_at = monotonic + self._settle
        return moved

    def settling(self, monotonic: float) -> float:
        """Seconds left to settle; 0 if there was no jump, or it is over."""
        return max(self._settled_at - monotonic, 0.0)

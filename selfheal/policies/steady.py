"""Wall time that is never set back: for limits that have to survive a restart and a changed clock. Pure."""

from __future__ import annotations

import attrs


@attrs.define
class SteadyTime:
    """Seconds that begin as the wall clock's and then only go forward.

    A limit over hours has to outlive the process, so what it remembers is wall time. Within one process the
    wall clock may be set back or forward, which must neither open a gate nor close it for good. So only the
    steps from one look to the next count: those of the monotonic clock where it is given, else those of the
    wall clock that lead forward.
    """

    _at: float | None = attrs.field(default=None, init=False)
    _wall: float = attrs.field(default=0.0, init=False)
    _now: float | None = attrs.field(default=None, init=False)

    def at(self, wall: float, now: float | None = None) -> float:
        """The steady time at a moment.

        Args:
            wall: wall-clock seconds since 1970 UTC.
            now: monotonic seconds of the same moment; ``None``: a wall clock set forward counts as time passed.
        """
        if self._at is None:
            self._at = wall
        elif now is not None and self._now is not None:
            self._at += max(now - self._now, 0.0)
        else:
            self._at += max(wall - self._wall, 0.0)
        self._wall = wall
        self._now = now
        return self._at


def elapsed(moment: float, wall: float) -> float:
    """Seconds from an earlier ``moment`` of the wall clock to ``wall``; 0 if it is in the future, or no number."""
    return max(0.0, wall - moment)  # in this order, so that nan gives 0

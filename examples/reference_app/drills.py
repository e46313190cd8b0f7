"""Faults for practice: ``kill -USR1`` to a process of the service breaks it for as long as that process lives.

Only where ``REFERENCE_APP_DRILLS=1`` stands in the environment; without it nothing here is armed, and USR1 does to
these processes what it does to any other.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

VARIABLE = "REFERENCE_APP_DRILLS"


class Drill:
    """A fault of this process, off until the process gets USR1.

    Attributes:
        struck: how often it got it.
    """

    def __init__(self) -> None:
        self.struck = 0

    def arm(self) -> None:
        """Be struck by USR1 from now on, if drills are allowed. To be called in the main thread."""
        if os.environ.get(VARIABLE) == "1":
            signal.signal(signal.SIGUSR1, self._strike)

    def _strike(self, number: int, frame: FrameType | None) -> None:
        self.struck += 1

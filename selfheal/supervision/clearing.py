"""Ending what a dead process left behind, before another takes its place."""

from __future__ import annotations

import logging
import signal

from selfheal.processes import Stat
from selfheal.supervision.exits import Exit
from selfheal.supervision.holding import Held
from selfheal.supervision.processes import bearers, send

logger = logging.getLogger("selfheal.supervision")

CLEAR_WITHIN = 2.0
"""Seconds that what was left behind is given to end before it is killed."""
CLEAR_EVERY = 0.05
_FIRST_LOOK = 0.002
"""Seconds to the first look; the pauses between looks double from here on."""
GIVE_UP = 5.0
"""Seconds of killing after which what cannot be killed is left."""


class Clearing:
    """Processes being ended.

    Args:
        token: what they have in the environment.
        held: the dead process that they belong to, where there is one.
        exit: how that ended.
        now: monotonic seconds.
        patience: seconds until they are killed.
    """

    def __init__(
        self, token: str, held: Held | None, exit: Exit | None, now: float, patience: float = CLEAR_WITHIN
    ) -> None:
        self.exit = exit
        self._pause = _FIRST_LOOK
        self.next = now + self._pause
        self._token = token
        self._held = held
        self._until = now + max(patience, CLEAR_WITHIN)

    def turn(self, now: float) -> bool:
        """Look again, killing those that have had their time; tell whether it is over."""
        left = self._left()
        if not left:
            return True
        if now >= self._until + GIVE_UP:
            logger.warning("processes %s cannot be ended", [s.pid for s in left])
            return True
        if now >= self._until:
            send(left, signal.SIGKILL)
        self._pause = min(2 * self._pause, CLEAR_EVERY)
        self.next = now + self._pause
        return False

    def _left(self) -> list[Stat]:
        return bearers(self._token).get(self._token, []) if self._held is None else self._held.left()

"""When one task runs: a state machine with no clock, lock, callback or I/O inside.

Slots lie on a fixed grid, ``first + k * every``, so a run that starts late moves no later slot and
nothing drifts. Where the grid stands is computed by division: a gap of a week costs what a gap of a
second costs.

::

    WAITING --fire--> QUEUED --begin--> RUNNING --end--> WAITING (interval) or DONE (once)
                                        RUNNING --abandon--> STUCK --release--> WAITING or DONE
    BLOCKED --unblock--> WAITING, or QUEUED if a slot came meanwhile
    RUNNING --end--> QUEUED if a slot was buffered
"""

from __future__ import annotations

import enum
import math

NEVER = math.inf
"""The due time of what is not due: paused, done, or a single run that was started."""


class Phase(enum.StrEnum):
    """Where a task stands between two slots."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    STUCK = "stuck"
    BLOCKED = "blocked"
    DONE = "done"


# Module names: looking a member up on its class costs more than the comparison it is for.
_WAITING, _QUEUED, _RUNNING = Phase.WAITING, Phase.QUEUED, Phase.RUNNING
_STUCK, _BLOCKED, _DONE = Phase.STUCK, Phase.BLOCKED, Phase.DONE


class Hold(enum.IntFlag):
    """Who holds a task back. A task runs when nobody does."""

    OWN = 1
    ALL = 2


_OWN, _BOTH = int(Hold.OWN), int(Hold.OWN | Hold.ALL)


class Schedule:
    """The slots of one task and the one run it may have at a time.

    All times are monotonic seconds handed in by the caller.

    Args:
        first: the first slot.
        every: seconds from slot to slot; ``NEVER`` for a single run.
        grace: seconds a run may be late before that counts as a misfire.
        skip_late: on a misfire leave the run out; otherwise run once, now.
        buffer_one: keep one slot that comes while a run is under way, and run it right after;
            otherwise leave it out.
        rerun_stuck: run again though an abandoned run may still be alive.
        blocked: wait for :meth:`unblock` before the first run.
    """

    __slots__ = (
        "_buffered",
        "_holds",
        "_index",
        "_slot",
        "buffer_one",
        "due",
        "every",
        "first",
        "grace",
        "misfires",
        "missed",
        "phase",
        "rerun_stuck",
        "run",
        "skip_late",
        "skipped",
    )

    def __init__(
        self,
        first: float,
        every: float = NEVER,
        *,
        grace: float = NEVER,
        skip_late: bool = False,
        buffer_one: bool = False,
        rerun_stuck: bool = False,
        blocked: bool = False,
    ) -> None:
        self.first = first
        self.every = every
        self.grace = grace
        self.skip_late = skip_late
        self.buffer_one = buffer_one
        self.rerun_stuck = rerun_stuck
        self.phase = _BLOCKED if blocked else _WAITING
        self.due = first
        self.run = 0
        self.missed = 0
        self.misfires = 0
        self.skipped = 0
        self._index = 0
        self._slot = first
        self._buffered = False
        self._holds = 0

    @property
    def once(self) -> bool:
        """Whether this is a single run."""
        return self.every == NEVER

    @property
    def paused(self) -> bool:
        """Whether somebody holds it back."""
        return self._holds != 0

    @property
    def buffered(self) -> bool:
        """Whether one slot waits for the run under way to end."""
        return self._buffered

    def fire(self, now: float) -> bool:
        """Take every slot up to ``now`` as one. Call when ``due <= now``.

        Returns:
            Whether a run is to be queued (the phase is then QUEUED).
        """
        slot = self.due
        index = self._index + 1
        due = self.first + index * self.every
        behind = 0
        if due <= now:
            index = self._index_after(now)
            due = self.first + index * self.every
            behind = index - self._index - 1
        self._index = index
        self.due = due
        if self.phase is not _WAITING:
            self._overrun(behind)
            return False
        self._slot = slot
        if now - slot > self.grace:
            self.misfires += 1
            if self.skip_late:
                self.missed += behind + 1
                self._rest(now)
                return False
            self._slot = NEVER  # counted: the run that makes up for it is not late a second time
        self.missed += behind
        self.phase = _QUEUED
        return True

    def begin(self, now: float) -> int:
        """Start the queued run.

        Returns:
            The number of the run, to hand to :meth:`end`; 0 if there is nothing to start: it was
            withdrawn, or it waited in the queue beyond its grace and late runs are left out.
        """
        if self.phase is not _QUEUED:
            return 0
        if now - self._slot > self.grace:
            self.misfires += 1
            if self.skip_late:
                self.missed += 1
                self._rest(now)
                return 0
        self.phase = _RUNNING
        self.run += 1
        return self.run

    def end(self, run: int, now: float) -> bool:
        """The run is over. The phase is QUEUED afterwards if a buffered slot is to run.

        Returns:
            Whether the result counts: not if the run was abandoned or its task retired.
        """
        if run != self.run or self.phase is not _RUNNING:
            return False
        self._rest(now)
        return True

    def abandon(self, run: int, now: float) -> bool:
        """Give the run up: its result will not count.

        Returns:
            Whether it was the run under way.
        """
        if run != self.run or self.phase is not _RUNNING:
            return False
        self.run += 1
        self.phase = _STUCK
        if self.rerun_stuck:
            self._rest(now)
        return True

    def release(self, run: int, now: float) -> None:
        """An abandoned run has ended after all: the task may run again."""
        if self.phase is _STUCK and run == self.run - 1:
            self._rest(now)

    def unblock(self, now: float) -> None:
        """The run of an earlier generation has ended. QUEUED afterwards if a slot came meanwhile."""
        if self.phase is not _BLOCKED:
            return
        self.phase = _WAITING
        if self._buffered:
            self._rest(now)

    def pause(self, hold: Hold = Hold.OWN) -> bool:
        """Hold the task back. The grid stays where it is, a run under way goes on, a queued one is withdrawn.

        Returns:
            Whether this changed anything.
        """
        if self.phase is _DONE or self._holds & hold:
            return False
        self._holds |= int(hold)
        self._withdraw()
        self.due = NEVER
        return True

    def resume(self, now: float, *holds: Hold) -> bool:
        """Let go of ``holds`` (default: all). Slots that passed meanwhile are no misses.

        Returns:
            Whether this changed anything.
        """
        let_go = sum(holds) if holds else _BOTH
        if self.phase is _DONE or not self._holds & let_go:
            return False
        self._holds &= ~let_go
        if not self._holds:
            self._realign(now)
        return True

    def retire(self) -> None:
        """The task is gone or replaced: nothing runs any more and no result counts."""
        self.run += 1
        self.phase = _DONE
        self.due = NEVER
        self._buffered = False

    def close(self) -> None:
        """Nothing starts any more; a run under way may end and its result counts."""
        self.due = NEVER
        self._buffered = False
        if self.phase is _QUEUED:
            self.phase = _WAITING

    def restart(self, now: float) -> None:
        """Forget the run under way (it is in another process) and what passed; keep the grid."""
        self.run += 1
        if self.phase is _DONE:
            return
        if self.once and self.phase in (_RUNNING, _STUCK):
            self.retire()
            return
        self._withdraw()
        self.phase = _WAITING
        if not self._holds:
            self._realign(now)

    def _index_after(self, now: float) -> int:
        """Index of the first slot later than ``now``."""
        index = max(int((now - self.first) // self.every) + 1, 0)
        # Division and multiplication round apart by at most one slot.
        if self.first + index * self.every <= now:
            return index + 1
        if index > 0 and self.first + (index - 1) * self.every > now:
            return index - 1
        return index

    def _overrun(self, behind: int) -> None:
        if (self.buffer_one or self.phase is _BLOCKED) and not self._buffered:
            self._buffered = True
            self.missed += behind
        else:
            self.skipped += behind + 1

    def _rest(self, now: float) -> None:
        if self._buffered:
            self._buffered = False
            self._slot = now
            self.phase = _QUEUED
        elif self.every == NEVER:
            self.phase = _DONE
            self.due = NEVER
        else:
            self.phase = _WAITING

    def _withdraw(self) -> None:
        if self.once and (self._buffered or self.phase is _QUEUED):
            self._index = 0
        self._buffered = False
        if self.phase is _QUEUED:
            self.phase = _WAITING

    def _realign(self, now: float) -> None:
        """Go to the first slot not yet taken and not yet past."""
        if self.once:
            self.due = max(self.first, now) if self._index == 0 else NEVER
            return
        index = self._index_after(now)
        if index > 0 and self.first + (index - 1) * self.every == now:
            index -= 1
        self._index = max(index, self._index)
        self.due = self.first + self._index * self.every

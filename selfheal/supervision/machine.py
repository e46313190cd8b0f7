"""The states of a worker, decided purely: no process, clock, file or lock in here.

What happens is told to the machine with the time; it answers with what to do now (an :class:`Order`), and
:meth:`WorkerMachine.due` says when to ask it again.
"""

from __future__ import annotations

from collections import deque

from selfheal.supervision.configs import When, WorkerConfig
from selfheal.supervision.exits import Exit, ExitKind
from selfheal.supervision.states import NEVER, Ending, Fate, Memory, Move, Order, WorkerState

LOOK_BACK = 10
"""Health checks that ``max_bad`` looks at."""


class WorkerMachine:
    """One worker's state.

    Args:
        config: the worker's settings.
        now: monotonic seconds.
    """

    def __init__(self, config: WorkerConfig, now: float) -> None:
        self.config = config
        self.state = WorkerState.STOPPED
        self.since = now
        self.reason = "not started yet"
        self.held = False
        """Stopped by hand: only ``start`` begins anew."""
        self.alive = False
        self.ending: Ending | None = None
        self.generation = 0
        self.total_restarts = 0
        self.last_exit: Exit | None = None
        self.moves: list[Move] = []
        self._ending_why = ""
        self._kill_at = NEVER
        self._retry_at = NEVER
        self._restarts: deque[float] = deque()
        self._new_process(now)

    def _new_process(self, now: float) -> None:
        self.started = now
        self.last_good = now
        self._asked_in_vain = -NEVER
        self.good_seen = False
        self._checks: deque[bool] = deque(maxlen=LOOK_BACK)

    # What people ask for.

    def start(self, now: float, by: str = "") -> Order | None:
        """Have it run. Nothing happens if it does, or is FAILED."""
        if self.state is WorkerState.FAILED:
            return None
        self.held = False
        if self.state in (WorkerState.STARTING, WorkerState.RUNNING):
            if self.ending is Ending.STOP:
                self._ending_why, self.ending = "started again", Ending.RESTART
            return None
        return self._spawn(now, "started", by)

    def stop(self, now: float, reason: str, by: str = "", *, hold: bool = True) -> Order | None:
        """Have it not run; with ``hold``, nothing but ``start`` makes it run again."""
        self.held = self.held or hold
        if self.alive:
            return self._end(now, Ending.STOP, reason)
        if self.state in (WorkerState.BACKOFF, WorkerState.STARTING):
            self._enter(WorkerState.STOPPED, now, reason, by)
        elif self.state is WorkerState.STOPPED and hold:
            self.reason = reason
        return None

    def restart(self, now: float, reason: str, by: str = "") -> Order | None:
        """End its process and start another. Nothing happens if it is held, or FAILED."""
        if self.state is WorkerState.FAILED or self.held:
            return None
        if self.alive:
            return self._end(now, Ending.RESTART, reason)
        return None if self.state is WorkerState.STARTING else self._spawn(now, reason, by)

    def reset(self, now: float, reason: str, by: str = "") -> bool:
        """Leave FAILED and forget the restarts; tell whether anything changed."""
        if self.state is not WorkerState.FAILED:
            return False
        self._restarts.clear()
        self._enter(WorkerState.STOPPED, now, reason, by)
        return True

    # What happens.

    def spawned(self, now: float) -> None:
        """A process was started as ordered."""
        self.alive = True
        self._new_process(now)

    def not_spawned(self, now: float, why: str) -> Order | None:
        """No process could be started."""
        self.last_exit = Exit(kind=ExitKind.NOT_STARTED, detail=why)
        return self._fail(now, str(self.last_exit))

    def checked(self, generation: int, now: float, good: bool) -> Order | None:
        """A health check came back; one that belongs to an earlier process is not looked at."""
        if generation != self.generation or not self.alive:
            return None
        self._checks.append(good)
        if good:
            self.last_good, self.good_seen = now, True
        bad = self._checks.count(False)
        if self.state is WorkerState.RUNNING and self.ending is None and bad >= self.config.max_bad and not good:
            return self._end(now, Ending.UNHEALTHY, f"{bad} of the last {len(self._checks)} health checks were bad")
        return self.tick(now)

    def not_checked(self, generation: int, now: float) -> None:
        """A health check could not be made. That says nothing of the process: what was silence begins anew."""
        if generation == self.generation:
            self._asked_in_vain = now

    def exited(self, now: float, exit: Exit) -> Order | None:
        """The process, and whatever it left in its group, is gone."""
        ending, why = self.ending, self._ending_why
        self.alive, self.ending, self._kill_at, self.last_exit = False, None, NEVER, exit
        if ending is Ending.STOP:
            self._enter(WorkerState.STOPPED, now, why)
            return None
        if ending is Ending.RESTART:
            return self._spawn(now, why)
        if ending is not None:
            return self._fail(now, why)
        when, told = self.config.restart.when, str(exit)
        if exit.kind is ExitKind.CLEAN and when is not When.ALWAYS:
            self._enter(WorkerState.STOPPED, now, f"finished: {told}")
            return None
        if exit.kind is ExitKind.NO_RESTART:
            self._enter(WorkerState.FAILED, now, f"{told} says that a restart does not help")
            return None
        if when is When.NEVER:
            self._enter(WorkerState.FAILED, now, f"{told}, and it is never restarted")
            return None
        return self._fail(now, told)

    def tick(self, now: float) -> Order | None:
        """Do what has become due."""
        if self.ending is not None:
            if now < self._kill_at:
                return None
            self._kill_at = now + max(self.config.stop.grace, 1.0)
            return Order.KILL
        if self.state is WorkerState.BACKOFF and now >= self._retry_at:
            return self._spawn(now, "restarted: " + self.reason.partition(";")[0])
        if not self.alive:
            return None
        if self.state is WorkerState.STARTING:
            return self._tick_starting(now)
        if self.config.health is not None and now >= self._hung_at():
            silent = now - self.last_good
            return self._end(now, Ending.HUNG, f"hung: no good health check for {silent:.1f} s")
        return None

    def _tick_starting(self, now: float) -> Order | None:
        if self._well and now >= self.started + self.config.min_uptime:
            self._enter(WorkerState.RUNNING, now, f"up for {now - self.started:.1f} s" + self._and_well)
            self.last_good = now
            return None
        if now >= self.started + self.config.start_timeout:
            why = f"no good health check within {self.config.start_timeout:g} s of its start"
            return self._end(now, Ending.START_TIMEOUT, why)
        return None

    def due(self) -> float:
        """When to call :meth:`tick` at the latest; ``inf`` if nothing is to be awaited."""
        if self.ending is not None:
            return self._kill_at
        if self.state is WorkerState.BACKOFF:
            return self._retry_at
        if not self.alive:
            return NEVER
        if self.state is WorkerState.STARTING:
            up = self.started + self.config.min_uptime if self._well else NEVER
            return min(up, self.started + self.config.start_timeout)
        return NEVER if self.config.health is None else self._hung_at()

    def _hung_at(self) -> float:
        return max(self.last_good, self._asked_in_vain) + self.config.hung_after

    # What is told.

    def restarts(self, now: float) -> int:
        """Automatic restarts of the period that ends now."""
        return sum(1 for at in self._restarts if at > now - self.config.restart.period)

    @property
    def retry_at(self) -> float | None:
        """When it is started again, in BACKOFF."""
        return self._retry_at if self.state is WorkerState.BACKOFF else None

    @property
    def bad_checks(self) -> int:
        """Bad health checks among the last ten."""
        return self._checks.count(False)

    def memory(self, now: float) -> Memory:
        """What is to be kept for the next supervisor."""
        return Memory(
            state=self.state,
            reason=self.reason,
            held=self.held,
            ending=self.ending,
            restarts=tuple(now - at for at in self._restarts),
            retry_in=max(self._retry_at - now, 0.0) if self.state is WorkerState.BACKOFF else 0.0,
            uptime=now - self.started if self.alive else 0.0,
            good_seen=self.good_seen,
            total_restarts=self.total_restarts,
        )

    def restore(self, now: float, memory: Memory, fate: Fate) -> Order | None:
        """Go on where the supervisor before stood, given what became of the process meanwhile."""
        self.state, self.reason, self.held = memory.state, memory.reason, memory.held
        self.total_restarts = memory.total_restarts
        self._restarts = deque(sorted(now - max(age, 0.0) for age in memory.restarts))
        if fate is Fate.ALIVE:
            return self._take_over(now, memory)
        if self.state is WorkerState.BACKOFF:
            self._retry_at = now + min(memory.retry_in, self.config.restart.cap)
        if self.state in (WorkerState.STARTING, WorkerState.RUNNING):
            return self._lost(now, fate)
        return None

    def _take_over(self, now: float, memory: Memory) -> Order | None:
        self.alive, self.generation = True, self.generation + 1
        self._new_process(now)
        self.started, self.good_seen = now - max(memory.uptime, 0.0), memory.good_seen
        if self.state not in (WorkerState.STARTING, WorkerState.RUNNING):  # it should not be there
            self.state = WorkerState.STARTING
            return self._end(now, Ending.STOP, memory.reason)
        if self.state is WorkerState.STARTING:  # what was missed while nobody asked is not held against it
            self.started = max(self.started, now - self.config.min_uptime)
        if memory.held:
            return self._end(now, Ending.STOP, memory.reason)
        if memory.ending is Ending.STOP:
            return self._end(now, Ending.RESTART, "its stop was broken off")
        if memory.ending is not None:
            return self._end(now, memory.ending, f"told to end before ({memory.ending})")
        return None

    def _lost(self, now: float, fate: Fate) -> Order | None:
        if self.held:
            self._enter(WorkerState.STOPPED, now, "stopped")
            return None
        if fate is Fate.NO_PROCESS:
            return self._spawn(now, "started")
        unwatched = Exit(kind=ExitKind.UNKNOWN, detail="it ended while no supervisor watched")
        return self.exited(now, unwatched)

    # How it is decided.

    @property
    def _well(self) -> bool:
        return self.config.health is None or self.good_seen

    @property
    def _and_well(self) -> str:
        return "" if self.config.health is None else ", with a good health check"

    def _enter(self, state: WorkerState, now: float, reason: str, by: str = "") -> None:
        self.moves.append(Move(self.state, state, reason, by))
        self.state, self.since, self.reason = state, now, reason
        if state is not WorkerState.BACKOFF:
            self._retry_at = NEVER

    def _spawn(self, now: float, reason: str, by: str = "") -> Order:
        self._enter(WorkerState.STARTING, now, reason, by)
        self.generation += 1
        self._new_process(now)
        return Order.SPAWN

    def _end(self, now: float, ending: Ending, why: str) -> Order | None:
        """Tell the process to end; one that was told already is not told again."""
        told, self.ending, self._ending_why = self.ending is not None, ending, why
        if told:
            return None
        self._kill_at = now + self.config.stop.grace
        return Order.TERM

    def _fail(self, now: float, why: str) -> Order | None:
        policy = self.config.restart
        while self._restarts and self._restarts[0] <= now - policy.period:
            self._restarts.popleft()
        if policy.when is When.NEVER:
            self._enter(WorkerState.FAILED, now, f"{why}, and it is never restarted")
            return None
        if len(self._restarts) >= policy.intensity:
            limit = f"it would be more than {policy.intensity} restarts in {policy.period:g} s"
            self._enter(WorkerState.FAILED, now, f"{why}; {limit}")
            return None
        self._restarts.append(now)
        self.total_restarts += 1
        wait = policy.delay(len(self._restarts))
        self._enter(WorkerState.BACKOFF, now, f"{why}; restart in {wait:g} s")
        self._retry_at = now + wait
        return None

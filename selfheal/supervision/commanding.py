"""What the supervisor can be told, as calls handed to its thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from selfheal.clock import Clock
from selfheal.errors import ConfigError, NotFoundError, ResetNeededError, SupervisorStoppedError, WorkerHeldError
from selfheal.events import Event
from selfheal.forking import Lockable, track
from selfheal.supervision.answers import Answer, Coming
from selfheal.supervision.configs import SupervisorConfig, WorkerConfig
from selfheal.supervision.engine import Engine
from selfheal.supervision.keeping import Keeper
from selfheal.supervision.snapshots import StopReport, SupervisorSnapshot, WorkerSnapshot
from selfheal.supervision.states import WorkerState

T = TypeVar("T")

MARGIN = 15.0
"""Seconds that ending a worker may take beyond its grace: to kill it, and to clear what it left behind."""
_JOIN = 2.0


class Commander:
    """Begins the engine, hands it calls, and says what is known when there is none.

    Args:
        config: the workers.
        folder: where their files are.
        clock: times everything.
        publish: takes the events.
    """

    def __init__(self, config: SupervisorConfig, folder: Path, clock: Clock, publish: Callable[[Event], None]) -> None:
        self.state = "new"
        self._config = config
        self._folder = folder
        self._clock = clock
        self._publish = publish
        self._engine: Engine | None = None
        self._thread: threading.Thread | None = None
        self._report = StopReport()
        self._last: tuple[WorkerSnapshot, ...] = ()
        self._beginning = threading.Lock()

    # Beginning and ending.

    def begin(self, what: str) -> Engine:
        """The engine at work; made now if there was none yet.

        Raises:
            SupervisorStoppedError: if it was shut down, or belongs to a parent process.
            StateDirTakenError: if another supervisor works in the directory.
        """
        with self._beginning:
            if self._engine is not None and self.state == "running":
                return self._engine
            if self.state != "new":
                raise self._refusal(what)
            engine = Engine(self._config, self._folder, self._clock, self._publish)
            try:
                engine.open()
            except BaseException:
                engine.give_up()
                raise
            self._engine, self.state = engine, "running"
            self._thread = threading.Thread(target=engine.run, name="selfheal-supervisor", daemon=True)
            self._thread.start()
        track(self, Commander._in_child, lock=_spawn_lock)
        return engine

    def prepare(self, name: str | None) -> Engine:
        """Begin, for a start of ``name``. It may take a while: the directory is taken, processes are looked for.

        Raises:
            NotFoundError: if there is no such worker.
        """
        return self.begin("start()" if name is None else f"start({self._known(name)!r})")

    def _refusal(self, what: str) -> SupervisorStoppedError:
        whys = {"forked": "it belongs to the parent process", "new": "it was not started: call start()"}
        return SupervisorStoppedError(what, whys.get(self.state, "it was shut down"))

    def shutdown(self, timeout: float) -> Answer[StopReport]:
        """Stop all workers, then the engine."""
        _check_timeout(timeout)
        with self._beginning:
            engine = self._engine
            self.state = "stopped" if self.state == "new" else self.state
        if engine is None:
            return Answer(None, lambda: self._report)

        def act() -> Callable[[], StopReport]:
            engine.shut_down(timeout)
            return lambda: self._conclude(engine)

        return self._answer(engine.submit(act, lambda: False), lambda: self._report, timeout + MARGIN)

    def _conclude(self, engine: Engine) -> StopReport:
        """In the engine's thread, at its end."""
        self._report = engine.report()
        self._last = tuple(keeper.snapshot() for keeper in engine.keepers.values())
        self.state = "stopped"
        return self._report

    def join(self) -> None:
        """Wait, for a bounded time, until the engine's thread is gone."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN)

    # Calls.

    def start_all(self, by: str) -> Answer[None]:
        """Start all that start by themselves and are not held."""

        def act(engine: Engine) -> None:
            for keeper in engine.keepers.values():
                idle = keeper.machine.state is WorkerState.STOPPED and not keeper.machine.held
                if idle and keeper.config.autostart and not keeper.retired:
                    keeper.obey(keeper.machine.start(self._clock.monotonic(), by))

        engine = self.prepare(None)
        return self._answer(engine.submit(lambda: act(engine)), lambda: None)

    def start(self, name: str, by: str) -> Answer[WorkerSnapshot]:
        """Start one."""

        def act(keeper: Keeper) -> WorkerSnapshot:
            _not_failed(keeper)
            keeper.obey(keeper.machine.start(self._clock.monotonic(), by))
            return keeper.snapshot()

        self.prepare(name)
        return self._about(f"start({name!r})", name, act)

    def stop(self, name: str, reason: str, by: str, timeout: float | None) -> Answer[WorkerSnapshot]:
        """Stop one, and hold it."""

        def act(keeper: Keeper) -> WorkerSnapshot:
            keeper.obey(keeper.machine.stop(self._clock.monotonic(), reason, by))
            return keeper.snapshot()

        patience = self._config.workers[self._known(name)].stop.grace + MARGIN if timeout is None else timeout
        return self._about(f"stop({name!r})", name, act, lambda keeper: not keeper.busy, patience)

    def restart(self, name: str, reason: str, by: str, timeout: float | None) -> Answer[WorkerSnapshot]:
        """End the process of one, and start another."""

        def act(keeper: Keeper) -> WorkerSnapshot:
            _not_failed(keeper)
            if keeper.machine.held:
                raise WorkerHeldError(name, keeper.machine.reason)
            keeper.obey(keeper.machine.restart(self._clock.monotonic(), reason, by))
            return keeper.snapshot()

        def done(keeper: Keeper) -> bool:
            machine = keeper.machine
            return machine.ending is None if machine.alive else machine.state is not WorkerState.STARTING

        patience = self._config.workers[self._known(name)].stop.grace + MARGIN if timeout is None else timeout
        return self._about(f"restart({name!r})", name, act, done, patience)

    def reset(self, name: str, reason: str, by: str, start: bool) -> Answer[bool]:
        """Let one leave FAILED."""
        _check_reason(reason)
        self._known(name)

        def act() -> bool:
            keeper, now = self._keeper(engine, name), self._clock.monotonic()
            changed = keeper.machine.reset(now, f"reset: {reason}", by)
            if changed and start and not keeper.machine.held:
                keeper.obey(keeper.machine.start(now, by))
            return changed

        engine = self.begin(f"reset({name!r})")
        return self._answer(engine.submit(act), lambda: False)

    def wait_for(self, name: str, states: tuple[str, ...], timeout: float) -> Answer[WorkerSnapshot]:
        """Wait until one is in one of ``states``."""
        wanted = {_state(state) for state in states}
        act, holds = Keeper.snapshot, lambda keeper: keeper.machine.state in wanted
        return self._about(f"wait_for({name!r})", self._known(name), act, holds, timeout)

    def poll(self) -> Answer[None]:
        """Have the engine do all that is due."""
        engine = self._engine
        future = None if engine is None else engine.submit(lambda: lambda: None, lambda: True)
        return self._answer(future, lambda: None)

    def snapshot(self) -> Answer[SupervisorSnapshot]:
        """What is shown of all."""
        engine = self._engine

        def last() -> SupervisorSnapshot:
            return SupervisorSnapshot(state=self.state, workers=self._last)

        def act() -> SupervisorSnapshot:
            keepers = [] if engine is None else list(engine.keepers.values())
            return SupervisorSnapshot(state="running", workers=tuple(keeper.snapshot() for keeper in keepers))

        future = None if engine is None else engine.submit(act)
        return self._answer(future, last if future is None else act)

    # How calls are handed over.

    def config_of(self, name: str) -> WorkerConfig:
        """The settings of a worker.

        Raises:
            NotFoundError: if there is no such worker.
        """
        return self._config.workers[self._known(name)]

    def _known(self, name: str) -> str:
        if name not in self._config.workers:
            raise NotFoundError("worker", name, self._config.workers)
        return name

    def _keeper(self, engine: Engine, name: str) -> Keeper:
        if engine.closing:
            raise SupervisorStoppedError(f"a call for worker {name!r}", "it is being shut down")
        return engine.keepers[name]

    def _about(
        self,
        what: str,
        name: str,
        act: Callable[[Keeper], WorkerSnapshot],
        holds: Callable[[Keeper], bool] | None = None,
        patience: float | None = None,
    ) -> Answer[WorkerSnapshot]:
        """A call about one worker, answered with what is shown of it."""
        engine = self._engine
        if engine is None:
            raise self._refusal(what)

        def first() -> Any:
            keeper = self._keeper(engine, name)
            shown = act(keeper)
            return shown if holds is None else keeper.snapshot

        until = None if holds is None else lambda: holds(engine.keepers[name])
        future = engine.submit(first, until)
        if future is None:
            raise self._refusal(what)
        return self._answer(future, engine.keepers[name].snapshot, patience)

    def _answer(self, future: Coming | None, otherwise: Callable[[], T], patience: float | None = None) -> Answer[T]:
        return Answer(future, otherwise, patience, self._thread)

    # Forks.

    def _in_child(self) -> None:
        """The workers are the parent's."""
        if self._engine is not None and self.state == "running":
            self._engine.forked()
        self.state, self._engine, self._thread = "forked", None, None
        self._beginning = threading.Lock()


def _spawn_lock(commander: Commander) -> Lockable | None:
    """Held during a fork so that no process is started meanwhile: the child would inherit the lock of a worker."""
    return None if commander._engine is None else commander._engine.spawn_lock


def _not_failed(keeper: Keeper) -> None:
    if keeper.machine.state is WorkerState.FAILED:
        raise ResetNeededError(keeper.name, keeper.machine.reason)


def _check_timeout(timeout: object) -> None:
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or not 0 <= timeout <= 86_400:
        raise ConfigError("timeout of Supervisor.shutdown", timeout, "between 0 and 86400 s", "30.0")


def _check_reason(reason: object) -> None:
    if not isinstance(reason, str) or not reason.strip():
        raise ConfigError("reason of Supervisor.reset", reason, "text that says what was done about the failure")


def _state(name: str) -> WorkerState:
    try:
        return WorkerState(name)
    except ValueError:
        accepted = ", ".join(WorkerState)
        raise ConfigError("state of Supervisor.wait_for", name, f"one of {accepted}") from None

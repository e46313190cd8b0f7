"""The supervisor: keeps worker processes running, within limits, and knows when to leave it to a person."""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ConfigError, ConfigProblem, InvalidConfigError
from selfheal.events import DEFAULT_BUS, EventBus
from selfheal.processes import stat
from selfheal.supervision.commanding import Commander
from selfheal.supervision.configs import SupervisorConfig
from selfheal.supervision.launching import Places, obstacles
from selfheal.supervision.output import OutputFile
from selfheal.supervision.records import read
from selfheal.supervision.snapshots import StopReport, SupervisorSnapshot, WorkerSnapshot, as_section

_AT_EXIT = 10.0
"""Seconds that the end of the interpreter is held up at most."""


class Supervisor:
    """Starts, checks, restarts and stops worker processes.

    One thread keeps all workers; it sleeps until a process ends, a check is answered or a time is due. All calls may
    come from any thread; each that waits has an ``async`` twin with an ``a`` before its name. Workers outlive a
    supervisor that is killed: the next one in the same ``state_dir`` finds them and goes on. They do not outlive
    a :meth:`shutdown`, nor a normal end of the interpreter.

    Args:
        config: a :class:`SupervisorConfig`, a mapping as a file holds it, or the path of a JSON or TOML file.
        clock: times everything. After a move of a fake one, call :meth:`poll`.
        events: where each change is published.
        state_dir: directory for records, heartbeats and output, in place of the configuration's.

    Raises:
        ConfigError: if a setting is not accepted, or this machine lacks what it names: a program, a directory, a
            free port. All that is wrong is told at once.
    """

    def __init__(
        self,
        config: SupervisorConfig | Mapping[str, Any] | str | Path,
        *,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
        state_dir: str | Path | None = None,
    ) -> None:
        source = str(config) if isinstance(config, str | Path) else ""
        if isinstance(config, str | Path):
            config = SupervisorConfig.from_file(config)
        elif not isinstance(config, SupervisorConfig):
            config = SupervisorConfig.from_config(config)
        folder = config.state_dir if state_dir is None else Path(state_dir)
        if folder is None:
            raise ConfigError("state_dir", None, "a directory, in the configuration or as an argument")
        self.config = config
        self.state_dir = folder.absolute()  # workers have directories of their own
        _refuse(config, self.state_dir, source)
        self._commander = Commander(config, self.state_dir, clock, events.publish)

    def __repr__(self) -> str:
        return f"Supervisor({', '.join(self.config.workers)}; {self._commander.state})"

    def __enter__(self) -> Supervisor:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()

    async def __aenter__(self) -> Supervisor:
        await self.astart()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.ashutdown()

    def start(self, name: str | None = None, *, by: str = "") -> None:
        """Start a worker, or begin: take over what lives, and start all that start by themselves.

        A worker that runs is left alone. One that was stopped by hand is started only by its name. It does not wait
        for the worker to be RUNNING: :meth:`wait_for` does.

        Args:
            name: the worker; ``None`` begins.
            by: who asks, for the event.

        Raises:
            NotFoundError: if there is no such worker.
            ResetNeededError: if it has FAILED.
            StateDirTakenError: if another supervisor works in the directory.
            SupervisorStoppedError: after a shutdown, or in a forked child.
        """
        (self._commander.start_all(by) if name is None else self._commander.start(name, by)).wait()
        self._end_with_the_host()

    async def astart(self, name: str | None = None, *, by: str = "") -> None:
        """:meth:`start` for coroutines."""
        import asyncio  # 60 ms to import: only who waits in a coroutine pays

        await asyncio.to_thread(self._commander.prepare, name)
        await (self._commander.start_all(by) if name is None else self._commander.start(name, by)).await_it()
        self._end_with_the_host()

    def stop(self, name: str, *, reason: str = "stopped", by: str = "", timeout: float | None = None) -> WorkerSnapshot:
        """Stop a worker and keep it stopped: from now on only :meth:`start` with its name starts it.

        Args:
            name: the worker.
            reason: why.
            by: who asks.
            timeout: seconds to wait for its end; by default as long as ending, killing and clearing may take.

        Returns:
            The worker: STOPPED, unless the time ran out before.

        Raises:
            NotFoundError: if there is no such worker.
            SupervisorStoppedError: if the supervisor is not at work.
        """
        return self._commander.stop(name, reason, by, timeout).wait()

    async def astop(
        self, name: str, *, reason: str = "stopped", by: str = "", timeout: float | None = None
    ) -> WorkerSnapshot:
        """:meth:`stop` for coroutines."""
        return await self._commander.stop(name, reason, by, timeout).await_it()

    def restart(
        self, name: str, *, reason: str = "restarted", by: str = "", timeout: float | None = None
    ) -> WorkerSnapshot:
        """End a worker's process and start another. It is not counted against the restart limit.

        Args:
            name: the worker.
            reason: why.
            by: who asks.
            timeout: seconds to wait for the new process; by default as long as the end of the old one may take.

        Raises:
            NotFoundError: if there is no such worker.
            WorkerHeldError: if it was stopped by hand.
            ResetNeededError: if it has FAILED.
            SupervisorStoppedError: if the supervisor is not at work.
        """
        return self._commander.restart(name, reason, by, timeout).wait()

    async def arestart(
        self, name: str, *, reason: str = "restarted", by: str = "", timeout: float | None = None
    ) -> WorkerSnapshot:
        """:meth:`restart` for coroutines."""
        return await self._commander.restart(name, reason, by, timeout).await_it()

    def reset(self, name: str, reason: str, *, by: str = "", start: bool = True) -> bool:
        """Let a worker leave FAILED, forgetting its restarts.

        Args:
            name: the worker.
            reason: what was done about the failure; not blank.
            by: who asks.
            start: start it as well, unless it was stopped by hand.

        Returns:
            Whether it had FAILED.

        Raises:
            ConfigError: if the reason is blank.
            NotFoundError: if there is no such worker.
            SupervisorStoppedError: if the supervisor is not at work.
        """
        return self._commander.reset(name, reason, by, start).wait()

    async def areset(self, name: str, reason: str, *, by: str = "", start: bool = True) -> bool:
        """:meth:`reset` for coroutines."""
        return await self._commander.reset(name, reason, by, start).await_it()

    def wait_for(self, name: str, *states: str, timeout: float = 60.0) -> WorkerSnapshot:
        """Wait until a worker is in one of ``states``, at most ``timeout`` seconds; return it as it then is.

        Raises:
            ConfigError: if there is no such state.
            NotFoundError: if there is no such worker.
            SupervisorStoppedError: if the supervisor is not at work.
        """
        return self._commander.wait_for(name, states, timeout).wait()

    async def await_for(self, name: str, *states: str, timeout: float = 60.0) -> WorkerSnapshot:
        """:meth:`wait_for` for coroutines."""
        return await self._commander.wait_for(name, states, timeout).await_it()

    def shutdown(self, timeout: float = 30.0) -> StopReport:
        """Stop all workers and the supervisor. Idempotent.

        Every worker is told to end at once; what is left is killed shortly before ``timeout`` is over. A worker
        ended so is not held: the next supervisor starts it again.

        Args:
            timeout: seconds at most, from 0.

        Raises:
            ConfigError: if ``timeout`` is no such number.
        """
        report = self._commander.shutdown(timeout).wait()
        self._commander.join()
        atexit.unregister(self._at_exit)
        return report

    async def ashutdown(self, timeout: float = 30.0) -> StopReport:
        """:meth:`shutdown` for coroutines."""
        report = await self._commander.shutdown(timeout).await_it()
        self._commander.join()  # it ends right after its answer
        atexit.unregister(self._at_exit)
        return report

    def _end_with_the_host(self) -> None:
        atexit.unregister(self._at_exit)  # once is enough
        atexit.register(self._at_exit)

    def _at_exit(self) -> None:
        self.shutdown(_AT_EXIT)

    def poll(self) -> None:
        """Do all that is due by now. For clocks that tests move: by the machine's own it happens by itself."""
        self._commander.poll().wait()

    def status(self, name: str) -> WorkerSnapshot:
        """What is shown of a worker.

        Raises:
            NotFoundError: if there is no such worker, or the supervisor was never started.
        """
        return self.snapshot()[name]

    def snapshot(self) -> SupervisorSnapshot:
        """What is shown of all workers. After a shutdown: as they were left."""
        return self._commander.snapshot().wait()

    async def asnapshot(self) -> SupervisorSnapshot:
        """:meth:`snapshot` for coroutines."""
        return await self._commander.snapshot().await_it()

    def section(self) -> dict[str, Any]:
        """The snapshot as a section of the status: ``StatusReport(sections={"workers": supervisor.section})``."""
        return as_section(self.snapshot())

    def output(self, name: str, size: int = 4_096) -> str:
        """The last ``size`` bytes that a worker printed, as text.

        Raises:
            NotFoundError: if there is no such worker.
        """
        worker = self._commander.config_of(name)
        return OutputFile(Places.of(self.state_dir / "workers", name).output, worker.output).tail(size)


def _refuse(config: SupervisorConfig, folder: Path, source: str) -> None:
    """Refuse what cannot work on this machine."""
    problems: list[ConfigProblem] = []
    for name, worker in config.workers.items():
        ports = not _lives(folder, name)  # if it does, the ports are its own
        problems += obstacles(f"workers.{name}", worker, ports=ports)
    if folder.exists() and not folder.is_dir():
        problems.append(ConfigProblem("state_dir", str(folder), "a directory, or the place for one"))
    if problems:
        raise InvalidConfigError(problems, source)


def _lives(folder: Path, name: str) -> bool:
    record = read(Places.of(folder / "workers", name).record)
    if record is None or record.process is None or not record.same_boot:
        return False
    about = stat(record.process.pid)
    return about is not None and about.started == record.process.started and not about.dead

"""The indexer as a child process, kept by a supervisor: one that ends is started again, within limits."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from examples.reference_app.drills import VARIABLE
from examples.reference_app.indexer import INDEX
from examples.reference_app.provider_process import environment_of
from selfheal.clock import SYSTEM_CLOCK
from selfheal.events import DEFAULT_BUS, EventBus
from selfheal.supervision import StopPolicy, Supervisor, SupervisorConfig, WorkerConfig, WorkerSnapshot

NAME = "indexer"
_STOP_TIMEOUT = 4.0
_READY_WITHIN = 20.0


class IndexerProcess:
    """One indexer process.

    Its supervisor starts it again when it ends, for that it sees. That it runs and does nothing but burn the CPU no
    supervisor sees: that is found by measuring, and healed by a strategy.

    Args:
        directory: where the index is kept, and what the supervisor keeps.
        log: SQLite file of the request log.
        every: seconds between two indexes.
        events: where the supervisor tells what it does.
    """

    def __init__(self, directory: Path, log: Path, every: float = 1.0, events: EventBus = DEFAULT_BUS) -> None:
        self._directory = directory
        options = ("--log", str(log.absolute()), "--dir", str(directory.absolute()), "--every", f"{every:g}")
        worker = WorkerConfig(
            # A supervised process outlives a supervisor that is killed. This one is to end with the app.
            command=(
                *(sys.executable, "-m", "examples.reference_app.indexer"),
                *options,
                *("--end-with", str(os.getpid())),
            ),
            env=environment_of() | {VARIABLE: os.environ.get(VARIABLE, "")},
            inherit_env=False,
            min_uptime=0.0,
            stop=StopPolicy(grace=_STOP_TIMEOUT / 2),
        )
        config = SupervisorConfig(workers={NAME: worker}, state_dir=directory / "supervisor")
        self._supervisor = Supervisor(config, events=events)
        self._begun = False

    def start(self) -> None:
        """Start it. It does not wait until it is up: nobody else depends on it."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._supervisor.start()
        self._begun = True

    def restart(self) -> None:
        """End it, start a new one, and wait until that has made its first index, for 20 s at most."""
        index = self._directory / INDEX
        index.unlink(missing_ok=True)
        self._supervisor.restart(NAME, reason="restarted", by="healer")
        end = SYSTEM_CLOCK.monotonic() + _READY_WITHIN
        while not index.exists() and SYSTEM_CLOCK.monotonic() < end:
            SYSTEM_CLOCK.sleep(0.02)

    def status(self) -> WorkerSnapshot:
        """What is shown of it.

        Raises:
            NotFoundError: if it was never started.
        """
        return self._supervisor.status(NAME)

    @property
    def pid(self) -> int | None:
        """Its process id; ``None`` while it does not run."""
        return self.status().pid if self._begun else None

    def section(self) -> dict[str, Any]:
        """The indexer, for the status."""
        if not self._begun:
            return {"state": "new", "pid": None, "lastExit": None}
        shown = self.status()
        return {"state": shown.state, "pid": shown.pid, "lastExit": shown.last_exit}

    def stop(self) -> None:
        """End it, for good: first by TERM, then by KILL to its whole group; at most 4 s."""
        self._supervisor.shutdown(_STOP_TIMEOUT)

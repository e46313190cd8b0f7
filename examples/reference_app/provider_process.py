"""The provider as a child process, kept by a supervisor: started, watched, restarted and ended by the app."""

from __future__ import annotations

import json
import logging
import os
import secrets
import sys
import threading
from pathlib import Path

from examples.reference_app.provider import ADMIN_TOKEN, KEYS_FILE, PORT_FILE, hashed
from selfheal.clock import SYSTEM_CLOCK
from selfheal.events import DEFAULT_BUS, EventBus
from selfheal.supervision import RestartPolicy, StopPolicy, Supervisor, SupervisorConfig, WorkerConfig, WorkerSnapshot

logger = logging.getLogger("reference_app.provider")

_ROOT = Path(__file__).resolve().parents[2]
_NAME = "provider"
_START_TIMEOUT = 10.0
_STOP_TIMEOUT = 4.0


class ProviderStartError(Exception):
    """The provider process did not come up."""


def issue_key(directory: Path) -> str:
    """Have the provider accept one more key; returns the key. What the provider keeps is its hash."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = f"sum-{secrets.token_urlsafe(24)}"
    with (directory / KEYS_FILE).open("a") as kept:
        kept.write(hashed(key) + "\n")
    return key


def command_of(directory: Path, *options: str) -> tuple[str, ...]:
    """What starts a provider that works in ``directory``."""
    return (sys.executable, "-m", "examples.reference_app.provider", "--dir", str(directory), *options)


def environment_of(admin_token: str = "") -> dict[str, str]:
    """All that a provider finds in its environment."""
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    return {"PATH": os.defpath, "PYTHONPATH": path, ADMIN_TOKEN: admin_token}


class ProviderProcess:
    """One provider process, or none.

    The supervisor gives it a process group of its own, keeps what it prints within bounds, and ends it with all that
    it started. It restarts nothing by itself here: that is the healer's, under the healer's limits. Two that
    restart one process would each undo the other's limit.

    Args:
        directory: holds the provider's keys, fault and log.
        admin_token: handed to the provider; who has it may inject faults.
        events: where the supervisor tells what it does.
    """

    def __init__(self, directory: Path, admin_token: str = "", events: EventBus = DEFAULT_BUS) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._begun = False
        self._port: int | None = None
        self._starts = 0
        worker = WorkerConfig(
            # A supervised process outlives a supervisor that is killed. This one is to end with the app.
            command=command_of(directory, "--end-with", str(os.getpid())),
            env=environment_of(admin_token),
            inherit_env=False,
            autostart=False,
            min_uptime=0.0,
            restart=RestartPolicy(when="never"),
            stop=StopPolicy(grace=_STOP_TIMEOUT / 2),
        )
        config = SupervisorConfig(workers={_NAME: worker}, state_dir=directory / "supervisor")
        self._supervisor = Supervisor(config, events=events)

    @property
    def port(self) -> int | None:
        """TCP port it listens on; ``None`` until it does. One that died keeps its number until it is started again."""
        return self._port

    @property
    def pid(self) -> int | None:
        """Its process id; ``None`` while it does not run."""
        shown = self._shown()
        return None if shown is None else shown.pid

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return max(self._starts - 1, 0)

    @property
    def last_exit(self) -> str:
        """How its last process ended, such as ``killed by SIGKILL``; empty if none did."""
        shown = self._shown()
        return "" if shown is None else shown.last_exit or ""

    def status(self) -> WorkerSnapshot:
        """What is shown of it.

        Raises:
            NotFoundError: if it was never started.
        """
        return self._supervisor.status(_NAME)

    def alive(self) -> bool:
        """Whether the process runs. One that ended was reaped by the supervisor: no zombie stays."""
        return self.pid is not None

    def start(self) -> None:
        """Start it and wait until it listens; nothing happens if it runs.

        Raises:
            ProviderStartError: if it does not listen within 10 s.
        """
        with self._lock:
            if not self.alive():
                self._begin()

    def restart(self) -> None:
        """End it, hung or not, and start a new one.

        Raises:
            ProviderStartError: if that does not listen within 10 s.
        """
        with self._lock:
            if self.alive():
                self._port = None
                self._supervisor.stop(_NAME, reason="restarted")
            self._begin()

    def stop(self) -> None:
        """End it, for good: first by TERM, then by KILL to its whole group; at most 4 s."""
        with self._lock:
            self._port = None
            self._supervisor.shutdown(_STOP_TIMEOUT)

    def _begin(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._port = None
        (self._directory / PORT_FILE).unlink(missing_ok=True)
        if not self._begun:
            self._supervisor.start()
            self._begun = True
        self._supervisor.reset(_NAME, "it is started again", start=False)
        self._supervisor.start(_NAME)
        self._starts += 1
        self._port = self._announced()
        logger.info("provider process %s listens on port %s", self.pid, self._port)

    def _announced(self) -> int:
        deadline = SYSTEM_CLOCK.monotonic() + _START_TIMEOUT
        while self.alive() and SYSTEM_CLOCK.monotonic() < deadline:
            try:
                return int(json.loads((self._directory / PORT_FILE).read_text())["port"])
            except FileNotFoundError:
                SYSTEM_CLOCK.sleep(0.01)
        self._supervisor.stop(_NAME, reason="it did not come up")
        shown = self._supervisor.status(_NAME)
        raise ProviderStartError(f"the provider did not come up ({shown.last_exit}); see {shown.output}")

    def _shown(self) -> WorkerSnapshot | None:
        return self._supervisor.status(_NAME) if self._begun else None

"""The provider as a child process: started, watched, restarted and ended by the app."""

from __future__ import annotations

import json
import logging
import os
import secrets
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

from examples.reference_app.provider import ADMIN_TOKEN, KEYS_FILE, hashed

logger = logging.getLogger("reference_app.provider")

_ROOT = Path(__file__).resolve().parents[2]
_START_TIMEOUT = 10.0


class ProviderStartError(Exception):
    """The provider process did not come up."""


def issue_key(directory: Path) -> str:
    """Have the provider accept one more key; returns the key. What the provider keeps is its hash."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = f"sum-{secrets.token_urlsafe(24)}"
    with (directory / KEYS_FILE).open("a") as kept:
        kept.write(hashed(key) + "\n")
    return key


class ProviderProcess:
    """One provider process, or none.

    The process leads a session, and so a process group, of its own: a Ctrl-C meant for the app does not
    reach it, and ending it ends whatever it started. It holds the read end of a pipe as its standard
    input; when this process is gone, killed or not, the pipe ends and the provider ends itself.

    Args:
        directory: holds the provider's keys, fault and log.
        admin_token: handed to the provider; who has it may inject faults.
    """

    def __init__(self, directory: Path, admin_token: str = "") -> None:
        self._directory = directory
        self._admin_token = admin_token
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._port: int | None = None
        self._starts = 0

    @property
    def port(self) -> int | None:
        """TCP port it listens on; ``None`` until it does. One that died keeps its number until it is started again."""
        return self._port

    @property
    def pid(self) -> int | None:
        """Its process id, dead or alive; ``None`` before the first start and after :meth:`stop`."""
        process = self._process
        return None if process is None else process.pid

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return max(self._starts - 1, 0)

    def alive(self) -> bool:
        """Whether the process runs. One that ended is reaped here, so that no zombie stays."""
        process = self._process
        return process is not None and process.poll() is None

    def start(self) -> None:
        """Start it and wait until it listens; nothing happens if it runs.

        Raises:
            ProviderStartError: if it does not listen within 10 s.
        """
        with self._lock:
            if not self.alive():
                self._end()
                self._begin()

    def restart(self) -> None:
        """End it, hung or not, and start a new one.

        Raises:
            ProviderStartError: if that does not listen within 10 s.
        """
        with self._lock:
            self._end()
            self._begin()

    def stop(self) -> None:
        """End it: first by the end of its input, then TERM, then KILL to its whole group; at most 4 s."""
        with self._lock:
            self._end()

    def _begin(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        with (self._directory / "provider.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "examples.reference_app.provider", "--dir", str(self._directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={"PATH": os.defpath, "PYTHONPATH": path, ADMIN_TOKEN: self._admin_token},
            )
        self._process = process
        self._starts += 1
        self._port = self._announced(process)
        logger.info("provider process %s listens on port %s", process.pid, self._port)

    def _announced(self, process: subprocess.Popen[bytes]) -> int:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], _START_TIMEOUT)
        line = process.stdout.readline() if ready else b""
        if not line:
            self._end()
            raise ProviderStartError(f"the provider did not come up; see {self._directory / 'provider.log'}")
        return int(json.loads(line)["port"])

    def _end(self) -> None:
        process, self._process = self._process, None
        self._port = None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        if not _gone(process, 2.0):
            _signal_group(process.pid, signal.SIGTERM)
        if not _gone(process, 1.0):
            _signal_group(process.pid, signal.SIGKILL)
            _gone(process, 1.0)
        if process.stdout is not None:
            process.stdout.close()
        logger.info("provider process %s ended with %s", process.pid, process.returncode)


def _gone(process: subprocess.Popen[bytes], timeout: float) -> bool:
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        return False
    return True


def _signal_group(pid: int, number: signal.Signals) -> None:
    """Signal the process group that ``pid`` leads. Only for a child not reaped yet: its id is still its own."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        logger.debug("process group %s is gone already", pid)

"""The reference app as a process under observation: for the demo, the eight scenarios and the tests.

Everything here is what an operator can do: start it, ask it, edit its ``.env.local``, steer it with the
token, break its provider with the admin token, and end it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import psutil

from examples.reference_app.keys import VARIABLE
from selfheal.clock import SYSTEM_CLOCK

_ROOT = Path(__file__).resolve().parents[2]
_ADDRESS = re.compile(r"reference app on http://127\.0\.0\.1:(\d+) ")
Json = dict[str, Any]
_NO_LIMITS = {"REFERENCE_APP_CPU_LIMIT": "100", "REFERENCE_APP_MEMORY_LIMIT": "100"}
"""The machine is shared with whoever looks: how busy that is must not change what the app does."""


class NotSeenError(Exception):
    """Something that was waited for did not happen in time."""


@attrs.frozen(kw_only=True)
class Answer:
    """What came back.

    Args:
        status: HTTP status.
        body: the JSON of it.
    """

    status: int
    body: Json


class RunningApp:
    """One reference app in a process of its own.

    Args:
        state_dir: its state; kept when it ends.
        speed: how many times faster than the default policy its clockwork runs.
        port: where it listens; 0: a free port.
        options: further command line.
        environ: further variables.

    Attributes:
        said: what it printed when it started.
        token: lets its bearer steer.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        speed: float = 100.0,
        port: int = 0,
        options: tuple[str, ...] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.state_dir = state_dir
        self.token = secrets.token_urlsafe(32)
        self._admin_token = secrets.token_urlsafe(32)
        self.command = [sys.executable, "-m", "examples.reference_app", "--port", str(port)]
        self.command += ["--state-dir", str(state_dir), "--speed", f"{speed:g}", *options]
        self._environ = dict(environ or {})
        self._process: subprocess.Popen[str] | None = None
        self.port = port
        self.said = ""

    @property
    def process(self) -> subprocess.Popen[str]:
        """The process.

        Raises:
            RuntimeError: before the first :meth:`start`.
        """
        if self._process is None:
            raise RuntimeError("the app was not started")
        return self._process

    def start(self, within: float = 60.0) -> None:
        """Start it and wait until it answers.

        Raises:
            NotSeenError: if it does not, with what it said instead.
        """
        self.state_dir.mkdir(parents=True, exist_ok=True)
        known = {name: value for name, value in os.environ.items() if not name.startswith(("FEATURE_", VARIABLE))}
        path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        with (self.state_dir / "app.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self.command, "--end-with-stdin"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={
                    **known,
                    "PYTHONPATH": path,
                    "SELFHEAL_TOKEN": self.token,
                    "PROVIDER_ADMIN_TOKEN": self._admin_token,
                    **_NO_LIMITS,
                    **self._environ,
                },
            )
        self.port = self._announced_port()
        self.wait_for(lambda: self.get("/healthz").status == 200, "an answer of /healthz", within)

    def _announced_port(self) -> int:
        """Read its output up to the line with its address; a process that ends instead ends the reading too."""
        assert self.process.stdout is not None
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if found := _ADDRESS.match(line):
                return int(found[1])
        raise NotSeenError(f"the app did not start: {self.said}{self.log()}")

    def log(self) -> str:
        """What it wrote to its log so far."""
        return (self.state_dir / "app.log").read_text()

    def get(self, path: str) -> Answer:
        """GET ``path``."""
        return self._request(self.port, "GET", path, None, {})

    def post(self, path: str, body: Json, token: str | None = None) -> Answer:
        """POST ``body`` to ``path``, with its token or another one."""
        return self._request(self.port, "POST", path, body, {"Authorization": f"Bearer {token or self.token}"})

    def status(self) -> Json:
        """The whole of ``/api/status``."""
        return self.get("/api/status").body

    def healing(self) -> Json:
        """``.selfHealing`` of the status."""
        return dict(self.status()["selfHealing"])

    def breaker(self, name: str) -> Json:
        """One entry of ``.circuitBreakers``."""
        return next(dict(one) for one in self.status()["circuitBreakers"] if one["name"] == name)

    def resume(self, reason: str, by: str = "operator") -> Answer:
        """The resume call."""
        return self.post("/api/system/heal/resume", {"reason": reason, "by": by})

    def fault(self, mode: str, seconds: float = 0.0) -> None:
        """Break the provider, or mend it (``none``), through its admin call."""
        port = int(self.status()["gateway"]["provider"]["port"])
        headers = {"X-Admin-Token": self._admin_token}
        answer = self._request(port, "POST", "/admin/fault", {"mode": mode, "seconds": seconds}, headers)
        if answer.status != 200:
            raise RuntimeError(f"the provider refused the fault {mode!r}: {answer.body}")

    def keys(self) -> str:
        """The keys as they stand in ``.env.local``, separated by commas."""
        found = re.search(rf"^{VARIABLE}=(.*)$", self._settings().read_text(), re.MULTILINE)
        return found[1] if found else ""

    def set_keys(self, keys: str) -> None:
        """Edit ``.env.local``: that one line, replaced at once as an editor does it."""
        settings = self._settings()
        edited = re.sub(rf"^{VARIABLE}=.*$", f"{VARIABLE}={keys}", settings.read_text(), flags=re.MULTILINE)
        fresh = settings.with_name(".env.local.new")
        fresh.touch(mode=0o600)
        fresh.write_text(edited)
        fresh.replace(settings)

    def wait_for(self, condition: Callable[[], object], what: str, within: float = 60.0) -> None:
        """Look every 20 ms until ``condition()`` is true; an app that does not answer counts as not yet.

        Raises:
            NotSeenError: if that takes longer than ``within`` seconds.
        """
        deadline = SYSTEM_CLOCK.monotonic() + within
        while SYSTEM_CLOCK.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if condition():
                    return
            SYSTEM_CLOCK.sleep(0.02)
        raise NotSeenError(f"not seen within {within:g} s: {what}")

    def family(self) -> list[psutil.Process]:
        """The process and all below it, by id and start time, so that a later holder of an id is not mistaken."""
        process = psutil.Process(self.process.pid)
        return [process, *process.children(recursive=True)]

    def end(self, number: signal.Signals = signal.SIGTERM, within: float = 60.0) -> str:
        """Signal it, wait for its end and return the rest of its output. ``returncode`` is then known.

        Raises:
            subprocess.TimeoutExpired: if it does not end in time.
        """
        self.process.send_signal(number)
        self.process.wait(within)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self.process.stdin, self.process.stdout:
            return self.process.stdout.read()

    def close(self) -> None:
        """Make sure that it is gone; for the end of a ``with`` or ``finally``."""
        if self._process is None:
            return
        if self._process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.end()
        if self._process.poll() is None:
            self.end(signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> RunningApp:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settings(self) -> Path:
        return self.state_dir / ".env.local"

    @staticmethod
    def _request(port: int, method: str, path: str, body: Json | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        sent = None if body is None else json.dumps(body)
        try:
            connection.request(method, path, sent, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return Answer(status=answer.status, body=json.loads(answer.read()))
        finally:
            connection.close()


def survivors(family: list[psutil.Process], within: float = 30.0) -> list[int]:
    """Ids of those that still run after ``within`` seconds."""
    _, alive = psutil.wait_procs(family, timeout=within)
    return [process.pid for process in alive if _runs(process)]


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:  # it ended since it was waited for
        return False


def is_free(port: int) -> bool:
    """Whether nobody answers on ``port``."""
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) != 0

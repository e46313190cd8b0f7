"""A supervisor over real processes, and a look at all of them from outside."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from selfheal.events import Event, EventBus, WorkerStateChanged
from selfheal.supervision import Supervisor

ROOT = Path(__file__).resolve().parents[2]
MARK = "SELFHEAL_TEST_MARK"
LIMIT = 60.0
"""Real seconds after which something that ought to happen counts as not happening."""

FOR_EVER = "while :; do sleep 1; done"
STUBBORN = "trap '' TERM; echo deaf; while :; do sleep 1; done"
"""Says so once it ignores TERM: told to end before that, it would end."""
BEATING = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from selfheal.supervision import heartbeat
while True:
    heartbeat()
    time.sleep(0.02)
"""
SERVING = """
import http.server, os, sys
turns = {}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        told = open(sys.argv[2]).read().split() if os.path.exists(sys.argv[2]) else ["200"]
        if told == ["flap"]:
            turns[self.path] = turns.get(self.path, 0) + 1
            told = ["200" if turns[self.path] % 2 else "503"]
        self.send_response(int(told[0])); self.end_headers()
    def log_message(self, *args): pass
http.server.HTTPServer.allow_reuse_address = True
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def sh(script: str) -> list[str]:
    """A command that runs a shell script."""
    return ["/bin/sh", "-c", script]


def py(script: str, *args: object) -> list[str]:
    """A command that runs a Python script, quickly."""
    return [sys.executable, "-S", "-c", script, *map(str, args)]


def full_py(script: str, *args: object) -> list[str]:
    """A command that runs a Python script that imports what is installed."""
    return [sys.executable, "-c", script, *map(str, args)]


def until(holds: Callable[[], object], limit: float = LIMIT) -> float:
    """Wait until something holds; return the seconds it took. Fails when it does not."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < limit, "it did not come about"
        time.sleep(0.005)
    return time.monotonic() - began


def reserved_port() -> Iterator[int]:
    """For a fixture: a port that nobody listens on, that a server may take, and that the kernel gives to nobody else.

    It is bound and never listened on. Whoever sets SO_REUSEADDR, as servers do, may bind and listen beside it.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def marked(mark: str) -> list[int]:
    """All live processes that carry the mark of a test in their environment."""
    needle, found = f"{MARK}={mark}".encode(), []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if needle in Path(f"/proc/{name}/environ").read_bytes() and alive(int(name)) and int(name) != os.getpid():
                found.append(int(name))
    return found


def sessions(mark: str) -> set[int]:
    """The sessions of all live processes that carry a mark; one that ends between the two looks belongs to none."""
    found = set()
    for pid in marked(mark):
        with suppress(ProcessLookupError):
            found.add(os.getsid(pid))
    return found


class Rig:
    """Makes supervisors in one directory, listens to them, and leaves nothing behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = f"{folder.name}-{os.getpid()}-{time.monotonic_ns()}"
        self.events: list[tuple[float, Event]] = []
        self.bus = EventBus()
        self.bus.subscribe(lambda event: self.events.append((time.monotonic(), event)), inline=True)
        self.made: list[Supervisor] = []

    def worker(self, command: list[str], **settings: Any) -> dict[str, Any]:
        """Settings of a worker with short times, all of which can be overridden.

        The grace is none of them: nothing waits for its end but what does not listen.
        """
        restart = {"backoff": 0.05, "factor": 1.0, **settings.pop("restart", {})}
        stop = {"grace": 20.0, **settings.pop("stop", {})}
        env = {MARK: self.mark, **settings.pop("env", {})}
        return {"command": command, "min_uptime": 0.1, "restart": restart, "stop": stop, "env": env, **settings}

    def supervisor(self, **workers: Mapping[str, Any]) -> Supervisor:
        """A supervisor, not started."""
        made = Supervisor({"workers": workers}, state_dir=self.folder / "state", events=self.bus)
        self.made.append(made)
        return made

    def started(self, **workers: Mapping[str, Any]) -> Supervisor:
        """A supervisor at work."""
        made = self.supervisor(**workers)
        made.start()
        return made

    def of(self, kind: type[Event]) -> list[Any]:
        """The events of a kind so far."""
        return [event for _, event in list(self.events) if isinstance(event, kind)]

    def when(self, kind: type[Event]) -> float:
        """When the last event of a kind came."""
        return [at for at, event in list(self.events) if isinstance(event, kind)][-1]

    def path(self, worker: str = "w") -> list[str]:
        """The states that a worker went through."""
        return [event.new for event in self.of(WorkerStateChanged) if event.worker == worker]

    def deaf(self, supervisor: Supervisor, worker: str = "w") -> None:
        """Wait until a worker that runs ``STUBBORN`` ignores TERM."""
        until(lambda: "deaf" in supervisor.output(worker))

    def close(self) -> None:
        """Shut everything down; fail if a process is left."""
        for made in self.made:
            made.shutdown(30.0)
        left = marked(self.mark)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert not left, f"processes left behind: {left}"


def rig(folder: Path) -> Iterator[Rig]:
    """For a fixture: a rig, closed after the test."""
    made = Rig(folder)
    try:
        yield made
    finally:
        made.close()

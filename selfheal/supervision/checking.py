"""Health checks that never hold anybody up: each is begun, then told when its descriptor is ready, or given up."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from selfheal.supervision.configs import CommandProbe, HeartbeatProbe, HttpProbe, Probe, TcpProbe
from selfheal.supervision.processes import look
from selfheal.supervision.states import NEVER

READ, WRITE = 1, 2
"""What to wait for on a descriptor; the values of ``selectors``."""
HURRY = 0.25
"""Seconds between checks, at most, until the first good one of a process."""
_HEAD = 4_096
_REAPED_WITHIN = 0.5
"""Seconds that a killed command may take to die; it takes a fraction of a millisecond."""

Verdict = tuple[bool | None, str]
"""Whether it is well, and in words what was found; ``None`` where it could not be asked."""


def _failed(error: OSError) -> Verdict:
    """What a call that failed says of the worker: that it is ill, unless it is we who have no descriptor left.

    Where the whole machine has none, or no memory, the worker may be what took it.
    """
    return None if error.errno == errno.EMFILE else False, (error.strerror or str(error)).lower()


class Watcher(Protocol):
    """Calls back when a descriptor is ready."""

    def watch(self, fd: int, kind: int, callback: Callable[[], None]) -> None:
        """Call ``callback`` whenever ``fd`` is ready, in place of one set before."""

    def unwatch(self, fd: int) -> None:
        """Call nothing any more for ``fd``."""


class Check(Protocol):
    """One check under way."""

    def begin(self) -> Verdict | None:
        """Begin; the verdict if there is one at once."""

    def give_up(self) -> None:
        """End it without a verdict, leaving nothing behind."""


class SocketCheck:
    """Connects and, for HTTP, asks and reads the status line.

    Args:
        host: where it connects.
        port: where it connects.
        request: what is sent once connected; empty: being connected is being well.
        watcher: waits for the socket.
        done: called with the verdict.
    """

    def __init__(self, host: str, port: int, request: bytes, watcher: Watcher, done: Callable[[Verdict], None]) -> None:
        self._address = ("127.0.0.1" if host == "localhost" else host, port)
        self._request = request
        self._watcher = watcher
        self._done = done
        self._head = b""
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)

    def begin(self) -> Verdict | None:
        """Begin to connect."""
        error = self._socket.connect_ex(self._address)
        if error not in (0, errno.EINPROGRESS):
            self._socket.close()
            return False, os.strerror(error).lower()
        self._watcher.watch(self._socket.fileno(), WRITE, self._connected)
        return None

    def give_up(self) -> None:
        """Hang up."""
        self._watcher.unwatch(self._socket.fileno())
        self._socket.close()

    def _finish(self, good: bool | None, told: str) -> None:
        self.give_up()
        self._done((good, told))

    def _connected(self) -> None:
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._finish(False, os.strerror(error).lower())
            return
        if self._socket.getsockname() == self._socket.getpeername():  # the kernel chose the very port as ours
            self._finish(False, "nobody listens there")
            return
        if not self._request:
            self._finish(True, "connected")
            return
        try:
            self._request = self._request[self._socket.send(self._request) :]
        except BlockingIOError:
            return
        except OSError as broken:
            self._finish(*_failed(broken))
            return
        if not self._request:
            self._request = b"\0"  # sent: never empty again
            self._watcher.watch(self._socket.fileno(), READ, self._answered)

    def _answered(self) -> None:
        try:
            got = self._socket.recv(_HEAD)
        except BlockingIOError:
            return
        except OSError as broken:
            self._finish(*_failed(broken))
            return
        self._head += got
        line, end, _ = self._head.partition(b"\r\n")
        if not end and got and len(self._head) < _HEAD:
            return
        words = line.split(b" ", 2)
        known = bool(end) and words[0].startswith(b"HTTP/1.") and len(words) > 1 and words[1].isdigit()
        told = f"status {words[1].decode()}" if known else "an answer that is not HTTP"
        self._finish(known and words[1].startswith(b"2") and len(words[1]) == 3, told)


class CommandCheck:
    """Runs a command; its group is killed when it takes too long, or leaves something behind."""

    def __init__(
        self,
        command: tuple[str, ...],
        cwd: Path | None,
        env: Mapping[str, str],
        watcher: Watcher,
        done: Callable[[Verdict], None],
    ) -> None:
        self._command, self._cwd, self._env = command, cwd, env
        self._watcher = watcher
        self._done = done
        self._popen: subprocess.Popen[bytes] | None = None
        self._pidfd = -1

    def begin(self) -> Verdict | None:
        """Start the command."""
        null = subprocess.DEVNULL
        try:
            self._popen = subprocess.Popen(
                list(self._command),
                cwd=self._cwd,
                env=dict(self._env),
                stdin=null,
                stdout=null,
                stderr=null,
                process_group=0,
            )
            self._pidfd = os.pidfd_open(self._popen.pid)
        except OSError as error:
            self.give_up()
            return _failed(error)
        self._watcher.watch(self._pidfd, READ, self._ended)
        return None

    def give_up(self) -> None:
        """Kill it and its children, and reap it."""
        if self._pidfd >= 0:
            self._watcher.unwatch(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        if self._popen is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):  # its zombie keeps the id from others
            os.killpg(self._popen.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel: reaped when it comes out
            self._popen.wait(_REAPED_WITHIN)
        self._popen = None

    def _ended(self) -> None:
        assert self._popen is not None  # noqa: S101 - it is watched only while there is one
        status = look(self._popen.pid)
        self.give_up()
        if status is None:
            self._done((False, "its exit code is not known"))
        elif status.si_code == os.CLD_EXITED:
            self._done((status.si_status == 0, f"exit code {status.si_status}"))
        else:
            self._done((False, f"killed by signal {status.si_status}"))


class HeartbeatCheck:
    """Looks whether the heartbeat file was touched since it was last looked at."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen = self._touched()

    def look(self) -> Verdict | None:
        """Well if touched. Silence is no verdict: how much of it is too much is for the machine to say."""
        touched = self._touched()
        if touched in (self._seen, None):
            return None
        self._seen = touched
        return True, "beats"

    def _touched(self) -> tuple[int, int] | None:
        try:
            about = os.stat(self._file)
        except OSError:  # a person removed it: silence
            return None
        return about.st_mtime_ns, about.st_size


class Checker:
    """Runs one probe at its pace.

    Args:
        probe: what to check and how often.
        make: makes one check; it is given what to call with the verdict.
        told: called with the process' generation and the verdict.
    """

    def __init__(
        self,
        probe: Probe,
        make: Callable[[Callable[[Verdict], None]], Check | HeartbeatCheck],
        told: Callable[[int, Verdict], None],
    ) -> None:
        self.probe = probe
        self._make = make
        self._told = told
        self._generation = 0
        self._running: Check | None = None
        self._beats: HeartbeatCheck | None = None
        self._next = NEVER
        self._deadline = NEVER
        self._hurry = True

    def start(self, generation: int, now: float) -> None:
        """Check from now on, the process of this generation."""
        self.stop()
        self._generation, self._hurry = generation, True
        if isinstance(self.probe, HeartbeatProbe):
            made = self._make(self._finish)
            self._beats = made if isinstance(made, HeartbeatCheck) else None
        self._next = now

    def stop(self) -> None:
        """Check no more; one under way is given up."""
        if self._running is not None:
            self._running.give_up()
        self._running, self._next, self._deadline = None, NEVER, NEVER

    def due(self) -> float:
        """When to call :meth:`turn`."""
        return self._deadline if self._running is not None else self._next

    def turn(self, now: float) -> None:
        """Begin what is due; give up what takes too long."""
        if self._running is not None:
            if now >= self._deadline:
                self._running.give_up()
                self._finish((False, f"no answer within {getattr(self.probe, 'timeout', 0.0):g} s"))
        elif now >= self._next:
            self._next = now + (min(self.probe.every, HURRY) if self._hurry else self.probe.every)
            self._begin(now)

    def _begin(self, now: float) -> None:
        if self._beats is not None:
            verdict = self._beats.look()
        else:
            try:
                made = self._make(self._finish)
            except OSError as error:  # no descriptor for a connection, or no such kind of address here
                self._finish(_failed(error))
                return
            self._deadline = now + getattr(self.probe, "timeout", 0.0)
            self._running = None if isinstance(made, HeartbeatCheck) else made
            verdict = self._running.begin() if self._running is not None else None
        if verdict is not None:
            self._finish(verdict)

    def _finish(self, verdict: Verdict) -> None:
        self._running, self._deadline = None, NEVER
        self._hurry = self._hurry and not verdict[0]
        self._told(self._generation, verdict)


def check_for(
    probe: Probe,
    done: Callable[[Verdict], None],
    *,
    watcher: Watcher,
    beat: Path,
    cwd: Path | None,
    env: Callable[[], Mapping[str, str]],
) -> Check | HeartbeatCheck:
    """The check that a probe asks for."""
    if isinstance(probe, HttpProbe):
        parts = urlsplit(probe.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        ask = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: selfheal\r\nConnection: close\r\n\r\n"
        return SocketCheck(parts.hostname or "", parts.port or 80, ask.encode("ascii"), watcher, done)
    if isinstance(probe, TcpProbe):
        return SocketCheck(probe.host, probe.port, b"", watcher, done)
    if isinstance(probe, CommandProbe):
        return CommandCheck(probe.command, cwd, env(), watcher, done)
    return HeartbeatCheck(beat)


def checkers(
    wanted: Iterable[tuple[Probe | None, Callable[[int, Verdict], None]]],
    *,
    watcher: Watcher,
    beat: Path,
    cwd: Path | None,
    env: Callable[[], Mapping[str, str]],
) -> tuple[Checker, ...]:
    """A checker for each probe there is, with whom it tells."""
    made = functools.partial(check_for, watcher=watcher, beat=beat, cwd=cwd, env=env)
    return tuple(Checker(probe, functools.partial(made, probe), told) for probe, told in wanted if probe is not None)

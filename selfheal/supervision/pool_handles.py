"""One worker as its pool holds it: a process behind two pipes, or a thread behind two queues."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Protocol

from selfheal.supervision.exits import signal_name
from selfheal.supervision.worker_context import CurrentTask, working_on
from selfheal.supervision.worker_target import text_of

_CHUNK = 1 << 16
Message = dict[str, Any]


class Handle(Protocol):
    """A worker to send to and hear from. Nothing here waits."""

    pid: int

    def fds(self) -> list[int]:
        """What becomes readable when there is something to hear, or the worker is gone."""

    def unsent(self) -> int | None:
        """What becomes writable when ``flush`` has to be called; ``None`` if all was sent."""

    def send(self, message: Message) -> None:
        """Send one message; ``TypeError`` or ``ValueError`` if it cannot be."""

    def flush(self) -> None:
        """Send what could not be sent yet."""

    def receive(self) -> list[Message]:
        """What was heard."""

    def ended(self) -> str | None:
        """How the worker ended, in words; ``None`` while it lives."""

    def kill(self) -> None:
        """End it by force."""

    def close(self) -> None:
        """Let go of it."""


class ProcessHandle:
    """A worker process: the leader of its own process group.

    Args:
        target: ``module:function``.
        results: whether results are wanted.
    """

    def __init__(self, target: str, *, results: bool) -> None:
        command = [sys.executable, "-m", "selfheal.supervision.worker", target]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, process_group=0
        )
        self.pid = self._process.pid
        assert self._process.stdin is not None  # noqa: S101  both were asked for
        assert self._process.stdout is not None  # noqa: S101
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._pidfd = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else -1
        self._outbox = bytearray()
        self._rest = b""
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self.send({"path": [entry or os.getcwd() for entry in sys.path], "results": results})

    def fds(self) -> list[int]:
        """Its output, and its end."""
        return [self._out, self._pidfd] if self._pidfd >= 0 else [self._out]

    def unsent(self) -> int | None:
        """Its input, while something waits for it."""
        return self._in if self._outbox else None

    def send(self, message: Message) -> None:
        """Send one line."""
        self._outbox += json.dumps(message).encode() + b"\n"
        self.flush()

    def flush(self) -> None:
        """Write what the pipe takes."""
        try:
            while self._outbox:
                del self._outbox[: os.write(self._in, self._outbox)]
        except BlockingIOError:
            return
        except OSError:  # it is gone, as its end will tell
            self._outbox.clear()

    def receive(self) -> list[Message]:
        """The whole lines there are."""
        try:
            while data := os.read(self._out, _CHUNK):
                self._rest += data
        except OSError:  # BlockingIOError: no more for now
            pass
        *lines, self._rest = self._rest.split(b"\n")
        return [message for line in lines if (message := _message(line)) is not None]

    def ended(self) -> str | None:
        """Reap it, if it has ended, and end what it left behind."""
        if self._process.returncode is None and not _is_dead(self.pid):
            return None
        self.kill()  # the group, while the dead leader still keeps its number from being used again
        code = self._process.wait()
        return f"killed by {signal_name(-code)}" if code < 0 else f"exit code {code}"

    def kill(self) -> None:
        """End the whole process group."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Close the pipes."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def disown(self) -> None:
        """In a forked child: the worker is the parent's."""
        self.close()
        self._process.returncode = 0  # so that it is neither waited for nor warned of here


def _is_dead(pid: int) -> bool:
    """Whether a child has ended, without reaping it."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # somebody else reaped it
        return True


def _message(line: bytes) -> Message | None:
    """A line of the protocol; what is none (a library that writes to the descriptor itself) is left out."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


class ThreadHandle:
    """A worker thread. It cannot be killed: it is left behind instead, and ends when its task does.

    Args:
        name: of the thread.
        run: does one task.
        wake: called when there is something to hear.
    """

    pid = 0

    def __init__(self, name: str, run: Callable[[Any], Any], wake: Callable[[], object]) -> None:
        self._run, self._wake = run, wake
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        self._outbox: collections.deque[Message] = collections.deque([{"ready": 0}])
        self._left = self._over = False
        self.thread = threading.Thread(target=self._loop, name=f"selfheal-{name}", daemon=True)
        self.thread.start()

    def fds(self) -> list[int]:
        """None: it wakes the pool itself."""
        return []

    def unsent(self) -> int | None:
        """Nothing ever waits."""
        return None

    def flush(self) -> None:
        """Nothing ever waits."""

    def send(self, message: Message) -> None:
        """Hand over one message."""
        self._inbox.put(message)

    def receive(self) -> list[Message]:
        """What was heard; nothing any more from one that was left behind."""
        return [] if self._left else [self._outbox.popleft() for _ in range(len(self._outbox))]

    def ended(self) -> str | None:
        """Whether it ended or was left behind."""
        if self._left:
            return "left behind: a thread cannot be killed"
        return "its thread ended" if self._over or not self.thread.is_alive() else None

    def kill(self) -> None:
        """Leave it behind."""
        self._left = True
        self._inbox.put({"stop": True})

    def close(self) -> None:
        """Nothing is held."""

    def _loop(self) -> None:
        while "stop" not in (message := self._inbox.get()):
            self._say(self._work(message))
        self._over = True
        self._wake()

    def _work(self, message: Message) -> Message:
        task = CurrentTask(message["task"], message["count"])
        try:
            with working_on(task, lambda: self._say({"sign": task.id})):
                return {"done": task.id, "value": self._run(message["payload"])}
        except BaseException as error:
            return {"failed": task.id, "error": text_of(error)}

    def _say(self, message: Message) -> None:
        self._outbox.append(message)
        self._wake()

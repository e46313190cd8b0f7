"""A part of the drill as its parent sees it: told what to do, listened to, asked over HTTP, and always ended."""

from __future__ import annotations

import http.client
import math
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from selfheal.clock import SYSTEM_CLOCK

PROGRAM = Path(__file__).with_name("part.py")
PATIENCE = 30.0
"""Real seconds that one request may take."""

Listener = Callable[["Process", float, float, float], object]
"""Told who gave a sign of life: seconds of CPU that it used, its clock, the least share of a CPU that it had."""


class Process:
    """A real process.

    Args:
        name: its target in samples and alerts.

    Raises:
        RuntimeError: if it does not start.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._listener: threading.Thread | None = None
        # A group of its own: what a terminal sends to the drill is not sent to it, and if the drill is killed, the
        # kernel ends those members of the group that are stopped.
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            process_group=0,
        )
        assert self._process.stdout is not None
        up, _, port = self._process.stdout.readline().partition(" ")
        if up != "up":
            self.end()
            raise RuntimeError(f"{name} does not start: exit code {self._process.poll()}")
        self.pid, self.port = self._process.pid, int(port)

    def listen(self, on_beat: Listener) -> None:
        """Call ``on_beat`` at each sign of life."""
        self._listener = threading.Thread(target=self._listen, args=(on_beat,), daemon=True)
        self._listener.start()

    def tell(self, order: str) -> None:
        """Give an order."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")

    def stop(self) -> None:
        """Stop it as a terminal, a debugger or an operator does."""
        self._process.send_signal(signal.SIGSTOP)

    def end(self) -> None:
        """Kill it and wait until it is gone; the streams are closed."""
        self._process.kill()
        self._process.wait()
        if self._listener is not None:
            self._listener.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:  # an order that it did not live to read
                    continue

    def _listen(self, on_beat: Listener) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            word, *numbers = line.split()
            if word == "beat" and len(numbers) == 3:
                used, clock, least = map(float, numbers)
                on_beat(self, used, clock, least)


class Prober:
    """Asks one process over one connection, again and again, in a thread of its own.

    Args:
        process: who is asked.
        first: real seconds until the first request.
        every: real seconds from one request to the next, unless one takes longer.
        answered: called with the milliseconds that a request took; ``inf`` if it failed.
    """

    def __init__(
        self, process: Process, first: float, every: float, answered: Callable[[Process, float], object]
    ) -> None:
        self._process, self._first, self._every, self._answered = process, first, every, answered
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Ask no more; what is being asked is not waited for."""
        self._over.set()

    def join(self) -> None:
        """Wait until the last request is over; it is once the process is gone."""
        self._thread.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._process.port, timeout=PATIENCE)
        due = SYSTEM_CLOCK.monotonic() + self._first
        while not self._over.wait(max(due - SYSTEM_CLOCK.monotonic(), 0.0)):
            began = SYSTEM_CLOCK.monotonic()
            try:
                connection.request("GET", "/")
                connection.getresponse().read()
                took = 1000.0 * (SYSTEM_CLOCK.monotonic() - began)
            except (OSError, http.client.HTTPException):
                connection.close()
                took = math.inf
            if not self._over.is_set():
                self._answered(self._process, took)
            due = max(due + self._every, SYSTEM_CLOCK.monotonic())
        connection.close()

"""One process of the drill: it works, gives signs of life and answers requests, until it is told to misbehave.

A program of its own, which imports nothing but Python: ``python part.py``. It prints ``up <port>`` when it answers, and
then ``beat <seconds of CPU it used> <its clock> <least share>`` ten times a second: the least share of a CPU that it
had over any so many seconds since the beat before, ``inf`` where none are over. It reads orders, one a line:

``hog <seconds>`` / ``calm``   use all of one CPU, and see what it gets over any so many seconds / no more
``leak <bytes a second>``      keep that much more memory, page by page
``cache <bytes> <seconds>``    fill a cache that levels off: 63 % of it is full after so many seconds
``mute`` / ``speak``           give no sign of life / again
``slow <seconds>``             take so long for each request
``slow_once <seconds>``        take so long for the next request

It ends when nobody is there to give orders.
"""

from __future__ import annotations

import math
import os
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = 4096
BEAT = 0.1
"""Seconds from one sign of life to the next."""
POINT = 0.02
"""Seconds between two points at which a hog sees what it used, if it runs at all."""


class Part:
    """What it does now."""

    def __init__(self) -> None:
        self.hogging = threading.Event()
        self.over, self.least = 1.0, math.inf
        self.lock = threading.Lock()
        self.muted = False
        self.slow = self.slow_once = 0.0
        self.owed: Callable[[float], float] = lambda seconds: 0.0
        self.since = 0.0
        self.kept: list[bytes] = []

    def obey(self, order: str) -> None:
        """Do from now on what one line says."""
        word, *numbers = order.split()
        values = [float(number) for number in numbers]
        if word == "hog":
            self.over = values[0]
            self.hogging.set()
        elif word == "calm":
            self.hogging.clear()
        elif word in ("mute", "speak"):
            self.muted = word == "mute"
        elif word == "slow":
            self.slow = values[0]
        elif word == "slow_once":
            self.slow_once = values[0]
        elif word == "leak":
            self.fill(lambda seconds: values[0] * seconds)
        elif word == "cache":
            self.fill(lambda seconds: values[0] * (1.0 - math.exp(-seconds / values[1])))
        else:
            raise SystemExit(f"{word!r} is no order")

    def fill(self, owed: Callable[[float], float]) -> None:
        """Keep as many bytes more as are owed after so many seconds."""
        self.since, self.owed = time.monotonic(), owed

    def hog(self) -> None:
        """Use all of one CPU while told to."""
        while self.hogging.wait():
            points = deque([(time.monotonic(), time.process_time())])
            while self.hogging.is_set():
                for _ in range(10_000):
                    pass
                now, used = time.monotonic(), time.process_time()
                if now - points[-1][0] >= POINT:
                    points.append((now, used))
                    self.note(points)

    def note(self, points: deque[tuple[float, float]]) -> None:
        """Take the share of a CPU that it had since the latest of some points that is long enough ago, if one is."""
        now, used = points[-1]
        while now - points[1][0] >= self.over:
            points.popleft()
        then, used_then = points[0]
        if now - then >= self.over:
            with self.lock:
                self.least = min(self.least, (used - used_then) / (now - then))

    def noted(self) -> float:
        """The least share since this was asked before."""
        with self.lock:
            least, self.least = self.least, math.inf
        return least

    def work(self) -> None:
        """What it is there for: memory is taken and given back, and a sign of life given."""
        while True:
            held = b"x" * random.randrange(PAGE, 256 * PAGE)
            owes = int(self.owed(time.monotonic() - self.since) / PAGE) - len(self.kept)
            self.kept.extend(b"x" * PAGE for _ in range(owes))
            if not self.muted:
                print("beat", time.process_time(), time.monotonic(), self.noted(), flush=True)
            time.sleep(BEAT / 2.0)
            del held
            time.sleep(BEAT / 2.0)


class Server(ThreadingHTTPServer):
    """Answers on a free port of this machine."""

    daemon_threads = True

    def __init__(self, part: Part) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.part = part


class Handler(BaseHTTPRequestHandler):
    """One connection of a client, which asks again and again."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together
    server: Server

    def do_GET(self) -> None:
        """Answer, as slowly as it was told to."""
        part = self.server.part
        seconds, part.slow_once = max(part.slow, part.slow_once), 0.0
        if seconds:
            time.sleep(seconds)
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def main() -> None:
    """Run until standard input ends."""
    part = Part()
    server = Server(part)
    print("up", server.server_address[1], flush=True)
    for run in (part.hog, part.work, server.serve_forever):
        threading.Thread(target=run, daemon=True).start()
    for line in sys.stdin:
        part.obey(line)
    os._exit(0)


if __name__ == "__main__":
    main()

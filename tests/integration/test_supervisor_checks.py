"""Health checks against servers that answer well, badly, slowly, or not at all."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from selfheal.supervision.checking import Checker, Verdict, checkers
from selfheal.supervision.configs import CommandProbe, HttpProbe, TcpProbe
from tests.integration.supervising import LIMIT, sh

OK = b"HTTP/1.1 200 OK\r\n\r\n"


class Loop:
    """Waits for descriptors as the engine does."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()

    def watch(self, fd: int, kind: int, callback: Callable[[], None]) -> None:
        if fd in self.selector.get_map():
            self.selector.modify(fd, kind, callback)
        else:
            self.selector.register(fd, kind, callback)

    def unwatch(self, fd: int) -> None:
        if fd in self.selector.get_map():
            self.selector.unregister(fd)


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    assert len(made.selector.get_map()) == 0, "a check left a descriptor behind"
    made.selector.close()


def first_verdict(probe: HttpProbe | TcpProbe | CommandProbe, loop: Loop) -> Verdict:
    """Run a probe until it has a verdict."""
    verdicts: list[Verdict] = []
    told = [(probe, lambda generation, verdict: verdicts.append(verdict))]
    (checker,) = checkers(told, watcher=loop, beat=None, cwd=None, env=dict)  # type: ignore[arg-type]
    assert isinstance(checker, Checker)
    checker.start(1, time.monotonic())
    end = time.monotonic() + LIMIT
    while not verdicts and time.monotonic() < end:
        checker.turn(time.monotonic())
        if not verdicts:
            for key, _ in loop.selector.select(max(checker.due() - time.monotonic(), 0.001)):
                key.data()
    checker.stop()
    return verdicts[0]


@pytest.fixture
def server() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Starts servers that treat their first connection in a given way."""
    listening: list[socket.socket] = []

    def start(treat: Callable[[socket.socket], None]) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listening.append(listener)

        def serve() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    treat(connection)

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listening:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def drip(connection: socket.socket) -> None:
    """Answer well, a byte at a time."""
    for byte in OK:
        connection.send(bytes([byte]))
        time.sleep(0.002)


def silent(connection: socket.socket) -> None:
    """Hear the question, and say nothing until who asked has gone."""
    while connection.recv(4096):
        pass


def reset(connection: socket.socket) -> None:
    """Hear the question, and break the connection off."""
    connection.recv(4096)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.parametrize(
    ("treat", "verdict"),
    [
        (lambda c: c.sendall(OK), (True, "status 200")),
        (lambda c: c.sendall(b"HTTP/1.0 204 \r\n\r\n"), (True, "status 204")),
        (drip, (True, "status 200")),
        (lambda c: c.sendall(b"HTTP/1.1 302 Found\r\n\r\n"), (False, "status 302")),
        (lambda c: c.sendall(b"HTTP/1.1 503 No\r\n\r\n"), (False, "status 503")),
        (lambda c: c.sendall(b"HTTP/1.1 2000 Ha\r\n\r\n"), (False, "status 2000")),
        (lambda c: c.sendall(b"SSH-2.0-x\r\n"), (False, "an answer that is not HTTP")),
        (lambda c: c.sendall(b"x" * 10_000), (False, "an answer that is not HTTP")),
        (lambda c: c.sendall(b"HTTP/1.1 200"), (False, "an answer that is not HTTP")),
        (reset, (False, "connection reset by peer")),
        (silent, (False, "no answer within 0.3 s")),
    ],
    ids=["ok", "no content", "drip", "redirect", "unwell", "nonsense", "ssh", "flood", "half", "reset", "silence"],
)
def test_only_an_answer_of_2xx_in_time_is_well(
    loop: Loop,
    server: Callable[[Callable[[socket.socket], None]], int],
    treat: Callable[[socket.socket], None],
    verdict: Verdict,
) -> None:
    """Whatever a server does, the verdict comes in bounded time and says what was found."""

    def ask_first(connection: socket.socket) -> None:
        treat(connection)
        connection.recv(4096)

    port = server(ask_first)
    patience = 0.3 if treat is silent else LIMIT
    assert first_verdict(HttpProbe(url=f"http://127.0.0.1:{port}/x?y=1", timeout=patience), loop) == verdict


def test_the_request_is_one_that_servers_understand(
    loop: Loop, server: Callable[[Callable[[socket.socket], None]], int]
) -> None:
    """Path, query and host are those of the URL."""
    asked: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        asked.append(connection.recv(4096))
        connection.sendall(OK)

    port = server(answer)
    first_verdict(HttpProbe(url=f"http://localhost:{port}/health?deep=1"), loop)

    assert asked[0].startswith(f"GET /health?deep=1 HTTP/1.1\r\nHost: localhost:{port}\r\n".encode())
    assert b"\r\nConnection: close\r\n\r\n" in asked[0]


def test_nobody_listening_is_told_at_once(loop: Loop) -> None:
    """A refused connection is a bad check, not a wait."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

        assert first_verdict(TcpProbe(port=port, timeout=600.0), loop) == (False, "connection refused")


@pytest.mark.parametrize(
    ("script", "verdict"),
    [
        ("exit 0", (True, "exit code 0")),
        ("exit 2", (False, "exit code 2")),
        ("kill -KILL $$", (False, "killed by signal 9")),
        ("sleep 1000", (False, "no answer within 0.3 s")),
        ("sleep 1000 & exit 0", (True, "exit code 0")),
    ],
)
def test_a_command_says_by_its_exit_code(loop: Loop, script: str, verdict: Verdict) -> None:
    """Zero is well; what it leaves behind is killed."""
    patience = 0.3 if script == "sleep 1000" else LIMIT
    assert first_verdict(CommandProbe(command=sh(script), timeout=patience), loop) == verdict


def test_a_command_that_cannot_be_run_is_a_bad_check(loop: Loop) -> None:
    """A program that is gone is told, and nothing else happens."""
    assert first_verdict(CommandProbe(command=["/no/such/program"]), loop) == (False, "no such file or directory")

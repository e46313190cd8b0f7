"""Webhooks against a real server on this machine: what arrives, what is tried again, what never shows."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from selfheal.errors import NotifyError
from selfheal.events import Alert, EventBus, Severity
from selfheal.levers import Notification, Notifiers, WebhookNotifier

PATIENCE = 60.0
FULL = Notification(title="disk full", body="98 %", severity="critical", at=5.0)


class Receiver:
    """A server that answers as it is told and keeps what it got."""

    def __init__(self) -> None:
        self.answers: list[int | str] = []
        self.cut_off = threading.Event()
        self.got: list[tuple[str, str, dict[str, Any], str | None]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((self.command, self.path, json.loads(body), self.headers["Authorization"]))
                answer = receiver.answers.pop(0) if receiver.answers else 204
                if answer == "drip":
                    self.drip()
                elif answer == "hang up":
                    self.close_connection = True
                else:
                    self.send_response(int(answer))
                    if answer == 302:
                        self.send_header("Location", "/elsewhere")
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def do_GET(self) -> None:
                receiver.got.append((self.command, self.path, {}, None))
                self.send_response(200)
                self.end_headers()

            def drip(self) -> None:
                """Send a byte of a header now and then, until whoever waits for more has had enough."""
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while True:
                    try:
                        self.wfile.write(b"x")
                        self.wfile.flush()
                    except OSError:
                        receiver.cut_off.set()
                        return
                    time.sleep(0.05)

            def log_message(self, *args: object) -> None:
                """Be silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/SECRETPART?key=HIDDEN"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()


def without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    without_proxy(monkeypatch)
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()
    made.thread.join(10)


def test_it_arrives_as_json(receiver: Receiver) -> None:
    """One POST with the notification as JSON and the headers of the host."""
    WebhookNotifier(receiver.url, timeout=PATIENCE, headers={"Authorization": "Bearer abc"}).notify(FULL)

    assert receiver.got == [("POST", "/hook/SECRETPART?key=HIDDEN", FULL.as_dict(), "Bearer abc")]


@pytest.mark.parametrize("first", [500, 503, 429, "hang up"])
def test_what_may_pass_is_tried_again(receiver: Receiver, first: int | str) -> None:
    """A server error, a full inbox or a lost connection is tried again, within the attempts."""
    receiver.answers = [first, 200]
    WebhookNotifier(receiver.url, timeout=PATIENCE, backoff=0.0).notify(FULL)

    assert len(receiver.got) == 2


def test_attempts_are_bounded(receiver: Receiver) -> None:
    """After the last attempt it is an error that names the host and the answer, and nothing secret."""
    receiver.answers = [503] * 10
    with pytest.raises(NotifyError) as caught:
        WebhookNotifier(receiver.url, timeout=PATIENCE, attempts=3, backoff=0.0).notify(FULL)

    assert len(receiver.got) == 3
    assert "HTTP 503" in str(caught.value)
    assert "SECRETPART" not in repr(caught.value) + str(caught.value)


def test_a_refusal_is_final(receiver: Receiver) -> None:
    """An answer that says the request itself is wrong is not tried again."""
    receiver.answers = [404, 200]
    with pytest.raises(NotifyError, match="HTTP 404"):
        WebhookNotifier(receiver.url, timeout=PATIENCE).notify(FULL)
    assert len(receiver.got) == 1


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    """A receiver cannot send the notification elsewhere."""
    receiver.answers = [302]
    with pytest.raises(NotifyError, match="HTTP 302"):
        WebhookNotifier(receiver.url, timeout=PATIENCE).notify(FULL)
    assert [path for _, path, _, _ in receiver.got] == ["/hook/SECRETPART?key=HIDDEN"]


def test_an_answer_that_drips_is_cut_off(receiver: Receiver) -> None:
    """A server that sends a byte at a time holds nobody longer than the timeout of an attempt."""
    receiver.answers = ["drip"]
    with pytest.raises(NotifyError):
        WebhookNotifier(receiver.url, timeout=0.4, attempts=1).notify(FULL)
    assert receiver.cut_off.wait(60)


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that nobody listens on is an error without the address."""
    without_proxy(monkeypatch)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listened on, so that nobody else does
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/hook/SECRETPART?key=HIDDEN"
        with pytest.raises(NotifyError, match="ConnectionRefusedError") as caught:
            WebhookNotifier(url, attempts=2, backoff=0.0).notify(FULL)
    assert "SECRETPART" not in str(caught.value)


def test_through_the_bus_the_log_shows_no_secret(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """A failing webhook behind a bus is logged and counted, and its address stays out of the log."""
    receiver.answers = [404, 200]
    bus = EventBus()
    people = Notifiers({"ops": WebhookNotifier(receiver.url, timeout=PATIENCE)}, events=bus)
    with caplog.at_level(logging.DEBUG):
        (subscription,) = people.notify_on(bus)
        bus.publish(Alert(kind="oom", target="b", severity=Severity.CRITICAL))
        assert bus.drain(PATIENCE)
        bus.publish(Alert(kind="oom", target="b", severity=Severity.CRITICAL))
        assert bus.drain(PATIENCE)
    subscription.cancel()

    assert len(receiver.got) == 2
    assert people.snapshot()[0].failed == 1
    assert people.snapshot()[0].delivered == 1
    assert "HTTP 404" in caplog.text
    assert "SECRETPART" not in caplog.text

"""The upstream provider: a process of its own that sells summaries over HTTP to whoever has a key.

It checks the key of every call, computes a real summary, and can be made slow, failing, flaky or dead. ``slow`` and
``failing`` are kept in a file beside its keys, so that a restart does not cure them, as with a fault further upstream.
``flaky``, every other summary a 500, is a fault of the process, and gone with it.

    GET  /health                            is it there
    GET  /v1/keys/self   Authorization      is this key accepted
    POST /v1/summaries   Authorization      {"text": ..., "sentences": 3}
    POST /admin/fault    X-Admin-Token      {"mode": "none" | "slow" | "failing" | "flaky" | "dead", "seconds": 2.0}

Once it listens, its port stands in ``port.json`` beside its keys. With ``--end-with PID`` it ends by itself when that
process, which started it, is gone, however that died.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import itertools
import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from examples.reference_app.parent import when_gone
from examples.reference_app.summary import extract
from selfheal.supervision import heartbeat

ADMIN_TOKEN = "PROVIDER_ADMIN_TOKEN"
KEYS_FILE = "accepted_keys.sha256"
FAULT_FILE = "fault.json"
PORT_FILE = "port.json"
MODES = ("none", "slow", "failing", "flaky", "dead")
MAX_BODY = 2 * 1024 * 1024


class RefusedError(Exception):
    """A request that gets an error as its answer: HTTP status and text."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(status, error)
        self.status = status
        self.error = error


def hashed(key: str) -> str:
    """How a key is kept: its SHA-256, in hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_fault(directory: Path) -> tuple[str, float]:
    """The fault in force, as mode and seconds. Read on each request, so that it can be switched live."""
    try:
        told = json.loads((directory / FAULT_FILE).read_text())
    except FileNotFoundError:
        return "none", 0.0
    return str(told["mode"]), float(told.get("seconds", 0.0))


def write_fault(directory: Path, mode: str, seconds: float) -> None:
    """Put a fault in force."""
    _write(directory / FAULT_FILE, {"mode": mode, "seconds": seconds})


def _write(file: Path, content: dict[str, Any]) -> None:
    """Replace a file at once: it is never half written."""
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(json.dumps(content))
    fresh.replace(file)


class Provider(ThreadingHTTPServer):
    """The HTTP server.

    Args:
        directory: holds the accepted keys (hashed, one a line) and the fault in force.
        port: TCP port on 127.0.0.1; 0 takes a free one.
        admin_token: who has it may inject faults; empty: nobody may.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, directory: Path, port: int = 0, admin_token: str = "") -> None:
        self.directory = directory
        self.admin_token = admin_token
        self.pause = threading.Event()
        self.flaky = False
        self.turn = itertools.count()
        super().__init__(("127.0.0.1", port), _Handler)

    def service_actions(self) -> None:
        """A sign of life to the supervisor, if there is one: from the loop that does the work."""
        heartbeat()

    def accepts(self, key: str) -> bool:
        """Whether ``key`` is one of the keys sold. All are compared, in constant time each."""
        try:
            known = (self.directory / KEYS_FILE).read_text().split()
        except FileNotFoundError:
            return False
        given = hashed(key)
        matches = [hmac.compare_digest(given, one) for one in known]
        return any(matches)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Provider
    protocol_version = "HTTP/1.1"
    timeout = 15.0

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log what went wrong and nothing else, so that the log does not grow with the traffic."""
        if not isinstance(code, int) or code >= 400:
            super().log_request(code, size)

    def do_GET(self) -> None:
        self._answer({"/health": self._health, "/v1/keys/self": self._key_self})

    def do_POST(self) -> None:
        self._answer({"/v1/summaries": self._summaries, "/admin/fault": self._admin_fault})

    def _answer(self, routes: dict[str, Any]) -> None:
        route = routes.get(self.path)
        try:
            if route is None:
                raise RefusedError(404, f"no such call: {self.command} {self.path}")
            self._send(200, route())
        except RefusedError as refused:
            self._send(refused.status, {"error": refused.error})
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the caller gave up waiting: nobody is there to be told

    def _health(self) -> dict[str, Any]:
        self._suffer()
        return {"status": "ok", "pid": os.getpid()}

    def _key_self(self) -> dict[str, Any]:
        self._suffer()
        self._authorise()
        return {"key": "accepted"}

    def _summaries(self) -> dict[str, Any]:
        body = self._body()  # read first: an answer before the body is read would break the connection
        self._suffer()
        self._authorise()
        if self.server.flaky and next(self.server.turn) % 2 == 0:
            raise RefusedError(500, "something went wrong in here")
        try:
            made = extract(str(body.get("text", "")), int(body.get("sentences", 3)))
        except (ValueError, TypeError) as error:
            raise RefusedError(422, str(error)) from error
        return {"summary": made.text, "sentences": made.chosen, "of": made.total, "method": made.method}

    def _admin_fault(self) -> dict[str, Any]:
        body = self._body()
        expected = self.server.admin_token
        given = self.headers.get("X-Admin-Token", "")
        if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
            raise RefusedError(403, "faults need the admin token in X-Admin-Token")
        mode = str(body.get("mode", ""))
        if mode not in MODES:
            raise RefusedError(422, f"mode must be one of {', '.join(MODES)}, got {mode!r}")
        if mode == "dead":
            self._send(200, {"mode": mode})
            os._exit(1)
        self.server.flaky = mode == "flaky"
        write_fault(self.server.directory, "none" if self.server.flaky else mode, float(body.get("seconds", 0.0)))
        return {"mode": mode}

    def _suffer(self) -> None:
        mode, seconds = read_fault(self.server.directory)
        if mode == "slow":
            self.server.pause.wait(seconds)
        if mode == "failing":
            raise RefusedError(503, "the model behind this provider is not available")

    def _authorise(self) -> None:
        scheme, _, key = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not self.server.accepts(key.strip()):
            raise RefusedError(401, "unauthorized")

    def _body(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length", "0"))
        if not 0 < length <= MAX_BODY:
            self.close_connection = True
            raise RefusedError(413, f"a body of 1 to {MAX_BODY} bytes is needed, got {length}")
        try:
            body = json.loads(self.rfile.read(length))
        except ValueError as error:
            raise RefusedError(400, f"the body is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise RefusedError(400, "the body is not a JSON object")
        return body

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def end_with(server: Provider, parent: int) -> None:
    """Shut ``server`` down when process ``parent``, which started this one, is gone."""

    def end() -> None:
        server.pause.set()
        server.shutdown()

    when_gone(parent, end)


def main(argv: list[str] | None = None) -> int:
    """Serve until TERM comes, or the process of ``--end-with`` is gone."""
    parser = argparse.ArgumentParser(prog="provider", description="The summary provider of the reference app.")
    parser.add_argument("--dir", type=Path, required=True, help="holds the accepted keys and the fault in force")
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--end-with", type=int, metavar="PID", help="end when this process, its parent, is gone")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the app, which then ends this process
    with Provider(options.dir, options.port, os.environ.get(ADMIN_TOKEN, "")) as server:
        if options.end_with is not None:
            end_with(server, options.end_with)
        _write(options.dir / PORT_FILE, {"port": server.server_address[1], "pid": os.getpid()})
        server.serve_forever(poll_interval=0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main())

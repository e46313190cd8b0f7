"""One service behind real servers: real parts, real sockets on free ports."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import attrs
import uvicorn

from selfheal.events import EventBus
from selfheal.integrations.asgi import asgi_app
from selfheal.integrations.http import SteeringApi
from selfheal.integrations.wsgi import wsgi_app
from selfheal.policies.breaker import BreakerRegistry, CircuitBreaker
from selfheal.policies.dormancy import DormantController
from selfheal.status import StatusReport
from selfheal.status.steering import Steering
from selfheal.tasks import TaskRegistry

TOKEN = "write-token-0123456789"


@attrs.define
class Service:
    """A dormant service with a permanently open breaker and one task, and its API."""

    events: EventBus = attrs.field(factory=EventBus)
    checks: dict[str, Any] = attrs.field(factory=dict)
    sections: dict[str, Any] = attrs.field(factory=dict)
    dormancy: DormantController = attrs.field(init=False)
    breakers: BreakerRegistry = attrs.field(factory=BreakerRegistry)
    tasks: TaskRegistry = attrs.field(init=False)
    api: SteeringApi = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.dormancy = DormantController(events=self.events, checks=self.checks)
        self.dormancy.enter("worn out")
        CircuitBreaker("open ai/gpt", events=self.events, registry=self.breakers).trip_permanently("unauthorized")
        self.tasks = TaskRegistry(events=self.events)
        self.tasks.register_interval("detect", lambda: None, every=300)
        parts: dict[str, Any] = {"dormancy": self.dormancy, "breakers": self.breakers, "tasks": self.tasks}
        report = StatusReport(**parts, sections=self.sections)
        self.api = SteeringApi(report, Steering(**parts, events=self.events), token=TOKEN)


@contextlib.contextmanager
def under_uvicorn(service: Service, *, http: str = "h11", **options: Any) -> Iterator[int]:
    """Serve with uvicorn in a thread; yields the port, and leaves nothing running."""
    config = uvicorn.Config(
        asgi_app(service.api, **options), log_level="warning", lifespan="on", http=http, timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listening],), name="test-uvicorn")
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(60)
        listening.close()
        service.tasks.shutdown()
        assert not thread.is_alive()


class _Quiet(WSGIRequestHandler):
    timeout = 30.0

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not written to stderr."""


@contextlib.contextmanager
def under_wsgiref(service: Service) -> Iterator[int]:
    """Serve with the standard library's server in a thread; yields the port, and leaves nothing running."""
    server = make_server("127.0.0.1", 0, wsgi_app(service.api), handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="test-wsgiref")
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(60)
        server.server_close()
        service.tasks.shutdown()
        assert not thread.is_alive()


def talk(port: int, raw: bytes, *, then_close: bool = False, timeout: float = 60.0) -> bytes:
    """Send bytes as they are and read all that comes back; what no HTTP library would send."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.sendall(raw)
        if then_close:
            return b""
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65_536):
                received += piece
        return received

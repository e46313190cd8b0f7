"""The ASGI callable, spoken to message by message."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from selfheal.errors import ConfigError
from selfheal.integrations.asgi import asgi_app
from selfheal.integrations.http import Request, Response, SteeringApi
from selfheal.integrations.messages import respond_json

Message = dict[str, Any]


class Api:
    """Stands in for a :class:`SteeringApi`: echoes the request, or does what a test wants."""

    max_body = 100

    def __init__(self, answer: Callable[[Request], Response] | None = None) -> None:
        self.requests: list[Request] = []
        self._answer = answer

    def dispatch(self, request: Request) -> Response:
        self.requests.append(request)
        return self._answer(request) if self._answer else respond_json(200, {"path": request.path})


def _app(api: Any, **options: Any) -> Any:
    return asgi_app(api, **options)


def _scope(method: str = "GET", path: str = "/api/status", **more: Any) -> Message:
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [],
        "client": ("10.0.0.7", 1),
    }
    return {**scope, **more}


class Client:
    """The server's side of one request: what it hands over, and what it got."""

    def __init__(self, *messages: Message) -> None:
        self._messages = list(messages) or [{"type": "http.request", "body": b""}]
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if self._messages:
            return self._messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: Any) -> None:
        self.sent.append(dict(message))

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def json(self) -> Any:
        return json.loads(self.sent[1]["body"])


def _run(app: Callable[..., Awaitable[None]], scope: Message, client: Client) -> Client:
    asyncio.run(app(scope, client.receive, client.send))  # type: ignore[arg-type]
    return client


def test_a_request_is_answered() -> None:
    """A request arrives whole, and its answer is sent as start and body."""
    api = Api()
    scope = _scope(query_string=b"a=1", headers=[(b"Accept", b"x"), (b"X-Twice", b"1"), (b"x-twice", b"2")])
    client = _run(_app(api), scope, Client())

    assert (client.status, client.json) == (200, {"path": "/api/status"})
    assert [message["type"] for message in client.sent] == ["http.response.start", "http.response.body"]
    assert (b"content-type", b"application/json") in client.sent[0]["headers"]
    (request,) = api.requests
    assert (request.query, request.client, request.headers) == ("a=1", "10.0.0.7", {"accept": "x", "x-twice": "1, 2"})


@pytest.mark.parametrize(
    ("path", "root_path", "seen"),
    [
        ("/api/status", "", "/api/status"),
        ("/ops/api/status", "/ops", "/api/status"),
        ("/ops/api/status", "/ops/", "/api/status"),
        ("/ops", "/ops", "/"),
        ("/api/status", "/ops", "/api/status"),
        ("/opsy/api", "/ops", "/opsy/api"),
    ],
)
def test_the_mount_is_taken_off_the_path(path: str, root_path: str, seen: str) -> None:
    """The prefix of a mount is stripped whether or not the server left it in the path."""
    api = Api()
    _run(_app(api), _scope(path=path, root_path=root_path), Client())

    assert api.requests[0].path == seen


def test_a_body_in_pieces_is_put_together() -> None:
    """A chunked body arrives whole."""
    api = Api()
    pieces = [{"type": "http.request", "body": bytes([65 + n]), "more_body": n < 3} for n in range(4)]
    _run(_app(api), _scope("POST"), Client(*pieces))

    assert api.requests[0].body == b"ABCD"


def test_a_large_body_is_not_read_to_its_end() -> None:
    """Reading stops one byte beyond the limit, which is what tells the core."""
    api = Api()
    endless = [{"type": "http.request", "body": b"x" * 60, "more_body": True} for _ in range(1000)]
    client = Client(*endless)
    _run(_app(api), _scope("POST"), client)

    assert len(api.requests[0].body) == 101
    assert len(client._messages) == 998
    assert (b"connection", b"close") in client.sent[0]["headers"]


def test_a_slow_body_is_408() -> None:
    """A client that does not finish its body is told so after the deadline, and nothing is dispatched."""
    api = Api()
    client = _run(
        _app(api, body_timeout=0.05), _scope("POST"), Client({"type": "http.request", "body": b"{", "more_body": True})
    )

    assert client.status == 408
    assert client.json["error"]["code"] == "body_too_slow"
    assert api.requests == []


def test_a_client_that_leaves_is_no_error() -> None:
    """A disconnect while the body is read ends quietly, without a dispatch and without an answer."""
    api = Api()
    client = _run(_app(api), _scope("POST"), Client({"type": "http.disconnect"}))

    assert (client.sent, api.requests) == ([], [])


def test_a_client_that_leaves_before_the_answer_is_no_error() -> None:
    """A server that can no longer send is not an error of the application."""

    async def send(message: Any) -> None:
        raise OSError("gone")

    asyncio.run(_app(Api())(_scope(), Client().receive, send))


def test_lifespan_is_answered_and_starts_nothing() -> None:
    """Start-up and shut-down are acknowledged; no thread comes of it."""
    before = threading.active_count()
    client = _run(
        _app(Api()), {"type": "lifespan"}, Client({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    )

    assert [message["type"] for message in client.sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert threading.active_count() == before


def test_a_websocket_is_closed() -> None:
    """There is no websocket here, which is said at once."""
    client = _run(_app(Api()), {"type": "websocket"}, Client())

    assert client.sent == [{"type": "websocket.close", "code": 1000}]


def test_another_protocol_is_refused() -> None:
    """A scope that is none of the three known ones is an error of the server, said at once."""
    with pytest.raises(ConfigError, match="ASGI scope type"):
        _run(_app(Api()), {"type": "webtransport"}, Client())


def test_head_never_has_a_body_and_http_2_no_connection_header() -> None:
    """Answers that the adapter makes itself keep to the method and the version."""
    slow = {"type": "http.request", "body": b"{", "more_body": True}
    head = _run(_app(Api(), body_timeout=0.01), _scope("HEAD"), Client(slow))
    modern = _run(_app(Api(), body_timeout=0.01), _scope("POST", http_version="2"), Client(slow))

    assert (head.status, head.sent[1]["body"]) == (408, b"")
    assert (b"connection", b"close") in head.sent[0]["headers"]
    assert modern.status == 408
    assert b"connection" not in dict(modern.sent[0]["headers"])


def test_a_slow_dispatch_does_not_block_the_loop() -> None:
    """While a resume check takes its time, the loop goes on and other requests are answered."""
    go = threading.Event()

    def answer(request: Request) -> Response:
        if request.method == "POST":
            assert go.wait(10)
        return respond_json(200, {"method": request.method})

    async def main() -> list[str]:
        app, slow, quick = _app(Api(answer)), Client(), Client()
        waiting = asyncio.ensure_future(app(_scope("POST"), slow.receive, slow.send))
        await app(_scope(), quick.receive, quick.send)
        order = ["quick" if not waiting.done() else "slow"]
        go.set()
        await waiting
        return [*order, slow.json["method"], quick.json["method"]]

    assert asyncio.run(main()) == ["quick", "POST", "GET"]


def test_hanging_requests_are_bounded_and_leave_the_others_alone() -> None:
    """When as many reads hang as may be, further reads are 503, changes still work, and the slots come back."""
    go = threading.Event()

    def answer(request: Request) -> Response:
        if request.path == "/hang":
            assert go.wait(10)
        return respond_json(200, {})

    async def main() -> list[int]:
        app = _app(Api(answer), at_once=2)
        hanging = [Client() for _ in range(2)]
        waiting = [asyncio.ensure_future(app(_scope(path="/hang"), one.receive, one.send)) for one in hanging]
        await asyncio.sleep(0)
        statuses = []
        for method in ("GET", "POST"):
            client = Client()
            await app(_scope(method), client.receive, client.send)
            statuses.append(client.status)
        go.set()
        await asyncio.gather(*waiting)
        last = Client()
        await app(_scope(), last.receive, last.send)
        return [*statuses, last.status]

    assert asyncio.run(main()) == [503, 200, 200]


def test_a_cancelled_request_keeps_its_slot_until_its_thread_is_done() -> None:
    """A client that leaves while its request hangs does not make room for another hanging one."""
    go = threading.Event()

    def answer(request: Request) -> Response:
        if request.path == "/hang":
            assert go.wait(10)
        return respond_json(200, {})

    async def main() -> list[int]:
        app, statuses = _app(Api(answer), at_once=1), []
        leaving = asyncio.ensure_future(app(_scope(path="/hang"), Client().receive, Client().send))
        await asyncio.sleep(0.01)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        for _ in range(2):
            client = Client()
            await app(_scope(), client.receive, client.send)
            statuses.append(client.status)
            go.set()
            await asyncio.sleep(0.05)
        return statuses

    assert asyncio.run(main()) == [503, 200]


def test_a_loop_that_was_closed_meanwhile_is_no_error() -> None:
    """A thread that finishes after its loop is gone ends quietly, and does not hold the loop's end up."""
    go, done = threading.Event(), threading.Event()

    def answer(request: Request) -> Response:
        assert go.wait(10)
        done.set()
        return respond_json(200, {})

    async def main() -> None:
        asyncio.ensure_future(_app(Api(answer))(_scope(), Client().receive, Client().send))  # noqa: RUF006
        await asyncio.sleep(0.01)

    asyncio.run(main())
    go.set()
    assert done.wait(5)


@pytest.mark.parametrize(
    "options", [{"body_timeout": 0}, {"body_timeout": -1.0}, {"body_timeout": 1e9}, {"at_once": 0}]
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    """A deadline or a bound that bounds nothing is refused."""
    with pytest.raises(ConfigError, match="asgi_app"):
        _app(Api(), **options)


def test_it_takes_a_real_api() -> None:
    """The stand-in of these tests has what the application uses of the real one."""
    assert isinstance(Api.max_body, int)
    assert callable(SteeringApi.dispatch)

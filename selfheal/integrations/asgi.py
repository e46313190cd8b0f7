"""The API as an ASGI 3 application: under uvicorn, in a Starlette ``Mount`` or below ``FastAPI.mount``.

It starts nothing in ``lifespan`` (a mounted application gets none), and no request occupies the event loop:
requests are answered in threads, a bounded number at a time, reading and changing apart.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import attrs

from selfheal.errors import ConfigError
from selfheal.integrations.http import SteeringApi
from selfheal.integrations.messages import RefusedError, Request, Response

logger = logging.getLogger("selfheal.http")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


def asgi_app(api: SteeringApi, *, body_timeout: float = 10.0, at_once: int = 8) -> AsgiApp:
    """Make an ASGI application of ``api``.

    Args:
        api: what answers.
        body_timeout: seconds of real time that a client gets to send a body; later is answered 408.
        at_once: requests that are worked on at a time, reading ones and changing ones counted apart; more are
            answered 503. A section or a check that hangs can so use up no more threads than this.

    Raises:
        ConfigError: if ``body_timeout`` is not positive or ``at_once`` is less than 1.
    """
    if not 0 < body_timeout < 86_400:
        raise ConfigError("asgi_app.body_timeout", body_timeout, "more than 0 and less than 86400 s", "10.0")
    if at_once < 1:
        raise ConfigError("asgi_app.at_once", at_once, "an integer of 1 or more", "8")
    return _App(api, body_timeout, at_once)


class _GoneError(Exception):
    """The client went away: nobody is left to answer."""


class _App:
    """The application; its state is how many requests are worked on."""

    def __init__(self, api: SteeringApi, body_timeout: float, at_once: int) -> None:
        self._api = api
        self._body_timeout = body_timeout
        self._at_once = at_once
        self._lock = threading.Lock()
        self._busy = {"read": 0, "change": 0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise ConfigError("ASGI scope type", scope["type"], "http, lifespan or websocket")

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._answer(scope, receive)
            await _send(send, response.without_body() if scope["method"] == "HEAD" else response)
        except (_GoneError, OSError):
            logger.debug("the client went away: %s", scope.get("method"))

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        import asyncio

        try:
            async with asyncio.timeout(self._body_timeout):
                body = await _read(receive, self._api.max_body)
        except TimeoutError:
            message = f"The body did not arrive within {self._body_timeout:g} s."
            return _closing(_refused(408, "body_too_slow", message, "the same again"), scope)
        kind = "read" if scope["method"] in ("GET", "HEAD", "OPTIONS") else "change"
        if self._busy[kind] >= self._at_once:
            message = f"{self._at_once} requests are being worked on."
            return _refused(503, "busy", message, "the same again in 1 s", ("Retry-After", "1"))
        response = await self._in_thread(_request(scope, body), kind)
        # What was not read of the body must not be taken for the next request.
        return response if len(body) <= self._api.max_body else _closing(response, scope)

    async def _in_thread(self, request: Request, kind: str) -> Response:
        """Dispatch in a thread of its own: one of a pool would hold up the end of the process if it hung.

        The slot is given back when the thread is done, not when the client leaves.
        """
        import asyncio

        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Response] = loop.create_future()

        def answer(response: Response) -> None:
            if not answered.done():
                answered.set_result(response)

        def work() -> None:
            try:
                response = self._api.dispatch(request)
            finally:
                self._count(kind, -1)
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody is left to answer
                loop.call_soon_threadsafe(answer, response)

        self._count(kind, +1)
        try:
            threading.Thread(target=work, name="selfheal-http", daemon=True).start()
        except RuntimeError:
            self._count(kind, -1)
            message = "No thread can be started to work on the request."
            return _refused(503, "busy", message, "the same again in 1 s", ("Retry-After", "1"))
        return await answered

    def _count(self, kind: str, change: int) -> None:
        with self._lock:
            self._busy[kind] += change


def _closing(response: Response, scope: Mapping[str, Any]) -> Response:
    """Have an HTTP/1 connection closed; later versions have no such header and need none."""
    if not str(scope.get("http_version", "1.1")).startswith("1"):
        return response
    return attrs.evolve(response, headers=(*response.headers, ("Connection", "close")))


def _refused(status: int, code: str, message: str, send: str, *headers: tuple[str, str]) -> Response:
    return RefusedError(status, code, message, send=send, headers=headers).response()


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _read(receive: Receive, most: int) -> bytes:
    """Read the body, at most one byte more than ``most``: that one tells that it was too large."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        body += bytes(message.get("body", b""))
        if len(body) > most or not message.get("more_body", False):
            return body[: most + 1]


def _request(scope: Scope, body: bytes) -> Request:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    client = scope.get("client")
    return Request(
        method=scope["method"].upper(),
        path=_below(scope),
        query=scope.get("query_string", b"").decode("latin-1"),
        headers=headers,
        body=body,
        client=str(client[0]) if client else "",
    )


def _below(scope: Mapping[str, Any]) -> str:
    """The path below the mount. By the standard ``path`` holds ``root_path`` too; some servers leave it out."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    if root and (path == root or path.startswith(root + "/")):
        return path[len(root) :] or "/"
    return path


async def _send(send: Send, response: Response) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})

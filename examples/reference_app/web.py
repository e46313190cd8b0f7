"""The gateway over HTTP, as a plain ASGI application; every other path goes to selfheal's own surface."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs

from examples.reference_app.door import Door, TurnedAwayError
from examples.reference_app.gateway import Gateway, Reply
from examples.reference_app.request_log import NotKeptError
from examples.reference_app.upstream import DocumentRefusedError
from examples.reference_app.workers import NoLocalSummaryError
from selfheal.resources import Criticality

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]

MAX_BODY = 1024 * 1024
BODY_TIMEOUT = 15.0
AT_ONCE = 16
_ASKED = b"x-criticality"
_MAY_ASK = (Criticality.DEFAULT, Criticality.SHEDDABLE)
_USAGE = """selfheal reference app: summaries of documents

POST /summaries                  {"document": "name", "text": "...", "sentences": 3}
                                 X-Criticality: sheddable, for work that can wait for quieter times
GET  /api/status                 how the service is
POST /api/system/heal/resume     and the other steering calls: docs/how-to/operate.md
"""


class RefusedError(Exception):
    """A request that cannot be answered: HTTP status, what to send instead, and after how many seconds."""

    def __init__(self, status: int, error: str, retry_after: int | None = None) -> None:
        super().__init__(status, error, retry_after)
        self.status = status
        self.error = error
        self.retry_after = retry_after


@attrs.frozen(kw_only=True)
class Wanted:
    """A request for a summary, read and checked."""

    document: str
    text: str
    sentences: int


class Web:
    """The ASGI application.

    Args:
        gateway: answers ``POST /summaries``, in a worker thread: it blocks while the provider thinks. The
            threads are its own, so that a slow provider holds up no status call.
        door: lets requests for summaries in, or not. Status and steering calls do not pass it.
        steering: answers everything else.
    """

    def __init__(self, gateway: Gateway, door: Door, steering: AsgiApp) -> None:
        self._gateway = gateway
        self._door = door
        self._steering = steering
        self._workers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="gateway")

    def close(self) -> None:
        """Wait for the requests that are being worked on; no thread stays."""
        self._workers.shutdown(wait=True, cancel_futures=True)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] not in ("/", "/summaries"):
            await self._steering(scope, receive, send)
            return
        headers = []
        try:
            status, content, kind = await self._answer(scope, receive)
        except (RefusedError, TurnedAwayError) as refused:
            status, content, kind = refused.status, _json({"error": refused.error}), "application/json"
            if refused.retry_after is not None:
                headers = [(b"retry-after", str(refused.retry_after).encode())]
        headers += [(b"content-type", kind.encode()), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: Message, receive: Receive) -> tuple[int, bytes, str]:
        method = scope["method"]
        if scope["path"] == "/":
            if method not in ("GET", "HEAD"):
                raise RefusedError(405, "send GET")
            return 200, b"" if method == "HEAD" else _USAGE.encode(), "text/plain; charset=utf-8"
        if method != "POST":
            raise RefusedError(405, 'send POST with {"document": ..., "text": ...}')
        criticality, sender = _criticality(scope), str((scope.get("client") or ["unknown"])[0])
        async with self._door.enter(sender, criticality):
            reply = await self._summarise(read_request(await _body(receive)), criticality)
        return 200, _json(attrs.asdict(reply)), "application/json"

    async def _summarise(self, wanted: Wanted, criticality: Criticality) -> Reply:
        asked = (wanted.document, wanted.text, wanted.sentences, criticality)
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._workers, self._gateway.summarise, *asked)
        except DocumentRefusedError as error:
            raise RefusedError(422, str(error)) from error
        except (NoLocalSummaryError, NotKeptError) as error:
            raise RefusedError(503, str(error), retry_after=1) from error


def read_request(body: bytes) -> Wanted:
    """Read the body of ``POST /summaries``.

    Raises:
        RefusedError: if it is not a JSON object with a ``text`` that is not blank.
    """
    try:
        told = json.loads(body)
    except ValueError as error:
        raise RefusedError(400, f"the body is not JSON ({error}): send {{'text': ...}} as JSON") from error
    text = told.get("text") if isinstance(told, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise RefusedError(422, "send an object whose 'text' is the document, as text that is not blank")
    sentences = told.get("sentences", 3)
    if isinstance(sentences, bool) or not isinstance(sentences, int) or not 1 <= sentences <= 50:
        raise RefusedError(422, f"'sentences' is an integer from 1 to 50, got {sentences!r}")
    return Wanted(document=str(told.get("document", "unnamed"))[:200], text=text, sentences=sentences)


def _criticality(scope: Message) -> Criticality:
    """What the client says of its request. It may make itself less important than others, not more."""
    for name, value in scope["headers"]:
        if name == _ASKED:
            asked = value.decode("latin-1").strip().lower()
            if asked not in _MAY_ASK:
                raise RefusedError(422, f"X-Criticality is {' or '.join(_MAY_ASK)}, got {asked!r}")
            return Criticality(asked)
    return Criticality.DEFAULT


async def _body(receive: Receive) -> bytes:
    """Everything the client sends, up to a size and a time."""

    async def read() -> bytes:
        found = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RefusedError(400, "the client went away")
            found += message.get("body", b"")
            if len(found) > MAX_BODY:
                raise RefusedError(413, f"a document has at most {MAX_BODY} bytes, as JSON")
            more = message.get("more_body", False)
        return bytes(found)

    try:
        return await asyncio.wait_for(read(), BODY_TIMEOUT)
    except TimeoutError as error:
        raise RefusedError(408, f"the document did not arrive within {BODY_TIMEOUT:g} s") from error


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"

"""What clients may send to the gateway, and what they are told when they send something else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.reference_app.gateway import Gateway
from examples.reference_app.keys import VARIABLE, KeyPool
from examples.reference_app.request_log import RequestLog
from examples.reference_app.upstream import Upstream
from examples.reference_app.web import MAX_BODY, Message, Receive, RefusedError, Send, Web, read_request
from selfheal import CircuitBreaker, EventBus
from selfheal.policies.breaker import BreakerRegistry

TEXT = "The first sentence has enough words in it. The second one is about the provider and its keys."


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    """A web surface whose provider never runs, so that every summary is the local one."""
    log = RequestLog(tmp_path / "requests.sqlite")
    upstream = Upstream(lambda: None, KeyPool(tmp_path, {VARIABLE: "a"}))
    breaker = CircuitBreaker("provider", events=EventBus(), registry=BreakerRegistry())
    made = Web(Gateway(upstream, breaker, log), steering)
    yield made
    made.close()
    log.close()


async def steering(scope: Message, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b'{"from": "steering"}'})


def ask(web: Web, method: str, path: str, *pieces: bytes, gone: bool = False) -> tuple[int, Any]:
    """Send a request in pieces; give status and body."""
    sent: list[Message] = []
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.disconnect"} if gone else {"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(web({"type": "http", "method": method, "path": path, "headers": []}, receive, send))
    body = sent[1]["body"]
    assert sent[0]["status"] == 299 or (b"content-length", str(len(body)).encode()) in sent[0]["headers"]
    return sent[0]["status"], json.loads(body) if body[:1] == b"{" else body.decode()


def test_a_document_gets_a_summary(web: Web) -> None:
    """A body in pieces is put together, summarised in a worker thread, and answered as JSON."""
    body = json.dumps({"document": "d", "text": TEXT, "sentences": 1}).encode()

    status, reply = ask(web, "POST", "/summaries", body[:10], body[10:])

    assert status == 200
    assert reply == {
        "summary": "The first sentence has enough words in it.",
        "provider": "local",
        "degraded": True,
        "reason": "the provider does not run",
    }


def test_other_paths_go_to_the_steering_surface(web: Web) -> None:
    """The gateway takes two paths and nothing else."""
    assert ask(web, "GET", "/api/status") == (299, {"from": "steering"})
    assert ask(web, "GET", "/summaries/1") == (299, {"from": "steering"})


def test_the_front_page_says_what_there_is(web: Web) -> None:
    """Whoever opens the address is told the calls."""
    status, text = ask(web, "GET", "/")

    assert status == 200
    assert "POST /summaries" in text
    assert ask(web, "HEAD", "/") == (200, "")
    assert ask(web, "POST", "/")[0] == 405


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b"\xff", 400, "not JSON"),
        (b"[]", 422, "'text'"),
        (b'{"text": 1}', 422, "'text'"),
        (b'{"text": "  "}', 422, "'text'"),
        (b'{"text": "a", "sentences": 0}', 422, "'sentences'"),
        (b'{"text": "a", "sentences": true}', 422, "'sentences'"),
        (b'{"text": "a", "sentences": 51}', 422, "'sentences'"),
        (b"x" * (MAX_BODY + 1), 413, "at most"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_send(web: Web, body: bytes, status: int, told: str) -> None:
    """The status fits, and the error names what is wrong."""
    answered, reply = ask(web, "POST", "/summaries", body)

    assert answered == status
    assert told in reply["error"]


def test_only_post_makes_summaries(web: Web) -> None:
    """Another method is told the right one."""
    assert ask(web, "GET", "/summaries") == (405, {"error": 'send POST with {"document": ..., "text": ...}'})


def test_a_client_that_goes_away_is_not_worked_for(web: Web) -> None:
    """Half a document is never summarised."""
    assert ask(web, "POST", "/summaries", b'{"text": "A whole sen', gone=True)[0] == 400


def test_defaults_and_bounds_of_a_request() -> None:
    """Without a name and a number there are defaults; an endless name is cut."""
    wanted = read_request(b'{"text": "a"}')

    assert (wanted.document, wanted.sentences) == ("unnamed", 3)
    assert len(read_request(json.dumps({"text": "a", "document": "n" * 999}).encode()).document) == 200
    with pytest.raises(RefusedError):
        read_request(b"null")

"""What clients may send to the gateway, and what they are told when they send something else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.reference_app import door as the_door
from examples.reference_app.door import Door
from examples.reference_app.gateway import Gateway
from examples.reference_app.keys import VARIABLE, KeyPool
from examples.reference_app.request_log import RequestLog
from examples.reference_app.summary import lead
from examples.reference_app.upstream import Upstream
from examples.reference_app.web import MAX_BODY, Message, Receive, RefusedError, Send, Web, read_request
from examples.reference_app.workers import NoLocalSummaryError
from selfheal import CircuitBreaker, EventBus
from selfheal.policies.breaker import BreakerRegistry
from selfheal.resources import Criticality, ResourceBudget, Usage
from selfheal.testing import FakeClock

TEXT = "The first sentence has enough words in it. The second one is about the provider and its keys."


class Workers:
    """Local summaries, made here and now; or none."""

    broken = False

    def summarise(self, text: str, sentences: int, criticality: Criticality = Criticality.DEFAULT) -> str:
        if self.broken:
            raise NoLocalSummaryError("no worker made the summary within 5 s")
        return lead(text, sentences).text


class Surface:
    """A web surface whose provider never runs, so that every summary is the local one."""

    def __init__(self, directory: Path) -> None:
        self.events = EventBus()
        self.clock = FakeClock()
        self.log = RequestLog(directory / "requests.sqlite")
        self.workers = Workers()
        self.budget = ResourceBudget(clock=self.clock, events=self.events)
        self.door = Door(1000.0, 10.0, self.budget, self.events)
        upstream = Upstream(lambda: None, KeyPool(directory, {VARIABLE: "a"}))
        breaker = CircuitBreaker("provider", events=self.events, registry=BreakerRegistry())
        self.gateway = Gateway(upstream, breaker, self.workers, self.log, events=self.events)
        self.web = Web(self.gateway, self.door, steering)

    def close(self) -> None:
        self.web.close()
        self.gateway.close()
        self.log.close()


@pytest.fixture
def surface(tmp_path: Path) -> Iterator[Surface]:
    made = Surface(tmp_path)
    yield made
    made.close()


@pytest.fixture
def web(surface: Surface) -> Web:
    return surface.web


async def steering(scope: Message, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b'{"from": "steering"}'})


def ask(web: Web, method: str, path: str, *pieces: bytes, gone: bool = False, **headers: str) -> tuple[int, Any]:
    """Send a request in pieces; give status and body."""
    return asked(web, method, path, *pieces, gone=gone, **headers)[::2]


def asked(
    web: Web, method: str, path: str, *pieces: bytes, gone: bool = False, sender: str = "10.0.0.1", **headers: str
) -> tuple[int, dict[str, str], Any]:
    """The same; give status, headers and body."""
    sent: list[Message] = []
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.disconnect"} if gone else {"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": given, "client": (sender, 4000)}
    asyncio.run(web(scope, receive, send))
    body = sent[1]["body"]
    assert sent[0]["status"] == 299 or (b"content-length", str(len(body)).encode()) in sent[0]["headers"]
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, json.loads(body) if body[:1] == b"{" else body.decode()


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
        "id": 1,
    }


def test_what_cannot_be_kept_is_not_acknowledged(surface: Surface, tmp_path: Path) -> None:
    """With the database gone a client gets no summary, but why, and when to ask again."""
    (tmp_path / "requests.sqlite").unlink()

    status, headers, told = asked(surface.web, "POST", "/summaries", json.dumps({"text": TEXT}).encode())

    assert (status, headers["retry-after"]) == (503, "1")
    assert told["error"] == "the request log keeps nothing: requests.sqlite was removed or replaced"


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


BODY = json.dumps({"document": "d", "text": TEXT, "sentences": 1}).encode()


def test_who_comes_too_often_is_told_when_to_come_again(surface: Surface) -> None:
    """429 with Retry-After, for that sender alone."""
    surface.door.limiter.set_rate(0.1, 2)
    first = [asked(surface.web, "POST", "/summaries", BODY)[0] for _ in range(2)]

    status, headers, body = asked(surface.web, "POST", "/summaries", BODY)

    assert first == [200, 200]
    assert (status, headers["retry-after"]) == (429, "10")
    assert body == {"error": "more than 0.1 requests a second from 10.0.0.1"}
    assert asked(surface.web, "POST", "/summaries", BODY, sender="10.0.0.2")[0] == 200
    assert surface.door.section()["tooOften"] == 1


def test_a_full_house_sheds_what_can_wait_first(surface: Surface, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 85 % of the room taken, sheddable requests get 503 and Retry-After, and the others their summary."""
    monkeypatch.setattr(surface.door, "_inside", round(0.85 * the_door.ROOM + 0.5))

    status, headers, _ = asked(surface.web, "POST", "/summaries", BODY, x_criticality="sheddable")

    assert (status, headers["retry-after"]) == (503, "1")
    assert surface.door.section()["shed"]["sheddable"] == 1
    surface.door._inside = the_door.ROOM // 2
    assert asked(surface.web, "POST", "/summaries", BODY, x_criticality="sheddable")[0] == 200


def test_over_the_budget_what_can_wait_is_refused(surface: Surface) -> None:
    """At SHED sheddable requests are turned away at once; status calls never are."""
    for _ in range(60):
        surface.budget.observe(Usage(cpu=99.0, memory=40.0))
        surface.clock.advance(1.0)
    assert surface.budget.level == "SHED"

    status, headers, body = asked(surface.web, "POST", "/summaries", BODY, x_criticality="sheddable")

    assert status == 503
    assert int(headers["retry-after"]) >= 1
    assert "is at SHED" in body["error"]
    assert ask(surface.web, "GET", "/api/status")[0] == 299


@pytest.mark.parametrize("asked_for", ["critical", "urgent"])
def test_nobody_makes_himself_important(surface: Surface, asked_for: str) -> None:
    """A client may say that its request can wait, and no more."""
    status, body = ask(surface.web, "POST", "/summaries", BODY, x_criticality=asked_for)

    assert status == 422
    assert body == {"error": f"X-Criticality is default or sheddable, got {asked_for!r}"}


def test_without_any_summary_the_client_is_told_to_come_again(surface: Surface) -> None:
    """Neither provider nor workers: 503 with Retry-After."""
    surface.workers.broken = True

    status, headers, body = asked(surface.web, "POST", "/summaries", BODY)

    assert (status, headers["retry-after"]) == (503, "1")
    assert "no worker made the summary" in body["error"]


def test_whoever_leaves_makes_room(surface: Surface) -> None:
    """Answered, refused or gone: nobody is inside afterwards."""
    ask(surface.web, "POST", "/summaries", BODY)
    ask(surface.web, "POST", "/summaries", b"{")
    ask(surface.web, "POST", "/summaries", b'{"text": "A wh', gone=True)

    assert surface.door.section()["inside"] == 0

"""Whatever is sent, the core answers, and never with 500."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.events import EventBus
from selfheal.integrations.http import Request, SteeringApi
from selfheal.policies.breaker import BreakerRegistry, CircuitBreaker
from selfheal.policies.dormancy import DormantController
from selfheal.status import StatusReport
from selfheal.status.steering import Steering
from selfheal.tasks import TaskRegistry
from selfheal.testing import FakeClock

TOKEN = "write-token-0123456789"


def _api(clock: FakeClock) -> SteeringApi:
    events, breakers = EventBus(), BreakerRegistry()
    CircuitBreaker("payments", clock=clock, events=events, registry=breakers).trip_permanently("unauthorized")
    dormancy = DormantController(clock=clock, events=events)
    dormancy.enter("worn out")
    tasks = TaskRegistry(clock=clock, events=events, start=False)
    tasks.register_interval("detect", lambda: None, every=300)
    parts: dict[str, Any] = {"dormancy": dormancy, "breakers": breakers, "tasks": tasks, "clock": clock}
    report = StatusReport(**parts, section_timeout=None, sections={"host": lambda: {"apiKey": "k"}})
    return SteeringApi(report, Steering(**parts, events=events), token=TOKEN, clock=clock)


_WORDS = ["api", "status", "breakers", "tasks", "system", "heal", "resume", "reset", "pause", "unregister", "cleanup"]
_NAMES = ["audit", "healthz", "payments", "detect", "", "..", "%2e", "a b"]
_segments = st.sampled_from([*_WORDS, *_NAMES]) | st.text(max_size=8)
_paths = st.lists(_segments, max_size=6).map(lambda parts: "/" + "/".join(parts)) | st.text(max_size=20)
_queries = st.sampled_from(["", "format=markdown", "format=json", "fail_on=critical", "format=%ff", "&&&=;"]) | st.text(
    max_size=30
)
_fields = st.dictionaries(
    st.sampled_from(["reason", "by", "force"]) | st.text(max_size=6),
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.lists(st.integers(), max_size=2),
    max_size=4,
)
_bodies = (
    _fields.map(lambda fields: json.dumps(fields).encode())
    | st.binary(max_size=60)
    | st.sampled_from(
        [b"", b"{}", b'{"reason": "fixed"}', b'{"reason": "fixed", "force": true}', b"[" * 9000, b" " * 20_000]
    )
)
_headers = st.fixed_dictionaries(
    {},
    optional={
        "Authorization": st.sampled_from([f"Bearer {TOKEN}", "Bearer x", "Basic abc", "bearer"]) | st.text(max_size=20),
        "Content-Type": st.sampled_from(["application/json", "application/json; charset=utf-8", "text/plain"])
        | st.text(max_size=10),
        "Accept": st.sampled_from(["*/*", "text/markdown", "text/markdown;q=0.1;q=x, application/json"])
        | st.text(max_size=20),
        "X-Whatever": st.text(max_size=10),
    },
)
_requests = st.builds(
    Request,
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", ""])
    | st.text(max_size=8),
    path=_paths,
    query=_queries,
    headers=_headers,
    body=_bodies,
    client=st.sampled_from(["", "10.0.0.1"]) | st.text(max_size=8),
)


@settings(max_examples=300)
@given(st.lists(st.tuples(_requests, st.floats(0, 90)), min_size=1, max_size=8))
def test_dispatch_never_raises_and_never_answers_500(requests: list[tuple[Request, float]]) -> None:
    """Any sequence of requests gets answers that a server can send: a known status, sound headers, an error as JSON."""
    clock = FakeClock()
    api = _api(clock)
    for request, wait in requests:
        response = api.dispatch(request)
        clock.advance(wait)

        assert response.status in {200, 204, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 503}
        assert response.status != 503 or request.path.startswith("/healthz")
        for name, value in response.headers:
            assert f"{name}{value}".isascii()
            assert f"{name}{value}".isprintable()
        assert TOKEN.encode() not in response.body
        if request.method == "HEAD" or response.status == 204:
            assert response.body == b""
        elif response.status >= 400:
            assert {"code", "message"} <= set(response.json()["error"]) or request.path.startswith("/healthz")


@given(_requests)
def test_only_the_token_changes_anything(request: Request) -> None:
    """No request without the right token changes the service, whatever else it holds."""
    clock = FakeClock()
    api = _api(clock)
    if request.headers.get("authorization", "").strip().lower() == f"bearer {TOKEN}":
        return
    before = api.dispatch(Request(path="/api/status")).body
    api.dispatch(request)

    assert api.dispatch(Request(path="/api/status")).body == before

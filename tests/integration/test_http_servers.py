"""Real HTTP, over sockets, through uvicorn (with both of its parsers) and the standard library's WSGI server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.http_service import TOKEN, Service, talk, under_uvicorn, under_wsgiref

AUTH = {"Authorization": f"Bearer {TOKEN}"}
SERVERS = ["h11", "httptools", "wsgiref"]


def _serve(server: str, service: Service) -> Any:
    return under_wsgiref(service) if server == "wsgiref" else under_uvicorn(service, http=server)


@pytest.fixture(params=SERVERS)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Service, int]]:
    """A dormant service behind a real server, and its port."""
    if request.param == "httptools":
        pytest.importorskip("httptools")
    service = Service()
    with _serve(request.param, service) as port:
        yield service, port


def _client(port: int) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)


def test_an_operator_brings_the_service_back(served: tuple[Service, int]) -> None:
    """Status, resume, breaker reset, tasks, audit: the whole way from critical to healthy over the wire."""
    _, port = served
    with _client(port) as client:
        before = client.get("/api/status").json()
        assert before["status"] == "critical"
        assert before["dormancy"]["reason"] == "worn out"
        assert client.get("/healthz").status_code == 200
        assert client.get("/healthz?fail_on=critical").status_code == 503
        assert client.post("/api/system/heal/resume", json={"reason": "x"}).status_code == 401

        resumed = client.post("/api/system/heal/resume", json={"reason": "key renewed", "by": "maria"}, headers=AUTH)
        assert resumed.json()["resumed"] is True
        path = "/api/breakers/open%20ai%2Fgpt/reset"
        refused = client.post(path, json={"reason": "key renewed"}, headers=AUTH)
        assert refused.status_code == 409
        assert client.post(path, json=refused.json()["error"]["send"], headers=AUTH).json()["state"] == "CLOSED"
        assert client.post("/api/tasks/detect/pause", headers=AUTH).json()["paused"] is True
        assert client.post("/api/tasks/detect/resume", headers=AUTH).json()["resumed"] is True

        after = client.get("/api/status").json()
        assert (after["status"], after["issues"]) == ("healthy", [])
        assert "Status: HEALTHY" in client.get("/api/status", headers={"Accept": "text/markdown"}).text
        audit = client.get("/api/audit", headers=AUTH).json()["audit"]
        assert [entry["allowed"] for entry in audit] == [False, True, False, True, True, True]
        assert audit[1]["who"] == "maria (http 127.0.0.1)"


def test_head_and_options_over_the_wire(served: tuple[Service, int]) -> None:
    """HEAD keeps the connection in step, and OPTIONS has no body."""
    _, port = served
    with _client(port) as client:
        head = client.head("/api/breakers")
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) > 100
        options = client.options("/api/system/heal/resume")
        assert (options.status_code, options.headers["allow"]) == (204, "POST, OPTIONS")
        assert client.get("/healthz").status_code == 200


def test_a_large_body_is_413_and_the_server_goes_on(served: tuple[Service, int]) -> None:
    """A body of a megabyte is refused without being read whole."""
    service, port = served
    with _client(port) as client:
        try:
            response = client.post(
                "/api/system/heal/resume",
                content=b"x" * 1_000_000,
                headers={**AUTH, "Content-Type": "application/json"},
            )
            assert response.status_code == 413
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            pass  # the server had answered and closed before everything was written, or its answer was read
    with _client(port) as client:
        assert client.get("/healthz").status_code == 200
    assert service.dormancy.is_dormant


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /api/status HTTP/9.9\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /api/tasks/pause HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\nConnection: close\r\n\r\n",
        b"POST /api/tasks/pause HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\nConnection: close\r\n\r\n",
        b"GET /%zz%ff%00/../api HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /api/status HTTP/1.1\r\nHost: x\r\nAuthorization: \xff\xfe\r\nConnection: close\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"\x00\x01\x02\x03\r\n\r\n",
    ],
)
def test_malformed_requests_are_answered_or_dropped_and_change_nothing(served: tuple[Service, int], raw: bytes) -> None:
    """Whatever bytes arrive, nothing is answered 500, nothing changes, and the next request is served."""
    service, port = served
    answer = talk(port, raw)

    # A status line of 500 would be the API's own; servers answer 400 or 505, or just close.
    assert not answer.startswith((b"HTTP/1.1 500", b"HTTP/1.0 500"))
    with _client(port) as client:
        assert client.get("/healthz").status_code == 200
    assert all(task.enabled for task in service.tasks.snapshot().tasks)


def test_a_client_that_leaves_in_the_middle_is_survived(served: tuple[Service, int]) -> None:
    """A connection that ends within a body changes nothing and holds nothing up."""
    service, port = served
    head = f"POST /api/system/heal/resume HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    talk(port, head.encode() + b'Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{"re', then_close=True)

    with _client(port) as client:
        assert client.get("/healthz").status_code == 200
    assert service.dormancy.is_dormant


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_a_chunked_body_over_uvicorn(http: str) -> None:
    """A body in chunks is read as one."""
    pytest.importorskip(http)
    service = Service()

    def chunks() -> Iterator[bytes]:
        yield b'{"reason": '
        yield b'"key renewed"}'

    with under_uvicorn(service, http=http) as port, _client(port) as client:
        headers = {**AUTH, "Content-Type": "application/json"}
        response = client.post("/api/system/heal/resume", content=chunks(), headers=headers)

    assert response.json()["resumed"] is True


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_a_slow_client_is_408_over_uvicorn(http: str) -> None:
    """A client that dribbles its body is cut off at the deadline, while others are served."""
    pytest.importorskip(http)
    service = Service()
    with under_uvicorn(service, http=http, body_timeout=0.3) as port:
        head = f"POST /api/system/heal/resume HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        answer = talk(port, head.encode() + b'Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{"re')

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"body_too_slow" in answer
    assert service.dormancy.is_dormant


def test_a_slow_resume_check_holds_nobody_else_up() -> None:
    """While one resume waits for its check, the status is still served."""
    go, asked = threading.Event(), threading.Event()

    def check() -> None:
        asked.set()
        assert go.wait(60)

    service = Service(checks={"upstream": check})
    with under_uvicorn(service) as port:
        answers: list[int] = []

        def resume() -> None:
            with _client(port) as client:
                response = client.post("/api/system/heal/resume", json={"reason": "x"}, headers=AUTH)
                answers.append(response.status_code)

        waiting = threading.Thread(target=resume)
        waiting.start()
        try:
            assert asked.wait(60)
            with _client(port) as client:
                assert client.get("/api/status").json()["status"] == "critical"
        finally:
            go.set()
            waiting.join(60)

    assert answers == [200]
    assert not service.dormancy.is_dormant


def test_a_hanging_section_delays_no_more_than_its_deadline() -> None:
    """A host section that hangs is shown as an error, and the status still comes; no thread holds up the end."""
    go = threading.Event()

    def hangs() -> dict[str, Any]:
        go.wait(60)
        return {}

    service = Service(sections={"database": hangs})
    with under_uvicorn(service) as port, _client(port) as client:
        try:
            found = client.get("/api/status").json()
        finally:
            go.set()

    assert "no answer within 2 s" in found["database"]["error"]
    assert found["dormancy"]["reason"] == "worn out"


def test_many_clients_at_once(served: tuple[Service, int]) -> None:
    """Concurrent readers and writers all get an answer, and each change is audited exactly once."""
    _, port = served
    statuses: list[int] = []

    def work(number: int) -> None:
        with _client(port) as client:
            for _ in range(5):
                response = client.get("/api/breakers") if number % 2 else client.post("/api/tasks/pause", headers=AUTH)
                statuses.append(response.status_code)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)

    assert len(statuses) == 40
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= 30
    with _client(port) as client:
        audit = client.get("/api/audit", headers=AUTH).json()["audit"]
    assert len(audit) == sum(1 for entry in audit if entry["what"] == "tasks.pause") <= 20

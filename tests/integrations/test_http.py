"""The framework-free core: every route, every refusal."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from selfheal.errors import ConfigError, StateError
from selfheal.events import ActionAudited, EventBus
from selfheal.integrations.http import Request, Response, SteeringApi
from selfheal.integrations.messages import SECURITY_HEADERS
from selfheal.policies.breaker import BreakerRegistry, CircuitBreaker
from selfheal.policies.dormancy import DormantController
from selfheal.status import StatusReport
from selfheal.status.steering import Steering
from selfheal.tasks import TaskRegistry
from selfheal.testing import FakeClock

TOKEN = "write-token-0123456789"
READ = "read-token-0123456789"


@attrs.define
class Service:
    """A service with real parts behind an API on a virtual clock."""

    clock: FakeClock = attrs.field(factory=FakeClock)
    events: EventBus = attrs.field(factory=EventBus)
    key_works: bool = True
    options: dict[str, Any] = attrs.field(factory=dict)
    published: list[ActionAudited] = attrs.field(factory=list)
    dormancy: DormantController = attrs.field(init=False)
    breakers: BreakerRegistry = attrs.field(factory=BreakerRegistry)
    tasks: TaskRegistry = attrs.field(init=False)
    api: SteeringApi = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.events.subscribe(self.published.append, ActionAudited, inline=True)
        checks = {"key": lambda: None if self.key_works else "no active key"}
        self.dormancy = DormantController(clock=self.clock, events=self.events, checks=checks)
        for name in ("payments", "open ai/gpt"):
            CircuitBreaker(name, clock=self.clock, events=self.events, registry=self.breakers)
        self.tasks = TaskRegistry(clock=self.clock, events=self.events, start=False)
        for task_id in ("detect", "a/b c"):
            self.tasks.register_interval(task_id, lambda: None, every=300)
        parts: dict[str, Any] = {
            "dormancy": self.dormancy,
            "breakers": self.breakers,
            "tasks": self.tasks,
            "clock": self.clock,
        }
        report = StatusReport(**parts, section_timeout=None)
        steering = Steering(**parts, events=self.events)
        self.api = SteeringApi(report, steering, **{"token": TOKEN, "clock": self.clock, **self.options})

    def get(self, path: str, query: str = "", **headers: str) -> Response:
        """Ask for something, without a token."""
        return self.api.dispatch(Request(path=path, query=query, headers=headers, client="10.0.0.7"))

    def post(self, path: str, body: Any = None, **changes: Any) -> Response:
        """Change something as who may, unless ``changes`` say otherwise; a body of bytes is sent as it is."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        request = Request(method="POST", path=path, headers=headers, body=raw, client="10.0.0.7")
        return self.api.dispatch(attrs.evolve(request, **changes))


@pytest.fixture
def service() -> Iterator[Service]:
    """A service at rest."""
    made = Service()
    yield made
    made.tasks.shutdown()


def _error(response: Response) -> dict[str, Any]:
    found = response.json()
    assert set(found) == {"error"}
    assert found["error"]["code"]
    assert found["error"]["message"]
    error: dict[str, Any] = found["error"]
    return error


# --- reading


def test_the_status_is_json(service: Service) -> None:
    """The status answers 200 with the report, whatever the state of the service."""
    service.dormancy.enter("worn out")
    response = service.get("/api/status")

    assert response.status == 200
    assert response.header("content-type") == "application/json"
    assert response.json()["status"] == "critical"
    assert response.json()["selfHealing"]["dormantReason"] == "worn out"


@pytest.mark.parametrize(
    ("query", "accept", "markdown"),
    [
        ("", "", False),
        ("", "*/*", False),
        ("", "text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("", "text/markdown", True),
        ("", "text/markdown, application/json;q=0.5", True),
        ("", "text/markdown;q=0.5, application/json", False),
        ("", "text/markdown;q=0", False),
        ("", "text/markdown;q=x", False),
        ("format=markdown", "", True),
        ("format=markdown", "application/json", True),
        ("format=json", "text/markdown", False),
    ],
)
def test_markdown_on_request(service: Service, query: str, accept: str, markdown: bool) -> None:
    """The query decides the format, else the Accept header, else it is JSON."""
    response = service.get("/api/status", query, Accept=accept)

    assert response.status == 200
    assert (response.header("content-type") == "text/markdown; charset=utf-8") is markdown
    assert response.body.decode().startswith("# ") is markdown


@pytest.mark.parametrize("query", ["format=xml", "format=", "&".join("a=1" for _ in range(30))])
def test_a_query_that_cannot_be_answered_is_400(service: Service, query: str) -> None:
    """An unknown format and an endless query are refused with what to send."""
    response = service.get("/api/status", query)

    assert response.status == 400
    assert _error(response)["send"]


def test_breakers_are_listed(service: Service) -> None:
    """Each breaker is there with its five keys and its details."""
    found = service.get("/api/breakers").json()

    assert [one["name"] for one in found["circuitBreakers"]] == ["open ai/gpt", "payments"]
    assert found["circuitBreakerDetails"]["payments"]["rejected"] == 0


def test_tasks_are_listed_and_single_ones_shown(service: Service) -> None:
    """The list has all tasks; one is found by its id, even one with a slash and a blank."""
    found = service.get("/api/tasks").json()

    assert [one["id"] for one in found["backgroundTasks"]["tasks"]] == ["detect", "a/b c"]
    assert service.get("/api/tasks/a/b c").json()["id"] == "a/b c"
    assert service.get("/api/tasks/detect").json()["details"]["nextIn"] == 300_000


def test_an_unknown_task_is_404_with_those_there_are(service: Service) -> None:
    """A wrong id is answered with the right ones."""
    response = service.get("/api/tasks/detekt")

    assert response.status == 404
    assert _error(response)["known"] == ["a/b c", "detect"]


@pytest.mark.parametrize(
    "path", ["/", "", "/api", "/api/statuses", "//api/status", "/API/STATUS", "/api/breakers/x", "/healthz/x", "/\x00"]
)
def test_an_unknown_path_is_404_with_the_paths_there_are(service: Service, path: str) -> None:
    """A wrong path is answered with everything that can be asked."""
    response = service.get(path)

    assert response.status == 404
    assert "GET /api/status" in _error(response)["known"]
    assert "POST /api/system/heal/resume" in _error(response)["known"]


def test_a_trailing_slash_does_not_matter(service: Service) -> None:
    """One slash at the end of a path is the same path."""
    assert service.get("/api/status/").status == 200
    assert service.post("/api/system/heal/resume/", {"reason": "x"}).status == 200


def test_head_is_get_without_the_body(service: Service) -> None:
    """HEAD has the headers of GET, the length included, and no body."""
    request = Request(method="HEAD", path="/api/breakers")
    head, get = service.api.dispatch(request), service.get("/api/breakers")

    assert head.body == b""
    assert head.headers == get.headers
    assert service.api.dispatch(Request(method="HEAD", path="/nothing")).body == b""


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/api/status", "GET, HEAD, OPTIONS"),
        ("/api/system/heal/resume", "POST, OPTIONS"),
        ("/api/tasks/pause", "POST, OPTIONS"),
        ("/api/tasks/detect/pause", "POST, OPTIONS"),
    ],
)
def test_methods_are_told(service: Service, path: str, allow: str) -> None:
    """OPTIONS tells the methods of a path, and a wrong method is 405 with the same."""
    options = service.api.dispatch(Request(method="OPTIONS", path=path))
    wrong = service.api.dispatch(Request(method="DELETE", path=path))

    assert (options.status, options.body, options.header("allow")) == (204, b"", allow)
    assert options.header("content-length") is None
    assert (wrong.status, wrong.header("allow")) == (405, allow)
    assert _error(wrong)["send"] == allow


def test_getting_a_mutation_is_405(service: Service) -> None:
    """A mutation cannot be triggered by following a link."""
    for path in ("/api/tasks/detect/pause", "/api/breakers/payments/reset", "/api/system/heal/resume"):
        assert service.get(path).status == 405
    assert service.published == []


@pytest.mark.parametrize(
    "request_", [Request(path="/api/status"), Request(path="/x"), Request(method="POST", path="/api/tasks/pause")]
)
def test_every_response_has_the_security_headers(service: Service, request_: Request) -> None:
    """Answers and refusals alike are not cached, not sniffed, not framed."""
    response = service.api.dispatch(request_)

    assert set(SECURITY_HEADERS) <= set(response.headers)
    assert response.header("content-length") == str(len(response.body))


# --- liveness


def test_healthz_answers_200_even_when_dormant(service: Service) -> None:
    """Liveness does not fail for a dormant service: it still serves, and a restart would not help it."""
    service.dormancy.enter("worn out")
    response = service.get("/healthz")

    assert (response.status, response.json()) == (200, {"status": "critical"})


@pytest.mark.parametrize(
    ("level", "fail_on", "status"),
    [
        ("healthy", "critical", 200),
        ("healthy", "warning", 200),
        ("warning", "critical", 200),
        ("warning", "warning", 503),
        ("critical", "critical", 503),
        ("critical", "warning", 503),
    ],
)
def test_healthz_fails_on_demand(service: Service, level: str, fail_on: str, status: int) -> None:
    """A monitor that sees only status codes can ask for 503."""
    if level != "healthy":
        service.breakers.get("payments").trip("down")
    if level == "critical":
        service.dormancy.enter("worn out")

    assert service.get("/healthz", f"fail_on={fail_on}").status == status
    assert service.get("/healthz", "fail_on=never").status == 400


# --- changing


def test_resume_over_http(service: Service) -> None:
    """A dormant service is resumed by one request, which is recorded with who, why and from where."""
    service.dormancy.enter("worn out")
    response = service.post("/api/system/heal/resume", {"reason": "key renewed", "by": "maria"})

    assert response.status == 200
    assert response.json() == {
        "changed": True,
        "message": "Self-healing was resumed.",
        "resumed": True,
        "isDormant": False,
        "problems": [],
    }
    assert not service.dormancy.is_dormant
    (record,) = service.published
    assert (record.who, record.reason, record.allowed) == ("maria (http 10.0.0.7)", "key renewed", True)


def test_resuming_what_is_awake_is_no_error(service: Service) -> None:
    """The answer says that nothing changed."""
    response = service.post("/api/system/heal/resume", {"reason": "x"})

    assert (response.status, response.json()["changed"]) == (200, False)


def test_a_refused_resume_is_409_and_names_the_check(service: Service) -> None:
    """A resume check that fails is told with its name and what it said."""
    service.key_works = False
    service.dormancy.enter("no active api keys")
    response = service.post("/api/system/heal/resume", {"reason": "x"})

    assert response.status == 409
    assert _error(response)["failedCheck"] == "key"
    assert "no active key" in _error(response)["message"]
    assert service.dormancy.is_dormant
    assert [record.allowed for record in service.published] == [False]


def test_a_permanently_open_breaker_is_reset_by_force_alone(service: Service) -> None:
    """Without force the answer is 409 with the body to send; sent like that, the breaker closes."""
    breaker = service.breakers.get("open ai/gpt")
    breaker.trip_permanently("unauthorized")
    path = "/api/breakers/open ai/gpt/reset"
    refused = service.post(path, {"reason": "key renewed"})

    assert refused.status == 409
    assert str(breaker.state) == "PERMANENT_OPEN"
    done = service.post(path, _error(refused)["send"])
    assert (done.status, done.json()["state"]) == (200, "CLOSED")
    assert [record.allowed for record in service.published] == [False, True]


def test_an_unknown_breaker_is_404_with_those_there_are(service: Service) -> None:
    """A wrong name is answered with the right ones."""
    response = service.post("/api/breakers/paiments/reset", {"reason": "x"})

    assert response.status == 404
    assert _error(response)["known"] == ["open ai/gpt", "payments"]


def test_tasks_are_steered(service: Service) -> None:
    """Pause, resume and unregister act on the real registry, by id and for all, with and without a body."""

    def enabled() -> list[bool]:
        return [task.enabled for task in service.tasks.snapshot().tasks]

    assert service.post("/api/tasks/a/b c/pause").status == 200
    assert enabled() == [True, False]
    assert service.post("/api/tasks/a/b c/resume", {"reason": "quiet again", "by": "maria"}).json()["resumed"] is True
    assert service.post("/api/tasks/pause", headers={"Authorization": f"Bearer {TOKEN}"}).status == 200
    assert enabled() == [False, False]
    assert service.post("/api/tasks/resume").json()["resumed"] == ["detect", "a/b c"]
    assert service.post("/api/tasks/detect/unregister").json() == {
        "changed": True,
        "message": "Task 'detect' was unregistered.",
        "id": "detect",
        "unregistered": True,
    }
    assert enabled() == [True]
    assert service.post("/api/tasks/detect/pause").status == 404
    assert service.post("/api/tasks/cleanup").json()["stillRunning"] == []
    assert service.tasks.snapshot().state == "stopped"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b'{"reason": "x"}', "", 415, "not_json"),
        (b'{"reason": "x"}', "application/x-www-form-urlencoded", 415, "not_json"),
        (b"reason=x", "application/json", 400, "bad_json"),
        (b'{"reason": "x"', "application/json", 400, "bad_json"),
        (b'{"reason": "x", "reason": "y"}', "application/json", 400, "bad_json"),
        (b'{"reason": NaN}', "application/json", 400, "bad_json"),
        (b"\xff\xfe{}", "application/json", 400, "bad_json"),
        (b"[" * 10_000, "application/json", 400, "bad_json"),
        (b"1" * 10_000, "application/json", 400, "bad_json"),
        (b'["reason"]', "application/json", 422, "wrong_fields"),
        (b"null", "application/json", 422, "wrong_fields"),
        (b"", "application/json", 422, "wrong_fields"),
        (b"{}", "application/json; charset=utf-8", 422, "wrong_fields"),
        (b'{"reason": "  "}', "APPLICATION/JSON", 422, "wrong_fields"),
        (b'{"reason": 5}', "application/json", 422, "wrong_fields"),
        (b'{"reason": "a\\nb"}', "application/json", 422, "wrong_fields"),
        (b'{"reason": "\\ud800"}', "application/json", 422, "wrong_fields"),
        (b'{"reason": "x", "by": 7}', "application/json", 422, "wrong_fields"),
        (b'{"reason": "x", "force": true}', "application/json", 422, "wrong_fields"),
        (b'{"reason": "' + b"x" * 501 + b'"}', "application/json", 422, "wrong_fields"),
        (b" " * 16_385, "application/json", 413, "body_too_large"),
    ],
)
def test_a_wrong_body_says_what_to_send(
    service: Service, body: bytes, content_type: str, status: int, code: str
) -> None:
    """Each way to get a body wrong has its status, shows a right one, changes nothing and is recorded."""
    service.dormancy.enter("worn out")
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": content_type}
    response = service.post("/api/system/heal/resume", headers=headers, body=body)

    assert (response.status, _error(response)["code"]) == (status, code)
    assert _error(response)["send"] == {"reason": "key renewed", "by": "your name"}
    assert service.dormancy.is_dormant
    assert [(record.allowed, record.target) for record in service.published] == [(False, "healing")]


def test_wrong_fields_are_all_named(service: Service) -> None:
    """One answer names every field that is wrong, missing or unknown."""
    response = service.post("/api/breakers/payments/reset", {"force": "yes", "resaon": "x", "by": 1})

    assert response.status == 422
    assert set(_error(response)["fields"]) == {"force", "resaon", "by", "reason"}
    assert "there are: reason, by, force" in _error(response)["fields"]["resaon"]
    assert "true or false" in _error(response)["fields"]["force"]


def test_a_store_that_cannot_be_written_is_503(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a resume could not be made durable, the answer says to try again, not that it was done."""

    def resume(reason: str, by: str = "") -> bool:
        raise StateError("sqlite", "dormancy", "disk full")

    monkeypatch.setattr(service.dormancy, "resume", resume)
    response = service.post("/api/system/heal/resume", {"reason": "x"})

    assert response.status == 503
    assert "disk full" in _error(response)["message"]


def test_a_part_that_fails_is_500_without_its_text(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An unexpected error is logged here and told there without its text."""

    def resume(reason: str, by: str = "") -> bool:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(service.dormancy, "resume", resume)
    response = service.post("/api/system/heal/resume", {"reason": "x"})

    assert response.status == 500
    assert "hunter2" not in response.body.decode()
    assert "a request failed: POST" in caplog.text


# --- who may


@pytest.mark.parametrize(
    "path",
    ["/api/system/heal/resume", "/api/breakers/payments/reset", "/api/tasks/pause", "/api/tasks/detect/unregister"],
)
def test_mutations_need_the_token(service: Service, path: str) -> None:
    """Without the right token nothing changes, and the attempt is recorded with the address."""
    response = service.post(path, {"reason": "x"}, headers={"Content-Type": "application/json"})

    assert response.status == 401
    assert response.header("www-authenticate") == "Bearer"
    assert _error(response)["send"] == "Authorization: Bearer <token>"
    (record,) = service.published
    assert (record.who, record.allowed) == ("http 10.0.0.7", False)
    assert len(service.tasks.snapshot().tasks) == 2


def test_without_a_configured_token_mutations_are_off() -> None:
    """A service without a token answers 403 and says how to configure one."""
    response = Service(options={"token": None}).post("/api/system/heal/resume", {"reason": "x"})

    assert response.status == 403
    assert "token=" in _error(response)["send"]


def test_the_token_is_looked_at_before_the_body(service: Service) -> None:
    """Who has no token learns nothing about bodies or names."""
    response = service.post("/api/breakers/nope/reset", {"x": 1}, headers={"Authorization": "Bearer wrong"})

    assert response.status == 401


def test_reading_can_be_closed() -> None:
    """With a token for reading, reads need it, while liveness stays open unless that is closed too."""
    service = Service(options={"read_token": READ})

    for path in ("/api/status", "/api/breakers", "/api/tasks", "/api/tasks/detect"):
        assert service.get(path).status == 401
        assert service.get(path, Authorization=f"Bearer {READ}").status == 200
        assert service.get(path, Authorization=f"Bearer {TOKEN}").status == 200
    assert service.get("/healthz").status == 200
    assert service.post("/api/tasks/pause", headers={"Authorization": f"Bearer {READ}"}).status == 403

    closed = Service(options={"read_token": READ, "open_healthz": False})
    assert closed.get("/healthz").status == 401
    assert closed.get("/healthz", Authorization=f"Bearer {READ}").status == 200


def test_the_audit_needs_the_token_for_changes(service: Service) -> None:
    """The audit lists what was done and refused, and only to who may do so."""
    service.post("/api/tasks/detect/pause", {"reason": "noisy", "by": "maria"})
    service.post("/api/tasks/nope/pause")

    assert service.get("/api/audit").status == 401
    found = service.get("/api/audit", Authorization=f"Bearer {TOKEN}").json()["audit"]
    assert found[0] == {
        "at": "2023-11-14T22:13:20.000Z",
        "who": "maria (http 10.0.0.7)",
        "what": "task.pause",
        "target": "detect",
        "reason": "noisy",
        "allowed": True,
        "detail": "Task 'detect' was paused.",
    }
    assert (found[1]["target"], found[1]["allowed"]) == ("nope", False)


def test_mutations_are_bounded_in_rate() -> None:
    """More changes a minute than allowed are answered 429 with when to come again, and recorded once."""
    service = Service(options={"mutations_per_minute": 3})
    answers = [service.post("/api/tasks/pause") for _ in range(6)]

    assert [response.status for response in answers] == [200, 200, 200, 429, 429, 429]
    assert answers[-1].header("retry-after") == "20"
    assert _error(answers[-1])["retryAfterSeconds"] == 20
    assert [record.allowed for record in service.published] == [True, True, True, False]
    service.clock.advance(20)
    assert service.post("/api/tasks/resume").status == 200


def test_wrong_tokens_are_bounded_in_rate_and_the_right_one_is_not() -> None:
    """Guessing is slowed down, and cannot keep the operator out."""
    service = Service(options={"auth_failures_per_minute": 2})
    wrong = {"Authorization": "Bearer wrong"}
    answers = [service.post("/api/tasks/pause", headers=wrong) for _ in range(4)]

    assert [response.status for response in answers] == [401, 401, 429, 429]
    assert answers[-1].header("retry-after") == "30"
    assert len(service.published) == 3
    assert service.post("/api/tasks/pause").status == 200


def test_tokens_and_bodies_are_in_no_log(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the right token nor a wrong one nor a body's unknown value is logged or repeated."""
    caplog.set_level(logging.DEBUG)
    wrong = "wrong-token-9876543210"
    answers = [
        service.post("/api/tasks/pause"),
        service.post("/api/tasks/pause", headers={"Authorization": f"Bearer {wrong}"}),
        service.post("/api/tasks/pause", {"token": "hunter2"}),
    ]
    seen = caplog.text + "".join(response.body.decode() + str(response.headers) for response in answers)

    for secret in (TOKEN, wrong, "hunter2"):
        assert secret not in seen
        assert secret not in repr(service.published)
        assert secret not in repr(service.api)


@pytest.mark.parametrize("option", ["mutations_per_minute", "auth_failures_per_minute", "max_body"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, None])
def test_limits_must_be_positive_integers(option: str, value: Any) -> None:
    """A limit that bounds nothing is refused by name."""
    with pytest.raises(ConfigError, match=option):
        Service(options={option: value})


def test_every_route_is_known_by_name(service: Service) -> None:
    """The routes are exactly those that are documented."""
    assert set(service.api.routes) == {
        ("GET", "/healthz"),
        ("GET", "/api/status"),
        ("GET", "/api/breakers"),
        ("GET", "/api/tasks"),
        ("GET", "/api/tasks/{id}"),
        ("GET", "/api/audit"),
        ("POST", "/api/system/heal/resume"),
        ("POST", "/api/breakers/{name}/reset"),
        ("POST", "/api/tasks/pause"),
        ("POST", "/api/tasks/resume"),
        ("POST", "/api/tasks/cleanup"),
        ("POST", "/api/tasks/{id}/pause"),
        ("POST", "/api/tasks/{id}/resume"),
        ("POST", "/api/tasks/{id}/unregister"),
    }

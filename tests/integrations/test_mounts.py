"""Mounted below a prefix in the real frameworks, in process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from flask import Flask
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

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
AUTH = {"Authorization": f"Bearer {TOKEN}"}

Ask = Callable[..., httpx.Response]


def _api() -> SteeringApi:
    events, breakers = EventBus(), BreakerRegistry()
    CircuitBreaker("open ai/gpt", events=events, registry=breakers).trip_permanently("unauthorized")
    dormancy = DormantController(events=events)
    dormancy.enter("worn out")
    tasks = TaskRegistry(events=events, start=False)
    tasks.register_interval("zürich", lambda: None, every=300)
    report = StatusReport(dormancy=dormancy, breakers=breakers, tasks=tasks)
    steering = Steering(dormancy=dormancy, breakers=breakers, tasks=tasks, events=events)
    return SteeringApi(report, steering, token=TOKEN)


def _over_asgi(app: Any) -> Ask:
    def ask(method: str, path: str, **more: Any) -> httpx.Response:
        async def main() -> httpx.Response:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
                return await client.request(method, path, **more)

        return asyncio.run(main())

    return ask


def _over_wsgi(app: Any) -> Ask:
    def ask(method: str, path: str, **more: Any) -> httpx.Response:
        if "content" in more:
            more["data"] = more.pop("content")
        got = Client(app).open(path, method=method, **more)
        return httpx.Response(got.status_code, headers=list(got.headers), content=got.data)

    return ask


def _starlette() -> Ask:
    async def own(request: Any) -> PlainTextResponse:
        return PlainTextResponse("own")

    return _over_asgi(Starlette(routes=[Route("/own", own), Mount("/ops", app=asgi_app(_api()))]))


def _starlette_twice() -> Ask:
    inner = Starlette(routes=[Mount("/inner", app=asgi_app(_api()))])
    outer = _over_asgi(Starlette(routes=[Mount("/ops", app=inner)]))
    return lambda method, path, **more: outer(method, path.replace("/ops", "/ops/inner", 1), **more)


def _fastapi() -> Ask:
    app = FastAPI()

    @app.get("/own")
    def own() -> str:
        return "own"

    app.mount("/ops", asgi_app(_api()))
    return _over_asgi(app)


def _flask() -> Ask:
    app = Flask("own")
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/ops": wsgi_app(_api())})  # type: ignore[method-assign]
    return _over_wsgi(app)


def _django() -> Ask:
    from django.conf import settings

    if not settings.configured:
        settings.configure(ROOT_URLCONF="django.conf.urls", ALLOWED_HOSTS=["*"], SECRET_KEY="tests")
    import django
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.urls import re_path

    django.setup()
    inner = wsgi_app(_api())

    def view(request: Any, below: str) -> Any:
        """The ten lines that put a WSGI application behind a Django view, as documented."""
        got: list[Any] = []
        environ = {**request.environ, "SCRIPT_NAME": "/ops", "PATH_INFO": below.encode().decode("latin-1")}
        content = b"".join(inner(environ, lambda status, headers, exc=None: got.extend([status, headers])))  # type: ignore[arg-type]
        return HttpResponse(content, status=int(got[0].split()[0]), headers=dict(got[1]))

    view.csrf_exempt = True  # type: ignore[attr-defined]
    urls = type("urls", (), {"urlpatterns": [re_path(r"^ops(/.*)$", view)]})
    settings.ROOT_URLCONF = urls
    return _over_wsgi(WSGIHandler())


@pytest.fixture(params=[_starlette, _starlette_twice, _fastapi, _flask, _django], ids=lambda made: made.__name__[1:])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Ask the API below ``/ops`` of each framework."""
    made: Ask = request.param()
    return made


def test_the_status_is_found_below_the_prefix(ask: Ask) -> None:
    """The status answers below the mount, in both formats."""
    assert ask("GET", "/ops/api/status").json()["status"] == "critical"
    assert ask("GET", "/ops/api/status?format=markdown").text.startswith("# 🛑 Status: CRITICAL")
    assert ask("GET", "/ops/healthz").json() == {"status": "critical"}


def test_resume_and_reset_work_below_the_prefix(ask: Ask) -> None:
    """A dormant service is brought back through the mount: resumed, and its breaker with the odd name closed."""
    assert ask("POST", "/ops/api/system/heal/resume", json={"reason": "x"}).status_code == 401
    resumed = ask("POST", "/ops/api/system/heal/resume", json={"reason": "key renewed"}, headers=AUTH)
    reset = ask(
        "POST",
        "/ops/api/breakers/open%20ai%2Fgpt/reset",
        json={"reason": "key renewed", "force": True},
        headers=AUTH,
    )

    assert (resumed.status_code, resumed.json()["resumed"]) == (200, True)
    assert (reset.status_code, reset.json()["state"]) == (200, "CLOSED")
    assert ask("GET", "/ops/api/status").json()["status"] == "healthy"


def test_names_beyond_ascii_work_below_the_prefix(ask: Ask) -> None:
    """A task with an umlaut is paused by its percent-encoded id, without a body."""
    paused = ask("POST", "/ops/api/tasks/z%C3%BCrich/pause", headers=AUTH)

    assert (paused.status_code, paused.json()["id"]) == (200, "zürich")


def test_errors_keep_their_shape_below_the_prefix(ask: Ask) -> None:
    """A wrong path, method and body are answered by the API and not by the framework."""
    lost = ask("GET", "/ops/nothing")
    wrong = ask("DELETE", "/ops/api/status", headers=AUTH)
    body = ask(
        "POST", "/ops/api/system/heal/resume", content=b"{", headers={**AUTH, "Content-Type": "application/json"}
    )

    assert (lost.status_code, lost.json()["error"]["code"]) == (404, "no_such_path")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert (body.status_code, body.json()["error"]["code"]) == (400, "bad_json")
    assert body.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("make", [_starlette, _fastapi], ids=lambda made: made.__name__[1:])
def test_the_host_keeps_its_own_routes(make: Callable[[], Ask]) -> None:
    """A mount takes nothing from the host."""
    assert "own" in make()("GET", "/own").text

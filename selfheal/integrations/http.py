"""The status and the steering calls over HTTP, without a framework: a request in, a response out.

:class:`SteeringApi` is what :func:`~selfheal.integrations.asgi.asgi_app` and
:func:`~selfheal.integrations.wsgi.wsgi_app` put behind a server; any other server needs ten lines.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ConfigError, SelfhealError
from selfheal.integrations.access import Access, Rate, check_bind, too_many
from selfheal.integrations.bodies import FORCED, WHY, WHY_IF_ANY, fields_of
from selfheal.integrations.messages import RefusedError, Request, Response, respond, respond_json
from selfheal.integrations.refusals import refusal_of
from selfheal.integrations.routes import Get, Post, Route, find
from selfheal.integrations.views import Views
from selfheal.status.calls import RESUME_PATH
from selfheal.status.judge import Level
from selfheal.status.report import StatusReport
from selfheal.status.steering import Caller, Done, Steering

__all__ = ["Request", "Response", "SteeringApi", "check_bind"]

logger = logging.getLogger("selfheal.http")

_FAILS_ON = {"": (), "critical": (Level.CRITICAL,), "warning": (Level.CRITICAL, Level.WARNING)}


class SteeringApi:
    """Answers requests about the status, and carries out those that steer.

    It starts nothing and keeps no connection; :meth:`dispatch` may be called from several threads.

    Args:
        report: what ``GET /api/status`` shows.
        steering: what carries out the mutations.
        token: the bearer token for mutations and the audit; at least 16 characters. ``None``: nothing can be
            changed over HTTP.
        read_token: a bearer token for reading; ``None``: whoever reaches the port may read.
        open_healthz: whether ``/healthz`` needs no token even when reading does.
        mutations_per_minute: how many mutations are carried out a minute; more are answered 429.
        auth_failures_per_minute: how many requests with a wrong token, or none, are answered 401 a minute and
            client address; more are answered 429.
        max_body: bytes that a body may have.
        clock: for the rates.

    Raises:
        ConfigError: if a token is too short, both tokens are the same, or a number is less than 1.
    """

    def __init__(
        self,
        report: StatusReport,
        steering: Steering,
        *,
        token: str | None = None,
        read_token: str | None = None,
        open_healthz: bool = True,
        mutations_per_minute: int = 60,
        auth_failures_per_minute: int = 20,
        max_body: int = 16_384,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        _check_number("mutations_per_minute", mutations_per_minute, 60)
        _check_number("auth_failures_per_minute", auth_failures_per_minute, 20)
        _check_number("max_body", max_body, 16_384)
        self.max_body = max_body
        self._report = report
        self._steering = steering
        self._access = Access(token, read_token, auth_failures_per_minute, clock)
        self._mutations = Rate(mutations_per_minute, clock)
        self._routes: Sequence[Route] = (*self._readings(open_healthz), *_mutations(steering))

    @property
    def routes(self) -> tuple[tuple[str, str], ...]:
        """Method and path of everything that is answered."""
        return tuple((route.method, route.path) for route in self._routes)

    def dispatch(self, request: Request) -> Response:
        """Answer ``request``. Never raises: what went wrong in here is logged and answered 500."""
        try:
            response = self._answer(request)
        except RefusedError as refusal:
            response = refusal.response()
        except Exception:
            logger.exception("a request failed: %s %r", request.method[:20], request.path[:200])
            message = "Something went wrong in the service; the log of selfheal.http has the traceback."
            response = RefusedError(500, "internal_error", message).response()
        return response.without_body() if request.method == "HEAD" else response

    def _answer(self, request: Request) -> Response:
        found = find(self._routes, request)
        if found.route is None:
            return respond(204, b"", "", ("Allow", found.allowed))
        try:
            if isinstance(found.route, Post):
                return self._change(found.route, request, found.name)
            return self._show(found.route, request, found.name)
        except SelfhealError as error:
            raise refusal_of(error) from error

    def _show(self, route: Get, request: Request, name: str) -> Response:
        if route.rights == "write":
            self._access.to_write(request)
        elif route.rights == "read":
            self._access.to_read(request)
        return route.read(request, name)

    def _change(self, route: Post, request: Request, name: str) -> Response:
        caller = Caller(via=f"http {request.client}".rstrip())
        try:
            self._access.to_write(request)
            wait, first = self._mutations.take()
            if wait:
                raise too_many("More changes were asked for than are made in a minute.", wait, first)
            fields = fields_of(request, route.fields, self.max_body)
        except RefusedError as refusal:
            if refusal.audited:
                self._steering.refused(route.what, name or route.target, caller, str(refusal))
            raise
        caller = attrs.evolve(caller, reason=fields["reason"], by=fields["by"])
        done = route.act(name, caller, fields)
        return respond_json(200, {"changed": done.changed, "message": done.message, **done.facts})

    def _status(self, request: Request, _: str) -> Response:
        if _wants_markdown(request):
            body, kind = self._report.as_markdown(), "text/markdown; charset=utf-8"
        else:
            body, kind = self._report.as_json() + "\n", "application/json"
        return respond(200, body.encode("utf-8", "replace"), kind, ("Vary", "Accept"))

    def _healthz(self, request: Request, _: str) -> Response:
        fail_on = request.parameters().get("fail_on", "")
        if fail_on not in _FAILS_ON:
            send = "/healthz, /healthz?fail_on=critical or /healthz?fail_on=warning"
            raise RefusedError(400, "bad_query", "fail_on is neither 'critical' nor 'warning'.", send=send)
        level = self._report.level
        return respond_json(503 if level in _FAILS_ON[fail_on] else 200, {"status": str(level)})

    def _readings(self, open_healthz: bool) -> tuple[Get, ...]:
        views = Views(self._steering)
        return (
            Get(path="/healthz", read=self._healthz, rights="none" if open_healthz else "read"),
            Get(path="/api/status", read=self._status),
            Get(path="/api/breakers", read=views.breakers),
            Get(path="/api/tasks", read=views.tasks),
            Get(path="/api/tasks/{id}", read=views.task),
            Get(path="/api/audit", read=views.audit, rights="write"),
        )


def _mutations(do: Steering) -> tuple[Post, ...]:
    return (
        Post(path=RESUME_PATH, what="resume", target="healing", fields=WHY, act=lambda _, who, __: do.resume(who)),
        Post(
            path="/api/breakers/{name}/reset",
            what="breaker.reset",
            fields=FORCED,
            act=lambda name, who, fields: do.reset_breaker(name, who, force=fields["force"]),
        ),
        _task("/api/tasks/pause", "tasks.pause", lambda _, who: do.pause_all_tasks(who)),
        _task("/api/tasks/resume", "tasks.resume", lambda _, who: do.resume_all_tasks(who)),
        _task("/api/tasks/cleanup", "tasks.cleanup", lambda _, who: do.clean_up_tasks(who)),
        _task("/api/tasks/{id}/pause", "task.pause", do.pause_task),
        _task("/api/tasks/{id}/resume", "task.resume", do.resume_task),
        _task("/api/tasks/{id}/unregister", "task.unregister", do.unregister_task),
    )


def _task(path: str, what: str, act: Callable[[str, Caller], Done]) -> Post:
    return Post(path=path, what=what, fields=WHY_IF_ANY, act=lambda name, who, _: act(name, who))


def _wants_markdown(request: Request) -> bool:
    """``?format=`` decides; else ``Accept``, where Markdown must be named and rank above JSON."""
    asked = request.parameters().get("format")
    if asked is None:
        return _rank(request, "text/markdown") > max(_rank(request, "application/json"), 0.0)
    if asked not in ("json", "markdown"):
        send = "?format=json or ?format=markdown"
        raise RefusedError(400, "bad_query", "format is neither 'json' nor 'markdown'.", send=send)
    return asked == "markdown"


def _rank(request: Request, kind: str) -> float:
    for entry in request.headers.get("accept", "").split(","):
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        if name == kind:
            weights = [part[2:] for part in parameters if part.startswith("q=")]
            try:
                return float(weights[0]) if weights else 1.0
            except ValueError:
                return 0.0
    return 0.0


def _check_number(name: str, number: object, default: int) -> None:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ConfigError(f"SteeringApi.{name}", number, "an integer of 1 or more", str(default))

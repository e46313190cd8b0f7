"""The API as a WSGI application: under any WSGI server, in Flask's ``DispatcherMiddleware`` or a Django view.

Slow clients are the server's to bound: WSGI has no deadline for reading a body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from selfheal.integrations.http import SteeringApi
from selfheal.integrations.messages import RefusedError, Request, Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

WsgiApp = Callable[["WSGIEnvironment", "StartResponse"], Iterable[bytes]]


def wsgi_app(api: SteeringApi) -> WsgiApp:
    """Make a WSGI application of ``api``."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            response = api.dispatch(_request(environ, api.max_body))
        except RefusedError as refusal:
            response = refusal.response()
            if environ["REQUEST_METHOD"].upper() == "HEAD":
                response = response.without_body()
        start_response(_status_line(response), [*response.headers])
        return [response.body]

    return app


def _status_line(response: Response) -> str:
    return f"{response.status} {HTTPStatus(response.status).phrase}"


def _request(environ: WSGIEnvironment, max_body: int) -> Request:
    return Request(
        method=environ["REQUEST_METHOD"].upper(),
        path=_text(environ.get("PATH_INFO", "")) or "/",
        query=environ.get("QUERY_STRING", ""),
        headers=_headers(environ),
        body=_body(environ, max_body),
        client=environ.get("REMOTE_ADDR", ""),
    )


def _text(path: str) -> str:
    """WSGI hands over the bytes of the path, each as one character."""
    return path.encode("latin-1", "replace").decode("utf-8", "replace")


def _headers(environ: WSGIEnvironment) -> dict[str, str]:
    found = {
        key[5:].replace("_", "-"): str(value)
        for key, value in environ.items()
        if key.startswith("HTTP_") and isinstance(value, str)
    }
    if environ.get("CONTENT_TYPE"):
        found["content-type"] = environ["CONTENT_TYPE"]
    return found


def _body(environ: WSGIEnvironment, max_body: int) -> bytes:
    """Read at most one byte more than is accepted: that one tells that the body is too large.

    Raises:
        RefusedError: 400 for a ``Content-Length`` that is no length, 411 for a body whose end cannot be known.
    """
    stream: Any = environ.get("wsgi.input")
    told = str(environ.get("CONTENT_LENGTH") or "").strip()
    if told and not (told.isascii() and told.isdigit()):
        message = f"Content-Length is {told[:50]!r}, not a number of bytes."
        raise RefusedError(400, "bad_length", message, send="the length of the body in bytes, or no body")
    if told:
        return _exactly(stream, min(int(told[:18]), max_body + 1))
    if environ.get("wsgi.input_terminated"):
        return _exactly(stream, max_body + 1)
    if environ.get("HTTP_TRANSFER_ENCODING"):
        message = "This server does not tell where a body without Content-Length ends."
        raise RefusedError(411, "length_required", message, send="the body with a Content-Length header")
    return b""


def _exactly(stream: Any, length: int) -> bytes:
    """Read ``length`` bytes, or fewer when the stream ends before."""
    body = b""
    while len(body) < length:
        try:
            piece = stream.read(length - len(body))
        except OSError as error:  # the server's own deadline, or the client went away
            message = f"The body broke off ({type(error).__name__})."
            raise RefusedError(408, "body_too_slow", message, send="the same again") from error
        if not piece:
            break
        body += piece
    return body

"""A request and a response without a framework, and the one shape that every error has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import attrs

SECURITY_HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)
"""On every response: nothing is cached, guessed, framed or run."""

_MAX_QUERY_FIELDS = 20


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@attrs.frozen(kw_only=True)
class Request:
    """One HTTP request, read whole.

    Args:
        method: ``GET``, ``POST`` …, in capitals.
        path: percent-decoded, below the place where the API is mounted; begins with ``/``.
        query: what follows the ``?``, as sent.
        headers: names in any case; a header that came twice has its values joined by a comma.
        body: as sent. May be cut by the adapter one byte beyond ``SteeringApi.max_body``.
        client: address it came from, for the audit; empty when unknown.
    """

    method: str = "GET"
    path: str = "/"
    query: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict, converter=_lower)
    body: bytes = b""
    client: str = ""

    def parameters(self) -> dict[str, str]:
        """The query as a mapping; of a name given twice the last counts.

        Raises:
            RefusedError: 400, if it has more than 20 fields.
        """
        try:
            return dict(parse_qsl(self.query, keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS))
        except ValueError:
            message = f"The query has more than {_MAX_QUERY_FIELDS} fields."
            raise RefusedError(400, "bad_query", message, send="fewer query fields") from None


@attrs.frozen(kw_only=True)
class Response:
    """What to answer.

    Args:
        status: HTTP status code.
        headers: names and values, ``Content-Length`` included.
        body: to be sent; empty for ``HEAD``.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header, by its name in any case; ``None`` when it is not there."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        """The body read as JSON."""
        return json.loads(self.body)

    def without_body(self) -> Response:
        """The same as answered to ``HEAD``: headers tell of the body, which is not sent."""
        return attrs.evolve(self, body=b"")


def respond(status: int, body: bytes, content_type: str, *headers: tuple[str, str]) -> Response:
    """A response with the security headers and the length of its body."""
    kind = (("Content-Type", content_type),) if content_type else ()
    length = () if status == 204 else (("Content-Length", str(len(body))),)
    return Response(status=status, headers=(*kind, *length, *SECURITY_HEADERS, *headers), body=body)


def respond_json(status: int, data: Mapping[str, Any], *headers: tuple[str, str]) -> Response:
    """A response of JSON, one line, ended by a newline so that a terminal stays tidy."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n"
    return respond(status, text.encode("utf-8", "replace"), "application/json", *headers)


class RefusedError(Exception):
    """A request that is not done, with the answer that says what to send instead.

    Args:
        status: HTTP status code.
        code: a word for programs.
        message: what happened, for people.
        send: what to send instead: text, or an example body.
        headers: further headers.
        facts: further keys of the error.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        send: object = None,
        headers: tuple[tuple[str, str], ...] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.send = send
        self.headers = headers
        self.facts = dict(facts or {})
        #: Whether a refused mutation leaves an audit record; repetitions do not.
        self.audited = True

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"

    def response(self) -> Response:
        """The answer: ``{"error": {"code", "message", "send"?, …}}``."""
        error = {"code": self.code, "message": self.message, **({} if self.send is None else {"send": self.send})}
        return respond_json(self.status, {"error": {**error, **self.facts}}, *self.headers)

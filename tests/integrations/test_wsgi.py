"""The WSGI callable, spoken to by environ."""

from __future__ import annotations

import io
import json
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from selfheal.integrations.http import Request, Response
from selfheal.integrations.messages import respond_json
from selfheal.integrations.wsgi import wsgi_app


class Api:
    """Stands in for a :class:`SteeringApi`: remembers the request, and answers 200."""

    max_body = 100

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def dispatch(self, request: Request) -> Response:
        self.requests.append(request)
        answer = respond_json(200, {"path": request.path})
        return answer.without_body() if request.method == "HEAD" else answer


def _call(api: Any, body: bytes = b"", **environ: Any) -> tuple[str, dict[str, str], bytes]:
    """One request through the standard library's validator, which is strict about both sides."""
    full: dict[str, Any] = {}
    setup_testing_defaults(full)
    full |= {"wsgi.input": io.BytesIO(body), "PATH_INFO": "/api/status", "QUERY_STRING": "", **environ}
    got: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        got.extend([status, dict(headers)])
        return lambda data: None

    answer = validator(wsgi_app(api))(full, start)
    content = b"".join(answer)
    answer.close()  # type: ignore[attr-defined]
    return got[0], got[1], content


def test_a_request_is_answered() -> None:
    """Method, path, query, headers, body and address arrive, and the answer goes out."""
    api = Api()
    status, headers, content = _call(
        api,
        b'{"a": 1}trailing',
        REQUEST_METHOD="POST",
        QUERY_STRING="x=1",
        CONTENT_LENGTH="8",
        CONTENT_TYPE="application/json",
        HTTP_AUTHORIZATION="Bearer x",
        REMOTE_ADDR="10.0.0.7",
    )

    assert (status, json.loads(content)) == ("200 OK", {"path": "/api/status"})
    assert headers["Content-Length"] == str(len(content))
    (request,) = api.requests
    assert (request.method, request.query, request.body, request.client) == ("POST", "x=1", b'{"a": 1}', "10.0.0.7")
    assert request.headers["authorization"] == "Bearer x"
    assert request.headers["content-type"] == "application/json"


def test_the_path_is_below_the_mount_and_utf_8() -> None:
    """PATH_INFO is taken alone, and its bytes are read as UTF-8."""
    api = Api()
    _call(api, SCRIPT_NAME="/ops", PATH_INFO="/api/tasks/zürich".encode().decode("latin-1"))
    _call(api, SCRIPT_NAME="/ops", PATH_INFO="")
    _call(api, PATH_INFO="/\xff")

    assert [request.path for request in api.requests] == ["/api/tasks/zürich", "/", "/\ufffd"]


def test_without_a_length_there_is_no_body() -> None:
    """A server that gives no length has no body to give, and reading it could wait for ever."""
    api = Api()
    _call(api, b"ignored")
    _call(api, b"ignored", CONTENT_LENGTH="")

    assert [request.body for request in api.requests] == [b"", b""]


def test_a_terminated_input_is_read_without_a_length() -> None:
    """A server that ends the input itself (a chunked body) is read to the end."""
    api = Api()
    _call(api, b"abc", HTTP_TRANSFER_ENCODING="chunked", **{"wsgi.input_terminated": True})

    assert api.requests[0].body == b"abc"


@pytest.mark.parametrize("length", ["1000", "9" * 30])
def test_no_more_than_the_limit_is_read(length: str) -> None:
    """However long a body claims to be, one byte beyond the limit is read."""
    api = Api()
    _call(api, b"x" * 1000, CONTENT_LENGTH=length)

    assert len(api.requests[0].body) == 101


def test_a_body_that_ends_early_is_what_came() -> None:
    """A client that left in the middle does not make the reader wait."""
    api = Api()
    _call(api, b"abc", CONTENT_LENGTH="50")

    assert api.requests[0].body == b"abc"


def test_a_body_that_breaks_off_is_408() -> None:
    """A server's own deadline for reading, raised into the application, is answered and not raised on."""

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise TimeoutError("timed out")

    api, slow = Api(), {"wsgi.input": Slow()}
    status, _, content = _call(api, b"", CONTENT_LENGTH="5", REQUEST_METHOD="POST", **slow)

    assert status == "408 Request Timeout"
    assert json.loads(content)["error"]["code"] == "body_too_slow"
    assert api.requests == []


@pytest.mark.parametrize("length", ["abc", "-1", "1.5", "0x10", "٣", "1e3"])
def test_a_length_that_is_none_is_400(length: str) -> None:
    """A Content-Length that is no number of bytes is refused before anything is read."""
    api = Api()
    got: list[str] = []

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
        got.append(status)

    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    content = b"".join(wsgi_app(api)({**environ, "CONTENT_LENGTH": length}, start))  # type: ignore[arg-type]

    assert got == ["400 Bad Request"]
    assert json.loads(content)["error"]["code"] == "bad_length"
    assert api.requests == []


def test_a_chunked_body_that_the_server_does_not_end_is_411() -> None:
    """Where the end of a body cannot be known, a length is asked for."""
    status, _, content = _call(Api(), b"x", REQUEST_METHOD="POST", HTTP_TRANSFER_ENCODING="chunked")

    assert status == "411 Length Required"
    assert "Content-Length" in json.loads(content)["error"]["send"]


def test_head_has_no_body() -> None:
    """HEAD has the length of GET and sends nothing, refused or not."""
    status, headers, content = _call(Api(), REQUEST_METHOD="HEAD")
    refused = _call(Api(), REQUEST_METHOD="HEAD", HTTP_TRANSFER_ENCODING="chunked")

    assert (status, content) == ("200 OK", b"")
    assert headers["Content-Length"] == "24"
    assert (refused[0], refused[2]) == ("411 Length Required", b"")

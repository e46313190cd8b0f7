"""Notifications as JSON to a web address."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ConfigError, NotifyError
from selfheal.levers.notify import Notification
from selfheal.redaction import REDACTED, scrub
from selfheal.validators import between

if TYPE_CHECKING:
    import http.client
    import socket
    import urllib.request

_AGAIN = {408, 425, 429, 500, 502, 503, 504}
"""Answers after which trying again may help."""


def _headers(given: Mapping[str, str]) -> dict[str, str]:
    return dict(given)


@attrs.frozen(kw_only=True)
class WebhookConfig:
    """The settings of a :class:`WebhookNotifier`.

    Args:
        url: ``http`` or ``https``.
        timeout: seconds an attempt may take, from connecting to the answer.
        attempts: how often it is tried.
        backoff: seconds before the second attempt; doubles from there.
        backoff_cap: longest pause between two attempts, in seconds.
        headers: sent along.

    Raises:
        ConfigError: if a value is out of range.
    """

    url: str = attrs.field(repr=False)
    timeout: float = attrs.field(default=5.0, validator=between(0.01, 300.0, "s"))
    attempts: int = attrs.field(default=3, validator=between(1, 10))
    backoff: float = attrs.field(default=1.0, validator=between(0.0, 60.0, "s"))
    backoff_cap: float = attrs.field(default=30.0, validator=between(0.0, 300.0, "s"))
    headers: Mapping[str, str] = attrs.field(factory=dict, converter=_headers, repr=False)

    @url.validator
    def _check_url(self, field: attrs.Attribute[str], value: object) -> None:
        accepted = "an http or https address with a host, without blanks"
        try:
            parts = urllib.parse.urlsplit(value if isinstance(value, str) else "")
            good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            good = False
        if not good or not str(value).isprintable() or " " in str(value):
            raise ConfigError(f"{type(self).__name__}.url", REDACTED, accepted)  # an address is itself a secret

    @headers.validator
    def _check_headers(self, field: attrs.Attribute[Any], value: Mapping[object, object]) -> None:
        for key, told in value.items():
            if not isinstance(key, str) or not isinstance(told, str) or not (key + told).isprintable() or not key:
                raise ConfigError(f"{type(self).__name__}.headers", key, "text to text, in one line each")


class WebhookNotifier:
    """Posts each notification as JSON to an address.

    The address may hold a secret, as those of chat services do: only its scheme and host ever show. Redirects are
    not followed. An attempt that fails, or is answered 408, 425, 429 or 5xx, is tried again; any other answer
    outside 200 to 299 is final. It takes at most ``attempts * timeout`` seconds and the pauses between.

    Args:
        url: ``http`` or ``https``.
        timeout: seconds an attempt may take, from connecting to the answer.
        attempts: how often it is tried; 1 to 10.
        backoff: seconds before the second attempt; doubles from there.
        backoff_cap: longest pause between two attempts, in seconds.
        headers: sent along, such as an authorization.
        clock: for the pauses.

    Raises:
        ConfigError: if a value is out of range.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 5.0,
        attempts: int = 3,
        backoff: float = 1.0,
        backoff_cap: float = 30.0,
        headers: Mapping[str, str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._config = WebhookConfig(
            url=url, timeout=timeout, attempts=attempts, backoff=backoff, backoff_cap=backoff_cap, headers=headers or {}
        )
        self._clock = clock
        parts = urllib.parse.urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
        self._shown = f"{parts.scheme}://{parts.hostname}{port}/{REDACTED}"

    def notify(self, notification: Notification) -> None:
        """Post it.

        Raises:
            NotifyError: if no attempt succeeded.
        """
        body = json.dumps(notification.as_dict(), allow_nan=False).encode()
        told = ""
        for attempt in range(self._config.attempts):
            if attempt:
                self._clock.sleep(min(self._config.backoff * 2.0 ** (attempt - 1), self._config.backoff_cap))
            told, again = self._post(body)
            if not told:
                return
            if not again:
                break
        raise NotifyError(notification.title, {self._shown: told})

    def _post(self, body: bytes) -> tuple[str, bool]:
        """Make one attempt: what went wrong (empty if nothing), and whether to try again."""
        import http.client  # these cost 30 ms to import: only who posts pays
        import urllib.error

        late = threading.Event()
        try:
            with (
                self._watched(late) as opener,
                opener.open(self._request(body), timeout=self._config.timeout) as answer,
            ):
                status = int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return f"HTTP {error.code}", error.code in _AGAIN
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            told = scrub(str(reason).replace(self._config.url, self._shown))
            return f"{type(reason).__name__}: {told}"[:300], True
        if late.is_set():  # cut off in its headers, an answer looks complete
            return f"TimeoutError: no whole answer within {self._config.timeout:g} s", True
        return ("", False) if 200 <= status < 300 else (f"HTTP {status}", status in _AGAIN)

    def _request(self, body: bytes) -> urllib.request.Request:
        import urllib.request

        headers = {"Content-Type": "application/json", "User-Agent": "selfheal", **self._config.headers}
        return urllib.request.Request(self._config.url, data=body, headers=headers, method="POST")  # noqa: S310

    @contextlib.contextmanager
    def _watched(self, late: threading.Event) -> Iterator[urllib.request.OpenerDirector]:
        """An opener whose connections are cut when the time of the attempt is over.

        A time-out of a socket is one for each read: who answers a byte at a time would hold the caller for ever.
        """
        import http.client
        import socket
        import urllib.request

        sockets: list[socket.socket] = []

        class Plain(http.client.HTTPConnection):
            def connect(self) -> None:
                super().connect()
                sockets.append(self.sock)

        class Secure(http.client.HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                sockets.append(self.sock)

        class OverPlain(urllib.request.HTTPHandler):
            def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
                return self.do_open(Plain, req)

        class OverSecure(urllib.request.HTTPSHandler):
            def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
                return self.do_open(Secure, req)

        class StayHere(urllib.request.HTTPRedirectHandler):
            """Who is told is decided by the host, not by the receiver."""

            def redirect_request(self, *args: Any, **kwargs: Any) -> None:
                return None

        def cut() -> None:
            late.set()
            for held in sockets:
                with contextlib.suppress(OSError):
                    held.shutdown(socket.SHUT_RDWR)

        watch = threading.Timer(self._config.timeout, cut)
        watch.name, watch.daemon = "selfheal-webhook", True
        watch.start()
        try:
            yield urllib.request.build_opener(OverPlain, OverSecure, StayHere)
        finally:
            watch.cancel()
            watch.join()

    def __repr__(self) -> str:
        return f"WebhookNotifier({self._shown!r})"

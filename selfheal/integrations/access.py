"""Who may do what over HTTP: tokens, where to listen, and how often."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import threading
from collections import OrderedDict

from selfheal.clock import Clock
from selfheal.errors import ConfigError
from selfheal.integrations.messages import RefusedError, Request

MIN_TOKEN = 16
"""Characters a token has at least: enough, when random, that it cannot be guessed."""

_MAKE_ONE = "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
_SEND = "Authorization: Bearer <token>"
_MOST_CLIENTS = 1024


class _Hidden:
    """Stands for a secret in an error."""

    def __init__(self, value: object) -> None:
        self._shown = f"one of {len(value)} characters" if isinstance(value, str) else f"a {type(value).__name__}"

    def __repr__(self) -> str:
        return self._shown


def check_bind(host: str, token: str | None) -> None:
    """Refuse to listen where others can reach it without a token.

    Call it before a server is started on ``host``. Loopback is ``localhost``, ``127.0.0.0/8`` and ``::1``;
    every other name and address counts as reachable.

    Args:
        host: the address to listen on.
        token: the token for mutations, or ``None``.

    Raises:
        ConfigError: if ``host`` is not loopback and there is no token.
    """
    if not token and not _is_loopback(host):
        accepted = "a loopback address (127.0.0.1, ::1, localhost) as long as no token is configured"
        raise ConfigError("host", host, accepted, "127.0.0.1")


def _is_loopback(host: str) -> bool:
    bare = host.strip().strip("[]").lower()
    if bare == "localhost":
        return True
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


class Rate:
    """A token bucket on an injected clock: ``per_minute`` on the long run, as many at once.

    Args:
        per_minute: how many are let through a minute.
        clock: its time.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._most = float(per_minute)
        self._left = self._most
        self._clock = clock
        self._at = clock.monotonic()
        self._lock = threading.Lock()
        self._refusing = False

    def take(self) -> tuple[int, bool]:
        """Take one.

        Returns:
            Whole seconds until one is there again (0: taken), and whether this is the first refusal in a row.
        """
        with self._lock:
            now = self._clock.monotonic()
            self._left = min(self._most, self._left + (now - self._at) * self._most / 60.0)
            self._at = now
            if self._left >= 1.0:
                self._left -= 1.0
                self._refusing = False
                return 0, False
            first, self._refusing = not self._refusing, True
            return max(1, math.ceil((1.0 - self._left) * 60.0 / self._most)), first


class Access:
    """Checks the bearer token of a request.

    Only digests of the tokens are kept. A right token is let through however many wrong ones came before: with
    tokens that cannot be guessed, a lock-out would only help those who want to keep the operator out.

    Args:
        token: for everything; ``None``: nothing can be changed over HTTP.
        read_token: for reading; ``None``: reading needs no token.
        failures_per_minute: wrong tokens from one address that are answered 401; more are answered 429.
        clock: for that rate.

    Raises:
        ConfigError: if a token is shorter than 16 characters or not printable ASCII without blanks, or both are
            the same. The error does not contain them.
    """

    def __init__(self, token: str | None, read_token: str | None, failures_per_minute: int, clock: Clock) -> None:
        self._write = _digest_of("token", token)
        self._read = _digest_of("read_token", read_token)
        if self._write is not None and self._write == self._read:
            raise ConfigError("SteeringApi.read_token", _Hidden(read_token), "another text than token")
        self._per_minute = failures_per_minute
        self._clock = clock
        self._failures: OrderedDict[str, Rate] = OrderedDict()
        self._lock = threading.Lock()

    def to_read(self, request: Request) -> None:
        """Let a reading request through, or raise :class:`RefusedError` (401, 429)."""
        if self._read is None:
            return
        given = _given(request)
        if not (_same(given, self._read) | _same(given, self._write)):
            raise self._refusal(request, given)

    def to_write(self, request: Request) -> None:
        """Let a changing request through, or raise :class:`RefusedError` (401, 403, 429)."""
        if self._write is None:
            message = "Nothing can be changed over HTTP here: no token is configured."
            told = f"Configure one in the service: SteeringApi(..., token=...), made by {_MAKE_ONE}"
            raise RefusedError(403, "no_token_configured", message, send=told)
        given = _given(request)
        if _same(given, self._write):
            return
        if _same(given, self._read):
            message = "This token may only read."
            raise RefusedError(403, "read_only_token", message, send=f"{_SEND}, with the token for changes")
        raise self._refusal(request, given)

    def _refusal(self, request: Request, given: bytes | None) -> RefusedError:
        wait, first = self._failed(request.client)
        if wait:
            return too_many("Too many requests with a wrong token or none came from this address.", wait, first)
        message = "The token is not the right one." if given is not None else "A token is needed."
        return RefusedError(401, "unauthorized", message, send=_SEND, headers=(("WWW-Authenticate", "Bearer"),))

    def _failed(self, client: str) -> tuple[int, bool]:
        with self._lock:
            rate = self._failures.pop(client, None) or Rate(self._per_minute, self._clock)
            self._failures[client] = rate
            if len(self._failures) > _MOST_CLIENTS:
                self._failures.popitem(last=False)
        return rate.take()


def too_many(message: str, wait: int, first: bool) -> RefusedError:
    """429, telling when to come again; only the ``first`` in a row is worth an audit record."""
    refusal = RefusedError(
        429,
        "too_many_requests",
        message,
        send=f"the same again in {wait} s",
        headers=(("Retry-After", str(wait)),),
        facts={"retryAfterSeconds": wait},
    )
    refusal.audited = first
    return refusal


def _digest_of(field: str, token: str | None) -> bytes | None:
    if token is None:
        return None
    if not _is_good(token):
        accepted = f"at least {MIN_TOKEN} printable ASCII characters without blanks (make one: {_MAKE_ONE}) or None"
        raise ConfigError(f"SteeringApi.{field}", _Hidden(token), accepted, "None")
    return hashlib.sha256(token.encode()).digest()


def _is_good(token: object) -> bool:
    """Whether it can be a token. It may come from anywhere, so its type is looked at too."""
    if not isinstance(token, str) or len(token) < MIN_TOKEN:
        return False
    return token.isascii() and token.isprintable() and " " not in token


def _given(request: Request) -> bytes | None:
    scheme, _, token = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return None
    return hashlib.sha256(token.strip().encode("utf-8", "surrogatepass")).digest()


def _same(given: bytes | None, wanted: bytes | None) -> bool:
    """Compare in constant time; digests of one length, so that no length is told either."""
    return given is not None and wanted is not None and hmac.compare_digest(given, wanted)

"""Tokens, binding and rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from selfheal.errors import ConfigError
from selfheal.integrations.access import Access, Rate, check_bind
from selfheal.integrations.messages import RefusedError, Request
from selfheal.testing import FakeClock

WRITE = "write-token-0123456789"
READ = "read-token-0123456789"


def _request(authorization: str | None, client: str = "10.0.0.1") -> Request:
    return Request(headers={} if authorization is None else {"Authorization": authorization}, client=client)


def _access(token: str | None = WRITE, read_token: str | None = READ, failures: int = 20) -> Access:
    return Access(token, read_token, failures, FakeClock())


def _refused(check: Callable[[Request], None], request: Request) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        check(request)
    return caught.value


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.10", "::1", "[::1]", "localhost", "LOCALHOST", "::ffff:127.0.0.1"]
)
def test_loopback_needs_no_token(host: str) -> None:
    """An address that only this machine reaches is accepted without a token."""
    check_bind(host, None)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.168.1.5", "10.0.0.1", "example.org", "localhost.example.org", "::ffff:10.0.0.1"]
)
@pytest.mark.parametrize("token", [None, ""])
def test_a_reachable_address_needs_a_token(host: str, token: str | None) -> None:
    """Listening where others reach it is refused without a token, and accepted with one."""
    with pytest.raises(ConfigError, match="loopback"):
        check_bind(host, token)
    check_bind(host, WRITE)


@pytest.mark.parametrize(
    "bad", ["", "short", "x" * 15, "with blank in the token", "tab\tin-the-token-0123", "ü" * 20, 1234567890123456]
)
@pytest.mark.parametrize("which", ["token", "read_token"])
def test_a_token_that_could_be_guessed_is_refused_without_showing_it(bad: Any, which: str) -> None:
    """A short or odd token is a configuration error that does not repeat the token."""
    with pytest.raises(ConfigError, match=f"SteeringApi.{which}") as caught:
        Access(**{"token": None, "read_token": None, which: bad}, failures_per_minute=1, clock=FakeClock())

    assert bad == "" or str(bad) not in str(caught.value)
    assert bad == "" or str(bad) not in repr(caught.value)


def test_both_tokens_must_differ() -> None:
    """One token for both rights would make readers writers."""
    with pytest.raises(ConfigError, match="another text") as caught:
        _access(WRITE, WRITE)

    assert WRITE not in str(caught.value)


@pytest.mark.parametrize("authorization", [f"Bearer {WRITE}", f"bearer   {WRITE} ", f"BEARER {WRITE}"])
def test_the_right_token_may_change_and_read(authorization: str) -> None:
    """The token for changes is accepted whatever the case of the scheme, for both rights."""
    _access().to_write(_request(authorization))
    _access().to_read(_request(authorization))


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {WRITE}",
        f"Bearer {WRITE}x",
        f"Bearer {WRITE[:-1]}",
        WRITE,
        "Bearer \udcff",
        "Bearer ü",
    ],
)
def test_anything_else_is_answered_401(authorization: str | None) -> None:
    """A missing, cut, longer or odd token is unauthorized, with the scheme named and the token not repeated."""
    for refusal in (
        _refused(_access().to_write, _request(authorization)),
        _refused(_access().to_read, _request(authorization)),
    ):
        assert refusal.status == 401
        assert ("WWW-Authenticate", "Bearer") in refusal.headers
        assert WRITE[:-1] not in refusal.response().body.decode()


def test_the_read_token_may_only_read() -> None:
    """The token for reading is recognised, and forbidden to change."""
    _access().to_read(_request(f"Bearer {READ}"))

    refusal = _refused(_access().to_write, _request(f"Bearer {READ}"))
    assert (refusal.status, refusal.code) == (403, "read_only_token")


def test_without_a_read_token_everybody_reads() -> None:
    """Reading is open as long as no token for it is configured."""
    _access(read_token=None).to_read(_request(None))


def test_without_a_token_nothing_is_changed() -> None:
    """Mutations are off until a token is configured, and the answer says how to."""
    refusal = _refused(_access(None, READ).to_write, _request(f"Bearer {READ}"))

    assert (refusal.status, refusal.code) == (403, "no_token_configured")
    assert "SteeringApi(..., token=...)" in str(refusal.send)


def test_wrong_tokens_are_answered_429_after_a_while_and_only_for_that_address() -> None:
    """More wrong tokens a minute than allowed are told to wait; another address and the right token are not."""
    access = _access(failures=3)
    statuses = [_refused(access.to_write, _request("Bearer x")) for _ in range(5)]

    assert [refusal.status for refusal in statuses] == [401, 401, 401, 429, 429]
    assert [refusal.audited for refusal in statuses] == [True, True, True, True, False]
    assert dict(statuses[-1].headers)["Retry-After"] == "20"
    assert _refused(access.to_write, _request("Bearer x", "10.0.0.2")).status == 401
    access.to_write(_request(f"Bearer {WRITE}"))


def test_the_table_of_addresses_is_bounded() -> None:
    """An attacker with many addresses does not fill the memory."""
    access = _access(failures=1)
    for number in range(3000):
        _refused(access.to_write, _request("Bearer x", f"10.0.{number // 256}.{number % 256}"))

    assert len(access._failures) <= 1024


def test_a_rate_refills_with_time() -> None:
    """A bucket lets its number through at once, tells the wait when empty, and fills up again by the clock."""
    clock = FakeClock()
    rate = Rate(6, clock)

    assert [rate.take()[0] for _ in range(7)] == [0, 0, 0, 0, 0, 0, 10]
    clock.advance(9.9)
    assert rate.take() == (1, False)
    clock.advance(0.2)
    assert rate.take() == (0, False)
    clock.advance(1e6)
    assert [rate.take()[0] for _ in range(7)] == [0, 0, 0, 0, 0, 0, 10]


def test_only_the_first_refusal_in_a_row_is_marked() -> None:
    """A flood leaves one audit record, and the next flood another."""
    clock = FakeClock()
    rate = Rate(1, clock)

    assert [rate.take()[1] for _ in range(4)] == [False, True, False, False]
    clock.advance(60)
    assert [rate.take()[1] for _ in range(3)] == [False, True, False]

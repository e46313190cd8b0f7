"""The gateway answers every request it can: by the provider, else by itself, and writes down which."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.reference_app.gateway import Gateway
from examples.reference_app.keys import VARIABLE, KeyPool
from examples.reference_app.request_log import RequestLog
from examples.reference_app.upstream import DocumentRefusedError, ProviderFailedError, UnauthorizedError, Upstream
from selfheal import CircuitBreaker, EventBus
from selfheal.policies.breaker import BreakerRegistry
from selfheal.testing import FakeClock

TEXT = "The first sentence has enough words in it. The second one is about the provider and its keys."


class Provider(Upstream):
    """An upstream that answers, or raises what it is told to."""

    def __init__(self, directory: Path) -> None:
        super().__init__(lambda: None, KeyPool(directory, {VARIABLE: "a"}))
        self.calls = 0
        self.error: Exception | None = None

    def summarise(self, text: str, sentences: int = 3) -> str:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return f"summary of {len(text)} characters in {sentences} sentences"


class Parts:
    """A gateway on the virtual clock, and what it is made of."""

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock()
        self.provider = Provider(directory)
        self.log = RequestLog(directory / "requests.sqlite")
        self.breaker = CircuitBreaker(
            "provider",
            clock=self.clock,
            events=EventBus(),
            registry=BreakerRegistry(),
            ignore=(DocumentRefusedError,),
        )
        self.gateway = Gateway(self.provider, self.breaker, self.log, self.clock)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(tmp_path)
    yield made
    made.log.close()


def test_the_provider_answers(parts: Parts) -> None:
    """Its summary is the reply, not degraded, and the request is kept as ok."""
    reply = parts.gateway.summarise("a", TEXT, 2)

    assert (reply.provider, reply.degraded, reply.reason) == ("upstream", False, "")
    assert reply.summary == f"summary of {len(TEXT)} characters in 2 sentences"
    assert (parts.log.tally().ok, parts.log.tally().degraded) == (1, 0)


def test_a_failing_provider_is_replaced_by_the_local_summary(parts: Parts) -> None:
    """The reply says that it is degraded and why; the request is kept as such."""
    parts.provider.error = ProviderFailedError("the provider answered 503: away")

    reply = parts.gateway.summarise("a", TEXT, 1)

    assert (reply.provider, reply.degraded) == ("local", True)
    assert reply.summary == "The first sentence has enough words in it."
    assert reply.reason == "the provider answered 503: away"
    assert (parts.log.tally().degraded, parts.log.last_error()) == (1, reply.reason)


def test_three_failures_open_the_breaker_and_a_probe_closes_it(parts: Parts) -> None:
    """While it is open the provider is left alone; a minute later one call goes through again."""
    parts.provider.error = ProviderFailedError("the provider answered 503: away")
    for _ in range(6):
        parts.gateway.summarise("a", TEXT)
    assert parts.provider.calls == 3
    assert parts.breaker.state == "OPEN"
    parts.provider.error = None
    parts.clock.advance(60.0)

    reply = parts.gateway.summarise("a", TEXT)

    assert reply.provider == "upstream"
    assert parts.breaker.state == "CLOSED"


def test_unauthorized_opens_it_for_good(parts: Parts) -> None:
    """No time brings the provider back into use after its refusal of the keys."""
    parts.provider.error = UnauthorizedError("unauthorized: the provider refused every key it was shown (1)")
    parts.gateway.summarise("a", TEXT)
    parts.provider.error = None
    parts.clock.advance(86_400.0)

    reply = parts.gateway.summarise("a", TEXT)

    assert reply.degraded
    assert "permanently open" in reply.reason
    assert parts.provider.calls == 1


def test_a_bad_document_is_no_failure_of_the_provider(parts: Parts) -> None:
    """However many there are, the breaker stays closed; each is kept as rejected."""
    parts.provider.error = DocumentRefusedError("there is no sentence to summarise")
    for _ in range(5):
        with pytest.raises(DocumentRefusedError):
            parts.gateway.summarise("a", TEXT)

    assert parts.breaker.state == "CLOSED"
    assert parts.log.tally().rejected == 5


def test_a_document_that_nobody_can_summarise_is_refused(parts: Parts) -> None:
    """With the provider away and no sentence in the text there is nothing to fall back to."""
    parts.provider.error = ProviderFailedError("away")

    with pytest.raises(DocumentRefusedError, match="no sentence"):
        parts.gateway.summarise("a", " \n\n ")
    assert parts.log.tally().rejected == 1


def test_an_unforeseen_error_is_not_hidden(parts: Parts) -> None:
    """What is no failure of the provider is no reason for a degraded reply."""
    parts.provider.error = ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        parts.gateway.summarise("a", TEXT)

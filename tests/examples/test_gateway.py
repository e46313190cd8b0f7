"""The gateway answers every request it can: by the provider, else by itself, and writes down which."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.reference_app.cache import SummaryCache
from examples.reference_app.gateway import LOCAL, UPSTREAM, Gateway, provider_limit
from examples.reference_app.keys import VARIABLE, KeyPool
from examples.reference_app.request_log import RequestLog
from examples.reference_app.summary import lead
from examples.reference_app.upstream import (
    PROBE,
    DocumentRefusedError,
    ProviderFailedError,
    ProviderOverloadedError,
    ProviderSlowError,
    ProviderUnreachableError,
    UnauthorizedError,
    Upstream,
)
from examples.reference_app.workers import NoLocalSummaryError
from selfheal import CircuitBreaker, EventBus
from selfheal.errors import ConcurrencyLimitedError
from selfheal.policies.breaker import BreakerRegistry
from selfheal.resources import Criticality
from selfheal.testing import FakeClock

TEXT = "The first sentence has enough words in it. The second one is about the provider and its keys."


class Provider(Upstream):
    """An upstream that answers, or raises what it is told to."""

    def __init__(self, directory: Path) -> None:
        super().__init__(lambda: None, KeyPool(directory, {VARIABLE: "a"}))
        self.calls = 0
        self.probes = 0
        self.error: Exception | None = None

    def summarise(self, text: str, sentences: int = 3) -> str:
        if text == PROBE:
            self.probes += 1
        else:
            self.calls += 1
        if self.error is not None:
            raise self.error
        return f"summary of {len(text)} characters in {sentences} sentences"


class Workers:
    """Local summaries, made here and now, or refused as told."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked: list[Criticality] = []

    def summarise(self, text: str, sentences: int, criticality: Criticality = Criticality.DEFAULT) -> str:
        self.asked.append(criticality)
        if self.error is not None:
            raise self.error
        try:
            return lead(text, sentences).text
        except ValueError as error:
            raise DocumentRefusedError(str(error)) from error


class Parts:
    """A gateway on the virtual clock, and what it is made of."""

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock()
        self.events = EventBus()
        self.provider = Provider(directory)
        self.log = RequestLog(directory / "requests.sqlite")
        self.breaker = CircuitBreaker(
            "provider",
            clock=self.clock,
            events=self.events,
            registry=BreakerRegistry(),
            ignore=(DocumentRefusedError, ConcurrencyLimitedError),
        )
        self.workers = Workers()
        self.cache = SummaryCache(enabled=False)
        self.limit = provider_limit(2, self.clock)
        self.gateway = Gateway(
            self.provider,
            self.breaker,
            self.workers,
            self.log,
            cache=self.cache,
            limit=self.limit,
            events=self.events,
            clock=self.clock,
        )

    def fail(self, times: int = 3) -> None:
        self.provider.error = ProviderFailedError("the provider answered 503: away")
        for _ in range(times):
            self.gateway.summarise("a", TEXT)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(tmp_path)
    yield made
    made.gateway.close()
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


def test_three_failures_switch_to_the_workers_and_probes_switch_back(parts: Parts) -> None:
    """While the breaker is open the provider is left alone by requests; probes that succeed bring it back into use."""
    parts.fail(6)
    assert parts.provider.calls == 3
    assert (parts.breaker.state, parts.gateway.fallback.active) == ("OPEN", LOCAL)
    parts.provider.error = None
    for _ in range(7):
        parts.clock.advance(10.0)
        parts.gateway.fallback.check()

    reply = parts.gateway.summarise("a", TEXT)

    assert parts.provider.probes >= 2
    assert reply.provider == "upstream"
    assert (parts.breaker.state, parts.gateway.fallback.active) == ("CLOSED", UPSTREAM)


def test_a_single_failure_is_no_switch(parts: Parts) -> None:
    """That request is answered locally, the next one tries the provider again."""
    parts.fail(1)
    parts.provider.error = None

    assert parts.gateway.fallback.active == UPSTREAM
    assert parts.gateway.summarise("a", TEXT).provider == "upstream"


def test_closing_the_breaker_is_the_way_back(parts: Parts) -> None:
    """A healing or a person who resets it need not wait for probes; the event says who."""
    parts.fail(4)
    parts.provider.error = None
    parts.breaker.reset(reason="mended", by="healer")

    shown = parts.gateway.fallback.snapshot()

    assert (shown.active, shown.by) == (UPSTREAM, "healer")
    assert parts.gateway.summarise("a", TEXT).provider == "upstream"


def test_a_person_who_holds_the_fallback_is_obeyed(parts: Parts) -> None:
    """Neither a breaker that closes nor probes end what a person wants to last."""
    parts.gateway.fallback.switch(LOCAL, reason="the provider is being moved", by="operator", hold=True)
    parts.breaker.trip("a test")
    parts.breaker.reset(reason="mended", by="healer")
    parts.clock.advance(600.0)
    parts.gateway.fallback.check()

    reply = parts.gateway.summarise("a", TEXT)

    assert (reply.provider, reply.reason) == ("local", "the provider is being moved")


def test_workers_that_do_not_answer_are_a_refusal(parts: Parts) -> None:
    """It is kept as rejected, and the caller is told."""
    parts.workers.error = NoLocalSummaryError("no worker made the summary within 5 s")
    parts.provider.error = ProviderFailedError("away")

    with pytest.raises(NoLocalSummaryError):
        parts.gateway.summarise("a", TEXT)
    assert parts.log.tally().rejected == 1


def test_the_criticality_of_a_request_reaches_the_queue(parts: Parts) -> None:
    """What a client may lose is put behind the rest, however the fallback came about."""
    parts.provider.error = ProviderFailedError("away")
    for _ in range(4):
        parts.gateway.summarise("a", TEXT, 1, Criticality.SHEDDABLE)

    assert parts.workers.asked == [Criticality.SHEDDABLE] * 4


def test_a_cache_that_is_on_answers_what_was_bought(parts: Parts) -> None:
    """The same text in the same length costs one call; with the provider away it is answered all the same."""
    parts.cache.enable()
    first = parts.gateway.summarise("a", TEXT, 2)
    parts.provider.error = ProviderFailedError("away")

    second = parts.gateway.summarise("b", TEXT, 2)

    assert (second.summary, second.provider, second.degraded) == (first.summary, "cache", False)
    assert parts.provider.calls == 1
    assert parts.gateway.summarise("b", TEXT, 1).provider == "local"


def test_a_cache_that_is_off_changes_nothing(parts: Parts) -> None:
    """Each request is a call of the provider."""
    parts.gateway.summarise("a", TEXT)
    parts.gateway.summarise("a", TEXT)

    assert parts.provider.calls == 2
    assert len(parts.cache) == 0


def test_as_many_as_the_provider_can_take_and_no_failure(parts: Parts) -> None:
    """A request that finds the limit reached is answered locally, and neither breaker nor switch hold it against it."""
    held = [parts.limit.acquire(), parts.limit.acquire()]

    replies = [parts.gateway.summarise("a", TEXT) for _ in range(5)]

    assert {(reply.provider, reply.degraded) for reply in replies} == {("local", True)}
    assert "'provider'" in replies[0].reason
    circuit = parts.breaker.snapshot()
    assert (circuit.state, circuit.failures, circuit.ignored, parts.provider.calls) == ("CLOSED", 0, 5, 0)
    assert (parts.gateway.fallback.active, parts.gateway.limit_section()["refused"]) == (UPSTREAM, 5)
    held[0].drop()
    assert parts.gateway.summarise("a", TEXT).provider == "upstream"


def test_the_limit_does_not_keep_probes_away(parts: Parts) -> None:
    """With every place taken, by calls that hang, the way back is found all the same."""
    parts.fail(4)
    parts.provider.error = None
    held = [parts.limit.acquire() for _ in range(2)]
    for _ in range(7):
        parts.clock.advance(10.0)
        parts.gateway.fallback.check()

    assert (len(held), parts.gateway.fallback.active) == (2, UPSTREAM)


@pytest.mark.parametrize(
    ("error", "became"),
    [
        (None, "succeeded"),
        (ProviderSlowError("the provider does not answer: timed out"), "failed"),
        (ProviderOverloadedError("the provider answered 503: too much to do"), "failed"),
        (ProviderFailedError("the provider answered 500: a bug"), "dropped"),
        (ProviderUnreachableError("the provider does not run"), "dropped"),
        (UnauthorizedError("unauthorized: the provider refused every key it was shown (1)"), "dropped"),
    ],
)
def test_only_load_is_held_against_the_limit(parts: Parts, error: Exception | None, became: str) -> None:
    """How a call ends tells the limit what is to be learnt from it."""
    parts.provider.error = error
    parts.gateway.summarise("a", TEXT)

    shown = parts.gateway.limit_section()

    assert {what: shown[what] for what in ("succeeded", "failed", "dropped")} == {
        what: int(what == became) for what in ("succeeded", "failed", "dropped")
    }
    assert shown["inFlight"] == 0


def test_unauthorized_opens_it_for_good(parts: Parts) -> None:
    """No time brings the provider back into use after its refusal of the keys."""
    parts.provider.error = UnauthorizedError("unauthorized: the provider refused every key it was shown (1)")
    parts.gateway.summarise("a", TEXT)
    parts.provider.error = None
    for _ in range(10):
        parts.clock.advance(8_640.0)
        parts.gateway.fallback.check()

    reply = parts.gateway.summarise("a", TEXT)

    assert reply.degraded
    assert reply.reason.startswith("circuit 'provider' is PERMANENT_OPEN: ")
    assert (parts.provider.calls, parts.provider.probes) == (1, 0)


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

"""What the service is for: summaries, from the provider while it can, from its own workers while it cannot."""

from __future__ import annotations

import logging
from typing import Any, Protocol

import attrs

from examples.reference_app.cache import SummaryCache
from examples.reference_app.calls import Calls
from examples.reference_app.keys import NoActiveKeysError
from examples.reference_app.request_log import Entry, RequestLog
from examples.reference_app.upstream import PROBE, TOO_MUCH, DocumentRefusedError, Upstream, UpstreamError
from examples.reference_app.workers import NoLocalSummaryError
from selfheal import CircuitBreaker
from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ConcurrencyLimitedError
from selfheal.events import DEFAULT_BUS, BreakerStateChanged, EventBus
from selfheal.levers import FallbackSwitch
from selfheal.policies.breaker import BreakerState
from selfheal.resources import AdaptiveLimit, Criticality

logger = logging.getLogger("reference_app.gateway")

UPSTREAM, LOCAL = "upstream", "local"


class LocalSummaries(Protocol):
    """What makes the local summaries."""

    def summarise(self, text: str, sentences: int, criticality: Criticality = ..., /) -> str:
        """Summarise ``text``; may raise ``DocumentRefusedError`` and ``NoLocalSummaryError``."""


class NotWellError(Exception):
    """The provider is not to be used again yet."""


@attrs.frozen(kw_only=True)
class Reply:
    """The answer to one request.

    Args:
        summary: the text.
        provider: ``upstream``, ``local``, or ``cache`` for one that the provider made before.
        degraded: whether it is the local fallback's, which is worse.
        reason: why it is degraded; empty otherwise.
        id: number of the request in the log: it was written down before this was sent.
    """

    summary: str
    provider: str
    degraded: bool
    reason: str
    id: int = 0


@attrs.frozen(kw_only=True)
class WayBack:
    """When the provider is used again without anybody's help. Times are seconds.

    Args:
        probe_every: between two probes.
        minimum_stay: what the local summaries are used for at least.
        return_after: successful probes in a row.
    """

    probe_every: float = 10.0
    minimum_stay: float = 60.0
    return_after: int = 2


def provider_limit(most: int = 16, clock: Clock = SYSTEM_CLOCK) -> AdaptiveLimit:
    """How many requests may be with the provider at once: found from how long it takes, and at most ``most``.

    A slot that ends with a summary is a success; one in which the time was up or the provider had too much to do, a
    failure. Any other end, such as a refused key or a dead process, says nothing about load, and is dropped.
    """
    return AdaptiveLimit(min(10, most), maximum=most, name="provider", failures=TOO_MUCH, clock=clock)


class Gateway:
    """Summaries under a circuit breaker, with a local fallback and a cache, each request written down.

    Calls go to the provider until its breaker opens, and from then on to the local workers, without a try.
    They go back when the breaker is closed, by a healing or a person, or when probes have shown that the provider is
    well. A single failure of the provider costs no switch: that request is answered locally, the next one tries.
    So is one that finds as many calls under way as the provider can take, which is no failure at all.

    Args:
        upstream: the provider.
        breaker: guards every call to it that a request causes. It must ignore ``ConcurrencyLimitedError``.
        local: the fallback.
        log: where requests are kept.
        cache: summaries that the provider made before.
        limit: how many requests may be with the provider at once. Probes and healings pass it by.
        back: when the provider is used again.
        events: where breaker and switch tell what they do.
        clock: for the time of a request and how long it took.

    Attributes:
        limit: how many requests may be with the provider.
        calls: what became of the latest requests.
        fallback: the switch between provider and workers.
    """

    def __init__(
        self,
        upstream: Upstream,
        breaker: CircuitBreaker,
        local: LocalSummaries,
        log: RequestLog,
        *,
        cache: SummaryCache | None = None,
        limit: AdaptiveLimit | None = None,
        back: WayBack | None = None,
        events: EventBus = DEFAULT_BUS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._upstream = upstream
        self._breaker = breaker
        self._local = local
        self._log = log
        self._cache = SummaryCache() if cache is None else cache
        self.limit = provider_limit(clock=clock) if limit is None else limit
        self._clock = clock
        self.calls = Calls()
        way = back or WayBack()
        self.fallback = FallbackSwitch(
            "summaries",
            {UPSTREAM: self._from_upstream, LOCAL: self._from_workers},
            breakers={UPSTREAM: breaker},
            probes={UPSTREAM: self._probe},
            events=events,
            clock=clock,
            probe_every=way.probe_every,
            minimum_stay=way.minimum_stay,
            return_after=way.return_after,
        )
        self._watching = events.subscribe(self._breaker_moved, BreakerStateChanged, inline=True)

    def close(self) -> None:
        """Follow the breaker no more."""
        self._watching.cancel()

    def summarise(
        self, document: str, text: str, sentences: int = 3, criticality: Criticality = Criticality.DEFAULT
    ) -> Reply:
        """Answer one request. Blocks for as long as the provider or a worker takes: call it in a thread.

        Args:
            document: what the client calls the text; for the log.
            text: what to summarise.
            sentences: how many to choose, 1 and more.
            criticality: how much it matters, to the workers' queue.

        Raises:
            DocumentRefusedError: if nobody could summarise this text.
            NoLocalSummaryError: if neither the provider nor a worker gave a summary.
            NotKeptError: if the request cannot be written down.
        """
        began = self._clock.monotonic()
        try:
            reply = self._reply(text, sentences, criticality)
        except (DocumentRefusedError, NoLocalSummaryError) as refused:
            self._keep(document, text, "rejected", "", str(refused), began)
            raise
        outcome = "degraded" if reply.degraded else "ok"
        number = self._keep(document, text, outcome, reply.provider, reply.reason, began)
        return attrs.evolve(reply, id=number)

    def limit_section(self) -> dict[str, Any]:
        """How many requests may be with the provider at once, for the status; ``latency`` in milliseconds."""
        shown = self.limit.snapshot()
        return {
            "limit": shown.limit,
            "inFlight": shown.in_flight,
            "succeeded": shown.succeeded,
            "failed": shown.failed,
            "dropped": shown.dropped,
            "refused": shown.refused,
            "latency": None if shown.latency is None else round(shown.latency * 1000),
        }

    def fallback_section(self) -> dict[str, Any]:
        """Who makes the summaries, for the status; ``since`` in milliseconds."""
        shown = self.fallback.snapshot()
        return {
            "active": shown.active,
            "reason": shown.reason,
            "since": round(shown.since * 1000),
            "switches": shown.switches,
            "lastProbeError": shown.last_probe_error,
        }

    def _reply(self, text: str, sentences: int, criticality: Criticality) -> Reply:
        kept = self._cache.get(text, sentences)
        if kept is not None:
            return Reply(summary=kept, provider="cache", degraded=False, reason="")
        try:
            reply: Reply = self.fallback.call(text, sentences, criticality)
        except (UpstreamError, NoActiveKeysError) as failure:
            logger.warning("the provider failed: %s", failure)
            self.calls.asked(failed=True)
            return self._locally(text, sentences, criticality, str(failure))
        except NoLocalSummaryError:
            self.calls.asked(failed=True)
            raise
        except ConcurrencyLimitedError as refused:
            return self._locally(text, sentences, criticality, str(refused))
        self.calls.asked(failed=False)
        return reply

    def _from_upstream(self, text: str, sentences: int, criticality: Criticality) -> Reply:
        with self.limit.slot():
            made = self._upstream.summarise(text, sentences)
        self._cache.keep(text, sentences, made)
        return Reply(summary=made, provider=UPSTREAM, degraded=False, reason="")

    def _from_workers(self, text: str, sentences: int, criticality: Criticality) -> Reply:
        circuit = self._breaker.snapshot()
        if circuit.state == BreakerState.CLOSED:
            return self._locally(text, sentences, criticality, self.fallback.snapshot().reason)
        return self._locally(
            text, sentences, criticality, f"circuit {circuit.name!r} is {circuit.state}: {circuit.reason}"
        )

    def _locally(self, text: str, sentences: int, criticality: Criticality, reason: str) -> Reply:
        made = self._local.summarise(text, sentences, criticality)
        return Reply(summary=made, provider=LOCAL, degraded=True, reason=reason)

    def _probe(self) -> None:
        """Whether the provider is well again; asked past its breaker, which may be far from asking by itself."""
        if self._breaker.state == BreakerState.PERMANENT_OPEN:
            raise NotWellError(f"circuit {self._breaker.name!r} is PERMANENT_OPEN: a person must reset it")
        self._upstream.summarise(PROBE, 1)

    def _breaker_moved(self, event: BreakerStateChanged) -> None:
        """Whoever closed the breaker says that the provider is well: no need to wait for probes."""
        if event.breaker != self._breaker.name or event.new != BreakerState.CLOSED:
            return
        if self.fallback.active != UPSTREAM and not self.fallback.snapshot().held:
            self.fallback.return_to(f"circuit {event.breaker!r} was closed: {event.reason}", event.by)

    def _keep(self, document: str, text: str, outcome: str, provider: str, error: str, began: float) -> int:
        took = self._clock.monotonic() - began
        if outcome != "rejected":
            self.calls.answered(took)
        return self._log.add(
            Entry(
                at=self._clock.wall(),
                document=document,
                size=len(text),
                outcome=outcome,
                provider=provider,
                error=error,
                duration_ms=took * 1000,
            )
        )

"""What the service is for: summaries, from the provider while it can, from itself while it cannot."""

from __future__ import annotations

import logging

import attrs

from examples.reference_app.keys import NoActiveKeysError
from examples.reference_app.request_log import Entry, RequestLog
from examples.reference_app.summary import lead
from examples.reference_app.upstream import DocumentRefusedError, Upstream, UpstreamError
from selfheal import CircuitBreaker, CircuitOpenError
from selfheal.clock import SYSTEM_CLOCK, Clock

logger = logging.getLogger("reference_app.gateway")


@attrs.frozen(kw_only=True)
class Reply:
    """The answer to one request.

    Args:
        summary: the text.
        provider: ``upstream`` or ``local``.
        degraded: whether it is the local fallback's, which is worse.
        reason: why it is degraded; empty otherwise.
    """

    summary: str
    provider: str
    degraded: bool
    reason: str


class Gateway:
    """Summaries under a circuit breaker, with a local fallback, each request written down.

    Args:
        upstream: the provider.
        breaker: guards every call to it that a request causes.
        log: where requests are kept.
        clock: for the time of a request and how long it took.
    """

    def __init__(
        self, upstream: Upstream, breaker: CircuitBreaker, log: RequestLog, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._upstream = upstream
        self._breaker = breaker
        self._log = log
        self._clock = clock

    def summarise(self, document: str, text: str, sentences: int = 3) -> Reply:
        """Answer one request. Blocks for as long as the provider takes: call it in a thread.

        Args:
            document: what the client calls the text; for the log.
            text: what to summarise.
            sentences: how many to choose, 1 and more.

        Raises:
            DocumentRefusedError: if nobody could summarise this text.
        """
        began = self._clock.monotonic()
        try:
            reply = self._reply(text, sentences)
        except DocumentRefusedError as refused:
            self._keep(document, text, "rejected", "", str(refused), began)
            raise
        outcome = "degraded" if reply.degraded else "ok"
        self._keep(document, text, outcome, reply.provider, reply.reason, began)
        return reply

    def _reply(self, text: str, sentences: int) -> Reply:
        try:
            made = self._breaker.call(self._upstream.summarise, text, sentences)
        except CircuitOpenError as refusal:
            return self._fallback(text, sentences, str(refusal))
        except (UpstreamError, NoActiveKeysError) as failure:
            logger.warning("the provider failed: %s", failure)
            return self._fallback(text, sentences, str(failure))
        return Reply(summary=made, provider="upstream", degraded=False, reason="")

    def _fallback(self, text: str, sentences: int, reason: str) -> Reply:
        try:
            made = lead(text, sentences)
        except ValueError as error:
            raise DocumentRefusedError(str(error)) from error
        return Reply(summary=made.text, provider="local", degraded=True, reason=reason)

    def _keep(self, document: str, text: str, outcome: str, provider: str, error: str, began: float) -> None:
        self._log.add(
            Entry(
                at=self._clock.wall(),
                document=document,
                size=len(text),
                outcome=outcome,
                provider=provider,
                error=error,
                duration_ms=(self._clock.monotonic() - began) * 1000,
            )
        )

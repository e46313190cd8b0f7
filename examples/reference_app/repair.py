"""Healing: what the app does about an alert. It tries for real, and raises when it cannot."""

from __future__ import annotations

import logging
from collections.abc import Callable

from examples.reference_app.keys import ApiKey, KeyPool
from examples.reference_app.provider_process import ProviderProcess
from examples.reference_app.upstream import PROBE, ProviderUnreachableError, Upstream
from selfheal import Alert, CircuitBreaker, FeatureFlags
from selfheal.healing import HealingResult

logger = logging.getLogger("reference_app.repair")


class NeedsAPersonError(Exception):
    """Everything that can be repaired is, and yet a person has to act."""


class Repair:
    """Brings the provider back into use, whichever alert says that it is out of use.

    In this order: there must be a key; the process must run; refused keys are shown to the provider again;
    the provider must summarise a text; the gateway's breaker is closed. A breaker that is permanently open, and
    summary workers that gave up, are for a person to reset, so that is where repair ends.

    The calls made here run under the healer's own breaker, not the gateway's.

    Args:
        keys: the keys to call the provider with.
        process: restarted when it is dead, or does not answer.
        upstream: to try keys and the provider.
        breaker: the gateway's breaker, closed after a successful probe.
        flags: with process monitoring switched off the process is not touched.
        workers_failed: why the summary workers gave up; empty if they did not.
    """

    def __init__(
        self,
        *,
        keys: KeyPool,
        process: ProviderProcess,
        upstream: Upstream,
        breaker: CircuitBreaker,
        flags: FeatureFlags,
        workers_failed: Callable[[], str] = str,
    ) -> None:
        self._keys = keys
        self._process = process
        self._upstream = upstream
        self._breaker = breaker
        self._flags = flags
        self._workers_failed = workers_failed

    def heal(self, alert: Alert, checkpoint: Callable[[], None]) -> str:
        """Repair what ``alert`` is about; returns what was done.

        Args:
            alert: what detection found.
            checkpoint: called before each step; raises if it is not to go on: a flag may have been switched off.

        Raises:
            NoActiveKeysError: if no key is there, or none is accepted.
            UpstreamError: if the provider cannot be brought to summarise.
            NeedsAPersonError: if all works again, except what a person must reset.
        """
        logger.info("healing %s", alert.fingerprint)
        done = [self._ensure_running()]
        checkpoint()
        done += self._answering(self._keys.refused())
        checkpoint()
        done.append(self._close())
        if why := self._workers_failed():
            raise NeedsAPersonError(f"the provider answers, and the summary workers gave up: {why}")
        return _told(done)

    def prevent(self) -> HealingResult:
        """The same before anything is wrong, every key included; the result says what was done.

        Raises:
            NoActiveKeysError: if no key is accepted.
            UpstreamError: if the provider cannot be brought to summarise.
        """
        done = [self._ensure_running(), *self._answering(self._keys.all())]
        return HealingResult(success=True, reason=_told(done))

    def _ensure_running(self) -> str:
        if self._process.alive() or not self._flags.process_monitoring:
            return ""
        self._process.start()
        return "started the provider"

    def _answering(self, keys: tuple[ApiKey, ...]) -> list[str]:
        """Try ``keys`` and a summary; a provider that runs and gives no answer at all is restarted, once."""
        try:
            return self._try(keys)
        except ProviderUnreachableError as silence:
            if not self._flags.process_monitoring:
                raise
            logger.warning("restarting the provider: %s", silence)
            self._process.restart()
            return ["restarted the provider", *self._try(keys)]

    def _try(self, keys: tuple[ApiKey, ...]) -> list[str]:
        accepted = [self._upstream.validate(key) for key in keys]
        self._keys.need_active()
        self._upstream.summarise(PROBE, 1)
        return [f"{sum(accepted)} of {len(accepted)} keys accepted" if accepted else "", "the provider answers"]

    def _close(self) -> str:
        state = self._breaker.state
        if state == "PERMANENT_OPEN":
            raise NeedsAPersonError(
                f"the provider answers, and circuit {self._breaker.name!r} is PERMANENT_OPEN: a person must reset it"
            )
        if state not in ("OPEN", "HALF_OPEN"):
            return ""
        self._breaker.reset(reason="the provider answers again", by="healer")
        return f"closed circuit {self._breaker.name!r}"


def _told(steps: list[str]) -> str:
    return ", ".join(step for step in steps if step)

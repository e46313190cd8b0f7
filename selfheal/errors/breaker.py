"""What circuit breakers raise."""

from __future__ import annotations

from selfheal.errors.base import SelfhealError


class CircuitOpenError(SelfhealError):
    """A breaker refused a call. The guarded function was not called.

    Raised as ``CircuitOpenError(breaker, state, retry_after, reason)``. There is no Python-level
    ``__init__`` and the message is made only when read: a refusal has to be cheap.
    """

    @property
    def breaker(self) -> str:
        """Name of the breaker that refused."""
        return str(self.args[0])

    @property
    def state(self) -> str:
        """State that refused: ``OPEN``, ``HALF_OPEN``, ``PERMANENT_OPEN`` or ``FORCED_OPEN``."""
        return str(self.args[1])

    @property
    def retry_after(self) -> float | None:
        """Seconds until a call may be let through; ``None`` when only a person can say."""
        wait = float(self.args[2])
        return wait if wait < float("inf") else None

    @property
    def reason(self) -> str | None:
        """Why the circuit is open, where known."""
        return None if self.args[3] is None else str(self.args[3])

    def __str__(self) -> str:
        state = {"PERMANENT_OPEN": "permanently open"}.get(self.state) or self.state.lower().replace("_", " ")
        because = f" ({self.reason})" if self.reason else ""
        head = f"circuit {self.breaker!r} is {state}{because}: call rejected, not attempted."
        if self.state == "PERMANENT_OPEN":
            return f"{head} Time does not close it: call reset(force=True) once the cause is fixed."
        if self.state == "FORCED_OPEN":
            return f"{head} It is held open by hand: call reset() to let calls through."
        if self.state == "HALF_OPEN":
            return f"{head} Its probes are under way: retry in {self.retry_after or 0.0:.1f} s."
        return f"{head} Retry in {self.retry_after or 0.0:.1f} s, or call reset() once it is fixed."


class CircuitConflictError(SelfhealError, ValueError):
    """A breaker of this name exists with another configuration.

    Attributes:
        breaker: the name.
        existing: the settings of the one there is, as text.
        requested: the settings asked for, as text.
    """

    def __init__(self, breaker: str, existing: str, requested: str) -> None:
        super().__init__(breaker, existing, requested)
        self.breaker = breaker
        self.existing = existing
        self.requested = requested

    def __str__(self) -> str:
        return (
            f"circuit {self.breaker!r} exists with another configuration.\n"
            f"  existing:  {self.existing}\n"
            f"  requested: {self.requested}\n"
            "Use one configuration for one name, another name, or another registry=BreakerRegistry()."
        )


class ResetRefusedError(SelfhealError):
    """``reset()`` without ``force=True`` cannot close a permanently open circuit.

    Attributes:
        breaker: the name.
        reason: why it is permanently open.
    """

    def __init__(self, breaker: str, reason: str) -> None:
        super().__init__(breaker, reason)
        self.breaker = breaker
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"circuit {self.breaker!r} is permanently open ({self.reason}). Fix the cause, then call "
            "reset(force=True, reason=..., by=...)."
        )

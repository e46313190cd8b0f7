"""What healing and dormancy raise."""

from __future__ import annotations

from selfheal.errors.base import SelfhealError


class ResumeRefusedError(SelfhealError):
    """The healer stays dormant.

    Attributes:
        why: what stood against it.
        failed_check: name of the resume check that failed, or ``None``.
    """

    def __init__(self, why: str, failed_check: str | None = None) -> None:
        super().__init__(why, failed_check)
        self.why = why
        self.failed_check = failed_check

    def __str__(self) -> str:
        if self.failed_check is None:
            return f"cannot resume: {self.why}."
        return f"cannot resume: check {self.failed_check!r} failed: {self.why}. Fix it, then call resume() again."


class HealingFailedError(SelfhealError):
    """A healing did not heal.

    For a healing to raise; and what a breaker is shown where a healing says so without raising.

    Attributes:
        why: in words.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return self.why


class HealingInterruptedError(SelfhealError):
    """A healing in progress was told to stop. Let it pass: it is no failure.

    Attributes:
        guard: what stands against going on (``flags``, ``dormancy``, ``stopped``).
        reason: in words.
    """

    def __init__(self, guard: str, reason: str) -> None:
        super().__init__(guard, reason)
        self.guard = guard
        self.reason = reason

    def __str__(self) -> str:
        return f"the healing stops before its next action: {self.reason}."


class ActionTimeoutError(SelfhealError):
    """An action did not come to its end in time; whether it took effect is in doubt.

    Attributes:
        what: which call of which action.
        timeout: seconds it was given.
    """

    def __init__(self, what: str, timeout: float) -> None:
        super().__init__(what, timeout)
        self.what = what
        self.timeout = timeout

    def __str__(self) -> str:
        return f"{self.what} did not end within {self.timeout:g} s and was given up: find out what it hangs on."


class SagaError(SelfhealError):
    """A step of a healing was moved as it cannot be: a journal that does not fit together.

    Attributes:
        why: in words.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return f"{self.why}: the journal of this healing does not fit together; look at it before going on."

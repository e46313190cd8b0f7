"""Every error selfheal raises. Catch :class:`SelfhealError` for all of them.

::

    SelfhealError
    ├── ConfigError (ValueError)            a value is not accepted: where, what was found, what is
    ├── MissingExtraError (ImportError)     an optional package is not installed; prints the pip command
    ├── CircuitOpenError                    a breaker refused the call; it was not attempted
    ├── CircuitConflictError (ValueError)   the name is taken by a breaker of another configuration
    ├── ResetRefusedError                   PERMANENT_OPEN is left by reset(force=True) alone
    ├── ResumeRefusedError                  dormancy stays: no reason given, or a check failed
    ├── HealingFailedError                  a healing says that it did not heal
    ├── HealingInterruptedError             a healing in progress was told to stop before its next action
    ├── TaskError
    │   ├── TaskLimitError                  the registry is full; lists the tasks it holds
    │   ├── TaskExistsError                 the id is taken and replace=False
    │   └── RegistryStoppedError            the registry was shut down and takes no more tasks
    ├── NotFoundError (KeyError)            no breaker, task or flag of this name; lists those there are
    └── StateError                          a stored record cannot be read or written

Each says what happened, to which named thing, and what to do next; carries the values as
attributes; and survives ``pickle`` and ``copy.deepcopy`` with them.
"""

from __future__ import annotations

from collections.abc import Iterable


class SelfhealError(Exception):
    """Base of every error that selfheal raises on its own account."""


class ConfigError(SelfhealError, ValueError):
    """A setting is not accepted.

    Attributes:
        where: the setting, as a person would write it (``BreakerConfig.open_for``).
        found: the value that was given.
        accepted: what is accepted, in words.
        default: the default in words, or ``None`` where there is none.
    """

    def __init__(self, where: str, found: object, accepted: str, default: str | None = None) -> None:
        super().__init__(where, found, accepted, default)
        self.where = where
        self.found = found
        self.accepted = accepted
        self.default = default

    def __str__(self) -> str:
        told = f"{self.where} must be {self.accepted}, got {self.found!r}."
        return told if self.default is None else f"{told} The default is {self.default}."


class MissingExtraError(SelfhealError, ImportError):
    """An optional feature needs a package that is not installed.

    Attributes:
        feature: what was asked for.
        extra: the extra of ``selfheal-kit`` that brings the package.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(feature, extra)
        self.feature = feature
        self.extra = extra

    def __str__(self) -> str:
        return f"{self.feature} needs an optional package. Install it: pip install 'selfheal-kit[{self.extra}]'"


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


class TaskError(SelfhealError):
    """Base of the task registry's errors."""


class TaskLimitError(TaskError):
    """The registry holds as many tasks as it may.

    Attributes:
        task_id: the task that was refused.
        limit: how many tasks the registry may hold.
        held: ids of the tasks it holds, in order of registration.
    """

    def __init__(self, task_id: str, limit: int, held: Iterable[str]) -> None:
        self.task_id = task_id
        self.limit = limit
        self.held = tuple(held)
        super().__init__(task_id, limit, self.held)

    def __str__(self) -> str:
        return (
            f"task {self.task_id!r} refused: the registry holds {len(self.held)} tasks, its limit is {self.limit}: "
            f"{', '.join(self.held)}. Unregister one, or raise max_tasks."
        )


class TaskExistsError(TaskError):
    """A task of this id is registered and ``replace=False``.

    Attributes:
        task_id: the id.
    """

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return f"task {self.task_id!r} is registered already. Unregister it first, or pass replace=True."


class RegistryStoppedError(TaskError):
    """The registry was shut down.

    Attributes:
        task_id: the task that was refused.
    """

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id

    def __str__(self) -> str:
        return f"task {self.task_id!r} refused: the registry has been shut down. Make a new TaskRegistry."


class NotFoundError(SelfhealError, KeyError):
    """Nothing of this name is known.

    Attributes:
        kind: ``breaker``, ``task`` or ``flag``.
        name: what was asked for.
        known: the names there are.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind = kind
        self.name = name
        self.known = tuple(known)
        super().__init__(kind, name, self.known)

    def __str__(self) -> str:
        there = ", ".join(sorted(self.known)) or "none"
        return f"no {self.kind} is named {self.name!r}. There are: {there}."


class StateError(SelfhealError):
    """A stored record could not be read or written.

    Attributes:
        where: the store.
        key: the record.
        why: what went wrong.
    """

    def __init__(self, where: str, key: str, why: str) -> None:
        super().__init__(where, key, why)
        self.where = where
        self.key = key
        self.why = why

    def __str__(self) -> str:
        return f"record {self.key!r} in {self.where}: {self.why}."

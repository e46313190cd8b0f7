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

from selfheal.errors.base import (
    ConfigError,
    MissingExtraError,
    NotFoundError,
    SelfhealError,
    StateError,
)
from selfheal.errors.breaker import (
    CircuitConflictError,
    CircuitOpenError,
    ResetRefusedError,
)
from selfheal.errors.healing import (
    HealingFailedError,
    HealingInterruptedError,
    ResumeRefusedError,
)
from selfheal.errors.tasks import (
    RegistryStoppedError,
    TaskError,
    TaskExistsError,
    TaskLimitError,
)

__all__ = [
    "CircuitConflictError",
    "CircuitOpenError",
    "ConfigError",
    "HealingFailedError",
    "HealingInterruptedError",
    "MissingExtraError",
    "NotFoundError",
    "RegistryStoppedError",
    "ResetRefusedError",
    "ResumeRefusedError",
    "SelfhealError",
    "StateError",
    "TaskError",
    "TaskExistsError",
    "TaskLimitError",
]

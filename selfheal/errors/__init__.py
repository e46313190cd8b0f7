"""Every error selfheal raises. Catch :class:`SelfhealError` for all of them.

::

    SelfhealError
    ├── ConfigError (ValueError)            a value is not accepted: where, what was found, what is
    │   └── InvalidConfigError              settings of a file are not accepted: all that is wrong, at once
    ├── MissingExtraError (ImportError)     an optional package is not installed; prints the pip command
    ├── CircuitOpenError                    a breaker refused the call; it was not attempted
    ├── CircuitConflictError (ValueError)   the name is taken by a breaker of another configuration
    ├── ResetRefusedError                   PERMANENT_OPEN is left by reset(force=True) alone
    ├── GuardFullError                      a guard keeps as many silences, approvals or holds as it may
    ├── ApprovalClosedError                 an approval was decided, used or has expired already
    ├── ResumeRefusedError                  dormancy stays: no reason given, or a check failed
    ├── HealingFailedError                  a healing says that it did not heal
    ├── HealingInterruptedError             a healing in progress was told to stop before its next action
    ├── ActionTimeoutError                  an action took too long and was given up; its effect is in doubt
    ├── SagaError                           the steps of a healing do not fit together
    ├── TaskError
    │   ├── TaskLimitError                  the registry is full; lists the tasks it holds
    │   ├── TaskExistsError                 the id is taken and replace=False
    │   └── RegistryStoppedError            the registry was shut down and takes no more tasks
    ├── SupervisionError
    │   ├── PoolFailedError                 the pool gave up: a person resets it, with a reason
    │   ├── ResetNeededError                the worker has FAILED: a person resets it, with a reason
    │   ├── StateDirTakenError              another supervisor holds the directory
    │   ├── SupervisorStoppedError          the supervisor was shut down, or is that of a parent process
    │   └── WorkerHeldError                 the worker was stopped by hand: only a start by name starts it
    ├── QueueFullError                      a task queue holds as much as it may; the task was not put
    ├── QueueClosedError                    a task queue was closed; the task was not put
    ├── RateLimitedError                    a rate limiter refused; says when to ask again
    ├── ConcurrencyLimitedError             as much is under way as may be, and no room or time to wait
    ├── BudgetExceededError                 a resource budget did not admit a piece of work; it was not begun
    ├── LoadShedError                       a request was shed because there is too much to do
    ├── LeverError
    │   ├── LeverUnsupportedError           this lever has no such move
    │   ├── FallbackExhaustedError          there is no provider after the active one
    │   └── NotifyError                     a notification was not delivered
    ├── JournalError                        the journal cannot be written or read; what was to be written is not there
    │   ├── EntryRefusedError (ValueError)  an entry holds what a line of the journal cannot
    │   └── JournalObservedError            another process writes the journal
    ├── BackupError                         something about backups did not work out; what was there is still there
    │   ├── BackupBusyError                 another process writes the store of backups
    │   ├── ManifestRefusedError            a manifest is not believed; nothing of it was used
    │   ├── ReplicationError                a copy of a backup elsewhere could not be written, read or believed
    │   ├── RestoreError                    a restore did not do what was asked for
    │   │   ├── RestoreFailedError          it failed, and everything is as it was before
    │   │   ├── RestoreRefusedError         it was not begun; nothing was changed
    │   │   └── RestoreStuckError           it is neither done nor undone, and needs a person
    │   └── SectionRefusedError             a section cannot be backed up as it is; no backup was made
    ├── NotFoundError (KeyError)            no breaker, task or flag of this name; lists those there are
    └── StateError                          a stored record cannot be read or written

Each says what happened, to which named thing, and what to do next; carries the values as
attributes; and survives ``pickle`` and ``copy.deepcopy`` with them.
"""

from __future__ import annotations

from selfheal.errors.backup import (
    BackupBusyError,
    BackupError,
    ManifestRefusedError,
    ReplicationError,
    SectionRefusedError,
)
from selfheal.errors.base import (
    ConfigError,
    ConfigProblem,
    InvalidConfigError,
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
from selfheal.errors.budgets import BudgetExceededError, LoadShedError
from selfheal.errors.guards import ApprovalClosedError, GuardFullError
from selfheal.errors.healing import (
    ActionTimeoutError,
    HealingFailedError,
    HealingInterruptedError,
    ResumeRefusedError,
    SagaError,
)
from selfheal.errors.journal import EntryRefusedError, JournalError, JournalObservedError
from selfheal.errors.levers import (
    ConcurrencyLimitedError,
    FallbackExhaustedError,
    LeverError,
    LeverUnsupportedError,
    NotifyError,
    RateLimitedError,
)
from selfheal.errors.queues import PoolFailedError, QueueClosedError, QueueFullError
from selfheal.errors.restoring import RestoreError, RestoreFailedError, RestoreRefusedError, RestoreStuckError
from selfheal.errors.supervision import (
    ResetNeededError,
    StateDirTakenError,
    SupervisionError,
    SupervisorStoppedError,
    WorkerHeldError,
)
from selfheal.errors.tasks import (
    RegistryStoppedError,
    TaskError,
    TaskExistsError,
    TaskLimitError,
)

__all__ = [
    "ApprovalClosedError",
    "ActionTimeoutError",
    "BackupBusyError",
    "BackupError",
    "BudgetExceededError",
    "CircuitConflictError",
    "CircuitOpenError",
    "ConcurrencyLimitedError",
    "ConfigError",
    "ConfigProblem",
    "EntryRefusedError",
    "FallbackExhaustedError",
    "GuardFullError",
    "HealingFailedError",
    "HealingInterruptedError",
    "InvalidConfigError",
    "JournalError",
    "JournalObservedError",
    "LeverError",
    "LeverUnsupportedError",
    "LoadShedError",
    "ManifestRefusedError",
    "MissingExtraError",
    "NotFoundError",
    "NotifyError",
    "PoolFailedError",
    "QueueClosedError",
    "QueueFullError",
    "RateLimitedError",
    "RegistryStoppedError",
    "ReplicationError",
    "ResetNeededError",
    "ResetRefusedError",
    "RestoreError",
    "RestoreFailedError",
    "RestoreRefusedError",
    "RestoreStuckError",
    "ResumeRefusedError",
    "SagaError",
    "SectionRefusedError",
    "SelfhealError",
    "StateDirTakenError",
    "StateError",
    "SupervisionError",
    "SupervisorStoppedError",
    "TaskError",
    "TaskExistsError",
    "TaskLimitError",
    "WorkerHeldError",
]

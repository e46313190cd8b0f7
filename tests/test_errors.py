"""Errors say what happened, to what, and what to do; they carry their values, and travel."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from selfheal import errors
from selfheal.errors import (
    ActionTimeoutError,
    ApprovalClosedError,
    BackupBusyError,
    BackupError,
    BudgetExceededError,
    CircuitConflictError,
    CircuitOpenError,
    ConcurrencyLimitedError,
    ConfigError,
    ConfigProblem,
    EntryRefusedError,
    FallbackExhaustedError,
    GuardFullError,
    HealingFailedError,
    HealingInterruptedError,
    InvalidConfigError,
    JournalError,
    JournalObservedError,
    LeverError,
    LeverUnsupportedError,
    LoadShedError,
    ManifestRefusedError,
    MissingExtraError,
    NotFoundError,
    NotifyError,
    PoolFailedError,
    QueueClosedError,
    QueueFullError,
    RateLimitedError,
    RegistryStoppedError,
    ReplicationError,
    ResetNeededError,
    ResetRefusedError,
    RestoreError,
    RestoreFailedError,
    RestoreRefusedError,
    RestoreStuckError,
    ResumeRefusedError,
    SagaError,
    SectionRefusedError,
    SelfhealError,
    StateDirTakenError,
    StateError,
    SupervisionError,
    SupervisorStoppedError,
    TaskError,
    TaskExistsError,
    TaskLimitError,
    WorkerHeldError,
)

TOLD: list[tuple[SelfhealError, str]] = [
    (
        ConfigError("BreakerConfig.open_for", -1.0, "between 0.0 and 86400.0 s", "60.0"),
        "BreakerConfig.open_for must be between 0.0 and 86400.0 s, got -1.0. The default is 60.0.",
    ),
    (ConfigError("every", "soon", "a number"), "every must be a number, got 'soon'."),
    (
        InvalidConfigError([ConfigProblem("pool.size", -1, "1 or more", "4")], "app.toml"),
        "app.toml: pool.size must be 1 or more, got -1. The default is 4.",
    ),
    (
        InvalidConfigError([ConfigProblem("a.b", "x", "an integer"), ConfigProblem("a.c", None, "text")]),
        "2 settings are not accepted:\n- a.b must be an integer, got 'x'.\n- a.c must be text, got None.",
    ),
    (
        ResetNeededError("web", "more than 5 restarts in 300 s"),
        "worker 'web' has FAILED (more than 5 restarts in 300 s). Fix the cause, then call reset('web', reason=...).",
    ),
    (
        StateDirTakenError("run/supervisor", 7),
        "run/supervisor is held by the supervisor of process 7. End that one, or use another state_dir.",
    ),
    (
        StateDirTakenError("run/supervisor"),
        "run/supervisor is held by the supervisor of another process. End that one, or use another state_dir.",
    ),
    (
        SupervisorStoppedError("start('web')", "it was shut down"),
        "start('web') refused: it was shut down. Make a new Supervisor.",
    ),
    (
        WorkerHeldError("web", "being moved"),
        "worker 'web' was stopped by hand (being moved). Only start('web') starts it again.",
    ),
    (
        MissingExtraError("the web server", "web"),
        "the web server needs an optional package. Install it: pip install 'selfheal-kit[web]'",
    ),
    (BackupError("/backups", "it is full"), "/backups: it is full."),
    (
        BackupBusyError("/backups", 7),
        "/backups: the store is being written by process 7: nothing was done, try again later.",
    ),
    (
        ManifestRefusedError("hashes.json", "it has a component '..'", "../passwd"),
        "manifest hashes.json is refused: '../passwd': it has a component '..'. Nothing of it was used.",
    ),
    (ReplicationError("far", "cannot list what is there"), "far: cannot list what is there."),
    (
        RestoreRefusedError("20261121T033000Z", ["there is not enough space", "the target is read-only"]),
        "restore of 20261121T033000Z was not begun, nothing was changed: there is not enough space; "
        "the target is read-only.",
    ),
    (
        RestoreFailedError("20261121T033000Z", "the probe failed", "rolled_back", "state/report.md"),
        "restore of 20261121T033000Z failed, and the previous state was put back: the probe failed. "
        "Report: state/report.md",
    ),
    (
        RestoreFailedError("20261121T033000Z", "no space left", "discarded"),
        "restore of 20261121T033000Z failed, and no target was touched: no space left.",
    ),
    (
        RestoreStuckError("20261121T033000Z", "'data' is in its place and in 'previous'", "Call recover()."),
        "restore of 20261121T033000Z stands still, nothing was removed: 'data' is in its place and in 'previous'. "
        "Call recover().",
    ),
    (RestoreError("20261121T033000Z", "it cannot be told"), "20261121T033000Z: it cannot be told."),
    (
        SectionRefusedError("data", "two names differ only in case", ["A", "a"]),
        "section 'data': two names differ only in case ('A', 'a'). No backup was made.",
    ),
    (
        CircuitOpenError("db", "OPEN", 12.43, None),
        "circuit 'db' is open: call rejected, not attempted. Retry in 12.4 s, or call reset() once it is fixed.",
    ),
    (
        CircuitOpenError("db", "HALF_OPEN", 3.0, None),
        "circuit 'db' is half open: call rejected, not attempted. Its probes are under way: retry in 3.0 s.",
    ),
    (
        CircuitOpenError("db", "PERMANENT_OPEN", float("inf"), "unauthorized"),
        "circuit 'db' is permanently open (unauthorized): call rejected, not attempted. Time does not close it: "
        "call reset(force=True) once the cause is fixed.",
    ),
    (
        CircuitOpenError("db", "FORCED_OPEN", float("inf"), "maintenance"),
        "circuit 'db' is forced open (maintenance): call rejected, not attempted. It is held open by hand: "
        "call reset() to let calls through.",
    ),
    (
        CircuitConflictError("db", "open_for=60.0", "open_for=5.0"),
        "circuit 'db' exists with another configuration.\n  existing:  open_for=60.0\n  requested: open_for=5.0\n"
        "Use one configuration for one name, another name, or another registry=BreakerRegistry().",
    ),
    (
        ResetRefusedError("db", "unauthorized"),
        "circuit 'db' is permanently open (unauthorized). Fix the cause, then call "
        "reset(force=True, reason=..., by=...).",
    ),
    (ResumeRefusedError("a reason is needed"), "cannot resume: a reason is needed."),
    (
        ResumeRefusedError("no active key", "keys"),
        "cannot resume: check 'keys' failed: no active key. Fix it, then call resume() again.",
    ),
    (
        GuardFullError("silences", 1000, 1000),
        "there are 1000 of at most 1000 silences. End some, or raise the limit.",
    ),
    (
        ApprovalClosedError("a1", "denied"),
        "approval 'a1' is denied: nothing was changed. Wait for a new request.",
    ),
    (HealingFailedError("the upstream still answers 503"), "the upstream still answers 503"),
    (
        ActionTimeoutError("restart_service.run", 30.0),
        "restart_service.run did not end within 30 s and was given up: find out what it hangs on.",
    ),
    (
        SagaError("step 3 comes after 2 steps"),
        "step 3 comes after 2 steps: the journal of this healing does not fit together; look at it before going on.",
    ),
    (
        HealingInterruptedError("flags", "FEATURE_AUTO_HEALING_ENABLED is off"),
        "the healing stops before its next action: FEATURE_AUTO_HEALING_ENABLED is off.",
    ),
    (
        TaskLimitError("c", 2, iter(["a", "b"])),
        "task 'c' refused: the registry holds 2 tasks, its limit is 2: a, b. Unregister one, or raise max_tasks.",
    ),
    (TaskExistsError("a"), "task 'a' is registered already. Unregister it first, or pass replace=True."),
    (RegistryStoppedError("a"), "task 'a' refused: the registry has been shut down. Make a new TaskRegistry."),
    (
        BudgetExceededError("app", "default", "SLOW", 3.0, 12.0, "its time to wait is over"),
        "budget 'app' is at SLOW: default work refused after 3.0 s, its time to wait is over. Retry in 12.0 s.",
    ),
    (
        BudgetExceededError("app", "sheddable", "SHED", 0.0, 30.0, "such work is not done at this level"),
        "budget 'app' is at SHED: sheddable work refused, such work is not done at this level. Retry in 30.0 s.",
    ),
    (
        LoadShedError("door", "default", 0.25, "the use is at 0.90"),
        "shedder 'door': default request shed, the use is at 0.90; 25% of them are. "
        "Answer 'try later', and do not retry at once.",
    ),
    (
        RateLimitedError("door", "maria", 1.5, "the rate of 2 a second is used up"),
        "limiter 'door', key 'maria': refused, the rate of 2 a second is used up. Retry in 1.5 s, or raise the rate by "
        "set_rate().",
    ),
    (
        RateLimitedError("door", None, None, "7 asked for, the burst is 5"),
        "limiter 'door': refused, 7 asked for, the burst is 5. Ask for less at once, or raise the rate by set_rate().",
    ),
    (
        ConcurrencyLimitedError("search", 20, 5, "no place came free in time"),
        "limit 'search': refused, no place came free in time: 20 under way, 5 waiting. Answer 'try later', or allow "
        "more to wait by max_waiting.",
    ),
    (LeverUnsupportedError("thumbs", "enable", "pass switch="), "lever 'thumbs' cannot enable: pass switch=."),
    (
        FallbackExhaustedError("llm", "small", iter(["large", "small"])),
        "fallback 'llm' has no provider after 'small' (of large, small). Name one by switch(to=...), or go back by "
        "return_to(reason).",
    ),
    (
        NotifyError("disk full", {"webhook": "HTTP 503", "file": "read-only"}),
        "notification 'disk full' was not delivered (webhook: HTTP 503; file: read-only). Look at the notifier's "
        "address and reach.",
    ),
    (
        QueueFullError("jobs", 10, 10),
        "queue 'jobs' is full: it holds 10 of 10 tasks. The task was not put: put it later, take faster, or raise "
        "max_size.",
    ),
    (
        QueueFullError("jobs", 10, 10, 4),
        "queue 'jobs' is full: it holds 10 of 10 tasks, 4 of them dead letters: revive or discard those. "
        "The task was not put: put it later, take faster, or raise max_size.",
    ),
    (QueueClosedError("jobs"), "queue 'jobs' is closed: the task was not put. Make a new TaskQueue."),
    (
        PoolFailedError("resize", "more than 5 restarts in 300 s"),
        "pool 'resize' has FAILED (more than 5 restarts in 300 s). Fix the cause, then call reset(reason=...).",
    ),
    (
        JournalError("run/journal.jsonl", "the entry was not written (No space left on device)"),
        "journal run/journal.jsonl: the entry was not written (No space left on device).",
    ),
    (
        EntryRefusedError("run/journal.jsonl", "action_done", "receipt.x: a object cannot be shown as JSON"),
        "journal run/journal.jsonl: entry 'action_done' was not written: receipt.x: a object cannot be shown as JSON.",
    ),
    (
        JournalObservedError("run/journal.jsonl", 7),
        "journal run/journal.jsonl is written by process 7: nothing was written. "
        "Ask try_to_write() whether that one ended.",
    ),
    (
        JournalObservedError("run/journal.jsonl"),
        "journal run/journal.jsonl is written by another process: nothing was written. "
        "Ask try_to_write() whether that one ended.",
    ),
    (NotFoundError("breaker", "dbb", ["x", "db"]), "no breaker is named 'dbb'. There are: db, x."),
    (NotFoundError("task", "t", []), "no task is named 't'. There are: none."),
    (
        StateError("sqlite store s.db", "dormancy", "not valid JSON"),
        "record 'dormancy' in sqlite store s.db: not valid JSON.",
    ),
]

ALL = [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, SelfhealError)]
SAMPLES = [error for error, _ in TOLD]


def fields(error: SelfhealError) -> dict[str, object]:
    """The public attributes of an error, those of exceptions in general apart."""
    names = set(dir(error)) - set(dir(ImportError())) - set(dir(KeyError()))
    return {name: getattr(error, name) for name in names if not name.startswith("_")}


@pytest.mark.parametrize(("error", "text"), TOLD, ids=lambda v: type(v).__name__ if isinstance(v, Exception) else "")
def test_message(error: SelfhealError, text: str) -> None:
    """The message names the thing, what happened to it, and the next step."""
    assert str(error) == text


def test_every_error_is_sampled_here() -> None:
    """No error class goes without the tests of this page, bases apart."""
    assert {type(error) for error in SAMPLES} == set(ALL) - {LeverError, SelfhealError, SupervisionError, TaskError}


@pytest.mark.parametrize("error", SAMPLES, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_errors_pickle(error: SelfhealError, protocol: int) -> None:
    """An error survives pickling with its type, message and values."""
    back = pickle.loads(pickle.dumps(error, protocol))

    assert type(back) is type(error)
    assert str(back) == str(error)
    assert fields(back) == fields(error)


@pytest.mark.parametrize("error", SAMPLES, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_errors_copy(error: SelfhealError, copied: type) -> None:
    """An error survives copying with its type, message and values."""
    back = copied(error)

    assert type(back) is type(error)
    assert back is not error
    assert str(back) == str(error)
    assert fields(back) == fields(error)


@pytest.mark.parametrize("error", SAMPLES, ids=lambda e: type(e).__name__)
def test_errors_carry_values(error: SelfhealError) -> None:
    """Every error carries at least one value as an attribute that its docstring or class documents."""
    assert fields(error)
    for name in fields(error):
        assert re.search(rf"^\s+{name}: ", type(error).__doc__ or "", re.M) or getattr(type(error), name).__doc__


def test_the_drawn_tree_is_the_tree() -> None:
    """The tree in the module's docstring shows each class below its base, with the built-in it also is."""
    drawn = re.findall(r"^    ([│├└─ ]*)(\w+)(?: \((\w+)\))?", errors.__doc__ or "", re.M)
    trail: list[str] = []
    seen = {}
    for lead, name, builtin in drawn:
        depth = len(lead) // 4
        trail[depth:] = [name]
        seen[name] = (trail[depth - 1] if depth else "Exception", builtin)

    true = {c.__name__: (c.__bases__[0].__name__, "".join(b.__name__ for b in c.__bases__[1:])) for c in ALL}
    assert seen == true


def test_open_circuit_has_no_retry_when_only_a_person_can_say() -> None:
    """``retry_after`` is seconds, or ``None`` where time alone does not end the refusal."""
    assert CircuitOpenError("db", "OPEN", 1.5, None).retry_after == 1.5
    assert CircuitOpenError("db", "FORCED_OPEN", float("inf"), None).retry_after is None


def test_open_circuit_error_costs_no_python_code() -> None:
    """A refusal builds no message: neither the class nor its base has an ``__init__`` of its own."""
    assert CircuitOpenError.__init__ is Exception.__init__


@pytest.mark.parametrize(
    ("error", "base"),
    [(ConfigError, ValueError), (MissingExtraError, ImportError), (NotFoundError, KeyError)],
)
def test_errors_are_also_the_builtin_one_would_expect(error: type, base: type) -> None:
    """Who catches the built-in error catches selfheal's."""
    assert issubclass(error, base)

"""The registry driven by hand on a virtual clock: what is registered, when it runs, what is told about it."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from selfheal.errors import ConfigError, NotFoundError, RegistryStoppedError, TaskExistsError, TaskLimitError
from selfheal.events import ClockJumped, Event, EventBus, TaskFailed, TaskOverdue
from selfheal.tasks import TaskRegistry, cancel_requested, load_grade
from selfheal.testing import FakeClock


class Bench:
    """A registry without threads, its clock, and the events it published."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.events: list[Event] = []
        bus = EventBus()
        bus.subscribe(self.events.append, inline=True)
        self.registry = TaskRegistry(clock=self.clock, events=bus, start=False, **options)
        self.ran: list[str] = []

    def note(self, name: str) -> Callable[[], None]:
        return lambda: self.ran.append(name)

    def pass_by(self, seconds: float) -> int:
        self.clock.advance(seconds)
        return self.registry.run_due()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def fail() -> None:
    raise ValueError("no route")


def test_an_interval_runs_first_after_one_interval_and_then_on_its_grid(bench: Bench) -> None:
    """Runs happen at first + k * every, not relative to when the last one ran."""
    bench.registry.register_interval("poll", bench.note("poll"), 10)

    assert [bench.pass_by(seconds) for seconds in (9.9, 0.1, 14.0, 6.0)] == [0, 1, 1, 1]


def test_first_after_sets_the_first_slot(bench: Bench) -> None:
    """A task may run at once and then every interval."""
    bench.registry.register_interval("poll", bench.note("poll"), 10, first_after=0.0)

    assert bench.registry.run_due() == 1
    assert bench.pass_by(10) == 1


def test_a_single_run_happens_once_and_stays_listed(bench: Bench) -> None:
    """A finished single run can still be looked at and does not run again."""
    bench.registry.register_once("warm", bench.note("warm"), after=5)

    assert [bench.pass_by(seconds) for seconds in (5, 100)] == [1, 0]
    (task,) = bench.registry.snapshot().tasks
    assert (task.type, task.phase, task.execution_count, task.next_run) == ("once", "done", 1, None)


def test_the_eleventh_task_is_refused_with_the_ten(bench: Bench) -> None:
    """Whoever hits the limit is told what fills it."""
    for number in range(10):
        bench.registry.register_interval(f"task-{number}", fail, 10)

    with pytest.raises(TaskLimitError, match=r"limit is 10: task-0, task-1.*task-9") as caught:
        bench.registry.register_interval("one-more", fail, 10)
    assert caught.value.held == tuple(f"task-{number}" for number in range(10))
    bench.registry.register_interval("task-3", fail, 20)  # replacing takes no further place


def test_finished_single_runs_make_room(bench: Bench) -> None:
    """A finished single run does not count against the limit and is forgotten when its place is needed."""
    bench = Bench(max_tasks=2)
    bench.registry.register_once("old", bench.note("old"))
    bench.registry.register_interval("poll", bench.note("poll"), 10)
    bench.registry.run_due()
    bench.registry.register_interval("new", bench.note("new"), 10)

    assert [task.id for task in bench.registry.snapshot().tasks] == ["poll", "new"]
    with pytest.raises(TaskLimitError):
        bench.registry.register_once("more", fail)


def test_registering_again_replaces(bench: Bench) -> None:
    """One task an id: the later registration wins, its statistics start over, its generation tells."""
    bench.registry.register_interval("poll", bench.note("old"), 10)
    bench.pass_by(10)
    handle = bench.registry.register_interval("poll", bench.note("new"), 10)
    bench.pass_by(10)

    assert bench.ran == ["old", "new"]
    (task,) = bench.registry.snapshot().tasks
    assert (task.generation, task.execution_count, handle.generation) == (2, 1, 2)


def test_replace_false_refuses(bench: Bench) -> None:
    """A task that must not be replaced is not."""
    bench.registry.register_interval("poll", bench.note("old"), 10)

    with pytest.raises(TaskExistsError, match="'poll' is registered already"):
        bench.registry.register_interval("poll", bench.note("new"), 10, replace=False)
    bench.pass_by(10)
    assert bench.ran == ["old"]


def test_a_handle_leaves_the_task_that_replaced_its_own_alone(bench: Bench) -> None:
    """An old handle can neither remove nor pause a newer task of the same id."""
    old = bench.registry.register_interval("poll", bench.note("old"), 10)
    new = bench.registry.register_interval("poll", bench.note("new"), 10)

    assert not old.current
    assert not old.unregister()
    assert not old.pause()
    assert old.snapshot() is None
    assert new.current
    assert new.pause()
    assert new.resume()
    assert new.unregister()
    assert not new.unregister()


def test_an_unregistered_task_runs_no_more(bench: Bench) -> None:
    """Unregistering tells whether there was something to take out."""
    bench.registry.register_interval("poll", bench.note("poll"), 10)

    assert bench.registry.unregister("poll")
    assert not bench.registry.unregister("poll")
    assert bench.pass_by(10) == 0


def test_all_tasks_of_an_owner_go_together(bench: Bench) -> None:
    """A module that is imported again can take out what it registered before."""
    bench.registry.register_interval("a", fail, 10, owner="app.jobs")
    bench.registry.register_interval("b", fail, 10, owner="app.other")
    bench.registry.register_once("c", fail, owner="app.jobs")

    assert bench.registry.unregister_owner("app.jobs") == ["a", "c"]
    assert [task.id for task in bench.registry.snapshot().tasks] == ["b"]


def test_pause_and_resume_one_task(bench: Bench) -> None:
    """A paused task does not run; after resuming its grid is the old one and nothing counts as missed."""
    bench.registry.register_interval("poll", bench.note("poll"), 10)

    assert bench.registry.pause("poll")
    assert not bench.registry.pause("poll")
    assert bench.pass_by(33) == 0
    assert bench.registry.resume("poll")
    assert not bench.registry.resume("poll")
    assert bench.registry.run_due() == 0
    assert bench.pass_by(7) == 1
    assert bench.registry.snapshot().tasks[0].missed == 0


def test_pause_all_holds_later_tasks_too(bench: Bench) -> None:
    """A registry that is paused does not run what is registered meanwhile."""
    bench.registry.register_interval("a", bench.note("a"), 10)
    assert bench.registry.pause_all() == ("a",)
    bench.registry.register_interval("b", bench.note("b"), 10)

    assert bench.pass_by(10) == 0
    assert bench.registry.resume_all() == ("a", "b")
    assert bench.pass_by(10) == 2


def test_resume_all_leaves_a_task_paused_that_was_paused_on_its_own(bench: Bench) -> None:
    """What a person switched off by itself is not switched on by a resume of everything."""
    bench.registry.register_interval("off", bench.note("off"), 10, enabled=False)
    bench.registry.register_interval("on", bench.note("on"), 10)
    bench.registry.pause_all()

    assert bench.registry.resume_all() == ("on",)
    bench.pass_by(10)
    assert bench.ran == ["on"]
    assert bench.registry.resume("off")


def test_an_unknown_task_is_named_with_those_there_are(bench: Bench) -> None:
    """A typing error in an id is easy to see."""
    bench.registry.register_interval("poll", fail, 10)

    for call in (bench.registry.pause, bench.registry.resume):
        with pytest.raises(NotFoundError, match=r"no task is named 'pol'. There are: poll"):
            call("pol")


def test_a_raise_is_counted_told_and_ends_nothing(bench: Bench) -> None:
    """The task goes on, the error is kept, and each failure is an event with the number in a row."""
    bench.registry.register_interval("poll", fail, 10)
    bench.registry.register_interval("other", bench.note("other"), 10)
    bench.pass_by(10)
    bench.pass_by(10)

    poll, other = bench.registry.snapshot().tasks
    assert (poll.execution_count, poll.failure_count, poll.consecutive_failures) == (2, 2, 2)
    assert poll.last_error == "ValueError: no route"
    assert other.failure_count == 0
    failed = [event for event in bench.events if isinstance(event, TaskFailed)]
    assert [(event.task_id, event.error, event.consecutive) for event in failed] == [
        ("poll", "ValueError: no route", 1),
        ("poll", "ValueError: no route", 2),
    ]


def test_a_good_run_ends_a_row_of_failures_and_keeps_the_last_error(bench: Bench) -> None:
    """Consecutive failures start over after a good run."""
    outcomes = iter([True, False, True])
    bench.registry.register_interval("poll", lambda: fail() if next(outcomes) else None, 10)
    for _ in range(3):
        bench.pass_by(10)

    (task,) = bench.registry.snapshot().tasks
    assert (task.failure_count, task.consecutive_failures, task.last_error) == (2, 1, "ValueError: no route")


def test_a_system_exit_is_counted_and_logged_loudly(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A task that calls sys.exit() neither ends the host nor goes unnoticed."""

    def leave() -> None:
        raise SystemExit(3)

    bench.registry.register_interval("poll", leave, 10)
    bench.pass_by(10)
    bench.pass_by(10)

    (task,) = bench.registry.snapshot().tasks
    assert (task.failure_count, task.last_error) == (2, "SystemExit: 3")
    assert [record.levelname for record in caplog.records] == ["CRITICAL", "CRITICAL"]


def test_control_c_while_running_by_hand_reaches_the_host(bench: Bench) -> None:
    """In the host's own thread a KeyboardInterrupt is the host's: counted, and raised on."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    bench.registry.register_interval("poll", interrupted, 10)
    with pytest.raises(KeyboardInterrupt):
        bench.pass_by(10)

    (task,) = bench.registry.snapshot().tasks
    assert (task.failure_count, task.phase) == (1, "waiting")


def test_an_error_whose_text_raises_is_still_told(bench: Bench) -> None:
    """A broken __str__ cannot break the registry, and a long text is cut."""

    class BrokenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def broken() -> None:
        raise BrokenError

    def long() -> None:
        raise ValueError("x" * 1000)

    bench.registry.register_interval("broken", broken, 10)
    bench.registry.register_interval("long", long, 10)
    bench.pass_by(10)

    first, second = bench.registry.snapshot().tasks
    assert first.last_error == "BrokenError: <its text raised RuntimeError>"
    assert second.last_error is not None
    assert len(second.last_error) == 300


def test_a_run_longer_than_its_timeout_is_overdue(bench: Bench) -> None:
    """Run by hand nothing can be given up, but a run that took too long is a failure and an event."""
    bench.registry.register_interval("slow", lambda: bench.clock.advance(6), 10, timeout=5)
    bench.pass_by(10)

    (task,) = bench.registry.snapshot().tasks
    assert (task.execution_count, task.overdue, task.failure_count, task.last_duration) == (1, 1, 1, 6.0)
    assert task.last_error == "overdue: not done after 5 s"
    (event,) = bench.events
    assert isinstance(event, TaskOverdue)
    assert (event.task_id, event.timeout, event.abandoned) == ("slow", 5, False)
    assert not cancel_requested()  # the run that was to stop is over


def test_statistics_of_a_task(bench: Bench) -> None:
    """Every figure of a task comes from its runs."""
    bench.registry.register_interval("poll", lambda: bench.clock.advance(0.5), 10)
    bench.pass_by(10)
    bench.clock.advance(2)

    (task,) = bench.registry.snapshot().tasks
    assert (task.id, task.type, task.enabled, task.execution_count, task.failure_count) == (
        "poll",
        "interval",
        True,
        1,
        0,
    )
    assert (task.last_error, task.last_duration, task.uptime, task.next_in) == (None, 0.5, 12.5, 7.5)
    assert task.next_run == bench.clock.wall() + 7.5
    assert not task.running


def test_statistics_of_the_registry(bench: Bench) -> None:
    """The totals add up the tasks."""
    bench.registry.register_interval("a", bench.note("a"), 10)
    bench.registry.register_interval("b", fail, 10)
    bench.registry.register_interval("c", fail, 10, enabled=False)
    bench.registry.register_once("d", bench.note("d"))
    bench.pass_by(10)
    snapshot = bench.registry.snapshot()

    assert (snapshot.total_tasks, snapshot.active_tasks, snapshot.executions, snapshot.failures) == (4, 2, 3, 1)
    assert (snapshot.load, snapshot.max_tasks, snapshot.state, snapshot.abandoned) == ("normal", 10, "idle", 0)


def test_load_grades() -> None:
    """Up to five tasks are normal, up to ten ask for caution, more are an overload."""
    assert [load_grade(number) for number in (0, 3, 5, 6, 10, 11)] == [
        "normal",
        "normal",
        "normal",
        "caution",
        "caution",
        "overload",
    ]


def test_a_missed_run_is_made_up_for_once_and_counted(bench: Bench) -> None:
    """After a gap there is one run, not one for each slot, and the figures say so."""
    bench.registry.register_interval("poll", bench.note("poll"), 10)

    assert bench.pass_by(95) == 1
    (task,) = bench.registry.snapshot().tasks
    assert (task.missed, task.misfires, task.next_in) == (8, 1, 5.0)


def test_misfire_skip_leaves_late_runs_out(bench: Bench) -> None:
    """Where a late run is worse than none, none is run, and that is counted."""
    bench.registry.register_interval("poll", bench.note("poll"), 10, misfire="skip", misfire_grace=1.0)

    assert bench.pass_by(12) == 0
    assert bench.pass_by(8.5) == 1
    assert bench.registry.snapshot().tasks[0].missed == 1


def test_an_async_task_runs_to_its_end(bench: Bench) -> None:
    """Coroutine functions, partials of them, objects with an async __call__, and functions that return one."""

    async def work(name: str = "plain") -> None:
        await asyncio.sleep(0)
        bench.ran.append(name)

    class Job:
        async def __call__(self) -> None:
            await work("object")

    bench.registry.register_interval("plain", work, 10)
    bench.registry.register_interval("partial", functools.partial(functools.partial(work), "partial"), 10)
    bench.registry.register_interval("object", Job(), 10)
    bench.registry.register_interval("hidden", lambda: work("hidden"), 10)

    assert bench.pass_by(10) == 4
    assert sorted(bench.ran) == ["hidden", "object", "partial", "plain"]
    bench.registry.shutdown()


def test_async_tasks_run_by_hand_share_one_loop(bench: Bench) -> None:
    """What one run keeps on its loop is of use to the next."""
    loops = []

    async def work() -> None:
        loops.append(asyncio.get_running_loop())

    bench.registry.register_interval("poll", work, 10)
    bench.pass_by(10)
    bench.pass_by(10)
    bench.registry.shutdown()

    assert loops[0] is loops[1]
    assert loops[0].is_closed()


def test_a_shutdown_beside_a_running_loop_closes_the_loop_too(bench: Bench) -> None:
    """A registry that was run by hand before can be shut down from a coroutine."""
    loops = []

    async def work() -> None:
        loops.append(asyncio.get_running_loop())

    async def host() -> None:
        bench.registry.shutdown()

    bench.registry.register_interval("poll", work, 10)
    bench.pass_by(10)
    asyncio.run(host())
    assert loops[0].is_closed()


def test_async_failures_are_counted_like_any_other(bench: Bench) -> None:
    """A raise, a SystemExit and a cancellation in a coroutine are failures of the task alone."""

    async def work(error: BaseException) -> None:
        raise error

    for error in (ValueError("no route"), SystemExit(3), asyncio.CancelledError()):
        bench.registry.register_interval(type(error).__name__, functools.partial(work, error), 10)
    bench.pass_by(10)
    bench.registry.shutdown()

    assert [task.last_error for task in bench.registry.snapshot().tasks] == [
        "ValueError: no route",
        "SystemExit: 3",
        "CancelledError",
    ]


def test_run_due_inside_a_running_loop_uses_a_loop_thread(bench: Bench) -> None:
    """Called in a coroutine, async tasks still run to their end, on a loop of the registry's own."""
    threads = []

    async def work() -> None:
        threads.append(threading.current_thread().name)

    async def host() -> int:
        return bench.pass_by(10)

    bench.registry.register_interval("poll", work, 10)
    assert asyncio.run(host()) == 1
    bench.registry.shutdown()
    assert threads == ["selfheal-loop"]


def test_run_due_on_the_very_loop_a_task_needs_is_a_told_failure(bench: Bench) -> None:
    """A loop that is blocked by run_due() cannot run the task, and the error says what to do."""

    async def work() -> None:
        bench.ran.append("never")

    async def host() -> None:
        bench.registry.register_interval("poll", work, 10, loop=asyncio.get_running_loop())
        bench.pass_by(10)

    asyncio.run(host())
    (task,) = bench.registry.snapshot().tasks
    assert task.last_error is not None
    assert "call it from another thread" in task.last_error


def test_a_run_sees_no_context_variable_of_another(bench: Bench) -> None:
    """What a task sets in a context variable does not reach the next run on the same thread."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    def work() -> None:
        bench.ran.append(variable.get())
        variable.set("left over")

    bench.registry.register_interval("poll", work, 10)
    bench.pass_by(10)
    bench.pass_by(10)

    assert bench.ran == ["unset", "unset"]


def test_a_task_may_steer_the_registry_it_runs_in(bench: Bench) -> None:
    """No lock is held while a task runs."""

    def work() -> None:
        bench.registry.unregister("poll")
        bench.registry.register_once("follow-up", bench.note("follow-up"))
        thread = threading.Thread(target=bench.registry.snapshot)
        thread.start()
        thread.join(60)
        bench.ran.append("free" if not thread.is_alive() else "held")

    bench.registry.register_interval("poll", work, 10)
    bench.pass_by(10)
    bench.registry.run_due()

    assert bench.ran == ["free", "follow-up"]


def test_a_clock_jump_is_told_and_runs_coalesce(bench: Bench) -> None:
    """When the two clocks move apart by more than two seconds there is an event and a settle time."""
    bench = Bench(settle=30.0)
    bench.registry.register_interval("poll", bench.note("poll"), 10)
    bench.clock.jump(1.9)
    bench.pass_by(10)
    assert bench.registry.settling == 0.0
    bench.clock.jump(-3600.0)
    bench.pass_by(10)

    assert [event.seconds for event in bench.events if isinstance(event, ClockJumped)] == [-3600.0]
    assert bench.registry.settling == 30.0
    bench.clock.advance(20)
    assert bench.registry.settling == 10.0
    assert bench.registry.snapshot().settling == 10.0
    assert len(bench.ran) == 2  # the monotonic grid does not care


def test_a_stopped_registry_takes_no_more_tasks(bench: Bench) -> None:
    """After the shutdown registering and starting are refused, and nothing is due."""
    bench.registry.register_interval("poll", bench.note("poll"), 10)
    report = bench.registry.cleanup()

    assert report.clean
    assert bench.registry.state == "stopped"
    assert bench.pass_by(10) == 0
    assert not bench.registry.resume_all()
    with pytest.raises(RegistryStoppedError):
        bench.registry.register_interval("more", fail, 10)
    with pytest.raises(RegistryStoppedError):
        bench.registry.start()
    assert bench.registry.snapshot().tasks[0].next_run is None


def test_a_registry_of_the_same_owner_shuts_the_earlier_one_down() -> None:
    """A module that makes its registry at import and is imported again has one registry, not two."""
    first = TaskRegistry(owner="app.jobs", start=False)
    other = TaskRegistry(owner="app.other", start=False)
    second = TaskRegistry(owner="app.jobs", start=False)

    assert [registry.state for registry in (first, other, second)] == ["stopped", "idle", "idle"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"every": 0}, r"TaskOptions.every must be between 0.001 and .* s or None, got 0"),
        ({"every": float("nan")}, "TaskOptions.every"),
        ({"every": 10, "misfire": "drop"}, r"TaskOptions.misfire must be one of 'run_once', 'skip', got 'drop'"),
        ({"every": 10, "overrun": "queue"}, "TaskOptions.overrun must be one of 'skip', 'buffer_one'"),
        ({"every": 10, "timeout": -1}, "TaskOptions.timeout"),
        ({"every": 10, "on_stuck": "kill"}, "TaskOptions.on_stuck must be one of 'wait', 'rerun'"),
        ({"every": 10, "owner": " "}, "TaskOptions.owner"),
        ({"every": 10, "loop": "main"}, "TaskOptions.loop must be an asyncio event loop or None"),
    ],
)
def test_a_wrong_option_is_refused_by_name(bench: Bench, options: dict[str, object], told: str) -> None:
    """The error names the option, what is accepted and what was given, and nothing is registered."""
    with pytest.raises(ConfigError, match=told):
        bench.registry.register_interval("poll", fail, **options)  # type: ignore[arg-type]
    assert bench.registry.snapshot().total_tasks == 0


def test_what_does_nothing_when_called_is_refused(bench: Bench) -> None:
    """Calling a generator function runs none of it, so registering one is a mistake."""

    def steps() -> object:
        yield 1

    async def async_steps() -> object:
        yield 1

    for fn in (steps, functools.partial(async_steps), "text", None):
        with pytest.raises(ConfigError, match=r"TaskOptions.fn must be"):
            bench.registry.register_interval("poll", fn, 10)  # type: ignore[arg-type]


def test_a_registry_of_many_tasks_stays_small() -> None:
    """A task takes at most 1 KiB, its id included."""
    registry = TaskRegistry(max_tasks=20_000, start=False)
    registry.register_interval("warm-up", fail, 60)
    gc.collect()
    tracemalloc.start()
    for number in range(2000):
        registry.register_interval(f"task-{number}", fail, 60)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert held / 2000 <= 1024


def test_replacing_for_ever_keeps_nothing(bench: Bench) -> None:
    """What is replaced, paused or taken out leaves no trace that grows."""
    bench.registry.register_interval("kept", bench.note("kept"), 86_400)
    for number in range(5000):
        bench.registry.register_interval("poll", bench.note("poll"), 86_400)
        bench.registry.pause_all()
        bench.registry.resume_all()
        bench.registry.register_once(f"once-{number}", fail, after=86_400)
        bench.registry.unregister(f"once-{number}")

    assert len(bench.registry._book._due) < 300

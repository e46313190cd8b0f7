"""The registry with its threads: overruns, time-outs, stuck runs, generations, loops, shutdown."""

from __future__ import annotations

import asyncio
import functools
import threading

import pytest

from selfheal.events import TaskFailed, TaskOverdue, WorkersExhausted
from selfheal.tasks import TaskRegistry, cancel_requested
from tests.tasks.rig import PATIENCE, Rig, rig, until


def test_no_thread_before_the_first_task_and_none_after_the_shutdown() -> None:
    """Making a registry costs no thread; shutting it down ends all it started."""
    with rig() as made:
        assert made.threads() == []
        assert made.registry.state == "idle"
        done = made.gate()
        made.registry.register_once("sync", done.set)
        assert done.wait(PATIENCE)
        assert made.threads() == ["selfheal-tasks", "selfheal-worker-1"]
        assert made.registry.state == "running"
        assert made.registry.shutdown().clean
        assert made.threads() == []


def test_start_false_waits_for_start() -> None:
    """With start=False nothing runs until the host says so."""
    with rig(start=False) as made:
        done = made.gate()
        made.registry.register_once("sync", done.set)
        assert made.threads() == []
        made.registry.start()
        made.registry.start()
        assert done.wait(PATIENCE)


def test_runs_follow_the_clock() -> None:
    """Threads fire what is due as the clock goes, and only then."""
    with rig() as made:
        made.registry.register_interval("poll", lambda: None, 10)
        for number in range(1, 4):
            made.clock.advance(10)
            assert made.runs("poll", number)
        assert made.task("poll").execution_count == 3


def test_a_new_earlier_task_wakes_the_scheduler() -> None:
    """A task that is due before what the scheduler waits for does not wait with it."""
    with rig() as made:
        made.registry.register_interval("later", lambda: None, 3600)
        done = made.gate()
        made.registry.register_once("now", done.set)
        assert done.wait(PATIENCE)


def test_a_resumed_task_wakes_the_scheduler() -> None:
    """Resuming the only task makes it run without anything else happening."""
    with rig() as made:
        done = made.gate()
        made.registry.register_once("now", done.set, enabled=False)
        assert not done.wait(0.02)
        made.registry.resume("now")
        assert done.wait(PATIENCE)


def test_a_task_never_runs_twice_at_once() -> None:
    """Slots that come while a run is under way are left out and counted."""
    with rig() as made:
        go, entered = made.gate(), threading.Semaphore(0)
        inside: list[int] = []

        def work() -> None:
            inside.append(1)
            entered.release()
            go.wait(3 * PATIENCE)
            inside.pop()
            assert not inside

        made.registry.register_interval("slow", work, 10)
        made.clock.advance(10)
        assert entered.acquire(timeout=PATIENCE)
        made.clock.advance(10)
        made.clock.advance(10)
        assert until(lambda: made.task("slow").skipped == 2)
        assert made.task("slow").running
        go.set()
        assert made.runs("slow", 1)
        assert made.task("slow").failure_count == 0


def test_a_slot_that_came_during_a_run_follows_it_with_buffer_one() -> None:
    """With buffer_one the task runs once more as soon as the run has ended, without any time passing."""
    with rig() as made:
        go, entered = made.gate(), threading.Semaphore(0)

        def work() -> None:
            entered.release()
            go.wait(3 * PATIENCE)

        made.registry.register_interval("slow", work, 10, overrun="buffer_one")
        made.clock.advance(10)
        assert entered.acquire(timeout=PATIENCE)
        made.clock.advance(10)
        made.clock.advance(10)
        assert until(lambda: made.task("slow").skipped == 1)
        go.set()
        assert made.runs("slow", 2)
        assert made.registry.wait_idle(PATIENCE)
        assert made.task("slow").execution_count == 2


def test_one_blocked_task_does_not_hold_up_another() -> None:
    """While a worker is held up in a run, another takes what is due."""
    with rig() as made:
        go, entered, done = made.gate(), made.gate(), made.gate()

        def work() -> None:
            entered.set()
            go.wait(3 * PATIENCE)

        made.registry.register_interval("slow", work, 10)
        made.registry.register_interval("quick", done.set, 10, first_after=11)
        made.clock.advance(10)
        assert entered.wait(PATIENCE)
        made.clock.advance(1)
        assert done.wait(PATIENCE)


def test_many_short_tasks_share_one_worker() -> None:
    """Waking a thread costs more than a short run, so one worker takes them all."""
    with rig(max_tasks=500) as made:
        for number in range(500):
            made.registry.register_once(f"task-{number}", lambda: None, after=10)
        made.clock.advance(10)
        assert until(lambda: made.registry.snapshot().executions == 500)
        assert made.threads() == ["selfheal-tasks", "selfheal-worker-1"]


def stick(made: Rig, name: str) -> threading.Event:
    """Register a task that is stuck in its first run; return what lets it go."""
    go, entered = made.gate(), made.gate()

    def work() -> None:
        entered.set()
        go.wait(3 * PATIENCE)

    made.registry.register_interval(name, work, 10, timeout=5)
    made.clock.advance(10)
    assert entered.wait(PATIENCE)
    return go


def test_a_stuck_run_is_given_up_at_its_timeout() -> None:
    """It counts as a failure, is told with abandoned=True, and its late end counts for nothing."""
    with rig() as made:
        go = stick(made, "stuck")
        made.clock.advance(5)
        assert until(lambda: made.told(TaskOverdue))
        (event,) = made.told(TaskOverdue)
        assert (event.task_id, event.timeout, event.abandoned) == ("stuck", 5, True)
        task = made.task("stuck")
        assert (task.phase, task.overdue, task.failure_count, task.running) == ("stuck", 1, 1, True)
        made.clock.advance(5)
        assert until(lambda: made.task("stuck").skipped == 1)
        go.set()
        assert until(lambda: made.task("stuck").phase == "waiting")
        assert made.task("stuck").execution_count == 1
        made.clock.advance(10)
        assert made.runs("stuck", 2)
        assert made.task("stuck").consecutive_failures == 0


def test_a_stuck_run_does_not_take_a_worker_from_the_others() -> None:
    """With a single worker, giving up a stuck run frees its place."""
    with rig(max_workers=1) as made:
        stick(made, "stuck")
        done = made.gate()
        made.registry.register_once("other", done.set)
        assert not done.wait(0.02)
        made.clock.advance(5)
        assert done.wait(PATIENCE)


def test_a_stuck_task_may_run_again_beside_its_stuck_run() -> None:
    """With on_stuck='rerun' the next slot runs though the abandoned thread is still there."""
    with rig() as made:
        calls: list[int] = []
        go, entered = made.gate(), made.gate()

        def work() -> None:
            calls.append(1)
            if len(calls) == 1:
                entered.set()
                go.wait(3 * PATIENCE)

        made.registry.register_interval("stuck", work, 10, timeout=5, on_stuck="rerun")
        made.clock.advance(10)
        assert entered.wait(PATIENCE)
        made.clock.advance(5)
        assert until(lambda: made.told(TaskOverdue))
        made.clock.advance(5)
        assert made.runs("stuck", 2)
        assert made.task("stuck").consecutive_failures == 0


def test_a_kept_slot_runs_as_soon_as_a_stuck_run_is_given_up() -> None:
    """With buffer_one and on_stuck='rerun' the slot that came meanwhile does not wait for another."""
    with rig() as made:
        calls: list[int] = []
        go, entered = made.gate(), made.gate()

        def work() -> None:
            calls.append(1)
            if len(calls) == 1:
                entered.set()
                go.wait(3 * PATIENCE)

        made.registry.register_interval("stuck", work, 10, timeout=15, overrun="buffer_one", on_stuck="rerun")
        made.clock.advance(10)
        assert entered.wait(PATIENCE)
        made.clock.advance(15)
        assert made.runs("stuck", 2)
        assert len(calls) == 2


def test_too_many_stuck_runs_stop_everything_and_say_so() -> None:
    """At the cap an event names them, on_exhausted is called, and no run starts until one has ended."""
    told: list[WorkersExhausted] = []
    with rig(max_abandoned=2, on_exhausted=told.append) as made:
        go = stick(made, "first")
        made.clock.advance(5)
        assert until(lambda: made.told(TaskOverdue))
        assert not told
        stick(made, "second")
        made.clock.advance(5)
        assert until(lambda: told)
        (event,) = made.told(WorkersExhausted)
        assert (event.abandoned, event.task_ids) == (2, ("first", "second"))
        assert made.registry.state == "exhausted"
        assert made.registry.snapshot().abandoned == 2

        done, awaited = made.gate(), made.gate()

        async def work() -> None:
            awaited.set()

        made.registry.register_once("sync", done.set)
        made.registry.register_once("async", work)
        assert until(lambda: made.task("sync").phase == "queued" == made.task("async").phase)
        assert not done.wait(0.02)
        assert not awaited.is_set()
        go.set()
        assert done.wait(PATIENCE)
        assert awaited.wait(PATIENCE)
        assert made.registry.state == "running"
        assert len(told) == 1


def test_an_on_exhausted_that_raises_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The host's callable is the host's; the scheduler goes on."""

    def broken(event: WorkersExhausted) -> None:
        raise ValueError(event.abandoned)

    with rig(max_abandoned=1, on_exhausted=broken) as made:
        go = stick(made, "stuck")
        made.clock.advance(5)
        assert until(lambda: "on_exhausted raised" in caplog.text)
        go.set()
        assert until(lambda: made.registry.state == "running")


def test_a_long_sync_run_can_ask_whether_to_stop() -> None:
    """cancel_requested() turns true when the run is overdue, and means nothing outside a run."""
    assert not cancel_requested()
    with rig() as made:
        entered = made.gate()
        seen: list[bool] = []

        def work() -> None:
            seen.append(cancel_requested())
            entered.set()
            seen.append(until(cancel_requested))

        made.registry.register_once("long", work, timeout=5)
        assert entered.wait(PATIENCE)
        made.clock.advance(5)
        assert until(lambda: seen == [False, True])


def test_a_replaced_run_is_waited_for_and_its_result_discarded() -> None:
    """The new task starts only when the old run has ended, and counts nothing of it."""
    with rig() as made:
        go, entered = made.gate(), made.gate()
        order: list[str] = []

        def old() -> None:
            entered.set()
            go.wait(3 * PATIENCE)
            order.append("old")
            raise ValueError("of the old one")

        made.registry.register_interval("poll", old, 10)
        made.clock.advance(10)
        assert entered.wait(PATIENCE)
        made.registry.register_interval("poll", lambda: order.append("new"), 10)
        made.clock.advance(10)
        assert until(lambda: made.task("poll").next_in == 10.0)
        assert made.task("poll").phase == "blocked"
        assert order == []
        go.set()
        assert made.runs("poll", 1)
        assert order == ["old", "new"]
        assert (made.task("poll").failure_count, made.task("poll").last_error) == (0, None)
        assert made.told(TaskFailed) == []


def test_a_task_registered_anew_waits_for_the_run_of_the_one_taken_out() -> None:
    """Taking a task out and registering it again does not run it twice at once either."""
    with rig() as made:
        go, entered, done = made.gate(), made.gate(), made.gate()

        def old() -> None:
            entered.set()
            go.wait(3 * PATIENCE)

        made.registry.register_once("poll", old)
        assert entered.wait(PATIENCE)
        made.registry.unregister("poll")
        made.registry.register_once("poll", done.set)
        assert not done.wait(0.02)
        go.set()
        assert done.wait(PATIENCE)


def test_an_async_task_follows_the_sync_run_it_replaced() -> None:
    """The replacement starts on its loop as soon as the old run has ended, without any time passing."""
    with rig() as made:
        go, entered, done = made.gate(), made.gate(), made.gate()

        def old() -> None:
            entered.set()
            go.wait(3 * PATIENCE)

        async def new() -> None:
            done.set()

        made.registry.register_once("poll", old)
        assert entered.wait(PATIENCE)
        made.registry.register_interval("poll", new, 3600, first_after=0.0)
        assert until(lambda: made.task("poll").next_in == 3600)
        go.set()
        assert done.wait(PATIENCE)


def test_replacing_a_stuck_task_does_not_wait_for_its_abandoned_run() -> None:
    """Putting working code in place of stuck code helps at once."""
    with rig() as made:
        stick(made, "stuck")
        made.clock.advance(5)
        assert until(lambda: made.told(TaskOverdue))
        done = made.gate()
        made.registry.register_once("stuck", done.set)
        assert done.wait(PATIENCE)


def test_the_timeout_of_a_replaced_run_still_holds() -> None:
    """A run that was replaced while under way is given up at its timeout, and its successor starts."""
    with rig() as made:
        stick(made, "stuck")
        done = made.gate()
        made.registry.register_once("stuck", done.set)
        assert not done.wait(0.02)
        made.clock.advance(5)
        assert done.wait(PATIENCE)


def test_the_timeout_of_a_run_that_follows_another_is_watched() -> None:
    """A run that starts because another ended is given up at its own timeout, though no slot is near."""
    with rig() as made:
        go, entered, entered_too, stay = made.gate(), made.gate(), made.gate(), made.gate()

        def old() -> None:
            entered.set()
            go.wait(3 * PATIENCE)

        def new() -> None:
            entered_too.set()
            stay.wait(3 * PATIENCE)

        made.registry.register_once("poll", old)
        assert entered.wait(PATIENCE)
        made.registry.register_interval("poll", new, 3600, first_after=0.0, timeout=5)
        assert until(lambda: made.task("poll").next_in == 3600)
        go.set()
        assert entered_too.wait(PATIENCE)
        assert until(lambda: made.registry._engine._wake_at <= made.clock.monotonic() + 5)
        made.clock.advance(5)
        assert until(lambda: made.told(TaskOverdue))


def test_an_async_slot_that_came_during_a_run_follows_it() -> None:
    """A kept slot of a coroutine starts as soon as the run has ended, without any time passing."""
    with rig() as made:
        go, entered = made.gate(), threading.Semaphore(0)

        async def work() -> None:
            entered.release()
            while not go.is_set():
                await asyncio.sleep(0.001)

        made.registry.register_interval("slow", work, 10, overrun="buffer_one")
        made.clock.advance(10)
        assert entered.acquire(timeout=PATIENCE)
        made.clock.advance(10)
        assert until(lambda: made.task("slow").next_in == 10)
        go.set()
        assert made.runs("slow", 2)


def test_async_tasks_share_one_loop_thread() -> None:
    """Coroutines need no thread each: they run side by side on one loop that is started when needed."""
    with rig() as made:
        together = threading.Semaphore(0)
        release = made.gate()

        async def work() -> None:
            together.release()
            while not release.is_set():
                await asyncio.sleep(0.001)

        made.registry.register_once("a", work)
        made.registry.register_once("b", functools.partial(work))
        assert together.acquire(timeout=PATIENCE)
        assert together.acquire(timeout=PATIENCE)
        assert made.threads() == ["selfheal-loop", "selfheal-tasks"]
        release.set()
        assert made.runs("a", 1)
        assert made.runs("b", 1)


def test_a_sync_task_that_returns_a_coroutine_is_awaited() -> None:
    """lambda: work() does what its author meant."""
    with rig() as made:
        done = made.gate()

        async def work() -> None:
            await asyncio.sleep(0)
            done.set()

        made.registry.register_once("hidden", lambda: work())
        assert done.wait(PATIENCE)
        assert made.runs("hidden", 1)


def test_an_async_task_runs_on_the_loop_it_is_given() -> None:
    """The host's loop is used where the host says so, and no thread is started for it."""
    with rig() as made:

        async def host() -> tuple[bool, list[str]]:
            loops = []
            done = asyncio.Event()

            async def work() -> None:
                loops.append(asyncio.get_running_loop())
                done.set()

            made.registry.register_once("poll", work, loop=asyncio.get_running_loop())
            await asyncio.wait_for(done.wait(), PATIENCE)
            return loops == [asyncio.get_running_loop()], made.threads()

        assert asyncio.run(host()) == (True, ["selfheal-tasks"])


def test_a_closed_loop_is_a_failure_of_the_task_alone() -> None:
    """A task whose loop the host closed fails, is told, and stays."""
    loop = asyncio.new_event_loop()
    loop.close()

    async def work() -> None:
        raise AssertionError("cannot run")

    with rig() as made:
        made.registry.register_interval("poll", work, 10, loop=loop)
        made.clock.advance(10)
        assert made.runs("poll", 1)
        assert made.task("poll").last_error == "RuntimeError: Event loop is closed"
        assert made.task("poll").phase == "waiting"


def test_a_system_exit_in_a_coroutine_does_not_end_its_loop() -> None:
    """asyncio lets SystemExit out of its loop; here it is a failure of the task."""
    with rig() as made:

        async def leave() -> None:
            raise SystemExit(3)

        made.registry.register_interval("leave", leave, 10)
        for number in (1, 2):
            made.clock.advance(10)
            assert made.runs("leave", number)
        assert made.task("leave").last_error == "SystemExit: 3"


def test_a_coroutine_is_cancelled_at_its_timeout() -> None:
    """It is overdue, told, counted once, and the task may run again at its next slot."""
    with rig() as made:
        entered, cancelled = threading.Semaphore(0), made.gate()

        async def work() -> None:
            entered.release()
            try:
                await asyncio.sleep(3600)
            finally:
                cancelled.set()

        made.registry.register_interval("slow", work, 10, timeout=5)
        made.clock.advance(10)
        assert entered.acquire(timeout=PATIENCE)
        made.clock.advance(5)
        assert cancelled.wait(PATIENCE)
        assert until(lambda: not made.task("slow").running)
        task = made.task("slow")
        assert (task.execution_count, task.failure_count, task.overdue) == (1, 1, 1)
        assert task.last_error == "overdue: not done after 5 s"
        assert until(lambda: [event.abandoned for event in made.told(TaskOverdue)] == [False])
        assert made.told(TaskFailed) == []
        made.clock.advance(5)
        assert entered.acquire(timeout=PATIENCE)


def test_a_coroutine_that_will_not_be_cancelled_is_given_up() -> None:
    """After a second to end in, it counts as abandoned; the loop and the other tasks on it go on."""
    with rig(max_abandoned=1) as made:
        entered, go = made.gate(), made.gate()

        async def stubborn() -> None:
            entered.set()
            while not go.is_set():
                try:
                    await asyncio.sleep(0.001)
                except asyncio.CancelledError:
                    continue

        made.registry.register_interval("stubborn", stubborn, 10, timeout=5)
        made.clock.advance(10)
        assert entered.wait(PATIENCE)
        made.clock.advance(5)
        assert until(lambda: len(made.told(TaskOverdue)) == 1)
        made.clock.advance(1)
        assert until(lambda: [event.abandoned for event in made.told(TaskOverdue)] == [False, True])
        assert made.registry.snapshot().abandoned == 1
        assert made.threads().count("selfheal-loop") == 1
        assert until(lambda: made.registry.state == "exhausted")
        go.set()
        assert until(lambda: made.registry.state == "running")
        assert made.registry.snapshot().abandoned == 0
        assert made.task("stubborn").execution_count == 1


def test_a_coroutine_that_blocks_its_loop_costs_the_others_only_that_loop() -> None:
    """Blocking code in a coroutine holds up the loop thread; further async tasks get a new one."""
    with rig() as made:
        entered, go, done = made.gate(), made.gate(), made.gate()

        async def blocks() -> None:
            entered.set()
            go.wait(3 * PATIENCE)

        caught = made.gate()

        async def work() -> None:
            done.set()

        async def caught_in_it() -> None:
            caught.set()

        made.registry.register_interval("blocks", blocks, 10, timeout=5)
        made.clock.advance(10)
        assert entered.wait(PATIENCE)
        made.registry.register_once("caught in it", caught_in_it)
        assert until(lambda: made.task("caught in it").phase == "queued")
        made.clock.advance(5)
        assert until(lambda: len(made.told(TaskOverdue)) == 1)
        made.clock.advance(1)
        assert until(lambda: len(made.told(TaskOverdue)) == 2)
        made.registry.register_once("other", work)
        assert done.wait(PATIENCE)
        assert caught.wait(PATIENCE)
        go.set()
        assert until(lambda: made.threads().count("selfheal-loop") == 1)
        assert made.task("blocks").execution_count == 1
        assert made.task("caught in it").execution_count == 1


def test_the_shutdown_names_what_it_could_not_end() -> None:
    """It takes no longer than it may and tells which tasks are still running."""
    with rig() as made:
        entered, go = made.gate(), made.gate()

        def work() -> None:
            entered.set()
            go.wait(3 * PATIENCE)

        made.registry.register_once("slow", work)
        assert entered.wait(PATIENCE)
        report = made.registry.shutdown(0.05)
        assert report.still_running == ("slow",)
        assert not report.clean
        assert 0.05 <= report.duration < 5
        assert made.registry.shutdown(0.05).still_running == ("slow",)
        go.set()
        assert until(lambda: made.registry.shutdown().clean)
        assert until(lambda: made.threads() == [])


def test_the_shutdown_drops_what_is_queued_and_says_so() -> None:
    """A run that waits for a worker when the shutdown comes does not start."""
    with rig(max_workers=1) as made:
        entered, go, late = made.gate(), made.gate(), made.gate()

        def work() -> None:
            entered.set()
            until(cancel_requested)

        made.registry.register_once("slow", work)
        assert entered.wait(PATIENCE)
        made.registry.register_once("queued", late.set)
        assert until(lambda: made.task("queued").phase == "queued")
        report = made.registry.shutdown()
        assert (report.still_running, report.dropped) == ((), ("queued",))
        assert not late.is_set()
        assert not go.is_set()


def test_the_shutdown_cancels_coroutines_and_counts_no_failure() -> None:
    """Being stopped with the host is not the task's fault."""
    with rig() as made:
        entered, cancelled = made.gate(), made.gate()

        async def work() -> None:
            entered.set()
            try:
                await asyncio.sleep(3600)
            finally:
                cancelled.set()

        made.registry.register_once("slow", work)
        assert entered.wait(PATIENCE)
        assert made.registry.shutdown().clean
        assert cancelled.is_set()
        assert made.task("slow").failure_count == 0


def test_a_task_may_shut_its_own_registry_down() -> None:
    """The shutdown does not wait for the run that asked for it."""
    with rig() as made:
        reports = []

        def work() -> None:
            reports.append(made.registry.shutdown(PATIENCE))

        made.registry.register_once("last", work)
        assert until(lambda: reports)
        assert reports[0].still_running == ("last",)
        assert reports[0].duration < PATIENCE / 2
        assert until(lambda: made.threads() == [])


def test_a_shutdown_on_the_loop_of_a_task_does_not_wait_for_that_task() -> None:
    """Blocking the loop that a run needs to end would be waiting for oneself; ashutdown() lets it end."""
    with rig() as made:

        async def host() -> tuple[tuple[str, ...], bool]:
            entered = asyncio.Event()

            async def work() -> None:
                entered.set()
                await asyncio.sleep(3600)

            made.registry.register_once("slow", work, loop=asyncio.get_running_loop())
            await asyncio.wait_for(entered.wait(), PATIENCE)
            blocking = made.registry.shutdown(3 * PATIENCE)
            await asyncio.sleep(0.01)
            assert blocking.duration < PATIENCE
            return blocking.still_running, (await made.registry.ashutdown()).clean

        assert asyncio.run(host()) == (("slow",), True)


def test_ashutdown_lets_tasks_on_its_loop_end() -> None:
    """A host shuts down from its own loop without blocking what is cancelled there."""
    with rig() as made:

        async def host() -> bool:
            entered = asyncio.Event()

            async def work() -> None:
                entered.set()
                await asyncio.sleep(3600)

            made.registry.register_once("slow", work, loop=asyncio.get_running_loop())
            await asyncio.wait_for(entered.wait(), PATIENCE)
            return (await made.registry.ashutdown()).clean

        assert asyncio.run(host())


def test_the_end_of_a_with_block_shuts_down() -> None:
    """A registry used as a context manager leaves nothing behind."""
    with TaskRegistry() as registry:
        registry.register_interval("poll", lambda: None, 3600)
        assert registry.state == "running"
    assert registry.state == "stopped"


def test_the_scheduler_survives_an_error_of_its_own(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong in one look, the next one comes."""
    with rig() as made:
        engine = made.registry._engine
        real = engine.turn
        failures = iter([True])

        def turn(rested: bool = True) -> float:
            if next(failures, False):
                raise OSError("out of something")
            return real(rested)

        monkeypatch.setattr(engine, "turn", turn)
        done = made.gate()
        made.registry.register_once("poll", done.set)
        assert until(lambda: "met an error and goes on" in caplog.text)
        made.clock.advance(2)
        assert done.wait(PATIENCE)


def test_a_refused_thread_is_tried_for_again(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """When the system gives no thread, runs wait and start once it does."""
    with rig() as made:
        done = made.gate()
        refused: list[str] = []
        made.registry.register_interval("scheduler is up", lambda: None, 3600)
        real = threading.Thread.start

        def start(thread: threading.Thread) -> None:
            if thread.name.startswith("selfheal-worker") and len(refused) < 2:
                refused.append(thread.name)
                raise RuntimeError("can't start new thread")
            real(thread)

        monkeypatch.setattr(threading.Thread, "start", start)
        made.registry.register_once("poll", done.set)

        def told() -> int:
            return caplog.text.count("cannot start a worker thread")

        for attempts in (1, 2):
            assert until(lambda: told() >= len(refused) > 0)
            for _ in range(9):
                made.clock.advance(0.1)
            assert len(refused) == attempts
            made.clock.advance(0.2)
            assert until(lambda: len(refused) == 2)
        assert done.wait(PATIENCE)

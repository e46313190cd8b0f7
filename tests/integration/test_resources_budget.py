"""The budget on a machine that is really busy, and under real threads, loops and forks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from selfheal.errors import BudgetExceededError
from selfheal.events import BudgetLevelChanged, EventBus
from selfheal.resources import RateLimiter, ResourceBudget, Suspend, Throttle, Usage, UsageReader
from selfheal.tasks import TaskRegistry
from selfheal.usage import PsutilMachine


@contextmanager
def hogs(count: int) -> Iterator[list[int]]:
    """Processes that use up as many CPUs; their ids."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield [one.pid for one in running]
    finally:
        for one in running:
            one.kill()
            one.wait()


class OfProcesses:
    """A machine of one CPU on which nothing runs but the given processes: what others use is left out."""

    def __init__(self) -> None:
        self.pids: list[int] = []
        self.used: dict[int, float] = {}

    def cpu_times(self) -> tuple[float, float, float]:
        for pid in self.pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = psutil.Process(pid).cpu_times()
                self.used[pid] = times.user + times.system
        return sum(self.used.values()), time.monotonic(), 1.0

    def memory(self) -> tuple[int, int]:
        return PsutilMachine().memory()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds."""
    end = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def refuses(budget: ResourceBudget, criticality: str) -> bool:
    """Whether the budget turns such work away just now."""
    try:
        budget.admit(criticality, timeout=0.0)
    except BudgetExceededError:
        return True
    return False


def told(directory: Path) -> str:
    """The last report; empty before the first."""
    report = directory / "resource_usage_report_latest.md"
    return report.read_text() if report.exists() else ""


def enabled(tasks: TaskRegistry) -> set[str]:
    return {task.id for task in tasks.snapshot().tasks if task.enabled}


def test_the_reader_sees_real_hogs() -> None:
    """With a hog on every CPU the use of what this process may use goes up to SHED within seconds."""
    budget = ResourceBudget(events=EventBus(), smoothing=0.5, memory_hard=None)
    tasks = TaskRegistry()
    budget.register(tasks, every=0.1)
    try:
        with hogs(2 * len(os.sched_getaffinity(0))):
            wait_for(lambda: budget.level == "SHED")
    finally:
        tasks.shutdown()
    peak = budget.snapshot().peaks["cpu"]

    assert peak is not None
    assert peak > 80.0
    assert "CPU" in budget.snapshot().reason


def test_a_hog_is_answered_and_forgiven(tmp_path: Path) -> None:
    """What was turned down and held back while processes hogged the CPU comes back when they are gone."""
    levels: list[str] = []
    bus = EventBus()
    bus.subscribe(lambda event: levels.append(event.new), BudgetLevelChanged, inline=True)
    tasks, ran = TaskRegistry(), threading.Event()
    tasks.register_interval("reports", ran.set, 0.1)
    tasks.register_interval("billing", lambda: None, 0.1)
    limiter = RateLimiter(100, name="door", events=bus)
    machine = OfProcesses()
    budget = ResourceBudget(
        source=UsageReader(root=tmp_path, machine=machine).read,
        responses=[Throttle(limiter), Suspend(tasks, "reports")],
        protected=["billing"],
        report_dir=tmp_path,
        events=bus,
        cpu_enter=15.0,  # low, for on a busy machine the hogs get no more
        cpu_leave=10.0,
        cpu_shed_enter=20.0,
        cpu_shed_leave=12.0,
        memory_hard=None,
        smoothing=0.5,
        hold=0.5,
    )
    budget.register(tasks, every=0.1)
    try:
        with hogs(4) as pids:
            machine.pids = pids
            wait_for(lambda: limiter.rate == 20.0 and "reports" not in enabled(tasks))
            assert "billing" in enabled(tasks)
            wait_for(lambda: refuses(budget, "sheddable"))
            budget.admit("critical")
            wait_for(lambda: "**SHED**" in told(tmp_path))
        wait_for(lambda: budget.level == "NORMAL" and limiter.rate == 100.0 and "reports" in enabled(tasks))
        ran.clear()
        assert ran.wait(60.0)
    finally:
        tasks.shutdown()

    assert "SHED" in levels
    assert levels[-1] == "NORMAL"
    assert "let go on: reports" in budget.report()


def test_reading_is_cheap() -> None:
    """Once a second it takes far less than a hundredth of a core."""
    reader = UsageReader()

    def cost() -> float:
        started = time.thread_time()
        for _ in range(20):
            reader.read()
        return (time.thread_time() - started) / 20

    assert min(cost() for _ in range(5)) < 0.010


def slow(**options: float) -> ResourceBudget:
    """A budget at SLOW on the real clock."""
    budget = ResourceBudget(events=EventBus(), smoothing=0.0, **options)  # type: ignore[arg-type]
    budget.observe(Usage(cpu=85.0, memory=5.0))
    return budget


def test_threads_and_coroutines_take_turns_in_real_time() -> None:
    """Twelve threads and coroutines at 20 a second need more than half a second, and all begin."""
    budget, began = slow(slow_rate=20.0), time.monotonic()
    begun: list[float] = []

    def work() -> None:
        budget.admit()
        begun.append(time.monotonic())

    async def some() -> None:
        async def one() -> None:
            await budget.aadmit()
            begun.append(time.monotonic())

        await asyncio.gather(*(one() for _ in range(6)))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    asyncio.run(some())
    for thread in threads:
        thread.join(60)

    assert len(begun) == 12
    assert max(begun) - began > 0.5
    assert budget.snapshot().waiting == 0


def test_a_hundred_threads_that_come_and_go_leave_nobody_behind() -> None:
    """Under threads that wait, give up and are refused, and a level that moves, each call is counted once."""
    budget = slow(slow_rate=500.0, max_wait=0.2, max_waiting=40)
    ended: list[bool] = []

    def work(number: int) -> None:
        for turn in range(10):
            try:
                budget.admit(("default", "sheddable", "critical")[(number + turn) % 3], timeout=0.05 * (number % 4))
                ended.append(True)
            except BudgetExceededError:
                ended.append(False)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for cpu in (95.0, 10.0, 85.0) * 3:
        budget.observe(Usage(cpu=cpu, memory=5.0))
        time.sleep(0.02)
    for thread in threads:
        thread.join(90)
    work_done = budget.snapshot().work.values()

    assert len(ended) == 1000
    assert sum(tally.admitted for tally in work_done) == sum(ended)
    assert sum(tally.refused for tally in work_done) == 1000 - sum(ended)
    assert budget.snapshot().waiting == 0


def test_a_forked_child_starts_without_those_that_waited() -> None:
    """Locks held and threads waiting in the parent do not reach the child."""
    budget = slow(slow_rate=0.01)
    budget.admit()
    thread = threading.Thread(target=budget.admit)  # begins when the budget is closed
    thread.start()
    wait_for(lambda: budget.snapshot().waiting == 1)
    child = os.fork()
    if child == 0:
        code = 3
        try:
            alone = budget.snapshot().waiting == 0
            budget.admit("critical")
            budget.observe(Usage(cpu=86.0))
            code = 0 if alone else 4
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    budget.close()
    thread.join(60)

    assert os.waitstatus_to_exitcode(status) == 0

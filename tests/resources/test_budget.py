"""The budget as a host uses it: admitting, watching, telling, writing."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from selfheal.errors import BudgetExceededError, ConfigError, InvalidConfigError, StateError
from selfheal.events import BudgetLevelChanged, EventBus
from selfheal.resources import (
    BudgetConfig,
    BudgetLevel,
    Do,
    ResourceBudget,
    Usage,
    criticality_scope,
    current_criticality,
)
from selfheal.status import StatusReport
from selfheal.tasks import TaskRegistry
from selfheal.testing import FakeClock

NORMAL, SLOW, SHED = BudgetLevel.NORMAL, BudgetLevel.SLOW, BudgetLevel.SHED
NAME = "resource_usage_report_latest.md"


def make(clock: FakeClock, cpu: float = 10.0, **given: Any) -> ResourceBudget:
    """A budget without smoothing and hold that has seen one reading."""
    budget = ResourceBudget(clock=clock, events=EventBus(), smoothing=0.0, hold=0.0, **given)
    budget.observe(Usage(cpu=cpu, memory=10.0))
    return budget


def wait_for(condition: Callable[[], bool]) -> None:
    """Give other threads real time to come to their wait."""
    for _ in range(2000):
        if condition():
            return
        threading.Event().wait(0.002)
    raise AssertionError("it did not come to that")


@pytest.mark.parametrize(
    ("cpu", "criticality", "begins"),
    [
        (10.0, "sheddable", True),
        (85.0, "critical", True),
        (95.0, "critical", True),
        (95.0, "sheddable", False),
        (85.0, "default", True),  # the first takes the turn that is free
    ],
)
def test_who_begins(cpu: float, criticality: str, begins: bool) -> None:
    """NORMAL admits all, SLOW and SHED critical work; SHED refuses sheddable work, saying when to come back."""
    budget = make(FakeClock(), cpu)
    if begins:
        budget.admit(criticality, timeout=0)
        return
    with pytest.raises(BudgetExceededError) as caught:
        budget.admit(criticality)
    assert (caught.value.level, caught.value.criticality, caught.value.waited) == ("SHED", criticality, 0.0)


def test_a_thread_waits_for_its_turn() -> None:
    """Delayed work begins at its turn, on the clock it was given."""
    clock = FakeClock(autojump=True)
    budget = make(clock, 85.0, slow_rate=0.5)
    starts = []
    for _ in range(4):
        budget.admit()
        starts.append(clock.monotonic())

    assert starts == [1000.0, 1002.0, 1004.0, 1006.0]
    assert budget.snapshot().work["default"].delayed == 3


def test_waiting_is_bounded() -> None:
    """After ``max_wait``, or the caller's timeout, the work is refused with what it waited."""
    clock = FakeClock(autojump=True)
    budget = make(clock, 85.0, slow_rate=0.001, max_wait=8.0)
    budget.admit()
    with pytest.raises(BudgetExceededError) as caught:
        budget.admit()
    assert caught.value.waited == 8.0
    with pytest.raises(BudgetExceededError) as caught:
        budget.admit(timeout=3.0)
    assert caught.value.waited == 3.0
    assert budget.snapshot().waiting == 0


def test_those_that_wait_begin_when_the_level_falls() -> None:
    """Threads that wait are woken by the change, not by the clock."""
    clock = FakeClock()
    budget = make(clock, 85.0, slow_rate=0.01)
    budget.admit()
    done: list[int] = []

    def work(number: int) -> None:
        budget.admit()
        done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    wait_for(lambda: budget.snapshot().waiting == 5)
    budget.observe(Usage(cpu=10.0))
    for thread in threads:
        thread.join(60)

    assert sorted(done) == [0, 1, 2, 3, 4]
    assert budget.snapshot().waiting == 0


def test_a_coroutine_waits_without_blocking_its_loop() -> None:
    """Async work takes turns too, and a cancelled one gives its place to the next."""
    clock = FakeClock()
    budget = make(clock, 85.0, slow_rate=0.1)

    async def run() -> list[str]:
        await budget.aadmit()
        order: list[str] = []

        async def work(name: str) -> None:
            await budget.aadmit()
            order.append(name)

        first, second, third = (asyncio.ensure_future(work(name)) for name in ("a", "b", "c"))
        await asyncio.sleep(0.01)
        first.cancel()
        await clock.aadvance(10)
        await asyncio.sleep(0.01)
        order.append("|")
        await clock.aadvance(10)
        await asyncio.gather(first, second, third, return_exceptions=True)
        return order

    assert asyncio.run(run()) == ["b", "|", "c"]
    assert budget.snapshot().work["default"].left == 1


def test_a_coroutine_is_refused_in_time() -> None:
    """The bound of the wait holds for coroutines."""
    budget = make(FakeClock(autojump=True), 85.0, slow_rate=0.001, max_wait=2.0)

    async def run() -> None:
        await budget.aadmit()
        await budget.aadmit()

    with pytest.raises(BudgetExceededError, match="after 2.0 s"):
        asyncio.run(run())


def test_protected_work_is_never_kept() -> None:
    """Neither delayed nor refused, at any level and over the hard limit; and so is selfheal's own."""
    budget = make(FakeClock(), 95.0, protected=["billing.*"])
    budget.observe(Usage(cpu=95.0, memory=99.0))
    for name in ("billing.charge", "selfheal.healer", "healing"):
        budget.admit("sheddable", timeout=0, name=name)
    with pytest.raises(BudgetExceededError, match="the hard limit is 95 %"):
        budget.admit("critical", name="reports")


def test_the_criticality_of_what_is_being_done_is_taken() -> None:
    """A scope decides for everything it calls, coroutines included; what is said at the call wins."""
    budget = make(FakeClock(), 95.0)

    async def inner() -> None:
        await budget.aadmit()

    with criticality_scope("critical"):
        budget.admit(timeout=0)
        asyncio.run(inner())
        with pytest.raises(BudgetExceededError):
            budget.admit("sheddable")
    assert current_criticality() == "default"


def test_guarded_functions() -> None:
    """Sync, async, generators and methods keep their kind and name, and are refused before they begin."""
    budget = make(FakeClock(), 95.0)
    ran: list[str] = []

    class Shop:
        @budget.guard("sheddable")
        def report(self) -> str:
            """Make a report."""
            ran.append("report")
            return "report"

        @budget.guard("critical")
        async def charge(self) -> str:
            return "charged"

        @staticmethod
        @budget.guard("critical")
        def lines() -> Iterator[int]:
            yield 1

        @budget.guard("sheddable", name="billing")
        def bill(self) -> str:
            return "billed"

    with pytest.raises(BudgetExceededError):
        Shop().report()
    assert ran == []
    assert Shop.report.__doc__ == "Make a report."
    assert asyncio.iscoroutinefunction(Shop.charge)
    assert asyncio.run(Shop().charge()) == "charged"
    assert list(Shop.lines()) == [1]
    with pytest.raises(BudgetExceededError):
        Shop().bill()
    budget.observe(Usage(cpu=10.0))
    assert Shop().report() == "report"


def test_guarding_what_cannot_be_called_is_refused() -> None:
    """Other things than functions, and async generators, are told at once."""
    budget = make(FakeClock())

    async def items() -> Any:
        yield 1

    for thing in (5, items):
        with pytest.raises(ConfigError, match="the target of a resource budget"):
            budget.guard()(thing)  # type: ignore[arg-type]


def test_a_protected_function_is_known_by_its_name() -> None:
    """The qualified name of a guarded function is the name of its work."""
    budget = make(FakeClock(), 95.0, protected=["*.pay"])

    @budget.guard("sheddable")
    def pay() -> str:
        return "paid"

    assert pay() == "paid"


def test_level_changes_are_published() -> None:
    """One event a change, with why and the smoothed use."""
    bus = EventBus()
    events: list[BudgetLevelChanged] = []
    bus.subscribe(events.append, BudgetLevelChanged, inline=True)
    clock = FakeClock()
    budget = ResourceBudget("app", clock=clock, events=bus, smoothing=0.0, hold=0.0)
    for cpu in (85.0, 86.0, 10.0):
        budget.observe(Usage(cpu=cpu, memory=5.0))

    assert [(e.old, e.new, e.cpu) for e in events] == [("NORMAL", "SLOW", 85.0), ("SLOW", "NORMAL", 10.0)]
    assert events[0].reason == "CPU 85 % reached 80 %"
    assert events[0].at == clock.wall()


def test_a_source_that_raises_counts_as_no_reading() -> None:
    """It is told, the level is left after ``stale_after``, and nothing escapes."""
    clock, broken = FakeClock(), [False]

    def source() -> Usage:
        if broken[0]:
            raise OSError("no /proc")
        return Usage(cpu=95.0, memory=5.0)

    budget = ResourceBudget(source=source, clock=clock, events=EventBus(), smoothing=0.0, stale_after=20.0)
    budget.check()
    broken[0] = True
    levels = []
    for _ in range(3):
        clock.advance(10)
        budget.check()
        levels.append(budget.level)

    assert levels == [SHED, NORMAL, NORMAL]
    assert budget.snapshot().problems["source"] == "raised OSError"
    broken[0] = False
    budget.check()
    assert "source" not in budget.snapshot().problems


def test_it_runs_as_a_task() -> None:
    """A registry calls it at its interval, under an id that no budget may suspend."""
    clock, readings = FakeClock(), [10.0, 99.0, 99.0]
    tasks = TaskRegistry(clock=clock, start=False)
    budget = ResourceBudget(
        source=lambda: Usage(cpu=readings.pop(0), memory=1.0), clock=clock, events=EventBus(), smoothing=0.0
    )
    assert budget.register(tasks, every=5.0) == "resource-budget"
    for _ in range(2):
        clock.advance(5)
        tasks.run_due()

    assert budget.level is SHED
    assert make(clock, protected=[]).register(tasks) == "resource-budget"
    named = ResourceBudget("db", source=lambda: Usage(), clock=clock)
    assert named.register(tasks) == "resource-budget-db"
    tasks.shutdown()


def test_the_report_is_written_at_changes_and_now_and_then(tmp_path: Path) -> None:
    """At the first look, at each change and after ``report_every``; as a whole, with nothing left beside it."""
    clock, use = FakeClock(), [10.0]
    budget = ResourceBudget(
        "app",
        source=lambda: Usage(cpu=use[0], memory=20.0, memory_used=2**20, memory_limit=2**21, cpu_pressure=1.5),
        responses=[Do("tell | people", lambda level: "told")],
        report_dir=tmp_path,
        report_every=60.0,
        clock=clock,
        events=EventBus(),
        smoothing=0.0,
        hold=0.0,
    )
    file = tmp_path / NAME
    budget.check()
    assert "**NORMAL**" in file.read_text()
    file.unlink()
    clock.advance(30)
    budget.check()
    assert not file.exists()
    use[0] = 85.0
    budget.check()
    text = file.read_text()
    assert "**SLOW** for 0.0 s: CPU 85 % reached 80 %." in text
    assert "| cpu | 85 % | 85 % | 85 % | 80 / 70 % | 90 / 80 % |" in text
    assert "Memory: 1 of 2 MiB." in text
    assert "| engage | told |" in text
    assert "tell \\| people" in text
    file.unlink()
    clock.advance(60)
    budget.check()
    assert os.listdir(tmp_path) == [NAME]
    assert os.stat(file).st_mode & 0o777 == 0o644


def test_a_report_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Watching goes on; asked for by hand, it raises; the old report is untouched."""
    place = tmp_path / "gone"
    place.mkdir()
    budget = ResourceBudget(
        source=lambda: Usage(cpu=1.0), report_dir=place, report_every=0.0, clock=FakeClock(), events=EventBus()
    )
    budget.check()
    (place / NAME).unlink()
    place.rmdir()
    budget.check()

    assert NAME in budget.snapshot().problems["report"]
    with pytest.raises(StateError, match="resource_usage_report_latest"):
        budget.write_report()
    assert budget.write_report(tmp_path) == tmp_path / NAME
    place.mkdir()
    budget.check()
    assert "report" not in budget.snapshot().problems


def test_section() -> None:
    """The section is plain JSON, and a status report shows it."""
    budget = make(FakeClock(), 85.0)
    report = StatusReport(sections={"resources": budget.section}).as_dict()

    assert json.loads(json.dumps(report["resources"])) == report["resources"]
    assert report["resources"]["level"] == "SLOW"
    assert report["resources"]["timeInLevel"] == {"NORMAL": 0, "SLOW": 0, "SHED": 0}
    assert report["resources"]["peaks"] == {"cpu": 85.0, "memory": 10.0}


def test_utilization() -> None:
    """The larger share of the two, as a signal for load shedding; unknown before the first reading."""
    budget = ResourceBudget(clock=FakeClock(), events=EventBus(), smoothing=0.0)
    assert budget.utilization() is None
    budget.observe(Usage(cpu=40.0, memory=65.0))
    assert budget.utilization() == 0.65


BAD: list[tuple[dict[str, Any], str]] = [
    ({"cpu_enter": 101.0}, "BudgetConfig.cpu_enter must be between 0.0 and 100.0 %, got 101.0. The default is 80.0."),
    ({"cpu_enter": True}, "BudgetConfig.cpu_enter"),
    ({"cpu_leave": "70"}, "BudgetConfig.cpu_leave"),
    ({"cpu_leave": 80.0}, "BudgetConfig.cpu_leave must be below BudgetConfig.cpu_enter, which is 80.0, got 80.0."),
    ({"memory_leave": 75.0}, "BudgetConfig.memory_leave must be below BudgetConfig.memory_enter"),
    ({"cpu_shed_leave": 95.0}, "BudgetConfig.cpu_shed_leave must be below"),
    ({"cpu_enter": 95.0}, "BudgetConfig.cpu_enter must be at most BudgetConfig.cpu_shed_enter"),
    ({"max_wait": -1.0}, "BudgetConfig.max_wait"),
    ({"slow_rate": 0.0}, "BudgetConfig.slow_rate"),
    ({"max_waiting": 1.5}, "BudgetConfig.max_waiting must be an integer"),
    ({"hold": float("nan")}, "BudgetConfig.hold"),
    ({"cpu_entr": 80.0}, "an option of ResourceBudget must be one of cpu_enter"),
    ({"config": 5}, "ResourceBudget.config"),
    ({"name": " "}, "ResourceBudget.name"),
    ({"source": 5}, "ResourceBudget.source"),
    ({"report_dir": "/no/such/place"}, "ResourceBudget.report_dir must be the path of a directory that is there"),
    ({"report_every": -1}, "ResourceBudget.report_every"),
]


@pytest.mark.parametrize(("given", "told"), BAD, ids=[next(iter(given)) + " " + told[:20] for given, told in BAD])
def test_bad_settings(given: dict[str, Any], told: str) -> None:
    """One clear ConfigError that names setting, bound and value."""
    with pytest.raises(ConfigError) as caught:
        ResourceBudget(**given)
    assert told in str(caught.value)


@pytest.mark.parametrize("bad", [{"criticality": "vital"}, {"timeout": -1.0}, {"timeout": "soon"}, {"timeout": True}])
def test_bad_questions(bad: dict[str, Any]) -> None:
    """A criticality that is none and a timeout that is no time are ConfigErrors, at admission and decoration."""
    budget = make(FakeClock())
    for ask in (budget.admit, budget.guard):
        with pytest.raises(ConfigError):
            ask(**bad)


def test_from_plain_data() -> None:
    """Settings of a file make a budget; all that is wrong is told at once, with its path."""
    budget = ResourceBudget.from_config({"name": "app", "cpu_enter": 60, "cpu_leave": 50.0}, "levers.budget")
    assert (budget.name, budget.config) == ("app", BudgetConfig(cpu_enter=60, cpu_leave=50.0))
    with pytest.raises(InvalidConfigError) as caught:
        ResourceBudget.from_config({"cpu_entr": 60, "hold": "30", "slow_rate": True}, "levers.budget")
    assert len(caught.value.problems) == 3
    assert "did you mean 'cpu_enter'" in str(caught.value)
    assert "levers.budget.hold" in str(caught.value)
    with pytest.raises(ConfigError, match=r"levers\.budget: BudgetConfig|levers\.budget\.cpu_leave"):
        ResourceBudget.from_config({"cpu_enter": 60, "cpu_leave": 65}, "levers.budget")


def test_refusals_travel() -> None:
    """A refusal can be pickled, as it has to be between processes."""
    with pytest.raises(BudgetExceededError) as caught:
        make(FakeClock(), 95.0).admit("sheddable")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)

"""What a budget does about the load: done once, undone when the level is left, protected work left alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import given

from selfheal.errors import ConfigError
from selfheal.events import BudgetResponded, EventBus
from selfheal.resources import (
    BudgetLevel,
    ClearCaches,
    Do,
    RateLimiter,
    ResourceBudget,
    Suspend,
    TaskQueue,
    Throttle,
    Usage,
)
from selfheal.resources.budget_responding import Protection, Responding
from selfheal.tasks import TaskRegistry
from selfheal.testing import FakeClock

NORMAL, SLOW, SHED = BudgetLevel.NORMAL, BudgetLevel.SLOW, BudgetLevel.SHED
USE = {NORMAL: 10.0, SLOW: 80.0, SHED: 95.0}


@attrs.define
class Recording:
    """A response that writes down what is asked of it, and raises on request."""

    name: str = "recording"
    at: BudgetLevel = SLOW
    touches: tuple[str, ...] = ()
    raises: set[str] = attrs.field(factory=set)
    calls: list[str] = attrs.field(factory=list)

    def targets(self) -> Sequence[str]:
        return self.touches

    def engage(self, level: BudgetLevel) -> str:
        self.calls.append(level.value)
        if "engage" in self.raises:
            raise RuntimeError("cannot engage")
        return "engaged"

    def release(self) -> str:
        self.calls.append("release")
        if "release" in self.raises:
            raise RuntimeError("cannot release")
        return "released"


class Rig:
    """A budget without smoothing and hold, on a fake clock, whose events are kept."""

    def __init__(self, *responses: object, protected: Sequence[str] = ()) -> None:
        self.clock = FakeClock()
        self.events: list[BudgetResponded] = []
        bus = EventBus()
        bus.subscribe(self.events.append, BudgetResponded, inline=True)
        self.budget = ResourceBudget(
            responses=responses,  # type: ignore[arg-type]
            protected=protected,
            clock=self.clock,
            events=bus,
            smoothing=0.0,
            hold=0.0,
        )

    def to(self, level: BudgetLevel) -> None:
        """Bring the budget to a level."""
        self.clock.advance(1)
        self.budget.observe(Usage(cpu=USE[level], memory=10.0))
        assert self.budget.level is level


def test_engaged_at_its_level_and_released_below_it() -> None:
    """Engaged when its level is reached, again when the level changes, released once when it is left."""
    slow, shed = Recording("slow", SLOW), Recording("shed", SHED)
    rig = Rig(slow, shed)
    for level in (SLOW, SLOW, SHED, SHED, SLOW, NORMAL, NORMAL):
        rig.to(level)

    assert slow.calls == ["SLOW", "SHED", "SLOW", "release"]
    assert shed.calls == ["SHED", "release"]
    assert [(event.response, event.step) for event in rig.events][:2] == [("slow", "engage"), ("slow", "engage")]
    assert rig.budget.snapshot().engaged == ()


def test_released_in_reverse() -> None:
    """The last engaged is undone first."""
    order: list[str] = []
    doing = [Do(name, lambda _, n=name: order.append(n), lambda n=name: order.append("-" + n)) for name in "abc"]  # type: ignore[misc]
    rig = Rig(*doing)
    rig.to(SLOW)
    rig.to(NORMAL)

    assert order == ["a", "b", "c", "-c", "-b", "-a"]


def test_one_that_raises_is_told_and_stops_nobody() -> None:
    """The others are engaged and released; what was half done is released too."""
    bad, good = Recording("bad", raises={"engage"}), Recording("good")
    rig = Rig(bad, good)
    rig.to(SLOW)

    assert good.calls == ["SLOW"]
    assert rig.budget.snapshot().problems == {"bad": "RuntimeError: cannot engage"}
    assert [event.error for event in rig.events] == ["RuntimeError: cannot engage", ""]
    rig.to(NORMAL)
    assert bad.calls == ["SLOW", "release"]
    assert rig.budget.snapshot().problems == {}


def test_what_cannot_be_undone_is_tried_again_until_it_is() -> None:
    """A failing release is tried at each look, told once, and shown as engaged until it has succeeded."""
    stuck = Recording(raises={"release"})
    rig = Rig(stuck)
    rig.to(SLOW)
    rig.to(NORMAL)
    rig.to(NORMAL)

    assert stuck.calls == ["SLOW", "release", "release"]
    assert rig.budget.snapshot().engaged == ("recording",)
    assert [event.step for event in rig.events] == ["engage", "release"]
    stuck.raises.clear()
    rig.to(NORMAL)
    rig.to(NORMAL)
    assert stuck.calls.count("release") == 3
    assert rig.budget.snapshot().engaged == ()


@pytest.mark.parametrize("target", ["billing", "healing", "preventive-healing", "selfheal.healer", "resource-budget"])
def test_protected_work_is_refused_at_load(target: str) -> None:
    """A response that would touch protected work, the healer's included, is a ConfigError naming it."""
    with pytest.raises(ConfigError, match=target):
        Rig(Recording(touches=("reports", target)), protected=["bill*"])


def test_protected_work_is_left_alone_when_it_becomes_a_target_later() -> None:
    """Looked up again right before it runs: it is neither engaged nor released, and that is told."""
    response = Recording(touches=("reports",))
    rig = Rig(response, protected=["billing"])
    response.touches = ("reports", "billing")
    rig.to(SLOW)
    rig.to(NORMAL)

    assert response.calls == []
    assert rig.events[0].error == "not engaged: billing is protected"


def test_a_rate_is_turned_down_and_back() -> None:
    """A real limiter: half at SLOW, a fifth at SHED, all of it afterwards."""
    limiter = RateLimiter(100, name="door")
    rig = Rig(Throttle(limiter))
    rates = []
    for level in (SLOW, SHED, SLOW, NORMAL):
        rig.to(level)
        rates.append(limiter.rate)

    assert rates == [50.0, 20.0, 50.0, 100.0]


def test_a_rate_that_somebody_else_turned_is_left_to_them() -> None:
    """What a person sets while it is throttled stays, at the next level and afterwards."""
    limiter = RateLimiter(100, name="door")
    rig = Rig(Throttle(limiter))
    rig.to(SLOW)
    limiter.set_rate(7)
    rig.to(SHED)
    rig.to(NORMAL)

    assert limiter.rate == 7
    assert "somebody else set it" in rig.events[-1].detail
    rig.to(SLOW)
    assert limiter.rate == 3.5


def test_a_rate_whose_turning_failed_is_put_back() -> None:
    """A limiter that took the rate and raised all the same is turned back."""

    class Raising:
        name, rate, broken = "door", 100.0, True

        def set_rate(self, rate: float, /) -> None:
            self.rate = rate
            if self.broken:
                raise OSError("told, but not confirmed")

    limiter = Raising()
    rig = Rig(Throttle(limiter))
    rig.to(SLOW)
    limiter.broken = False
    rig.to(NORMAL)

    assert limiter.rate == 100.0


def test_caches_are_emptied_all_of_them() -> None:
    """Things with ``clear`` and functions alike; one that raises does not save the others."""
    cache, cleared = {"a": 1}, []

    def broken() -> None:
        raise OSError("read-only")

    rig = Rig(ClearCaches(broken, cache, lambda: cleared.append(1)))
    rig.to(SLOW)

    assert (cache, cleared) == ({}, [1])
    assert rig.events[0].error == "OSError: read-only"


def test_low_priority_tasks_are_held_back_and_let_go_on() -> None:
    """On the real registry: what somebody had paused before stays paused, what is gone does not matter."""
    clock = FakeClock()
    tasks = TaskRegistry(clock=clock, start=False)
    for id in ("reports", "thumbnails", "vacuum", "checkout"):
        tasks.register_interval(id, lambda: None, 10)
    tasks.pause("vacuum")
    rig = Rig(Suspend(tasks, "reports", "thumbnails", "vacuum"))
    rig.to(SLOW)
    assert enabled(tasks) == {"reports", "thumbnails", "checkout"}
    rig.to(SHED)
    assert enabled(tasks) == {"checkout"}
    tasks.unregister("thumbnails")
    rig.to(NORMAL)

    assert enabled(tasks) == {"reports", "checkout"}
    assert rig.budget.snapshot().problems == {}
    tasks.shutdown()


def enabled(tasks: TaskRegistry) -> set[str]:
    return {task.id for task in tasks.snapshot().tasks if task.enabled}


def test_a_task_that_cannot_be_held_back_is_told_and_the_others_are() -> None:
    """The registry's own error is told; the other tasks are held back, and let go on afterwards."""
    tasks = TaskRegistry(clock=FakeClock(), start=False)
    tasks.register_interval("reports", lambda: None, 10)
    rig = Rig(Suspend(tasks, "gone", "reports"))
    rig.to(SHED)

    assert enabled(tasks) == set()
    assert "no task is named 'gone'" in rig.budget.snapshot().problems["suspend gone, reports"]
    rig.to(NORMAL)
    assert enabled(tasks) == {"reports"}
    tasks.shutdown()


def test_a_queue_is_slowed_down_and_back() -> None:
    """A real task queue hands out its work more slowly while the budget is over."""
    queue = TaskQueue("mail", clock=FakeClock())
    rig = Rig(Do("slow the queue", lambda level: queue.slow_down(4), lambda: queue.slow_down(1)))
    rig.to(SLOW)
    assert queue.snapshot().slow_factor == 4
    rig.to(NORMAL)
    assert queue.snapshot().slow_factor == 1


def test_close_undoes_everything() -> None:
    """A budget that is closed leaves nothing turned down, and looks no more."""
    response = Recording()
    rig = Rig(response)
    rig.to(SHED)
    rig.budget.close()
    rig.budget.close()

    assert response.calls == ["SHED", "release"]
    assert rig.budget.observe(Usage(cpu=99.0)) == ()
    assert rig.budget.level is NORMAL


def test_a_response_may_ask_the_budget_back() -> None:
    """No lock is held while a response runs: it may look at the budget, and even take a reading."""
    told: list[str] = []
    rig = Rig(Do("look", lambda level: told.append(rig.budget.snapshot().level + str(rig.budget.observe(Usage())))))
    rig.to(SLOW)

    assert told == ["SLOW()"]


def test_a_level_that_moves_while_a_response_runs_is_followed() -> None:
    """The thread that is at it brings the responses to where the level went meanwhile."""
    entered, go_on = threading.Event(), threading.Event()
    calls: list[str] = []

    def slowly(level: BudgetLevel) -> None:
        calls.append(level.value)
        entered.set()
        assert go_on.wait(60)

    rig = Rig(Do("slow one", slowly, lambda: calls.append("release")))
    thread = threading.Thread(target=lambda: rig.budget.observe(Usage(cpu=80.0, memory=10.0)))
    thread.start()
    assert entered.wait(60)
    rig.to(NORMAL)
    assert calls == ["SLOW"]
    go_on.set()
    thread.join(60)

    assert calls == ["SLOW", "release"]


def test_a_thread_that_is_ended_in_a_response_blocks_nobody() -> None:
    """After a SystemExit inside a response the next look goes on."""
    calls: list[str] = []

    def leave(level: BudgetLevel) -> None:
        calls.append(level.value)
        if len(calls) == 1:
            raise SystemExit

    rig = Rig(Do("exit", leave))
    with pytest.raises(SystemExit):
        rig.to(SLOW)
    rig.to(SLOW)

    assert calls == ["SLOW", "SLOW"]


@given(st.lists(st.tuples(st.sampled_from(list(BudgetLevel)), st.sets(st.sampled_from(["engage", "release"])))))
def test_whatever_happens_nothing_stays_engaged(steps: list[tuple[BudgetLevel, set[str]]]) -> None:
    """Any run of levels and failures: once at NORMAL without failure all is undone, and nothing protected touched."""
    free, guarded = Recording("free", SLOW), Recording("guarded", SHED, touches=("x",))
    it = Responding([free, guarded], Protection(["billing"]), lambda: 0.0, lambda deed: None)
    guarded.touches = ("billing",)
    for level, raises in steps:
        free.raises = raises
        it.bring_to(level)
    free.raises = set()
    it.bring_to(NORMAL)

    assert guarded.calls == []
    assert it.engaged == ()
    assert free.calls == [] or free.calls[-1] == "release"


BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: Throttle(object()), "Throttle.limiter"),  # type: ignore[arg-type]
    (lambda: Throttle(RateLimiter(1), slow=0.0), "Throttle.slow must be more than 0"),
    (lambda: Throttle(RateLimiter(1), slow=0.2, shed=0.5), "Throttle.shed must be more than 0 and at most 0.2"),
    (lambda: Throttle(RateLimiter(1), at="NORMAL"), "Throttle.at must be 'SLOW' or 'SHED'"),
    (lambda: ClearCaches(), "ClearCaches.caches"),
    (lambda: ClearCaches(5), "ClearCaches.caches"),  # type: ignore[arg-type]
    (lambda: Suspend(object(), "a"), "Suspend.work"),  # type: ignore[arg-type]
    (lambda: Suspend(TaskRegistry(start=False)), "Suspend.ids"),
    (lambda: Do("x", 5), "Do.engage"),  # type: ignore[arg-type]
    (lambda: Rig(Recording("a"), Recording("a")), "responses of different names"),
    (lambda: Rig(object()), "ResourceBudget.responses"),
    (lambda: Rig(protected="billing"), "a list of names"),
    (lambda: Rig(protected=["  "]), "names that are not blank"),
]


@pytest.mark.parametrize(("make", "told"), BAD, ids=[told for _, told in BAD])
def test_bad_input(make: Callable[[], object], told: str) -> None:
    """One clear ConfigError that names the setting."""
    with pytest.raises(ConfigError, match=told):
        make()


def test_an_async_function_is_refused() -> None:
    """A response is brought about in a plain thread."""

    async def later(level: BudgetLevel) -> None: ...

    with pytest.raises(ConfigError, match="not async"):
        Do("later", later)

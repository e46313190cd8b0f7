"""Levers on work: what can wait, what can be done without, what goes first, a restart prepared, who depends on whom."""

from __future__ import annotations

from typing import Any

import pytest

from selfheal.errors import ConfigError, NotFoundError
from selfheal.events import EventBus
from selfheal.levers import (
    DependencyGraph,
    DependencyResets,
    HealthChecks,
    LowPriorityWork,
    MonitoringPace,
    OptionalServices,
    QueueOrder,
    RestartPreparation,
    tcp_check,
)
from selfheal.resources import TaskQueue
from selfheal.tasks import TaskRegistry
from selfheal.testing import FakeClock


def registry() -> TaskRegistry:
    tasks = TaskRegistry(start=False, clock=FakeClock(), events=EventBus())
    for id, owner in (("a", None), ("b", "batch"), ("c", "batch"), ("poll", None)):
        tasks.register_interval(id, print, every=60, owner=owner)
    return tasks


def test_work_is_chosen_by_id_and_by_owner() -> None:
    """Ids and owners say what can wait; ids that are not there yet count once they are."""
    tasks = registry()
    work = LowPriorityWork(tasks, ["a", "later"], owners=["batch"])
    assert work.active() == ("a", "b", "c")
    tasks.register_interval("later", print, every=60)

    assert work.active() == ("a", "b", "c", "later")
    assert not LowPriorityWork(registry(), ["later"]).suspend("later"), "what is not there needs no pausing"


def test_what_was_not_declared_is_never_touched() -> None:
    """A task that was not declared to be of low priority cannot be paused or resumed through the lever."""
    tasks = registry()
    work = LowPriorityWork(tasks, ["a"])
    for move in (work.suspend, work.resume):
        with pytest.raises(ConfigError, match=r"one of those that can wait \(a\)"):
            move("poll")

    assert all(task.enabled for task in tasks.snapshot().tasks)


def test_what_a_person_paused_is_not_ours_to_resume() -> None:
    """Only what was running when it was suspended counts as suspended."""
    tasks = registry()
    work = LowPriorityWork(tasks, ["a"], owners=["batch"])
    tasks.pause("a")
    assert not work.suspend("a")
    assert work.suspend("b")

    assert work.suspended() == ("b",)
    tasks.resume("b")
    assert work.suspended() == ()


def test_a_task_that_went_is_forgotten() -> None:
    """A suspended task that is unregistered can be resumed, which does nothing."""
    tasks = registry()
    work = LowPriorityWork(tasks, owners=["batch"])
    work.suspend("b")
    tasks.unregister("b")

    assert work.resume("b") is False
    assert work.suspended() == ()


def test_low_priority_work_must_be_named() -> None:
    """Nothing declared is no lever."""
    with pytest.raises(ConfigError, match="the ids, or the owners"):
        LowPriorityWork(registry())


class Services:
    def __init__(self) -> None:
        self.pids: dict[str, int | None] = {"a": 1, "b": None, "core": 3}

    def stop(self, name: str, *, reason: str) -> str:
        self.pids[name] = None
        return reason

    def status(self, name: str) -> Any:
        return type("Status", (), {"pid": self.pids[name]})


def test_only_optional_services_are_stopped() -> None:
    """A service that is not among the optional ones is refused."""
    services = Services()
    optional = OptionalServices(services, ["a", "b"])
    assert optional.running() == ("a",)
    with pytest.raises(NotFoundError, match="no optional service is named 'core'"):
        optional.stop("core", "test")
    assert optional.stop("a", "memory") == "memory"

    assert services.pids == {"a": None, "b": None, "core": 3}
    wrong: list[Any] = [[], "a"]
    for names in wrong:
        with pytest.raises(ConfigError):
            OptionalServices(services, names)


def test_an_order_is_followed_by_a_real_queue() -> None:
    """What is put behind is taken later, and what is put back is taken in the old order."""
    queue = TaskQueue("jobs", clock=FakeClock(), events=EventBus())
    put = {queue.put(kind, priority=rank): rank for kind, rank in (("mail", 6), ("bill", 5))}
    mail, bill = put
    order = QueueOrder(queue, lambda target: {mail: 6} if target == "mail" else {})
    assert order.reprioritise(mail, priority=1)
    assert order.priorities("mail") == {mail: 1}
    first = queue.take()
    assert first is not None
    assert first.id == bill

    assert not order.reprioritise(99, priority=1), "a task that is gone"
    assert order.reprioritise(mail, priority=6)
    assert order.priorities("mail") == {mail: 6}
    assert order.priorities("bill") == {}


def test_a_pace_that_cannot_be_applied_stays() -> None:
    """When applying raises, the interval is what it was."""

    def refuse(seconds: float) -> None:
        raise OSError("no")

    pace = MonitoringPace(10.0, refuse)
    with pytest.raises(OSError, match="no"):
        pace.set_interval(5.0)
    with pytest.raises(ConfigError, match="between 0.001 and 86400.0"):
        pace.set_interval(0.0)

    assert pace.interval == 10.0


def test_preparation_that_fails_is_taken_back() -> None:
    """Steps done before the failing one are undone, latest first; the first error is raised, a second told with it."""
    told: list[str] = []

    def fail(reason: str) -> None:
        raise OSError("disk full")

    def stuck(reason: str) -> None:
        told.append("b undone")
        raise ValueError("stuck")

    steps = {"a": lambda why: told.append("a"), "b": lambda why: told.append("b"), "c": fail}
    ready = RestartPreparation(steps, {"a": lambda why: told.append("a undone"), "b": stuck})
    with pytest.raises(OSError, match="disk full") as caught:
        ready.prepare("memory")

    assert told == ["a", "b", "b undone", "a undone"]
    assert caught.value.__notes__ == ["and undoing step 'b' raised ValueError: stuck"]
    assert not ready.prepared


def test_preparation_is_done_once() -> None:
    """A second call does nothing; cancelling undoes what can be undone."""
    told: list[str] = []
    ready = RestartPreparation({"a": told.append, "b": told.append}, {"a": told.append})
    assert ready.prepare("x") == ("a", "b")
    assert ready.prepare("x") == ()
    assert ready.cancel("y") == ("a",)
    assert told == ["x", "x", "y"]
    assert not ready.prepared
    assert RestartPreparation({"a": told.append}, {"a": told.append}).cancel("z") == ("a",), "after a crash"
    assert told[-1] == "z"
    wrong: list[tuple[Any, Any]] = [({}, None), ({"a": 1}, None), ({"a": print}, {"b": print})]
    for steps, undo in wrong:
        with pytest.raises(ConfigError):
            RestartPreparation(steps, undo)


def test_dependants_come_after_what_they_need() -> None:
    """In a diamond each comes once, after both that it needs; who does not depend is left out."""
    graph = DependencyGraph({"top": ["left", "right"], "left": ["base"], "right": ["base"], "other": ["else"]})
    order = graph.dependants("base")

    assert sorted(order) == ["left", "right", "top"]
    assert order[-1] == "top"
    assert graph.dependants("top") == graph.dependants("nobody") == ()
    assert graph.depends_on("top") == ("left", "right")
    assert set(graph.names()) == {"top", "left", "right", "base", "other", "else"}


def test_a_ring_is_refused_and_named() -> None:
    """Dependencies in a ring have no order."""
    with pytest.raises(ConfigError, match="without rings, got '(a -> b -> a|b -> a -> b)'"):
        DependencyGraph({"a": ["b"], "b": ["a"]})
    with pytest.raises(ConfigError, match="a list of names"):
        DependencyGraph({"a": "b"})


def test_a_reset_raises_what_it_raises() -> None:
    """An error of the host's reset comes through; a dependency without one is refused."""

    def fail() -> None:
        raise OSError("refused")

    resets = DependencyResets({"db": fail})
    with pytest.raises(OSError, match="refused"):
        resets.reset("db")
    with pytest.raises(NotFoundError, match="no dependency is named 'x'. There are: db."):
        resets.reset("x")
    uncallable: Any = 3
    with pytest.raises(ConfigError):
        DependencyResets({"db": uncallable})


def test_checks_tell_what_they_found() -> None:
    """Well, not well by ``False``, not well by an error, with the time it took and without secrets."""
    clock = FakeClock(autojump=True)

    def slow() -> None:
        clock.sleep(1.5)
        raise OSError("password=hunter2 refused")

    checks = HealthChecks({"a": lambda: None, "b": lambda: False, "c": slow}, clock=clock)
    told = [checks.check(name) for name in checks.names()]
    assert [(one.ok, one.detail, one.seconds) for one in told] == [
        (True, "well", 0.0),
        (False, "not well", 0.0),
        (False, "OSError: password=[redacted] refused", 1.5),
    ]
    with pytest.raises(NotFoundError):
        checks.check("d")


@pytest.mark.parametrize(("port", "timeout"), [(0, 1.0), (70_000, 1.0), (True, 1.0), (80, 0.0), (80, 1e9)])
def test_a_network_check_is_bounded(port: int, timeout: float) -> None:
    """A port that cannot be and a check without end are refused."""
    with pytest.raises(ConfigError):
        tcp_check("localhost", port, timeout)

"""What each shipped action plans, skips, does and says, beyond what the contract asks of all."""

from __future__ import annotations

import functools
import json
import logging
import math
from pathlib import Path
from typing import Any

import attrs
import pytest

from selfheal.errors import (
    ConfigError,
    FallbackExhaustedError,
    HealingFailedError,
    HealingInterruptedError,
    LeverUnsupportedError,
    NotFoundError,
    NotifyError,
)
from selfheal.events import Alert, EventBus, Severity
from selfheal.healing.actions import ActionCall, Plan, Probed, Skip
from selfheal.healing.actions.service_marks import is_up, mark, restarted
from selfheal.levers import (
    CacheControl,
    DependencyGraph,
    FallbackSwitch,
    FileNotifier,
    HealthChecks,
    Notification,
    Notifiers,
)
from selfheal.resources import RateLimiter
from selfheal.testing import ActionScene, FakeClock, RecordingLevers
from tests.healing.actions import scenes
from tests.healing.actions.scenes import ALERT, BUILTIN, call_of


def planned(call: ActionCall, name: str) -> Plan:
    plan = BUILTIN.get(name).plan(call)
    assert not isinstance(plan, Skip), plan.reason
    return plan


def skipped(call: ActionCall, name: str) -> str:
    plan = BUILTIN.get(name).plan(call)
    assert isinstance(plan, Skip)
    return plan.reason


def recorded(name: str, levers: RecordingLevers | None = None, **params: Any) -> tuple[ActionCall, RecordingLevers]:
    levers = levers or RecordingLevers()
    return call_of(name, ActionScene(levers=levers, look=tuple), **params), levers


# --- log, notify, snapshot


def test_log_writes_one_line_at_the_level_of_the_alert(caplog: pytest.LogCaptureFixture) -> None:
    """The line names the strategy and what is wrong, holds no secret and no line break."""
    call, _ = recorded("log", message="look\nhere, password=hunter2, now")
    action = BUILTIN.get("log")
    receipt = action.run(call, planned(call, "log"))

    assert [(r.levelname, r.message) for r in caplog.records] == [
        ("CRITICAL", "slow: look here, password=[redacted], now: high_latency on api, latency_ms is 900")
    ]
    assert receipt == {"logged": True}


def test_log_says_when_its_level_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A record that no log takes is no effect."""
    caplog.set_level(logging.ERROR, "selfheal.healing.actions")
    call, _ = recorded("log", level="info")
    action, plan = BUILTIN.get("log"), planned(call, "log")
    receipt = action.run(call, plan)

    assert receipt == {"logged": False}
    assert action.verify(call, plan, {"logged": False}) is False


def test_an_alert_without_a_value_is_told_without() -> None:
    """A value that is not there is not shown as nan, and a plan holds no number that JSON lacks."""
    call, _ = recorded("log")
    call = attrs.evolve(call, alert=Alert(kind="cascade", metric="m"))

    assert planned(call, "log")["line"] == "slow: cascade, m"


def test_notify_is_delivered_once_by_its_key(tmp_path: Path) -> None:
    """Run again with the same key nothing is told twice; another key tells again."""
    file = FileNotifier(tmp_path / "told.jsonl")
    notifiers = Notifiers({"file": file}, clock=FakeClock(), events=EventBus())
    call, _ = recorded("notify", RecordingLevers(notifier=notifiers), title="slow again")
    action, plan = BUILTIN.get("notify"), planned(call, "notify")
    for key in ("run:0", "run:0", "other:0"):
        action.run(attrs.evolve(call, key=key), plan)

    told = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert [(one["title"], one["severity"]) for one in told] == [("slow again", "critical")] * 2
    assert told[0]["labels"] == {"strategy": "slow", "target": "api", "kind": "high_latency", "metric": "latency_ms"}
    assert action.probe(call, plan) is Probed.UNKNOWN
    assert action.verify(call, plan, {}) is None


def test_notify_fails_when_nobody_took_it() -> None:
    """A notification that no notifier took is a failed action."""

    class Down:
        def notify(self, notification: Notification) -> None:
            raise OSError("no route")

    call, _ = recorded("notify", RecordingLevers(notifier=Notifiers({"ops": Down()}, events=EventBus())))
    with pytest.raises(NotifyError, match="no route"):
        BUILTIN.get("notify").run(call, planned(call, "notify"))


def test_snapshot_is_verified_by_its_file(tmp_path: Path) -> None:
    """The receipt names the file; without it the effect is gone."""
    call, action = call_of("snapshot", scenes.snapshot(tmp_path)), BUILTIN.get("snapshot")
    plan = planned(call, "snapshot")
    receipt = action.run(call, plan)
    assert receipt is not None

    assert json.loads(Path(receipt["path"]).read_text())["reason"] == plan["reason"]
    assert action.verify(call, plan, receipt) is True
    Path(receipt["path"]).unlink()
    assert action.verify(call, plan, receipt) is False


# --- rate_limit, scale_workers, tighten_monitoring


@pytest.mark.parametrize(
    ("params", "rate"), [({}, 50.0), ({"factor": 0.1}, 10.0), ({"factor": 0.001}, 1.0), ({"rate": 20.0}, 20.0)]
)
def test_rate_limit_by_factor_or_rate_never_below_its_minimum(params: dict[str, Any], rate: float) -> None:
    """The new rate follows the parameters."""
    call, _ = recorded("rate_limit", **params)
    assert planned(call, "rate_limit") == {"rate": rate, "old_rate": 100.0, "old_burst": 100.0}


def test_rate_limit_skips_what_is_slow_already() -> None:
    """It never raises a rate, nor sets the one there is."""
    for params in ({"rate": 200.0}, {"rate": 100.0}, {"factor": 1.0}):
        call, levers = recorded("rate_limit", None, **params)
        assert skipped(call, "rate_limit") == "the rate is 100 a second already"
    levers.rate_limiter.rate = 0.5
    assert skipped(recorded("rate_limit", levers)[0], "rate_limit") == "the rate is 0.5 a second already"


@pytest.mark.parametrize("burst", [None, 7.0])
def test_rate_limit_puts_back_a_derived_burst_and_a_fixed_one(burst: float | None) -> None:
    """After the rollback the burst is what it was, and is derived again where it was derived."""
    limiter = RateLimiter(10, burst=burst, clock=FakeClock(), events=EventBus())
    call, _ = recorded("rate_limit", RecordingLevers(rate_limiter=limiter))
    action, plan = BUILTIN.get("rate_limit"), planned(call, "rate_limit")
    receipt = action.run(call, plan)
    assert (limiter.rate, limiter.burst) == (5.0, burst or 5.0)
    action.rollback(call, plan, receipt)

    assert (limiter.rate, limiter.burst) == (10, burst or 10)
    limiter.set_rate(20)
    assert limiter.burst == (burst or 20)


def test_rate_limit_says_what_it_left_alone() -> None:
    """A rate that is neither the old one nor ours is somebody's, and in doubt."""
    call, levers = recorded("rate_limit")
    action, plan = BUILTIN.get("rate_limit"), planned(call, "rate_limit")
    levers.rate_limiter.rate = 70.0

    assert action.probe(call, plan) is Probed.UNKNOWN
    left = "the rate is left at 70 a second: 50 was set, somebody changed it since"
    assert action.rollback(call, plan, None) == left
    assert levers.moves() == []


@pytest.mark.parametrize(
    ("size", "params", "wanted"),
    [
        (2, {}, 3),
        (2, {"by": 100}, 8),
        (4, {"by": -2}, 2),
        (4, {"by": -9}, 1),
        (2, {"to": 5}, 5),
        (2, {"by": 5, "at_most": 4}, 4),
        (4, {"by": -3, "at_least": 2}, 2),
        (8, {}, None),
        (1, {"by": -1}, None),
        (9, {"by": 1}, None),
        (3, {"to": 3}, None),
        (5, {"by": 1, "at_most": 3}, None),
    ],
)
def test_scale_keeps_the_bounds(size: int, params: dict[str, Any], wanted: int | None) -> None:
    """The number wanted lies within the parameters and the pool's own bounds; asked to grow, it never shrinks."""
    call, levers = recorded("scale_workers", **params)
    levers.workers.size = size
    if wanted is None:
        assert "no other number" in skipped(call, "scale_workers")
    else:
        assert planned(call, "scale_workers") == {"size": wanted, "old_size": size}


def test_scale_that_changes_nothing_fails() -> None:
    """A pool that stays as it is, was not scaled."""
    call, levers = recorded("scale_workers")
    plan = planned(call, "scale_workers")
    levers.workers.maximum = 2

    with pytest.raises(HealingFailedError, match="still 2 workers, 3 were wanted"):
        BUILTIN.get("scale_workers").run(call, plan)


def test_tighten_stops_at_its_minimum(tmp_path: Path) -> None:
    """It is not measured more often than the parameters allow, and not less often than before."""
    scene = scenes.tighten_monitoring(tmp_path)

    assert planned(call_of("tighten_monitoring", scene, factor=0.001), "tighten_monitoring")["interval"] == 1.0
    assert "every 60 s already" in skipped(call_of("tighten_monitoring", scene, minimum=90.0), "tighten_monitoring")


# --- restarts


def test_restart_is_done_once_and_known_by_the_process() -> None:
    """Another process id tells that it was done: a second run does nothing."""
    call, levers = recorded("restart_service")
    action, plan = BUILTIN.get("restart_service"), planned(call, "restart_service")
    first, second = action.run(call, plan), action.run(call, plan)

    assert (first, second) == ({"service": "api", "restarted": True}, {"service": "api", "restarted": False})
    assert levers.moves() == ["services.restart"]


def test_restart_of_what_tells_nothing_stays_in_doubt() -> None:
    """A lever whose status says nothing of the run leaves it unknown whether it was restarted."""

    class Silent:
        restarts = 0

        def restart(self, name: str) -> None:
            self.restarts += 1

        def status(self, name: str) -> object:
            return None

    silent = Silent()
    call, _ = recorded("restart_service", RecordingLevers(services=silent))
    action, plan = BUILTIN.get("restart_service"), planned(call, "restart_service")
    assert action.probe(call, plan) is Probed.UNKNOWN
    receipt = action.run(call, plan)
    assert receipt is not None

    assert action.probe(call, plan) is Probed.UNKNOWN
    assert action.verify(call, plan, receipt) is None
    assert silent.restarts == 1


MARKS = [
    ({"pid": 1, "up_since": 5.0}, {"pid": 2, "up_since": 9.0}, Probed.DONE),
    ({"pid": 1, "up_since": 5.0}, {"pid": 1, "up_since": 5.1}, Probed.NOT_DONE),
    ({"pid": 1, "up_since": 5.0}, {"pid": 1, "up_since": 50.0}, Probed.DONE),
    ({"pid": 1}, {"pid": 1}, Probed.NOT_DONE),
    ({"pid": 1}, {}, Probed.UNKNOWN),
    ({}, {"pid": 1}, Probed.DONE),
    ({}, {}, Probed.UNKNOWN),
    ({"started_at": 5.0}, {"started_at": 6.0}, Probed.DONE),
    ({"started_at": 5.0, "pid": 1}, {"started_at": 5.0, "pid": 1}, Probed.NOT_DONE),
    ({"generation": 1}, {"generation": 2}, Probed.DONE),
    ({"up_since": 5.0}, {"up_since": 5.0}, Probed.NOT_DONE),
    ({"up_since": 5.0}, {"up_since": 60.0}, Probed.DONE),
    ({"up_since": 60.0}, {"up_since": 5.0}, Probed.UNKNOWN),
]


@pytest.mark.parametrize(("before", "now", "told"), MARKS, ids=map(str, range(len(MARKS))))
def test_runs_are_told_apart(before: dict[str, Any], now: dict[str, Any], told: Probed) -> None:
    """Start, generation, process and uptime tell one run from the next, as far as they are told."""
    assert restarted(before, now) is told


def test_a_mark_is_read_from_objects_and_mappings() -> None:
    """What a status tells of its run is found whatever it is made of."""
    assert mark({"pid": 7, "uptime": 4.0, "state": "up"}, 100.0) == {"pid": 7, "up_since": 96.0}
    assert mark(Up(), 100.0) == {"pid": 7, "started_at": "noon"}
    assert mark({"pid": None, "uptime": 0.0}, 100.0) == {}
    assert mark(None, 100.0) == mark("up", 100.0) == mark(True, 100.0) == {}


class Up:
    pid, started_at, uptime = 7, "noon", None


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"state": "RUNNING"}, True),
        ({"state": "RUNNING", "ready": False}, None),
        ({"state": "STARTING"}, None),
        ({"state": "FAILED"}, False),
        ("up", True),
        ("down", False),
        (True, True),
        (False, False),
        (None, None),
        (object(), None),
    ],
)
def test_a_status_is_read(status: object, told: bool | None) -> None:
    """Up, down, or not told."""
    assert is_up(status) is told


@pytest.mark.parametrize(
    ("severity", "value", "params", "restarts"),
    [
        ("critical", 1.0, {}, True),
        ("warning", 1.0, {}, False),
        ("warning", 95.0, {"critical_value": 95.0}, True),
        ("warning", 94.9, {"critical_value": 95.0}, False),
        ("info", 0.5, {"critical_value": 0.5, "when": "below"}, True),
        ("info", 0.6, {"critical_value": 0.5, "when": "below"}, False),
        ("warning", math.nan, {"critical_value": 0.0}, False),
        ("critical", math.nan, {"critical_value": 0.0}, True),
    ],
)
def test_restart_if_critical(severity: str, value: float, params: dict[str, Any], restarts: bool) -> None:
    """It restarts what is critical by severity or by value, and says why it does not."""
    call, _ = recorded("restart_if_critical", **params)
    call = attrs.evolve(call, alert=attrs.evolve(ALERT, severity=Severity(severity), value=value))
    if restarts:
        assert planned(call, "restart_if_critical")["service"] == "api"
    else:
        assert skipped(call, "restart_if_critical").startswith(f"not critical: the alert is {severity}")


def dependants(**params: Any) -> tuple[ActionCall, RecordingLevers]:
    graph = DependencyGraph({"api": ["db"], "web": ["api"], "mail": ["db"]})
    call, levers = recorded("restart_dependants", RecordingLevers(dependencies=graph), **params)
    return attrs.evolve(call, target="db", clock=FakeClock(autojump=True)), levers


def test_dependants_are_restarted_in_order() -> None:
    """The target comes first, and each after what it depends on; the plan lists them all for the guards."""
    call, levers = dependants()
    plan = planned(call, "restart_dependants")
    BUILTIN.get("restart_dependants").run(call, plan)

    order = [pull.args[0] for pull in levers.pulls]
    assert order == plan["targets"]
    assert sorted(order) == ["api", "db", "mail", "web"]
    assert order[0] == "db"
    assert order.index("api") < order.index("web")


def test_dependants_without_the_target() -> None:
    """The target itself can be left out; where nobody depends on it there is nothing to do."""
    call, _ = dependants(include_target=False)
    assert "db" not in planned(call, "restart_dependants")["targets"]
    assert skipped(attrs.evolve(call, target="web"), "restart_dependants") == "nothing depends on web"


def test_a_restart_that_was_cut_off_goes_on_where_it_was() -> None:
    """Those restarted before the cut are not restarted again."""
    call, levers = dependants()
    action, plan = BUILTIN.get("restart_dependants"), planned(call, "restart_dependants")
    levers.services.restart("db")
    levers.forget()
    assert action.probe(call, plan) is Probed.UNKNOWN
    receipt = action.run(call, plan)
    assert receipt is not None

    assert receipt["restarted"] == plan["targets"][1:]
    assert action.probe(call, plan) is Probed.DONE
    assert action.verify(call, plan, receipt) is True


def test_dependants_wait_until_what_they_need_is_up() -> None:
    """One that does not come up ends it: nothing that depends on it is restarted on top."""

    class Slow:
        def __init__(self) -> None:
            self.restarted: list[str] = []
            self.looks = 0

        def restart(self, name: str) -> None:
            self.restarted.append(name)

        def status(self, name: str) -> object:
            if name not in self.restarted:
                return {"pid": 1, "state": "RUNNING"}
            self.looks += 1
            return {"pid": 2, "state": "STARTING" if self.looks < 5 else "FAILED"}

    slow = Slow()
    call, _ = dependants()
    call = attrs.evolve(call, levers={**call.levers, "services": slow})
    began = call.clock.monotonic()
    with pytest.raises(HealingFailedError, match="db did not come up after its restart"):
        BUILTIN.get("restart_dependants").run(call, planned(call, "restart_dependants"))

    assert slow.restarted == ["db"]
    assert call.clock.monotonic() > began


def test_dependants_do_not_wait_beyond_the_deadline() -> None:
    """One that starts for ever ends it at the deadline."""

    class Stuck:
        def restart(self, name: str) -> None: ...

        def status(self, name: str) -> object:
            return {"state": "STARTING"}

    call, _ = dependants()
    call = attrs.evolve(call, levers={**call.levers, "services": Stuck()})
    with pytest.raises(HealingInterruptedError, match="the time of action run:0 is over"):
        BUILTIN.get("restart_dependants").run(call, planned(call, "restart_dependants"))

    assert call.deadline <= call.clock.monotonic() < call.deadline + 1


# --- caches


def test_clear_of_an_empty_cache_is_skipped() -> None:
    """There is nothing to clear."""
    call, levers = recorded("clear_cache")
    levers.cache.entries = 0
    assert skipped(call, "clear_cache") == "the cache is empty"


def test_a_cache_filled_again_is_in_doubt() -> None:
    """A cache that holds as much as before may have been cleared and filled: nobody can tell."""
    call, levers = recorded("clear_cache")
    action, plan = BUILTIN.get("clear_cache"), planned(call, "clear_cache")
    receipt = action.run(call, plan)
    levers.cache.entries = 10

    assert receipt == {"entries": 10}
    assert action.probe(call, plan) is Probed.UNKNOWN
    assert action.verify(call, plan, {"entries": 10}) is None
    assert action.verify(call, plan, {"entries": 3, "failures": 1}) is False


def test_clear_never_leaves_its_root(tmp_path: Path) -> None:
    """A link out of the directory is removed, and what it leads to stays."""
    scene = scenes.clear_directory(tmp_path)
    call = call_of("clear_cache", scene)
    BUILTIN.get("clear_cache").run(call, planned(call, "clear_cache"))

    assert scene.look() == ([], "stays")


def test_enable_of_what_cannot_be_switched_fails() -> None:
    """A cache that is off and cannot be switched on is an error, and a cache that is on is skipped."""
    rows = functools.partial(CacheControl, "rows", {}, events=EventBus())
    call, _ = recorded("enable_cache", RecordingLevers(cache=rows(enabled=False)))
    with pytest.raises(LeverUnsupportedError):
        BUILTIN.get("enable_cache").run(call, planned(call, "enable_cache"))

    call, _ = recorded("enable_cache", RecordingLevers(cache=rows()))
    assert skipped(call, "enable_cache") == "the cache is on already"


# --- fallback


def switch() -> FallbackSwitch:
    return FallbackSwitch("llm", {"large": str, "small": str, "local": str}, clock=FakeClock(), events=EventBus())


def test_the_next_provider_is_named_in_the_plan() -> None:
    """Where the lever tells its order the plan says where it goes, so that a crash leaves no doubt."""
    call, _ = recorded("fallback_llm", RecordingLevers(fallback=switch()))
    assert planned(call, "fallback_llm") == {"from": "large", "to": "small"}


def test_after_the_last_provider_it_fails() -> None:
    """There is nowhere to go: that is an error, not a skip."""
    llm = switch()
    llm.switch("local", reason="test")
    call, _ = recorded("fallback_llm", RecordingLevers(fallback=llm))
    with pytest.raises(FallbackExhaustedError):
        BUILTIN.get("fallback_llm").run(call, planned(call, "fallback_llm"))
    call, _ = recorded("fallback_llm", RecordingLevers(fallback=llm), to="local")
    assert skipped(call, "fallback_llm") == "'local' is in use already"
    call, _ = recorded("fallback_llm", RecordingLevers(fallback=llm), to="nowhere")
    with pytest.raises(NotFoundError, match="nowhere"):
        BUILTIN.get("fallback_llm").run(call, planned(call, "fallback_llm"))


def test_a_lever_that_does_not_tell_its_order_serves() -> None:
    """Without an order the next one has no name before; it is undone all the same, also in doubt."""

    class Bare:
        active = "a"

        def switch(self, to: str | None = None, *, reason: str) -> str:
            self.active = to or chr(ord(self.active) + 1)
            return self.active

        def return_to(self, reason: str) -> str:
            return self.switch("a", reason=reason)

    for in_doubt in (True, False):
        bare = Bare()
        call, _ = recorded("fallback_llm", RecordingLevers(fallback=bare))
        action, plan = BUILTIN.get("fallback_llm"), planned(call, "fallback_llm")
        assert plan == {"from": "a", "to": ""}
        receipt = action.run(call, plan)
        assert bare.active == "b"
        assert action.probe(call, plan) is Probed.UNKNOWN
        action.rollback(call, plan, None if in_doubt else receipt)
        assert bare.active == "a"


def test_a_switch_that_moved_meanwhile_is_left() -> None:
    """A provider that a person or a breaker chose between plan and run is not overruled."""
    llm = switch()
    call, _ = recorded("fallback_llm", RecordingLevers(fallback=llm))
    plan = planned(call, "fallback_llm")
    llm.switch("local", reason="a person")

    assert BUILTIN.get("fallback_llm").run(call, plan) == {"active": "local", "switched": False}
    assert llm.active == "local"


# --- queues


def test_redistribute_names_everybody() -> None:
    """With ``*`` everybody who holds tasks gives them up; one by name only its own."""
    call, levers = recorded("redistribute_tasks", worker="*")
    levers.queue.holders = {"w1": 2, "w2": 1, "w3": 0}
    plan = planned(call, "redistribute_tasks")
    assert plan["targets"] == ["w1", "w2", "w3"]
    assert BUILTIN.get("redistribute_tasks").run(call, plan) == {"moved": {"w1": 2, "w2": 1, "w3": 0}}
    assert skipped(call, "redistribute_tasks") == "nobody holds tasks"
    assert skipped(recorded("redistribute_tasks", worker="w9")[0], "redistribute_tasks") == "w9 holds no tasks"


def test_redistribute_over_a_queue_that_does_not_tell() -> None:
    """Without figures the worker must be named, and what became of it is not told."""

    class Bare:
        def redistribute(self, worker: str) -> int:
            return 3

    call, _ = recorded("redistribute_tasks", RecordingLevers(queue=Bare()))
    action, plan = BUILTIN.get("redistribute_tasks"), planned(call, "redistribute_tasks")
    assert action.run(call, plan) == {"moved": {"api": 3}}
    assert action.probe(call, plan) is Probed.UNKNOWN
    assert action.verify(call, plan, {}) is None
    call, _ = recorded("redistribute_tasks", RecordingLevers(queue=Bare()), worker="*")
    with pytest.raises(LeverUnsupportedError, match="tell who holds tasks"):
        action.plan(call)


def test_reorder_leaves_alone_what_is_gone() -> None:
    """Tasks done meanwhile are left out of run, verify and rollback."""
    call, levers = recorded("reorder_tasks", priority=9)
    levers.queue.ranks = {"api": {1: 5, 2: 9, 3: 4}}
    action, plan = BUILTIN.get("reorder_tasks"), planned(call, "reorder_tasks")
    assert plan == {"priority": 9, "old": {"1": 5, "3": 4}}
    receipt = action.run(call, plan)
    assert receipt == {"moved": 2}
    del levers.queue.ranks["api"][3]

    assert action.verify(call, plan, {"moved": 2}) is True
    assert action.rollback(call, plan, receipt) is None
    assert levers.queue.ranks == {"api": {1: 5, 2: 9}}
    levers.queue.ranks = {}
    assert action.probe(call, plan) is Probed.UNKNOWN


def test_reorder_says_which_tasks_it_left() -> None:
    """Tasks that somebody moved since stay, and are named."""
    call, levers = recorded("reorder_tasks", priority=9)
    levers.queue.ranks = {"api": {1: 5, 3: 4}}
    action, plan = BUILTIN.get("reorder_tasks"), planned(call, "reorder_tasks")
    action.run(call, plan)
    levers.queue.ranks["api"][3] = 7

    assert action.probe(call, plan) is Probed.UNKNOWN
    assert action.rollback(call, plan, None) == "tasks 3 are left as they are: somebody changed them since"
    assert levers.queue.ranks == {"api": {1: 5, 3: 7}}


def test_a_plan_of_many_tasks_is_bounded() -> None:
    """A plan is one line of a journal, however many tasks wait."""
    call, levers = recorded("reorder_tasks", priority=9)
    levers.queue.ranks = {"api": dict.fromkeys(range(10**9, 10**9 + 5000), 5)}

    plan = planned(call, "reorder_tasks")
    assert len(plan["old"]) == 1000
    assert len(json.dumps(plan)) < 32_768


# --- work


def test_suspend_touches_only_what_can_wait(tmp_path: Path) -> None:
    """Only the declared work is paused, the plan lists it, and what a person paused before stays paused."""
    scene = scenes.suspend_low_priority(tmp_path)
    work: Any = scene.levers["low_priority"]
    work._tasks.pause("reports")
    call = call_of("suspend_low_priority", scene)
    action, plan = BUILTIN.get("suspend_low_priority"), planned(call, "suspend_low_priority")
    receipt = action.run(call, plan)

    assert plan == {"targets": ["thumbnails"]}
    assert scene.look() == {"reports": False, "thumbnails": False, "poll": True}
    assert "no low-priority work" in skipped(call, "suspend_low_priority")
    assert planned(call_of("resume_low_priority", scene), "resume_low_priority") == {"targets": ["thumbnails"]}
    action.rollback(call, plan, receipt)
    assert scene.look() == {"reports": False, "thumbnails": True, "poll": True}
    assert "no low-priority work" in skipped(call_of("resume_low_priority", scene), "resume_low_priority")


def test_a_half_done_suspend_is_in_doubt_and_undone(tmp_path: Path) -> None:
    """Cut off in between it is neither done nor not done, and the rollback undoes the half."""
    scene = scenes.suspend_low_priority(tmp_path)
    call = call_of("suspend_low_priority", scene)
    action, plan = BUILTIN.get("suspend_low_priority"), planned(call, "suspend_low_priority")
    work: Any = scene.levers["low_priority"]
    work.suspend("reports")

    assert action.probe(call, plan) is Probed.UNKNOWN
    action.rollback(call, plan, None)
    assert scene.look() == {"reports": True, "thumbnails": True, "poll": True}


def test_stop_optional_stops_what_still_runs() -> None:
    """What ended meanwhile is left out, and each stop says why."""
    call, levers = recorded("stop_optional")
    for name in ("a", "b"):
        levers.services.status(name)
    plan = planned(call, "stop_optional")
    levers.services.pids["a"] = None

    assert BUILTIN.get("stop_optional").run(call, plan) == {"stopped": ["b"]}
    assert levers.pulls[-1].args == ("b", "strategy slow: high_latency on api, latency_ms is 900")
    assert skipped(call, "stop_optional") == "no optional work is running"


def test_a_restart_is_prepared_once(tmp_path: Path) -> None:
    """Where it is prepared already there is nothing to do."""
    scene = scenes.prepare_restart(tmp_path)
    call = call_of("prepare_restart", scene, reason="memory")
    plan = planned(call, "prepare_restart")
    assert BUILTIN.get("prepare_restart").run(call, plan) == {"prepared": True}
    assert skipped(call, "prepare_restart") == "a restart is prepared already"


# --- diagnosis


def test_an_upstream_that_is_not_well_is_a_finding(tmp_path: Path) -> None:
    """The receipt tells which are not well and why; the action itself did not fail."""
    call = call_of("check_upstream", scenes.check_upstream(tmp_path))
    receipt = BUILTIN.get("check_upstream").run(call, planned(call, "check_upstream"))

    assert receipt is not None
    assert receipt["not_well"] == ["llm"]
    assert receipt["upstreams"]["llm"]["detail"] == "ZeroDivisionError: division by zero"
    assert receipt["upstreams"]["disk"] == {"ok": True, "detail": "well", "seconds": 0.0}
    call = call_of("check_upstream", scenes.check_upstream(tmp_path), names=("nope",))
    with pytest.raises(NotFoundError, match="nope"):
        BUILTIN.get("check_upstream").run(call, planned(call, "check_upstream"))
    call, _ = recorded("check_upstream", RecordingLevers(upstreams=HealthChecks({})))
    assert skipped(call, "check_upstream") == "there is no upstream to check"


def test_a_profile_ends_at_the_deadline(tmp_path: Path) -> None:
    """It looks no longer than there is time, and not at all when there is none."""
    scene = scenes.profile(tmp_path)
    call = call_of("profile", scene, seconds=500.0)
    action, plan = BUILTIN.get("profile"), planned(call, "profile")
    began = scene.clock.monotonic()
    assert action.run(call, plan) is not None
    assert scene.clock.monotonic() - began == pytest.approx(60)
    with pytest.raises(HealingInterruptedError, match="the time of action"):
        action.run(call, plan)


def test_parameters_out_of_range_are_refused() -> None:
    """Each parameter class names what it accepts."""
    refused: dict[str, dict[str, Any]] = {
        "rate_limit": {"factor": 2.0},
        "scale_workers": {"by": 5000},
        "restart_if_critical": {"when": "sideways"},
        "reorder_tasks": {"priority": 10},
        "tighten_monitoring": {"factor": 0.0},
        "profile": {"seconds": 0.0},
        "clean_temp": {"older_than": -1.0},
        "restart_dependants": {"include_target": "yes"},
    }
    for name, params in refused.items():
        with pytest.raises(ConfigError):
            BUILTIN.get(name).params(**params)


def test_redistribution_ends_between_two_workers() -> None:
    """Told to end, it takes no further worker's tasks; what it took is seen as in doubt."""
    call, levers = recorded("redistribute_tasks", worker="*")
    levers.queue.holders = {"w1": 2, "w2": 1}
    action, plan = BUILTIN.get("redistribute_tasks"), planned(call, "redistribute_tasks")
    with pytest.raises(HealingInterruptedError, match="action run:0 was cancelled"):
        action.run(attrs.evolve(call, cancelled=lambda: bool(levers.pulls)), plan)

    assert levers.queue.holders == {"w2": 1}
    assert action.probe(call, plan) is Probed.UNKNOWN


def test_a_restart_prepared_in_part_is_cancelled_when_in_doubt() -> None:
    """Whoever prepared it may have died half-way: in doubt it is cancelled, and after a receipt only if it holds."""

    class Half:
        prepared = False

        def __init__(self) -> None:
            self.cancelled: list[str] = []

        def prepare(self, reason: str) -> None: ...

        def cancel(self, reason: str) -> None:
            self.cancelled.append(reason)

    half = Half()
    call, _ = recorded("prepare_restart", RecordingLevers(restart_preparation=half), reason="memory")
    action, plan = BUILTIN.get("prepare_restart"), planned(call, "prepare_restart")
    assert action.probe(call, plan) is Probed.UNKNOWN
    action.rollback(call, plan, {"prepared": True})
    assert half.cancelled == []
    action.rollback(call, plan, None)
    assert half.cancelled == ["undone: memory"]

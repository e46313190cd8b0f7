"""Real levers for each shipped action, in a state in which the action finds something to do."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from selfheal.backup import BackupStore, Section
from selfheal.backup.control import BackupControl
from selfheal.backup.restoring import Restorer
from selfheal.events import Alert, EventBus
from selfheal.healing.actions import ActionCall, builtin_actions
from selfheal.healing.actions.queues import ReorderParams
from selfheal.levers import (
    CacheControl,
    DependencyGraph,
    DependencyResets,
    FallbackSwitch,
    HealthChecks,
    LogNotifier,
    LowPriorityWork,
    MemoryTrim,
    MonitoringPace,
    Notifiers,
    QueueOrder,
    RestartPreparation,
    Snapshotter,
    StackProfiler,
    SwitchableCache,
)
from selfheal.resources import RateLimiter, TaskQueue
from selfheal.supervision import WorkerPool
from selfheal.tasks import TaskRegistry
from selfheal.testing import ActionScene, FakeClock, RecordingLevers

BUILTIN = builtin_actions()
ALERT = Alert(kind="high_latency", target="api", metric="latency_ms", value=900.0, severity="critical")


def nothing() -> tuple[()]:
    """The look at levers of which nothing is changed."""
    return ()


def log(tmp: Path) -> ActionScene:
    return ActionScene(levers={}, look=nothing)


def rate_limit(tmp: Path) -> ActionScene:
    limiter = RateLimiter(10, burst=30, clock=FakeClock(), events=EventBus())

    def look() -> object:
        return limiter.rate, limiter.burst

    return ActionScene(levers={"rate_limiter": limiter}, look=look, meddle=lambda: limiter.set_rate(3))


def services(tmp: Path) -> ActionScene:
    levers = RecordingLevers(dependencies=DependencyGraph({"api": ["db"], "web": ["api"], "db": []}))
    for name in ("api", "web", "db"):
        levers.services.status(name)
    return ActionScene(levers=levers, look=lambda: dict(levers.services.pids))


def clear_cache(tmp: Path) -> ActionScene:
    rows = {"a": 1, "b": 2}
    cache = CacheControl("rows", rows, events=EventBus())
    return ActionScene(levers={"cache": cache}, look=lambda: dict(rows))


def clear_directory(tmp: Path) -> ActionScene:
    folder = tmp / "root" / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    (tmp / "root" / "precious.txt").write_text("stays")
    (folder / "a.bin").write_bytes(b"x" * 100)
    (folder / "link").unlink(missing_ok=True)
    (folder / "link").symlink_to(tmp / "root" / "precious.txt")
    cache = CacheControl("files", folder, root=tmp / "root", events=EventBus())

    def look() -> object:
        return sorted(path.name for path in folder.iterdir()), (tmp / "root" / "precious.txt").read_text()

    return ActionScene(levers={"cache": cache}, look=look)


def fallback_llm(tmp: Path) -> ActionScene:
    switch = FallbackSwitch("llm", {"large": str, "small": str, "local": str}, clock=FakeClock(), events=EventBus())

    def meddle() -> object:
        return switch.switch("local", reason="a person knows better")

    return ActionScene(levers={"fallback": switch}, look=lambda: switch.active, meddle=meddle)


def notify(tmp: Path) -> ActionScene:
    notifiers = Notifiers({"log": LogNotifier()}, clock=FakeClock(), events=EventBus())
    return ActionScene(levers={"notifier": notifiers}, look=nothing)


def enable_cache(tmp: Path) -> ActionScene:
    cache = CacheControl("rows", SwitchableCache(enabled=False), events=EventBus())
    return ActionScene(levers={"cache": cache}, look=lambda: cache.enabled)


def scale_workers(tmp: Path) -> ActionScene:
    events = EventBus()
    queue = TaskQueue("jobs", events=events)
    pool = WorkerPool(str, queue, mode="thread", size=1, minimum=1, maximum=5, events=events)
    pool.start()
    return ActionScene(
        levers={"workers": pool},
        look=lambda: pool.snapshot().size,
        meddle=lambda: pool.scale(4),
        close=pool.stop,
    )


def redistribute_tasks(tmp: Path) -> ActionScene:
    queue = TaskQueue("jobs", clock=FakeClock(), events=EventBus())
    for number in range(3):
        queue.put(number)
    taken = queue.take("w1"), queue.take("w1")
    assert None not in taken

    def look() -> object:
        return dict(queue.snapshot().holders), queue.snapshot().ready

    return ActionScene(levers={"queue": queue}, look=look, target="w1")


def _backups(tmp: Path) -> tuple[Path, BackupControl, Restorer]:
    """A file that has changed since there is a backup of it."""
    directory = Path(tempfile.mkdtemp(dir=tmp))
    source = directory / "app.toml"
    source.write_text("size = 3")
    store = BackupStore(directory / "backups", [Section("config", source)], clock=FakeClock(), events=EventBus())
    store.create()
    source.write_text("size = 4")
    (directory / "restores").mkdir()
    restorer = Restorer(store, directory / "restores", keep_previous=True, clock=FakeClock(), events=EventBus())
    return source, BackupControl(store, restorer), restorer


def backup(tmp: Path) -> ActionScene:
    source, lever, _ = _backups(tmp)
    return ActionScene(levers={"backups": lever}, look=source.read_text)


def restore(tmp: Path) -> ActionScene:
    source, lever, restorer = _backups(tmp)
    return ActionScene(levers={"backups": lever}, look=source.read_text, meddle=restorer.commit)


def snapshot(tmp: Path) -> ActionScene:
    return ActionScene(levers={"snapshotter": Snapshotter(tmp, processes=False)}, look=nothing)


def _registry() -> tuple[TaskRegistry, LowPriorityWork]:
    tasks = TaskRegistry(start=False, clock=FakeClock(), events=EventBus())
    for id in ("reports", "thumbnails", "poll"):
        tasks.register_interval(id, print, every=60)
    return tasks, LowPriorityWork(tasks, ["reports", "thumbnails"])


def suspend_low_priority(tmp: Path) -> ActionScene:
    tasks, work = _registry()

    def look() -> object:
        return {task.id: task.enabled for task in tasks.snapshot().tasks}

    return ActionScene(levers={"low_priority": work}, look=look, close=tasks.shutdown)


def resume_low_priority(tmp: Path) -> ActionScene:
    tasks, work = _registry()
    for id in ("reports", "thumbnails"):
        work.suspend(id)

    def look() -> object:
        return {task.id: task.enabled for task in tasks.snapshot().tasks}

    return ActionScene(levers={"low_priority": work}, look=look, close=tasks.shutdown)


def profile(tmp: Path) -> ActionScene:
    clock = FakeClock(autojump=True)
    return ActionScene(levers={"profiler": StackProfiler(tmp, clock=clock, interval=1)}, look=nothing, clock=clock)


def reset_dependency(tmp: Path) -> ActionScene:
    resets: list[str] = []
    lever = DependencyResets({"api": lambda: resets.append("api")})
    return ActionScene(levers={"dependency_resets": lever}, look=lambda: list(resets))


def reorder_tasks(tmp: Path) -> ActionScene:
    queue = TaskQueue("jobs", clock=FakeClock(), events=EventBus())
    put = {queue.put("mail", priority=rank): rank for rank in (5, 6, 7)}
    order = QueueOrder(queue, lambda target: put if target == "api" else {})

    def meddle() -> object:
        return [order.reprioritise(task, priority=9) for task in put]

    return ActionScene(
        levers={"order": order}, look=lambda: order.priorities("api"), params=ReorderParams(priority=1), meddle=meddle
    )


def tighten_monitoring(tmp: Path) -> ActionScene:
    applied: list[float] = []
    pace = MonitoringPace(60.0, applied.append)
    return ActionScene(levers={"monitoring": pace}, look=lambda: pace.interval, meddle=lambda: pace.set_interval(7))


def check_upstream(tmp: Path) -> ActionScene:
    checks = HealthChecks({"llm": lambda: 1 / 0, "disk": lambda: True}, clock=FakeClock())
    return ActionScene(levers={"upstreams": checks}, look=nothing)


def clean_temp(tmp: Path) -> ActionScene:
    folder = tmp / "root" / "temp"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("a.tmp", "b.txt"):
        (folder / name).write_text("x")
        os.utime(folder / name, (1, 1))
    cache = CacheControl("temp", folder, root=tmp / "root", events=EventBus())
    return ActionScene(levers={"temp_files": cache}, look=lambda: sorted(path.name for path in folder.iterdir()))


def trim_memory(tmp: Path) -> ActionScene:
    return ActionScene(levers={"memory": MemoryTrim()}, look=nothing)


def prepare_restart(tmp: Path) -> ActionScene:
    done: list[str] = []
    lever = RestartPreparation({"drain": lambda _: done.append("drained")}, {"drain": lambda _: done.clear()})
    return ActionScene(levers={"restart_preparation": lever}, look=lambda: (lever.prepared, list(done)))


SCENES: dict[str, list[Callable[[Path], ActionScene]]] = {
    "log": [log],
    "rate_limit": [rate_limit],
    "restart_if_critical": [services],
    "clear_cache": [clear_cache, clear_directory],
    "restart_service": [services],
    "fallback_llm": [fallback_llm],
    "notify": [notify],
    "enable_cache": [enable_cache],
    "scale_workers": [scale_workers],
    "redistribute_tasks": [redistribute_tasks],
    "snapshot": [snapshot],
    "backup": [backup],
    "verify_backup": [backup],
    "restore": [restore],
    "suspend_low_priority": [suspend_low_priority],
    "resume_low_priority": [resume_low_priority],
    "profile": [profile],
    "reset_dependency": [reset_dependency],
    "reorder_tasks": [reorder_tasks],
    "tighten_monitoring": [tighten_monitoring],
    "restart_dependants": [services],
    "check_upstream": [check_upstream],
    "clean_temp": [clean_temp],
    "trim_memory": [trim_memory],
    "stop_optional": [services],
    "prepare_restart": [prepare_restart],
}
"""Action → scenes. Processes that are really ended, and a real supervisor, are in the integration tests."""


def call_of(name: str, scene: ActionScene, **params: Any) -> ActionCall:
    """A call of a shipped action in a scene."""
    return ActionCall(
        key="run:0",
        strategy="slow",
        target=scene.target,
        alert=attrs.evolve(ALERT, target=scene.target),
        params=BUILTIN.get(name).params(**params),
        levers=scene.levers,
        clock=scene.clock,
        deadline=scene.clock.monotonic() + 60,
    )

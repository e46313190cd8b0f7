"""The further narrow protocols: satisfied by what is shipped."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from selfheal.levers import (
    CacheControl,
    CleaningTemp,
    CleaningUp,
    Dependencies,
    DependencyGraph,
    DependencyResets,
    EndingIdle,
    HealthChecking,
    HealthChecks,
    IdleProcesses,
    LowPriorityWork,
    MemoryTrim,
    MonitoringPace,
    OptionalServices,
    Pausing,
    PreparingRestart,
    ProcessCleanup,
    Profiling,
    QueueOrder,
    Reordering,
    ResettingDependency,
    RestartPreparation,
    StackProfiler,
    StoppingOptional,
    TighteningMonitoring,
    TrimmingMemory,
    protocols_system,
    protocols_work,
)
from selfheal.resources import TaskQueue
from selfheal.supervision import Supervisor
from selfheal.tasks import TaskRegistry
from tests.levers.test_protocols import accepts, members

SHIPPED = [
    (Pausing, LowPriorityWork),
    (StoppingOptional, OptionalServices),
    (Reordering, QueueOrder),
    (Dependencies, DependencyGraph),
    (PreparingRestart, RestartPreparation),
    (Profiling, StackProfiler),
    (ResettingDependency, DependencyResets),
    (HealthChecking, HealthChecks),
    (TighteningMonitoring, MonitoringPace),
    (CleaningTemp, CacheControl),
    (CleaningUp, ProcessCleanup),
    (EndingIdle, IdleProcesses),
    (TrimmingMemory, MemoryTrim),
]


@pytest.mark.parametrize(("protocol", "shipped"), SHIPPED, ids=lambda c: c.__name__)
def test_what_is_shipped_has_the_methods(protocol: type, shipped: type) -> None:
    """Each method of the protocol is there, and can be called as the protocol says."""
    for name in members(protocol):
        asked, given = inspect.getattr_static(protocol, name), inspect.getattr_static(shipped, name)
        assert isinstance(given, property) == isinstance(asked, property), name
        if not isinstance(asked, property):
            accepts(inspect.signature(given), inspect.signature(asked))


@pytest.mark.parametrize("module", [protocols_work, protocols_system], ids=lambda module: module.__name__)
def test_every_protocol_is_shipped(module: Any) -> None:
    """No protocol is without something that satisfies it, and each can be tested by ``isinstance``."""
    declared = {
        c
        for c in vars(module).values()
        if getattr(c, "_is_runtime_protocol", False) and c.__module__ == module.__name__
    }

    assert declared == {protocol for protocol, _ in SHIPPED if protocol.__module__ == module.__name__}
    assert all(f"``{protocol.__name__}``" in (module.__doc__ or "") for protocol in declared)


def typed(tmp: Path, supervisor: Supervisor) -> tuple[Any, ...]:
    """Read by the type checker: what is shipped fits its protocol, and what the shipped ones are made over."""
    work: Pausing = LowPriorityWork(TaskRegistry(), ["a"])
    optional: StoppingOptional = OptionalServices(supervisor, ["a"])
    order: Reordering = QueueOrder(TaskQueue(), lambda target: {})
    graph: Dependencies = DependencyGraph({})
    ready: PreparingRestart = RestartPreparation({"x": print})
    profiler: Profiling = StackProfiler(tmp)
    resets: ResettingDependency = DependencyResets({})
    checks: HealthChecking = HealthChecks({})
    pace: TighteningMonitoring = MonitoringPace(1, print)
    temp: CleaningTemp = CacheControl("x", tmp, root=tmp)
    ending = ProcessCleanup({})
    cleanup: CleaningUp = ending
    idle: EndingIdle = IdleProcesses(ending, [])
    memory: TrimmingMemory = MemoryTrim()
    return work, optional, order, graph, ready, profiler, resets, checks, pace, temp, cleanup, idle, memory

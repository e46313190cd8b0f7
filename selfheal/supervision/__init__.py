"""Workers as processes: started, checked, restarted within limits, and left to a person when that does not help.

Each name is loaded when first used: a worker that only calls :func:`heartbeat` loads nothing of the supervisor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfheal.lazy import lazy_names

if TYPE_CHECKING:
    from selfheal.supervision.beating import heartbeat as heartbeat
    from selfheal.supervision.configs import CommandProbe as CommandProbe
    from selfheal.supervision.configs import HeartbeatProbe as HeartbeatProbe
    from selfheal.supervision.configs import HttpProbe as HttpProbe
    from selfheal.supervision.configs import OutputLimits as OutputLimits
    from selfheal.supervision.configs import RestartPolicy as RestartPolicy
    from selfheal.supervision.configs import StopPolicy as StopPolicy
    from selfheal.supervision.configs import SupervisorConfig as SupervisorConfig
    from selfheal.supervision.configs import TcpProbe as TcpProbe
    from selfheal.supervision.configs import When as When
    from selfheal.supervision.configs import WorkerConfig as WorkerConfig
    from selfheal.supervision.exits import ExitKind as ExitKind
    from selfheal.supervision.pool import WorkerPool as WorkerPool
    from selfheal.supervision.pool_options import PoolOptions as PoolOptions
    from selfheal.supervision.pool_records import PoolSnapshot as PoolSnapshot
    from selfheal.supervision.pool_records import PoolState as PoolState
    from selfheal.supervision.pool_records import PoolStopReport as PoolStopReport
    from selfheal.supervision.pool_records import PoolWorker as PoolWorker
    from selfheal.supervision.pool_records import TaskResult as TaskResult
    from selfheal.supervision.pool_records import TaskSource as TaskSource
    from selfheal.supervision.snapshots import StopReport as StopReport
    from selfheal.supervision.snapshots import SupervisorSnapshot as SupervisorSnapshot
    from selfheal.supervision.snapshots import WorkerSnapshot as WorkerSnapshot
    from selfheal.supervision.states import WorkerState as WorkerState
    from selfheal.supervision.supervisor import Supervisor as Supervisor
    from selfheal.supervision.worker_context import current_task as current_task
    from selfheal.supervision.worker_context import progress as progress

_HOME = {
    "CommandProbe": "configs",
    "ExitKind": "exits",
    "HeartbeatProbe": "configs",
    "HttpProbe": "configs",
    "OutputLimits": "configs",
    "PoolOptions": "pool_options",
    "PoolSnapshot": "pool_records",
    "PoolState": "pool_records",
    "PoolStopReport": "pool_records",
    "PoolWorker": "pool_records",
    "RestartPolicy": "configs",
    "StopPolicy": "configs",
    "StopReport": "snapshots",
    "Supervisor": "supervisor",
    "SupervisorConfig": "configs",
    "SupervisorSnapshot": "snapshots",
    "TaskResult": "pool_records",
    "TaskSource": "pool_records",
    "TcpProbe": "configs",
    "When": "configs",
    "WorkerConfig": "configs",
    "WorkerPool": "pool",
    "WorkerSnapshot": "snapshots",
    "WorkerState": "states",
    "current_task": "worker_context",
    "heartbeat": "beating",
    "progress": "worker_context",
}

__all__ = [
    "CommandProbe",
    "ExitKind",
    "HeartbeatProbe",
    "HttpProbe",
    "OutputLimits",
    "PoolOptions",
    "PoolSnapshot",
    "PoolState",
    "PoolStopReport",
    "PoolWorker",
    "RestartPolicy",
    "StopPolicy",
    "StopReport",
    "Supervisor",
    "SupervisorConfig",
    "SupervisorSnapshot",
    "TaskResult",
    "TaskSource",
    "TcpProbe",
    "When",
    "WorkerConfig",
    "WorkerPool",
    "WorkerSnapshot",
    "WorkerState",
    "current_task",
    "heartbeat",
    "progress",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME, globals())

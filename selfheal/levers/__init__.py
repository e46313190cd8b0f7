"""What a healing can pull: small, each usable by itself, each replaceable by the host's own."""

from selfheal.levers.bag import Levers
from selfheal.levers.cache import CacheControl, DirectoryCacheConfig
from selfheal.levers.cache_records import CacheSize, ClearReport
from selfheal.levers.cache_switchable import SwitchableCache, SwitchableCacheConfig, SwitchableCacheSnapshot
from selfheal.levers.dependencies import DependencyGraph, DependencyResets, HealthChecks, tcp_check
from selfheal.levers.fallback import FallbackSwitch
from selfheal.levers.fallback_machine import FallbackConfig, FallbackSnapshot
from selfheal.levers.memory import MemoryTrim, TrimReport
from selfheal.levers.notify import ConsoleNotifier, FileNotifier, LogNotifier, Notification, Notifier
from selfheal.levers.notify_fanout import Delivery, Notifiers, NotifierSnapshot
from selfheal.levers.notify_webhook import WebhookNotifier
from selfheal.levers.pacing import MonitoringPace, QueueOrder
from selfheal.levers.preparation import RestartPreparation
from selfheal.levers.processes import IdleProcesses, ProcessCleanup
from selfheal.levers.profiler import ProfilerConfig, StackProfiler
from selfheal.levers.protocols import (
    Caching,
    Fallback,
    Notifying,
    RateLimiting,
    Scaling,
    ServiceControl,
    Snapshotting,
    TaskRedistribution,
)
from selfheal.levers.protocols_backup import BackingUp, Restoring, VerifyingBackups
from selfheal.levers.protocols_system import (
    CleaningTemp,
    CleaningUp,
    EndingIdle,
    HealthChecking,
    HealthReport,
    ProcessMark,
    Profiling,
    ResettingDependency,
    TighteningMonitoring,
    TrimmingMemory,
)
from selfheal.levers.protocols_work import Dependencies, Pausing, PreparingRestart, Reordering, StoppingOptional
from selfheal.levers.snapshotter import Snapshotter, SnapshotterConfig
from selfheal.levers.suspending import LowPriorityWork, OptionalServices

__all__ = [
    "BackingUp",
    "CacheControl",
    "CacheSize",
    "Caching",
    "CleaningTemp",
    "CleaningUp",
    "ClearReport",
    "ConsoleNotifier",
    "Delivery",
    "Dependencies",
    "DependencyGraph",
    "DependencyResets",
    "DirectoryCacheConfig",
    "EndingIdle",
    "Fallback",
    "FallbackConfig",
    "FallbackSnapshot",
    "FallbackSwitch",
    "FileNotifier",
    "HealthChecking",
    "HealthChecks",
    "HealthReport",
    "IdleProcesses",
    "Levers",
    "LogNotifier",
    "LowPriorityWork",
    "MemoryTrim",
    "MonitoringPace",
    "Notification",
    "Notifier",
    "NotifierSnapshot",
    "Notifiers",
    "Notifying",
    "OptionalServices",
    "Pausing",
    "PreparingRestart",
    "ProcessCleanup",
    "ProcessMark",
    "ProfilerConfig",
    "Profiling",
    "QueueOrder",
    "RateLimiting",
    "Reordering",
    "ResettingDependency",
    "RestartPreparation",
    "Restoring",
    "Scaling",
    "ServiceControl",
    "Snapshotter",
    "SnapshotterConfig",
    "Snapshotting",
    "StackProfiler",
    "StoppingOptional",
    "SwitchableCache",
    "SwitchableCacheConfig",
    "SwitchableCacheSnapshot",
    "TaskRedistribution",
    "TighteningMonitoring",
    "TrimReport",
    "TrimmingMemory",
    "VerifyingBackups",
    "WebhookNotifier",
    "tcp_check",
]

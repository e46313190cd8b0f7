"""What a healing can pull: small, each usable by itself, each replaceable by the host's own."""

from selfheal.levers.bag import Levers
from selfheal.levers.cache import CacheControl, DirectoryCacheConfig
from selfheal.levers.cache_records import CacheSize, ClearReport
from selfheal.levers.cache_switchable import SwitchableCache, SwitchableCacheConfig, SwitchableCacheSnapshot
from selfheal.levers.fallback import FallbackSwitch
from selfheal.levers.fallback_machine import FallbackConfig, FallbackSnapshot
from selfheal.levers.notify import ConsoleNotifier, FileNotifier, LogNotifier, Notification, Notifier
from selfheal.levers.notify_fanout import Delivery, Notifiers, NotifierSnapshot
from selfheal.levers.notify_webhook import WebhookNotifier
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
from selfheal.levers.snapshotter import Snapshotter, SnapshotterConfig

__all__ = [
    "CacheControl",
    "CacheSize",
    "Caching",
    "ClearReport",
    "ConsoleNotifier",
    "Delivery",
    "DirectoryCacheConfig",
    "Fallback",
    "FallbackConfig",
    "FallbackSnapshot",
    "FallbackSwitch",
    "FileNotifier",
    "LogNotifier",
    "Levers",
    "Notification",
    "Notifier",
    "NotifierSnapshot",
    "Notifiers",
    "Notifying",
    "RateLimiting",
    "Scaling",
    "ServiceControl",
    "Snapshotter",
    "SnapshotterConfig",
    "Snapshotting",
    "SwitchableCache",
    "SwitchableCacheConfig",
    "SwitchableCacheSnapshot",
    "TaskRedistribution",
    "WebhookNotifier",
]

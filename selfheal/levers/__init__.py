"""What a healing can pull: small, each usable by itself, each replaceable by the host's own."""

from selfheal.levers.cache import CacheControl, DirectoryCacheConfig
from selfheal.levers.cache_records import CacheSize, ClearReport
from selfheal.levers.cache_switchable import SwitchableCache, SwitchableCacheConfig, SwitchableCacheSnapshot
from selfheal.levers.fallback import FallbackSwitch
from selfheal.levers.fallback_machine import FallbackConfig, FallbackSnapshot

__all__ = [
    "CacheControl",
    "CacheSize",
    "ClearReport",
    "DirectoryCacheConfig",
    "FallbackConfig",
    "FallbackSnapshot",
    "FallbackSwitch",
    "SwitchableCache",
    "SwitchableCacheConfig",
    "SwitchableCacheSnapshot",
]

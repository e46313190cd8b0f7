"""What a healing can pull: small, each usable by itself, each replaceable by the host's own."""

from selfheal.levers.cache import CacheControl, DirectoryCacheConfig
from selfheal.levers.cache_records import CacheSize, ClearReport
from selfheal.levers.cache_switchable import SwitchableCache, SwitchableCacheConfig, SwitchableCacheSnapshot

__all__ = [
    "CacheControl",
    "CacheSize",
    "ClearReport",
    "DirectoryCacheConfig",
    "SwitchableCache",
    "SwitchableCacheConfig",
    "SwitchableCacheSnapshot",
]

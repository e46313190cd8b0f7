"""Isolation forests: scikit-learn grows them, and they are scored here, without its cost for each call.

Each name is loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selfheal.detection.forest.detector import ForestConfig as ForestConfig
    from selfheal.detection.forest.detector import IsolationForestDetector as IsolationForestDetector
    from selfheal.detection.forest.flat import FlatForest as FlatForest

_HOME = {
    "FlatForest": "flat",
    "ForestConfig": "detector",
    "IsolationForestDetector": "detector",
}

__all__ = [
    "FlatForest",
    "ForestConfig",
    "IsolationForestDetector",
]


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'selfheal.detection.forest' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"selfheal.detection.forest.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

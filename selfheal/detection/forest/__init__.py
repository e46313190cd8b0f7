"""Isolation forests: scikit-learn grows them, and they are scored here, without its cost for each call.

Each name is loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfheal.lazy import lazy_names

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

__getattr__, __dir__ = lazy_names(__name__, _HOME, globals())

"""The names that ``selfheal`` offers: an agreement with its users, so a change to it is seen here."""

from __future__ import annotations

import subprocess
import sys

import pytest

import selfheal

SNAPSHOT = [
    "Alert",
    "BreakerConfig",
    "BreakerRegistry",
    "CircuitBreaker",
    "CircuitOpenError",
    "ConfigError",
    "CountWindow",
    "DormantController",
    "EventBus",
    "ExponentialBackoff",
    "FeatureFlags",
    "Healer",
    "IsolationForestDetector",
    "SelfhealError",
    "StatusReport",
    "StrategyEngine",
    "TaskRegistry",
    "TimeWindow",
]


def test_names_are_the_agreed_ones() -> None:
    """The public names are exactly these; adding one is adding it here."""
    assert selfheal.__all__ == SNAPSHOT


def test_all_is_sorted_and_has_no_double() -> None:
    """``__all__`` is in plain alphabetical order."""
    assert selfheal.__all__ == sorted(set(selfheal.__all__))


def test_every_lazy_name_is_public_and_the_other_way_round() -> None:
    """The table of homes and ``__all__`` hold the same names."""
    assert sorted(selfheal._HOME) == selfheal.__all__


@pytest.mark.parametrize("name", selfheal.__all__)
def test_each_name_resolves_at_its_home(name: str) -> None:
    """Each public name is the very object that its home module defines."""
    value = getattr(selfheal, name)

    assert value is getattr(sys.modules[selfheal._HOME[name]], name)
    assert value.__name__ == name


@pytest.mark.parametrize("name", selfheal.__all__)
def test_each_name_is_documented(name: str) -> None:
    """``help()`` has something to say on each public name."""
    assert getattr(selfheal, name).__doc__


def test_dir_lists_names_not_loaded_yet() -> None:
    """``dir()`` of a fresh import lists every public name and the version."""
    code = "import selfheal; print(*dir(selfheal))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert {*SNAPSHOT, "__version__", "__all__"} <= set(told)
    assert told == sorted(told)


def test_unknown_name_is_an_attribute_error() -> None:
    """A name that is not there fails as on any module, naming it."""
    with pytest.raises(AttributeError, match="module 'selfheal' has no attribute 'Helaer'"):
        _ = selfheal.Helaer


def test_star_import_brings_all_names() -> None:
    """``from selfheal import *`` works and brings the public names, no more."""
    namespace: dict[str, object] = {}
    exec("from selfheal import *", namespace)

    assert sorted(namespace.keys() - {"__builtins__"}) == SNAPSHOT


def test_version_is_a_version() -> None:
    """``__version__`` is at hand without loading anything, and well formed."""
    assert all(part.isdigit() for part in selfheal.__version__.split("."))

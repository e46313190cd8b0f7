"""Names that are loaded when they are first used."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from selfheal.lazy import lazy_names

HOMES = {"ExponentialBackoff": "backoff", "FakeClock": "selfheal.testing.clock"}


def test_a_name_is_loaded_once_and_kept() -> None:
    """The first use imports its home, below the package or by its full name; the next finds it in the namespace."""
    namespace: dict[str, Any] = {}
    get, _ = lazy_names("selfheal.policies", HOMES, namespace)
    assert get("ExponentialBackoff") is sys.modules["selfheal.policies.backoff"].ExponentialBackoff
    assert get("FakeClock") is sys.modules["selfheal.testing.clock"].FakeClock
    assert set(namespace) == {"ExponentialBackoff", "FakeClock"}


def test_an_unknown_name_is_an_attribute_error_that_names_the_package() -> None:
    """What is not there is told as Python tells it."""
    get, _ = lazy_names("selfheal.policies", HOMES, {})
    with pytest.raises(AttributeError, match=r"module 'selfheal\.policies' has no attribute 'Backof'"):
        get("Backof")


def test_dir_shows_what_is_loaded_and_what_can_be() -> None:
    """Completion finds all names, sorted, each once."""
    _, names = lazy_names("selfheal.policies", HOMES, {"FakeClock": object(), "__doc__": ""})
    assert names() == ["ExponentialBackoff", "FakeClock", "__doc__"]

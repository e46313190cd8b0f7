"""The names that ``selfheal.detection`` offers, each loaded when first used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from selfheal import detection

HEAVY = ("sklearn", "scipy", "numpy", "psutil", "asyncio")


def test_all_is_sorted_and_every_name_has_a_home() -> None:
    """``__all__`` is in alphabetical order and is exactly the table of homes."""
    assert detection.__all__ == sorted(set(detection.__all__)) == sorted(detection._HOME)
    assert set(detection.__all__) <= set(dir(detection))


@pytest.mark.parametrize("name", detection.__all__)
def test_each_name_is_that_of_its_home_and_documented(name: str) -> None:
    """Each name is the object its home module defines, and ``help()`` has something to say on it."""
    value = getattr(detection, name)

    assert value is getattr(sys.modules[f"selfheal.detection.{detection._HOME[name]}"], name)
    assert value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that is not there fails as on any module."""
    with pytest.raises(AttributeError, match="no attribute 'Detecter'"):
        _ = detection.Detecter


def test_nothing_heavy_is_loaded_until_a_detector_that_needs_it_is_made() -> None:
    """Importing the room and looking at every name of it loads neither scikit-learn nor numpy nor psutil."""
    code = "import sys; from selfheal.detection import *; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert not set(HEAVY) & set(told)

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

    home = detection._HOME[name]
    assert value is getattr(sys.modules[home if "." in home else f"selfheal.detection.{home}"], name)
    assert value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that is not there fails as on any module."""
    with pytest.raises(AttributeError, match="no attribute 'Detecter'"):
        _ = detection.Detecter


ARRAYS = (
    "BaselineBank CompositeConfig CompositeDetector FlatForest ForestConfig IsolationForestDetector "
    "OneClassSVMDetector SvmConfig"
)
"""Names whose modules need numpy."""


def loaded(code: str) -> set[str]:
    """The modules that a fresh interpreter has after running ``code``."""
    command = [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_nothing_heavy_is_loaded_until_a_detector_that_needs_it_is_made() -> None:
    """Importing the room, and every name that needs no arrays, loads neither scikit-learn nor numpy nor psutil."""
    names = sorted(set(detection.__all__) - set(ARRAYS.split()))

    assert not set(HEAVY) & loaded("from selfheal.detection import " + ", ".join(names))


def test_scikit_learn_is_loaded_by_the_first_fit_and_not_before() -> None:
    """Looking at every name, and making every detector, does not load scikit-learn; the first forest does."""
    made = "from selfheal.detection import *; d = [c(['a'], least=16) for c in {}]"
    kinds = "(CompositeDetector, OneClassSVMDetector, IsolationForestDetector)"
    fitted = made.format(kinds) + "; d[2].warm_start((9e4 * n, {'a': float(n)}) for n in range(9))"

    assert not {"sklearn", "scipy", "psutil", "asyncio"} & loaded(fitted)
    assert "sklearn" in loaded(fitted.replace("9e4", "6e3").replace("range(9)", "range(20)"))

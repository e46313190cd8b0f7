"""Arrays as JSON data: what comes back, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from selfheal.detection.arrays import KINDS, check_seal, pack, seal, unpack
from selfheal.detection.saved import Saved
from selfheal.errors import StateError

ARRAYS = st.sampled_from(KINDS).flatmap(lambda kind: hnp.arrays(kind, hnp.array_shapes(max_dims=2, min_side=0)))


def read(part: Any, kind: str = "<f8", dimensions: int = 1) -> np.ndarray[Any, Any]:
    return unpack(Saved({"kind": "k", "version": 1, "a": part}, "k", 1), "a", kind, dimensions)


@given(ARRAYS)
def test_every_array_comes_back(array: np.ndarray[Any, Any]) -> None:
    """An array written as JSON text and read again is the same to the last bit."""
    back = read(json.loads(json.dumps(pack(array))), array.dtype.str, array.ndim)

    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


def test_what_comes_back_may_be_written_to() -> None:
    """The array read is an array of its own, not a view of bytes."""
    back = read(pack(np.zeros(2)))
    back[0] = 1.0

    assert back.tolist() == [1.0, 0.0]


def test_objects_are_not_written() -> None:
    """An array of objects would need code to be read again."""
    with pytest.raises(TypeError, match="an array of object is not written"):
        pack(np.array([{}], dtype=object))


GOOD = pack(np.array([1.0, 2.0]))


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (None, "a is not a mapping"),
        ({**GOOD, "type": "|O"}, "no array of <f8"),
        ({**GOOD, "type": "<f4"}, "no array of <f8"),
        ({**GOOD, "bytes": 7}, "no array of <f8"),
        ({**GOOD, "bytes": "%%%"}, "not base64"),
        ({**GOOD, "bytes": "é"}, "not base64"),
        ({**GOOD, "shape": [3]}, "does not fit its shape"),
        ({**GOOD, "shape": [2, 1]}, "no shape of 1 dimensions"),
        ({**GOOD, "shape": [True]}, "no shape of 1 dimensions"),
        ({**GOOD, "shape": [-2]}, "no shape of 1 dimensions"),
        ({**GOOD, "shape": [10**9]}, "no shape of 1 dimensions"),
        ({**GOOD, "shape": None}, "no shape of 1 dimensions"),
    ],
)
def test_a_damaged_array_is_refused(part: object, told: str) -> None:
    """Each kind of damage is told, and nothing is read by half."""
    with pytest.raises(StateError, match=told):
        read(part)


def test_a_sealed_record_is_read() -> None:
    """A record with its own checksum is accepted, also after a journey as text."""
    sealed = seal({"kind": "k", "version": 1, "n": 1.5})

    assert check_seal(json.loads(json.dumps(sealed)), "k", 1).number("n") == 1.5


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n": 1.6}, "checksum is not that of its content"),
        ({"more": 1}, "checksum is not that of its content"),
        ({"checksum": None}, "checksum is not that of its content"),
        ({"kind": "other"}, "of kind 'other'"),
        ({"version": 2}, "its version is 2, known is 1"),
        ({"n": object()}, "no JSON data"),
        ({"n": float("nan")}, "no JSON data"),
    ],
)
def test_an_altered_record_is_refused(change: dict[str, object], told: str) -> None:
    """Whatever was changed after sealing is noticed."""
    with pytest.raises(StateError, match=told):
        check_seal({**seal({"kind": "k", "version": 1, "n": 1.5}), **change}, "k", 1)

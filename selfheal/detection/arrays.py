"""Arrays as JSON data and back, and records that notice when they were altered. Nothing read here is ever executed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from selfheal.detection.saved import Saved

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS = ("<f8", "<f4", "<i8", "<i4", "|b1")
"""Element types that are written and accepted: numbers and truth values, least significant byte first."""
LARGEST = 50_000_000
"""Elements an array may have to be read."""


def pack(array: NDArray[Any]) -> dict[str, Any]:
    """An array as JSON data: element type, shape, and its bytes in base64.

    >>> import numpy as np
    >>> pack(np.array([1.0, 2.0], dtype="<f4"))
    {'type': '<f4', 'shape': [2], 'bytes': 'AACAPwAAAEA='}
    """
    import numpy as np

    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    if little.dtype.str not in KINDS:
        raise TypeError(f"an array of {array.dtype} is not written; accepted: {', '.join(KINDS)}")
    return {
        "type": little.dtype.str,
        "shape": list(array.shape),
        "bytes": base64.b64encode(little.tobytes()).decode("ascii"),
    }


def unpack(saved: Saved, key: str, kind: str, dimensions: int = 1) -> NDArray[Any]:
    """The array that stands under ``key`` of a record.

    Args:
        saved: the record.
        key: the name of the array.
        kind: the element type it has to have, one of :data:`KINDS`.
        dimensions: how many it has to have.

    Raises:
        StateError: if it is missing, of another type or shape, or holds a number that is not finite.
    """
    import numpy as np

    part = saved.part(key)
    shape, text = part.get("shape"), part.get("bytes")
    if part.get("type") != kind or not isinstance(text, str):
        raise saved.wrong(f"{key} is no array of {kind}")
    if not _is_shape(shape, dimensions):
        raise saved.wrong(f"{key} has no shape of {dimensions} dimensions: {shape!r}")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise saved.wrong(f"{key} is not base64") from None
    elements = math.prod(shape)
    if elements > LARGEST or len(raw) != elements * np.dtype(kind).itemsize:
        raise saved.wrong(f"{key} has {len(raw)} bytes, which does not fit its shape {shape!r}")
    return np.frombuffer(raw, dtype=kind).reshape(shape).astype(np.dtype(kind).newbyteorder("="))


def _is_shape(shape: Any, dimensions: int) -> TypeGuard[list[int]]:
    if not isinstance(shape, list) or len(shape) != dimensions:
        return False
    return all(type(n) is int and 0 <= n <= LARGEST for n in shape)


def seal(record: dict[str, Any]) -> dict[str, Any]:
    """The record with its checksum beside the rest."""
    return {**record, "checksum": _checksum(record)}


def check_seal(data: Mapping[str, Any], kind: str, version: int) -> Saved:
    """Read a record made by :func:`seal`.

    Raises:
        StateError: if it is of another kind or version, or its checksum is not that of its content.
    """
    saved = Saved(data, kind, version)
    content = {key: value for key, value in data.items() if key != "checksum"}
    try:
        there = _checksum(content)
    except (TypeError, ValueError) as error:
        raise saved.wrong(f"it is no JSON data: {error}") from None
    if data.get("checksum") != there:
        raise saved.wrong("its checksum is not that of its content")
    return saved


def _checksum(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

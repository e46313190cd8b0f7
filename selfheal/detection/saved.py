"""Reading what a detector saved: strictly, so that a bad record is refused and never learnt from by half."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

from selfheal.errors import ConfigError, StateError

_Config = TypeVar("_Config")


class Saved:
    """A saved record that is being read; whatever is not as it should be raises :class:`~selfheal.errors.StateError`.

    Args:
        data: the record: JSON data with ``kind`` and ``version``.
        kind: the kind it has to be.
        version: the version that is known.

    Raises:
        StateError: if it is of another kind or version, or no record at all.
    """

    def __init__(self, data: Mapping[str, Any], kind: str, version: int) -> None:
        self._kind = kind
        if not isinstance(data, Mapping):
            raise self.wrong("it is not a mapping")
        self._data = data
        if data.get("kind") != kind:
            raise self.wrong(f"it is of kind {data.get('kind')!r}")
        if data.get("version") != version or isinstance(data.get("version"), bool):
            raise self.wrong(f"its version is {data.get('version')!r}, known is {version}")

    def wrong(self, why: str) -> StateError:
        """The error that says why the record is refused."""
        return StateError("a saved detector", self._kind, why)

    def number(self, key: str, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number within bounds."""
        return self._number(self._data.get(key), key, low, high)

    def optional(self, key: str) -> float | None:
        """A finite number, or ``None``."""
        return None if self._data.get(key) is None else self.number(key)

    def count(self, key: str) -> int:
        """An integer that is not negative."""
        value = self._data.get(key)
        if type(value) is not int or value < 0:
            raise self.wrong(f"{key} is no count: {value!r}")
        return value

    def flag(self, key: str) -> bool:
        """``True`` or ``False``."""
        value = self._data.get(key)
        if not isinstance(value, bool):
            raise self.wrong(f"{key} is neither true nor false: {value!r}")
        return value

    def numbers(self, key: str, length: int | None = None, low: float = -math.inf) -> list[float]:
        """Finite numbers, so many of them where ``length`` is given."""
        return self.list_of_numbers(self.items(key, length), key, low)

    def items(self, key: str, length: int | None = None) -> list[Any]:
        """A list of anything, so long where ``length`` is given."""
        values = self._data.get(key)
        if not isinstance(values, list) or (length is not None and len(values) != length):
            raise self.wrong(f"{key} is not a list{'' if length is None else f' of {length}'}")
        return values

    def list_of_numbers(self, values: object, key: str, low: float = -math.inf) -> list[float]:
        """What is a list of finite numbers."""
        if not isinstance(values, list):
            raise self.wrong(f"{key} is not a list")
        return [self._number(value, f"{key}[{n}]", low, math.inf) for n, value in enumerate(values)]

    def part(self, key: str) -> Mapping[str, Any]:
        """A record within the record."""
        value = self._data.get(key)
        if not isinstance(value, Mapping):
            raise self.wrong(f"{key} is not a mapping")
        return value

    def settings(self, key: str, config: type[_Config]) -> _Config:
        """An instance of an attrs class; lists become tuples, and its validators have the last word."""
        values = {name: tuple(v) if isinstance(v, list) else v for name, v in self.part(key).items()}
        try:
            return config(**values)
        except (TypeError, ConfigError) as error:
            raise self.wrong(f"{key}: {error}") from error

    def _number(self, value: object, key: str, low: float, high: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.wrong(f"{key} is no finite number: {value!r}")
        if not low <= value <= high:
            raise self.wrong(f"{key} is out of bounds: {value!r}")
        return float(value)

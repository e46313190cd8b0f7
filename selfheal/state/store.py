"""What a store promises, and the one in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from selfheal.errors import StateError


class Store(Protocol):
    """Records by key. A record is a JSON object: text keys, and values that JSON has.

    Each call is atomic and takes effect before it returns. Safe from several threads. What is handed
    out is a copy: changing it changes nothing in the store.
    """

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the record, ``None`` where there is none.

        Raises:
            StateError: if it cannot be read, or what is stored there is no record.
        """

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        """Write the record, in place of the one there may be.

        Raises:
            StateError: if it cannot be written, or is not made of what JSON has.
        """

    def delete(self, key: str) -> None:
        """Forget the record. Does nothing where there is none.

        Raises:
            StateError: if the store cannot be written.
        """


class MemoryStore:
    """A :class:`Store` that lasts as long as the process.

    >>> store = MemoryStore()
    >>> store.put("greeting", {"text": "hello"})
    >>> store.get("greeting")
    {'text': 'hello'}
    """

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._texts)} records)"

    def get(self, key: str) -> dict[str, Any] | None:
        """Return a copy of the record, ``None`` where there is none."""
        text = self._texts.get(key)
        return None if text is None else decode("memory", key, text)

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        """Keep a copy of the record.

        Raises:
            StateError: if it is not made of what JSON has.
        """
        self._texts[key] = encode("memory", key, record)

    def delete(self, key: str) -> None:
        """Forget the record, if there is one."""
        self._texts.pop(key, None)


def encode(where: str, key: str, record: Mapping[str, Any]) -> str:
    """Write a record as JSON text.

    Raises:
        StateError: if it is no mapping of text to what JSON has (``nan`` is not JSON).
    """
    try:
        text = json.dumps(dict(record), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise StateError(where, key, f"it cannot be written as JSON ({error})") from error
    if json.loads(text) != record:
        raise StateError(where, key, "it does not read back from JSON as it was (text keys, lists, no tuples)")
    return text


def decode(where: str, key: str, text: object) -> dict[str, Any]:
    """Read a record from JSON text.

    Raises:
        StateError: if it is no JSON object.
    """
    try:
        record = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError) as error:
        raise StateError(where, key, f"what is stored is not JSON ({error})") from error
    if not isinstance(record, dict):
        raise StateError(where, key, "what is stored is not a JSON object")
    return record

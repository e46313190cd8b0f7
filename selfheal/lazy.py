"""Names of a package that are loaded when they are first used (PEP 562)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str], namespace: dict[str, Any]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Make the ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: its ``__name__``.
        homes: name → module that defines it: below the package (``engine``), or with its full name (``selfheal.x``).
        namespace: its ``globals()``, in which a name is kept once it was loaded.

    >>> from selfheal.lazy import lazy_names
    >>> get, _ = lazy_names("selfheal.policies", {"ExponentialBackoff": "backoff"}, {})
    >>> get("ExponentialBackoff")().delay(1)
    5.0
    """

    def load(name: str) -> object:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home if "." in home else f"{package}.{home}"), name)
        namespace[name] = value
        return value

    def names() -> list[str]:
        return sorted({*namespace, *homes})

    return load, names

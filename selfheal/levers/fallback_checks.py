"""What a fallback switch accepts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from selfheal.errors import ConfigError
from selfheal.levers.fallback_machine import FallbackConfig


def make_config(options: dict[str, Any]) -> FallbackConfig:
    """The settings from keyword arguments.

    Raises:
        ConfigError: if one is unknown or out of range.
    """
    known = {field.name for field in attrs.fields(FallbackConfig)}
    for key in options:
        if key not in known:
            raise ConfigError("option of FallbackSwitch", key, f"one of {', '.join(sorted(known))}")
    return FallbackConfig(**options)


def check_named(what: str, given: object, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A mapping of names, which must be known, to callables.

    Raises:
        ConfigError: if it is something else.
    """
    if not isinstance(given, Mapping):
        raise ConfigError(f"FallbackSwitch.{what}", given, "a mapping of names to callables")
    check_known(what, given, given if known is None else known)
    for name, target in given.items():
        if not isinstance(name, str) or not name.strip() or not callable(target):
            raise ConfigError(f"FallbackSwitch.{what}[{name!r}]", target, "a callable under a name that is not blank")
    return dict(given)


def check_known(what: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Accept only names of providers.

    Raises:
        ConfigError: if there is another.
    """
    for name in given:
        if name not in known:
            raise ConfigError(f"FallbackSwitch.{what}", name, f"names of providers ({', '.join(known)})")

"""The rules of a circuit: made from what a host gives, compared, and told to a person."""

from __future__ import annotations

from typing import Any, cast

import attrs

from selfheal.clock import Clock
from selfheal.errors import ConfigError
from selfheal.policies.breaker.config import BreakerConfig, BreakerOptions


def check_name(name: object) -> None:
    """Accept text that is not blank and can be printed.

    Raises:
        ConfigError: otherwise.
    """
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise ConfigError("CircuitBreaker.name", name, "text that is not blank, without control characters")


def make_rules(config: BreakerConfig | None, options: BreakerOptions) -> BreakerConfig:
    """The configuration given, with the options on top.

    Raises:
        ConfigError: if a value is out of range or an option unknown.
    """
    if config is not None and not isinstance(config, BreakerConfig):
        raise ConfigError("CircuitBreaker.config", config, "a BreakerConfig or None")
    known = [field.name for field in attrs.fields(BreakerConfig)]
    for option in options:
        if option not in known:
            raise ConfigError("an option of CircuitBreaker", option, "one of " + ", ".join(known))
    return attrs.evolve(config or BreakerConfig(), **cast(dict[str, Any], options))


def same_rules(one: BreakerConfig, other: BreakerConfig) -> bool:
    """Tell whether two configurations mean the same, as they do when a module is imported again."""
    return bool(_comparable(one) == _comparable(other))


def _comparable(value: Any) -> Any:
    """A value by what it means, so that a module imported again asks for the same rules.

    A function is the same if it has the same name in the same module and the same code.
    """
    if isinstance(value, BreakerConfig):
        return tuple(_comparable(getattr(value, field.name)) for field in attrs.fields(BreakerConfig))
    if isinstance(value, tuple):
        return tuple(_comparable(one) for one in value)
    code = getattr(value, "__code__", None)
    if code is not None:
        captured = tuple(cell.cell_contents for cell in value.__closure__ or ())
        return (value.__module__, value.__qualname__, code.co_code, code.co_consts, captured)
    if isinstance(value, type):
        return (value.__module__, value.__qualname__)
    return value


def told(config: BreakerConfig, clock: Clock) -> str:
    """The settings that differ from the defaults, as a person wrote them."""
    default = BreakerConfig()
    told = [
        f"{field.name}={_name(getattr(config, field.name))}"
        for field in attrs.fields(BreakerConfig)
        if getattr(config, field.name) != getattr(default, field.name)
    ]
    return f"{', '.join(told) or 'all defaults'}; clock={clock!r}"


def _name(value: object) -> str:
    return str(getattr(value, "__qualname__", None) or repr(value))

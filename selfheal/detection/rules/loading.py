"""Rules from JSON or TOML files; all that is wrong is told at once, with its path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from selfheal.configuring import load_file, structure
from selfheal.detection.leak import LeakConfig
from selfheal.detection.rules.specs import (
    BreakerRule,
    CpuSpikeRule,
    LatencyRule,
    LeakRule,
    ProcessRule,
    RuleSpec,
    TaskFailureRule,
)
from selfheal.errors import ConfigError, ConfigProblem, InvalidConfigError

VERSION = 1
MOST_RULES = 1000


def shipped_rules(zone: str = "UTC") -> tuple[RuleSpec, ...]:
    """The rules that ship. A cascade rule needs the host's dependencies, so there is none among them.

    Args:
        zone: time zone in whose days the memory of this host goes up and down.

    Raises:
        ConfigError: if the zone is not known.
    """
    leak = LeakRule(trend=LeakConfig(zone=zone))
    return (CpuSpikeRule(), LatencyRule(), TaskFailureRule(), ProcessRule(), BreakerRule(), leak)


DEFAULT_RULES = shipped_rules()
"""The rules that ship, by the clocks of UTC."""


def _known(owner: object, field: attrs.Attribute[int], value: int) -> None:
    if value != VERSION:
        raise ConfigError(f"{type(owner).__name__}.{field.name}", value, f"{VERSION}, the one there is")


@attrs.frozen(kw_only=True)
class _File:
    version: int = attrs.field(validator=_known)
    rules: tuple[RuleSpec, ...]


def load_rules(path: str | Path) -> tuple[RuleSpec, ...]:
    """Read rules from a file.

    Args:
        path: ends in ``.json`` or ``.toml``; a table with ``version`` 1 and a list ``rules``, each with its ``type``.

    Raises:
        ConfigError: if it cannot be read or is not well formed; as :class:`~selfheal.errors.InvalidConfigError` with
            all that is not accepted, each with its path in the file.
    """
    return rules_from(load_file(path), source=str(path))


def rules_from(data: Mapping[str, object], *, source: str = "") -> tuple[RuleSpec, ...]:
    """Rules of plain data: what :func:`load_rules` finds in a file, named ``source`` in messages.

    Raises:
        InvalidConfigError: with all that is not accepted, each with its path.
    """
    rules = structure(data, _File, source=source).rules
    try:
        return unique(rules)
    except ConfigError as error:
        raise InvalidConfigError([ConfigProblem(error.where, error.found, error.accepted)], source) from None


def unique(rules: tuple[RuleSpec, ...]) -> tuple[RuleSpec, ...]:
    """The same rules, none of them twice under one name.

    Raises:
        ConfigError: if a name is there twice, or there are more than 1000.
    """
    if len(rules) > MOST_RULES:
        raise ConfigError("rules", len(rules), f"at most {MOST_RULES} rules")
    names: set[str] = set()
    for index, rule in enumerate(rules):
        if rule.name in names:
            raise ConfigError(f"rules[{index}].name", rule.name, "a name that no rule before it has")
        names.add(rule.name)
    return rules

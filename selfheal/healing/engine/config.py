"""The limits of a strategy engine, and what is to be seen of one."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import attrs

from selfheal.errors import ConfigError
from selfheal.healing.engine.releasing import Measure
from selfheal.healing.machine import HealerOptions
from selfheal.policies.approvals import Approval
from selfheal.policies.silences import Silence
from selfheal.policies.target_holds import TargetHold
from selfheal.validators import between, boolean


class Mode(enum.StrEnum):
    """Whether anything is done.

    ``DRY_RUN``: everything is decided and written down, by budgets of its own, and nothing is touched.
    """

    LIVE = "live"
    DRY_RUN = "dry_run"


def mode_of(given: Mode | str) -> Mode:
    """A mode, also by its text.

    Raises:
        ConfigError: if it is neither of the two.
    """
    try:
        return Mode(given)
    except ValueError:
        raise ConfigError("StrategyEngine.mode", given, "'live' or 'dry_run'", "'live'") from None


@attrs.frozen(kw_only=True)
class EngineConfig:
    """The limits of an engine, beside those of its healer.

    Args:
        actions_per_hour: actions begun at most in any 3600 s, over all strategies, targets and levels.
        stale_after: seconds after which a sample tells nothing any more.
        series_limit: pairs of metric and target that samples are kept of.
        samples_kept: samples kept of each.
        max_abandoned: calls of actions that hang, at most; with more, all healing stops.
        auto_critical: critical levels need nobody's approval.

    Raises:
        ConfigError: if a value is out of range.
    """

    actions_per_hour: int = attrs.field(default=60, validator=between(1, 100_000))
    stale_after: float = attrs.field(default=300.0, validator=between(0.001, 86_400.0, "s"))
    series_limit: int = attrs.field(default=10_000, validator=between(1, 1_000_000))
    samples_kept: int = attrs.field(default=64, validator=between(8, 10_000))
    max_abandoned: int = attrs.field(default=4, validator=between(1, 1000))
    auto_critical: bool = attrs.field(default=False, validator=boolean)


class EngineOptions(HealerOptions, total=False):
    """The fields of :class:`EngineConfig` and of :class:`~selfheal.healing.HealerConfig` as keyword arguments."""

    actions_per_hour: int
    stale_after: float
    series_limit: int
    samples_kept: int
    max_abandoned: int
    auto_critical: bool


def parted(options: EngineOptions) -> tuple[EngineConfig, dict[str, Any]]:
    """The engine's own options as its configuration, and the healer's as they were given.

    Raises:
        ConfigError: if a value of the engine's is out of range.
    """
    own = {field.name for field in attrs.fields(EngineConfig)}
    mine: dict[str, Any] = {name: value for name, value in options.items() if name in own}
    return EngineConfig(**mine), {name: value for name, value in options.items() if name not in own}


@attrs.frozen(kw_only=True)
class EngineSnapshot:
    """Everything there is to see of an engine, beside its healer's snapshot.

    Args:
        mode: live or dry run.
        observing: whether another process writes the journal, and heals.
        strategies: how many are enabled.
        open_alerts: how many are open.
        under_way: target → id of the healing that has it.
        actions_last_hour: actions begun in the last 3600 s.
        max_actions_per_hour: how many there can be at most.
        held: targets that a person has to look at.
        approvals: what people are asked, or have answered and was not used yet.
        silences: what is not answered now.
        measures: actions in force that will be undone by themselves.
        queued: healings that are scheduled.
        deferred: those of them that a guard refused, and that are asked for again later.
        abandoned: calls of actions that hang.
        recovered: whether the journal was read, and what it told of was ended.
    """

    mode: Mode
    observing: bool
    strategies: int
    open_alerts: int
    under_way: Mapping[str, str]
    actions_last_hour: int
    max_actions_per_hour: int
    held: tuple[TargetHold, ...]
    approvals: tuple[Approval, ...]
    silences: tuple[Silence, ...]
    measures: tuple[Measure, ...]
    queued: int
    deferred: int
    abandoned: int
    recovered: bool


def section_of(snapshot: EngineSnapshot) -> dict[str, Any]:
    """What is to be seen of an engine as a section of the status: camelCase keys, durations in milliseconds."""
    return {
        "mode": snapshot.mode.value,
        "observing": snapshot.observing,
        "strategies": snapshot.strategies,
        "openAlerts": snapshot.open_alerts,
        "underWay": dict(snapshot.under_way),
        "actionsLastHour": snapshot.actions_last_hour,
        "maxActionsPerHour": snapshot.max_actions_per_hour,
        "held": [{"target": held.target, "reason": held.reason} for held in snapshot.held],
        "approvals": [
            {"id": one.id, "strategy": one.strategy, "target": one.target, "level": one.level, "state": one.state.value}
            for one in snapshot.approvals
        ],
        "silences": [{"id": one.id, "reason": one.reason, "by": one.by} for one in snapshot.silences],
        "measures": [
            {
                "strategy": one.strategy,
                "target": one.target,
                "action": one.action,
                "undoIn": round(one.undo_in * 1000),
            }
            for one in snapshot.measures
        ],
        "queued": snapshot.queued,
        "deferred": snapshot.deferred,
        "abandoned": snapshot.abandoned,
        "recovered": snapshot.recovered,
    }

"""What a strategy is made of, as frozen records. Files and Python make the same ones."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Annotated, Any

import attrs

from selfheal.conditions import Condition, condition_from, parse_duration
from selfheal.configuring import StructuredBy
from selfheal.errors import ConfigError, ConfigProblem, InvalidConfigError
from selfheal.events import Severity
from selfheal.healing.strategies.shape import copied, json_values, listed, names, patterns, text, words
from selfheal.validators import between, boolean

Seconds = Annotated[float, StructuredBy(parse_duration)]
"""Seconds; in a file also text such as ``5m`` or ``1h30m``."""


def _condition(data: object) -> Condition:
    """A condition; the paths of what is wrong begin inside of it."""
    try:
        return condition_from(data, "$")
    except InvalidConfigError as error:
        inside = [problem._replace(where=problem.where.removeprefix("$")) for problem in error.problems]
        raise InvalidConfigError(inside) from None


ConditionData = Annotated[Condition, StructuredBy(_condition)]
"""A condition; in a file its structure, or text such as ``cpu_percent > 80 for 5m clear 70``."""

MOST_STEPS = 32
"""Actions of one strategy, over all its levels."""


class Level(enum.StrEnum):
    """How far a healing goes. One after the other, with a new measurement in between."""

    SOFT = "soft"
    HARD = "hard"
    CRITICAL = "critical"


class OnFailure(enum.StrEnum):
    """What a failed action means for the healing."""

    ROLLBACK = "rollback"
    ABORT = "abort"
    CONTINUE = "continue"


class VerifyBy(enum.StrEnum):
    """What tells whether a healing helped.

    ``CONDITION``: the strategy's trigger (or ``verify.condition``) no longer holds, by samples newer than the action.
    ``ALERT``: the alert that was answered is cleared. ``ACTIONS``: each action says that its effect holds.
    """

    CONDITION = "condition"
    ALERT = "alert"
    ACTIONS = "actions"


@attrs.frozen(kw_only=True)
class VerifySpec:
    """How a level is judged. Times are seconds.

    Args:
        by: condition, alert or actions, what tells; by default ``condition`` where there is one, else ``alert``.
        condition: what must not hold any more; by default the trigger, with its ``clear`` thresholds.
        samples: measurements newer than the last action that are needed.
        within: seconds after settling until it is given up as unknown.
        tolerance: share of the value before by which it must move to count as improved, or as worse.
    """

    by: VerifyBy | None = None
    condition: ConditionData | None = None
    samples: int = attrs.field(default=3, validator=between(1, 64))
    within: Seconds = attrs.field(default=120.0, validator=between(0.0, 86_400.0, "s"))
    tolerance: float = attrs.field(default=0.05, validator=between(0.0, 10.0))


_USUAL = VerifySpec()


def _usually() -> VerifySpec:
    return _USUAL


@attrs.frozen(kw_only=True)
class StepSpec:
    """One action of a level.

    Args:
        do: name of the action.
        target: what it is done to; empty: what the alert is about.
        levers: role of the action → name of the host's lever, where they differ.
        params: of the action; each action has its own.
        timeout: seconds; by default the action's own.
        on_failure: what its failure means: rollback (undo all and stop), abort (stop) or continue.
        undo_after: seconds after the healing ended when it is undone by itself; without, it stays.
    """

    do: str = attrs.field(validator=text(200))
    target: str = attrs.field(default="", validator=text(200, empty=True))
    levers: Mapping[str, str] = attrs.field(factory=dict, converter=copied, validator=words)
    params: Mapping[str, Any] = attrs.field(factory=dict, converter=copied, validator=json_values)
    timeout: Seconds | None = attrs.field(default=None, validator=between(0.001, 3600.0, "s", optional=True))
    on_failure: OnFailure = OnFailure.ROLLBACK
    undo_after: Seconds | None = attrs.field(default=None, validator=between(0.0, 86_400.0, "s", optional=True))


def gaps(trigger: object, alerts: object, by: object, condition: object) -> list[ConfigProblem]:
    """What a strategy lacks, whatever its settings are each."""
    problems = []
    if trigger is None and not alerts:
        problems.append(ConfigProblem("trigger", None, "given, or alerts: otherwise it answers nothing"))
    if by == VerifyBy.CONDITION and trigger is None and condition is None:
        accepted = "'alert' or 'actions' where there is neither a trigger nor a verify.condition"
        problems.append(ConfigProblem("verify.by", "condition", accepted))
    return problems


def _steps(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    good = isinstance(value, tuple) and all(isinstance(step, StepSpec) for step in value)
    if not good or not 1 <= len(value) <= MOST_STEPS:  # type: ignore[arg-type]
        raise ConfigError("LevelSpec.actions", _counted(value, "action"), f"a list of 1 to {MOST_STEPS} actions")


_ORDER = tuple(Level)


def _levels(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, tuple) or not value or not all(isinstance(level, LevelSpec) for level in value):
        raise ConfigError("StrategySpec.levels", _counted(value, "level"), "a list of at least one level")
    if len(value) == 1:
        return  # in order, and of no more actions than a level may have
    order = [_ORDER.index(level.level) for level in value]
    if order != sorted(set(order)):
        found = ", ".join(level.level for level in value)
        raise ConfigError("StrategySpec.levels", found, "each at most once, in the order soft, hard, critical")
    if sum(len(level.actions) for level in value) > MOST_STEPS:
        together = _counted(tuple(step for level in value for step in level.actions), "action")
        raise ConfigError("StrategySpec.levels", together, f"of at most {MOST_STEPS} actions together")


def _counted(value: object, what: str) -> object:
    return f"{len(value)} {what}s" if isinstance(value, tuple) else value


@attrs.frozen(kw_only=True)
class LevelSpec:
    """What is done before the problem is measured again.

    Args:
        level: soft, hard or critical; a strategy's levels come in this order.
        when: what must hold for it to be entered, by a new measurement; without, only that the problem goes on.
        actions: in order.
        settle: seconds after the last action before it is measured; by default the strategy's.
        approval: whether a person must approve; by default only for critical, unless the engine says otherwise.
    """

    level: Level = Level.SOFT
    when: ConditionData | None = None
    actions: tuple[StepSpec, ...] = attrs.field(converter=listed, validator=_steps)
    settle: Seconds | None = attrs.field(default=None, validator=between(0.0, 3600.0, "s", optional=True))
    approval: bool | None = None


@attrs.frozen(kw_only=True)
class StrategySpec:
    """Which problems are answered with which actions. Times are seconds.

    Args:
        name: unique in a set.
        description: for people.
        trigger: raises an alert of kind ``name`` while it holds; without, the strategy only answers alerts.
        alerts: kinds of alerts of others that it answers.
        labels: labels an alert must have to be answered.
        targets: names, with ``*``, of what it is for; empty: everything.
        severity: info, warning or critical; of the alert that the trigger raises.
        keep_firing_for: the alert goes on for so long after the trigger ended.
        priority: the strategy of the highest priority that answers an alert heals it; file order decides a draw.
        grace_period: the same strategy is not used on the same target again within it.
        max_attempts_per_hour: nor more often than this.
        levels: what is done, level by level. ``actions`` in a file is short for one level.
        settle: after the last action of a level before it is measured.
        verify: how a level is judged.
        rollback: whether actions are undone when a later one fails or things got worse.
        enabled: switched off, it is loaded and checked and answers nothing.
    """

    name: str = attrs.field(validator=text(200))
    description: str = attrs.field(default="", validator=text(2000, empty=True, lines=True))
    trigger: ConditionData | None = None
    alerts: tuple[str, ...] = attrs.field(default=(), converter=listed, validator=names)
    labels: Mapping[str, str] = attrs.field(factory=dict, converter=copied, validator=words)
    targets: tuple[str, ...] = attrs.field(default=(), converter=listed, validator=patterns)
    severity: Severity = attrs.field(default=Severity.WARNING, validator=attrs.validators.instance_of(Severity))
    keep_firing_for: Seconds = attrs.field(default=0.0, validator=between(0.0, 86_400.0, "s"))
    priority: int = attrs.field(default=0, validator=between(-1000, 1000))
    grace_period: Seconds = attrs.field(default=300.0, validator=between(0.0, 86_400.0, "s"))
    max_attempts_per_hour: int = attrs.field(default=3, validator=between(1, 1000))
    levels: tuple[LevelSpec, ...] = attrs.field(converter=listed, validator=_levels)
    settle: Seconds = attrs.field(default=30.0, validator=between(0.0, 3600.0, "s"))
    verify: VerifySpec = attrs.field(factory=_usually)
    rollback: bool = attrs.field(default=True, validator=boolean)
    enabled: bool = attrs.field(default=True, validator=boolean)

    def __attrs_post_init__(self) -> None:
        problems = gaps(self.trigger, self.alerts, self.verify.by, self.verify.condition)
        if problems:
            raise InvalidConfigError([gap._replace(where=f"StrategySpec.{gap.where}") for gap in problems])

    @property
    def steps(self) -> tuple[StepSpec, ...]:
        """All actions of all levels, in order."""
        return tuple(step for level in self.levels for step in level.actions)

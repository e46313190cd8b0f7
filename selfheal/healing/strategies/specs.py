"""What a strategy is made of, as frozen records. Files and Python make the same ones."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import attrs

from selfheal.conditions import Condition
from selfheal.events import Severity
from selfheal.validators import between


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
        by: what tells; by default ``condition`` where there is one, else ``alert``.
        condition: what must not hold any more; by default the trigger, with its ``clear`` thresholds.
        samples: measurements newer than the last action that are needed.
        within: seconds after settling until it is given up as unknown.
        tolerance: share of the value before by which it must move to count as improved, or as worse.
    """

    by: VerifyBy | None = None
    condition: Condition | None = None
    samples: int = attrs.field(default=3, validator=between(1, 64))
    within: float = attrs.field(default=120.0, validator=between(0.0, 86_400.0, "s"))
    tolerance: float = attrs.field(default=0.05, validator=between(0.0, 10.0))


@attrs.frozen(kw_only=True)
class StepSpec:
    """One action of a level.

    Args:
        do: name of the action.
        target: what it is done to; empty: what the alert is about.
        levers: role of the action → name of the host's lever, where they differ.
        params: for the action.
        timeout: seconds; by default the action's own.
        on_failure: what its failure means.
        undo_after: seconds after the healing ended when it is undone by itself; ``None``: it stays.
    """

    do: str
    target: str = ""
    levers: Mapping[str, str] = attrs.field(factory=dict)
    params: Mapping[str, Any] = attrs.field(factory=dict)
    timeout: float | None = attrs.field(default=None, validator=between(0.001, 3600.0, "s", optional=True))
    on_failure: OnFailure = OnFailure.ROLLBACK
    undo_after: float | None = attrs.field(default=None, validator=between(0.0, 86_400.0, "s", optional=True))


@attrs.frozen(kw_only=True)
class LevelSpec:
    """What is done before the problem is measured again.

    Args:
        level: soft, hard or critical; a strategy's levels come in this order.
        when: what must hold for it to be entered, by a new measurement; ``None``: only that the problem goes on.
        actions: in order.
        settle: seconds after the last action before it is measured; by default the strategy's.
        approval: whether a person must approve; by default only for critical, unless the engine says otherwise.
    """

    level: Level = Level.SOFT
    when: Condition | None = None
    actions: tuple[StepSpec, ...]
    settle: float | None = attrs.field(default=None, validator=between(0.0, 3600.0, "s", optional=True))
    approval: bool | None = None


@attrs.frozen(kw_only=True)
class StrategySpec:
    """Which problems are answered with which actions. Times are seconds.

    Args:
        name: unique in a set.
        description: for people.
        trigger: raises an alert of kind ``name`` while it holds; ``None``: it only answers alerts.
        alerts: kinds of alerts of others that it answers.
        labels: labels an alert must have to be answered.
        targets: names, with ``*``, of what it is for; empty: everything.
        severity: of the alert that the trigger raises.
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

    name: str
    description: str = ""
    trigger: Condition | None = None
    alerts: tuple[str, ...] = ()
    labels: Mapping[str, str] = attrs.field(factory=dict)
    targets: tuple[str, ...] = ()
    severity: Severity = Severity.WARNING
    keep_firing_for: float = attrs.field(default=0.0, validator=between(0.0, 86_400.0, "s"))
    priority: int = attrs.field(default=0, validator=between(-1000, 1000))
    grace_period: float = attrs.field(default=300.0, validator=between(0.0, 86_400.0, "s"))
    max_attempts_per_hour: int = attrs.field(default=3, validator=between(1, 1000))
    levels: tuple[LevelSpec, ...]
    settle: float = attrs.field(default=30.0, validator=between(0.0, 3600.0, "s"))
    verify: VerifySpec = attrs.field(factory=VerifySpec)
    rollback: bool = True
    enabled: bool = True

    @property
    def steps(self) -> tuple[StepSpec, ...]:
        """All actions of all levels, in order."""
        return tuple(step for level in self.levels for step in level.actions)

"""What a healing has done so far, and in which order it is undone. Pure: it neither acts nor writes."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from selfheal.errors import SagaError
from selfheal.healing.actions.protocol import Effect


class StepState(enum.StrEnum):
    """How far one action of a healing is.

    ``IN_DOUBT``: it was begun, and nobody knows whether it took effect: its process died, or it ran out of time.
    ``STUCK``: it was to be undone and could not be.
    """

    INTENDED = "intended"
    DONE = "done"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    SKIPPED = "skipped"
    UNDOING = "undoing"
    UNDONE = "undone"
    STUCK = "stuck"


MOVES: Mapping[StepState, frozenset[StepState]] = {
    StepState.INTENDED: frozenset({StepState.DONE, StepState.FAILED, StepState.IN_DOUBT}),
    StepState.IN_DOUBT: frozenset({StepState.DONE, StepState.FAILED, StepState.UNDOING}),
    StepState.DONE: frozenset({StepState.UNDOING}),
    StepState.FAILED: frozenset(),
    StepState.SKIPPED: frozenset(),
    StepState.UNDOING: frozenset({StepState.UNDONE, StepState.STUCK, StepState.UNDOING}),
    StepState.UNDONE: frozenset(),
    StepState.STUCK: frozenset({StepState.UNDOING}),
}
"""Which state a step may go to from each. An undo that was cut off is begun again: undoing twice is harmless."""


@attrs.define(kw_only=True)
class Step:
    """One action of a healing.

    Args:
        number: place in the healing, from 0, over all levels.
        action: its name.
        target: what it is done to.
        state: how far it is.
        effect: whether it can be undone.
        plan: what it was going to do.
        receipt: what it did; ``None`` until it is done.
        params: of the step, as plain data.
        levers: role → name of the lever, where they differ.
        undo_after: seconds after the healing when it is undone by itself.
        destructive: whether it ends or removes something.
        error: what went wrong.
    """

    number: int
    action: str
    target: str
    state: StepState
    effect: Effect = Effect.IRREVERSIBLE
    plan: Mapping[str, Any] = attrs.field(factory=dict)
    receipt: Mapping[str, Any] | None = None
    params: Mapping[str, Any] = attrs.field(factory=dict)
    levers: Mapping[str, str] = attrs.field(factory=dict)
    undo_after: float | None = None
    destructive: bool = False
    error: str = ""

    def move(self, to: StepState) -> None:
        """Go to another state.

        Raises:
            SagaError: if it cannot from where it is.
        """
        if to not in MOVES[self.state]:
            raise SagaError(f"step {self.number} ({self.action}) cannot go from {self.state} to {to}")
        self.state = to

    @property
    def to_undo(self) -> bool:
        """Whether undoing the healing has to undo this: what took effect, and what may have."""
        return self.effect is Effect.REVERSIBLE and self.state in (
            StepState.DONE,
            StepState.IN_DOUBT,
            StepState.UNDOING,
            StepState.STUCK,
        )

    @property
    def to_release(self) -> bool:
        """Whether it is to be undone by itself after the healing: it is in force, or nobody knows any more."""
        return (
            self.undo_after is not None
            and self.effect is Effect.REVERSIBLE
            and self.state in (StepState.DONE, StepState.UNDOING, StepState.STUCK)
        )


class Saga:
    """The steps of one healing, in the order in which they were intended."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def add(self, step: Step) -> Step:
        """Take in the next step.

        Raises:
            SagaError: if its number is not the next one.
        """
        if step.number != len(self.steps):
            raise SagaError(f"step {step.number} comes after {len(self.steps)} steps")
        self.steps.append(step)
        return step

    def undo_order(self) -> list[Step]:
        """What is to be undone, the latest first."""
        return [step for step in reversed(self.steps) if step.to_undo]

    def in_doubt(self) -> list[Step]:
        """What nobody knows of whether it took effect, in order."""
        return [step for step in self.steps if step.state in (StepState.INTENDED, StepState.IN_DOUBT)]

    def settle_end(self) -> None:
        """The healing has ended: what was in doubt then was left so, and is nobody's to undo any more."""
        for step in self.in_doubt():
            step.undo_after = None

    @property
    def executed(self) -> int:
        """Actions that were done, whether they were undone later or not."""
        kept = (StepState.DONE, StepState.UNDOING, StepState.UNDONE, StepState.STUCK)
        return sum(step.state in kept and step.receipt is not None for step in self.steps)

    def told(self) -> list[dict[str, Any]]:
        """Each step as plain data, for the journal's last word."""
        return [
            {"action": step.action, "target": step.target, "state": step.state.value}
            | ({"error": step.error} if step.error else {})
            for step in self.steps
        ]

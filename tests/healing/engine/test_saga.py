"""What a healing has done, and in which order it is undone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.errors import SagaError
from selfheal.healing.actions import Effect
from selfheal.healing.engine.saga import MOVES, Saga, Step, StepState

STATES = st.sampled_from(StepState)
EFFECTS = st.sampled_from(Effect)


def saga_of(*steps: tuple[StepState, Effect]) -> Saga:
    """Steps of these states and effects, in order."""
    saga = Saga()
    for number, (state, effect) in enumerate(steps):
        saga.add(Step(number=number, action=f"a{number}", target="web", state=state, effect=effect))
    return saga


@given(st.lists(st.tuples(STATES, EFFECTS), max_size=12))
def test_what_is_undone_is_everything_reversible_that_may_be_in_force_the_latest_first(
    steps: list[tuple[StepState, Effect]],
) -> None:
    """Done, in doubt, half undone and stuck ones are undone in exact reverse order, and nothing else is."""
    in_force = {StepState.DONE, StepState.IN_DOUBT, StepState.UNDOING, StepState.STUCK}
    wanted = [n for n, (state, effect) in enumerate(steps) if state in in_force and effect is Effect.REVERSIBLE]
    assert [step.number for step in saga_of(*steps).undo_order()] == wanted[::-1]


@given(STATES, STATES)
def test_a_step_moves_only_where_it_may(old: StepState, new: StepState) -> None:
    """A move that is not in the table is refused and changes nothing."""
    [step] = saga_of((old, Effect.REVERSIBLE))
    if new in MOVES[old]:
        step.move(new)
        assert step.state is new
    else:
        with pytest.raises(SagaError, match=f"cannot go from {old} to {new}"):
            step.move(new)
        assert step.state is old


def test_what_ended_is_never_begun_again() -> None:
    """From failed, skipped and undone no state is reached, so that nothing is undone twice."""
    assert {state for state, moves in MOVES.items() if not moves} == {
        StepState.FAILED,
        StepState.SKIPPED,
        StepState.UNDONE,
    }


def test_a_step_has_the_next_number_or_is_refused() -> None:
    """A gap or a repetition in the numbers is an error, not a guess."""
    saga = saga_of((StepState.DONE, Effect.NEUTRAL))
    with pytest.raises(SagaError, match="step 2 comes after 1 steps"):
        saga.add(Step(number=2, action="a", target="web", state=StepState.INTENDED))


def test_what_was_executed_counts_with_what_was_undone_and_without_what_was_in_doubt() -> None:
    """An action counts once it gave a receipt, whatever became of it; one in doubt does not."""
    saga = saga_of(
        (StepState.DONE, Effect.NEUTRAL),
        (StepState.UNDONE, Effect.REVERSIBLE),
        (StepState.UNDONE, Effect.REVERSIBLE),
        (StepState.FAILED, Effect.NEUTRAL),
    )
    saga.steps[0].receipt = saga.steps[1].receipt = {}
    assert saga.executed == 2


def test_the_last_word_names_each_step_and_its_error() -> None:
    """What is told of a step has an error only where there was one."""
    saga = saga_of((StepState.DONE, Effect.NEUTRAL), (StepState.FAILED, Effect.NEUTRAL))
    saga.steps[1].error = "no route"
    assert saga.told() == [
        {"action": "a0", "target": "web", "state": "done"},
        {"action": "a1", "target": "web", "state": "failed", "error": "no route"},
    ]

"""The order of a restore, decided without doing any of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.backup.restoring.machine import Direction, Phase, Standing, Work, found

FORWARD, BACK = Direction.FORWARD, Direction.BACK
COUNTED = (Phase.SWAPPING, Phase.SWAPPED, Phase.ROLLING_BACK)


def path(start: Standing, direction: Direction, keep: bool = False) -> list[str]:
    """All phases from a start to where it ends or stays."""
    told, standing = [str(start)], start
    while not (standing.phase is Phase.KEPT and direction is FORWARD):
        after = standing.after_work(direction, keep=keep)
        if after is None:
            break
        standing = after
        told.append(str(standing))
    return told


def standings() -> list[Standing]:
    """Every standing of a restore of three sections."""
    return [Standing(phase, section, 3) for phase in Phase for section in (range(3) if phase in COUNTED else range(1))]


def test_the_whole_way() -> None:
    """Sections are exchanged one after the other, probed together, and committed."""
    assert path(Standing(Phase.STAGING, 0, 2), FORWARD) == [
        "staging",
        "staged",
        "swapping(0)",
        "swapped(0)",
        "swapping(1)",
        "swapped(1)",
        "probing",
        "committed",
    ]


def test_previous_trees_are_kept_where_asked_for() -> None:
    """With keep, the last phase is one that can still go either way."""
    assert path(Standing(Phase.PROBING, 0, 2), FORWARD, keep=True) == ["probing", "kept"]
    kept = Standing(Phase.KEPT, 0, 2)
    assert kept.after_work(FORWARD) == Standing(Phase.COMMITTED, 0, 2)
    assert path(kept, BACK) == ["kept", "rolling_back(1)", "rolling_back(0)", "rolled_back"]


@pytest.mark.parametrize(
    ("standing", "way"),
    [
        (Standing(Phase.STAGING, 0, 2), ["rolled_back"]),
        (Standing(Phase.STAGED, 0, 2), ["rolled_back"]),
        (Standing(Phase.SWAPPING, 0, 2), ["rolling_back(0)", "rolled_back"]),
        (Standing(Phase.SWAPPED, 0, 2), ["rolling_back(0)", "rolled_back"]),
        (Standing(Phase.SWAPPING, 1, 2), ["rolling_back(1)", "rolling_back(0)", "rolled_back"]),
        (Standing(Phase.SWAPPED, 1, 2), ["rolling_back(1)", "rolling_back(0)", "rolled_back"]),
        (Standing(Phase.PROBING, 0, 2), ["rolling_back(1)", "rolling_back(0)", "rolled_back"]),
        (Standing(Phase.ROLLING_BACK, 1, 2), ["rolling_back(0)", "rolled_back"]),
        (Standing(Phase.ROLLED_BACK, 0, 2), []),
        (Standing(Phase.COMMITTED, 0, 2), []),
    ],
)
def test_the_way_back(standing: Standing, way: list[str]) -> None:
    """Whatever may have been exchanged goes back, in reverse; what was decided is not decided again."""
    assert path(standing, BACK)[1:] == way


@pytest.mark.parametrize("section", [0, 1])
def test_a_rollback_under_way_is_never_turned_round(section: int) -> None:
    """Going forward from the middle of a rollback leads back too: what was put back may be in use."""
    assert path(Standing(Phase.ROLLING_BACK, section, 2), FORWARD)[-1] == "rolled_back"


@pytest.mark.parametrize("phase", list(Phase))
def test_what_is_found(phase: Phase) -> None:
    """By default everything goes back; to resume is a choice, but not from half a copy."""
    standing = Standing(phase, 0, 2)
    assert found(standing, rollback=True) is BACK
    assert found(standing, rollback=False) is (BACK if phase is Phase.STAGING else FORWARD)


@pytest.mark.parametrize("standing", standings(), ids=str)
@pytest.mark.parametrize("direction", list(Direction))
def test_every_way_ends(standing: Standing, direction: Direction) -> None:
    """From everywhere, in both directions, in finitely many steps, at an end that has one meaning."""
    last = path(standing, direction)[-1]
    assert last in ("committed", "rolled_back", "kept")
    if direction is BACK and standing.phase is not Phase.COMMITTED:
        assert last == "rolled_back"


@given(st.sampled_from(standings()), st.sampled_from(list(Direction)))
def test_all_that_may_have_moved_is_put_back(standing: Standing, direction: Direction) -> None:
    """A way that ends rolled back passes each section that may be exchanged."""
    way = path(standing, direction)
    if way[-1] == "rolled_back" and standing.phase is not Phase.ROLLING_BACK:
        assert {name for name in way if name.startswith("rolling_back")} == {
            f"rolling_back({section})" for section in range(standing.moved)
        }


def test_the_work_of_each_phase() -> None:
    """Each phase that names work has that work; the others are passed through or stayed in."""
    there = {phase: Standing(phase, 0, 1).work for phase in Phase}
    assert {phase: work for phase, work in there.items() if work} == {
        Phase.SWAPPING: Work.SWAP,
        Phase.PROBING: Work.PROBE,
        Phase.ROLLING_BACK: Work.UNSWAP,
        Phase.COMMITTED: Work.CLEAN,
        Phase.ROLLED_BACK: Work.CLEAN,
    }


@pytest.mark.parametrize(
    ("phase", "section", "total"),
    [(Phase.SWAPPING, 2, 2), (Phase.SWAPPING, -1, 2), (Phase.STAGED, 0, 0), (Phase.PROBING, 1, 2)],
)
def test_what_cannot_be_is_refused(phase: Phase, section: int, total: int) -> None:
    """A section that is not there is no standing, whoever wrote it."""
    with pytest.raises(ValueError, match=r"section|about no section"):
        Standing(phase, section, total)

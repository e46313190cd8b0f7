"""Measures that end by themselves."""

from __future__ import annotations

from pathlib import Path

from selfheal.events import Alert
from tests.healing.engine.rig import ALERT, Rig, strategy
from tests.healing.engine.world import OK, STUCK, USELESS

TURN = {"do": "turn", "undo_after": 60}


def undone(rig: Rig) -> list[str]:
    """Targets of what was undone, in order."""
    return [target for kind, _, target in rig.world.calls if kind == "undo"]


def test_a_measure_is_undone_once_when_its_time_is_over() -> None:
    """Not a second before, and never again after."""
    rig = Rig(strategy([TURN]))
    rig.raise_alert()
    rig.pass_time(59, step=59)
    assert undone(rig) == []
    assert [round(one.undo_in) for one in rig.engine.snapshot().measures] == [1]
    rig.pass_time(600)
    assert undone(rig) == ["web"]
    assert rig.engine.snapshot().measures == ()


def test_what_was_done_last_is_undone_first() -> None:
    """Measures of one healing that end at the same time end in reverse order."""
    rig = Rig(strategy([{**TURN, "target": "a"}, {**TURN, "target": "b"}]))
    rig.raise_alert()
    rig.pass_time(60)
    assert undone(rig) == ["b", "a"]


def test_a_measure_that_was_rolled_back_is_not_undone_again() -> None:
    """What a failed healing has put back is not put back in its time once more."""
    rig = Rig(strategy([TURN, "tell"]), fates=[OK, "raises"])
    rig.raise_alert()
    rig.pass_time(120)
    assert undone(rig) == ["web"]


def test_a_measure_waits_while_its_target_is_healed_and_while_nothing_may_be_done() -> None:
    """It is not undone under the hands of another healing, nor while dormant or switched off, but afterwards."""
    other = strategy(["tell"], name="other", alerts=["odd"], settle=100)
    rig = Rig(strategy([TURN]), other, fates=[OK, USELESS])
    rig.raise_alert()
    rig.raise_alert(Alert(kind="odd", target="web"))
    rig.pass_time(90)
    assert undone(rig) == []
    rig.flag("off")
    rig.pass_time(60)
    assert undone(rig) == []
    rig.flag("on")
    rig.engine.healer.dormancy.enter("a person says so", "manual")
    rig.pass_time(60)
    assert undone(rig) == []
    rig.engine.healer.dormancy.resume("go", by="maria")
    rig.pass_time(10)
    assert undone(rig) == ["web"]


def test_a_measure_that_cannot_be_undone_holds_its_target() -> None:
    """It is tried once, and the target is left to a person."""
    rig = Rig(strategy([TURN]), fates=[STUCK])
    rig.raise_alert()
    rig.pass_time(600)
    assert undone(rig) == ["web"]
    [held] = rig.engine.snapshot().held
    assert "turn of cure could not be undone" in held.reason
    rig.clock.advance(600)
    assert rig.engine.handle(ALERT).guard == "held"


def test_a_measure_outlives_its_process_and_ends_in_its_time(tmp_path: Path) -> None:
    """The next process undoes it when it was due, neither at its start nor never."""
    path = tmp_path / "journal.jsonl"
    first = Rig(strategy([TURN]), path=path)
    first.raise_alert()
    first.die()
    second = Rig(strategy([TURN]), path=path, world=first.world)
    second.pass_time(55)
    assert undone(second) == []
    second.pass_time(10)
    assert undone(second) == ["web"]


def test_a_dry_run_leaves_nothing_to_undo() -> None:
    """What was only planned is not put back."""
    rig = Rig(strategy([TURN]), mode="dry_run")
    rig.raise_alert()
    assert rig.engine.snapshot().measures == ()
    rig.pass_time(120)
    assert rig.world.calls == []


def test_people_are_told_of_a_measure_that_cannot_be_undone() -> None:
    """A limit that stays on although its time is over is no secret of the log."""
    rig = Rig(strategy([TURN]), fates=[STUCK])
    rig.raise_alert()
    rig.pass_time(60)
    assert [told.title for told in rig.told] == ["a measure stays in force"]
    assert "turn of cure could not be undone" in rig.told[0].body

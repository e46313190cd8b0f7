"""One healing: its levels, what its actions do to it, and what it says at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.healing.engine.rig import ALERT, Rig, strategy
from tests.healing.engine.world import (
    HALF,
    LATE,
    LATE_FOR_NOTHING,
    OK,
    RAISES,
    SKIP,
    STUCK,
    SWITCH_OFF,
    UNPLANNED,
    USELESS,
)

LEVELS: list[dict[str, Any]] = [
    {"level": "soft", "actions": ["turn"]},
    {"level": "hard", "when": "memory > 75", "actions": ["pair"]},
    {"level": "critical", "when": "cpu > 90 or memory > 85", "actions": ["restart"]},
]
PRESSURE = {
    "name": "pressure",
    "trigger": "memory > 60 clear 55",
    "settle": 10,
    "verify": {"samples": 2, "within": 30},
    "levels": LEVELS,
}


def pressed(rig: Rig, memory: list[float]) -> None:
    """Samples of memory, ten seconds apart, each followed by a look."""
    for value in memory:
        rig.engine.observe("memory", value, "web")
        rig.engine.run_once()
        rig.clock.advance(10)


@pytest.mark.parametrize(
    ("after", "ran", "said"),
    [
        ([50.0] * 9, ["turn"], "verified after level soft"),
        ([80.0] * 4 + [50.0] * 9, ["turn", "pair"], "verified after level hard"),
        ([83.0] * 5 + [86.0] * 5 + [50.0] * 9, ["turn", "pair", "restart"], "verified after level critical"),
        ([70.0] * 20, ["turn"], "level critical was not entered"),
        ([80.0] * 20, ["turn", "pair"], "level critical was not entered: cpu > 90 or memory > 85 does not hold"),
    ],
)
def test_each_level_is_measured_before_the_next_is_entered(after: list[float], ran: list[str], said: str) -> None:
    """Soft, hard and critical follow each other only while the problem goes on and their thresholds are passed."""
    rig = Rig(PRESSURE, fates=[USELESS], auto_critical=True)
    pressed(rig, [80.0, *after])
    [record] = [one for one in rig.engine.history if one.outcome != "refused"]
    assert [one["action"] for one in record.details["actions"]] == ran
    assert said in record.reason


def test_after_the_last_level_a_person_is_told() -> None:
    """What no level healed is told with strategy, target and value, and stays a failure."""
    rig = Rig(PRESSURE, fates=[USELESS])
    pressed(rig, [70.0] * 9)
    [told] = rig.told
    assert told.title == "pressure: web is not healed"
    assert "memory is 70" in told.body
    assert "A person has to look at it." in told.body


def test_things_that_got_worse_are_undone_at_once() -> None:
    """A level after which the metric moved away from its threshold is rolled back, and no further one is entered."""
    rig = Rig(PRESSURE, fates=[USELESS])
    pressed(rig, [70.0] + [95.0] * 8)
    assert [kind for kind, _, _ in rig.world.calls] == ["run", "undo"]
    [record] = [one for one in rig.engine.history if one.outcome == "failed"]
    assert record.reason.startswith("things got worse: memory went from 70 to 95")


def test_samples_of_before_the_last_action_do_not_count() -> None:
    """With fresh samples of a moment before the action alone the verdict is unknown, however good they are."""
    rig = Rig({**PRESSURE, "settle": 0}, fates=[USELESS])
    for value in (70.0, 50.0, 50.0, 50.0):
        rig.engine.observe("memory", value, "db")
    rig.engine.observe("memory", 70.0, "web")
    rig.engine.run_once()
    rig.clock.advance(60)
    [record] = [one for one in rig.engine.run_once() if one.outcome != "refused"]
    assert (record.outcome, record.details["verdict"]) == ("failed", "unknown")


@pytest.mark.parametrize(
    ("on_failure", "states"),
    [
        ("rollback", ["undone", "failed"]),
        ("abort", ["done", "failed"]),
        ("continue", ["done", "failed", "done"]),
    ],
)
def test_a_failed_action_means_what_the_strategy_says(on_failure: str, states: list[str]) -> None:
    """Rolled back, left as it is, or passed over; what comes after a failure runs only if it is to go on."""
    cure = strategy(["turn", {"do": "tell", "on_failure": on_failure}, "tell"])
    rig = Rig(cure, fates=[OK, UNPLANNED, OK])
    [record] = rig.raise_alert()
    assert [one["state"] for one in record.details["actions"]] == states


@pytest.mark.parametrize(
    ("fate", "state", "undone"),
    [
        (RAISES, "failed", 0),
        (HALF, "undone", 1),
        (LATE_FOR_NOTHING, "failed", 0),
        (LATE, "done", 0),
        (SKIP, "skipped", 0),
    ],
)
def test_what_failed_is_probed_and_undone_only_if_it_took_effect(fate: str, state: str, undone: int) -> None:
    """An action that raised or was late is undone when its effect is there, and left alone when it is not."""
    rig = Rig(strategy(["turn"]), fates=[fate])
    [record] = rig.raise_alert()
    assert [one["state"] for one in record.details["actions"]] == [state]
    assert [kind for kind, _, _ in rig.world.calls].count("undo") == undone


def test_rollback_goes_in_exact_reverse_order_over_all_levels() -> None:
    """What earlier levels did is undone too, the latest action first."""
    cure = strategy(["turn", "pair"], ["turn", {"do": "turn", "target": "db"}, "tell"])
    rig = Rig({**cure, "verify": {"by": "alert", "within": 0}}, fates=[USELESS, USELESS, USELESS, USELESS, RAISES])
    rig.raise_alert()
    rig.pass_time(10)
    steps = [(kind, key.partition(":")[2]) for kind, key, _ in rig.world.calls]
    assert steps == [("run", str(n)) for n in range(5)] + [("undo", str(n)) for n in (3, 2, 1, 0)]
    assert set(rig.world.settings.values()) == {0}


def test_without_rollback_nothing_is_undone() -> None:
    """A strategy that says so leaves what it did."""
    rig = Rig(strategy(["turn", "tell"], rollback=False), fates=[OK, RAISES])
    rig.raise_alert()
    assert [kind for kind, _, _ in rig.world.calls] == ["run", "run"]


def test_a_rollback_that_fails_stops_everything_and_keeps_the_first_error(tmp_path: Path) -> None:
    """The other actions are undone all the same, the target is held, a person told, and all healing ends."""
    rig = Rig(strategy(["turn", "turn", "tell"]), fates=[OK, STUCK, RAISES], path=tmp_path / "journal.jsonl")
    [record] = rig.raise_alert()
    assert record.error == "RuntimeError: refused by the lever"
    assert [one["state"] for one in record.details["actions"]] == ["undone", "stuck", "failed"]
    assert rig.engine.healer.dormancy.is_dormant
    assert [held.target for held in rig.engine.snapshot().held] == ["web"]
    assert [entry.fields["target"] for entry in rig.entries("target_held")] == ["web"]
    assert "cure: rollback failed" in [one.title for one in rig.told]


def test_a_healing_stops_before_its_next_action_when_it_is_switched_off() -> None:
    """What is done stays, what is not is not, and it is no failure."""
    rig = Rig(strategy(["turn", "turn"]), fates=[SWITCH_OFF])
    rig.world.switch_off = lambda: rig.flag("off")
    [record] = rig.raise_alert()
    assert (record.outcome, record.guard) == ("interrupted", "flags")
    assert len(rig.world.calls) == 1
    assert rig.engine.healer.snapshot().consecutive_failures == 0


def test_ten_healings_in_a_row_that_fail_end_all_healing() -> None:
    """The eleventh is refused until a person resumes it."""
    rig = Rig(strategy(["turn"], grace_period=0, max_attempts_per_hour=1000), fates=[RAISES])
    for number in range(10):
        assert not rig.engine.healer.dormancy.is_dormant, number
        rig.clock.advance(700)
        rig.raise_alert()
    assert rig.engine.healer.dormancy.is_dormant
    rig.clock.advance(700)
    assert rig.engine.handle(ALERT).guard == "dormancy"


def test_every_effect_has_an_intent_before_it_and_a_word_after_it(tmp_path: Path) -> None:
    """The journal of one healing with two actions, from its beginning to its end."""
    rig = Rig(strategy([{"do": "turn", "target": "db"}, "restart"]), path=tmp_path / "journal.jsonl")
    rig.raise_alert()
    types = [entry.type for entry in rig.entries()][1:]
    assert types == [
        "healing_started", "level_started", "action_intent", "action_done", "action_intent", "action_done", "verified",
        "healing_finished",
    ]  # fmt: skip
    last = rig.entries("healing_finished")[0].fields
    assert {name: last[name] for name in ("strategy", "target", "actions_executed", "actions_total", "success")} == {
        "strategy": "cure", "target": "web", "actions_executed": 2, "actions_total": 2, "success": True,
    }  # fmt: skip


@pytest.mark.parametrize("nth", range(1, 9))
def test_an_entry_that_cannot_be_written_stops_the_healing_before_the_effect(nth: int, tmp_path: Path) -> None:
    """Whichever entry the disk refuses: no action runs without its intent, and a touched target is held."""
    rig = Rig(strategy(["turn", "turn"], verify={"by": "alert", "within": 0}), path=tmp_path / "journal.jsonl")
    journal = rig.journal
    assert journal is not None
    written, write = 0, journal._write

    def refuse(line: bytes) -> None:
        nonlocal written
        written += 1
        if written == nth:
            raise OSError(28, "No space left on device")
        write(line)

    journal._write = refuse  # type: ignore[method-assign]
    [record] = rig.raise_alert() or rig.pass_time(5)
    assert record.outcome == "failed"
    ran = len([call for call in rig.world.calls if call[0] == "run"])
    assert ran == len(rig.entries("action_intent"))
    touched = bool(ran) and nth < 8
    assert bool(rig.engine.snapshot().held) == touched
    assert rig.engine.healer.dormancy.is_dormant == touched


def test_a_measure_ends_in_its_time_although_the_last_word_could_not_be_written(tmp_path: Path) -> None:
    """A disk that is full at the very end of a healing does not leave a limit on for ever."""
    rig = Rig(strategy([{"do": "turn", "undo_after": 60}]), path=tmp_path / "journal.jsonl")
    journal = rig.journal
    assert journal is not None
    write = journal._write

    def refuse(line: bytes) -> None:
        if b"healing_finished" in line:
            raise OSError(28, "No space left on device")
        write(line)

    journal._write = refuse  # type: ignore[method-assign]
    rig.raise_alert()
    journal._write = write  # type: ignore[method-assign]
    assert [one.action for one in rig.engine.snapshot().measures] == ["turn"]
    rig.pass_time(60)
    assert [kind for kind, _, _ in rig.world.calls] == ["run", "undo"]

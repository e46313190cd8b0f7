"""Learners: what they judge step by step, how they start, and what they keep over a restart."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from selfheal.detection import BaselineConfig, CompositeDetector, GateConfig, SeasonalBaseline
from selfheal.detection.monitor import BankLearner, Ended, GroupLearner, Learner, SeriesLearner, Signal
from selfheal.errors import ConfigError, StateError
from selfheal.events import Severity

Values = dict[tuple[str, str], float]
CPU, MEMORY = ("cpu", "web"), ("memory", "web")
START = 1_700_000_100.0


def steps(seed: int = 3) -> Iterator[tuple[float, Values]]:
    """Two metrics in steps of five minutes, with a daily shape, for ever."""
    rng = random.Random(seed)
    for n in range(100_000):
        t = START + 300.0 * n
        cpu = 40.0 + 10.0 * math.sin(t / 86_400.0 * math.tau) + rng.gauss(0.0, 2.0)
        yield t, {CPU: cpu, MEMORY: 0.5 * cpu + 30.0 + rng.gauss(0.0, 0.5)}


def nothing(_: tuple[str, str]) -> list[tuple[float, float]]:
    return []


def taught(learner: Learner, days: float = 8.0) -> Iterator[tuple[float, Values]]:
    """Have a learner learn, and go on where it stopped."""
    coming = steps()
    for _ in range(int(days * 288)):
        learner.step(*next(coming), nothing)
    return coming


MADE: dict[str, Callable[[], Learner]] = {
    "series": lambda: SeriesLearner(),
    "baseline": lambda: SeriesLearner(
        detector=lambda name: SeasonalBaseline(name=name, mode="sigma"), gate=GateConfig(threshold=2.57)
    ),
    "composite": lambda: GroupLearner(CompositeDetector(["cpu", "memory"]), "web"),
    "called": lambda: GroupLearner(CompositeDetector(["cpu", "memory"], refit="called"), "web"),
    "bank": lambda: BankLearner([CPU, MEMORY], BaselineConfig(sustain=(3, 5))),
}


@pytest.fixture(params=MADE)
def make(request: pytest.FixtureRequest) -> Callable[[], Learner]:
    return MADE[request.param]


def test_a_change_is_raised_goes_on_and_ends(make: Callable[[], Learner]) -> None:
    """What is far off for an hour is a signal at every step of it, of the series it is about, and then it ends."""
    learner = make()
    coming = taught(learner)
    said: list[Signal | Ended] = []
    for _ in range(12):
        t, values = next(coming)
        said += learner.step(t, {**values, CPU: 99.0}, nothing)
    signals = [one for one in said if isinstance(one, Signal)]
    about = "cpu" if learner.name in ("series", "bank") else learner.name
    assert (learner.name, f"anomaly|web|{about}") in {one.key for one in signals if CPU in one.covers}
    assert all(one.learnt and one.kind == "anomaly" for one in signals)
    assert signals[0].fresh
    assert "cpu" in signals[0].evidence["contributed_1"]
    assert any(state.alarm and state.unusual > 0.0 for state in learner.states())
    steps_more = 0
    while any(state.alarm for state in learner.states()):
        said += learner.step(*next(coming), nothing)
        steps_more += 1
    assert steps_more < 5 * 288
    assert {one.key for one in said if isinstance(one, Ended)} >= {one.key for one in signals}


def test_what_is_loaded_goes_on_as_what_was_saved(make: Callable[[], Learner]) -> None:
    """Saved in the middle of an alarm, loaded elsewhere: from then on both say the same."""
    one, other = make(), make()
    coming = taught(one)
    for _ in range(6):
        t, values = next(coming)
        one.step(t, {**values, CPU: 99.0}, nothing)
    assert other.load(json.loads(json.dumps(one.to_dict()))) == ()
    for n in range(400):
        t, values = next(coming)
        values = {**values, CPU: 99.0} if n < 5 else values
        assert _keys(one.step(t, values, nothing)) == _keys(other.step(t, values, nothing))
    assert [(state.alarm, state.score) for state in one.states()] == [
        (state.alarm, state.score) for state in other.states()
    ]


def _keys(news: list[Signal | Ended]) -> list[tuple[Any, ...]]:
    return [(type(one).__name__, one.key, one.message) for one in news]


def test_damaged_records_are_refused_and_change_nothing(make: Callable[[], Learner]) -> None:
    """A record of another kind, or with a part missing, is refused; the learner is as before."""
    learner = make()
    taught(learner, 2.0)
    record = json.loads(json.dumps(learner.to_dict()))
    for broken in ({**record, "kind": "other"}, {**record, "version": 9}, _without_inner(record)):
        with pytest.raises(StateError):
            learner.load(broken)
    assert json.loads(json.dumps(learner.to_dict())) == record


def _without_inner(record: dict[str, Any]) -> dict[str, Any]:
    """The same without what the detectors learnt."""
    text = json.dumps(record)
    for name in ("calibrators", "calibrator", "noise_weight"):
        text = text.replace(f'"{name}"', '"gone"')
    return dict(json.loads(text))


def test_past_is_learnt_before_the_first_step(make: Callable[[], Learner]) -> None:
    """With a week of history a new learner is ready at its first step."""
    learner, coming, kept = make(), steps(), dict[tuple[str, str], list[tuple[float, float]]]()
    for _ in range(8 * 288):
        t, values = next(coming)
        for series, value in values.items():
            kept.setdefault(series, []).append((t, value))
    learner.step(*next(coming), lambda series: kept[series])
    assert all(state.ready and state.since <= START + 3600.0 for state in learner.states())


def test_missing_values_are_no_alarm(make: Callable[[], Learner]) -> None:
    """A step without a series, or without any, says nothing."""
    learner = make()
    coming = taught(learner)
    t, values = next(coming)
    assert learner.step(t, {}, nothing) == []
    t, values = next(coming)
    assert learner.step(t, {CPU: values[CPU]}, nothing) == []


def test_other_settings_are_learnt_anew_and_that_is_said() -> None:
    """What was learnt with other settings is left out, in words."""
    learner = SeriesLearner()
    taught(learner, 1.0)
    other = SeriesLearner(zone="Europe/Berlin", severity=Severity.INFO)
    assert other.load(learner.to_dict()) == (
        "cpu of web is learnt anew: its settings differ now",
        "memory of web is learnt anew: its settings differ now",
    )
    assert other.states() == ()
    group = GroupLearner(CompositeDetector(["cpu", "memory"]), "web")
    changed = GroupLearner(CompositeDetector(["cpu", "memory"], neighbours=5), "web")
    assert changed.load(group.to_dict()) == ("learner composite learns anew: its settings differ now",)
    bank, wider = BankLearner([CPU]), BankLearner([CPU, MEMORY])
    assert wider.load(bank.to_dict()) == ("learner bank learns anew: its series or settings differ now",)


def test_which_metrics_are_learnt_is_chosen_by_patterns() -> None:
    """By default all but processes and what says the same twice."""
    learner = SeriesLearner()
    wanted = [metric for metric in ("orders", "process_fds", "heartbeat", "load_per_cpu") if learner.wants(metric)]
    assert wanted == ["orders"]
    assert SeriesLearner(["cpu_*"], without=[]).wants("cpu_percent")
    assert not SeriesLearner(["cpu_*"], without=[]).wants("orders")
    with pytest.raises(ConfigError, match="lists of patterns"):
        SeriesLearner("cpu_*")


def test_series_are_bounded_and_an_alarm_of_one_that_goes_ends() -> None:
    """The one that was silent for longest makes room, and what it said is over."""
    learner = SeriesLearner(max_series=1)
    coming = taught_one(learner)
    t, _ = next(coming)
    assert isinstance(learner.step(t, {CPU: 99.0}, nothing)[0], Signal)
    for _ in range(4):  # silent for longer than three steps
        t, _ = next(coming)
    news = learner.step(t, {("other", "web"): 1.0}, nothing)
    assert news == [Ended(key=("series", "anomaly|web|cpu"), message="it is not measured any more")]
    assert (len(learner.states()), learner.forgotten) == (1, 1)


def taught_one(learner: SeriesLearner) -> Iterator[tuple[float, Values]]:
    """Have it learn one series."""
    coming = steps()
    for _ in range(8 * 288):
        t, values = next(coming)
        learner.step(t, {CPU: values[CPU]}, nothing)
    return coming


def test_a_group_takes_its_metrics_from_anywhere() -> None:
    """A detector's own names may stand for series of other names and targets."""
    learner = GroupLearner(CompositeDetector(["a", "b"]), "shop", series={"a": CPU, "b": MEMORY}, name="together")
    coming = taught(learner)
    t, values = next(coming)
    said: list[Signal | Ended] = []
    while not said:
        said = learner.step(t, {**values, CPU: 99.0, MEMORY: 10.0}, nothing)
        t, values = next(coming)
    signal = said[0]
    assert isinstance(signal, Signal)
    assert (signal.fingerprint, signal.covers <= {CPU, MEMORY}) == ("anomaly|shop|together", True)
    with pytest.raises(ConfigError, match="GroupLearner.series"):
        GroupLearner(CompositeDetector(["a"]), series={"c": CPU})
    with pytest.raises(ConfigError, match="GroupLearner.detector"):
        GroupLearner(object())  # type: ignore[arg-type]


def test_a_recorded_week_makes_the_anchor_of_a_group() -> None:
    """What was there before it began is a warm start: what comes later is compared with that week too."""
    week = [next(coming) for coming in [steps()] for _ in range(2016)]
    detector = CompositeDetector(["cpu", "memory"], refit="called")
    learner = GroupLearner(detector, "web")
    t, values = START + 300.0 * 2016, week[-1][1]

    assert learner.step(t, values, lambda series: [(at, known[series]) for at, known in week]) == []
    assert detector.to_dict()["anchor"]["at"] == week[-1][0]
    assert learner.states()[0].ready
    assert learner.states()[0].since == START


def test_the_usual_is_told_for_plots() -> None:
    """Mean and spread by time of day, where a learner knows them."""
    for learner in (SeriesLearner(), BankLearner([CPU, MEMORY])):
        coming = taught(learner)
        usual = learner.usual(CPU, next(coming)[0])
        assert usual is not None
        assert 25.0 < usual[0] < 55.0
        assert 0.5 < usual[1] < 15.0
        assert learner.usual(("else", ""), START) is None


def test_more_series_than_it_has_room_for_leave_those_it_knows(caplog: pytest.LogCaptureFixture) -> None:
    """What comes late finds no room, which is told; what is learnt is not given up, step after step, for it."""
    learner = SeriesLearner(max_series=2)
    names = [("cpu", f"web-{n}") for n in range(5)]
    for n in range(10):
        learner.step(START + 300.0 * n, dict.fromkeys(names, 40.0), nothing)
    assert [(state.target, state.steps) for state in learner.states()] == [("web-0", 10), ("web-1", 10)]
    assert "3 of 5 series" in learner.problem
    assert "max_series is 2" in learner.problem
    learner.step(START + 3000.0, dict.fromkeys(names[:2], 40.0), nothing)
    assert learner.problem == ""


def test_who_is_silent_makes_room() -> None:
    """A series that is measured no more goes for a new one, the longest silent first."""
    learner = SeriesLearner(max_series=2)
    old, kept, new = (("cpu", name) for name in ("old", "kept", "new"))
    learner.step(START, {old: 40.0, kept: 40.0}, nothing)
    for n in range(1, 4):
        learner.step(START + 300.0 * n, {kept: 40.0, new: 40.0}, nothing)
    assert [state.target for state in learner.states()] == ["old", "kept"]
    learner.step(START + 1200.0, {kept: 40.0, new: 40.0}, nothing)
    assert [state.target for state in learner.states()] == ["kept", "new"]
    assert learner.problem == ""


def test_an_alarm_about_what_is_not_measured_any_more_ends(make: Callable[[], Learner]) -> None:
    """Six hours without a value: nobody knows that it holds, so it is over; back as usual, it begins nothing."""
    learner = make()
    coming = taught(learner)
    for _ in range(12):
        t, values = next(coming)
        learner.step(t, {**values, CPU: 99.0, MEMORY: 99.0}, nothing)
    assert any(state.alarm for state in learner.states())
    other: Values = {("disk", "db"): 5.0}
    ends = [one for n in range(1, 72) for one in learner.step(t + 300.0 * n, other, nothing)]
    assert [one for one in ends if isinstance(one, Ended)] == []
    ends = [one for n in range(72, 76) for one in learner.step(t + 300.0 * n, other, nothing)]
    over = [one for one in ends if isinstance(one, Ended)]
    assert {one.message for one in over} == {"it is not measured any more"}
    assert not any(state.alarm for state in learner.states())
    for _ in range(100):
        t, values = next(coming)
    assert [one for one in learner.step(t, values, nothing) if isinstance(one, Signal)] == []


def test_missing_steps_neither_raise_nor_clear_an_alarm_of_a_bank() -> None:
    """One value that is far off, and then none, is one value; and an alarm is not over because nothing is known."""
    learner = BankLearner([CPU, MEMORY], BaselineConfig(sustain=(3, 5)))
    coming = taught(learner)
    t, values = next(coming)
    said = learner.step(t, {**values, CPU: 99.0}, nothing)
    for _ in range(6):
        t, values = next(coming)
        said += learner.step(t, {MEMORY: values[MEMORY]}, nothing)
    assert said == []
    for _ in range(2):
        t, values = next(coming)
        said += learner.step(t, {**values, CPU: 99.0}, nothing)
    assert [one.key for one in said] == [("bank", "anomaly|web|cpu")]
    for _ in range(20):
        t, values = next(coming)
        said += learner.step(t, {MEMORY: values[MEMORY]}, nothing)
    assert [one for one in said if isinstance(one, Ended)] == []

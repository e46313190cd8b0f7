"""Silences: by a person, with a reason, and always with an end."""

from __future__ import annotations

import itertools
import json
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfheal.configuring import structure
from selfheal.errors import ConfigError, GuardFullError, InvalidConfigError, NotFoundError
from selfheal.events import Alert
from selfheal.policies.matching import AlertMatch
from selfheal.policies.silences import Silence, Silences, SilencesConfig
from selfheal.policies.windows import DailyWindow, OnceWindow

T0 = 1_700_000_000.0
WEEK = 604_800.0
WEB, DB = Alert(kind="slow", target="web"), Alert(kind="slow", target="db")


def made(**options: Any) -> Silences:
    """Silences whose ids are s1, s2 …"""
    numbers = itertools.count(1)
    return Silences(new_id=lambda: f"s{next(numbers)}", **options)


def add(silences: Silences, duration: float, wall: float = T0, **more: Any) -> Silence:
    """Silence ``web`` for a while."""
    given = {"match": {"target": "web"}, "reason": "new disk", "by": "maria", **more}
    return silences.add(given.pop("match"), wall, duration=duration, **given)


def test_a_silence_holds_until_its_end_and_for_what_it_is_about() -> None:
    """Alerts it means are silenced from now until just before its end, others never."""
    silences = made()
    silence = add(silences, 600.0)

    assert (silence.id, silence.starts_at, silence.ends_at) == ("s1", T0, T0 + 600)
    assert silences.matches(WEB, "restart", T0) == silence
    assert silences.matches(DB, "restart", T0) is None
    assert silences.matches(WEB, "restart", T0 + 599.9) == silence
    assert silences.matches(WEB, "restart", T0 + 600) is None


def test_until_may_be_text() -> None:
    """The end is a moment with an offset just as well as a duration."""
    silence = made().add(AlertMatch(kind="slow"), T0, until="2023-11-14T22:23:20+00:00", reason="r", by="b")

    assert silence.ends_at == T0 + 600


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, "a silence has to end"),
        ({"duration": 60.0, "until": T0 + 60}, "a silence has to end"),
        ({"duration": 0.0}, "duration must be above 0"),
        ({"duration": WEEK + 1}, "at most 604800 s"),
        ({"duration": float("nan")}, "duration must be above 0"),
        ({"duration": True}, "duration must be above 0"),
        ({"until": T0}, "in the future"),
        ({"until": T0 + WEEK + 1}, "at most 604800 s"),
        ({"until": "2030-01-01T00:00:00"}, "with an offset"),
        ({"duration": 60.0, "reason": " "}, r"Silence\.reason"),
        ({"duration": 60.0, "by": ""}, r"Silence\.by"),
        ({"duration": 60.0, "match": {}}, "about something"),
        ({"duration": 60.0, "match": {"targt": "web"}}, "did you mean 'target'"),
    ],
)
def test_what_has_no_end_reason_person_or_object_is_refused(more: dict[str, Any], told: str) -> None:
    """Each thing a silence needs is asked for, and nothing is silenced without it."""
    silences = made()
    given = {"match": {"target": "web"}, "reason": "r", "by": "b", **more}
    with pytest.raises(ConfigError, match=told):
        silences.add(given.pop("match"), T0, **given)

    assert len(silences) == 0
    assert silences.matches(WEB, "s", T0) is None


def test_a_person_ends_one_before_its_time() -> None:
    """It holds no more, and history has who ended it, when and why; with neither it is refused."""
    silences = made()
    silence = add(silences, 600.0)
    with pytest.raises(ConfigError, match="reason"):
        silences.end("s1", T0 + 10, by="jon", reason="")
    assert silences.matches(WEB, "s", T0 + 10) == silence
    assert silences.end("s1", T0 + 20, by="jon", reason="done") == silence

    ended = silences.snapshot(T0 + 20).ended
    assert [(one.silence, one.at, one.how, one.by, one.reason) for one in ended] == [
        (silence, T0 + 20, "ended", "jon", "done")
    ]
    assert silences.matches(WEB, "s", T0 + 20) is None
    with pytest.raises(NotFoundError, match="no silence is named 's1'"):
        silences.end("s1", T0 + 30, by="jon", reason="done")
    assert silences.expire(T0 + 1000) == ()


def test_each_that_expired_is_told_once() -> None:
    """Whoever reminds people hears of each silence that ended by itself, also if others looked before."""
    silences = made()
    one, two = add(silences, 60.0), add(silences, 120.0)
    assert silences.matches(WEB, "s", T0 + 90) == two

    assert [(over.silence, over.how) for over in silences.expire(T0 + 90)] == [(one, "expired")]
    assert [over.silence for over in silences.expire(T0 + 300)] == [two]
    assert silences.expire(T0 + 400) == ()


def test_of_several_the_longest_is_told() -> None:
    """Who asks how long to wait hears of the silence that ends last."""
    silences = made()
    add(silences, 60.0)
    long = add(silences, 600.0)
    add(silences, 120.0)

    assert silences.matches(WEB, "s", T0) == long


def test_a_clock_set_back_prolongs_nothing() -> None:
    """A silence ends after the time it was to last, though the wall clock is a year behind."""
    silences = made()
    add(silences, 600.0, now=1000.0)
    year = 31_536_000.0

    assert silences.matches(WEB, "s", T0 - year, now=1599.0) is not None
    assert silences.matches(WEB, "s", T0 - year, now=1600.0) is None


def test_a_clock_put_right_still_lets_people_silence() -> None:
    """After a clock that was years ahead, ``until`` goes by the clock as it is now."""
    silences = made()
    assert silences.matches(WEB, "s", T0 + 1e8) is None
    silence = silences.add({"target": "web"}, T0, until=T0 + 60, reason="r", by="b")

    assert silences.matches(WEB, "s", T0 + 59) == silence
    assert silences.matches(WEB, "s", T0 + 60) is None


def test_there_are_no_more_than_the_limit() -> None:
    """One too many is refused with an error, and fits when another has ended."""
    silences = made(limit=2, history=2)
    add(silences, 60.0)
    add(silences, 600.0)
    with pytest.raises(GuardFullError, match="2 of at most 2 silences"):
        add(silences, 60.0)

    add(silences, 60.0, wall=T0 + 60)
    assert len(silences) == 2


def test_a_restart_keeps_what_holds_as_plain_data() -> None:
    """Through JSON and back, the silences that are not over hold as before, and none longer than allowed."""
    silences = made()
    kept = add(silences, 600.0, match={"target": ["web", "api"], "labels": {"zone": ["a"]}})
    add(silences, 60.0)
    forged = Silence(id="x", match=AlertMatch(kind="slow"), starts_at=T0, ends_at=T0 + 9e8, reason="r", by="b")
    data = json.loads(json.dumps([one.as_data() for one in [*silences.live(), forged]]))

    again = made()
    assert again.restore([structure(one, Silence) for one in data], T0 + 100) == 2
    alert = Alert(kind="down", target="api", labels={"zone": "a"})
    assert again.matches(alert, "s", T0 + 599) == kept
    assert again.matches(alert, "s", T0 + 600) is None
    assert again.matches(DB, "s", T0 + 100 + WEEK - 1) is not None
    assert again.matches(DB, "s", T0 + 100 + WEEK) is None


def test_an_open_window_is_a_silence() -> None:
    """While a maintenance window is open its alerts are silenced, with its name, reason and end."""
    window = OnceWindow(name="disk", start=T0, end=T0 + 60, reason="new disk", by="ops", match=AlertMatch(target="web"))
    silences = made(windows=(window,))
    found = silences.matches(WEB, "s", T0)

    assert found is not None
    assert (found.id, found.ends_at, found.reason, found.by) == ("window:disk", T0 + 60, "new disk", "ops")
    assert silences.matches(DB, "s", T0) is None
    assert silences.snapshot(T0).active == (found,)
    assert silences.matches(WEB, "s", T0 + 60) is None
    assert silences.live() == ()


def test_windows_come_from_a_file_and_are_bounded() -> None:
    """Plain data makes the windows; one longer than a silence may be, and a name twice, are refused."""
    daily = {"type": "daily", "name": "n", "at": "03:00", "duration": 60, "reason": "r", "by": "b"}
    config = structure({"windows": [daily], "max_duration": 3600}, SilencesConfig)
    assert isinstance(config.windows[0], DailyWindow)

    once = {"type": "once", "name": "o", "start": 0, "end": 7200, "reason": "r", "by": "b"}
    with pytest.raises(InvalidConfigError, match="at most max_duration"):
        structure({"windows": [once], "max_duration": 3600}, SilencesConfig)
    with pytest.raises(InvalidConfigError, match="each with a name of its own"):
        structure({"windows": [daily, daily]}, SilencesConfig)


STEP = st.tuples(
    st.floats(0.0, 500.0),
    st.sampled_from(["add", "end", "look", "back", "forward", "restart"]),
    st.floats(1.0, 2000.0),
    st.integers(0, 5),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(STEP, max_size=40))
def test_no_silence_outlives_what_was_said(steps: list[tuple[float, str, float, int]]) -> None:
    """Over clock steps and restarts nothing is silenced without a silence that still has real time to last."""
    silences = made(max_duration=2000.0)
    real, ahead = 1000.0, T0
    ends: dict[str, float] = {}
    for passed, happens, duration, number in steps:
        real += passed
        ahead += {"back": -5000.0, "forward": 5000.0}.get(happens, 0.0)
        wall = real + ahead
        silences.expire(wall, now=real)
        if happens == "add":
            ends[add(silences, duration, wall, now=real).id] = real + duration
        elif happens == "end" and f"s{number}" in {one.id for one in silences.live()}:
            silences.end(f"s{number}", wall, by="b", reason="r", now=real)
            del ends[f"s{number}"]
        elif happens == "restart":  # what a stepped clock did to an end is kept by the stored record, up to the bound
            live = silences.live()
            silences = Silences(max_duration=2000.0, new_id=silences._new_id)
            silences.restore(live, wall, now=real)
            ends = {one.id: real + min(one.ends_at - wall, 2000.0) for one in live}
        found = silences.matches(WEB, "s", wall, now=real)
        assert found is None or ends[found.id] > real - 1e-3
        at_an_end = any(abs(end - real) <= 1e-3 for end in ends.values())
        if not at_an_end and not {"back", "forward"} & {step[1] for step in steps}:
            assert (found is not None) is any(end > real for end in ends.values())


def test_a_clock_set_forward_ends_what_was_to_end_by_then() -> None:
    """The end a person gave is one of the wall clock: when it shows that, the silence is over."""
    silences = made()
    add(silences, 600.0, now=1000.0)

    assert silences.matches(WEB, "s", T0 + 599, now=1001.0) is not None
    assert silences.matches(WEB, "s", T0 + 600, now=1001.0) is None


def test_the_longest_silence_is_a_week_exactly() -> None:
    """Seven days may be given either way, and a window as long as the bound."""
    silences = made()

    assert add(silences, WEEK).ends_at == T0 + WEEK
    assert silences.add({"kind": "a"}, T0, until=T0 + WEEK, reason="r", by="b").ends_at == T0 + WEEK
    window = OnceWindow(name="w", start=T0, end=T0 + WEEK, reason="r", by="b")
    assert SilencesConfig(windows=(window,)).windows == (window,)
    with pytest.raises(ConfigError, match="at most 100 windows"):
        SilencesConfig(windows=[attrs.evolve(window, name=f"w{number}") for number in range(101)])


def test_no_more_are_restored_than_may_be() -> None:
    """Of more silences than the limit those that end last are taken; what is just over is not."""
    silences = made()
    kept = [add(silences, float(duration)) for duration in (100, 300, 200, 50)]
    again = made(limit=2)

    assert again.restore(kept, T0 + 50) == 2
    assert {one.id for one in again.live()} == {"s2", "s3"}
    assert made().restore(kept, T0 + 50) == 3

"""The past of metrics: bounded, saved and loaded, and a bad file refused."""

from __future__ import annotations

import hashlib
import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from selfheal.detection import kept
from selfheal.detection.history import KIND, History, HistoryConfig, Point
from selfheal.errors import ConfigError, StateError

T = 1_700_000_100.0
SHORT = HistoryConfig(step=10.0, keep=60.0, max_series=2)


def test_values_of_a_step_become_one_point() -> None:
    """A point has mean, lowest, highest and number of the values of its step."""
    history = History()
    for second, value in ((0, 1.0), (10, 4.0), (299, 1.0), (300, 9.0)):
        history.add("cpu", value, "web", T + second)

    number = int(T // 300)
    assert history.points("cpu", "web") == (Point(number, 2.0, 1.0, 4.0, 3), Point(number + 1, 9.0, 9.0, 9.0, 1))
    assert history.points("cpu", "other") == ()
    assert list(history) == [("cpu", "web")]


def test_what_is_no_value_is_left_out() -> None:
    """``nan`` and infinite values are not kept, nor what has no time of a calendar; late ones are counted."""
    history = History()
    history.add("cpu", 1.0, "", T)
    for odd in (math.nan, math.inf, -math.inf):
        history.add("cpu", odd, "", T)
    for no_time in (math.nan, math.inf, 1e300):
        history.add("cpu", 1.0, "", no_time)
    history.add("cpu", 5.0, "", T - 300)

    assert [point.n for point in history.points("cpu")] == [1]
    assert history.late == 1


def test_a_name_that_is_no_text_is_refused() -> None:
    """It would be written, and the file refused when it is read: all that was learnt would be lost."""
    odd: list[Any] = [(5, ""), ("cpu", 5), ("cpu", None)]
    history = History()
    for metric, target in odd:
        with pytest.raises(ConfigError, match="metric and target must be text"):
            history.add(metric, 1.0, target, T)
    assert len(history) == 0


def test_a_week_of_a_series_takes_less_than_100_kilobytes() -> None:
    """Points are kept as numbers, not as objects."""
    history = History()
    tracemalloc.start()
    try:
        for n in range(3000):
            history.add("cpu", 1.5 * n, "web", T + 300.0 * n)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(history.points("cpu", "web")) == 2016
    assert taken < 100_000


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(-100, 2000), st.floats(-1e9, 1e9)), max_size=200),
)
def test_it_is_bounded_and_keeps_the_latest(values: list[tuple[str, int, float]]) -> None:
    """No series has more than ``keep``, no more series than may be, and each point is the mean of its step."""
    history = History(SHORT)
    for metric, second, value in values:
        history.add(metric, value, "", T + second)

    assert len(history) <= 2
    for metric, target in history:
        points = history.points(metric, target)
        assert 1 <= len(points) <= 6
        assert points[-1].number - points[0].number < 6
        assert all(p.low - 1e-6 <= p.mean <= p.high + 1e-6 for p in points)
    if values and len({metric for metric, _, _ in values}) <= 2:
        assert history.forgotten == 0


def test_the_series_silent_for_longest_goes() -> None:
    """A new series beyond the bound takes the room of the one that had no value for longest."""
    history = History(SHORT)
    for second, metric in enumerate("abac"):
        history.add(metric, 1.0, "", T + second)

    assert list(history) == [("a", ""), ("c", "")]
    assert history.forgotten == 1


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2000), st.floats(allow_nan=False)), max_size=50),
)
def test_it_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, values: list[Any]) -> None:
    """What was saved is loaded point for point, bit for bit."""
    file = tmp_path_factory.mktemp("history") / "history.json"
    history = History(SHORT)
    for metric, second, value in values:
        history.add(metric, value, "x", T + second)
    history.save(file)
    again = History.load(file, SHORT)

    assert list(again) == list(history)
    assert [again.points(*key) for key in again] == [history.points(*key) for key in history]


def test_a_copy_is_somebody_elses() -> None:
    """What comes in later on one side is not on the other."""
    history = History(SHORT)
    history.add("cpu", 1.0, "", T)
    copied = history.copy()
    history.add("cpu", 3.0, "", T)
    history.add("cpu", 3.0, "", T + 10.0)
    copied.add("mem", 1.0, "", T)

    assert [point.n for point in copied.points("cpu")] == [1]
    assert [point.n for point in history.points("cpu")] == [2, 1]
    assert list(history) == [("cpu", "")]


def test_the_means_of_some_steps() -> None:
    """Of every series, from the first step up to, but not including, the last."""
    history = History(SHORT)
    for second, metric in ((0, "a"), (10, "a"), (10, "b"), (30, "a")):
        history.add(metric, float(second), "x", T + second)
    first = int(T // 10)

    assert history.steps(first + 1, first + 3) == {first + 1: {("a", "x"): 10.0, ("b", "x"): 10.0}}
    assert list(history.steps(0, 2**62)) == [first, first + 1, first + 3]


def test_less_is_kept_of_a_file_of_somebody_who_kept_more(tmp_path: Path) -> None:
    """The latest points and series stay, whatever the bounds were when it was written."""
    larger = History(HistoryConfig(step=10.0, keep=600.0))
    for second in range(0, 300, 10):
        for metric in "abc":
            larger.add(metric, 1.0, "", T + second)
    larger.save(tmp_path / "h.json")
    history = History.load(tmp_path / "h.json", SHORT)

    assert list(history) == [("b", ""), ("c", "")]
    assert history.points("c") == larger.points("c")[-6:]
    assert history.forgotten == 1


def saved(place: Path) -> Path:
    history = History(SHORT)
    for second in range(60):
        history.add("cpu", float(second), "web", T + second)
    history.save(place / "history.json")
    return place / "history.json"


def test_a_file_is_its_owners_alone_and_leaves_nothing_beside(tmp_path: Path) -> None:
    """Others cannot read it, and the file it was written to first is gone."""
    file = saved(tmp_path)
    saved(tmp_path)

    assert file.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [file]


def test_every_single_change_is_noticed(tmp_path: Path) -> None:
    """Whichever byte of the file is changed or wherever it is cut, it is refused and never half taken."""
    file = saved(tmp_path)
    whole = file.read_bytes()
    for place in range(len(whole) - 1):
        for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
            file.write_bytes(damaged)
            with pytest.raises(StateError, match=r"record 'history' in .*history\.json: "):
                History.load(file, SHORT)


def test_a_large_history_is_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each series is made text by itself, so that no other thread waits for all of them."""
    longest, dumps = [0], json.dumps

    def measured(data: Any, **options: Any) -> str:
        made = dumps(data, **options)
        longest[0] = max(longest[0], len(made))
        return made

    history = History()
    for n in range(100):
        for metric in range(20):
            history.add(f"m{metric}", 0.1 * n, "web", T + 300.0 * n)
    monkeypatch.setattr(json, "dumps", measured)
    history.save(tmp_path / "h.json")

    assert longest[0] < (tmp_path / "h.json").stat().st_size / 19


def test_what_would_not_be_read_again_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is too large is refused while the old one is still there."""
    file = saved(tmp_path)
    was = file.read_bytes()
    monkeypatch.setattr(kept, "MOST_BYTES", kept.MOST_OF_HEAD + 100)
    with pytest.raises(StateError, match="it would be larger than 1100 bytes"):
        saved(tmp_path)
    assert file.read_bytes() == was


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before anything is made of it."""
    file = saved(tmp_path)
    monkeypatch.setattr(kept, "MOST_BYTES", 100)
    with pytest.raises(StateError, match="it is larger than 100 bytes"):
        History.load(file, SHORT)


def test_a_directory_is_left_where_it_is(tmp_path: Path) -> None:
    """A path that is wrong by its last part is told, and nobody's files are set aside."""
    (tmp_path / "data").mkdir()
    with pytest.raises(StateError, match="it is a directory"):
        History.load_or_new(tmp_path / "data")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def forged(file: Path, body: Any, **head: Any) -> None:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    first = {"kind": KIND, "version": 1, "sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text), **head}
    file.write_bytes(json.dumps(first).encode() + b"\n" + text + b"\n")


@pytest.mark.parametrize(
    ("body", "head", "told"),
    [
        ([], {}, "no table"),
        (b"{", {}, "no table"),
        (b"[" * 100_000, {}, "no table"),
        ({"step": 10.0, "series": [{}]}, {}, "not a list of series"),
        ({"step": 10.0, "series": {}}, {}, "not a list of series"),
        ({"step": 10.0, "series": [{"metric": "a", "target": "", "points": 5}]}, {}, "not that of a history"),
        ({"step": 10.0, "series": [{"metric": "a", "target": "", "points": [[1, 1, 1, 1, 0]]}]}, {}, "no point"),
        ({"step": 10.0, "series": [{"metric": "a", "target": "", "points": [[1, math.inf, 1, 1, 1]]}]}, {}, "no point"),
        ({"step": 10.0, "series": [{"metric": "a", "target": "", "points": [[1.0, 1, 1, 1, 1]]}]}, {}, "no point"),
        (
            {"step": 10.0, "series": [{"metric": "a", "target": "", "points": [[2**63, 1, 1, 1, 1]]}]},
            {},
            "not that of a history",
        ),
        ({"step": 300.0, "series": []}, {}, "300.0 s apart, not 10 s"),
        ({"step": 10.0}, {}, "not that of a history"),
        ({"step": 10.0, "series": [{"metric": 1, "target": "", "points": []}]}, {}, "a name is no text"),
        ({"step": 10.0, "series": [{"metric": "a", "target": "", "points": [[1, 2]]}]}, {}, "not that of a history"),
        ({"step": 10.0, "series": [{"metric": "a", "target": "", "points": [[1, 1, 1, "1", 1]]}]}, {}, "no point"),
        (
            {"step": 10.0, "series": [{"metric": "a", "target": "", "points": [[1, 1, 1, 1, 1]] * 2}]},
            {},
            "order of time",
        ),
        ({"step": 10.0, "series": []}, {"version": 2}, "version 2; known is 'selfheal history' version 1"),
        ({"step": 10.0, "series": []}, {"kind": "x"}, "it is 'x' version 1"),
    ],
)
def test_a_file_of_another_making_is_refused(tmp_path: Path, body: Any, head: Any, told: str) -> None:
    """Content that is not that of a history is refused, even with a checksum that holds."""
    file = tmp_path / "h.json"
    forged(file, body, **head)

    with pytest.raises(StateError, match=told):
        History.load(file, SHORT)


def test_a_bad_file_is_set_aside_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Learning begins anew, an error says so, and the bad file is kept beside."""
    file = saved(tmp_path)
    file.write_bytes(file.read_bytes()[:-10])
    history = History.load_or_new(file, SHORT)

    assert len(history) == 0
    assert "its checksum does not hold" in history.refused
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "Learning begins anew" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["history.json.refused"]


def test_a_file_from_the_future_is_refused_where_that_is_asked_for(tmp_path: Path) -> None:
    """Its latest point may be as late as is said; what its numbers make of the calendar does not matter."""
    file, latest = saved(tmp_path), max(History.load(saved(tmp_path), SHORT).series("cpu", "web"))[0]

    assert len(History.load(file, SHORT, latest=latest)) == 1
    with pytest.raises(StateError, match=r"it is of 20..-..-.. ..:..\+00:00, when the clock was ahead"):
        History.load(file, SHORT, latest=latest - 1.0)
    forged(file, {"step": 10.0, "series": [{"metric": "cpu", "target": "", "points": [[10**15, 1.0, 1.0, 1.0, 1]]}]})
    with pytest.raises(StateError, match="when the clock was ahead"):
        History.load(file, SHORT, latest=latest)


def test_without_a_file_it_begins_anew_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The first start is no error; a good file is taken."""
    file = tmp_path / "history.json"

    assert History.load_or_new(file, SHORT).refused == ""
    saved(tmp_path)
    assert len(History.load_or_new(file, SHORT)) == 1
    assert not caplog.records


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    """A directory that is not there is told as an error, with the place."""
    with pytest.raises(StateError, match="cannot be written: No such file"):
        History().save(tmp_path / "nowhere" / "h.json")


def test_settings_are_checked() -> None:
    """A step of nothing is refused."""
    with pytest.raises(ConfigError, match=r"HistoryConfig\.step"):
        HistoryConfig(step=0.0)


def test_numbers_are_those_of_the_steps_with_points() -> None:
    """Gaps are left out, an unknown series has none, and what is added later is in no answer given before."""
    history = History()
    for n in (3, 4, 9):
        history.add("cpu", 1.0, "web", 300.0 * n)
    numbers = history.numbers("cpu", "web")
    history.add("cpu", 1.0, "web", 300.0 * 10)
    assert list(numbers) == [3, 4, 9]
    assert list(history.numbers("cpu", "web")) == [3, 4, 9, 10]
    assert list(history.numbers("cpu")) == []

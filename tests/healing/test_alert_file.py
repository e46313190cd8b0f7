"""The alert file: what another program left there, told once, and never a reason to fall over."""

from __future__ import annotations

import json
import math
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfheal.configuring import structure
from selfheal.errors import ConfigError, InvalidConfigError
from selfheal.events import Alert, Severity
from selfheal.healing.alert_file import AlertFile, AlertFileConfig, write_alerts
from selfheal.testing import FakeClock

NOW = 1_700_000_000.0


class Rig:
    """A file that is looked at by a clock that stands still."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.clock = FakeClock()
        self.path = folder / "anomaly_alert_latest.json"
        self.file = AlertFile(self.path, clock=self.clock, **options)

    def write(self, data: object) -> None:
        """Write JSON, or text or bytes as they are."""
        raw = data if isinstance(data, bytes) else (data if isinstance(data, str) else json.dumps(data)).encode()
        self.path.write_bytes(raw)

    def look(self, data: object) -> list[Alert]:
        self.write(data)
        return self.file.look()

    def counts(self) -> dict[str, int]:
        """The counts that are not 0, looks apart."""
        snapshot = self.file.snapshot()
        names = ("taken", "repeated", "stale", "future", "invalid", "unfinished", "refused")
        return {name: count for name in names if (count := getattr(snapshot, name))}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A file that is not there yet."""
    return Rig(tmp_path)


def entry(kind: str = "slow", age: float = 0.0, **more: Any) -> dict[str, Any]:
    """One alert as it stands in a file."""
    return {"kind": kind, "at": NOW - age, **more}


def test_no_file_is_no_alert(rig: Rig) -> None:
    """A file that is not there, or whose directory is not, is nothing to complain about."""
    assert rig.file.look() == []
    assert AlertFile(rig.path.parent / "no" / "where").look() == []
    assert (rig.counts(), rig.file.snapshot().problem, rig.file.snapshot().looks) == ({}, "", 1)


def test_one_object_is_one_alert(rig: Rig) -> None:
    """Every field of an alert is taken as it stands."""
    (alert,) = rig.look(
        entry(
            target="web", metric="p99", value=3, severity="critical", fingerprint="f", message="so slow",
            labels={"zone": "a"},
        )
    )  # fmt: skip

    assert alert == Alert(
        at=NOW, kind="slow", target="web", metric="p99", value=3.0, severity=Severity.CRITICAL, fingerprint="f",
        message="so slow", labels={"zone": "a"},
    )  # fmt: skip


def test_a_list_is_several_in_its_order(rig: Rig) -> None:
    """Those that say no time have the time beside the list."""
    alerts = rig.look({"alerts": [entry("b", 5), {"kind": "a"}], "timestamp": "2023-11-14T22:13:10+00:00"})

    assert [(alert.kind, alert.at) for alert in alerts] == [("b", NOW - 5), ("a", NOW - 10)]
    assert math.isnan(alerts[1].value)
    assert alerts[1].fingerprint == "a||"


def test_text_times_have_an_offset(rig: Rig) -> None:
    """ISO-8601 in any zone is taken; without an offset, or with no time at all, an alert is refused and told."""
    assert [a.at for a in rig.look({"kind": "a", "timestamp": "2023-11-14T23:13:20+01:00"})] == [NOW]
    assert rig.look({"kind": "b", "timestamp": "2023-11-14T22:13:20"}) == []
    assert "ISO-8601" in rig.file.snapshot().problem
    assert rig.look({"kind": "b"}) == []
    assert "how old the alert is" in rig.file.snapshot().problem
    assert rig.counts() == {"taken": 1, "invalid": 2}


@pytest.mark.parametrize(
    ("age", "taken"), [(300.0, 1), (300.1, 0), (-60.0, 1), (-60.1, 0), (0.0, 1)], ids=lambda v: str(v)
)
def test_too_old_and_too_new_are_ignored(rig: Rig, age: float, taken: int) -> None:
    """Five minutes back and one ahead are the bounds, both included."""
    assert len(rig.look(entry(age=age))) == taken
    assert rig.counts() == ({"taken": 1} if taken else {"stale": 1} if age > 0 else {"future": 1})


def test_the_bounds_can_be_set(tmp_path: Path) -> None:
    """Age, lead, size and number are settings, from a file too."""
    config = structure({"max_age": 10, "max_future": 0, "max_bytes": 200, "max_alerts": 1}, AlertFileConfig)
    rig = Rig(tmp_path, config=config)

    assert len(rig.look({"alerts": [entry("a", 11), entry("b")]})) == 0
    assert rig.counts() == {"stale": 1, "invalid": 1}
    assert rig.look(entry("c", -1)) == []
    assert rig.look(entry("d", message="x" * 200)) == []
    assert rig.counts() == {"stale": 1, "invalid": 1, "future": 1, "refused": 1}
    with pytest.raises(InvalidConfigError, match=r"alerts\.max_age"):
        structure({"max_age": 0}, AlertFileConfig, "alerts")


def test_the_same_is_told_once(rig: Rig) -> None:
    """Looked at again, touched, written anew, moved into place or with others beside it: an alert is told once."""
    assert len(rig.look(entry("a"))) == 1
    assert rig.file.look() == []
    os.utime(rig.path, (NOW, NOW))
    assert rig.file.look() == []
    write_alerts(rig.path, [Alert(kind="a", at=NOW), Alert(kind="b", at=NOW)])
    assert [alert.kind for alert in rig.file.look()] == ["b"]

    assert rig.counts()["taken"] == 2
    assert [alert.kind for alert in rig.look(entry("a", 1))] == ["a"]


def test_an_incident_that_tells_since_when_is_told_once(rig: Rig) -> None:
    """Written anew with a later time, value and text it is the same; worse, or begun anew, it is told again."""
    first = {"since": "2026-01-01T00:00:00Z"}
    assert len(rig.look(entry("a", 60, labels=first, value=5.0))) == 1
    assert rig.look(entry("a", 0, labels={**first, "more": "x"}, value=7.0, message="still")) == []
    assert rig.counts() == {"taken": 1, "repeated": 1}
    assert [alert.severity for alert in rig.look(entry("a", 0, labels=first, severity="critical"))] == ["critical"]
    assert len(rig.look(entry("a", 0, labels={"since": "2026-01-01T06:00:00Z"}, severity="critical"))) == 1
    assert len(rig.look(entry("b", 0, labels=first))) == 1


def test_an_incident_that_was_too_old_is_told_when_it_is_known_to_hold(rig: Rig) -> None:
    """A file that grew old while its writer was away is not the last word on what stands in it."""
    since = {"labels": {"since": "2026-01-01T00:00:00Z"}}
    assert rig.look(entry("a", 4000, **since)) == []
    assert len(rig.look(entry("a", 10, **since))) == 1


def test_what_a_complete_file_has_no_more_is_over(rig: Rig) -> None:
    """Each end is told at one look; a file that is not complete, not whole or not there ends nothing."""
    whole = {"complete": True}
    rig.look({"alerts": [entry("a"), entry("b"), entry("c", 4000)], **whole})
    assert rig.file.over == ()
    rig.look({"alerts": [entry("a")]})
    assert rig.file.over == ()
    rig.look({"alerts": [entry("a"), {"kind": 5}], **whole})
    assert rig.file.over == ()
    rig.look('{"alerts": [')
    assert rig.file.over == ()
    rig.path.unlink()
    rig.file.look()
    assert rig.file.over == ()
    rig.look({"alerts": [entry("a", 1)], **whole})
    assert rig.file.over == ("b||", "c||")
    rig.file.look()
    assert rig.file.over == ()
    rig.look({"alerts": [], **whole})
    assert rig.file.over == ("a||",)


def test_more_alerts_than_are_taken_end_none(tmp_path: Path) -> None:
    """What stands beyond the limit is not known to be over."""
    rig = Rig(tmp_path, max_alerts=2)
    rig.look({"alerts": [entry("a"), entry("b")], "complete": True})
    rig.look({"alerts": [entry("x"), entry("y"), entry("a")], "complete": True})
    assert rig.file.over == ()


def test_a_writer_says_whether_it_is_all(rig: Rig) -> None:
    """Only who says so ends what is not in the file."""
    write_alerts(rig.path, [Alert(kind="a", at=NOW)])
    rig.file.look()
    write_alerts(rig.path, [], complete=True)
    assert (rig.file.look(), rig.file.over) == ([], ("a||",))


def test_a_file_that_did_not_change_is_not_read(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judged once, the content is not parsed again until the file looks different."""
    rig.look(entry("a"))
    monkeypatch.setattr(AlertFile, "_parse", lambda *_: pytest.fail("it was read"))

    assert rig.file.look() == []
    assert rig.counts() == {"taken": 1}


def test_a_change_within_one_tick_of_the_file_system_is_seen(tmp_path: Path) -> None:
    """A file written a moment ago is read again, as its time stamp may hide another change."""
    rig = Rig(tmp_path)
    rig.write(entry("a"))
    rig.clock.jump(os.stat(rig.path).st_mtime + 1 - rig.clock.wall())
    stamp = os.stat(rig.path)
    data = {"kind": "a", "at": rig.clock.wall()}
    rig.write(data)
    assert len(rig.file.look()) == 1
    rig.write({**data, "kind": "b"})
    os.utime(rig.path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    assert [alert.kind for alert in rig.file.look()] == ["b"]


@pytest.mark.parametrize("cut", [0, 1, 10, -1])
def test_a_half_written_file_is_looked_at_again(rig: Rig, cut: int) -> None:
    """What is not yet JSON is counted, and told at the first look that finds it whole."""
    whole = json.dumps(entry("ä"), ensure_ascii=False).encode()
    half = whole[:cut] if cut >= 0 else whole[: whole.index("ä".encode()) + 1]
    assert rig.look(half) == []
    assert rig.file.look() == []
    assert rig.counts() == {"unfinished": 2}
    assert rig.file.snapshot().problem

    assert [alert.kind for alert in rig.look(whole)] == ["ä"]
    assert rig.file.snapshot().problem == ""


@pytest.mark.parametrize(
    "data",
    [
        "[]",
        "3",
        '{"alerts": {}}',
        "[" * 100_000,
        '{"alerts": [' * 5000 + "1" + "]}" * 5000,
        '{"kind": "a", "at": ' + "9" * 5000 + "}",
    ],
    ids=["list", "number", "table", "deep", "deep-alerts", "long-number"],
)
def test_files_of_another_shape_are_counted(rig: Rig, data: str) -> None:
    """A file that is JSON and no alert, or too much for a parser, is one count and no exception."""
    assert rig.look(data) == []
    assert set(rig.counts()) <= {"invalid", "unfinished"}
    assert sum(rig.counts().values()) == 1


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"kind": ""}, "kind"),
        ({"kind": 3}, "kind"),
        ({"severity": "fatal"}, "one of 'info', 'warning', 'critical'"),
        ({"value": "3"}, "value"),
        ({"value": True}, "value"),
        ({"labels": {"a": 1}}, "labels"),
        ({"labels": {str(n): "x" for n in range(101)}}, "labels"),
        ({"target": "x" * 1001}, "target"),
        ({"message": "\ud800"}, "message"),
        ({"target": "\udfff"}, "target"),
        ({"labels": {"a": "x" * 1001}}, "labels"),
        ({"labels": {"x" * 1001: "a"}}, "labels"),
        ({"fingerprint": ""}, "fingerprint"),
        ({"kindd": "x"}, "kindd"),
        ({"at": "soon"}, "at"),
        ({"at": -1}, "at"),
        ({"at": 1e300}, "at"),
    ],
)
def test_a_wrong_alert_does_not_take_the_others_with_it(rig: Rig, wrong: dict[str, Any], told: str) -> None:
    """What is wrong with one is told with its place; those beside it count."""
    alerts = rig.look({"alerts": [entry("good"), {**entry("bad"), **wrong}]})

    assert [alert.kind for alert in alerts] == ["good"]
    assert rig.counts() == {"taken": 1, "invalid": 1}
    assert "alerts[1]" in rig.file.snapshot().problem
    assert told in rig.file.snapshot().problem


def test_numbers_that_json_does_not_have_are_none(rig: Rig) -> None:
    """Python writes NaN and Infinity into JSON: as a value they are no value."""
    (alert,) = rig.look('{"kind": "a", "at": 1700000000, "value": NaN}')

    assert math.isnan(alert.value)
    assert rig.look('{"kind": "b", "at": Infinity}') == []


def test_only_a_plain_file_is_read(rig: Rig) -> None:
    """Links, directories and pipes are refused without waiting, and the file that comes after is read."""
    real = rig.path.parent / "real.json"
    real.write_text(json.dumps(entry()))
    rig.path.symlink_to(real)
    assert rig.file.look() == []
    rig.path.unlink()
    rig.path.mkdir()
    assert rig.file.look() == []
    rig.path.rmdir()
    os.mkfifo(rig.path)
    assert rig.file.look() == []
    rig.path.unlink()

    assert rig.counts() == {"refused": 3}
    assert rig.file.snapshot().problem == "it is no plain file"
    assert len(rig.look(entry())) == 1


def test_a_file_that_may_not_be_read_is_counted(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says against opening it is told, not raised."""

    def denied(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    rig.write(entry())
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", denied)
        assert rig.file.look() == []
    assert rig.counts() == {"refused": 1}
    assert "Permission denied" in rig.file.snapshot().problem
    assert len(rig.file.look()) == 1


@pytest.mark.parametrize("change", ["grown", "rewritten"])
def test_a_file_that_changes_while_it_is_read_is_looked_at_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """What is found then is not trusted, whether or not its size changed."""
    rig.write(entry("a"))
    fstat, turns = os.fstat, iter([0])

    def changing(fd: int) -> os.stat_result:
        first = next(turns, None) is not None
        if not first and change == "grown":
            with rig.path.open("a") as file:
                file.write(" ")
        elif not first:
            os.utime(rig.path, (NOW, NOW))
        return fstat(fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", changing)
        assert rig.file.look() == []
    assert rig.counts() == {"unfinished": 1}
    assert len(rig.file.look()) == 1


def test_what_is_written_is_what_is_read(rig: Rig) -> None:
    """Alerts survive the way through the file; those without a time get the time of now; nothing else is left."""
    alerts = [
        Alert(kind="a", target="web", metric="m", value=1.5, severity=Severity.INFO, labels={"x": "y"}, at=NOW - 1),
        Alert(kind="b", message="ü\n"),
    ]
    write_alerts(rig.path, alerts, clock=rig.clock)
    told = rig.file.look()

    assert told[0] == alerts[0]
    assert (told[1].kind, told[1].at, told[1].message) == ("b", NOW, "ü\n")
    assert [path.name for path in rig.path.parent.iterdir()] == [rig.path.name]


def test_permissions_that_somebody_gave_are_kept(rig: Rig) -> None:
    """A new file is for its owner alone; who lets a program of another user read it need not do so after each write."""
    write_alerts(rig.path, [Alert(kind="a")], clock=rig.clock)
    assert rig.path.stat().st_mode & 0o777 == 0o600
    rig.path.chmod(0o640)
    write_alerts(rig.path, [Alert(kind="b")], clock=rig.clock)
    assert rig.path.stat().st_mode & 0o777 == 0o640


def test_a_failed_write_leaves_the_old_file(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the new file cannot take its place, the old one is whole and nothing is left beside it."""

    def broken(*_: object, **__: object) -> None:
        raise OSError("no")

    rig.write(entry("old"))
    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="no"):
        write_alerts(rig.path, [Alert(kind="new")], clock=rig.clock)

    assert [alert.kind for alert in rig.file.look()] == ["old"]
    assert len(list(rig.path.parent.iterdir())) == 1


def test_what_is_remembered_is_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many alerts the digests of the latest are kept."""
    monkeypatch.setattr("selfheal.healing.alert_file._REMEMBERED", 5)
    for number in range(20):
        assert len(rig.look(entry(f"k{number}"))) == 1

    assert len(rig.file._seen) == 5
    assert rig.look(entry("k19")) == []


def test_a_wrong_setting_is_refused(tmp_path: Path) -> None:
    """Limits out of range are told at once."""
    with pytest.raises(ConfigError, match=r"AlertFileConfig\.max_alerts"):
        AlertFile(tmp_path / "a.json", max_alerts=0)


def test_iso_times_of_python_are_read(rig: Rig) -> None:
    """What ``datetime.isoformat`` writes for an aware time is a time."""
    stamp = datetime.fromtimestamp(NOW, UTC).isoformat()

    assert len(rig.look({"kind": "a", "timestamp": stamp})) == 1


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(
    st.sampled_from(["kind", "at", "timestamp", "value", "labels", "severity", "alerts", "fingerprint", "message"]),
    JSON | st.just(NOW) | st.just("slow"),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=50) | (FIELDS | st.fixed_dictionaries({"alerts": st.lists(FIELDS)})).map(json.dumps))
def test_whatever_stands_there_it_never_raises(rig: Rig, data: bytes | str) -> None:
    """Any bytes and any JSON give alerts that are whole and timely, or none."""
    for alert in rig.look(data):
        assert -60 <= NOW - alert.at <= 300
        assert alert.kind.strip()
        assert all(isinstance(text, str) for text in alert.labels.values())

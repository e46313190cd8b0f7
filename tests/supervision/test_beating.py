"""The sign of life: seen by a supervisor, harmless without one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from selfheal.supervision import beating, heartbeat
from selfheal.supervision.checking import HeartbeatCheck


def test_without_a_supervisor_it_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker run by hand beats for nobody."""
    monkeypatch.delenv(beating.HEARTBEAT, raising=False)

    assert heartbeat() is False


def test_a_beat_is_seen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look sees whether there was a beat since the one before; silence is no verdict."""
    file = tmp_path / "w.beat"
    file.touch()
    monkeypatch.setenv(beating.HEARTBEAT, str(file))
    check = HeartbeatCheck(file)
    assert check.look() is None
    while check.look() is None:  # two times within one tick of the file system look the same
        assert heartbeat() is True
    assert check.look() is None


def test_a_file_that_is_gone_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A beat that nobody can see is no error in the work loop, and one line in its log."""
    monkeypatch.setenv(beating.HEARTBEAT, str(tmp_path / "none"))
    monkeypatch.setattr(beating, "_told", False)

    assert [heartbeat(), heartbeat()] == [False, False]
    assert caplog.text.count("cannot be seen") == 1
    assert HeartbeatCheck(tmp_path / "none").look() is None


def test_beating_loads_nothing_of_the_supervisor() -> None:
    """A worker that beats pays for neither the supervisor nor what it needs."""
    code = "import sys; from selfheal.supervision import heartbeat; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert {name for name in loaded if name.startswith("selfheal")} == {
        "selfheal",
        "selfheal.supervision",
        "selfheal.lazy",
        "selfheal.supervision.beating",
    }
    assert not {"attrs", "cattrs", "subprocess"} & set(loaded)

"""Snapshots: whole, bounded, without secrets, whatever the parts do."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.errors import ConfigError
from selfheal.levers import Snapshotter, snapshot_parts
from selfheal.levers.snapshot_parts import redact_arguments
from selfheal.testing import FakeClock


def read(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text())
    return data


def test_it_holds_what_there_is_to_see(tmp_path: Path) -> None:
    """Reason and time, the host's sections, this thread's stack, this process and the table of processes."""
    taker = Snapshotter(tmp_path, {"status": lambda: {"status": "healthy"}}, clock=FakeClock(wall=1_700_000_000.5))
    data = read(taker.snapshot("queue stuck"))

    assert (data["reason"], data["at"], data["taken_at"]) == (
        "queue stuck", 1_700_000_000.5, "2023-11-14T22:13:20.500000+00:00",
    )  # fmt: skip
    assert data["status"] == {"status": "healthy"}
    (own,) = [thread for thread in data["threads"] if thread["ident"] == threading.get_ident()]
    assert any("test_it_holds_what_there_is_to_see" in frame for frame in own["stack"])
    assert data["process"]["pid"] == data["pid"] == os.getpid()
    assert data["process"]["rss_bytes"] > 1_000_000
    assert os.getpid() in {row["pid"] for row in data["processes"]}


def test_the_file_is_private_named_and_alone(tmp_path: Path) -> None:
    """Only the owner may read it, its name tells time and reason, and nothing half written is left."""
    taker = Snapshotter(tmp_path, processes=False, clock=FakeClock(wall=1_700_000_000.5))
    path = taker.snapshot("High CPU! ../../etc/passwd")

    assert path.name == "snapshot-20231114T221320.500Z-000001-high-cpu-etc-passwd.json"
    assert path.parent == tmp_path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("section", "told"),
    [
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda: object(), "cannot be shown as JSON"),
        (lambda: sys.exit(3), "SystemExit: 3"),
        (lambda: {"x": {1j: 2}}, "a key is a complex"),
    ],
)
def test_a_part_that_fails_has_its_error_there(tmp_path: Path, section: Any, told: str) -> None:
    """One section that raises or gives nonsense costs itself alone."""
    data = read(Snapshotter(tmp_path, {"bad": section, "good": lambda: [1]}, processes=False).snapshot())

    assert told in data["bad"]["error"]
    assert data["good"] == [1]
    assert data["threads"]


def test_a_part_that_hangs_is_left_behind(tmp_path: Path) -> None:
    """A section that does not answer in time is noted as late, and not asked again while it hangs."""
    release = threading.Event()
    taker = Snapshotter(tmp_path, {"slow": lambda: release.wait(30)}, section_timeout=0.05, processes=False)
    first, second = read(taker.snapshot()), read(taker.snapshot())
    release.set()

    assert first["slow"] == {"error": "no answer within 0.05 s"}
    assert second["slow"] == {"error": "still busy with an earlier snapshot"}


def test_own_parts_may_fail_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where even the stacks cannot be had the rest is there."""

    def broken() -> None:
        raise OSError("no /proc")

    monkeypatch.setattr(snapshot_parts, "process", broken)
    data = read(Snapshotter(tmp_path, processes=False).snapshot())

    assert data["process"] == {"error": "OSError: no /proc"}
    assert data["threads"]


def test_secrets_stay_out(tmp_path: Path) -> None:
    """Values under names of secrets, what looks like one, and those in the reason are redacted."""
    sections = {"config": lambda: {"api_key": "abc123", "url": "https://joe:hunter2@x/", "total_keys": 3}}
    path = Snapshotter(tmp_path, sections, processes=False).snapshot("login password=hunter2 failed")
    text = path.read_text()

    assert "hunter2" not in text
    assert "abc123" not in text
    assert read(path)["config"]["total_keys"] == 3


def test_command_lines_of_processes_are_redacted_and_environments_absent(tmp_path: Path) -> None:
    """A child with a secret in its arguments and its environment is in the table without either."""
    code = "import sys; print('ready', flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, "--password", "hunter2", "--token=abcdef", "--port=80"],
        env={"DB_PASSWORD": "s3cr3t-environment"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    child.stdout.readline()
    try:
        path = Snapshotter(tmp_path).snapshot()
    finally:
        child.communicate()
    (row,) = [row for row in read(path)["processes"] if row["pid"] == child.pid]

    assert row["command"][3:] == ["--password", "[redacted]", "--token=[redacted]", "--port=80"]
    assert "hunter2" not in json.dumps(row)
    assert "s3cr3t-environment" not in path.read_text()


def test_size_and_number_are_bounded(tmp_path: Path) -> None:
    """The largest section is left out of a file that would be too large; the oldest file goes."""
    clock = FakeClock()
    sections = {"large": lambda: ["x" * 900] * 900, "small": lambda: 1}
    taker = Snapshotter(tmp_path, sections, keep=3, max_bytes=200_000, processes=False, clock=clock)
    (tmp_path / "other.json").write_text("{}")
    taken = []
    for _ in range(5):
        taken.append(taker.snapshot())
        clock.advance(1)

    assert taker.files() == taken[2:]
    assert (tmp_path / "other.json").exists()
    data = read(taken[-1])
    assert taken[-1].stat().st_size <= 200_000
    assert data["large"]["error"].startswith("left out: 8")
    assert data["small"] == 1


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full the error is raised and no part of a file is left."""

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Snapshotter(tmp_path, processes=False).snapshot()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    """An unfinished file is removed by the next snapshot, though that has a name of its own."""
    (tmp_path / ".snapshot.new").write_text("half")
    path = Snapshotter(tmp_path, processes=False).snapshot()
    assert list(tmp_path.iterdir()) == [path]


def test_threads_may_take_them_at_once(tmp_path: Path) -> None:
    """Snapshots of the same moment do not overwrite one another."""
    taker = Snapshotter(tmp_path, processes=False, clock=FakeClock())
    threads = [threading.Thread(target=taker.snapshot) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taker.files()) == 8
    assert all(read(path)["threads"] for path in taker.files())


@given(st.lists(st.text(max_size=30), max_size=10))
def test_redaction_takes_any_command_line(arguments: list[str]) -> None:
    """Any arguments are shown one for one, without error."""
    assert len(redact_arguments(arguments)) == len(arguments)


@pytest.mark.parametrize("option", ["--password", "--api-key", "--db_password", "-secret", "--auth-token"])
def test_the_value_after_a_secret_option_is_hidden(option: str) -> None:
    """The value of an option that names a secret is hidden, beside it or behind an equals sign."""
    assert redact_arguments(["x", option, "v4lue", "y"]) == ["x", option, "[redacted]", "y"]
    assert redact_arguments(["x", f"{option}=v4lue", "y"]) == ["x", f"{option}=[redacted]", "y"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"directory": "/none/there"}, "directory must be a directory that is there"),
        ({"directory": ""}, "directory must be a path"),
        ({"keep": 0}, "keep must be an integer"),
        ({"max_bytes": -1}, "max_bytes must be an integer"),
        ({"section_timeout": 0}, "section_timeout must be"),
        ({"sections": {"threads": int}}, r"sections\['threads'\] must be a callable under a name of its own"),
        ({"sections": {"x": 5}}, r"sections\['x'\] must be a callable"),
    ],
)
def test_bad_settings_are_refused(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    """A value out of range is one clear error."""
    with pytest.raises(ConfigError, match=told):
        Snapshotter(**{"directory": tmp_path, **options})


def test_from_config(tmp_path: Path) -> None:
    """Plain data makes a snapshotter; what is not accepted is told with its path in the file."""
    assert Snapshotter.from_config({"directory": str(tmp_path), "keep": 2, "processes": False}).snapshot().exists()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"directory": "/none/there"}, r"levers\.snapshotter\.directory must be a directory that is there"),
        ({"directory": str(tmp_path), "keep": -1}, r"levers\.snapshotter\.keep must be"),
        ({"directory": str(tmp_path), "kepe": 1}, r"levers\.snapshotter\.kepe.*did you mean 'keep'"),
        ({"directory": str(tmp_path), "processes": 1}, r"levers\.snapshotter\.processes must be true or false"),
    ]
    for bad, told in wrong:
        with pytest.raises(ConfigError, match=told):
            Snapshotter.from_config(bad)

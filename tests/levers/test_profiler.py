"""The stack profiler: what it counts, and that its files are bounded."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import pytest

from selfheal.errors import ConfigError
from selfheal.levers import StackProfiler
from selfheal.testing import FakeClock


@pytest.fixture
def busy() -> object:
    """A thread that waits in a function of a known name, and in no other, from before the test begins."""
    gate, waiting = threading.Lock(), list[bool]()
    gate.acquire()

    def waits_for_the_test() -> None:
        waiting.append(True)
        gate.acquire(timeout=100)

    thread = threading.Thread(target=waits_for_the_test, name="busy; one")
    thread.start()
    while not waiting:
        time.sleep(0.001)
    yield thread
    gate.release()
    thread.join()


def test_stacks_are_counted_in_folded_form(tmp_path: Path, busy: object) -> None:
    """Each look counts each thread once; names hold nothing that separates."""
    profiler = StackProfiler(tmp_path, interval=0.5, clock=FakeClock(autojump=True))
    path = profiler.profile(5.0, "CPU is high: api!")
    lines = path.read_text().splitlines()

    assert re.fullmatch(r"profile-\d{8}T\d{6}\.\d{3}Z-000001-cpu-is-high-api\.folded", path.name)
    found = [line for line in lines if line.startswith("busy_one;")]
    assert len(found) == 1
    assert "waits_for_the_test" in found[0]
    assert found[0].endswith(" 11"), "at the start, and every half second to the end"
    assert not any(line.startswith("MainThread;") for line in lines), "the one that looks is left out"
    assert path.stat().st_mode & 0o077 == 0


def test_it_ends_when_cancelled(tmp_path: Path) -> None:
    """Told to end it writes what it has so far."""
    clock = FakeClock(autojump=True)
    began = clock.monotonic()
    path = StackProfiler(tmp_path, clock=clock).profile(600.0, "", lambda: clock.monotonic() >= began + 1)

    assert path.is_file()
    assert clock.monotonic() - began == pytest.approx(1.0, abs=0.02)


def test_the_oldest_files_go(tmp_path: Path) -> None:
    """No more files are kept than asked for, and of the rest only what was left unfinished is removed."""
    (tmp_path / "other.folded").write_text("x")
    (tmp_path / ".profile.new").write_text("left by a killed process")
    clock = FakeClock(autojump=True)
    profiler = StackProfiler(tmp_path, keep=2, clock=clock)
    made = [profiler.profile(0.01) for _ in range(4)]

    assert profiler.files() == made[2:]
    assert (tmp_path / "other.folded").exists()
    assert not (tmp_path / ".profile.new").exists()


def test_a_file_is_bounded(tmp_path: Path, busy: object) -> None:
    """What does not fit is added up in one line."""
    threads, done = [], threading.Event()
    for number in range(60):
        threads.append(threading.Thread(target=done.wait, args=(60,), name=f"{number}-" + "x" * 190))
        threads[-1].start()
    try:
        path = StackProfiler(tmp_path, max_bytes=4096, clock=FakeClock(autojump=True)).profile(0.01)
    finally:
        done.set()
        for thread in threads:
            thread.join()

    text = path.read_text()
    assert len(text) <= 4096
    assert re.search(r"^\(other stacks\) \d+$", text, re.M)


def test_what_is_not_accepted(tmp_path: Path) -> None:
    """Times out of range and a directory that is not there are refused."""
    profiler = StackProfiler(tmp_path, clock=FakeClock(autojump=True))
    for seconds in (0.0, -1.0, 601.0, float("nan"), True):
        with pytest.raises(ConfigError, match="seconds of StackProfiler.profile"):
            profiler.profile(seconds)
    for directory in (tmp_path / "none", ""):
        with pytest.raises(ConfigError, match="a directory that is there"):
            StackProfiler(directory)
    with pytest.raises(ConfigError, match="interval"):
        StackProfiler(tmp_path, interval=0.0)

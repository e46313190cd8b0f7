"""What is measured, when, and what becomes of what cannot be."""

from __future__ import annotations

import errno
import math
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest

from selfheal.detection.machine import read_machine
from selfheal.detection.processes import ProcessReader
from selfheal.detection.sampler import Sample, Sampler, SamplerConfig
from selfheal.errors import ConfigError
from selfheal.testing import FakeClock
from selfheal.usage import PsutilMachine, UsageReader
from selfheal.usage.cgroup import Cgroups
from tests.usage.trees import GIB, FakeMachine, version_2

NOTHING = SamplerConfig(machine=False)


def values(samples: Sequence[Sample]) -> dict[tuple[str, str], float]:
    return {(sample.metric, sample.target): sample.value for sample in samples}


def test_percentages_are_of_what_the_container_may_use(tmp_path: Path) -> None:
    """Memory and CPU are measured against the limits of the cgroup, not against the machine."""
    clock = FakeClock()
    files = {
        "memory.max": f"{GIB}\n",
        "memory.current": f"{GIB // 2}\n",
        "cpu.max": "50000 100000\n",
        "cpu.stat": "usage_usec 0\n",
    }
    root = version_2(tmp_path, pod_app=files)
    usage = UsageReader(root=root, machine=FakeMachine(), clock=clock)
    sampler = Sampler(SamplerConfig(target="web", disk=None), usage=usage, clock=clock)
    clock.advance(10.0)
    (root / "sys/fs/cgroup/pod/app/cpu.stat").write_text("usage_usec 2500000\n")
    found = values(sampler.sample())

    assert found["memory_percent", "web"] == 50.0
    assert found["cpu_percent", "web"] == pytest.approx(50.0)
    assert found["memory_bytes", "web"] == GIB // 2
    assert found["load_per_cpu", "web"] >= 0.0


def test_the_first_run_has_no_cpu() -> None:
    """CPU is measured between two runs, so the first has none, of the machine and of a process."""
    clock = FakeClock()
    sampler = Sampler(clock=clock)
    me = sampler.watch(os.getpid(), "me")
    first = values(sampler.sample())
    clock.advance(10.0)
    second = values(sampler.sample())

    assert ("cpu_percent", "") not in first
    assert ("process_cpu_percent", me) not in first
    assert second["process_cpu_percent", me] >= 0.0
    assert 0.0 <= second["disk_percent", ""] <= 100.0


def test_the_first_run_has_no_cpu_even_if_it_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is busy while the first reading is made, as psutil is loaded from a slow disk, is no measurement."""
    clock = FakeClock()
    busy = [0.0]

    def slow(machine: object) -> tuple[float, float, float]:
        clock.advance(0.4)
        busy[0] += 0.4
        return busy[0], busy[0], 2.0

    monkeypatch.setattr(PsutilMachine, "cpu_times", slow)
    monkeypatch.setattr(Cgroups, "cpu", lambda cgroups: [])
    sampler = Sampler(clock=clock)

    assert ("cpu_percent", "") not in values(sampler.sample())
    assert values(sampler.sample())["cpu_percent", ""] == 100.0


def test_a_limit_that_cannot_be_read_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What stands in for it is measured, and ``problems`` and the log name the file, once."""
    usage = UsageReader(root=version_2(tmp_path, pod_app={"memory.max": "lots\n"}), machine=FakeMachine())
    sampler = Sampler(SamplerConfig(disk=None), usage=usage)
    found, _ = values(sampler.sample()), sampler.sample()

    assert ("memory_percent", "") in found
    assert [told.partition("memory.max")[2] for told in sampler.problems] == [" holds 'lots\\n', which is no number"]
    assert len(caplog.records) == 1


def test_load_and_disk_are_shares_of_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load by the CPUs that may be used; the disk as ``df`` tells it: without what root alone may use."""
    monkeypatch.setattr(os, "getloadavg", lambda: (3.0, 0.0, 0.0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 5})
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_blocks=100, f_bfree=30, f_bavail=20))
    found = dict(read_machine(Path("/"), {}))

    assert (found["load_per_cpu"], found["disk_percent"]) == (1.5, pytest.approx(100.0 * 70 / 90))


def test_cpu_of_a_process_is_what_it_used_since_the_reading_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading that follows at once tells nothing, and the next is measured against the one before it."""
    used = iter([1.0, 2.0, 2.0, 1.9])
    monkeypatch.setattr(psutil.Process, "oneshot", lambda process: nullcontext())
    monkeypatch.setattr(psutil.Process, "cpu_times", lambda process: SimpleNamespace(user=next(used), system=0.5))
    reader = ProcessReader(os.getpid())
    read = [dict(reader.read(at) or []).get("process_cpu_percent") for at in (1000.0, 1000.01, 1010.0, 1020.0)]

    assert read == [None, None, pytest.approx(10.0), 0.0]


def test_a_target_that_was_given_to_another_process_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process is found to be gone while its replacement is put in its place: that one is measured."""
    sampler = Sampler(NOTHING)
    sampler.watch(os.getpid(), "worker")

    def replaced(reader: ProcessReader, now: float) -> None:
        sampler.watch(os.getpid(), "worker")

    with monkeypatch.context() as patched:
        patched.setattr(ProcessReader, "read", replaced)
        assert sampler.sample() == ()
    assert sampler.watched == {"worker": os.getpid()}


def test_open_files_and_threads_of_the_machine(tmp_path: Path) -> None:
    """They are what the kernel tells; without a ``/proc`` they are left out, and what makes no sense is told."""
    (tmp_path / "sys/fs").mkdir(parents=True)
    (tmp_path / "sys/fs/file-nr").write_text("779\t79\t2466170\n")
    (tmp_path / "loadavg").write_text("4.99 3.85 2.47 5/107 1677\n")
    problems: dict[object, str] = {}
    found = dict(read_machine(None, problems, tmp_path))

    assert (found["fds"], found["threads"], problems) == (700.0, 107.0, {})
    found = dict(read_machine(None, problems, tmp_path / "none"))
    assert (found["fds"], found["threads"], problems) == (None, None, {})
    (tmp_path / "sys/fs/file-nr").write_text("779")
    (tmp_path / "loadavg").write_text("")
    found = dict(read_machine(None, problems, tmp_path))
    assert (found["fds"], found["threads"]) == (None, None)
    assert [told.partition("(")[2] for told in problems.values()] == ["ValueError)", "IndexError)"]


def test_a_process_is_measured() -> None:
    """Memory, threads, open files and state of a watched process are told under its target."""
    sampler = Sampler(NOTHING)
    target = sampler.watch(os.getpid())
    found = values(sampler.sample())

    assert target.endswith(f"[{os.getpid()}]")
    assert sampler.watched == {target: os.getpid()}
    assert found["process_memory_bytes", target] > 1e6
    assert found["process_threads", target] >= 1
    assert found["process_fds", target] >= 1
    assert (found["process_zombie", target], found["process_stopped", target]) == (0.0, 0.0)
    assert sampler.unwatch(target)
    assert not sampler.unwatch(target)
    assert sampler.sample() == ()


def test_what_is_observed_comes_with_the_time_of_then() -> None:
    """A value of the host is handed on once, by the next run, with the moment it was observed at."""
    clock = FakeClock()
    sampler = Sampler(NOTHING, clock=clock)
    sampler.observe("latency", 120, "api")
    clock.advance(5.0)

    assert sampler.sample() == (Sample("latency", 120.0, "api", 1_700_000_000.0, 1000.0),)
    assert sampler.sample() == ()


def test_a_callable_is_called_at_each_run() -> None:
    """Its value has the time of the run; ``None`` is a missing value."""
    clock = FakeClock()
    sampler = Sampler(NOTHING, clock=clock)
    depth: list[float | None] = [3.0, None]
    sampler.add("queue_depth", lambda: depth.pop(0), "jobs")

    assert sampler.sample() == (Sample("queue_depth", 3.0, "jobs", clock.wall(), clock.monotonic()),)
    assert math.isnan(sampler.sample()[0].value)
    assert sampler.remove("queue_depth", "jobs")
    assert not sampler.remove("queue_depth", "jobs")


def test_a_callable_that_raises_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Its value is missing, the others are measured, and the log says so once."""
    sampler = Sampler(NOTHING)
    sampler.add("bad", lambda: 1 / 0, "x")
    sampler.add("good", lambda: 1.0)
    with caplog.at_level("WARNING"):
        first, _ = sampler.sample(), sampler.sample()

    assert [math.isnan(sample.value) for sample in first] == [True, False]
    assert sampler.problems == ("bad of 'x' cannot be read (ZeroDivisionError: division by zero)",)
    assert len(caplog.records) == 1


def test_what_goes_on_failing_is_logged_once_whatever_it_says(caplog: pytest.LogCaptureFixture) -> None:
    """An error that reads differently each time fills no log; once it was well, it is told again."""
    calls = iter(range(10))

    def read() -> float:
        if (n := next(calls)) == 5:
            return 1.0
        raise ValueError(f"request {n}")

    sampler = Sampler(NOTHING)
    sampler.add("depth", read, "jobs")
    with caplog.at_level("WARNING"):
        for _ in range(10):
            sampler.sample()

    assert [record.getMessage()[-10:-1] for record in caplog.records] == ["request 0", "request 6"]
    assert sampler.problems == ("depth of 'jobs' cannot be read (ValueError: request 9)",)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (psutil.AccessDenied(1), "no permission"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (IndexError(), "IndexError"),
    ],
)
def test_a_process_that_cannot_be_looked_at_harms_nothing(
    monkeypatch: pytest.MonkeyPatch, error: Exception, why: str
) -> None:
    """It stays watched and is named in ``problems``; the rest is measured, and what was observed is handed on."""
    sampler = Sampler(NOTHING)
    target = sampler.watch(os.getpid(), "me")
    sampler.add("depth", lambda: 3.0)
    sampler.observe("latency", 1.0)

    def refused(process: psutil.Process) -> bool:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(psutil.Process, "is_running", refused)
        assert [sample.metric for sample in sampler.sample()] == ["latency", "depth"]
    assert sampler.problems == (f"process {os.getpid()} (me) cannot be looked at ({why})",)
    assert ("process_threads", target) in values(sampler.sample())


def test_open_files_of_another_user_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the process is measured."""

    def refused(process: psutil.Process) -> int:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "num_fds", refused)
    found = dict(ProcessReader(os.getpid()).read(1000.0) or [])

    assert "process_fds" not in found
    assert found["process_threads"] >= 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on_without_what_the_parent_hands_on() -> None:
    """A lock held at the moment of the fork stops nobody there, and no value is handed on twice."""
    sampler = Sampler(NOTHING)
    sampler.observe("x", 1.0)
    with sampler._lock:  # as another thread would: after a second the fork goes on
        child = os.fork()
        if child == 0:
            signal.alarm(60)  # a child that hangs ends by it
            os._exit(len(sampler.sample()))
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert len(sampler.sample()) == 1


def test_waiting_values_are_bounded() -> None:
    """Beyond the bound the oldest go, and are counted."""
    sampler = Sampler(SamplerConfig(machine=False, max_waiting=2))
    for value in range(5):
        sampler.observe("x", value)

    assert [sample.value for sample in sampler.sample()] == [3.0, 4.0]
    assert sampler.dropped == 3


@pytest.mark.parametrize("value", [None, "1", True, [1], np.array([1.0, 2.0]), Decimal("sNaN"), float])
def test_what_is_no_number_is_refused(value: Any) -> None:
    """Values that are no number are an error of the host, told at once."""
    with pytest.raises(ConfigError, match="value of 'x' must be a number"):
        Sampler(NOTHING).observe("x", value)


def test_odd_numbers_are_taken() -> None:
    """``nan`` and infinite values are handed on, and an integer that no float can hold is infinite."""
    sampler = Sampler(NOTHING)
    odd: list[Any] = [math.nan, -math.inf, 10**400, -(10**400), np.float32(2.0)]
    for value in odd:
        sampler.observe("x", value)
    first, *others = (sample.value for sample in sampler.sample())

    assert math.isnan(first)
    assert others == [-math.inf, math.inf, -math.inf, 2.0]


def test_refusals() -> None:
    """Processes that are not there, callables that are none, and more of them than may be are refused."""
    sampler = Sampler(SamplerConfig(machine=False, max_watched=1))
    odd: Any = 5
    odd_pid: Any = None  # psutil takes it for this very process
    with pytest.raises(ConfigError, match="pid must be the number of a process"):
        sampler.watch(2**22 + 1)
    with pytest.raises(ConfigError, match="pid must be the number of a process"):
        sampler.watch(odd_pid)
    with pytest.raises(ConfigError, match="target must be text"):
        sampler.observe("x", 1.0, odd)
    with pytest.raises(ConfigError, match="target must be text"):
        sampler.add("x", float, odd)
    with pytest.raises(ConfigError, match="target must be text"):
        sampler.watch(os.getpid(), odd)
    with pytest.raises(ConfigError, match="must be a callable"):
        sampler.add("x", odd)
    with pytest.raises(ConfigError, match="must be a name"):
        sampler.observe("", 1.0)
    sampler.add("x", float)
    sampler.add("x", float)
    with pytest.raises(ConfigError, match="max_watched must be larger for one more to be measured, got 1"):
        sampler.add("y", float)
    sampler.watch(os.getpid(), "a")
    sampler.watch(os.getpid(), "a")
    with pytest.raises(ConfigError, match="max_watched"):
        sampler.watch(os.getpid(), "b")


class Tasks:
    """A registry that only remembers."""

    def __init__(self) -> None:
        self.runs: dict[str, tuple[Callable[[], object], float]] = {}

    def register_interval(self, id: str, fn: Callable[[], object], every: float) -> object:
        self.runs[id] = (fn, every)
        return id


def test_the_task_does_nothing_while_its_flag_is_off() -> None:
    """The flag is asked at each run, not when the task is registered."""
    on = [False]
    tasks, told = Tasks(), list[Sequence[Sample]]()
    sampler = Sampler(NOTHING, enabled=lambda: on[0])
    sampler.observe("x", 1.0)

    assert sampler.register(tasks, told.append) == "sampling"
    run, every = tasks.runs["sampling"]
    run()
    assert (told, every) == ([], 10.0)
    on[0] = True
    run()
    assert [sample.metric for sample in told[0]] == ["x"]


def test_a_file_system_that_is_not_there_is_told() -> None:
    """The rest is measured, and ``problems`` names what is not."""
    sampler = Sampler(SamplerConfig(disk=Path("/no/such/place")))
    found = values(sampler.sample())

    assert ("disk_percent", "") not in found
    assert ("memory_percent", "") in found
    assert any("/no/such/place" in problem for problem in sampler.problems)

"""What the kernel says of processes: read as it is meant, whatever they are called and whenever they end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from selfheal.processes import boot_id, is_over, read_proc, stat
from selfheal.supervision.holding import Held
from selfheal.supervision.processes import everybody, pin
from tests.descriptors import none_left

WAITS = "import sys; print(flush=True); sys.stdin.read()"
CALLED = "open('/proc/self/comm', 'w').write('a) Z 1 (\\nb'); " + WAITS


@contextmanager
def child(code: str = WAITS) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own that runs until it is told to end, or is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_this_process() -> None:
    """Its ids are those that it has, and what it used of a processor grows with work."""
    first = stat(os.getpid())
    assert first is not None
    assert (first.pid, first.parent) == (os.getpid(), os.getppid())
    assert (first.group, first.session) == (os.getpgrp(), os.getsid(0))
    assert not first.dead
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    later = stat(os.getpid())
    assert later is not None
    assert later.started == first.started
    assert first.cpu < later.cpu <= round(sum(os.times()[:2]) * os.sysconf("SC_CLK_TCK"))


def test_a_name_that_looks_like_the_rest_of_the_line() -> None:
    """A process may call itself anything."""
    with child(CALLED) as process:
        found = stat(process.pid)
        assert b"a) Z 1 (\nb" in read_proc(f"/proc/{process.pid}/stat")
        assert found is not None
        assert (found.parent, found.group, found.session) == (os.getpid(), process.pid, process.pid)
        assert not found.dead


def test_the_dead_and_the_gone() -> None:
    """One that ended is dead until it is reaped, and then there is none of that id."""
    with child() as process:
        pidfd = os.pidfd_open(process.pid)
        try:
            assert not is_over(pidfd)
            began = time.monotonic()
            assert not is_over(pidfd, 0.05)
            assert time.monotonic() - began >= 0.05
            process.kill()
            assert is_over(pidfd, 60.0)
            found = stat(process.pid)
            assert found is not None
            assert found.dead
            process.wait()
            assert is_over(pidfd)
            assert stat(process.pid) is None
        finally:
            os.close(pidfd)


def test_what_cannot_be_read_is_nothing(tmp_path: Path) -> None:
    """No such file, a directory, and a file of a process that may not be looked at."""
    assert read_proc(str(tmp_path / "none")) == b""
    assert read_proc(str(tmp_path)) == b""
    assert stat(-1) is None


def test_more_than_is_read_at_once(tmp_path: Path) -> None:
    """A long environment is read to its end."""
    content = os.urandom(200_000)
    (tmp_path / "long").write_bytes(content)
    assert read_proc(str(tmp_path / "long")) == content


def test_the_run_of_the_machine() -> None:
    """It stays as it is while the machine runs."""
    if not Path("/proc/sys/kernel/random/boot_id").exists():
        pytest.skip("needs leave to see /proc/sys")
    assert len(boot_id()) == 36
    assert boot_id() == boot_id()


def test_without_a_descriptor_nothing_is_said_of_a_process() -> None:
    """Not that it is gone, which would have it replaced, nor that nothing of it is left."""
    with child() as process:
        about = stat(process.pid)
        assert about is not None
        with none_left():
            for look in (
                lambda: stat(about.pid),
                lambda: pin(about.pid, about.started),
                boot_id,
                lambda: [*everybody()],
            ):
                with pytest.raises(OSError, match="Too many open files"):
                    look()
        assert stat(process.pid) is not None


def test_a_child_that_cannot_be_held_is_killed() -> None:
    """Nobody would know of it."""
    with child() as process:
        with none_left(), pytest.raises(OSError, match="Too many open files"):
            Held.spawned(process, "a token")
        assert process.returncode == -9

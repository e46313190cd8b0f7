"""A worker's process, held so that nothing but it, and what it started, can be signalled."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

from selfheal.processes import Stat, is_over, stat
from selfheal.supervision.processes import family, look, pin, reap, reap_group, send
from selfheal.supervision.records import Pid


class Held:
    """One process: a child of ours, or one that an earlier supervisor started.

    Args:
        pid: its id; it leads a session and a process group of its own.
        started: clock ticks after the start of the machine.
        token: what all that it starts has in the environment.
        popen: where it is a child of ours.
    """

    def __init__(self, pid: int, started: int, token: str, popen: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self.started = started
        self.pidfd = pin(pid, started)
        self._token = token
        self._popen = popen

    @classmethod
    def spawned(cls, popen: subprocess.Popen[bytes], token: str) -> Held:
        """Hold a child just started.

        Raises:
            OSError: if there is no descriptor left for that; the child is killed.
        """
        try:
            about = stat(popen.pid)
            return cls(popen.pid, about.started if about else 0, token, popen)
        except OSError:
            os.killpg(popen.pid, signal.SIGKILL)  # it leads a group, and is not reaped: its id is nobody else's
            popen.wait()
            raise

    @property
    def key(self) -> Pid:
        """What tells it apart."""
        return Pid(pid=self.pid, started=self.started)

    @property
    def adopted(self) -> bool:
        """Whether somebody else started it."""
        return self._popen is None

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.pidfd is None or is_over(self.pidfd)

    def status(self) -> os.waitid_result | None:
        """How it ended, where that can be known."""
        return look(self.pid)

    def end(self, number: int) -> None:
        """Signal its group, and what else is in its session; then wake those that are stopped, so that they act."""
        self._send([s for s in self.left() if s.session == self.pid], number, signal.SIGCONT)

    def kill(self) -> None:
        """Kill its session, and what left it."""
        self._send(self.left(), signal.SIGKILL)

    def _send(self, others: list[Stat], *numbers: int) -> None:
        known = pin(self.pid, self.started)
        if known is not None:  # alive, or dead and not reaped: in either case its id is nobody else's
            os.close(known)
            others = [s for s in others if s.group != self.pid]
        for number in numbers:
            if known is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, number)
            send(others, number)

    def left(self) -> list[Stat]:
        """What of it still lives, itself apart: its session, and what it started elsewhere."""
        return family(self.pid, self.started, self._token)

    def sweep(self) -> None:
        """Reap what came to us as orphans of its group."""
        reap_group(self.pid, self.pid)

    def close(self) -> None:
        """Let it go; a dead child is reaped."""
        status = self.status()
        reap(self.pid)
        self.sweep()
        if self._popen is not None and self.over:
            known = status is not None and status.si_code == os.CLD_EXITED
            code = 0 if status is None else status.si_status
            self._popen.returncode = code if known else -code
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None

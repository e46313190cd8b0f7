"""Clean-up on a signal, only where the host asks for it, without taking anything from the host's own handlers.

The handler sets a flag and writes to a pipe, nothing else: it runs in the main thread between any two
bytecodes, often while that thread holds a lock, so anything that takes a lock could wait for itself.
A daemon thread at the other end of the pipe does the clean-up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from selfheal.errors import ConfigError

logger = logging.getLogger("selfheal.tasks")

SIGTERM = int(signal.SIGTERM)
"""The signal that is handled unless others are named."""

_CLEAN, _QUIT = b"c", b"q"


def _caught_below(number: int) -> bool:
    """Whether a library below Python handles a signal that Python believes to have its default action."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:  # not Linux: what Python believes is all there is
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (number - 1) & 1)


class SignalGuard:
    """Runs ``clean_up`` once when a signal comes, then lets happen what would have happened without it.

    Args:
        clean_up: bounded; called on a thread of ours.
    """

    def __init__(self, clean_up: Callable[[], object]) -> None:
        self._clean_up = clean_up
        self._before: dict[int, Any] = {}
        self._pending: list[int] = []
        self._active = False
        self._pipe: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None
        self._handler = self._on_signal  # one object, so that it can be told from others

    def install(self, signals: Iterable[int]) -> tuple[int, ...]:
        """Install for each of ``signals`` where that takes nothing away; return those it was installed for."""
        if threading.current_thread() is not threading.main_thread():
            raise ConfigError(
                "install_signals()",
                threading.current_thread().name,
                "called in the main thread, where Python runs handlers",
            )
        done = []
        for number in map(int, signals):
            before = signal.getsignal(number)
            if before is self._handler:
                done.append(number)
                continue
            foreign = before is None or (before is signal.SIG_DFL and _caught_below(number))
            if foreign or before is signal.SIG_IGN:
                why = "its handler is not Python's" if foreign else "it is ignored"
                logger.info("%s is left alone: %s", signal.Signals(number).name, why)
                continue
            self._listen()
            self._before[number] = before
            signal.signal(number, self._handler)
            done.append(number)
        return tuple(done)

    def uninstall(self) -> None:
        """Put back what was there before, wherever our handler is still the installed one.

        Python lets only the main thread do that. From another thread the handler stays in place and
        passes each signal on as if it were not there.
        """
        self._active = False
        main = threading.current_thread() is threading.main_thread()
        if main:
            self._restore()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            self._tell(_QUIT)
            thread.join(1.0)
        if main and self._thread is None:
            self._close()

    def after_fork(self) -> None:
        """In a forked child: the signals are the parent's business, and so is the pipe."""
        self._active = False
        self._restore()
        self._thread = None
        self._close()

    def _restore(self) -> None:
        for number, before in list(self._before.items()):
            if signal.getsignal(number) is self._handler:
                signal.signal(number, before)
                del self._before[number]

    def _close(self) -> None:
        """Close the pipe; in the main thread, where the handler that writes to it cannot run at the same time."""
        pipe, self._pipe = self._pipe, None
        for end in pipe or ():
            os.close(end)

    def _listen(self) -> None:
        """Start the thread that cleans up; not from within the handler, where starting one could deadlock."""
        self._active = True
        if self._thread is not None:
            return
        self._close()
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        self._thread = threading.Thread(target=self._watch, args=(self._pipe,), name="selfheal-signals", daemon=True)
        self._thread.start()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        before = self._before.get(number, signal.SIG_DFL)
        if self._active:
            if not callable(before):
                self._pending.append(number)
            self._tell(_CLEAN)
        if callable(before):
            before(number, frame)
        elif not self._active and before is signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _tell(self, what: bytes) -> None:
        if self._pipe is not None:
            with contextlib.suppress(BlockingIOError):  # full: the thread has been told often enough
                os.write(self._pipe[1], what)

    def _watch(self, pipe: tuple[int, int]) -> None:
        if os.read(pipe[0], 1) == _CLEAN:
            self._answer()
        self._thread = None

    def _answer(self) -> None:
        """Clean up, then send each signal that has its default action once more: the handler now lets it act."""
        try:
            self._clean_up()
        except Exception:
            logger.exception("the clean-up on a signal raised")
        self._active = False
        for number in list(self._pending):
            os.kill(os.getpid(), number)

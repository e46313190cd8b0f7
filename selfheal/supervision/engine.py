"""The loop that keeps all workers: one thread, asleep until a process ends, an answer comes or a time is due."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import selectors
import signal
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import StateDirTakenError
from selfheal.events import Event
from selfheal.supervision.answers import Coming
from selfheal.supervision.configs import StopPolicy, SupervisorConfig, WorkerConfig
from selfheal.supervision.keeping import Keeper
from selfheal.supervision.launching import Places, take_lock
from selfheal.supervision.processes import bearers, become_subreaper, send
from selfheal.supervision.records import read
from selfheal.supervision.snapshots import StopReport
from selfheal.supervision.states import NEVER

logger = logging.getLogger("selfheal.supervision")

_LOCK_WAIT = 2.0
"""Seconds given to a supervisor just killed: a process that it was starting may hold its lock for a moment."""
_AFTER_TROUBLE = 1.0
"""Seconds after which a worker whose turn raised is tried again."""
_LONGEST = 3_600.0


@attrs.define
class _Awaited:
    """A call whose answer waits until something holds."""

    future: Coming
    holds: Callable[[], bool]
    answer: Callable[[], Any]


class Engine:
    """Keeps the workers of one directory. Everything but :meth:`submit` and :meth:`close` is for its own thread.

    Args:
        config: the workers.
        folder: where their files are.
        clock: times everything.
        publish: takes the events.
    """

    def __init__(self, config: SupervisorConfig, folder: Path, clock: Clock, publish: Callable[[Event], None]) -> None:
        self.clock = clock
        self.publish = publish
        self.keepers: dict[str, Keeper] = {}
        self.spawn_lock = threading.Lock()
        self.spawning: contextlib.AbstractContextManager[object] = self.spawn_lock
        self._config = config
        self._folder = folder
        self._calls: deque[tuple[Coming, Callable[[], Any], Callable[[], bool] | None]] = deque()
        self._awaited: list[_Awaited] = []
        self._selector = selectors.DefaultSelector()
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock_fd: int | None = None
        self._house = NEVER
        self._open = threading.Lock()
        self._closed = False
        self._closing: tuple[float, float] | None = None
        self.watch(self._wakeup, selectors.EVENT_READ, self._woken)

    # Beginning.

    def open(self) -> None:
        """Take the directory and go on where the supervisor before stood.

        Raises:
            StateDirTakenError: if another supervisor is at work there.
            OSError: if the directory cannot be used.
        """
        workers = self._folder / "workers"
        workers.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock_fd = self._take(self._folder / "supervisor.lock")
        if self._config.subreaper and not become_subreaper():
            logger.warning("the kernel does not let this process reap what its workers leave behind")
        mine = hashlib.sha256(str(self._folder.resolve()).encode()).hexdigest()[:16] + ":"
        for found in bearers(mine, checks=True).values():
            send(found, signal.SIGKILL)
        alive = bearers(mine)
        named = {token.partition(":")[2] for token in alive} | {file.stem for file in workers.glob("*.json")}
        for name in [*self._config.workers, *sorted(named - self._config.workers.keys())]:
            config = self._config.workers.get(name)
            retired = WorkerConfig(command=("retired",), stop=StopPolicy())
            places = Places.of(workers, name)
            keeper = Keeper(name, config or retired, places, mine + name, self, retired=config is None)
            self.keepers[name] = keeper
            keeper.adopt(read(places.record), alive.get(mine + name, []))
            self._settle(keeper)
        self._house = self.clock.monotonic()

    def _take(self, path: Path) -> int:
        end = SYSTEM_CLOCK.monotonic() + _LOCK_WAIT
        while (fd := take_lock(path)) is None:
            if SYSTEM_CLOCK.monotonic() > end:
                told = path.read_text(encoding="ascii", errors="replace").strip()
                raise StateDirTakenError(str(self._folder), int(told) if told.isdigit() else None)
            SYSTEM_CLOCK.sleep(0.02)
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        return fd

    # Calls from other threads.

    def submit(self, act: Callable[[], Any], holds: Callable[[], bool] | None = None) -> Coming | None:
        """Have ``act`` called by the engine's thread.

        Args:
            act: its result is the answer; with ``holds``, it is called a second time for the answer.
            holds: what the answer waits for.

        Returns:
            The answer to come; ``None`` if the engine is closed.
        """
        future = Coming()
        with self._open:
            if self._closed:
                return None
            self._calls.append((future, act, holds))
            os.eventfd_write(self._wakeup, 1)
        return future

    def _woken(self) -> None:
        os.eventfd_read(self._wakeup)

    def _answer_calls(self) -> None:
        while self._calls:
            future, act, holds = self._calls.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = act()
            except Exception as error:
                future.set_exception(error)
                continue
            if holds is None:
                future.set_result(result)
            else:
                self._awaited.append(_Awaited(future, holds, result))

    def _answer_awaited(self, *, all_of_them: bool = False) -> None:
        waiting, self._awaited = [a for a in self._awaited if not a.future.given_up], []
        for awaited in waiting:
            try:
                if all_of_them or awaited.holds():
                    awaited.future.set_result(awaited.answer())
                else:
                    self._awaited.append(awaited)
            except Exception as error:
                awaited.future.set_exception(error)

    # The loop.

    def run(self) -> None:
        """Keep the workers until a shutdown is over."""
        try:
            while not self._over():
                self.turn(self._wait())
        finally:
            self._end()

    def turn(self, timeout: float) -> None:
        """Wait at most ``timeout`` seconds for something to happen, then do all that is to be done."""
        for key, _ in self._selector.select(timeout):
            current = self._selector.get_map().get(key.fd)
            if current is not None and current.data is key.data:  # else it was taken back a moment ago
                self._call(key.data, key.fd)
        self._answer_calls()
        now = self.clock.monotonic()
        if now >= self._house:
            self._keep_house(now)
        for keeper in list(self.keepers.values()):
            if keeper.due() <= now:
                self._guarded(keeper, functools.partial(keeper.turn, now))
            self._settle(keeper)
        self._answer_awaited()

    def _call(self, callback: Callable[[], None], fd: int) -> None:
        try:
            callback()
        except Exception:
            logger.exception("what was to be done for descriptor %s failed", fd)
            self.unwatch(fd)  # it would be ready for ever

    def _wait(self) -> float:
        due = min([self._house, *(keeper.due() for keeper in self.keepers.values())])
        if self._closing is not None:
            due = min(due, *self._closing)
        return min(max(due - self.clock.monotonic(), 0.0), _LONGEST)

    def _guarded(self, keeper: Keeper, act: Callable[[], float | None]) -> float:
        """What goes wrong with one worker must not end the care for the others."""
        try:
            return act() or 0.0
        except Exception:
            logger.exception("worker %r: its supervision failed; it is tried again", keeper.name)
            keeper.paused_until = self.clock.monotonic() + _AFTER_TROUBLE
            return _AFTER_TROUBLE

    def _keep_house(self, now: float) -> None:
        busy = [keeper for keeper in self.keepers.values() if keeper.busy]
        waits = [self._guarded(keeper, functools.partial(keeper.keep_house, now)) for keeper in busy]
        self._house = now + min(waits) if waits else NEVER

    def _settle(self, keeper: Keeper) -> None:
        keeper.settle()
        if keeper.busy:
            if self._house == NEVER:
                self._house = self.clock.monotonic()
        elif keeper.retired:
            keeper.forget()
            del self.keepers[keeper.name]

    def watch(self, fd: int, kind: int, callback: Callable[[], None]) -> None:
        """Call ``callback`` whenever ``fd`` is ready, in place of one set before."""
        if fd in self._selector.get_map():
            self._selector.modify(fd, kind, callback)
        else:
            self._selector.register(fd, kind, callback)

    def unwatch(self, fd: int) -> None:
        """Call nothing any more for ``fd``."""
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    # Ending.

    def shut_down(self, timeout: float) -> None:
        """Stop all workers: told at once, killed shortly before ``timeout`` seconds are over."""
        now = self.clock.monotonic()
        patience = max(timeout - 1.0, timeout * 0.8)
        self._closing = (now + patience, now + timeout)
        for keeper in reversed(self.keepers.values()):
            keeper.obey(keeper.machine.stop(now, "the supervisor was shut down", hold=False))

    @property
    def closing(self) -> bool:
        """Whether a shutdown has begun."""
        return self._closing is not None

    def _over(self) -> bool:
        if self._closing is None:
            return False
        if not any(keeper.busy for keeper in self.keepers.values()):
            return True
        now, (kill_at, end_at) = self.clock.monotonic(), self._closing
        if now >= kill_at:
            self._closing = (NEVER, end_at)
            for keeper in self.keepers.values():
                keeper.kill()
        return now >= end_at

    def report(self) -> StopReport:
        """What the shutdown came to."""
        keepers = self.keepers.values()
        busy = {keeper.name for keeper in keepers if keeper.busy}
        killed = {keeper.name for keeper in keepers if keeper.was_killed} - busy
        return StopReport(
            stopped=tuple(k.name for k in keepers if k.name not in busy | killed),
            killed=tuple(sorted(killed)),
            still_running=tuple(sorted(busy)),
        )

    def _end(self) -> None:
        with self._open:
            self._closed = True
        self._answer_calls()
        self._answer_awaited(all_of_them=True)
        for keeper in self.keepers.values():
            keeper.leave()
        self._selector.close()
        os.close(self._wakeup)
        self._give_back()

    def _give_back(self) -> None:
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def give_up(self) -> None:
        """Undo what :meth:`open` did when it did not succeed."""
        self._end()

    def forked(self) -> None:
        """In a forked child: hold none of the parent's locks."""
        self._open = threading.Lock()  # whoever held the old one is not in this process
        self._closed = True
        self._give_back()

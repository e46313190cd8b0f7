"""Levers that do nothing but remember: for tests of strategies, without services, queues or processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import attrs

from selfheal.errors import ConfigError, FallbackExhaustedError, NotFoundError
from selfheal.levers import Levers, Notification


class Pull(NamedTuple):
    """One pull of one lever.

    Attributes:
        lever: its name.
        move: the method.
        args: what it was called with.
    """

    lever: str
    move: str
    args: tuple[Any, ...]


class Journal:
    """What all levers of a :class:`RecordingLevers` share: the pulls, and which of them fail."""

    def __init__(self) -> None:
        self.pulls: list[Pull] = []
        self.failing: dict[tuple[str, str], Exception] = {}


class RecordingLever:
    """A lever that notes each pull, and fails when it is told to.

    Args:
        name: of the lever.
        journal: where pulls are noted.
    """

    def __init__(self, name: str, journal: Journal) -> None:
        self._name, self._journal = name, journal

    def _pull(self, move: str, *args: Any) -> None:
        self._journal.pulls.append(Pull(self._name, move, args))
        error = self._journal.failing.get((self._name, move))
        if error is not None:
            raise error

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"


class RecordingRateLimiter(RecordingLever):
    """Has a rate and a burst."""

    rate = 100.0
    burst = 100.0

    def set_rate(self, rate: float, burst: float | None = None) -> None:
        """Take it over."""
        self._pull("set_rate", rate, burst)
        self.rate = rate
        self.burst = self.burst if burst is None else burst


class RecordingCache(RecordingLever):
    """Has entries, and is on or off; ``clean_temp`` empties it as well."""

    entries = 10
    enabled = False

    def enable(self) -> bool:
        """Switch on."""
        self._pull("enable")
        was, self.enabled = self.enabled, True
        return not was

    def disable(self) -> bool:
        """Switch off."""
        self._pull("disable")
        was, self.enabled = self.enabled, False
        return was

    def clear(self) -> int:
        """Forget all entries; tell how many."""
        self._pull("clear")
        was, self.entries = self.entries, 0
        return was

    def size(self) -> int:
        """How many entries there are."""
        return self.entries

    def clean_temp(self, older_than: float) -> int:
        """Forget all entries; tell how many."""
        self._pull("clean_temp", older_than)
        was, self.entries = self.entries, 0
        return was


@attrs.frozen(kw_only=True)
class RecordedStatus:
    """How a service of :class:`RecordingServices` is."""

    pid: int | None
    state: str


class RecordingServices(RecordingLever):
    """Any service, each with a process id of its own from the first look on; a restart gives it another one."""

    def __init__(self, name: str, journal: Journal) -> None:
        super().__init__(name, journal)
        self.pids: dict[str, int | None] = {}
        self._next = 1000

    def restart(self, name: str) -> RecordedStatus:
        """Give it another process id."""
        self._pull("restart", name)
        self.pids[name] = self._new()
        return self.status(name)

    def status(self, name: str) -> RecordedStatus:
        """RUNNING with a process id, or STOPPED."""
        if name not in self.pids:
            self.pids[name] = self._new()
        pid = self.pids[name]
        return RecordedStatus(pid=pid, state="RUNNING" if pid is not None else "STOPPED")

    def running(self) -> tuple[str, ...]:
        """The services that were looked at and run."""
        return tuple(name for name, pid in self.pids.items() if pid is not None)

    def stop(self, name: str, reason: str = "") -> None:
        """Take its process id away."""
        self._pull("stop", name, reason)
        self.pids[name] = None

    def _new(self) -> int:
        self._next += 1
        return self._next


class RecordingFallback(RecordingLever):
    """Providers ``primary``, ``secondary`` and ``local``."""

    name = "recording"
    providers: tuple[str, ...] = ("primary", "secondary", "local")
    active = "primary"

    def switch(self, to: str | None = None, *, reason: str) -> str:
        """Use the named one, or the next."""
        self._pull("switch", to, reason)
        wanted = self._next() if to is None else to
        if wanted not in self.providers:
            raise NotFoundError("provider", wanted, self.providers)
        self.active = wanted
        return self.active

    def return_to(self, reason: str) -> str:
        """Use the first one."""
        self._pull("return_to", reason)
        self.active = self.providers[0]
        return self.active

    def snapshot(self) -> RecordingFallback:
        """Itself: it has ``providers`` and ``active``."""
        return self

    def _next(self) -> str:
        after = self.providers[self.providers.index(self.active) + 1 :]
        if not after:
            raise FallbackExhaustedError(self._name, self.active, self.providers)
        return after[0]


class RecordingWorkers(RecordingLever):
    """A number of workers within bounds."""

    size = 2
    minimum = 1
    maximum = 8

    def snapshot(self) -> RecordingWorkers:
        """Itself: it has ``size``, ``minimum`` and ``maximum``."""
        return self

    def scale(self, n: int) -> int:
        """Have that many, within the bounds."""
        self._pull("scale", n)
        self.size = max(min(n, self.maximum), self.minimum)
        return self.size


class RecordingQueue(RecordingLever):
    """Tasks in the hands of workers, and tasks with priorities."""

    def __init__(self, name: str, journal: Journal) -> None:
        super().__init__(name, journal)
        self.holders: dict[str, int] = {}
        self.ranks: dict[str, dict[int, int]] = {}

    def snapshot(self) -> RecordingQueue:
        """Itself: it has ``holders``."""
        return self

    def redistribute(self, worker: str) -> int:
        """Take all from a worker."""
        self._pull("redistribute", worker)
        return self.holders.pop(worker, 0)

    def priorities(self, target: str) -> Mapping[int, int]:
        """Those of :attr:`ranks`."""
        return dict(self.ranks.get(target, {}))

    def reprioritise(self, task: int, *, priority: int) -> bool:
        """Change it in :attr:`ranks`."""
        self._pull("reprioritise", task, priority)
        found = [ranks for ranks in self.ranks.values() if task in ranks]
        for ranks in found:
            ranks[task] = priority
        return bool(found)


class RecordingNotifier(RecordingLever):
    """Keeps notifications."""

    def __init__(self, name: str, journal: Journal) -> None:
        super().__init__(name, journal)
        self.notifications: list[Notification] = []

    def notify(self, notification: Notification) -> None:
        """Keep it."""
        self._pull("notify", notification.title)
        self.notifications.append(notification)


class RecordingSnapshotter(RecordingLever):
    """Writes the reason into a small file."""

    def __init__(self, name: str, journal: Journal, directory: Path) -> None:
        super().__init__(name, journal)
        self._directory = directory

    def snapshot(self, reason: str) -> Path:
        """Write a file."""
        self._pull("snapshot", reason)
        return self._write(reason)

    def profile(self, seconds: float, reason: str, cancelled: object) -> Path:
        """Write a file at once."""
        self._pull("profile", seconds, reason)
        return self._write(f"{reason} {seconds}")

    def _write(self, text: str) -> Path:
        path = self._directory / f"{self._name}-{len(self._journal.pulls)}.txt"
        path.write_text(text or "-")
        return path


class RecordingLevers(Levers):
    """All levers that the eleven actions ask for, in memory; each pull is remembered, any can be made to fail.

    >>> levers = RecordingLevers()
    >>> levers.rate_limiter.set_rate(5.0)
    >>> levers.pulls
    [Pull(lever='rate_limiter', move='set_rate', args=(5.0, None))]
    >>> levers.fail("services", "restart", OSError("no such program"))
    >>> levers.services.restart("api")
    Traceback (most recent call last):
    OSError: no such program

    Args:
        directory: where ``snapshotter`` and ``profiler`` write; ``None``: there are none.
        further: more levers, or others in place of these.
    """

    def __init__(self, directory: Path | None = None, /, **further: object) -> None:
        self._journal = Journal()
        self.rate_limiter = RecordingRateLimiter("rate_limiter", self._journal)
        self.cache = RecordingCache("cache", self._journal)
        self.services = RecordingServices("services", self._journal)
        self.fallback = RecordingFallback("fallback", self._journal)
        self.workers = RecordingWorkers("workers", self._journal)
        self.queue = RecordingQueue("queue", self._journal)
        self.notifier = RecordingNotifier("notifier", self._journal)
        made: dict[str, object] = {
            "rate_limiter": self.rate_limiter,
            "cache": self.cache,
            "services": self.services,
            "fallback": self.fallback,
            "workers": self.workers,
            "queue": self.queue,
            "order": self.queue,
            "notifier": self.notifier,
            "optional": self.services,
            "temp_files": self.cache,
        }
        if directory is not None:
            made |= {name: RecordingSnapshotter(name, self._journal, directory) for name in ("snapshotter", "profiler")}
        super().__init__({**made, **further})

    @property
    def pulls(self) -> list[Pull]:
        """What was pulled, in order; those that failed too."""
        return list(self._journal.pulls)

    def moves(self) -> list[str]:
        """The same in short: ``lever.move`` each."""
        return [f"{pull.lever}.{pull.move}" for pull in self._journal.pulls]

    def forget(self) -> None:
        """Forget the pulls so far."""
        self._journal.pulls.clear()

    def fail(self, lever: str, move: str, error: Exception | None) -> None:
        """Have a move raise ``error`` from now on; ``None``: work again.

        Raises:
            ConfigError: if there is no such lever, or it has no such move.
        """
        if not callable(getattr(self.get(lever), move, None)):
            raise ConfigError("RecordingLevers.fail", f"{lever}.{move}", "a lever that is there, and a method of it")
        if error is None:
            self._journal.failing.pop((lever, move), None)
        else:
            self._journal.failing[lever, move] = error

"""What is measured: the machine or container, processes, and what the host itself tells."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.detection.machine import Problems, read_machine
from selfheal.detection.processes import ProcessReader
from selfheal.errors import ConfigError
from selfheal.forking import track
from selfheal.usage import Usage, UsageReader
from selfheal.validators import between

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger("selfheal.detection.sampler")


class Sample(NamedTuple):
    """One measured value.

    Args:
        metric: its name.
        value: ``nan`` if it is missing.
        target: what it was measured on; ``""`` for what concerns all.
        t: wall seconds since 1970 UTC.
        at: monotonic seconds of the same moment.
    """

    metric: str
    value: float
    target: str
    t: float
    at: float


class Registers(Protocol):
    """What :meth:`Sampler.register` asks of a task registry."""

    def register_interval(self, id: str, fn: Callable[[], object], every: float) -> object:
        """Call ``fn`` every so many seconds."""


@attrs.frozen(kw_only=True)
class SamplerConfig:
    """What is measured by itself.

    Args:
        target: name of the machine or container in its samples.
        disk: whose file system is measured; ``None``: none.
        machine: whether the machine or container is measured.
        max_waiting: observed values kept until the next run; beyond that the oldest go, and are counted.
        max_watched: processes, and callables, at most.

    Raises:
        ConfigError: if a value is out of range.
    """

    target: str = ""
    disk: Path | None = attrs.field(default=Path("/"), converter=attrs.converters.optional(Path))
    machine: bool = True
    max_waiting: int = attrs.field(default=10_000, validator=between(1, 1_000_000))
    max_watched: int = attrs.field(default=256, validator=between(1, 10_000))


def _always() -> bool:
    return True


@attrs.frozen
class _Source:
    metric: str
    target: str
    read: Callable[[], float | None]


class Sampler:
    """Measures when it is asked to, or as a registered task.

    Of the machine or container: ``cpu_percent`` and ``memory_percent`` of what may be used (cgroups are looked at),
    ``memory_bytes``, ``load_per_cpu``, ``disk_percent``; of the machine, where it has a ``/proc``: ``fds`` and
    ``threads``. Of each watched process: ``process_cpu_percent`` (100 is one CPU), ``process_memory_bytes``,
    ``process_fds`` (not of another user's), ``process_threads``, ``process_zombie``, ``process_stopped``. CPU is
    measured between two runs: the first run has none. What cannot be read is left out and named in ``problems``.

    Safe from several threads; callables are called without a lock held. In a forked child it goes on without the
    values that the parent has yet to hand on.

    Args:
        config: what is measured by itself.
        usage: what reads CPU and memory; the cgroup-aware one where none is given.
        enabled: asked at each run of the task; while it answers ``False`` the task does nothing.
        clock: the time it goes by.
    """

    def __init__(
        self,
        config: SamplerConfig | None = None,
        *,
        usage: UsageReader | None = None,
        enabled: Callable[[], bool] = _always,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.config = config or SamplerConfig()
        self.dropped = 0
        self.problems: tuple[str, ...] = ()
        self._usage = usage
        self._enabled = enabled
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[Sample] = deque(maxlen=self.config.max_waiting)
        self._sources: dict[tuple[str, str], _Source] = {}
        self._processes: dict[str, ProcessReader] = {}
        self._said: set[object] = set()
        track(self, Sampler._in_child, lock=lambda me: me._lock)

    def observe(self, metric: str, value: float, target: str = "") -> None:
        """Take a value that the host measured; the next run hands it on with the time of now.

        Args:
            metric: its name.
            value: a number; ``nan`` if it is missing.
            target: what it was measured on.

        Raises:
            ConfigError: if the value is no number, or a name is no text.
        """
        t, at = self._clock.wall(), self._clock.monotonic()
        sample = Sample(name_of(metric), number_of(value, metric), target_of(target), t, at)
        with self._lock:
            self.dropped += len(self._waiting) == self.config.max_waiting
            self._waiting.append(sample)

    def add(self, metric: str, read: Callable[[], float | None], target: str = "") -> None:
        """Call ``read`` at each run for the value of a metric; ``None``, or an exception, means that it is missing.

        Raises:
            ConfigError: if it cannot be called, a name is no text, or there are too many.
        """
        if not callable(read):
            raise ConfigError("Sampler.add: read", read, "a callable")
        source = _Source(name_of(metric), target_of(target), read)
        with self._lock:
            self._room_for((metric, target) not in self._sources, len(self._sources))
            self._sources[metric, target] = source

    def remove(self, metric: str, target: str = "") -> bool:
        """Call no more for a metric; answers whether it was called for."""
        with self._lock:
            return self._sources.pop((metric, target), None) is not None

    def watch(self, pid: int, target: str = "") -> str:
        """Measure a process until it is gone.

        Args:
            pid: its number.
            target: its name in samples; by default its own with the number: ``python[4711]``.

        Returns:
            The target.

        Raises:
            ConfigError: if there is no such process, the target is no text, or there are too many.
        """
        reader = ProcessReader(pid)
        target = target_of(target) or f"{reader.name}[{pid}]"
        with self._lock:
            self._room_for(target not in self._processes, len(self._processes))
            self._processes[target] = reader
        return target

    def unwatch(self, target: str) -> bool:
        """Measure a process no more; answers whether it was watched."""
        with self._lock:
            return self._processes.pop(target, None) is not None

    @property
    def watched(self) -> Mapping[str, int]:
        """Targets of the processes that are measured, and their numbers."""
        with self._lock:
            return {target: reader.pid for target, reader in self._processes.items()}

    def sample(self) -> tuple[Sample, ...]:
        """Measure everything now; what was observed since the run before comes first."""
        problems: Problems = {}
        with self._lock:
            sources, processes = list(self._sources.values()), list(self._processes.items())
        read = [
            *self._machine(problems),
            *self._of_processes(processes, problems),
            *self._of_sources(sources, problems),
        ]
        t, at = self._clock.wall(), self._clock.monotonic()
        with self._lock:
            observed = tuple(self._waiting)
            self._waiting.clear()
        self.problems = tuple(problems.values())
        for about in problems.keys() - self._said:
            logger.warning("%s", problems[about])
        self._said = set(problems)
        return observed + tuple(Sample(metric, value, target, t, at) for metric, value, target in read)

    def register(
        self, tasks: Registers, deliver: Callable[[Sequence[Sample]], object], every: float = 10.0, id: str = "sampling"
    ) -> object:
        """Run as a task: measure and hand on, whenever ``enabled`` says so.

        Args:
            tasks: a task registry.
            deliver: called with what was measured.
            every: seconds.
            id: name of the task.

        Returns:
            What the registry answers.
        """

        def run() -> None:
            if self._enabled():
                deliver(self.sample())

        return tasks.register_interval(id, run, every)

    def _room_for(self, one_more: bool, there: int) -> None:
        if one_more and there >= self.config.max_watched:
            raise ConfigError("SamplerConfig.max_watched", there, "larger for one more to be measured", "256")

    def _in_child(self) -> None:
        """Make a new lock; what waits is the parent's to hand on."""
        self._lock = threading.Lock()
        self._waiting.clear()

    def _machine(self, problems: Problems) -> Iterator[tuple[str, float, str]]:
        if not self.config.machine:
            return
        first = self._usage is None
        if self._usage is None:  # the first reading takes something to be measured against
            self._usage = UsageReader(clock=self._clock)
        usage = self._usage.read()
        problems.update((problem, problem) for problem in usage.problems)
        target = self.config.target
        for metric, value in [*_of_usage(usage), *read_machine(self.config.disk, problems)]:
            if value is not None and not (first and metric == "cpu_percent"):  # a moment says nothing about CPU
                yield metric, value, target

    def _of_processes(
        self, processes: Sequence[tuple[str, ProcessReader]], problems: Problems
    ) -> Iterator[tuple[str, float, str]]:
        for target, reader in processes:
            try:
                found = reader.read(self._clock.monotonic())
            except Exception as error:  # not allowed, or out of open files; the others are still to be measured
                why = getattr(error, "strerror", None) or type(error).__name__
                problems["process", target] = f"process {reader.pid} ({target}) cannot be looked at ({why})"
                continue
            if found is None:
                with self._lock:
                    if self._processes.get(target) is reader:
                        del self._processes[target]
                logger.info("process %d (%s) is gone: it is not measured any more", reader.pid, target)
                continue
            yield from ((metric, value, target) for metric, value in found)

    def _of_sources(self, sources: Sequence[_Source], problems: Problems) -> Iterator[tuple[str, float, str]]:
        for source in sources:
            try:
                read = source.read()
                value = math.nan if read is None else number_of(read, source.metric)
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
                problems["source", source.metric, source.target] = (
                    f"{source.metric} of {source.target!r} cannot be read ({why})"
                )
                value = math.nan
            yield source.metric, value, source.target


def _of_usage(usage: Usage) -> Iterator[tuple[str, float | None]]:
    yield "cpu_percent", usage.cpu
    yield "memory_percent", usage.memory
    yield "memory_bytes", None if usage.memory_used is None else float(usage.memory_used)


def number_of(value: Any, metric: str) -> float:
    """The value of a metric as a float; ConfigError if it is no number."""
    try:
        if not isinstance(value, bool) and hasattr(value, "__float__"):
            return float(value)  # numpy's numbers too
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        raise _no_number(value, metric) from None
    raise _no_number(value, metric)


def _no_number(value: object, metric: str) -> ConfigError:
    return ConfigError(f"value of {metric!r}", value, "a number, nan where it is missing")


def name_of(metric: object) -> str:
    """The name of a metric; ConfigError if it is none."""
    if not isinstance(metric, str) or not metric:
        raise ConfigError("metric", metric, "a name")
    return metric


def target_of(target: object) -> str:
    """What is measured; ConfigError if it is no text."""
    if not isinstance(target, str):
        raise ConfigError("target", target, "text; empty for what concerns all")
    return target

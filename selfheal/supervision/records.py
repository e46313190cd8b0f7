"""What a supervisor writes down of its workers, so that the next one can go on: one small JSON file each."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import attrs

from selfheal.clock import Clock
from selfheal.configuring import structure
from selfheal.durable import replace_file
from selfheal.errors import ConfigError
from selfheal.processes import boot_id
from selfheal.supervision.states import Memory

logger = logging.getLogger("selfheal.supervision")

VERSION = 1


@attrs.frozen(kw_only=True)
class Pid:
    """A process, told apart for good.

    Args:
        pid: its id.
        started: clock ticks after the start of the machine.
    """

    pid: int
    started: int


@attrs.frozen(kw_only=True)
class Record:
    """What is kept of one worker.

    Args:
        memory: its state, as of when it was written.
        process: its process, or ``None``.
        settings: tells whether its settings are still those it was started with.
        boot: which run of the machine it was.
        wall: wall-clock seconds when it was written.
        monotonic: monotonic seconds then, of that run of the machine.
        version: of this shape.
    """

    memory: Memory
    process: Pid | None
    settings: str
    boot: str
    wall: float
    monotonic: float
    version: int = VERSION

    @property
    def same_boot(self) -> bool:
        """Whether the machine still runs as when it was written, so that its process ids mean something."""
        return self.boot == boot_id()

    def recalled(self, clock: Clock) -> Memory:
        """The memory as of now: ages grown, waits shrunk by the time since."""
        passed = clock.monotonic() - self.monotonic if self.same_boot else clock.wall() - self.wall
        passed = max(passed, 0.0)
        memory = self.memory
        return attrs.evolve(
            memory,
            restarts=tuple(age + passed for age in memory.restarts),
            retry_in=max(memory.retry_in - passed, 0.0),
            uptime=memory.uptime + passed,
        )


def write(path: Path, memory: Memory, process: Pid | None, settings: str, clock: Clock) -> None:
    """Write a record: all of it or nothing, also if the supervisor is killed meanwhile.

    Raises:
        OSError: if it cannot be written.
    """
    record = Record(
        memory=memory,
        process=process,
        settings=settings,
        boot=boot_id(),
        wall=clock.wall(),
        monotonic=clock.monotonic(),
    )
    replace_file(path, json.dumps(attrs.asdict(record)).encode(), sync="content")


def read(path: Path) -> Record | None:
    """Read a record; ``None`` if there is none, or it cannot be read, which is logged."""
    try:
        data: Any = json.loads(path.read_bytes())
        record = structure(data, Record)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, ConfigError) as error:
        logger.warning("the record %s cannot be read and counts for nothing: %s", path, error)
        return None
    if record.version != VERSION:
        logger.warning("the record %s is of another version and counts for nothing: %s", path, record.version)
        return None
    return record

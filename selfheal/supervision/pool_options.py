"""What a worker pool can be told, with its defaults."""

from __future__ import annotations

from typing import TypedDict

import attrs

from selfheal.errors import ConfigError
from selfheal.validators import between, name, one_of

_LONGEST = 366 * 86_400.0
_MOST = 1_000


@attrs.frozen(kw_only=True)
class PoolOptions:
    """How one worker pool behaves. All times are seconds.

    Args:
        name: what it is called in errors, events and figures.
        mode: ``process``: each worker is a process; ``thread``: a thread, which cannot be killed.
        size: workers at the start.
        minimum: fewest workers that ``scale`` goes down to.
        maximum: most workers that ``scale`` goes up to.
        task_timeout: a task without sign of progress for this long is hung: its worker is killed and
            replaced, the task delivered anew; ``None``: a task may take for ever.
        start_timeout: a worker that is not ready by then is hung.
        ping_every: how often an idle worker process is asked whether it is there.
        silent_after: an idle worker process that does not answer for this long is hung.
        stop_grace: how long a worker that was told to end may take before it is killed.
        retry_delay: how long a task that raised waits before it is delivered again.
        intensity: unplanned ends of workers within ``period`` that are answered with a new one; one more and
            the pool has FAILED.
        period: how far back they are counted.
        max_tasks: tasks after which a worker is replaced by a new one (against leaks); ``None``: never.
        max_abandoned: hung threads left behind before a pool of threads has FAILED.

    Raises:
        ConfigError: if a value is not accepted.
    """

    name: str = attrs.field(default="pool", validator=name)
    mode: str = attrs.field(default="process", validator=one_of("process", "thread"))
    size: int = attrs.field(default=2, validator=between(0, _MOST))
    minimum: int = attrs.field(default=0, validator=between(0, _MOST))
    maximum: int = attrs.field(default=32, validator=between(1, _MOST))
    task_timeout: float | None = attrs.field(default=60.0, validator=between(0.001, _LONGEST, "s", optional=True))
    start_timeout: float = attrs.field(default=30.0, validator=between(0.001, 3_600.0, "s"))
    ping_every: float = attrs.field(default=10.0, validator=between(0.01, 3_600.0, "s"))
    silent_after: float = attrs.field(default=30.0, validator=between(0.01, 86_400.0, "s"))
    stop_grace: float = attrs.field(default=5.0, validator=between(0.0, 3_600.0, "s"))
    retry_delay: float = attrs.field(default=1.0, validator=between(0.0, _LONGEST, "s"))
    intensity: int = attrs.field(default=5, validator=between(0, 1_000_000))
    period: float = attrs.field(default=300.0, validator=between(0.001, _LONGEST, "s"))
    max_tasks: int | None = attrs.field(default=None, validator=between(1, 1_000_000_000, optional=True))
    max_abandoned: int = attrs.field(default=3, validator=between(0, _MOST))

    def __attrs_post_init__(self) -> None:
        if self.minimum > self.maximum:
            raise ConfigError("PoolOptions.minimum", self.minimum, f"at most maximum ({self.maximum})", "0")
        if not self.minimum <= self.size <= self.maximum:
            words = f"between minimum ({self.minimum}) and maximum ({self.maximum})"
            raise ConfigError("PoolOptions.size", self.size, words, "2")


class PoolFields(TypedDict, total=False):
    """The fields of :class:`PoolOptions`, its name apart, as keyword arguments of a pool."""

    mode: str
    size: int
    minimum: int
    maximum: int
    task_timeout: float | None
    start_timeout: float
    ping_every: float
    silent_after: float
    stop_grace: float
    retry_delay: float
    intensity: int
    period: float
    max_tasks: int | None
    max_abandoned: int

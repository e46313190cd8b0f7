"""Strategy files looked at again and again: a good change is taken, a bad one is told and left."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ConfigError, InvalidConfigError
from selfheal.events import DEFAULT_BUS, EventBus, StrategiesRefused, StrategiesReloaded
from selfheal.healing.strategies.checking import Host, KnownActions
from selfheal.healing.strategies.loading import Contents, contents_of, files_of
from selfheal.healing.strategies.sets import StrategySet
from selfheal.policies.protection import Protection

logger = logging.getLogger("selfheal.strategies")

_COARSE = 2.0
"""Seconds within which two writes may leave the same time on a file: then it is read, whatever its time says."""

Mark = tuple[tuple[str, int, int, int], ...]
"""Name, size, time of change and number of each file."""


class StrategyFile:
    """A strategy file, or a directory of them, from which strategies are taken anew whenever it changed.

    Call :meth:`look` now and then, from one thread; a look at a file that did not change costs some microseconds.
    Nothing is half taken: where the new content is not accepted, or the file vanished, the old strategies stay,
    and it is logged, published as :class:`~selfheal.events.StrategiesRefused` and kept in :attr:`problem`, once for
    each bad content.

    Args:
        path: a ``.json`` or ``.toml`` file, or a directory of them.
        actions: what the strategies may name; ``None``: not checked.
        levers: what the actions may pull; ``None``: not checked.
        protection: what they may touch; ``None``: not checked.
        quiet: seconds for which nothing was written before a change is taken, so that a TOML file that is half
            written is not taken for a shorter one.
        clock: for ``quiet``, and the time of events.
        events: where changes are told.

    Raises:
        InvalidConfigError: with all that is wrong: there are no old strategies to keep.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        actions: KnownActions | None = None,
        levers: Mapping[str, object] | None = None,
        protection: Protection | None = None,
        quiet: float = 0.5,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
    ) -> None:
        given: object = quiet
        if isinstance(given, bool) or not isinstance(given, int | float) or not 0.0 <= given <= 60.0:
            raise ConfigError("StrategyFile.quiet", given, "between 0.0 and 60.0 s", "0.5")
        self.path = Path(path)
        self._host = Host(actions=actions, levers=levers, protection=protection)
        self._quiet, self._clock, self._events = quiet, clock, events
        self._mark: Mark | None = self._marked()
        contents = contents_of(self.path)
        self._taken = self._seen = _digest(contents)
        self._read_at = clock.wall()
        self._strategies = StrategySet.from_contents(contents, self.path, self._host)
        self._problem: ConfigError | None = None

    @property
    def strategies(self) -> StrategySet:
        """The strategies that hold: those of the last content that was accepted."""
        return self._strategies

    @property
    def problem(self) -> ConfigError | None:
        """What is wrong with the files as they are now; ``None`` if nothing is."""
        return self._problem

    def look(self) -> StrategySet | None:
        """The new strategies, if the files changed and are accepted; else ``None``. Raises nothing."""
        try:
            mark = self._marked()
            if mark == self._mark and not self._may_hide(mark):
                return None
            if self._is_written(mark):
                return None
            contents = contents_of(self.path)
            if self._marked() != mark:
                return None  # it was written meanwhile: the next look is soon enough
        except ConfigError as error:  # a directory that is gone, or empty
            self._mark = None
            self._refuse(error, f"gone: {error}")
            return None
        self._mark, self._read_at = mark, self._clock.wall()
        digest = _digest(contents)
        if digest == self._seen:
            return None
        return self._take(contents, digest)

    def _take(self, contents: Contents, digest: str) -> StrategySet | None:
        if digest == self._taken:
            self._seen, self._problem = digest, None
            logger.info("%s is as it was again: its strategies stay", self.path)
            return None
        try:
            found = StrategySet.from_contents(contents, self.path, self._host)
        except InvalidConfigError as error:
            self._refuse(error, digest)
            return None
        self._strategies, self._problem = found, None
        self._seen = self._taken = digest
        logger.info("%s changed: %d strategies from now on", self.path, len(found))
        at = self._clock.wall()
        self._events.publish(StrategiesReloaded(at=at, source=str(self.path), strategies=len(found)))
        return found

    def _refuse(self, error: ConfigError, digest: str) -> None:
        if digest == self._seen:
            return
        self._problem, self._seen = error, digest
        logger.warning("%s is not accepted, the strategies of before stay: %s", self.path, error)
        self._events.publish(StrategiesRefused(at=self._clock.wall(), source=str(self.path), problem=str(error)))

    def _marked(self) -> Mark:
        """How the files look from outside."""
        marks = []
        for file in files_of(self.path):
            try:
                found = os.stat(file)
                marks.append((file.name, found.st_size, found.st_mtime_ns, found.st_ino))
            except OSError:
                marks.append((file.name, -1, 0, 0))
        return tuple(marks)

    def _may_hide(self, mark: Mark) -> bool:
        """Whether a file was written so shortly before it was read that a further write may not show."""
        return any(written / 1e9 > self._read_at - _COARSE for _, _, written, _ in mark)

    def _is_written(self, mark: Mark) -> bool:
        """Whether somebody writes right now. A time in the future tells nothing: clocks of file servers differ."""
        ages = [self._clock.wall() - written / 1e9 for _, _, written, _ in mark]
        return any(0.0 <= age < self._quiet for age in ages)


def _digest(contents: Contents) -> str:
    made = hashlib.sha256()
    for content in contents:
        data = content.data if content.data is not None else str(content.problem).encode("utf-8", "replace")
        made.update(f"{content.path.name}\0{content.data is None}\0{len(data)}\0".encode("utf-8", "surrogateescape"))
        made.update(data)
    return made.hexdigest()

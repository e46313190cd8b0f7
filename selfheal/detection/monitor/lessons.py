"""All learners of a monitor, one step after the other."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from selfheal.detection.monitor.learners import Learner, Learning, News, Past
from selfheal.detection.monitor.signals import Ended, Series, Signal
from selfheal.errors import ConfigError, StateError

logger = logging.getLogger("selfheal.detection.monitor")


class Lessons:
    """Hands steps to learners, and keeps what one of them does wrong from the others. The owner keeps threads apart.

    Args:
        learners: no two of one name.

    Attributes:
        problems: of each learner that failed last time, in words.
        at: name of the learner that is judging now; empty while none is.

    Raises:
        ConfigError: if one is no learner, or a name is there twice.
    """

    def __init__(self, learners: Iterable[Learner]) -> None:
        self.learners = tuple(learners)
        self.problems: dict[str, str] = {}
        self.at = ""
        names: set[str] = set()
        for learner in self.learners:
            if not isinstance(learner, Learner):
                raise ConfigError("Monitor.learners", learner, "learners: with step, states, usual, to_dict and load")
            if learner.name in names or learner.name.startswith("rule "):
                raise ConfigError("Monitor.learners", learner.name, "names that differ, and are not those of rules")
            names.add(learner.name)

    def run(self, t: float, values: Mapping[Series, float], past: Callable[[Series], Iterable[Any]]) -> News:
        """Have all learners judge and learn the step that began at ``t``."""
        news: News = []
        for learner in self.learners:
            news += self._taught(learner, t, values, past)
        return news

    def _taught(self, learner: Learner, t: float, values: Mapping[Series, float], past: Past) -> News:
        self.at = learner.name
        try:
            found = list(learner.step(t, values, past))
            if not all(isinstance(one, Signal | Ended) for one in found):
                raise TypeError(f"it said {found!r:.200}, not signals and their ends")
        except Exception as error:
            self._failed(learner, error)
            return []
        finally:
            self.at = ""
        self.problems.pop(learner.name, None)
        return found

    def _failed(self, learner: Learner, error: Exception) -> None:
        if learner.name not in self.problems:
            logger.error("learner %s failed: it tells nothing until it works again", learner.name, exc_info=error)
        self.problems[learner.name] = f"learner {learner.name} failed ({type(error).__name__}: {error})"

    def told(self) -> Iterator[str]:
        """What stands in the way of each learner, in words."""
        yield from tuple(self.problems.values())
        yield from filter(None, (str(getattr(learner, "problem", "")) for learner in self.learners))

    def states(self) -> tuple[Learning, ...]:
        """How far all of them have come."""
        states: list[Learning] = []
        for learner in self.learners:
            try:
                states += learner.states()
            except Exception as error:
                self._failed(learner, error)
        return tuple(states)

    def usual(self, series: Series, t: float) -> tuple[float, float] | None:
        """Mean and spread that are usual for a series, as the first learner that knows tells."""
        for learner in self.learners:
            try:
                usual = learner.usual(series, t)
            except Exception as error:
                self._failed(learner, error)
            else:
                if usual is not None:
                    return usual
        return None

    def to_dict(self) -> dict[str, Any]:
        """What all learnt, by name; without one whose record JSON cannot hold, which would spoil the others'."""
        saved: dict[str, Any] = {}
        for learner in self.learners:
            try:
                record = learner.to_dict()
                json.dumps(record, allow_nan=False)
            except Exception as error:
                self._failed(learner, error)
            else:
                saved[learner.name] = record
        return saved

    def load(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Take over what was saved; what is left out, in words. One that is damaged is refused alone."""
        left_out: list[str] = []
        for learner in self.learners:
            if learner.name not in data:
                left_out.append(f"learner {learner.name} is new: it learns from the history")
                continue
            try:
                left_out += learner.load(data[learner.name])
            except (StateError, ConfigError, KeyError, TypeError, ValueError, AttributeError) as error:
                logger.error("what learner %s had learnt is refused, and it learns anew: %s", learner.name, error)
                left_out.append(f"learner {learner.name} learns anew: {error}")
        return tuple(left_out)

"""Engages the responses of a budget and releases them again, one at a time, whatever one of them raises."""

from __future__ import annotations

import collections
import fnmatch
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import attrs

from selfheal.errors import ConfigError
from selfheal.redaction import scrub
from selfheal.resources.budget_machine import BudgetLevel
from selfheal.resources.budget_responses import BudgetResponse

logger = logging.getLogger("selfheal.resources")

ALWAYS_PROTECTED = ("healing", "preventive-healing", "resource-budget*", "selfheal", "selfheal.*", "selfheal-*")
"""What no budget touches, whatever the host says: selfheal's own work, by the names it goes under."""

_REMEMBERED = 1_000
"""Names whose protection is not looked up twice, at most."""

KEPT = 100
"""Deeds that are kept for the report."""


class Deed(NamedTuple):
    """What a response did.

    Attributes:
        at: wall-clock seconds.
        response: its name.
        step: ``engage`` or ``release``.
        detail: what came of it, in words.
        error: what it raised, as text, or empty.
    """

    at: float
    response: str
    step: str
    detail: str
    error: str


@attrs.define
class _Standing:
    """How one response stands: the level it was engaged for last, whether it then ran, and what it raised last."""

    response: BudgetResponse
    engaged: BudgetLevel | None = None
    touched: bool = False
    problem: str = ""


class Problems:
    """What goes wrong beside the responses, each thing until it goes right again.

    Args:
        owner: for the log.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self.told: dict[str, str] = {}

    def note(self, what: str, problem: str, error: Exception | None = None) -> None:
        """Keep a problem, or forget it where it is empty; it is logged when it is new."""
        if problem and self.told.get(what) != problem:
            logger.warning("%s: %s: %s", self._owner, what, problem, exc_info=error)
        kept = {**self.told, what: problem}
        self.told = {key: value for key, value in kept.items() if value}


class Protection:
    """The names that are never touched: patterns as of ``fnmatch``, case and all; selfheal's own are always in."""

    def __init__(self, names: Iterable[str]) -> None:
        if isinstance(names, str):
            raise ConfigError("ResourceBudget.protected", names, "a list of names, not one text")
        self.names = (*ALWAYS_PROTECTED, *names)
        for name in self.names:
            if type(name) is not str or not name.strip():
                raise ConfigError("ResourceBudget.protected", name, "made of names that are not blank")
        self._known: dict[str, bool] = {}

    def covers(self, name: str) -> bool:
        """Whether ``name`` is protected."""
        known = self._known.get(name)
        if known is None:
            known = any(fnmatch.fnmatchcase(name, pattern) for pattern in self.names)
            if len(self._known) < _REMEMBERED:
                self._known[name] = known
        return known

    def among(self, names: Iterable[str]) -> list[str]:
        """Those of ``names`` that are protected."""
        return [name for name in names if self.covers(name)]


class Responding:
    """Brings the responses to where the level wants them.

    No lock is held while a response runs. While one thread is at it, others that come leave it to that one.

    Args:
        responses: in the order in which they are engaged; released in reverse.
        protection: names that are never touched, looked up when made and again right before each engagement.
        wall: the wall clock.
        tell: called with each deed.

    Raises:
        ConfigError: if one is no response, two have one name, or one would touch what is protected.
    """

    def __init__(
        self,
        responses: Sequence[BudgetResponse],
        protection: Protection,
        wall: Callable[[], float],
        tell: Callable[[Deed], None],
    ) -> None:
        self._protection = protection
        self._wall = wall
        self._tell = tell
        self._lock = threading.Lock()
        self._busy = False
        self._wanted = BudgetLevel.NORMAL
        self._standings = [_Standing(self._accept(response)) for response in responses]
        self._deeds: collections.deque[Deed] = collections.deque(maxlen=KEPT)
        names = [standing.response.name for standing in self._standings]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError("ResourceBudget.responses", name, "made of responses of different names")

    def _accept(self, response: BudgetResponse) -> BudgetResponse:
        parts = ("name", "at", "targets", "engage", "release")
        if isinstance(response, type) or not all(hasattr(response, part) for part in parts):
            raise ConfigError("ResourceBudget.responses", response, f"made of objects with {', '.join(parts)}")
        forbidden = self._protection.among(response.targets())
        if forbidden:
            accepted = "a response that touches nothing protected"
            raise ConfigError(f"ResourceBudget.responses[{response.name!r}]", forbidden, accepted)
        return response

    @property
    def engaged(self) -> tuple[str, ...]:
        """Names of the responses that are engaged, or could not be released."""
        return tuple(one.response.name for one in self._standings if one.engaged is not None)

    @property
    def deeds(self) -> tuple[Deed, ...]:
        """What was done, the last of it, oldest first."""
        with self._lock:
            return tuple(self._deeds)

    @property
    def problems(self) -> dict[str, str]:
        """Name to what it raised last, of those whose last step failed."""
        return {one.response.name: one.problem for one in self._standings if one.problem}

    def bring_to(self, level: BudgetLevel) -> None:
        """Engage what ``level`` asks for and release what it does not. What could not be released is tried again."""
        with self._lock:
            self._wanted = level
            if self._busy:
                return
            self._busy = True
        tried: set[int] = set()
        try:
            while (move := self._next(tried)) is not None:
                standing, wanted = move
                if wanted is None:
                    tried.add(id(standing))
                self._move(standing, wanted)
        except BaseException:  # the thread is being ended: the next one that comes goes on
            with self._lock:
                self._busy = False
            raise

    def start_over(self) -> None:
        """In a forked child: the thread that was at it is not here."""
        self._lock = threading.Lock()
        self._busy = False

    def _next(self, tried: set[int]) -> tuple[_Standing, BudgetLevel | None] | None:
        """The next thing to do: releases first, in reverse, each tried once; ``None`` for the level to release."""
        with self._lock:
            level = self._wanted
            for standing in reversed(self._standings):
                over = standing.engaged is not None and standing.response.at.rank > level.rank
                if over and id(standing) not in tried:
                    return standing, None
            for standing in self._standings:
                if standing.response.at.rank <= level.rank and standing.engaged is not level:
                    return standing, level
            self._busy = False
            return None

    def _move(self, standing: _Standing, level: BudgetLevel | None) -> None:
        response, error, detail = standing.response, "", ""
        try:
            if level is None:
                detail = response.release() if standing.touched else "nothing was done"
            elif forbidden := self._protection.among(response.targets()):
                error = f"not engaged: {', '.join(forbidden)} is protected"
            else:
                standing.touched = True
                detail = response.engage(level)
        except Exception as raised:
            error = scrub(f"{type(raised).__name__}: {raised}")[:500]
            if error != standing.problem:  # once, not at every attempt
                logger.warning("budget response %r failed", response.name, exc_info=True)
        news = error != standing.problem or not error
        with self._lock:
            standing.problem = error
            # What failed to be engaged may be half done: it is released all the same. What failed to be released
            # stays engaged and is tried again.
            if level is not None or not error:
                standing.engaged = level
                standing.touched = standing.touched and level is not None
        if news:
            deed = Deed(self._wall(), response.name, "release" if level is None else "engage", str(detail)[:200], error)
            with self._lock:
                self._deeds.append(deed)
            self._tell(deed)

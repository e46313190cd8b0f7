"""Which provider is in use, and when the preferred one may come back: a pure machine, no clock, no lock."""

from __future__ import annotations

import attrs

from selfheal.errors import ConfigError, FallbackExhaustedError, NotFoundError
from selfheal.validators import between, boolean
from selfheal.validators import name as a_name


@attrs.frozen(kw_only=True)
class FallbackConfig:
    """The settings of a :class:`~selfheal.levers.FallbackSwitch`.

    Args:
        name: for errors and events.
        auto_return: whether it goes back to the preferred provider by itself.
        return_after: successful probes in a row after which it goes back.
        probe_every: seconds between two probes; doubles with each that fails.
        probe_cap: longest pause between two probes, in seconds.
        minimum_stay: seconds it stays away at least before it goes back by itself. Doubles when a return did not
            last that long.
        longest_stay: what that grows to at most, in seconds.

    Raises:
        ConfigError: if a value is out of range.
    """

    name: str = attrs.field(default="fallback", validator=a_name)
    auto_return: bool = attrs.field(default=True, validator=boolean)
    return_after: int = attrs.field(default=3, validator=between(1, 1000))
    probe_every: float = attrs.field(default=30.0, validator=between(0.01, 86_400.0, "s"))
    probe_cap: float = attrs.field(default=600.0, validator=between(0.01, 604_800.0, "s"))
    minimum_stay: float = attrs.field(default=60.0, validator=between(0.0, 86_400.0, "s"))
    longest_stay: float = attrs.field(default=3600.0, validator=between(0.0, 604_800.0, "s"))

    def __attrs_post_init__(self) -> None:
        for low, high in (("probe_every", "probe_cap"), ("minimum_stay", "longest_stay")):
            if getattr(self, high) < getattr(self, low):
                told = f"at least {low}, {getattr(self, low)} s"
                raise ConfigError(f"FallbackConfig.{high}", getattr(self, high), told)


@attrs.frozen(kw_only=True)
class FallbackSnapshot:
    """A fallback switch at one moment.

    Args:
        name: of the switch.
        active: the provider in use.
        preferred: the first one.
        providers: all, in order of preference.
        since: seconds the active one has been in use.
        reason: why it is.
        by: who made it so; empty where it happened by itself.
        held: whether it stays until a person goes back.
        switches: how often it moved.
        successes: successful probes of the preferred one in a row.
        probe_in: seconds until the next probe, ``None`` if none is planned.
        stay: seconds it stays away at least.
        last_probe_error: what the last failed probe said, or empty.
    """

    name: str
    active: str
    preferred: str
    providers: tuple[str, ...]
    since: float
    reason: str
    by: str
    held: bool
    switches: int
    successes: int
    probe_in: float | None
    stay: float
    last_probe_error: str


@attrs.frozen
class Move:
    """Calls go from ``old`` to ``new``."""

    old: str
    new: str


class FallbackMachine:
    """The active provider, and the way back to the preferred one.

    Args:
        config: the settings.
        names: the providers in order of preference.
        now: monotonic seconds.
    """

    def __init__(self, config: FallbackConfig, names: tuple[str, ...], now: float) -> None:
        self.config, self.names = config, names
        self.active = self.preferred = names[0]
        self.since = now
        self.held = False
        self.stay = config.minimum_stay
        self.successes = 0
        self.generation = 0
        self.probe_at = now
        self._pause = config.probe_every
        self._returned_at: float | None = None

    def after(self, active: str) -> str:
        """The provider after ``active``.

        Raises:
            FallbackExhaustedError: if that is the last one.
        """
        index = self.names.index(active) + 1
        if index >= len(self.names):
            raise FallbackExhaustedError(self.config.name, active, self.names)
        return self.names[index]

    def others(self) -> tuple[str, ...]:
        """All but the active one: those after it, then those before it."""
        index = self.names.index(self.active)
        return self.names[index + 1 :] + self.names[:index]

    def move(self, to: str, now: float, *, hold: bool = False, by_itself: bool = False) -> Move | None:
        """Make ``to`` the active one; ``None`` if it is.

        Raises:
            NotFoundError: if there is no such provider.
        """
        if to not in self.names:
            raise NotFoundError("provider", to, self.names)
        self.held = hold and to != self.preferred
        if to == self.active:
            return None
        move = Move(self.active, to)
        self._learn_from(to, now, by_itself)
        self.active, self.since = to, now
        self.generation += 1
        self.successes, self._pause = 0, self.config.probe_every
        self.probe_at = now + self._pause
        return move

    def _learn_from(self, to: str, now: float, by_itself: bool) -> None:
        """A return by itself that did not last makes the next stay away longer."""
        if to == self.preferred:
            self._returned_at = now if by_itself else None
        elif self.active == self.preferred:
            lasted = None if self._returned_at is None else now - self._returned_at
            if lasted is not None and lasted < self.stay:
                self.stay = min(2 * self.stay, self.config.longest_stay)
            else:
                self.stay = self.config.minimum_stay

    def probe_in(self, now: float) -> float | None:
        """Seconds until the preferred provider is to be probed; ``None`` if it is not."""
        if self.active == self.preferred or self.held or not self.config.auto_return:
            return None
        return max(self.probe_at - now, 0.0)

    def begin_probe(self, now: float) -> int | None:
        """Ask to probe at ``now``: the generation to hand in with what came of it, or ``None``."""
        due = self.probe_in(now)
        if due is None or due > 0.0:
            return None
        self.probe_at = now + self.config.probe_cap  # nobody else meanwhile; the result sets it right
        return self.generation

    def probed(self, generation: int, good: bool, now: float) -> Move | None:
        """Hand in what a probe showed; the last of enough good ones goes back, once the stay is over."""
        if generation != self.generation:
            return None
        if not good:
            self.successes = 0
            self._pause = min(2 * self._pause, self.config.probe_cap)
            self.probe_at = now + self._pause
            return None
        self.successes += 1
        self._pause = self.config.probe_every
        self.probe_at = now + self._pause
        if self.held or self.successes < self.config.return_after:
            return None
        left = self.since + self.stay - now
        if left > 0.0:
            self.probe_at = now + max(min(left, self._pause), 0.0)
            return None
        return self.move(self.preferred, now, by_itself=True)

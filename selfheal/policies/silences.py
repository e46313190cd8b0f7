"""Alerts that nobody answers for a while, because a person said so: it always ends. Pure: the caller gives the time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypedDict, Unpack

import attrs

from selfheal.configuring import structure
from selfheal.errors import ConfigError, GuardFullError, NotFoundError
from selfheal.events import Alert
from selfheal.policies.matching import AlertMatch
from selfheal.policies.signed import Signed
from selfheal.policies.steady import SteadyTime
from selfheal.policies.windows import MaintenanceWindow, moment_of
from selfheal.validators import between, name

WEEK = 604_800.0
_finite = between(0.0, 1e11, "s")


def _listed(windows: Iterable[MaintenanceWindow]) -> tuple[MaintenanceWindow, ...]:
    return tuple(windows)


@attrs.frozen(kw_only=True)
class Silence:
    """What is not answered, until when, why, and who says so.

    Args:
        id: which one it is; ``"window:NAME"`` for an open maintenance window.
        match: the alerts it is about.
        starts_at: wall-clock seconds since 1970 UTC.
        ends_at: likewise.
        reason: why.
        by: who says so.
    """

    id: str = attrs.field(validator=name)
    match: AlertMatch = attrs.field(validator=attrs.validators.instance_of(AlertMatch))
    starts_at: float = attrs.field(validator=_finite)
    ends_at: float = attrs.field(validator=_finite)
    reason: str = attrs.field(validator=name)
    by: str = attrs.field(validator=name)

    def as_data(self) -> dict[str, Any]:
        """As plain data; ``structure(data, Silence)`` makes it again."""
        return attrs.asdict(self, value_serializer=lambda _, __, value: list(value) if type(value) is tuple else value)


@attrs.frozen(kw_only=True)
class EndedSilence:
    """A silence that is over.

    Args:
        silence: the one.
        at: when it ended, wall-clock seconds since 1970 UTC.
        how: ``"expired"``, or ``"ended"`` by a person.
        by: who ended it; empty if it expired.
        reason: why; empty if it expired.
    """

    silence: Silence
    at: float
    how: Literal["expired", "ended"]
    by: str = ""
    reason: str = ""


@attrs.frozen(kw_only=True)
class SilencesConfig:
    """How long and how many.

    Args:
        max_duration: seconds that a silence or one maintenance window lasts at most; up to 30 days.
        limit: silences at once.
        history: ended silences that are remembered.
        windows: maintenance windows, each with a name of its own; at most 100.

    Raises:
        ConfigError: if a value is out of range, a window is too long, or a name is there twice.
    """

    max_duration: float = attrs.field(default=WEEK, validator=between(1.0, 2_592_000.0, "s"))
    limit: int = attrs.field(default=1000, validator=between(1, 100_000))
    history: int = attrs.field(default=200, validator=between(1, 100_000))
    windows: tuple[MaintenanceWindow, ...] = attrs.field(default=(), converter=_listed)

    def __attrs_post_init__(self) -> None:
        names = [window.name for window in self.windows]
        if len(names) > 100 or len(set(names)) < len(names):
            raise ConfigError("SilencesConfig.windows", names, "at most 100 windows, each with a name of its own", "()")
        for index, window in enumerate(self.windows):
            if window.longest > self.max_duration:
                accepted = f"at most max_duration ({self.max_duration:g} s) long"
                raise ConfigError(f"SilencesConfig.windows[{index}]", window.longest, accepted)


class SilencesOptions(TypedDict, total=False):
    """The fields of :class:`SilencesConfig` as keyword arguments."""

    max_duration: float
    limit: int
    history: int
    windows: tuple[MaintenanceWindow, ...]


@attrs.frozen(kw_only=True)
class SilencesSnapshot:
    """What is silent.

    Args:
        active: silences and open maintenance windows, the one that ends first first.
        ended: those that are over, the latest last.
        limit: silences at most at once, windows apart.
    """

    active: tuple[Silence, ...]
    ended: tuple[EndedSilence, ...]
    limit: int


class Silences:
    """Silences and maintenance windows.

    Each silence ends by itself, after ``max_duration`` at the latest, whatever is done to the wall clock: it is over
    as soon as the wall clock is past its end *or* the time it was to last has passed. Not thread-safe: the owner
    holds a lock.

    Args:
        config: how long and how many; the fields may be given as keyword arguments instead.
        new_id: makes the id of each.

    >>> silences = Silences()
    >>> start = 1_700_000_000.0
    >>> silence = silences.add({"target": "web-1"}, start, duration=600.0, reason="new disk", by="maria")
    >>> silences.matches(Alert(kind="slow", target="web-1"), "restart", start + 599) == silence
    True
    >>> silences.matches(Alert(kind="slow", target="web-1"), "restart", start + 600) is None
    True
    """

    def __init__(
        self,
        config: SilencesConfig | None = None,
        *,
        new_id: Callable[[], str] = lambda: os.urandom(16).hex(),
        **options: Unpack[SilencesOptions],
    ) -> None:
        self.config = attrs.evolve(config or SilencesConfig(), **options)
        self._new_id = new_id
        self._time = SteadyTime()
        self._live: dict[str, tuple[Silence, float]] = {}  # with the steady time of its end
        self._ended: deque[EndedSilence] = deque(maxlen=self.config.history)
        self._untold: deque[EndedSilence] = deque(maxlen=self.config.limit)

    def __len__(self) -> int:
        return len(self._live)

    def add(
        self,
        match: AlertMatch | Mapping[str, Any],
        wall: float,
        *,
        reason: str,
        by: str,
        until: float | str | None = None,
        duration: float | None = None,
        now: float | None = None,
    ) -> Silence:
        """Have alerts not answered for a while.

        Args:
            match: which; as plain data or made. It has to say something: to stop everything, switch healing off.
            wall: wall-clock seconds since 1970 UTC.
            reason: why; not blank.
            by: who says so; not blank.
            until: when it ends, seconds since 1970 or ISO-8601 text with an offset. Give this or ``duration``.
            duration: seconds that it lasts.
            now: monotonic seconds of the same moment.

        Raises:
            ConfigError: if something is not accepted; nothing is silenced then.
            GuardFullError: if there are as many as may be.
        """
        made = match if isinstance(match, AlertMatch) else structure(match, AlertMatch, "match")
        if made.is_empty:
            raise ConfigError("match", match, "about something: kind, target, strategy or labels")
        ends_at = wall + self._lasts(wall, until, duration)
        silence = Silence(id=self._new_id(), match=made, starts_at=wall, ends_at=ends_at, reason=reason, by=by)
        at = self._close(wall, now)
        if len(self._live) >= self.config.limit:
            raise GuardFullError("silences", len(self._live), self.config.limit)
        self._live[silence.id] = (silence, at + ends_at - wall)
        return silence

    def matches(self, alert: Alert, strategy: str, wall: float, *, now: float | None = None) -> Silence | None:
        """What keeps an alert from being answered by a strategy; of several the one that lasts longest."""
        about = [one for one in self._active(wall, now) if one.match.matches(alert, strategy)]
        return max(about, key=lambda one: one.ends_at, default=None)

    def end(self, id: str, wall: float, *, by: str, reason: str, now: float | None = None) -> Silence:
        """End a silence before its time.

        Raises:
            NotFoundError: if none of this id holds. A maintenance window is ended where it is configured.
            ConfigError: if ``by`` or ``reason`` is blank.
        """
        said = Signed(by=by, reason=reason)
        self._close(wall, now)
        if id not in self._live:
            raise NotFoundError("silence", id, self._live)
        silence, _ = self._live.pop(id)
        self._ended.append(EndedSilence(silence=silence, at=wall, how="ended", by=said.by, reason=said.reason))
        return silence

    def expire(self, wall: float, *, now: float | None = None) -> tuple[EndedSilence, ...]:
        """End what is over; tell each that expired, once. The caller reminds people of them."""
        self._close(wall, now)
        told = tuple(self._untold)
        self._untold.clear()
        return told

    def restore(self, silences: Iterable[Silence], wall: float, *, now: float | None = None) -> int:
        """Take over silences of an earlier life of the process; tell how many hold.

        What is over is left out. None lasts longer than ``max_duration`` from now; beyond the limit those that end
        first are left out.
        """
        at = self._close(wall, now)
        for silence in sorted(silences, key=lambda one: -one.ends_at):
            left = min(silence.ends_at - wall, self.config.max_duration)
            if left > 0 and len(self._live) < self.config.limit and not silence.match.is_empty:
                self._live[silence.id] = (attrs.evolve(silence, ends_at=wall + left), at + left)
        return len(self._live)

    def live(self) -> tuple[Silence, ...]:
        """The silences to be kept over a restart; maintenance windows are not among them."""
        return tuple(silence for silence, _ in self._live.values())

    def snapshot(self, wall: float, *, now: float | None = None) -> SilencesSnapshot:
        """What is silent now, and what was."""
        return SilencesSnapshot(
            active=tuple(sorted(self._active(wall, now), key=lambda one: one.ends_at)),
            ended=tuple(self._ended),
            limit=self.config.limit,
        )

    def _lasts(self, wall: float, until: float | str | None, duration: float | None) -> float:
        most = self.config.max_duration
        if (until is None) == (duration is None):
            raise ConfigError("until and duration", (until, duration), "one of them given: a silence has to end")
        if duration is not None:
            if not _is_number(duration) or not 0 < duration <= most:
                raise ConfigError("duration", duration, f"above 0 and at most {most:g} s")
            return duration
        end = moment_of(until)
        if end is None or not 0 < end - wall <= most:
            raise ConfigError(
                "until", until, f"in the future, at most {most:g} s from now, with an offset if it is text"
            )
        return end - wall

    def _active(self, wall: float, now: float | None) -> list[Silence]:
        self._close(wall, now)
        open_now = [_opened(window, span) for window in self.config.windows if (span := window.current(wall))]
        return [*self.live(), *open_now]

    def _close(self, wall: float, now: float | None) -> float:
        """End what is over; the steady time now."""
        at = self._time.at(wall, now)
        for silence, end in list(self._live.values()):
            if end <= at or silence.ends_at <= wall:
                del self._live[silence.id]
                over = EndedSilence(silence=silence, at=wall, how="expired")
                self._ended.append(over)
                self._untold.append(over)
        return at


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _opened(window: MaintenanceWindow, span: tuple[float, float]) -> Silence:
    return Silence(
        id=f"window:{window.name}",
        match=window.match,
        starts_at=span[0],
        ends_at=span[1],
        reason=window.reason,
        by=window.by,
    )

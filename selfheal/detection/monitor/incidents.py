"""Which signals are one incident, and when it is raised and cleared. Pure: the caller gives the time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

import attrs

from selfheal.detection.monitor.config import MonitorConfig
from selfheal.detection.monitor.flapping import Flaps
from selfheal.detection.monitor.signals import Ended, Key, Series, Signal, rank
from selfheal.events import Severity

MOST_BESIDE = 8
"""Other signals that are kept with an incident."""
SIGNALS_PER_INCIDENT = 4

What = Literal["raised", "escalated", "cleared", "joined", "held", "again", "unsilenced"]


@attrs.frozen(kw_only=True)
class Incident:
    """Something that is the matter, whoever says so.

    Args:
        signal: the worst of those that say so, or the last one if none does any more.
        since: wall seconds at which it began.
        beside: what learnt detectors say of the same series, which is no incident of its own.
        flapping: whether it began so often that it stays raised until it has been quiet.
        times: how many times it began: since it was raised, and those that made it flapping.
        live: whether anything says so now; a flapping one is held without.
        restored: whether it is known from an earlier life of the process alone.
    """

    signal: Signal
    since: float
    beside: tuple[Signal, ...] = ()
    flapping: bool = False
    times: int = 1
    live: bool = True
    restored: bool = False

    @property
    def fingerprint(self) -> str:
        """What makes it this incident."""
        return self.signal.fingerprint

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return self.signal.severity


class Change(NamedTuple):
    """What became of an incident.

    Args:
        what: ``raised``, ``escalated`` (worse than it was), ``cleared``, ``joined`` (a learnt detector says so too),
            ``held`` (a flapping one ended, and stays raised), ``again`` (it began again) or ``unsilenced`` (it may be
            told now).
        incident: as it is now.
        why: in words.
    """

    what: What
    incident: Incident
    why: str = ""


@attrs.define
class _Open:
    """An incident, while it is open."""

    shown: Incident
    own: dict[Key, Signal] = attrs.field(factory=dict)
    beside: dict[Key, Signal] = attrs.field(factory=dict)
    quiet_at: float = math.nan

    @property
    def covers(self) -> frozenset[Series]:
        return frozenset[Series]().union(self.shown.signal.covers, *(signal.covers for signal in self.own.values()))


class Incidents:
    """Makes incidents of signals: one for each fingerprint, and none for what another one explains.

    Args:
        config: bounds and durations.

    Attributes:
        dropped: signals that found no room.
    """

    def __init__(self, config: MonitorConfig) -> None:
        self._config = config
        self._flaps = Flaps(config.flap_raises, config.flap_window, 2 * config.max_open)
        self._open: dict[str, _Open] = {}
        self._live: dict[Key, Signal] = {}
        self._free: dict[Key, float] = {}  # live signals that are no part of any incident → monotonic seconds since
        self._over: dict[str, tuple[float, frozenset[Series]]] = {}  # lately cleared: when, and what they were about
        self.dropped = 0

    @property
    def open(self) -> tuple[Incident, ...]:
        """What is raised, oldest first."""
        return tuple(one.shown for one in self._open.values())

    @property
    def waiting(self) -> int:
        """Signals that are part of no incident: for want of room, or because they linger."""
        return len(self._free)

    def get(self, fingerprint: str) -> Incident | None:
        """The open incident of a fingerprint."""
        one = self._open.get(fingerprint)
        return None if one is None else one.shown

    def apply(self, news: Iterable[Signal | Ended], at: float) -> list[Change]:
        """Take what began and what ended, at monotonic seconds ``at``; what ends and begins at once goes on."""
        given = tuple(news)
        last = {one.key: n for n, one in enumerate(given) if isinstance(one, Signal)}
        changes: list[Change] = []
        for n, one in enumerate(given):
            if isinstance(one, Signal):
                changes += self._begin(one, at)
            elif last.get(one.key, -1) < n:
                changes += self._end(one, at)
        return changes

    def forget(self, target: str, at: float) -> list[Change]:
        """A target is gone on purpose: whatever is said of it ends, and is not waited for."""
        gone = [key for key, signal in self._live.items() if signal.target == target]
        changes = self.apply([Ended(key=key, message="it is gone on purpose") for key in gone], at)
        for one in [one for one in self._open.values() if one.shown.signal.target == target]:
            changes += self._close(one, at, "it is gone on purpose")
        return changes

    def tick(self, at: float) -> list[Change]:
        """Let time pass: what was held is let go, and what lingers becomes an incident."""
        changes: list[Change] = []
        for one in tuple(self._open.values()):
            if not one.own and at - one.quiet_at >= self._patience(one):
                seen = "it was not seen again after a restart" if one.shown.restored else "it has been quiet"
                changes += self._close(one, at, seen)
        for key in sorted(self._free, key=lambda key: (-rank(self._live[key].severity), self._free[key])):
            if key in self._free:
                changes += self._place(self._live[key], at)
        return changes

    def restore(self, incidents: Iterable[Incident], at: float) -> None:
        """Hold what was open in an earlier life, for a while, until it is seen again: all of it, whatever the room now.

        One that is left out would never be told to be over.
        """
        for incident in incidents:
            if incident.fingerprint not in self._open:
                shown = attrs.evolve(incident, live=False, restored=True, beside=())
                self._open[incident.fingerprint] = _Open(shown, quiet_at=at)

    def _patience(self, one: _Open) -> float:
        return self._config.restored_for if one.shown.restored else self._config.flap_quiet

    def _begin(self, signal: Signal, at: float) -> list[Change]:
        known = signal.key in self._live
        if not known and len(self._live) >= SIGNALS_PER_INCIDENT * self._config.max_open:
            self.dropped += 1
            return []
        self._live[signal.key] = signal
        one = self._open.get(signal.fingerprint)
        if one is not None:
            return self._join(one, signal, known)
        if known:
            self._renew(signal, at)
            return []
        self._free[signal.key] = self._begun(signal, at)
        return self._place(signal, at)

    def _begun(self, signal: Signal, at: float) -> float:
        """Since when a signal lingers: since the end of what it is the late view of, or else for long enough."""
        for fingerprint, (when, _) in tuple(self._over.items()):
            if at - when > self._config.aftermath:
                del self._over[fingerprint]
        ends = [
            when
            for fingerprint, (when, covers) in self._over.items()
            if signal.learnt and fingerprint != signal.fingerprint and covers & signal.covers
        ]
        return max(ends, default=-math.inf)

    def _join(self, one: _Open, signal: Signal, known: bool) -> list[Change]:
        """One more says it, or the same says it anew."""
        before, was = one.shown, bool(one.own)
        one.own[signal.key] = signal
        self._free.pop(signal.key, None)
        one.shown = attrs.evolve(before, signal=_worst(one.own), live=True, restored=False)
        if before.restored:
            return [Change("raised", one.shown, "it is still the matter after a restart")]
        if not was:
            one.shown = attrs.evolve(one.shown, times=before.times + 1)
            return [Change("again", one.shown), *_escalated(before, one.shown)]
        if known:
            return _escalated(before, one.shown)
        return [Change("joined", one.shown, signal.message), *_escalated(before, one.shown)]

    def _renew(self, signal: Signal, at: float) -> None:
        if signal.key in self._free and not signal.fresh:
            self._free[signal.key] = max(at, self._free[signal.key])  # the time it lingers begins anew
        for one in self._open.values():
            if signal.key in one.beside:
                one.beside[signal.key] = signal
                _show_beside(one)

    def _place(self, signal: Signal, at: float) -> list[Change]:
        """Find the incident that explains a free signal, or make one of it if it has waited long enough."""
        cause = self._explained(signal) if signal.learnt else None
        if cause is not None:
            del self._free[signal.key]
            cause.beside[signal.key] = signal
            _show_beside(cause)
            return [Change("joined", cause.shown, signal.message)]
        if signal.learnt and at - self._free[signal.key] < self._config.linger:
            return []
        return self._raise(signal, at)

    def _explained(self, signal: Signal) -> _Open | None:
        return next((one for one in self._open.values() if one.covers & signal.covers), None)

    def _raise(self, signal: Signal, at: float) -> list[Change]:
        lesser = [] if signal.learnt else [one for one in self._open.values() if _yields(one, signal)]
        if len(self._open) - len(lesser) >= self._config.max_open:
            return []
        del self._free[signal.key]
        since = min([signal.since, *(one.shown.since for one in lesser)])
        made = _Open(Incident(signal=signal, since=since), own={signal.key: signal})
        changes: list[Change] = []
        for one in lesser:
            # A part of the same incident: its own signals go on as evidence, and it is not raised beside.
            changes += self._close(one, at, f"it is part of {signal.fingerprint}")
        self._open[signal.fingerprint] = made
        for key in [key for key in self._free if self._live[key].learnt and self._live[key].covers & signal.covers]:
            del self._free[key]
            made.beside[key] = self._live[key]
        _show_beside(made)
        flapping = self._flaps.raised(signal.fingerprint, at)
        times = self._config.flap_raises if flapping else 1
        made.shown = attrs.evolve(made.shown, flapping=flapping, times=times)
        return [Change("raised", made.shown), *changes]

    def _end(self, ended: Ended, at: float) -> list[Change]:
        self._free.pop(ended.key, None)
        if self._live.pop(ended.key, None) is None:
            return []
        changes: list[Change] = []
        for one in tuple(self._open.values()):
            if one.beside.pop(ended.key, None) is not None:
                _show_beside(one)
            if one.own.pop(ended.key, None) is not None:
                changes += self._one_less(one, at, ended.message)
        return changes

    def _one_less(self, one: _Open, at: float, why: str) -> list[Change]:
        if one.own:
            one.shown = attrs.evolve(one.shown, signal=_worst(one.own))
            return []
        if not one.shown.flapping:
            return self._close(one, at, why)
        one.quiet_at = at
        one.shown = attrs.evolve(one.shown, live=False)
        return [Change("held", one.shown, why)]

    def _close(self, one: _Open, at: float, why: str) -> list[Change]:
        """It is over; what goes on of what it explained is free, and lingers."""
        del self._open[one.shown.fingerprint]
        self._over.pop(one.shown.fingerprint, None)
        self._over[one.shown.fingerprint] = (at, one.covers)
        if len(self._over) > self._config.max_open:
            del self._over[next(iter(self._over))]
        if one.shown.flapping:
            self._flaps.forget(one.shown.fingerprint)
        for key in (*one.own, *one.beside):
            self._free[key] = at
        return [Change("cleared", attrs.evolve(one.shown, live=False), why)]


def _yields(one: _Open, signal: Signal) -> bool:
    """Whether an open incident is only a learnt detector's view of what a rule now finds."""
    return one.shown.signal.learnt and one.shown.fingerprint != signal.fingerprint and bool(one.covers & signal.covers)


def _worst(own: dict[Key, Signal]) -> Signal:
    return max(own.values(), key=lambda signal: rank(signal.severity))  # the first of the worst


def _escalated(before: Incident, now: Incident) -> list[Change]:
    return [Change("escalated", now)] if rank(now.severity) > rank(before.severity) else []


def _show_beside(one: _Open) -> None:
    one.shown = attrs.evolve(one.shown, beside=tuple(one.beside.values())[:MOST_BESIDE])

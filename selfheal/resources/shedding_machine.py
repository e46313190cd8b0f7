"""How large a share of the requests of a class is shed: pure, but for the seeded dice it holds."""

from __future__ import annotations

import collections
import random
from typing import Any, NamedTuple, TypedDict

import attrs

from selfheal.errors import ConfigError
from selfheal.resources.criticality import Criticality
from selfheal.validators import between

_PARTS = 24
"""Parts of the window; old evidence leaves it in steps of that size."""

_ORDER = (Criticality.SHEDDABLE, Criticality.DEFAULT, Criticality.CRITICAL)


def _ramp(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check_ramp(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    numbers = isinstance(value, tuple) and len(value) == 2 and all(type(one) in (int, float) for one in value)
    if not numbers or not 0.0 <= value[0] < value[1] <= 1_000.0:
        accepted = "two numbers from 0 to 1000, the second above the first"
        raise ConfigError(f"ShedderConfig.{field.name}", value, accepted, repr(field.default))


def _ramp_field(start: float, full: float) -> Any:
    return attrs.field(default=(start, full), converter=_ramp, validator=_check_ramp)


@attrs.frozen(kw_only=True)
class ShedderConfig:
    """When how much is shed. Use is a share: 1 is all there is.

    Args:
        sheddable: the use from which on the first sheddable requests are shed, and from which on all are; the share
            grows evenly in between.
        default: the same for default requests. A class is shed only where all of the one below it is.
        critical: the same for critical requests.
        k: how many requests are sent for each that the other side accepts, before any is held back; 1 holds back
            as soon as one is refused, larger values believe the other side less.
        window: seconds of answers of the other side that count.
        ceiling: the largest share that is held back because the other side refuses: the rest finds out whether it
            still does.
        calm_after: seconds without shedding a class after which its shedding is said to have ended.

    Raises:
        ConfigError: if a value is out of range, or a class would be shed before the one below it.
    """

    sheddable: tuple[float, float] = _ramp_field(0.70, 0.85)
    default: tuple[float, float] = _ramp_field(0.85, 1.0)
    critical: tuple[float, float] = _ramp_field(1.0, 1.2)
    k: float = attrs.field(default=2.0, validator=between(1.0, 1_000.0))
    window: float = attrs.field(default=120.0, validator=between(0.1, 86_400.0, "s"))
    ceiling: float = attrs.field(default=0.98, validator=between(0.0, 0.999))
    calm_after: float = attrs.field(default=30.0, validator=between(0.0, 86_400.0, "s"))

    def __attrs_post_init__(self) -> None:
        for lower, upper in (("sheddable", "default"), ("default", "critical")):
            full, start = getattr(self, lower)[1], getattr(self, upper)[0]
            if start < full:
                accepted = f"a ramp that begins at or after the end of {lower!r}, which is {full:g}"
                raise ConfigError(f"ShedderConfig.{upper}", getattr(self, upper), accepted)


class ShedderOptions(TypedDict, total=False):
    """The fields of :class:`ShedderConfig` as keyword arguments of a shedder."""

    sheddable: tuple[float, float]
    default: tuple[float, float]
    critical: tuple[float, float]
    k: float
    window: float
    ceiling: float
    calm_after: float


class Chance(NamedTuple):
    """The share of requests that is shed, why, and whether because the other side refuses."""

    value: float
    why: str
    throttled: bool = False


NONE = Chance(0.0, "")


class Answers:
    """Requests of the last ``window`` seconds, and how many of them the other side accepted. Of bounded size."""

    def __init__(self, window: float) -> None:
        self._part = window / _PARTS
        self._parts: collections.deque[list[float]] = collections.deque()  # [number, requests, accepts]

    def add(self, accepted: bool, now: float) -> None:
        """Count one request."""
        number = now // self._part
        self._forget(number)
        if not self._parts or self._parts[-1][0] < number:
            self._parts.append([number, 0, 0])
        self._parts[-1][1] += 1
        self._parts[-1][2] += accepted

    def totals(self, now: float) -> tuple[int, int]:
        """Requests and accepts."""
        self._forget(now // self._part)
        return int(sum(part[1] for part in self._parts)), int(sum(part[2] for part in self._parts))

    def _forget(self, number: float) -> None:
        while self._parts and self._parts[0][0] <= number - _PARTS:
            self._parts.popleft()


class SheddingMachine:
    """Decides for each request. Whoever owns it keeps calls to it one at a time and hands in the time.

    Args:
        config: when how much is shed.
        seed: of the dice; ``None``: of the operating system.

    Attributes:
        admitted: requests let through so far, by class.
        shed: requests shed so far, by class.
        shedding: classes that are being shed, and the time (monotonic seconds) of the last one shed.
    """

    def __init__(self, config: ShedderConfig, seed: int | None) -> None:
        self.config = config
        self.admitted = dict.fromkeys(_ORDER, 0)
        self.shed = dict.fromkeys(_ORDER, 0)
        self.shedding: dict[Criticality, float] = {}
        self._answers = {criticality: Answers(config.window) for criticality in _ORDER}
        self.dice = random.Random(seed)

    def chance(self, criticality: Criticality, use: float | None, now: float) -> Chance:
        """The share of requests of a class that is shed now: the larger of what both sides ask for."""
        serving, calling = self._by_use(criticality, use), self._by_answers(criticality, now)
        return max(serving, calling, key=lambda one: one.value)

    def decide(self, criticality: Criticality, use: float | None, now: float) -> Chance | None:
        """Decide one request: ``None`` to let it through, else why not."""
        chance = self.chance(criticality, use, now)
        if chance.value <= 0.0 or (chance.value < 1.0 and self.dice.random() >= chance.value):
            self.admitted[criticality] += 1
            return None
        self.shed[criticality] += 1
        if chance.throttled:  # as if the other side had refused it; shed for our own use says nothing about that side
            self._answers[criticality].add(False, now)
        return chance

    def answer(self, criticality: Criticality, accepted: bool, now: float) -> None:
        """Count what the other side said to a request that was sent."""
        self._answers[criticality].add(accepted, now)

    def note(self, criticality: Criticality, now: float) -> bool:
        """Note that one was shed; tell whether that is news."""
        news = criticality not in self.shedding
        self.shedding[criticality] = now
        return news

    def calmed(self, now: float) -> list[Criticality]:
        """Forget the classes of which none was shed for ``calm_after``; tell which."""
        calm = [one for one, last in self.shedding.items() if now - last >= self.config.calm_after]
        for one in calm:
            del self.shedding[one]
        return calm

    def answers(self, criticality: Criticality, now: float) -> tuple[int, int]:
        """Requests and accepts that count now."""
        return self._answers[criticality].totals(now)

    def _by_use(self, criticality: Criticality, use: float | None) -> Chance:
        if use is None:
            return NONE
        start, full = getattr(self.config, criticality.value)
        share = min(max((use - start) / (full - start), 0.0), 1.0)
        return Chance(share, f"the use is at {use:.2f}") if share else NONE

    def _by_answers(self, criticality: Criticality, now: float) -> Chance:
        """max(0, (requests - K accepts) / (requests + 1)), as in the book."""
        requests, accepts = self._answers[criticality].totals(now)
        share = min((requests - self.config.k * accepts) / (requests + 1), self.config.ceiling)
        if share <= 0.0:
            return NONE
        return Chance(share, f"the other side accepted {accepts} of {requests}", throttled=True)

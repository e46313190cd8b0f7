"""How long to wait after each failure in a row."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from typing import Any, Literal

import attrs

from selfheal.errors import ConfigError
from selfheal.forking import track
from selfheal.validators import between, one_of

Jitter = Literal["none", "full", "equal", "decorrelated"]

_MASK = (1 << 64) - 1
_CHAIN = 64
"""Steps that decorrelated jitter looks back: what lies further has no weight left, and n may be 10^9."""

_MOST_GROWTH = 700.0
"""Natural logarithm of what still fits into a float."""
_FAR = 10**30
"""Beyond this every growth has reached the cap; larger integers may not fit into a float."""


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _seed(owner: ExponentialBackoff, field: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not _whole(value):
        raise ConfigError(f"{type(owner).__name__}.seed", value, "an integer or None", "None")


def _cap(owner: ExponentialBackoff, field: attrs.Attribute[Any], value: Any) -> None:
    between(0.0, 604_800.0, "s")(owner, field, value)
    if value < owner.base:
        raise ConfigError(f"{type(owner).__name__}.cap", value, f"at least base, {owner.base} s", "600.0")


@attrs.define(eq=False, repr=False)
class ExponentialBackoff:
    """Waits that grow with each failure in a row, up to a cap, and start over after a success.

    The wait after the n-th consecutive failure is ``min(cap, base * factor ** (n - 1))``: with the
    defaults 5, 10, 20, 40, 80, 160, 320, 600, 600 … seconds. Jitter is applied after the cap, so that
    many clients at the cap do not wait in step.

    A jittered wait is fixed by ``seed``, ``n`` and the number of resets so far: asking twice gives the
    same answer, and two backoffs of one seed and one history agree.

    Args:
        base: seconds after the first failure; 0 to 86400.
        factor: growth from one failure to the next; 1 to 1000.
        cap: longest wait in seconds; ``base`` to 604800.
        jitter: ``"none"``; ``"full"``: anywhere from 0 to the wait; ``"equal"``: from half the wait to
            all of it; ``"decorrelated"``: from ``base`` to three times the previous wait (at most the cap).
        seed: makes the jitter reproducible; ``None`` draws a seed from the operating system.

    Raises:
        ConfigError: if a value is out of range.

    Source: Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog (2015).

    >>> backoff = ExponentialBackoff()
    >>> [backoff.delay(n) for n in range(1, 10)]
    [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0, 600.0]
    """

    base: float = attrs.field(default=5.0, validator=between(0.0, 86_400.0, "s"), on_setattr=attrs.setters.frozen)
    factor: float = attrs.field(default=2.0, validator=between(1.0, 1000.0), on_setattr=attrs.setters.frozen)
    cap: float = attrs.field(default=600.0, validator=_cap, on_setattr=attrs.setters.frozen)
    jitter: Jitter = attrs.field(
        default="none",
        validator=one_of("none", "full", "equal", "decorrelated"),
        on_setattr=attrs.setters.frozen,
    )
    seed: int | None = attrs.field(default=None, validator=_seed, on_setattr=attrs.setters.frozen)
    _entropy: int = attrs.field(init=False, default=0)
    _failures: int = attrs.field(init=False, default=0)
    _round: int = attrs.field(init=False, default=0)
    _lock: threading.Lock = attrs.field(init=False, factory=threading.Lock)

    def __attrs_post_init__(self) -> None:
        if self.jitter != "none":
            self._entropy = self.seed if self.seed is not None else int.from_bytes(os.urandom(8), "big")
        track(self, ExponentialBackoff._in_child)

    def __repr__(self) -> str:
        return (
            f"ExponentialBackoff(base={self.base}, factor={self.factor}, cap={self.cap}, "
            f"jitter={self.jitter!r}, failures={self._failures})"
        )

    @property
    def failures(self) -> int:
        """Failures in a row counted by :meth:`failed` since the last :meth:`reset`."""
        return self._failures

    def failed(self) -> float:
        """Count one failure and return the seconds to wait because of it."""
        with self._lock:
            self._failures += 1
            failures, draws = self._failures, self._round
        return self._wait(failures, draws)

    def reset(self) -> None:
        """Start over, as after a success. A jittered backoff draws new waits from here."""
        with self._lock:
            self._failures = 0
            self._round += 1

    def delay(self, n: int | None = None) -> float:
        """Seconds to wait after ``n`` failures in a row. Counts nothing.

        Args:
            n: failures in a row; ``None`` takes the own count. With no failure (0) it is ``base``,
                without jitter.

        Raises:
            ConfigError: if ``n`` is not an integer of 0 or more.
        """
        if n is None:
            n = self._failures
        elif not _whole(n) or n < 0:
            raise ConfigError("n of ExponentialBackoff.delay", n, "an integer of 0 or more, or None", "None")
        return self._wait(n, self._round)

    def shortest(self, n: int) -> float:
        """The least that :meth:`delay` of ``n`` can be whatever the draw: what a bound has to reckon with."""
        if n <= 0 or self.jitter == "none":
            return self._capped(n)
        if self.jitter == "decorrelated":
            return float(self.base)
        return 0.0 if self.jitter == "full" else self._capped(n) / 2

    def __iter__(self) -> Iterator[float]:
        """Yield the waits after failure 1, 2, 3 … for ever. Counts nothing."""
        draws, n = self._round, 0
        while True:
            n += 1
            yield self._wait(n, draws)

    def _capped(self, n: int) -> float:
        if n <= 1:
            return float(self.base)
        if self.base == 0 or self.factor == 1:
            return float(self.base)
        # Compare exponents first: factor ** (n - 1) would overflow long before n = 10^9.
        growth = (min(n, _FAR) - 1) * math.log(self.factor)
        if growth + math.log(self.base) > math.log(self.cap) + 1:
            return float(self.cap)
        if growth > _MOST_GROWTH:  # only from a base next to nothing
            return float(min(self.cap, math.exp(growth + math.log(self.base))))
        return float(min(self.cap, self.base * self.factor ** (n - 1)))

    def _wait(self, n: int, draws: int) -> float:
        if n <= 0 or self.jitter == "none":
            return self._capped(n)
        if self.jitter == "decorrelated":
            return self._decorrelated(n, draws)
        capped = self._capped(n)
        share = self._draw(n, draws)
        return capped * share if self.jitter == "full" else capped / 2 + capped / 2 * share

    def _decorrelated(self, n: int, draws: int) -> float:
        wait = float(self.base)
        for step in range(max(1, n - _CHAIN + 1), n + 1):
            top = min(self.cap, 3 * wait)
            wait = self.base + (top - self.base) * self._draw(step, draws)
        return wait

    def _draw(self, n: int, draws: int) -> float:
        """A number in [0, 1) that depends on the seed, the round and ``n`` alone.

        Source: SplitMix64's finaliser (Steele, Lea, Flood 2014).
        """
        mixed = self._entropy & _MASK
        for part in (draws, n):
            mixed = (mixed + (part + 1) * 0x9E3779B97F4A7C15) & _MASK
            mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
            mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
            mixed ^= mixed >> 31
        return float(mixed >> 11) / (1 << 53)

    def __getstate__(self) -> dict[str, Any]:
        return {a.name: getattr(self, a.name) for a in attrs.fields(type(self)) if a.name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for key, value in state.items():
            object.__setattr__(self, key, value)
        self._lock = threading.Lock()
        track(self, ExponentialBackoff._in_child)

    def _in_child(self) -> None:
        """Make a new lock: its holder may not be in this process."""
        self._lock = threading.Lock()

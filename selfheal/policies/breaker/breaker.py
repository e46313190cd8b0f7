"""The face of a circuit: what a host decorates, calls and steers, and all circuits by name."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, ParamSpec, TypeVar, Unpack

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import CircuitConflictError, ConfigError, NotFoundError
from selfheal.events import DEFAULT_BUS, EventBus
from selfheal.policies.breaker import wrapping
from selfheal.policies.breaker.circuit import Circuit
from selfheal.policies.breaker.config import BreakerConfig, BreakerOptions
from selfheal.policies.breaker.guard import Guard
from selfheal.policies.breaker.machine import BreakerState
from selfheal.policies.breaker.rules import check_name, make_rules, same_rules, told
from selfheal.policies.breaker.snapshot import BreakerSnapshot

P = ParamSpec("P")
R = TypeVar("R")


class BreakerRegistry:
    """Circuits by name, one a name.

    >>> registry = BreakerRegistry()
    >>> _ = CircuitBreaker("db", registry=registry)
    >>> registry.names()
    ['db']
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._circuits: dict[str, Circuit] = {}

    def get(self, name: str) -> CircuitBreaker:
        """The breaker of this name.

        Raises:
            NotFoundError: if there is none; lists those there are.
        """
        circuit = self._circuits.get(name)
        if circuit is None:
            raise NotFoundError("breaker", name, self.names())
        return CircuitBreaker._of(circuit)

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._circuits)

    def snapshots(self) -> list[BreakerSnapshot]:
        """A snapshot of each circuit, sorted by name."""
        return [circuit.snapshot() for _, circuit in sorted(self._circuits.copy().items())]

    def remove(self, name: str) -> None:
        """Forget the circuit of this name. Functions it guards stay guarded, unlisted.

        Raises:
            NotFoundError: if there is none.
        """
        with self._lock:
            if self._circuits.pop(name, None) is None:
                raise NotFoundError("breaker", name, self.names())

    def __iter__(self) -> Iterator[CircuitBreaker]:
        return iter([CircuitBreaker._of(circuit) for _, circuit in sorted(self._circuits.copy().items())])

    def __len__(self) -> int:
        return len(self._circuits)

    def __contains__(self, name: object) -> bool:
        return name in self._circuits

    def _circuit(self, name: str, config: BreakerConfig, clock: Clock, events: EventBus) -> Circuit:
        """The circuit of this name; made if there is none, shared if it has the same rules."""
        with self._lock:
            circuit = self._circuits.get(name)
            if circuit is None:
                circuit = self._circuits[name] = Circuit(name, config, clock, events)
                return circuit
        if not same_rules(circuit.config, config) or circuit.clock is not clock:
            raise CircuitConflictError(name, told(circuit.config, circuit.clock), told(config, clock))
        return circuit


DEFAULT_REGISTRY = BreakerRegistry()
"""Where breakers are listed unless told otherwise."""


class CircuitBreaker:
    """Refuses calls to something that keeps failing, and probes whether it is well again.

    >>> @CircuitBreaker("payments")
    ... def pay(amount: int) -> str:
    ...     return f"paid {amount}"
    >>> pay(3)
    'paid 3'

    A breaker is a handle: two of one name in one registry share one circuit, so a module may be
    imported twice. Copying gives the same handle. No lock is held during a guarded call.

    Args:
        name: of the circuit; one circuit a name in a registry.
        config: the rules; or give them as ``options``.
        clock: the time it goes by.
        events: where :class:`~selfheal.events.BreakerStateChanged` is published.
        registry: where it is listed.
        **options: fields of :class:`BreakerConfig`, on top of ``config``.

    Raises:
        ConfigError: if a value is out of range or an option unknown.
        CircuitConflictError: if the name is taken by a circuit of other rules.
    """

    __slots__ = ("_circuit",)

    def __init__(
        self,
        name: str,
        config: BreakerConfig | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
        registry: BreakerRegistry = DEFAULT_REGISTRY,
        **options: Unpack[BreakerOptions],
    ) -> None:
        check_name(name)
        self._circuit = registry._circuit(name, make_rules(config, options), clock, events)

    @classmethod
    def _of(cls, circuit: Circuit) -> CircuitBreaker:
        handle = cls.__new__(cls)
        handle._circuit = circuit
        return handle

    @property
    def name(self) -> str:
        """The circuit's name."""
        return self._circuit.name

    @property
    def config(self) -> BreakerConfig:
        """The rules it goes by."""
        return self._circuit.config

    @property
    def state(self) -> BreakerState:
        """Where it stands. OPEN stays OPEN until a call asks after its time is over."""
        return self._circuit.state

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Guard a function: sync, async, generator, async generator, static or class method."""
        if isinstance(fn, staticmethod | classmethod):
            return type(fn)(wrapping.guard(self._circuit, fn.__func__))
        if not callable(fn):
            raise ConfigError(f"the target of circuit {self.name!r}", fn, "a callable")
        return wrapping.guard(self._circuit, fn)

    def call(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Make one guarded call.

        Raises:
            CircuitOpenError: if it is refused and there is no fallback.
        """
        result: R = wrapping.call(self._circuit, fn, *args, **kwargs)
        return result

    async def acall(self, fn: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Make one guarded call of an async function.

        Raises:
            CircuitOpenError: if it is refused and there is no fallback.
        """
        result: R = await wrapping.acall(self._circuit, fn, *args, **kwargs)
        return result

    def guard(self) -> Guard:
        """Guard a block: ``with breaker.guard():`` or ``async with breaker.guard():``."""
        return Guard(self._circuit)

    def trip(self, reason: str, by: str = "") -> None:
        """Open it by hand; it probes after its open time. Does nothing if it is permanently open."""
        self._circuit.trip(reason, by, permanent=False)

    def trip_permanently(self, reason: str, by: str = "") -> None:
        """Open it by hand until ``reset(force=True)``."""
        self._circuit.trip(reason, by, permanent=True)

    def force_open(self, reason: str, by: str = "") -> None:
        """Hold it open until ``reset()``.

        Raises:
            ResetRefusedError: if it is permanently open; so for ``disable`` and ``metrics_only``.
        """
        self._circuit.hold(BreakerState.FORCED_OPEN, reason, by)

    def disable(self, reason: str, by: str = "") -> None:
        """Let all calls through, uncounted, until ``reset()``."""
        self._circuit.hold(BreakerState.DISABLED, reason, by)

    def metrics_only(self, reason: str, by: str = "") -> None:
        """Let all calls through and count them, until ``reset()``."""
        self._circuit.hold(BreakerState.METRICS_ONLY, reason, by)

    def reset(self, force: bool = False, reason: str = "", by: str = "") -> bool:
        """Close it, and record who did it and why.

        Args:
            force: needed to close a permanently open circuit.
            reason: why, for the record.
            by: who, for the record.

        Returns:
            Whether that changed anything.

        Raises:
            ResetRefusedError: if it is permanently open and ``force`` is not given.
        """
        return self._circuit.reset(force=force, reason=reason, by=by)

    def snapshot(self) -> BreakerSnapshot:
        """Everything there is to see of it now, exactly counted."""
        return self._circuit.snapshot()

    def __copy__(self) -> CircuitBreaker:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> CircuitBreaker:
        return self

    def __reduce__(self) -> str:
        raise TypeError(f"circuit {self.name!r} lives in this process and cannot be pickled; make one there by name")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CircuitBreaker) and other._circuit is self._circuit

    def __hash__(self) -> int:
        return hash(id(self._circuit))

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.name!r} {self.state.value}>"

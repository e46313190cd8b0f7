"""Who depends on whom; what is done to a dependency: looked at, made anew."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import ConfigError, NotFoundError
from selfheal.levers.notify import describe
from selfheal.levers.protocols_system import HealthReport


class DependencyGraph:
    """Who depends on whom. It has no rings.

    >>> graph = DependencyGraph({"web": ["api"], "api": ["db", "cache"], "cache": ["db"]})
    >>> graph.dependants("db")
    ('cache', 'api', 'web')

    Args:
        depends_on: name → what it needs. A name that only others need may be left out.

    Raises:
        ConfigError: if there is a ring, naming it.
    """

    def __init__(self, depends_on: Mapping[str, Iterable[str]]) -> None:
        self._needs = {name: tuple(needs) for name, needs in depends_on.items()}
        for name, needs in depends_on.items():
            if isinstance(needs, str):
                raise ConfigError(f"DependencyGraph.depends_on[{name!r}]", needs, "a list of names")
        for needs in list(self._needs.values()):
            for name in needs:
                self._needs.setdefault(name, ())
        self._order = self._sorted()

    def names(self) -> tuple[str, ...]:
        """All names, each after what it depends on."""
        return self._order

    def depends_on(self, name: str) -> tuple[str, ...]:
        """What it needs directly; nothing where it is not known."""
        return self._needs.get(name, ())

    def dependants(self, name: str) -> tuple[str, ...]:
        """All that depend on it, directly or not, each after what it depends on itself."""
        hit = {name}
        for other in self._order:
            if hit.intersection(self._needs[other]):
                hit.add(other)
        return tuple(other for other in self._order if other in hit and other != name)

    def __repr__(self) -> str:
        return f"DependencyGraph({len(self._needs)} names)"

    def _sorted(self) -> tuple[str, ...]:
        """Each name after what it depends on; among equals in the order given."""
        import graphlib  # only who declares dependencies pays

        try:
            return tuple(graphlib.TopologicalSorter(self._needs).static_order())
        except graphlib.CycleError as error:
            ring = " -> ".join(reversed(error.args[1]))
            raise ConfigError("DependencyGraph.depends_on", ring, "without rings") from None


class DependencyResets:
    """What makes each dependency anew: a client that reconnects, a pool that is emptied.

    >>> resets = DependencyResets({"db": lambda: "reconnected"})
    >>> resets.reset("db")
    'reconnected'

    Args:
        resets: name of the dependency → called to reset it; it raises if it cannot.

    Raises:
        ConfigError: if something cannot be called.
    """

    def __init__(self, resets: Mapping[str, Callable[[], object]]) -> None:
        self._resets = _callables("DependencyResets.resets", resets)

    def reset(self, name: str) -> object:
        """Reset one; return what its callable returns, or raise what it raises.

        Raises:
            NotFoundError: if there is no such dependency.
        """
        if name not in self._resets:
            raise NotFoundError("dependency", name, self._resets)
        return self._resets[name]()

    def __repr__(self) -> str:
        return f"DependencyResets({', '.join(self._resets)})"


class HealthChecks:
    """Looks whether upstreams and the network are well.

    >>> checks = HealthChecks({"disk": lambda: True, "llm": lambda: 1 / 0})
    >>> checks.check("disk").ok, checks.check("llm").detail
    (True, 'ZeroDivisionError: division by zero')

    Args:
        checks: name → called to check it: it raises or returns ``False`` if it is not well. It must have an end by
            itself, such as :func:`tcp_check` has.
        clock: the time it goes by.

    Raises:
        ConfigError: if something cannot be called.
    """

    def __init__(self, checks: Mapping[str, Callable[[], object]], *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._checks, self._clock = _callables("HealthChecks.checks", checks), clock

    def names(self) -> tuple[str, ...]:
        """What there is to check."""
        return tuple(self._checks)

    def check(self, name: str) -> HealthReport:
        """Check one. What its callable raises is what was found.

        Raises:
            NotFoundError: if there is no such check.
        """
        if name not in self._checks:
            raise NotFoundError("health check", name, self._checks)
        began = self._clock.monotonic()
        try:
            ok = self._checks[name]() is not False
            detail = "well" if ok else "not well"
        except Exception as error:
            ok, detail = False, describe(error)
        return HealthReport(name=name, ok=ok, detail=detail, seconds=self._clock.monotonic() - began)

    def __repr__(self) -> str:
        return f"HealthChecks({', '.join(self._checks)})"


def tcp_check(host: str, port: int, timeout: float = 2.0) -> Callable[[], object]:
    """A check that the network leads to a port: the name is looked up, and a connection is made and closed.

    Args:
        host: name or address.
        port: 1 to 65535.
        timeout: seconds for the connection; the lookup of a name takes what the system allows.

    Raises:
        ConfigError: if the port or the timeout is out of range.
    """
    if isinstance(port, bool) or not 0 < port < 65_536:
        raise ConfigError("port of tcp_check", port, "an integer between 1 and 65535")
    if isinstance(timeout, bool) or not 0 < timeout <= 600:
        raise ConfigError("timeout of tcp_check", timeout, "seconds, more than 0, at most 600", "2.0")

    def check() -> None:
        socket.create_connection((host, port), timeout).close()

    return check


def _callables(where: str, given: Mapping[str, Callable[[], object]]) -> dict[str, Callable[[], object]]:
    found: Mapping[str, object] = given
    for name, called in found.items():
        if not callable(called) or not str(name).strip():
            raise ConfigError(f"{where}[{name!r}]", called, "a callable under a name")
    return dict(given)

"""The levers of a host, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from selfheal.errors import ConfigError


class Levers(Mapping[str, object]):
    """What actions may pull: the host's levers, each under the name that strategies use.

    The names that shipped actions ask for are ``rate_limiter``, ``cache``, ``services``, ``fallback``, ``workers``,
    ``queue``, ``notifier`` and ``snapshotter``; further ones ``low_priority``, ``optional``, ``dependencies``,
    ``dependency_resets``, ``upstreams``, ``order``, ``monitoring``, ``profiler``, ``processes``, ``idle_processes``,
    ``temp_files``, ``memory`` and ``restart_preparation``. A step can name another one, and a host can add its own.

    Args:
        levers: name → lever.
        named: the same as keyword arguments.

    Raises:
        ConfigError: if a name is empty or no text, or a lever is ``None``.

    >>> sorted(Levers(cache={}, queue=[]))
    ['cache', 'queue']
    """

    def __init__(self, levers: Mapping[str, object] | None = None, /, **named: object) -> None:
        self._levers = {**(levers or {}), **named}
        given: list[tuple[object, object]] = [*self._levers.items()]
        for name, lever in given:
            if not isinstance(name, str) or not name:
                raise ConfigError("name of a lever", name, "text, not empty")
            if lever is None:
                raise ConfigError(f"lever {name!r}", lever, "an object; leave it out if there is none")

    def __getitem__(self, name: str) -> object:
        return self._levers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._levers)

    def __len__(self) -> int:
        return len(self._levers)

    def __repr__(self) -> str:
        return f"Levers({', '.join(sorted(self._levers))})"

"""Which entries are asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import attrs

from selfheal.journal.entry import Entry

_RUNS = 10_000
"""Runs remembered at once; the oldest is forgotten first."""


def _as_set(types: Collection[str] | str | None) -> frozenset[str] | None:
    return None if types is None else frozenset([types] if isinstance(types, str) else types)


@attrs.define(kw_only=True)
class Selection:
    """What an entry must be to be given; see :func:`~selfheal.journal.read_journal`."""

    since: float | None = None
    types: frozenset[str] | None = attrs.field(default=None, converter=_as_set)
    strategy: str | None = None
    target: str | None = None
    run: str | None = None
    _runs: dict[object, tuple[object, object]] = attrs.field(factory=dict, init=False)

    def of(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        """Those of the entries that are asked for."""
        return filter(self.takes, entries)

    def takes(self, entry: Entry) -> bool:
        """Whether this one is asked for. Each entry must be shown once, in order."""
        if (self.strategy is not None or self.target is not None) and not self._of_subject(entry):
            return False
        if self.run is not None and entry.fields.get("run") != self.run:
            return False
        if self.types is not None and entry.type not in self.types:
            return False
        return self.since is None or entry.at >= self.since

    def _of_subject(self, entry: Entry) -> bool:
        own = entry.fields.get("strategy"), entry.fields.get("target")
        run = entry.fields.get("run")
        known = self._runs.get(run, (None, None)) if isinstance(run, str) else (None, None)
        if isinstance(run, str) and None in known:  # the first that says it speaks for the run
            self._remember(run, (_first(known[0], own[0]), _first(known[1], own[1])))
        return self.strategy in (None, _first(own[0], known[0])) and self.target in (None, _first(own[1], known[1]))

    def _remember(self, run: str, subject: tuple[object, object]) -> None:
        if run not in self._runs and len(self._runs) >= _RUNS:
            del self._runs[next(iter(self._runs))]
        self._runs[run] = subject


def _first(one: object, other: object) -> object:
    return other if one is None else one

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
        run = entry.fields.get("run")
        strategy, target = self._runs.get(run, (None, None)) if isinstance(run, str) else (None, None)
        strategy, target = entry.fields.get("strategy", strategy), entry.fields.get("target", target)
        if isinstance(run, str) and run not in self._runs:
            if len(self._runs) >= _RUNS:
                del self._runs[next(iter(self._runs))]
            self._runs[run] = (strategy, target)
        return self.strategy in (None, strategy) and self.target in (None, target)

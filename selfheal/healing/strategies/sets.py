"""All strategies of a healer, checked together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from selfheal.configuring import nearest
from selfheal.errors import ConfigError, ConfigProblem, InvalidConfigError, NotFoundError
from selfheal.healing.strategies.checking import Host, KnownActions, gathered
from selfheal.healing.strategies.loading import Contents, contents_of, entries_of
from selfheal.healing.strategies.pacing import faster_spec
from selfheal.healing.strategies.reading import (
    MOST_PROBLEMS,
    VERSION,
    Entry,
    Place,
    Unread,
    entry_of,
    read_strategies,
    read_top,
)
from selfheal.healing.strategies.shape import shortened
from selfheal.healing.strategies.specs import StrategySpec
from selfheal.healing.strategies.writing import spec_data
from selfheal.policies.protection import Protection


class StrategySet:
    """Strategies by name, in the order in which they were written. It does not change.

    Args:
        specs: strategies; each name once, at most 10,000.
        source: where they are from, for messages.

    Raises:
        InvalidConfigError: if something is no strategy, or a name is there twice.
    """

    def __init__(self, specs: Iterable[StrategySpec] = (), *, source: str = "") -> None:
        given: list[Any] = list(specs)
        wrong = [
            shortened(ConfigProblem(f"strategies[{i}]", spec, "a StrategySpec"))
            for i, spec in enumerate(given)
            if not isinstance(spec, StrategySpec)
        ]
        if wrong:
            raise InvalidConfigError(wrong[:MOST_PROBLEMS], source)
        self._fill([entry_of(spec, Place(where=f"strategies[{i}]")) for i, spec in enumerate(given)], source, Host())

    def _fill(
        self, entries: Iterable[Entry | Unread], source: str, host: Host, before: Iterable[ConfigProblem] = ()
    ) -> None:
        """Take the strategies in, or none of them."""
        taken, problems = gathered(entries, host)
        problems = [*before, *problems]
        if problems:
            raise InvalidConfigError(problems, source)
        self._entries = {entry.name: entry for entry in taken}
        self._specs = {entry.name: entry.spec for entry in taken if entry.spec is not None}
        self.source = source

    @classmethod
    def _of(
        cls, entries: Iterable[Entry | Unread], source: str, host: Host, before: Iterable[ConfigProblem] = ()
    ) -> StrategySet:
        made = cls.__new__(cls)
        made._fill(entries, source, host, before)
        return made

    @classmethod
    def from_data(
        cls,
        data: object,
        where: str = "",
        source: str = "",
        *,
        actions: KnownActions | None = None,
        levers: Mapping[str, object] | None = None,
        protection: Protection | None = None,
    ) -> StrategySet:
        """Make a set of plain data, as a JSON or TOML file holds it: ``{"version": 1, "strategies": [...]}``.

        What is bounded in a file is bounded here: 500 strategies, 6,000 values.

        Args:
            data: the data.
            where: path of that place in the file, for messages.
            source: the file, for messages.
            actions: what the strategies may name; ``None``: not checked now.
            levers: what the actions may pull; ``None``: not checked now.
            protection: what they may touch; ``None``: not checked now.

        Raises:
            InvalidConfigError: with all that is wrong. (After 100 problems no further strategy is looked at.)
        """
        host = Host(actions=actions, levers=levers, protection=protection)
        listed, before = read_top(data, where)
        return cls._of(read_strategies(listed, where), source, host, before)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        actions: KnownActions | None = None,
        levers: Mapping[str, object] | None = None,
        protection: Protection | None = None,
    ) -> StrategySet:
        """Read a ``.json`` or ``.toml`` file, or all of a directory in the order of their names.

        Args:
            path: the file or directory. A file is of at most 256 KiB of JSON or 64 KiB of TOML.
            actions: what the strategies may name; ``None``: not checked now.
            levers: what the actions may pull; ``None``: not checked now.
            protection: what they may touch; ``None``: not checked now.

        Raises:
            InvalidConfigError: with all that is wrong. Nothing is half loaded.
        """
        return cls.from_contents(contents_of(path), path, Host(actions=actions, levers=levers, protection=protection))

    @classmethod
    def from_contents(cls, contents: Contents, path: str | Path, host: Host) -> StrategySet:
        """Make a set of what files hold that were read already.

        Raises:
            InvalidConfigError: with all that is wrong.
        """
        entries, before = entries_of(contents)
        return cls._of(entries, str(path), host, before)

    def check(
        self,
        actions: KnownActions | None = None,
        levers: Mapping[str, object] | None = None,
        protection: Protection | None = None,
    ) -> tuple[ConfigProblem, ...]:
        """What a host's actions, levers and protected targets say against these strategies; empty if nothing."""
        host = Host(actions=actions, levers=levers, protection=protection)
        return tuple(gathered(self._entries.values(), host)[1])

    def checked(
        self,
        actions: KnownActions | None = None,
        levers: Mapping[str, object] | None = None,
        protection: Protection | None = None,
    ) -> StrategySet:
        """This set, if :meth:`check` finds nothing.

        Raises:
            InvalidConfigError: with all that it finds.
        """
        problems = self.check(actions, levers, protection)
        if problems:
            raise InvalidConfigError(problems, self.source)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(self._specs)

    def get(self, name: str) -> StrategySpec:
        """The strategy of a name.

        Raises:
            NotFoundError: if there is none; lists those there are.
        """
        found = self._specs.get(name)
        if found is None:
            raise NotFoundError("strategy", name, self._specs, nearest(name, self._specs))
        return found

    def merged(self, *others: StrategySet) -> StrategySet:
        """This set and others as one.

        Raises:
            InvalidConfigError: if a name is in two of them.
        """
        sets = (self, *others)
        entries = [_from(entry, one.source) for one in sets for entry in one._entries.values()]
        return StrategySet._of(entries, ", ".join(dict.fromkeys(s.source for s in sets if s.source)), Host())

    def __or__(self, other: object) -> StrategySet:
        """This set with the strategies of another one, which take the place of those that have the same name."""
        if not isinstance(other, StrategySet):
            return NotImplemented
        both = {**self._entries, **other._entries}
        sources = dict.fromkeys(source for source in (self.source, other.source) if source)
        placed = [_from(e, other.source if n in other._entries else self.source) for n, e in both.items()]
        return StrategySet._of(placed, ", ".join(sources), Host())

    def faster(self, factor: float) -> StrategySet:
        """The same strategies with every duration divided: for demonstrations and tests. Timeouts of actions stay.

        Args:
            factor: how much faster; more than 0.

        Raises:
            ConfigError: if it is no such number, or a duration gets longer than accepted.
        """
        given: object = factor
        if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given <= 1e9:
            raise ConfigError("factor", given, "a number more than 0 and at most 1e9")
        return StrategySet([faster_spec(spec, float(given)) for spec in self], source=self.source)

    def to_data(self) -> dict[str, Any]:
        """The set as a file holds it; what is as by default is left out. :meth:`from_data` makes it again."""
        return {"version": VERSION, "strategies": [spec_data(spec) for spec in self]}

    def __iter__(self) -> Iterator[StrategySpec]:
        return iter(self._specs.values())

    def __len__(self) -> int:
        return len(self._specs)

    def __contains__(self, name: object) -> bool:
        return name in self._specs

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, StrategySet) else NotImplemented

    def __repr__(self) -> str:
        shown = ", ".join(self.names[:10]) + (", ..." if len(self) > 10 else "")
        return f"StrategySet({shown})"


def _from(entry: Entry, source: str) -> Entry:
    """The entry, told with the file it is from from now on."""
    named = entry.place.file or source
    return attrs.evolve(entry, place=attrs.evolve(entry.place, file=named))

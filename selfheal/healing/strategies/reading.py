"""Plain data, as a file holds it, made into strategies; whatever is wrong is told with its path in the file."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from selfheal.configuring import choices, structure
from selfheal.errors import ConfigError, ConfigProblem, InvalidConfigError
from selfheal.healing.strategies.shape import Shortened, measured, shortened
from selfheal.healing.strategies.specs import MOST_STEPS, Level, StepSpec, StrategySpec, gaps

VERSION = 1
MOST_STRATEGIES = 10_000
"""So many a set may have."""
MOST_IN_FILE = 500
"""So many a file may have."""
MOST_VALUES_IN_FILE = 6_000
"""So many values the strategies of a file may have together, as :func:`measured` counts them."""
MOST_PROBLEMS = 100
"""So many problems of one strategy are told; and once there are so many, no further strategy is looked at."""

LATER = "looked at when those before are right: there are too many problems already"
"""What is said of problems that are not told."""

_KEYS = ("$schema", "strategies", "version")
_FIELDS = sorted({"actions", "level", *(field.name for field in attrs.fields(StrategySpec))})
_KNOWN = frozenset(_FIELDS)
_STEP = re.compile(r"\.levels\[(\d+)\]\.actions\[(\d+)\]")

Listed = tuple[object, ConfigProblem | None]
"""One of the strategies of a file as plain data, and what no strategy may hold, if it has that in it."""


@attrs.frozen(kw_only=True)
class Place:
    """Where a strategy was written, and how, so that problems are told in the words of its file.

    Args:
        file: name of the file, where there are several; else empty.
        where: path in it (``strategies[2]``).
        short: whether it has ``actions`` instead of levels.
        bare: level and number of the actions that are just a name.
    """

    file: str = ""
    where: str
    short: bool = False
    bare: frozenset[tuple[int, int]] = frozenset()

    def told(self, path: str = "") -> str:
        """The path of something in it (``.levels[0].actions[1].do``) as its author wrote it."""
        step = _STEP.match(path)
        if step and path.endswith(".do") and (int(step[1]), int(step[2])) in self.bare:
            path = path.removesuffix(".do")
        if self.short:
            path = path.removeprefix(".levels[0]") if path.startswith(".levels[0]") else path
        return (f"{self.file}: " if self.file else "") + self.where + path


@attrs.frozen(kw_only=True)
class Entry:
    """One strategy of a file, or what could be made out of it.

    Args:
        place: where it stands.
        name: what it is called, as far as that can be told.
        spec: the strategy; ``None`` if it is not accepted.
        rest: where it is not accepted, its actions that could be read, by their path.
        problems: why it is not accepted.
    """

    place: Place
    name: str = ""
    spec: StrategySpec | None = None
    rest: Mapping[str, StepSpec] = attrs.field(factory=dict)
    problems: tuple[ConfigProblem, ...] = ()

    def read(self) -> Entry:
        """Itself: it was read already."""
        return self

    @property
    def steps(self) -> Mapping[str, StepSpec]:
        """Its actions, by their path."""
        if self.spec is None:
            return self.rest
        levels = enumerate(self.spec.levels)
        return {f".levels[{i}].actions[{j}]": step for i, level in levels for j, step in enumerate(level.actions)}


@attrs.frozen
class Unread:
    """One strategy of a file that was not read yet: none is where there are too many problems already.

    Args:
        place: where it stands.
        data: its plain data.
        odd: what no strategy may hold, if it has that in it.
    """

    place: Place
    data: object
    odd: ConfigProblem | None

    def read(self) -> Entry:
        """The strategy."""
        return _read(self.data, self.odd, self.place)


def entry_of(spec: StrategySpec, place: Place) -> Entry:
    """A strategy that is well formed."""
    return Entry(place=place, name=spec.name, spec=spec)


def read_top(data: object, where: str, file: str = "") -> tuple[list[Listed], list[ConfigProblem]]:
    """The strategies of a file as plain data, and what is wrong around them."""
    at = f"{file}: " if file else ""
    dot = f"{at}{where}." if where else at
    if not isinstance(data, Mapping):
        return [], [shortened(ConfigProblem(at + (where or "settings"), data, "a table with a list of strategies"))]
    problems = []
    for key in itertools.islice(data, MOST_PROBLEMS):
        if not isinstance(key, str) or key not in _KEYS:
            shown = key[:40] if isinstance(key, str) else "a key that is no text"
            problems.append(ConfigProblem(f"{dot}{ascii(shown)[1:-1]}", shown, choices(_KEYS, shown)))
    if len(data) > MOST_PROBLEMS:
        problems.append(ConfigProblem(at + (where or "settings"), Shortened(f"{len(data)} keys"), LATER))
    version = data.get("version", attrs.NOTHING)
    if not isinstance(version, int) or isinstance(version, bool) or version != VERSION:
        problems.append(shortened(ConfigProblem(f"{dot}version", _plain(version), f"{VERSION}, the one there is")))
    if not isinstance(data.get("$schema", ""), str):
        problems.append(shortened(ConfigProblem(f"{dot}$schema", data["$schema"], "text")))
    listed = data.get("strategies", attrs.NOTHING)
    if not isinstance(listed, list | tuple):
        problems.append(shortened(ConfigProblem(f"{dot}strategies", _plain(listed), "a list of strategies")))
        return [], problems
    found, wrong = _within(listed, f"{dot}strategies")
    return found, [*problems, *wrong]


def _within(listed: Sequence[object], where: str) -> tuple[list[Listed], list[ConfigProblem]]:
    """The strategies, each looked at, if they are within what one file may hold: reading takes time."""
    more = "; a directory of files may hold more"
    if len(listed) > MOST_IN_FILE:
        found = Shortened(f"{len(listed)}")
        return [], [ConfigProblem(where, found, f"a list of at most {MOST_IN_FILE} strategies in one file{more}")]
    looked: list[Listed] = []
    together = 0
    for data in listed:
        much, odd = measured(data) if isinstance(data, Mapping) else (1, None)
        together += much
        if together > MOST_VALUES_IN_FILE:
            accepted = f"of at most {MOST_VALUES_IN_FILE} values in one file, a condition as text being many{more}"
            return [], [ConfigProblem(where, Shortened(f"more than {MOST_VALUES_IN_FILE}"), accepted)]
        looked.append((data, odd))
    return looked, []


def read_strategies(listed: Iterable[Listed], where: str, file: str = "") -> Iterator[Unread]:
    """Each strategy of a list of plain data, to be read one by one."""
    inside = f"{where}.strategies" if where else "strategies"
    for index, (data, odd) in enumerate(listed):
        yield Unread(Place(file=file, where=f"{inside}[{index}]"), data, odd)


def _read(data: object, odd: ConfigProblem | None, place: Place) -> Entry:
    """One strategy of plain data."""
    if isinstance(data, StrategySpec):
        return entry_of(data, place)
    if not isinstance(data, Mapping):
        wrong = shortened(ConfigProblem(place.told(), _plain(data), "a table with the settings of a strategy"))
        return Entry(place=place, problems=(wrong,))
    if odd is not None:
        return Entry(place=place, problems=(shortened(odd._replace(where=place.told(odd.where))),))
    whole, place, mixed = _levelled(data, place)
    try:
        spec = structure(whole, StrategySpec)
    except InvalidConfigError as error:
        return _refused(whole, place, mixed, error.problems)
    made = entry_of(spec, place)
    return attrs.evolve(made, problems=tuple(mixed), spec=None, rest=made.steps) if mixed else made


def _refused(
    whole: Mapping[str, Any], place: Place, mixed: Sequence[ConfigProblem], problems: Sequence[ConfigProblem]
) -> Entry:
    """What could be made of a strategy that is not accepted, and what is said against it: no more than is read."""
    told = [_told(problem, place, whole) for problem in problems[:MOST_PROBLEMS]]
    where = {problem.where for problem in told}
    told += [gap for gap in _gaps(whole, place) if gap.where not in where]
    if len(problems) > MOST_PROBLEMS:
        told.append(ConfigProblem(place.told(), Shortened(f"{len(problems) - MOST_PROBLEMS} problems more"), LATER))
    rest = _steps_of(whole) if len(told) < MOST_PROBLEMS else {}
    given = whole.get("name")
    return Entry(place=place, name=given if isinstance(given, str) else "", rest=rest, problems=(*mixed, *told))


def _levelled(data: Mapping[str, Any], place: Place) -> tuple[dict[str, Any], Place, list[ConfigProblem]]:
    """The strategy with levels, where it has just actions; and with tables, where actions are just named."""
    whole = {key: value for key, value in data.items() if key in _KNOWN}
    short = "levels" not in whole
    problems = [] if len(whole) == len(data) and short else _mixed(data, whole, place)
    if short:
        whole["levels"] = [{key: whole.pop(key) for key in ("level", "actions") if key in whole}]
    bare: set[tuple[int, int]] = set()
    if isinstance(whole["levels"], list | tuple):
        whole["levels"] = [_named(level, index, bare) for index, level in enumerate(whole["levels"])]
    return whole, Place(file=place.file, where=place.where, short=short, bare=frozenset(bare)), problems


def _mixed(data: Mapping[str, Any], whole: dict[str, Any], place: Place) -> list[ConfigProblem]:
    """What is wrong with the keys of a strategy as such; taken out, so that what is left is told as well."""
    problems = [
        ConfigProblem(place.told(f".{key}"), key, f"a key of a strategy: {choices(_FIELDS, key)}")
        for key in data
        if key not in _KNOWN
    ]
    levels = data.get("levels", attrs.NOTHING)
    for key in ("actions", "level"):
        if key in data and levels is not attrs.NOTHING:
            accepted = f"left out where there are levels: each has its own {key}"
            problems.append(shortened(ConfigProblem(place.told(f".{key}"), data[key], accepted)))
            del whole[key]
    if isinstance(levels, list | tuple) and len(levels) > len(Level):
        found = Shortened(f"{len(levels)} levels")
        problems.append(ConfigProblem(place.told(".levels"), found, "a list of at most soft, hard and critical"))
        whole["levels"] = levels[: len(Level)]
    return problems


def _named(level: Any, index: int, bare: set[tuple[int, int]]) -> Any:
    """The level with each action a table."""
    if not isinstance(level, Mapping) or not isinstance(level.get("actions"), list | tuple):
        return level
    actions = level["actions"]
    if len(actions) > MOST_STEPS:  # told as too many; each of them is not looked at
        actions = [*actions[:MOST_STEPS], actions[0]]
    bare |= {(index, at) for at, action in enumerate(actions) if isinstance(action, str)}
    return {**level, "actions": [_stepped(action) if isinstance(action, str) else action for action in actions]}


def _stepped(name: str) -> object:
    """The action that is just a name; as a table, if it is refused: then that is told with its path."""
    try:
        return StepSpec(do=name)
    except ConfigError:
        return {"do": name}


def _told(problem: ConfigProblem, place: Place, whole: Mapping[str, Any]) -> ConfigProblem:
    """The problem with its path as the author wrote it."""
    where = problem.where if problem.where != "settings" else ""
    if place.short and where == "levels[0].actions" and problem.found is attrs.NOTHING:
        problem = problem._replace(accepted="given: a list of actions; or levels, each with its own")
    path = where if where.startswith("[") or not where else f".{where}"
    return shortened(problem._replace(where=place.told(path)))


def _gaps(whole: Mapping[str, Any], place: Place) -> list[ConfigProblem]:
    """What the strategy lacks; the record itself, which could tell, was not even made."""
    verify = whole.get("verify")
    given = verify if isinstance(verify, Mapping) else {}
    found = gaps(whole.get("trigger"), whole.get("alerts"), given.get("by"), given.get("condition"))
    return [gap._replace(where=place.told(f".{gap.where}")) for gap in found]


def _steps_of(whole: Mapping[str, Any]) -> dict[str, StepSpec]:
    """The actions of a strategy that is not accepted for something else: they are checked all the same."""
    found = {}
    levels = whole.get("levels")
    for i, level in enumerate(levels if isinstance(levels, list) else ()):
        actions = level.get("actions") if isinstance(level, Mapping) else None
        for j, action in enumerate(actions[:MOST_STEPS] if isinstance(actions, list | tuple) else ()):
            try:
                found[f".levels[{i}].actions[{j}]"] = structure(action, StepSpec)
            except InvalidConfigError:
                continue  # told already
    return found


def _plain(found: object) -> object:
    """An integer of any length can be shown."""
    return Shortened("a large integer") if isinstance(found, int) and found.bit_length() > 64 else found

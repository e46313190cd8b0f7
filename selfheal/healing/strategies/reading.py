"""Plain data, as a file holds it, made into strategies; whatever is wrong is told with its path in the file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from selfheal.configuring import choices, structure
from selfheal.errors import ConfigProblem, InvalidConfigError
from selfheal.healing.strategies.shape import Shortened, shape_problem, shortened
from selfheal.healing.strategies.specs import MOST_STEPS, Level, StepSpec, StrategySpec, gaps

VERSION = 1
MOST_STRATEGIES = 10_000
MOST_PROBLEMS = 100
"""So many problems of one strategy are told; and once there are so many, no further strategy is looked at."""

_KEYS = ("$schema", "strategies", "version")
_FIELDS = sorted({"actions", "level", *(field.name for field in attrs.fields(StrategySpec))})
_STEP = re.compile(r"\.levels\[(\d+)\]\.actions\[(\d+)\]")


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
        steps: its actions that could be read, by their path.
        problems: why it is not accepted.
    """

    place: Place
    name: str = ""
    spec: StrategySpec | None = None
    steps: Mapping[str, StepSpec] = attrs.field(factory=dict)
    problems: tuple[ConfigProblem, ...] = ()


def entry_of(spec: StrategySpec, place: Place) -> Entry:
    """A strategy that is well formed."""
    steps = {
        f".levels[{i}].actions[{j}]": step
        for i, level in enumerate(spec.levels)
        for j, step in enumerate(level.actions)
    }
    return Entry(place=place, name=spec.name, spec=spec, steps=steps)


def read_top(data: object, where: str, file: str = "") -> tuple[list[Any], list[ConfigProblem]]:
    """The strategies of a file as plain data, and what is wrong around them."""
    at = f"{file}: " if file else ""
    dot = f"{at}{where}." if where else at
    if not isinstance(data, Mapping):
        return [], [shortened(ConfigProblem(at + (where or "settings"), data, "a table with a list of strategies"))]
    problems = []
    for key in list(data)[:MOST_PROBLEMS]:
        if not isinstance(key, str) or key not in _KEYS:
            shown = key[:40] if isinstance(key, str) else "a key that is no text"
            problems.append(ConfigProblem(f"{dot}{ascii(shown)[1:-1]}", shown, choices(_KEYS, shown)))
    version = data.get("version", attrs.NOTHING)
    if not isinstance(version, int) or isinstance(version, bool) or version != VERSION:
        problems.append(shortened(ConfigProblem(f"{dot}version", _plain(version), f"{VERSION}, the one there is")))
    if not isinstance(data.get("$schema", ""), str):
        problems.append(shortened(ConfigProblem(f"{dot}$schema", data["$schema"], "text")))
    listed = data.get("strategies", attrs.NOTHING)
    if not isinstance(listed, list | tuple):
        problems.append(shortened(ConfigProblem(f"{dot}strategies", _plain(listed), "a list of strategies")))
    elif len(listed) > MOST_STRATEGIES:
        found = Shortened(f"{len(listed)}")
        problems.append(ConfigProblem(f"{dot}strategies", found, f"a list of at most {MOST_STRATEGIES} strategies"))
    else:
        return list(listed), problems
    return [], problems


def read_strategies(listed: Iterable[object], where: str, file: str = "") -> Iterator[Entry]:
    """Each strategy of a list of plain data."""
    inside = f"{where}.strategies" if where else "strategies"
    for index, data in enumerate(listed):
        yield read_strategy(data, f"{inside}[{index}]", file)


def read_strategy(data: object, where: str, file: str = "") -> Entry:
    """One strategy of plain data."""
    place = Place(file=file, where=where)
    if isinstance(data, StrategySpec):
        return entry_of(data, place)
    if not isinstance(data, Mapping):
        wrong = shortened(ConfigProblem(place.told(), _plain(data), "a table with the settings of a strategy"))
        return Entry(place=place, problems=(wrong,))
    odd = shape_problem(data, "")
    if odd is not None:
        return Entry(place=place, problems=(shortened(odd._replace(where=place.told(odd.where))),))
    given = data.get("name")
    name = given if isinstance(given, str) else ""
    whole, place, mixed = _levelled(data, place)
    try:
        spec = structure(whole, StrategySpec)
    except InvalidConfigError as error:
        told = [_told(problem, place, whole) for problem in error.problems[:MOST_PROBLEMS]]
        told += [gap for gap in _gaps(whole, place) if gap.where not in {problem.where for problem in told}]
        steps = _steps_of(whole) if len(told) < MOST_PROBLEMS else {}
        return Entry(place=place, name=name, steps=steps, problems=(*mixed, *told))
    return attrs.evolve(entry_of(spec, place), problems=tuple(mixed), spec=None if mixed else spec)


def _levelled(data: Mapping[str, Any], place: Place) -> tuple[dict[str, Any], Place, list[ConfigProblem]]:
    """The strategy with levels, where it has just actions; and with tables, where actions are just named."""
    whole = {key: value for key, value in data.items() if key in _FIELDS}
    problems = [
        ConfigProblem(place.told(f".{key}"), key, f"a key of a strategy: {choices(_FIELDS, key)}")
        for key in data
        if key not in _FIELDS
    ]
    short = "levels" not in data
    for key in ("actions", "level"):
        if key in data and not short:
            accepted = f"left out where there are levels: each has its own {key}"
            problems.append(shortened(ConfigProblem(place.told(f".{key}"), data[key], accepted)))
            del whole[key]
    if short:
        level = {key: whole.pop(key) for key in ("level", "actions") if key in whole}
        whole["levels"] = [level]
    bare: set[tuple[int, int]] = set()
    if isinstance(whole["levels"], list | tuple):
        if len(whole["levels"]) > len(Level):
            found = Shortened(f"{len(whole['levels'])} levels")
            problems.append(ConfigProblem(place.told(".levels"), found, "a list of at most soft, hard and critical"))
            whole["levels"] = whole["levels"][: len(Level)]
        whole["levels"] = [_named(level, index, bare) for index, level in enumerate(whole["levels"])]
    return whole, attrs.evolve(place, short=short, bare=frozenset(bare)), problems


def _named(level: Any, index: int, bare: set[tuple[int, int]]) -> Any:
    """The level with each action a table."""
    if not isinstance(level, Mapping) or not isinstance(level.get("actions"), list | tuple):
        return level
    actions = level["actions"]
    if len(actions) > MOST_STEPS:  # told as too many; each of them is not looked at
        actions = [*actions[:MOST_STEPS], actions[0]]
    bare |= {(index, at) for at, action in enumerate(actions) if isinstance(action, str)}
    return {**level, "actions": [{"do": action} if isinstance(action, str) else action for action in actions]}


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

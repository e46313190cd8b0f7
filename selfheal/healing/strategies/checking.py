"""What the actions, the levers and the protected targets of a host say to strategies that are well formed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import attrs

from selfheal.configuring import choices, structure
from selfheal.errors import ConfigError, ConfigProblem, InvalidConfigError
from selfheal.healing.actions import Action, Effect, LeverNeed
from selfheal.healing.actions.protocol import asks
from selfheal.healing.strategies.reading import LATER, MOST_PROBLEMS, MOST_STRATEGIES, Entry, Place, Unread
from selfheal.healing.strategies.shape import Shortened, shortened
from selfheal.healing.strategies.specs import LevelSpec, StepSpec, StrategySpec
from selfheal.policies.protection import Protection


class KnownActions(Protocol):
    """Actions by name, as an :class:`~selfheal.healing.actions.ActionRegistry` has them."""

    def get(self, name: str, /) -> Action:
        """The action of a name."""

    def names(self) -> Iterable[str]:
        """The names of all."""


@attrs.frozen(kw_only=True)
class Host:
    """What strategies are checked against; what is ``None`` is not checked.

    Args:
        actions: those there are.
        levers: those there are, by name.
        protection: which targets may be touched and harmed.
    """

    actions: KnownActions | None = None
    levers: Mapping[str, object] | None = None
    protection: Protection | None = None
    known: tuple[str, ...] = attrs.field(init=False)

    @known.default
    def _names(self) -> tuple[str, ...]:
        return () if self.actions is None else tuple(sorted(self.actions.names()))


class Answers:
    """What a host says to one question after the other; asked once each, since asking takes time."""

    def __init__(self, host: Host) -> None:
        self._levers = host.levers or {}
        self._serves: dict[tuple[str, type], bool] = {}
        self._plain: dict[str, bool] = {}

    def serves(self, name: str, protocol: type) -> bool:
        """Whether the lever of a name is one of that protocol."""
        found = self._serves.get((name, protocol))
        if found is None:
            found = self._serves[name, protocol] = _serves(self._levers.get(name), protocol)
        return found

    def unserved(self, step: StepSpec, action: Action) -> list[LeverNeed]:
        """What the action needs and has no lever for."""
        named = step.levers
        return [need for need in action.needs if not self.serves(named.get(need.role, need.role), need.protocol)]

    def goes_without(self, name: str, action: Action) -> bool:
        """Whether the action needs no parameters."""
        found = self._plain.get(name)
        if found is None:
            found = self._plain[name] = not any(_wrong_params({}, action))
        return found


def gathered(entries: Iterable[Entry | Unread], host: Host) -> tuple[list[Entry], list[ConfigProblem]]:
    """The strategies of an iterable, and all that is wrong with them, in their order.

    It goes on until there are 100 problems; then no further strategy is looked at, nor even read.
    """
    answers = Answers(host)
    taken: list[Entry] = []
    names: dict[str, Entry] = {}
    problems: list[ConfigProblem] = []
    for unread in entries:
        if len(problems) >= MOST_PROBLEMS:
            problems.append(ConfigProblem(unread.place.told(), Shortened("it and all that follow"), LATER))
            break
        if len(taken) == MOST_STRATEGIES:
            found = Shortened("one more strategy")
            problems.append(ConfigProblem(unread.place.told(), found, f"one of at most {MOST_STRATEGIES} strategies"))
            break
        entry = unread.read()
        taken.append(entry)
        problems += entry.problems
        if entry.name and names.setdefault(entry.name, entry) is not entry:
            accepted = f"a name of its own: {names[entry.name].place.told()} has it too"
            problems.append(shortened(ConfigProblem(entry.place.told(".name"), entry.name, accepted)))
        told = list(itertools.islice(_host_problems(entry, host, answers), MOST_PROBLEMS + 1))
        if len(told) > MOST_PROBLEMS:
            told[-1] = ConfigProblem(entry.place.told(), Shortened("what else is in it"), LATER)
        problems += told
    return taken, problems


def _host_problems(entry: Entry, host: Host, answers: Answers) -> Iterator[ConfigProblem]:
    """What the host says to one strategy, or to those of its actions that could be read."""
    if host.actions is None:
        return
    found: dict[str, Action] = {}
    for path, step in entry.steps.items():
        for problem in _step_problems(entry, path, step, host, answers, found):
            yield shortened(problem)
    if entry.spec is not None:
        for problem in _order_problems(entry.spec, entry.place, found):
            yield shortened(problem)


def _step_problems(
    entry: Entry, path: str, step: StepSpec, host: Host, answers: Answers, found: dict[str, Action]
) -> Iterator[ConfigProblem]:
    place = entry.place
    if host.actions is None or step.do not in host.known:
        accepted = f"the name of an action: {choices(host.known, step.do)}"
        yield ConfigProblem(place.told(f"{path}.do"), step.do, accepted)
        return
    try:
        action = found[path] = host.actions.get(step.do)
    except ConfigError as error:  # declared, and not complete
        yield ConfigProblem(place.told(f"{path}.do"), step.do, f"an action that is complete: {error}")
        return
    if step.params or not answers.goes_without(step.do, action):
        for problem in _wrong_params(step.params, action):
            inner = "" if problem.where == "settings" else f".{problem.where}"
            yield problem._replace(where=place.told(f"{path}.params{inner}"))
    if step.levers:
        yield from _role_problems(place, path, step, action)
    if step.undo_after is not None and action.effect is not Effect.REVERSIBLE:
        accepted = f"left out: {step.do} is {action.effect}, so there is nothing to undo"
        yield ConfigProblem(place.told(f"{path}.undo_after"), step.undo_after, accepted)
    if host.levers is not None:
        for need in answers.unserved(step, action):
            yield from _lever_problems(entry, path, step, need, host.levers)
    if host.protection is not None:
        yield from _protection_problems(entry, path, step, action, host.protection)


def _wrong_params(params: Mapping[str, Any], action: Action) -> Sequence[ConfigProblem]:
    try:
        structure(params, action.params)
    except InvalidConfigError as error:
        return error.problems
    return ()


def _role_problems(place: Place, path: str, step: StepSpec, action: Action) -> Iterator[ConfigProblem]:
    roles = [need.role for need in action.needs]
    for role in step.levers:
        if role not in roles:
            accepted = f"a lever that {step.do} pulls: {choices(roles, role)}" if roles else "left out: it pulls none"
            yield ConfigProblem(place.told(f"{path}.levers.{role}"), role, accepted)


def _lever_problems(
    entry: Entry, path: str, step: StepSpec, need: LeverNeed, levers: Mapping[str, object]
) -> Iterator[ConfigProblem]:
    name = step.levers.get(need.role, need.role)
    lever = levers.get(name)
    if lever is None and need.optional and need.role not in step.levers:
        return
    wanted = f"a {need.protocol.__name__}, which {step.do} of strategy {entry.name!r} pulls"
    if lever is None:
        there = choices(sorted(levers), name) if levers else "there is none"
        accepted = f"the name of a lever that the host has, {wanted} ({there})"
        yield ConfigProblem(entry.place.told(f"{path}.levers.{need.role}"), name, accepted)
    else:
        accepted = f"the name of a lever that is {wanted}; this one is of type {type(lever).__name__}"
        yield ConfigProblem(entry.place.told(f"{path}.levers.{need.role}"), name, accepted)


def _serves(lever: object, protocol: type) -> bool:
    try:
        return isinstance(lever, protocol)
    except Exception:  # asking reads the lever's properties, which are the host's code
        return False


def _protection_problems(
    entry: Entry, path: str, step: StepSpec, action: Action, protection: Protection
) -> Iterator[ConfigProblem]:
    """Targets that are named exactly. What an alert is about is looked at when it comes, and right before acting."""
    if step.target:
        refused = protection.check(step.target, action.destructive)
        if refused is not None:
            yield ConfigProblem(entry.place.told(f"{path}.target"), step.target, f"one that may be touched: {refused}")
        return
    for index, target in enumerate(entry.spec.targets if entry.spec is not None else ()):
        refused = protection.check(target, action.destructive) if "*" not in target else None
        if refused is not None:
            accepted = f"one that {step.do} may touch: {refused}"
            yield ConfigProblem(entry.place.told(f".targets[{index}]"), target, accepted)


def _order_problems(spec: StrategySpec, place: Place, found: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    """Undoing goes backwards, and ends where something cannot be undone: that comes last."""
    for i, level in enumerate(spec.levels):
        if level.approval is False:
            for j, step in enumerate(level.actions):
                if asks(found.get(f".levels[{i}].actions[{j}]")):
                    accepted = f"left out or true: {step.do} always waits for a person"
                    yield ConfigProblem(place.told(f".levels[{i}].approval"), False, accepted)
    for i, level in enumerate(spec.levels if spec.rollback else ()):
        yield from _level_order(level, f".levels[{i}].actions", place, found)


def _level_order(level: LevelSpec, path: str, place: Place, found: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    final = ""
    for j, step in enumerate(level.actions):
        action = found.get(f"{path}[{j}]")
        if action is None:
            continue
        if action.effect is Effect.IRREVERSIBLE:
            final = step.do
        elif action.effect is Effect.REVERSIBLE and final:
            accepted = f"before {final}, which cannot be undone, or in a later level; or the strategy without rollback"
            yield ConfigProblem(place.told(f"{path}[{j}].do"), step.do, accepted)

"""The actions that strategies may name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator

from selfheal.errors import ConfigError, NotFoundError
from selfheal.healing.actions.callables import ActionDeclaration, CallableAction, Runs
from selfheal.healing.actions.checking import checked
from selfheal.healing.actions.protocol import Action, Effect, LeverNeed, NoParams, Repeat

GROUP = "selfheal.actions"
"""The entry point group in which a package offers actions."""


class ActionRegistry:
    """Actions by name: those that selfheal ships, and those of the host.

    >>> from selfheal.healing.actions import builtin_actions
    >>> actions = builtin_actions()
    >>> @actions.action("flush_mail")
    ... def flush_mail(call):
    ...     return {"flushed": call.target}
    >>> "flush_mail" in actions, actions.get("flush_mail").effect.value
    (True, 'irreversible')

    Args:
        actions: what is in it from the start: actions, or classes of them that are made without arguments.

    Raises:
        ConfigError: if something is no action, or two have one name.
    """

    def __init__(self, actions: Iterable[Action | type[Action]] = ()) -> None:
        self._actions: dict[str, Action] = {}
        for action in actions:
            self.register(action)

    def register(self, action: Action | type[Action]) -> Action:
        """Take in an action, or a class of one that is made without arguments. Usable as a decorator of a class.

        Returns:
            The action.

        Raises:
            ConfigError: if it is none, declares what cannot be, has coroutine functions, or its name is taken.
        """
        found = checked(action)
        if found.name in self._actions:
            raise ConfigError(
                "name of an action", found.name, f"one that is not taken by {self._actions[found.name]!r}"
            )
        self._actions[found.name] = found
        return found

    def action(
        self,
        name: str,
        *,
        needs: Iterable[LeverNeed] = (),
        effect: Effect = Effect.IRREVERSIBLE,
        destructive: bool = False,
        params: type = NoParams,
        timeout: float = 30.0,
        repeat: Repeat = Repeat.AGAIN,
    ) -> Callable[[Runs], ActionDeclaration]:
        """A decorator that makes an action of a function ``(call)`` or ``(call, plan)`` that may return a receipt.

        What it leaves takes further steps by its decorators ``.plan``, ``.probe``, ``.verify`` and ``.rollback``.

        Args:
            name: what strategies call it.
            needs: the levers it pulls.
            effect: whether it can be undone; ``REVERSIBLE`` asks for ``.plan`` and ``.rollback``.
            destructive: whether it ends or removes something.
            params: a frozen ``attrs`` class.
            timeout: seconds after which it is given up.
            repeat: what running it again with the same key does.

        Raises:
            ConfigError: as :meth:`register`; also if the function is async or takes other arguments.
        """

        def declare(function: Runs) -> ActionDeclaration:
            made = CallableAction(
                name=name,
                runs=function,
                effect=effect,
                destructive=destructive,
                timeout=timeout,
                needs=tuple(needs),
                params=params,
                repeat=repeat,
            )
            self.register(made)
            return ActionDeclaration(made)

        return declare

    def get(self, name: str) -> Action:
        """The action of a name.

        Raises:
            NotFoundError: if there is none; names the nearest.
            ConfigError: if it was declared reversible and never given what undoes it.
        """
        found = self._actions.get(name)
        if found is None:
            near = difflib.get_close_matches(str(name), self._actions, 1)
            raise NotFoundError("action", str(name), self._actions, *near)
        if isinstance(found, CallableAction) and found.effect is Effect.REVERSIBLE:
            lacking = [step for step in ("plan", "rollback") if step not in found.steps]
            if lacking:
                accepted = f"given by the decorator .{lacking[0]}, since it is declared reversible"
                raise ConfigError(f"action {name}: {lacking[0]}", None, accepted)
        return found

    def names(self) -> tuple[str, ...]:
        """The names of all, sorted."""
        return tuple(sorted(self._actions))

    def load_entry_points(self, group: str = GROUP) -> tuple[str, ...]:
        """Take in the actions that installed packages offer as entry points. Runs their code, so only when called.

        An entry point gives an action, a class of one, or an :class:`ActionRegistry`, whose actions are all taken.

        Returns:
            The names of the actions that came, in order of the entry points' names.

        Raises:
            ConfigError: if one cannot be loaded or is not accepted, naming the entry point and its package. Then
                nothing was taken in.
        """
        from importlib.metadata import entry_points  # 10 ms to import: only who asks for plugins pays

        tried = self.copy()
        for point in sorted(entry_points(group=group), key=lambda point: point.name):
            owner = point.dist.name if point.dist is not None else "an unknown package"
            where = f"entry point {point.name!r} of {owner} ({point.value})"
            try:
                loaded = point.load()
                for action in loaded._actions.values() if isinstance(loaded, ActionRegistry) else (loaded,):
                    tried.register(action)
            except ConfigError as error:
                raise ConfigError(f"{where}: {error.where}", error.found, error.accepted) from error
            except Exception as error:
                raise ConfigError(where, f"{type(error).__name__}: {error}", "loaded without an error") from error
        new = tuple(name for name in tried._actions if name not in self._actions)
        self._actions = tried._actions
        return new

    def copy(self) -> ActionRegistry:
        """Another registry with the same actions, to add to without changing this one."""
        made = ActionRegistry()
        made._actions = dict(self._actions)
        return made

    def __contains__(self, name: object) -> bool:
        return name in self._actions

    def __iter__(self) -> Iterator[Action]:
        return iter([self._actions[name] for name in self.names()])

    def __len__(self) -> int:
        return len(self._actions)

    def __repr__(self) -> str:
        return f"ActionRegistry({', '.join(self.names())})"

"""Getting a service ready to be restarted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from selfheal.errors import ConfigError

Move = Callable[[str], object]


class RestartPreparation:
    """Does what is to be done before a restart, step by step, and undoes it if there is to be none.

    When a step fails, those before it are undone, latest first, and its error is raised.

    >>> told = []
    >>> ready = RestartPreparation({"drain": lambda why: told.append(f"drained: {why}")}, {"drain": told.append})
    >>> ready.prepare("memory"), ready.prepared, ready.cancel("better again"), ready.prepared
    (('drain',), True, ('drain',), False)
    >>> told
    ['drained: memory', 'better again']

    Args:
        steps: name → called with the reason, in this order: stop taking in work, write down what is in memory.
        undo: name → called with the reason to undo it; harmless where there is nothing to undo. A step without one is
            not undone.

    Raises:
        ConfigError: if there is no step, something cannot be called, or ``undo`` names no step.
    """

    def __init__(self, steps: Mapping[str, Move], undo: Mapping[str, Move] | None = None) -> None:
        self._steps, self._undo = dict(steps), dict(undo or {})
        if not self._steps:
            raise ConfigError("RestartPreparation.steps", steps, "at least one step")
        given: list[tuple[str, object]] = [*self._steps.items(), *self._undo.items()]
        for name, move in given:
            if name not in self._steps or not callable(move):
                raise ConfigError(f"RestartPreparation[{name!r}]", move, "a callable under the name of a step")
        self._done: tuple[str, ...] = ()

    @property
    def prepared(self) -> bool:
        """Whether all steps were done."""
        return bool(self._done)

    def prepare(self, reason: str) -> tuple[str, ...]:
        """Do all steps, unless they are done; return the names of those done now."""
        if self._done:
            return ()
        done: list[str] = []
        try:
            for name, move in self._steps.items():
                move(reason)
                done.append(name)
        except BaseException as error:
            for name in reversed(done):
                self._take_back_after(error, name, reason)
            raise
        self._done = tuple(done)
        return self._done

    def cancel(self, reason: str) -> tuple[str, ...]:
        """Undo all steps, latest first, done or not: who did them may have died. Return the names of those undone."""
        self._done = ()
        undone = tuple(name for name in reversed(self._steps) if name in self._undo)
        for name in undone:
            self._undo[name](reason)
        return undone

    def __repr__(self) -> str:
        return f"RestartPreparation({', '.join(self._steps)})"

    def _take_back_after(self, error: BaseException, name: str, reason: str) -> None:
        """Undo one step; what that raises is told with the first error, and does not hide it."""
        try:
            self._undo.get(name, str)(f"preparing failed: {reason}")
        except Exception as second:
            error.add_note(f"and undoing step {name!r} raised {type(second).__name__}: {second}")

"""What is not accepted while plain data is structured, and where in the file it stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from selfheal.errors import ConfigError, ConfigProblem, InvalidConfigError


class Inside(str):
    """A note on an error: under which key, or at which place of a list, the value stands that is not accepted."""

    __slots__ = ("step",)
    step: str


def placed(error: Exception, key: str | int) -> Exception:
    """The error with a note of where its value stands in what holds it."""
    note = Inside(f"at {key!r}")
    note.step = f"[{key}]" if isinstance(key, int) else f".{key}"
    error.add_note(note)
    return error


class RefusedError(ValueError):
    """A value is not accepted; where it stands is found out by whoever holds it."""

    def __init__(self, found: object, accepted: str, default: str | None = None, tail: str = "") -> None:
        super().__init__(found, accepted)
        self.found, self.accepted, self.default, self.tail = found, accepted, default, tail


class InsideError(ValueError):
    """A value is not accepted for what is inside of it; where it stands is found out by whoever holds it."""

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        super().__init__(problems)
        self.problems = problems


def problems_of(error: BaseException, where: str, cls: str = "") -> Iterator[ConfigProblem]:
    """All that is wrong, each with its path."""
    where = _noted(error, where)
    if isinstance(error, BaseExceptionGroup):
        owner = getattr(getattr(error, "cl", None), "__name__", "")
        for inner in error.exceptions:
            yield from problems_of(inner, where, owner)
    elif isinstance(error, InsideError):
        for problem in error.problems:
            yield problem._replace(where=_joined(where, problem.where).lstrip(".") or "settings")
    elif isinstance(error, InvalidConfigError):
        for problem in error.problems:
            yield _placed(ConfigError(*problem), where, cls)
    elif isinstance(error, ConfigError):
        yield _placed(error, where, cls)
    elif isinstance(error, RefusedError):
        yield ConfigProblem((where + error.tail).lstrip(".") or "settings", error.found, error.accepted, error.default)
    else:
        raise error


def _noted(error: BaseException, where: str) -> str:
    steps = [note.step for note in getattr(error, "__notes__", ()) if isinstance(note, Inside)]
    return (where + "".join(steps)).removeprefix("." if not where else "")


def _placed(error: ConfigError, where: str, cls: str) -> ConfigProblem:
    """The error of a validator, which knows its class and field, told with the path in the file."""
    owner, dot, rest = error.where.partition(".")
    if owner != cls or not dot:
        place = f"{where}: {error.where}" if where else error.where
    else:
        place = where if where.rpartition(".")[2] == rest.partition("[")[0] else f"{where}.{rest}" if where else rest
        place += rest[rest.index("[") :] if place == where and "[" in rest else ""
    return ConfigProblem(place, error.found, error.accepted, error.default)


def _joined(where: str, inner: str) -> str:
    return where + inner if not inner or inner[0] in "[.," else f"{where}.{inner}"

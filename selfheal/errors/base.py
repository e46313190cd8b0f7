"""What the whole package raises."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class SelfhealError(Exception):
    """Base of every error that selfheal raises on its own account."""


class ConfigError(SelfhealError, ValueError):
    """A setting is not accepted.

    Attributes:
        where: the setting, as a person would write it (``BreakerConfig.open_for``).
        found: the value that was given.
        accepted: what is accepted, in words.
        default: the default in words, or ``None`` where there is none.
    """

    def __init__(self, where: str, found: object, accepted: str, default: str | None = None) -> None:
        super().__init__(where, found, accepted, default)
        self.where = where
        self.found = found
        self.accepted = accepted
        self.default = default

    def __str__(self) -> str:
        told = f"{self.where} must be {self.accepted}, got {self.found!r}."
        return told if self.default is None else f"{told} The default is {self.default}."


class ConfigProblem(NamedTuple):
    """One setting of a file that is not accepted; reads like a :class:`ConfigError`.

    Args:
        where: the path in the file (``workers.web.restart.intensity``).
        found: the value that was found there; ``attrs.NOTHING`` where it is missing.
        accepted: what is accepted there, in words.
        default: the default there, in words, or ``None``.
    """

    where: str
    found: object
    accepted: str
    default: str | None = None

    def __str__(self) -> str:
        return str(ConfigError(*self))


class InvalidConfigError(ConfigError):
    """Settings from a file are not accepted: all that is wrong with them.

    Attributes:
        problems: one for each setting that is not accepted, with its path in the file.
        source: the file, or empty.
        where: the path of the first problem.
        found: the value that was found there.
        accepted: what is accepted there, in words.
        default: the default there, in words, or ``None``.
    """

    def __init__(self, problems: Iterable[ConfigProblem], source: str = "") -> None:
        self.problems = tuple(problems)
        self.source = source
        super().__init__(*self.problems[0])
        self.args = (self.problems, source)

    def __str__(self) -> str:
        head = f"{self.source}: " if self.source else ""
        if len(self.problems) == 1:
            return f"{head}{self.problems[0]}"
        return "\n".join([f"{head}{len(self.problems)} settings are not accepted:", *(f"- {p}" for p in self.problems)])


class MissingExtraError(SelfhealError, ImportError):
    """An optional feature needs a package that is not installed.

    Attributes:
        feature: what was asked for.
        extra: the extra of ``selfheal-kit`` that brings the package.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(feature, extra)
        self.feature = feature
        self.extra = extra

    def __str__(self) -> str:
        return f"{self.feature} needs an optional package. Install it: pip install 'selfheal-kit[{self.extra}]'"


class NotFoundError(SelfhealError, KeyError):
    """Nothing of this name is known.

    Attributes:
        kind: ``breaker``, ``task``, ``action`` and the like.
        name: what was asked for.
        known: the names there are.
        nearest: the one most like it, where that is looked for; else empty.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], nearest: str = "") -> None:
        self.kind = kind
        self.name = name
        self.known = tuple(known)
        self.nearest = nearest
        super().__init__(kind, name, self.known, *([nearest] if nearest else ()))

    def __str__(self) -> str:
        there = ", ".join(sorted(self.known)) or "none"
        meant = f" Did you mean {self.nearest!r}?" if self.nearest else ""
        return f"no {self.kind} is named {self.name!r}.{meant} There are: {there}."


class StateError(SelfhealError):
    """A stored record could not be read or written.

    Attributes:
        where: the store.
        key: the record.
        why: what went wrong.
    """

    def __init__(self, where: str, key: str, why: str) -> None:
        super().__init__(where, key, why)
        self.where = where
        self.key = key
        self.why = why

    def __str__(self) -> str:
        return f"record {self.key!r} in {self.where}: {self.why}."

"""What automation never touches, and what alone it may harm. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from selfheal.errors import ConfigError

MOST_PATTERNS = 1000
LONGEST_PATTERN = 200


def matches(pattern: str, name: str) -> bool:
    """Whether a name is of a pattern: ``*`` stands for any text, also none; all else for itself.

    Exact in case. Takes time in proportion to the length of the name times that of the pattern, at most.
    """
    first, *parts = pattern.split("*")
    if not parts:
        return name == pattern
    if not name.startswith(first) or len(name) < len(first) + len(parts[-1]) or not name.endswith(parts[-1]):
        return False
    at, end = len(first), len(name) - len(parts[-1])
    for part in parts[:-1]:  # the leftmost place is as good as any: what follows has the most room then
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _patterns(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    where = f"{type(owner).__name__}.{field.name}"
    if not isinstance(value, tuple) or len(value) > MOST_PATTERNS:
        raise ConfigError(where, value, f"a list of at most {MOST_PATTERNS} names", "()")
    for index, pattern in enumerate(value):
        good = isinstance(pattern, str) and 0 < len(pattern) <= LONGEST_PATTERN and pattern.isprintable()
        if not good or pattern != pattern.strip():
            accepted = f"a name of 1 to {LONGEST_PATTERN} printable characters without blanks around it; * for any text"
            raise ConfigError(f"{where}[{index}]", pattern, accepted)


def _listed(given: Iterable[str]) -> Any:
    return given if isinstance(given, str) else tuple(given)  # a text is no list: the validator says so


@attrs.frozen(kw_only=True)
class Protection:
    """Which targets automation may touch, and which it may harm.

    ``denied`` wins over ``allowed``: a denied target is touched by nothing. A destructive action needs a target
    that is allowed, so that with ``allowed`` empty nothing destructive is done at all. Names are exact in case;
    ``*`` in them stands for any text.

    Args:
        denied: names of targets, at most 1000, that automation never touches.
        allowed: names of targets, at most 1000, on which destructive actions may run.

    Raises:
        ConfigError: if a name is blank, too long or not text.

    >>> protection = Protection(denied=["db-*"], allowed=["web-*"])
    >>> protection.check("web-1", destructive=True) is None
    True
    >>> protection.check("db-1", destructive=False)
    "'db-1' is protected: 'db-*' is denied"
    """

    denied: tuple[str, ...] = attrs.field(default=(), converter=_listed, validator=_patterns)
    allowed: tuple[str, ...] = attrs.field(default=(), converter=_listed, validator=_patterns)

    def check(self, target: str, destructive: bool) -> str | None:
        """Why an action may not touch a target; ``None`` if it may.

        Args:
            target: its name. Where a name is not known, give the empty text: only ``*`` alone matches it.
            destructive: whether the action may lose work or interrupt service.
        """
        for pattern in self.denied:
            if matches(pattern, target):
                return f"{target!r} is protected: {pattern!r} is denied"
        if not destructive or any(matches(pattern, target) for pattern in self.allowed):
            return None
        if not self.allowed:
            return f"no target is allowed for destructive actions, so {target!r} is not"
        return (
            f"{target!r} is not allowed for destructive actions; allowed are {', '.join(map(repr, self.allowed[:10]))}"
        )

    def snapshot(self) -> dict[str, list[str]]:
        """Both lists, as plain data."""
        return {"denied": list(self.denied), "allowed": list(self.allowed)}

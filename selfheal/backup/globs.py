"""Patterns of names: which files of a section are meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Make a test of relative paths.

    A pattern without ``/`` is about the last component, wherever it is; one with ``/`` is about the whole path, from
    the section on. ``*`` and ``?`` stay within a component, ``[a-z]`` is one character, ``**`` any number of those.

    >>> temporary = matcher(["*.tmp", "cache/**", "/run"])
    >>> [temporary(path) for path in ("a/b.tmp", "cache/x/y", "run", "a/run", "cache")]
    [True, True, True, False, False]
    """
    texts = [_translate(pattern) for pattern in patterns]
    if not texts:
        return lambda path: False
    pattern = re.compile("|".join(texts), re.DOTALL)
    return lambda path: pattern.fullmatch(path) is not None


def _translate(pattern: str) -> str:
    anywhere = "/" not in pattern
    pattern = pattern.strip("/")
    parts = []
    at = 0
    while at < len(pattern):
        text, at = _next(pattern, at)
        parts.append(text)
    return ("(?:.*/)?" if anywhere else "") + "".join(parts)


def _next(pattern: str, at: int) -> tuple[str, int]:
    if pattern.startswith("**/", at) and (at == 0 or pattern[at - 1] == "/"):
        return "(?:.*/)?", at + 3
    if pattern.startswith("**", at):
        return ".*", at + 2
    sign = pattern[at]
    if sign == "*":
        return "[^/]*", at + 1
    if sign == "?":
        return "[^/]", at + 1
    end = pattern.find("]", at + 2) if sign == "[" else -1
    if end > 0:
        inside = pattern[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
        negated = inside.startswith("!")
        return f"(?!/)[{'^' if negated else ''}{inside[negated:]}]", end + 1
    return re.escape(sign), at + 1

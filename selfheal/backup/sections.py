"""What is backed up: sections of the host, in the order in which they are restored."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from selfheal.backup.checking import SECTION_NAME
from selfheal.backup.globs import matcher
from selfheal.errors import ConfigError
from selfheal.validators import one_of


def _name(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not SECTION_NAME.fullmatch(value):
        raise ConfigError("Section.name", value, "1 to 64 letters, digits, _ and -, the first no sign")


def _path(value: object) -> Path:
    if not isinstance(value, str | os.PathLike) or not str(value).strip() or "\0" in str(value):
        raise ConfigError("Section.path", value, "a path to a file or a directory")
    return Path(os.path.abspath(value))


def _globs(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigError("a list of patterns of Section", value, "a list of patterns, each a text", "()")
    patterns = tuple(value)
    if not all(isinstance(pattern, str) and pattern.strip("/") for pattern in patterns):
        raise ConfigError("a list of patterns of Section", value, "a list of patterns, each a text", "()")
    return patterns


def _sqlite(value: object) -> Literal["auto"] | tuple[str, ...]:
    return "auto" if value == "auto" else _globs(value)


@attrs.frozen
class Section:
    """A file or a directory of the host, backed up and restored as one.

    The usual order is config, data, state: what is restored first is what the next ones need.

    Args:
        name: of the section: letters, digits, ``_`` and ``-``.
        path: a file or a directory. If it is a link, what it leads to is backed up.
        exclude: patterns of what is left out, see :func:`selfheal.backup.globs.matcher`; what is below an excluded
            directory is left out with it.
        before: called before the section is read (pause writers, flush). If it raises, no backup is made.
        after: called after it was read, always, also when ``before`` or the reading failed.
        probe: gives plain data about the host's own state (number of orders, version of the schema), written to the
            manifest, to be compared after a restore. It must not take long.
        sqlite: which files are SQLite databases, copied by SQLite itself, so that the copy is one state of the database
            while others write it: ``"auto"`` knows them by their first bytes; or patterns; ``()`` for none.
        unstable: what to do about a file that changes each time it is read: ``"warn"``: it is in the backup as read
            last, and named; ``"fail"``: no backup is made.

    Raises:
        ConfigError: if a value is not accepted.
    """

    name: str = attrs.field(validator=_name)
    path: Path = attrs.field(converter=_path)
    exclude: tuple[str, ...] = attrs.field(default=(), converter=_globs)
    before: Callable[[], object] | None = None
    after: Callable[[], object] | None = None
    probe: Callable[[], Mapping[str, Any]] | None = None
    sqlite: Literal["auto"] | tuple[str, ...] = attrs.field(default="auto", converter=_sqlite)
    unstable: str = attrs.field(default="warn", validator=one_of("warn", "fail"))

    def excludes(self) -> Callable[[str], bool]:
        """A test of relative paths: whether one is left out."""
        return matcher(self.exclude)

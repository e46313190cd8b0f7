"""Strategy files: one, or all of a directory."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import attrs

from selfheal.configuring import parse_bytes, read_bytes
from selfheal.errors import ConfigError, ConfigProblem, InvalidConfigError
from selfheal.healing.strategies.reading import Listed, Unread, read_strategies, read_top
from selfheal.healing.strategies.shape import Shortened, shortened

MOST_FILES = 1_000
MOST_BYTES = 262_144
MOST_TOML_BYTES = 65_536
MOST_TOML_SIGNS = 5_000
"""TOML is read by Python itself, JSON by a faster reader; both end within the same time."""
ENDINGS = (".json", ".toml")


@attrs.frozen
class Content:
    """What one file holds.

    Args:
        path: the file.
        shown: its name in messages, where there are several; else empty.
        data: its bytes; ``None`` if it could not be read.
        problem: why not.
    """

    path: Path
    shown: str
    data: bytes | None
    problem: ConfigError | None = None


Contents = tuple[Content, ...]


def files_of(path: str | Path) -> list[Path]:
    """The strategy files that a path stands for: itself, or those of the directory in the order of their names.

    In a directory, what begins with a dot, does not end in ``.json`` or ``.toml`` or is no regular file is left out.

    Raises:
        InvalidConfigError: if it is a directory that cannot be listed, has no such file, or more than 1000.
    """
    place = Path(path)
    if not place.is_dir():
        return [place]
    try:
        found = sorted(file for file in place.iterdir() if _is_meant(file))
    except OSError as error:
        raise _refused(place, ConfigError("directory", error.strerror or str(error), "readable")) from None
    if not 1 <= len(found) <= MOST_FILES:
        accepted = f"one with 1 to {MOST_FILES} files that end in .json or .toml"
        raise _refused(place, ConfigError("directory", Shortened(f"one with {len(found)}"), accepted))
    return found


def contents_of(path: str | Path) -> Contents:
    """What the strategy files of a path hold.

    Raises:
        InvalidConfigError: as :func:`files_of`. A file that cannot be read is told later, with all that is wrong.
    """
    many = Path(path).is_dir()
    return tuple(_content(file, file.name if many else "") for file in files_of(path))


def entries_of(contents: Contents) -> tuple[Iterator[Unread], list[ConfigProblem]]:
    """The strategies of files, read one by one, and what is wrong with the files as such."""
    listed: list[tuple[str, list[Listed]]] = []
    problems: list[ConfigProblem] = []
    for content in contents:
        try:
            if content.problem is not None or content.data is None:
                raise content.problem or ConfigError("file", None, "readable")
            found, wrong = read_top(parse_bytes(content.data, content.path, MOST_TOML_SIGNS), "", content.shown)
        except ConfigError as error:
            problems.append(_of_file(error, content.shown))
        else:
            listed.append((content.shown, found))
            problems += wrong
    return (one for shown, items in listed for one in read_strategies(items, "", shown)), problems


def _content(file: Path, shown: str) -> Content:
    most = MOST_TOML_BYTES if file.suffix.lower() == ".toml" else MOST_BYTES
    try:
        return Content(file, shown, read_bytes(file, most))
    except ConfigError as error:
        return Content(file, shown, None, error)


def _of_file(error: ConfigError, shown: str) -> ConfigProblem:
    where = f"{shown}: the file" if shown else "the file"
    return shortened(ConfigProblem(where, error.found, error.accepted))


def _refused(place: Path, error: ConfigError) -> InvalidConfigError:
    return InvalidConfigError([ConfigProblem(error.where, error.found, error.accepted)], str(place))


def _is_meant(file: Path) -> bool:
    if file.name.startswith(".") or file.suffix.lower() not in ENDINGS:
        return False
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except OSError:
        return True  # a link to nowhere, say: told when it is read

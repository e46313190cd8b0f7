"""JSON and TOML files as plain data."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from selfheal.errors import ConfigError

MAX_FILE_BYTES = 1_048_576
"""A settings file larger than this is a mistake, and is not read."""

_DEEPEST_KEY = 32
_BETWEEN_KEYS = re.compile(r"[,=\[\]{}\n]")
_TEXTS = re.compile(
    r'''"""(?:\\.|[^\\])*?(?:"""|\Z)|'{3}.*?(?:'{3}|\Z)|"(?:\\.|[^"\\\n])*+"?|'[^'\n]*+'?|\#[^\n]*+''', re.DOTALL
)
"""Texts and comments of TOML, also those that are never closed."""


def load_file(path: str | Path) -> dict[str, Any]:
    """Read a JSON or TOML file as plain data.

    Args:
        path: ends in ``.json`` or ``.toml``; UTF-8; at most 1 MiB.

    Raises:
        ConfigError: if it cannot be read, is not well formed (line and column are told), has a key twice in
            one place, or is not a table at its top.
    """
    file = Path(path)
    _reader(file)  # a file of another kind is not even read
    return parse_bytes(read_bytes(file), file)


def read_bytes(path: str | Path, most: int = MAX_FILE_BYTES) -> bytes:
    """The content of a settings file.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        ConfigError: if it cannot be read, is no regular file, or is larger.
    """
    file = Path(path)
    try:
        with open(file, "rb", opener=_without_waiting) as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise ConfigError(f"settings file {file}", "something else", "a regular file")
            data = opened.read(most + 1)
            size = max(len(data), os.fstat(opened.fileno()).st_size)
    except OSError as error:
        raise ConfigError(f"settings file {file}", error.strerror or str(error), "readable") from None
    except ConfigError:
        raise
    except ValueError:
        raise ConfigError(f"settings file {str(file)!r}", "a NUL in its name", "readable") from None
    if size > most:
        raise ConfigError(f"{file}", f"{size} bytes", f"at most {most} bytes")
    return data


def parse_bytes(data: bytes, path: str | Path, most_signs: int | None = None) -> dict[str, Any]:
    """Make plain data of a settings file's content.

    Args:
        data: the content.
        path: where it is from: its ending tells how to read it, and messages name it.
        most_signs: so many of ``= , . [ {`` and ends of lines TOML may have outside of its texts; ``None``: any
            number. They are what reading TOML takes its time for, some three microseconds each.

    Raises:
        ConfigError: if it has more of them, is not well formed, has a key twice in one place, or is not a table at
            its top.
    """
    file = Path(path)
    reader = _reader(file)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}", f"a byte that is not, at {error.start}", "UTF-8 text") from None
    if most_signs is not None and reader is _read_toml and (signs := _signs(text)) > most_signs:
        accepted = f"made of at most {most_signs} of the signs = , . [ {{ and ends of lines outside of texts"
        raise ConfigError(f"{file}", f"{signs} of them", accepted)
    made = reader(text, file)
    if not isinstance(made, dict):
        raise ConfigError(f"{file}", type(made).__name__, "a table of settings at its top")
    return made


def _without_waiting(path: str, flags: int) -> int:
    """Open without waiting for a writer, should it be a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def _reader(file: Path) -> Callable[[str, Path], Any]:
    readers: dict[str, Callable[[str, Path], Any]] = {".json": _read_json, ".toml": _read_toml}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise ConfigError("settings file", str(file), "a file whose name ends in .json or .toml")
    return reader


def _read_json(text: str, file: Path) -> Any:
    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            raise ConfigError(
                f"{file}", _twice(key for key, _ in pairs), "without a key that stands twice in one table"
            )
        return made

    def constant(name: str) -> float:
        raise ConfigError(f"{file}", name, "made of finite numbers")

    try:
        return json.loads(text, object_pairs_hook=table, parse_constant=constant)
    except json.JSONDecodeError as error:
        told = f"{error.msg} at line {error.lineno}, column {error.colno}"
        raise ConfigError(f"{file}", told, "well-formed JSON") from None
    except RecursionError:
        raise ConfigError(f"{file}", "too many levels", "JSON nested less deeply") from None
    except ConfigError:
        raise
    except ValueError:  # Python refuses to read them: it would take too long
        raise ConfigError(f"{file}", "an integer of thousands of digits", "made of shorter numbers") from None


def _twice(keys: Iterable[str]) -> str:
    """The first key that was there before."""
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return key
        seen.add(key)
    return ""


def _read_toml(text: str, file: Path) -> Any:
    import tomllib

    if _keys_too_deep(text):
        raise ConfigError(f"{file}", "a dotted key of many parts", f"made of keys of at most {_DEEPEST_KEY} parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}", str(error), "well-formed TOML") from None
    except RecursionError:
        raise ConfigError(f"{file}", "too many levels", "TOML nested less deeply") from None
    except ValueError:
        raise ConfigError(f"{file}", "an integer of thousands of digits", "made of shorter numbers") from None


def _signs(text: str) -> int:
    left = _TEXTS.sub("_", text)
    return sum(left.count(sign) for sign in "=,.[{\n")


def _keys_too_deep(text: str) -> bool:
    """Whether a dotted key has so many parts that parsing it would take its time squared."""
    pieces = _BETWEEN_KEYS.split(_TEXTS.sub("_", text))
    return any(piece.count(".") > _DEEPEST_KEY for piece in pieces)

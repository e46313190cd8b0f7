"""JSON and TOML files as plain data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selfheal.errors import ConfigError

MAX_FILE_BYTES = 1_048_576
"""A settings file larger than this is a mistake, and is not read."""


def load_file(path: str | Path) -> dict[str, Any]:
    """Read a JSON or TOML file as plain data.

    Args:
        path: ends in ``.json`` or ``.toml``; UTF-8; at most 1 MiB.

    Raises:
        ConfigError: if it cannot be read, is not well formed (line and column are told), has a key twice in
            one place, or is not a table at its top.
    """
    file = Path(path)
    readers: dict[str, Callable[[str, Path], Any]] = {".json": _read_json, ".toml": _read_toml}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise ConfigError("settings file", str(file), "a file whose name ends in .json or .toml")
    data = reader(_read_text(file), file)
    if not isinstance(data, dict):
        raise ConfigError(f"{file}", type(data).__name__, "a table of settings at its top")
    return data


def _read_text(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{file}", f"{file.stat().st_size} bytes", f"at most {MAX_FILE_BYTES} bytes")
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"settings file {file}", error.strerror or str(error), "readable") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}", f"a byte that is not, at {error.start}", "UTF-8 text") from None


def _read_json(text: str, file: Path) -> Any:
    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ConfigError(f"{file}", twice, "without a key that stands twice in one table")
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


def _read_toml(text: str, file: Path) -> Any:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}", str(error), "well-formed TOML") from None
    except RecursionError:
        raise ConfigError(f"{file}", "too many levels", "TOML nested less deeply") from None

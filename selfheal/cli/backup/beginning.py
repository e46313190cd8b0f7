"""``selfheal backup init``: a settings file to begin with."""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from selfheal.backup.settings import load_backup_settings
from selfheal.cli.backup.page import Page
from selfheal.cli.backup.running import DONE, CannotError
from selfheal.errors import ConfigError

_HEAD = """\
# What is backed up, where to, and how long it is kept. Relative paths begin at the directory of this file.
#   make and verify:   selfheal backup create --config {file}
#   put back:          selfheal backup restore --config {file}
version = 1

# The directory of the backups. Best on another disk than what is backed up.
store = {store}

# Where a restore keeps its record and its report; by default beside the store.
# restores = "backups-restores"

# A file of 16 bytes or more that only its owner can read: the lists of files are signed by it, so that changes on
# purpose are found, too. Keep a copy of it elsewhere: without it nothing can be restored by these settings.
# key_file = "backup.key"

# What is backed up, in the order in which it is restored: config, then data, then state.
"""
_SECTION = """\
[[sections]]
name = {name}
path = {path}
"""
_OPTIONS = """\
# exclude = ["*.tmp", "cache/**"]   # left out; a pattern with a / is about the whole path
# sqlite = "auto"                   # databases are copied by SQLite; or patterns of their names, or []
# unstable = "warn"                 # a file that changes while it is read: "warn" names it, "fail" makes no backup
"""
_TAIL = """
# How many are kept: the newest of so many days, weeks and months. The newest, and the newest proven, always stay.
[retention]
daily = 7
weekly = 4
monthly = 6

# When a running service makes them by itself: the time of day, and whose (empty: that of this machine).
[night]
at = "03:30"
zone = ""

# Copies elsewhere: selfheal backup replicate. No passwords here: leave them to what the protocol has for that.
# [[places]]
# name = "offsite"
# url = "file:///mnt/offsite/backups"
"""
_EXAMPLE = (("config", "config"), ("data", "data"), ("state", "state"))


def init(chosen: argparse.Namespace, page: Page) -> int:
    """Write a settings file."""
    path = Path(chosen.config)
    if path.suffix != ".toml":
        raise CannotError(f"{path}: the settings are written as TOML, so name a file that ends in .toml")
    content = settings_text(path, chosen.store, chosen.section or _EXAMPLE)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        raise CannotError(f"{path} is there already, and is never overwritten: move it away, or name another") from None
    with open(fd, "wb") as file:
        file.write(content)
    try:
        load_backup_settings(path)
    except ConfigError:
        path.unlink()
        raise
    page.data |= {"config": str(path)}
    page.say(f"written: {path}")
    if not chosen.section:
        page.say("its sections are examples: put in what is to be backed up, then make the first backup:")
    else:
        page.say("make the first backup:")
    page.say(f"  {shlex.join(['selfheal', 'backup', 'create', '--config', str(path)])}")
    return DONE


def settings_text(path: Path, store: str, sections: Sequence[tuple[str, str]]) -> bytes:
    """The text of a settings file.

    Raises:
        CannotError: if a path cannot be written in TOML.
    """
    shown = [_SECTION.format(name=_quoted(name), path=_quoted(where)) for name, where in sections]
    shown[0] += _OPTIONS
    text = _HEAD.format(file=_quoted(path.name)[1:-1], store=_quoted(store)) + "\n".join(shown) + _TAIL
    return text.encode()


def _quoted(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise CannotError(
            f"{text} is no UTF-8, and cannot be written in TOML: reach it by a link of another name"
        ) from None
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")

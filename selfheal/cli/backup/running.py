"""One command run: what it tells is written, what went wrong becomes one line and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import Final

from selfheal.cli.backup.page import Page
from selfheal.cli.columns import printable
from selfheal.errors import InvalidConfigError, SelfhealError

DONE: Final = 0
FAILED: Final = 1
DIFFERS: Final = 3
"""Damage or differences were found."""

Work = Callable[[argparse.Namespace, Page], int]
"""A command: fills a page and gives the exit code."""

_ALSO_TOLD = frozenset(
    {
        "no backup was made: %s",
        "backups %s: %s",
        "section %s: %s: %s",
        "section %s: %s is not in the backup: %s",
        "backup %s verified (%s): %s",
        "backups %s: %s could not be removed: %s",
    }
)
"""Messages of the log that commands tell in words of their own."""


class CannotError(Exception):
    """A command cannot do what was asked; its text says why and what to do."""


def run_work(work: Work, chosen: argparse.Namespace) -> int:
    """Run a command.

    Returns:
        Its exit code; 1 where it could not be done.
    """
    page = Page()
    try:
        with _noticing():
            code = _attempt(work, chosen, page)
        return _write(page, chosen, code)
    except KeyboardInterrupt:  # a second time: at once
        return FAILED


def _attempt(work: Work, chosen: argparse.Namespace, page: Page) -> int:
    try:
        return work(chosen, page)
    except InvalidConfigError as error:
        source = f"{error.source}: " if error.source else ""
        page.errors += [f"{source}{problem}" for problem in error.problems]
    except (SelfhealError, CannotError, OSError) as error:
        page.errors.append(words(error))
    except KeyboardInterrupt as interrupt:
        page.errors.append(str(interrupt) or "interrupted")
    return FAILED


def words(error: Exception) -> str:
    """An error as a sentence: one of the system with its file, and without its number."""
    if not isinstance(error, OSError):
        return str(error)
    why = error.strerror or str(error)
    return f"{os.fsdecode(error.filename)}: {why}" if isinstance(error.filename, str | bytes) else why


def complain(*lines: str) -> None:
    """Write lines to stderr, if there is one; none of them can steer a terminal."""
    if sys.stderr is None:
        return
    sys.stderr.write("".join(f"selfheal: {printable(line)}\n" for line in lines))
    sys.stderr.flush()


def _write(page: Page, chosen: argparse.Namespace, code: int) -> int:
    if chosen.json:
        page.data = {
            "ok": code == DONE,
            "exit_code": code,
            **({"error": "; ".join(page.errors)} if page.errors else {}),
        } | page.data
    try:
        if sys.stdout is None:
            raise OSError(errno.EBADF, "stdout is closed")
        sys.stdout.write(page.document() if chosen.json else page.text())
        sys.stdout.flush()
    except OSError as error:
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # else who reads has seen enough, as ``head`` does
            page.errors.append(f"what was found could not be written: {words(error)}")
            code = code or FAILED
    complain(*page.errors)
    return code


@contextlib.contextmanager
def _noticing() -> Iterator[None]:
    """Tell warnings of the log, those that no command tells itself, once it is done."""
    noticed: list[str] = []

    class Notices(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.msg not in _ALSO_TOLD:
                noticed.append(record.getMessage())

    logger, handler = logging.getLogger("selfheal.backup"), Notices(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        complain(*noticed)

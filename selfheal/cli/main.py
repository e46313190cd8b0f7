"""What is common to all commands: parsing, exit codes, and the end of a pipe."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from selfheal import __version__
from selfheal.cli import backup, journal, schema
from selfheal.errors import SelfhealError

OK: Final = 0
FAILED: Final = 1
"""What was asked for cannot be had. Wrong arguments are 2, as ``argparse`` has it."""

Command = Callable[[argparse.Namespace], int | None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: those after the name of the program; ``None`` takes them from ``sys.argv``.

    Returns:
        The exit code: 0 done, 1 it could not be done (one line on stderr says why), 2 wrong arguments; or what the
        command says of itself in its help.
    """
    try:
        chosen = _parser().parse_args(arguments)
    except SystemExit as end:  # argparse has said what is wrong, or has printed what was asked for
        return end.code if isinstance(end.code, int) else FAILED
    command: Command = chosen.command
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that cannot show a letter shows its escape
    try:
        code = command(chosen)
        if sys.stdout is not None:
            sys.stdout.flush()
    except SelfhealError as error:
        sys.stderr.write(f"selfheal: {error}\n")
        return FAILED
    except KeyboardInterrupt:  # how a person ends what has no end
        return OK
    except BrokenPipeError:  # who reads has seen enough, as ``head`` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        return OK if code is None else code
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="selfheal", description="Look at what selfheal does and did, and keep backups."
    )
    parser.add_argument("--version", action="version", version=f"selfheal {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    backup.add_to(commands)
    journal.add_to(commands)
    schema.add_to(commands)
    return parser

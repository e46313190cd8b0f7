"""What can be said after ``selfheal backup``. Nothing of backups is loaded until one is asked for."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any

DEFAULT_FILE = "selfheal-backup.toml"

_CODES = {
    0: "done; sound; nothing differs",
    1: "it could not be done, or was interrupted: one line on stderr says why",
    2: "wrong arguments",
    3: "damage or differences were found",
}
_WHICH = "latest (the default), an id, or a date or time in UTC: the newest made then or before"


def add_to(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "backup",
        help="make, verify, list, compare, restore, prune and replicate backups",
        description="Backups: made, proven, put back. Each command has a --help of its own.",
        epilog=_epilog(0, 1, 2, 3),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (_init, _create, _verify, _list, _diff, _restore, _prune, _replicate):
        add(parts)


def run(name: str, chosen: argparse.Namespace) -> int:
    """Run one of the commands; give its exit code."""
    from selfheal.cli.backup.commands import COMMANDS
    from selfheal.cli.backup.running import run_work

    try:
        return run_work(COMMANDS[name], chosen)
    except SystemExit as end:  # the parser has said which arguments do not go together
        return end.code if isinstance(end.code, int) else 1


def _epilog(*codes: int, then: str = "") -> str:
    lines = [f"{code}  {_CODES[code]}" for code in codes]
    return "exit codes:\n  " + "\n  ".join(lines) + (f"\n\n{then}" if then else "")


def _command(parts: Any, name: str, help: str, description: str, epilog: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = parts.add_parser(
        name,
        help=help,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, and no progress")
    parser.set_defaults(command=functools.partial(run, name), refuse=parser.error)
    return parser


def _place(parser: argparse.ArgumentParser, *, store: bool) -> None:
    """Where the settings are; or, where they are not needed, the store itself."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--config", metavar="FILE", help=f"the settings (default: {DEFAULT_FILE} in this directory)")
    if store:
        group.add_argument("--store", metavar="DIR", help="the directory of the backups; no settings are read")
    else:
        parser.set_defaults(store=None)


def _which(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("which", nargs="?", default="latest", metavar="WHICH", help=_WHICH)


def _init(parts: Any) -> None:
    parser = _command(
        parts,
        "init",
        "write a settings file to begin with",
        "Write a commented settings file. One that is there is never overwritten.",
        _epilog(0, 1, 2),
    )
    add = parser.add_argument
    add("--config", metavar="FILE", default=DEFAULT_FILE, help=f"the file to write (default: {DEFAULT_FILE})")
    add("--store", metavar="DIR", default="backups", help="where the backups are to be (default: backups)")
    add(
        "--section",
        action="append",
        type=pair("NAME=PATH"),
        metavar="NAME=PATH",
        help="what is backed up; may be given more than once, in the order in which it is to be restored",
    )


def _create(parts: Any) -> None:
    parser = _command(
        parts,
        "create",
        "make a backup and verify it",
        "Make a backup of all sections of the settings, and verify it right after: every byte is read.",
        _epilog(
            0, 1, 2, 3, then="What is not in the backup, or changed while it was read, is named; the code stays 0."
        ),
    )
    _place(parser, store=False)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--no-verify", action="store_true", help="do not verify it")
    group.add_argument("--prune", action="store_true", help="if it is sound, remove what the settings no longer keep")


def _verify(parts: Any) -> None:
    parser = _command(
        parts,
        "verify",
        "find damage in a backup",
        "Compare a backup with its list of files. Everything that is not as it was written is named.",
        _epilog(0, 1, 2, 3),
    )
    _which(parser)
    _place(parser, store=True)
    add = parser.add_argument
    kinds = ("quick", "deep", "rolling", "restore")
    add(
        "--kind",
        choices=kinds,
        default="deep",
        help="quick: presence, type, size, permissions; deep (default): every byte too; rolling: the bytes of one part,"
        " another each time; restore: restore it aside and read what came of it",
    )
    add("--share", type=_number, default=7, metavar="N", help="in how many runs a rolling one reads all (default: 7)")
    add(
        "--scratch",
        metavar="DIR",
        help="where a restore aside takes place, with room for all of it; emptied afterwards",
    )
    add("--reports", metavar="DIR", help="where the report is written (default: the store)")


def _list(parts: Any) -> None:
    parser = _command(
        parts,
        "list",
        "list the backups",
        "List the backups, the newest last. VERIFIED is the last verification that read every byte; else the last one.",
        _epilog(0, 1, 2),
    )
    _place(parser, store=True)


def _diff(parts: Any) -> None:
    parser = _command(
        parts,
        "diff",
        "compare a backup with what there is now, or with another backup",
        "Without B: what is there now, as a backup would see it, against backup A. With B: backup B against backup A.\n"
        "Probes and hooks of the host are not run.",
        _epilog(0, 1, 2, 3),
    )
    add = parser.add_argument
    add("first", nargs="?", default="latest", metavar="A", help=_WHICH)
    add("second", nargs="?", metavar="B", help="another backup")
    _place(parser, store=True)
    add(
        "--hashes",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare contents (default), or only type, size and permissions",
    )


def _restore(parts: Any) -> None:
    parser = _command(
        parts,
        "restore",
        "put a backup back, or finish or undo that",
        "Put a backup back: copied beside each target, compared byte for byte, then exchanged as a whole. It prints\n"
        "what it would do and asks. What was there before is kept until --commit. Stop the service first.",
        _epilog(0, 1, 2, then="After a crash: --status tells what is to be done, --recover does it."),
    )
    _which(parser)
    _place(parser, store=True)
    add = parser.add_argument
    add("--section", action="append", metavar="NAME", help="restore this section only; may be given more than once")
    add("--to", action="append", type=pair("SECTION=PATH"), metavar="SECTION=PATH", help="put a section elsewhere")
    add("--in-place", action="append", metavar="SECTION", help="keep its directory itself, exchange what is in it")
    add("--keep", action=argparse.BooleanOptionalAction, default=True, help="keep what was there before (default)")
    add("--restores", metavar="DIR", help="where the record and the report are kept (default: beside the store)")
    add("--yes", action="store_true", help="do not ask")
    add("--resume", action="store_true", help="with --recover: go on with the restore instead of taking it back")
    group = parser.add_mutually_exclusive_group()
    for option, help in (
        ("--dry-run", "print what would be done, and do nothing"),
        ("--status", "say whether a restore is under way, was cut off, or is kept"),
        ("--recover", "bring a restore to its end that was cut off: put back what was there before"),
        ("--rollback", "put back what was there before the restore"),
        ("--commit", "remove what was there before the restore"),
    ):
        group.add_argument(option, dest="mode", action="store_const", const=option.strip("-"), help=help)


def _prune(parts: Any) -> None:
    parser = _command(
        parts,
        "prune",
        "remove the backups that are kept no longer",
        "Remove what the retention of the settings does not keep (7 days, 4 weeks, 6 months by default). The newest,\n"
        "and the newest of which every byte was verified, always stay.",
        _epilog(0, 1, 2),
    )
    _place(parser, store=True)
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and why the others stay")


def _replicate(parts: Any) -> None:
    parser = _command(
        parts,
        "replicate",
        "copy a backup elsewhere; verify, list, thin out, fetch copies",
        "Copy a backup to the places of the settings, and read back there what was written. Or, of the copies that\n"
        "are there: verify, list, remove those that are kept no longer, or fetch one.",
        _epilog(0, 1, 2, 3),
    )
    _which(parser)
    _place(parser, store=False)
    add = parser.add_argument
    add("--place", action="append", metavar="NAME", help="only this place of the settings; may be given more than once")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--verify", action="store_true", help="read every byte of the copies there again")
    group.add_argument("--list", action="store_true", help="list what is there")
    group.add_argument("--prune", action="store_true", help="remove the copies that the settings no longer keep")
    group.add_argument("--fetch", metavar="ID", help="bring a copy, or the latest, back into the store")
    add("--dry-run", action="store_true", help="with --prune: say what would be removed, and why the others stay")


def pair(form: str) -> Callable[[str], tuple[str, str]]:
    """A parser of ``NAME=PATH``."""

    def parse(text: str) -> tuple[str, str]:
        name, sign, value = text.partition("=")
        if not (name and sign and value):
            raise argparse.ArgumentTypeError(f"must be {form}, got {text!r}")
        return name, value

    return parse


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 10_000):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 10000, got {text!r}")
    return int(text)

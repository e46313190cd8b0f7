"""``selfheal journal``: what was healed, and every record of it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from selfheal.cli.columns import Columns, printable, shown
from selfheal.cli.moments import moment
from selfheal.clock import SYSTEM_CLOCK
from selfheal.errors import JournalError
from selfheal.journal import Entry, Reading, follow, read_journal

DEFAULT_PATH = "journal.jsonl"
HEALING = "healing_finished"

_HEALINGS = ("TIME", "STRATEGY", "TARGET", "METRIC", "VALUE", "SEVERITY", "ACTIONS", "SUCCESS", "DRY RUN", "OUTCOME")
_RECORDS = ("TIME", "SEQ", "TYPE", "FIELDS")

_EPILOG = """\
exit codes:  0 shown, also where there was nothing to show;  1 there is no journal there, or it cannot be read;
             2 wrong arguments. Damaged lines are passed over, and told on stderr.
"""


def add_to(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "journal",
        help="show the journal of healings",
        description="Show the journal: one line for each healing, or every record. Times are in UTC.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("path", nargs="?", default=DEFAULT_PATH, metavar="PATH", help=f"the file (default: {DEFAULT_PATH})")
    add("--json", action="store_true", help="one JSON object a line, as it is in the journal")
    add("--all", action="store_true", help="every record, not just the end of each healing")
    add("--type", action="append", metavar="TYPE", help="records of this type; may be given more than once")
    add("--since", type=_moment, metavar="WHEN", help="since so long ago (90s, 1h30m, 2d), or since a date")
    add("--strategy", metavar="NAME", help="of this strategy")
    add("--target", metavar="NAME", help="of this target")
    add("--run", metavar="ID", help="of this healing, by its run; every record of it")
    add("--limit", type=_limit, metavar="N", help="the newest N")
    add("--follow", "-f", action="store_true", help="go on with what comes, until interrupted")
    parser.set_defaults(command=run)


def run(chosen: argparse.Namespace) -> None:
    """Show the journal.

    Raises:
        JournalError: if there is none, or it cannot be read.
    """
    path = Path(chosen.path)
    reading = _reading(path, chosen)
    if chosen.follow:
        _write_as_it_comes(reading, _style(chosen))
        return
    entries = list(reading)
    if not reading.report.files:
        raise JournalError(str(path), "there is none here")
    _write(entries, _style(chosen))
    damaged = reading.report.damaged
    if damaged:
        sys.stdout.flush()
        sys.stderr.write(f"selfheal: journal {path}: {damaged} damaged line{'s' * (damaged > 1)} passed over.\n")


def _reading(path: Path, chosen: argparse.Namespace) -> Reading:
    everything = chosen.all or chosen.run is not None
    wanted: dict[str, Any] = {
        "since": chosen.since,
        "types": chosen.type or (None if everything else HEALING),
        "strategy": chosen.strategy,
        "target": chosen.target,
        "run": chosen.run,
        "limit": chosen.limit,
    }
    if not chosen.follow:
        return read_journal(path, **wanted)
    if not path.absolute().parent.is_dir():
        raise JournalError(str(path), "there is no such directory")
    return follow(path, **wanted)


class _Style:
    """How an entry becomes a line.

    Args:
        columns: the table, or ``None`` for JSON.
        row: cells of an entry.
    """

    def __init__(self, columns: Columns | None, row: Callable[[Entry], tuple[str, ...]]) -> None:
        self.columns = columns
        self.row = row

    def head(self) -> Iterator[str]:
        """What stands above."""
        if self.columns is not None:
            yield self.columns.line(self.columns.head)

    def line(self, entry: Entry) -> str:
        """The line, without its end."""
        return self.row(entry)[0] if self.columns is None else self.columns.line(self.row(entry))


def _style(chosen: argparse.Namespace) -> _Style:
    if chosen.json:
        return _Style(None, lambda entry: (json.dumps(entry.as_dict()),))
    if chosen.all or chosen.run is not None or (chosen.type and set(chosen.type) != {HEALING}):
        return _Style(Columns(_RECORDS), _record)
    return _Style(Columns(_HEALINGS), _healing)


def _write(entries: list[Entry], style: _Style) -> None:
    if style.columns is not None:
        for entry in entries:
            style.columns.see(style.row(entry))
    for line in (*style.head(), *map(style.line, entries)):
        sys.stdout.write(line + "\n")


def _write_as_it_comes(reading: Reading, style: _Style) -> None:
    for line in style.head():
        sys.stdout.write(line + "\n")
    sys.stdout.flush()
    for entry in reading:
        sys.stdout.write(style.line(entry) + "\n")
        sys.stdout.flush()


def _healing(entry: Entry) -> tuple[str, ...]:
    told = entry.fields
    actions = f"{shown(told.get('actions_executed'))}/{shown(told.get('actions_total'))}"
    named = [shown(told.get(name)) for name in ("strategy", "target", "metric", "value", "severity")]
    ended = [shown(told.get(name)) for name in ("success", "dry_run", "outcome")]
    return (_time(entry), *named, actions, *ended)


def _record(entry: Entry) -> tuple[str, ...]:
    fields = [f"{printable(name)}={_field(value)}" for name, value in entry.fields.items()]
    return (_time(entry), str(entry.seq), entry.type, " ".join(fields))


def _field(value: object) -> str:
    plain = isinstance(value, str) and value.isprintable() and value and not set(value) & set(" \"'=")
    return str(value) if plain else json.dumps(value, separators=(",", ":"))


def _time(entry: Entry) -> str:
    return entry.timestamp[:19] + "Z"


def _moment(text: str) -> float:
    return moment(text, SYSTEM_CLOCK.wall())


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of 0 or more, got {text!r}")
    return int(text)

"""How far something long is, on a terminal: a bar by rich where it is installed, else a line each tenth."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator

from selfheal.backup.progress import Progress
from selfheal.backup.restoring.words import amount

Tell = Callable[[Progress], object]
_A_FILE = 16 * 1024
"""What opening a file costs, in bytes that could be read meanwhile: small files would not move the bar else."""


@contextlib.contextmanager
def showing(chosen: argparse.Namespace) -> Iterator[Tell | None]:
    """Show progress for the time of a ``with``, on stderr if that is a terminal; gives what is to be told of it.

    Nothing is shown with ``--json``, nor into a pipe or a file.
    """
    if chosen.json or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    if os.environ.get("TERM", "dumb") == "dumb" or importlib.util.find_spec("rich") is None:
        yield Tenths().tell
        return
    with _bars() as tell:
        yield tell


def share(progress: Progress) -> float:
    """How much is done, from 0 to 1."""
    whole = progress.bytes_total + _A_FILE * progress.files_total
    done = progress.bytes + _A_FILE * progress.files
    return 1.0 if whole <= 0 else min(done / whole, 1.0)


def words(progress: Progress) -> str:
    """How far it is, in words."""
    files = f"{progress.files:,} of {progress.files_total:,} files"
    return f"{files}, {amount(progress.bytes)} of {amount(progress.bytes_total)}"


class Tenths:
    """A line for each tenth that is done of a section."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], int] = {}

    def tell(self, progress: Progress) -> None:
        """Write a line, if a tenth more is done."""
        what, tenth = (progress.doing, progress.section), int(share(progress) * 10)
        if tenth > self._told.get(what, 0):
            self._told[what] = tenth
            sys.stderr.write(f"{progress.doing} {progress.section}: {tenth * 10} % ({words(progress)})\n")
            sys.stderr.flush()


@contextlib.contextmanager
def _bars() -> Iterator[Tell]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[told]}"))
    bars = Bars(
        *columns,
        TimeElapsedColumn(),
        console=Console(file=sys.stderr),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    tasks: dict[tuple[str, str], TaskID] = {}

    def tell(progress: Progress) -> None:
        what = (progress.doing, progress.section)
        if what not in tasks:
            tasks[what] = bars.add_task(f"{progress.doing} {progress.section}", total=1.0, told="")
        bars.update(tasks[what], completed=share(progress), told=words(progress))

    with bars:
        yield tell

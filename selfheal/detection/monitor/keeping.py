"""The files of a monitor: its log, what it learnt, its reports, and the alerts that are open."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import attrs

from selfheal.clock import Clock
from selfheal.detection.history import History
from selfheal.detection.monitor import saving
from selfheal.detection.monitor.curves import Curve, Plot
from selfheal.detection.monitor.markdown import as_markdown
from selfheal.detection.monitor.reporting import Report
from selfheal.detection.monitor.telling import Told
from selfheal.durable import replace_file
from selfheal.errors import ConfigError, JournalError, StateError
from selfheal.events import Alert
from selfheal.events.files import FILE_NAME, alert_data, write_alerts
from selfheal.journal import Journal
from selfheal.journal.places import holder_of, take_lock

logger = logging.getLogger("selfheal.detection.monitor")

LOCK = "detection.lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""Of file systems on which nobody can have a directory for himself."""
REPORT = "anomaly_detection_report_latest"
MOST_ALERTS = 100
MOST_BYTES = 1_000_000
MOST_PLOTS = 8
AHEAD = 86_400.0
"""Seconds by which a file may be ahead of the clock. Within them, nothing is learnt until the clock is there again."""
TELL_EVERY = 60.0
"""Seconds after which open alerts are written anew. A reader takes what is older than five minutes for over."""
LONGEST_NAME = 1000
"""Names beyond it are refused by the reader of alerts."""


class Keeper:
    """Writes files into a directory, one keeper at a time; what cannot be written is shown, and stops nothing.

    Args:
        directory: is made if it is not there; ``None``: nothing is kept.
        clock: the time it goes by.
        plot: draws plots for reports.

    Attributes:
        problems: of each kind of file, what went wrong last.

    Raises:
        ConfigError: if the directory cannot be made.
    """

    def __init__(self, directory: str | Path | None, clock: Clock, plot: Plot | None) -> None:
        self.directory = None if directory is None else Path(directory).absolute()
        self.plot = plot
        self.problems: dict[str, str] = {}
        self._clock = clock
        self._own: Journal | None = None
        self._told_at = -math.inf
        self._let_go: Callable[[], object] | None = None
        self._taking = threading.Lock()
        if self.directory is not None:
            try:
                self.directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                accepted = f"a directory, or where one can be made ({error.strerror})"
                raise ConfigError("Monitor.directory", str(directory), accepted, "None") from error
            self._ours()

    def in_child(self) -> None:
        """Write nothing any more: the files are those of the parent."""
        self.directory = None
        self._taking = threading.Lock()
        if self._let_go is not None:
            self._let_go()

    def _ours(self) -> Path | None:
        """The directory, while it is ours to write in: another process may have it, and end some time."""
        with self._taking:
            if self.directory is None or self._let_go is not None:
                return self.directory
            try:
                lock = take_lock(self.directory / LOCK)
            except OSError as error:
                if error.errno in _NO_LOCKS:
                    return self.directory
                self._failed("directory", error)
                return None
            if lock is None:
                holder = holder_of(self.directory / LOCK)
                self._failed("directory", f"{self.directory} is that of a monitor in process {holder} while it lives")
                return None
            self._let_go = weakref.finalize(self, os.close, lock)
            self.problems.pop("directory", None)
            return self.directory

    def journal(self) -> Journal | None:
        """A journal of our own for what becomes of alerts; ``None`` while there can be none."""
        directory = self._ours()
        if directory is None:
            return None
        try:
            self._own = Journal(directory / saving.LOG, clock=self._clock)
        except JournalError as error:
            self._failed("log", error)
        else:
            self.problems.pop("log", None)
        return self._own

    def close(self) -> None:
        """Close the journal that was opened here, and leave the directory to others."""
        if self._own is not None:
            try:
                self._own.close()
            except JournalError as error:
                self._failed("log", error)
        if self._let_go is not None:
            self._let_go()
        self.directory = None

    def history(self, given: History | None) -> History:
        """The history: the host's, or that of an earlier life."""
        if given is not None or self.directory is None:
            return History() if given is None else given
        return History.load_or_new(self.directory / saving.HISTORY, latest=self._clock.wall() + AHEAD)

    def earlier(self) -> tuple[saving.Saved | None, tuple[Told, ...]]:
        """What an earlier life learnt, and what was open when it ended."""
        if self.directory is None:
            return None, ()
        state, refused = saving.load(self.directory, self._clock.wall() + AHEAD)
        opened, refused_too = saving.load_open(self.directory)
        if refused or refused_too:
            self.problems["state"] = " ".join(filter(None, (refused, refused_too)))
        return state, opened

    def save(self, state: saving.Saved, history: History) -> bool:
        """Write what was learnt; tell whether that could be done."""
        directory = self._ours()
        if directory is None:
            return False
        try:
            history.save(directory / saving.HISTORY)
            saving.save(directory, state)
        except StateError as error:
            self._failed("saving", error)
            return False
        self.problems.pop("saving", None)
        return True

    def changed(self, told: Sequence[Told], alerts: Sequence[Alert]) -> None:
        """Write down what is open, for the next life of this process, and for a healer in another one."""
        self._told_at = self._clock.wall()
        directory = self._ours()
        if directory is None:
            return
        self._alerts(directory, told, alerts)
        try:
            saving.save_open(directory, told)
        except StateError as error:
            self._failed("open", error)
        else:
            self.problems.pop("open", None)

    def keep_telling(self, told: Sequence[Told], alerts: Sequence[Alert]) -> None:
        """Write open alerts anew, if they were not for a while: a reader takes what is old for over.

        What could not be written before is written too, be it that nothing is open any more.
        """
        missed = not self.problems.keys().isdisjoint({"alerts", "open", "directory"})
        if not (alerts or missed) or 0.0 <= self._clock.wall() - self._told_at < TELL_EVERY:
            return
        if missed:
            self.changed(told, alerts)
        elif directory := self._ours():
            self._alerts(directory, told, alerts)

    def _alerts(self, directory: Path, told: Iterable[Told], alerts: Iterable[Alert]) -> None:
        """Leave the open alerts for a healer in another process: the worst, if they are too many.

        Each with the time of now: how old one is there says how long ago it was known to hold. They are all there are,
        unless there is no room for one, or one of an earlier life was not seen again so far.
        """
        self._told_at = wall = self._clock.wall()
        chosen = _fitting([attrs.evolve(one, at=wall) for one in saving.published(alerts, MOST_ALERTS)])
        there = {one.fingerprint for one in chosen}
        complete = all(one.incident.fingerprint in there for one in told if one.published)
        try:
            write_alerts(directory / FILE_NAME, chosen, complete=complete, clock=self._clock)
        except OSError as error:
            self._failed("alerts", error)
        else:
            self.problems.pop("alerts", None)

    def plots(self, curves: Mapping[str, Curve]) -> dict[str, str]:
        """Draw what there is to be seen, so many at most; fingerprint to the name of the file."""
        drawn: dict[str, str] = {}
        directory = self._ours()
        if directory is None or self.plot is None:
            return drawn
        failed = False
        for fingerprint, curve in tuple(curves.items())[:MOST_PLOTS]:
            name = f"{REPORT}_{len(drawn) + 1}.png"
            try:
                replace_file(directory / name, self.plot(curve), sync="none")
            except Exception as error:  # a plot is a convenience, whoever draws it
                failed = True
                self._failed("plots", error)
                continue
            drawn[fingerprint] = name
        if not failed:
            self.problems.pop("plots", None)
        return drawn

    def report(self, report: Report) -> None:
        """Write the report, as Markdown and as JSON, and remove plots that are not in it."""
        directory = self._ours()
        if directory is None:
            return
        try:
            text = json.dumps(report.as_dict(), indent=1, allow_nan=False) + "\n"
            replace_file(directory / f"{REPORT}.json", text.encode(), sync="none")
            replace_file(directory / f"{REPORT}.md", as_markdown(report).encode(), sync="none")
            for n in range(len(report.plots) + 1, MOST_PLOTS + 1):
                (directory / f"{REPORT}_{n}.png").unlink(missing_ok=True)
        except OSError as error:
            self._failed("report", error)
        else:
            self.problems.pop("report", None)

    def _failed(self, what: str, error: Exception | str) -> None:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error  # without made-up names
        told = f"{what}: {why}"
        if self.problems.get(what) != told:
            logger.error("Monitor: %s", told)
        self.problems[what] = told


def _fitting(alerts: list[Alert]) -> list[Alert]:
    """As a reader takes them, by size too: where they are too large, evidence goes before alerts do."""
    kept = [one for one in alerts if max(map(len, (one.kind, one.target, one.metric))) <= LONGEST_NAME]
    sizes = [_size(alert) for alert in kept]
    while sum(sizes) > MOST_BYTES:
        longest = sizes.index(max(sizes))
        labels = kept[longest].labels
        if "shortened" not in labels:
            short = {"since": labels["since"], "shortened": "true"}
            kept[longest] = attrs.evolve(kept[longest], labels=short)
            sizes[longest] = _size(kept[longest])
        else:
            del kept[longest], sizes[longest]
    return kept


def _size(alert: Alert) -> int:
    return len(json.dumps(alert_data(alert), indent=1)) + 200  # some more for being further in

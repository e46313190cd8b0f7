"""What is measured: when a fault was seen, when all was well again, and whether both came in time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs
import psutil

from examples.reference_app.running import NotSeenError, survivors
from examples.reference_app.story import Story
from selfheal.clock import SYSTEM_CLOCK
from selfheal.events import Event, EventBus

SLACK = 2.0
"""Seconds in each bound for what no setting decides: starting an interpreter, on a machine that has other work."""


@attrs.frozen(kw_only=True)
class Bound:
    """A time within which something has to happen, and what it is made of.

    Args:
        parts: name → seconds of the settings it follows from.
        slack: seconds for what no setting decides.
    """

    parts: Mapping[str, float] = attrs.field(factory=dict)
    slack: float = 0.0

    @classmethod
    def of(cls, slack: float = SLACK, **parts: float) -> Bound:
        """The sum of ``parts``, named as they are, and of the slack."""
        return cls(parts=parts, slack=slack)

    @property
    def seconds(self) -> float:
        """The time, slack included."""
        return sum(self.parts.values()) + self.slack

    @property
    def made_of(self) -> str:
        """In words, with the settings it follows from."""
        told = [f"{name.replace('_', ' ')} {seconds:g}" for name, seconds in self.parts.items()]
        return " + ".join([*told, f"slack {self.slack:g}"])

    def with_patience(self, patience: float) -> Bound:
        """With a slack so many times as long."""
        return attrs.evolve(self, slack=self.slack * patience)


@attrs.frozen(kw_only=True)
class Row:
    """What came of one fault. Times are seconds after it.

    Args:
        fault: in words.
        seen: when it was noticed, and ``seen_bound`` when it had to be.
        ended: when all was well again or it was given up, and ``ended_bound`` when that had to be.
        how: what was done about it.
        held: whether everything came in time and as it had to.
    """

    fault: str
    seen: float
    seen_bound: Bound
    ended: float
    ended_bound: Bound
    how: str
    held: bool


class Watch:
    """Sees every event with the moment at which it was published.

    Args:
        events: the bus.
    """

    def __init__(self, events: EventBus) -> None:
        self._seen: list[tuple[float, Event]] = []
        self._news = threading.Condition()
        self._subscription = events.subscribe(self._note, inline=True)

    def close(self) -> None:
        """See no more."""
        self._subscription.cancel()

    def wait(self, what: str, wanted: Callable[[Event], bool], after: float, within: float) -> float:
        """Wait for an event since ``after`` (monotonic seconds); returns how many seconds after that it came.

        Raises:
            NotSeenError: if none came within ``within`` seconds after ``after``.
        """
        with self._news:
            while True:
                for at, event in self._seen:
                    if at >= after and wanted(event):
                        return at - after
                left = after + within - SYSTEM_CLOCK.monotonic()
                if left <= 0:
                    raise NotSeenError(f"not seen within {within:g} s: {what}")
                self._news.wait(left)

    def _note(self, event: Event) -> None:
        with self._news:
            self._seen.append((SYSTEM_CLOCK.monotonic(), event))
            self._news.notify_all()


def until(what: str, condition: Callable[[], object], after: float, within: float) -> float:
    """Look every 10 ms until ``condition()`` is true; returns how many seconds after ``after`` that was.

    Raises:
        NotSeenError: if it is not within ``within`` seconds after ``after``.
    """
    while not condition():
        if SYSTEM_CLOCK.monotonic() > after + within:
            raise NotSeenError(f"not seen within {within:g} s: {what}")
        SYSTEM_CLOCK.sleep(0.01)
    return SYSTEM_CLOCK.monotonic() - after


class Trial:
    """One fault under way: notes what is seen of it.

    Args:
        fault: in words.
        story: tells it.
        count: called at each step, to remember the processes there are.
        patience: how many times as long the slack of each bound is.
    """

    def __init__(self, fault: str, story: Story, count: Callable[[], None], patience: float = 1.0) -> None:
        self.fault = fault
        self.story = story
        self._count = count
        self._patience = patience
        self._seen: tuple[float, Bound] | None = None
        self._ended: tuple[float, Bound, str] | None = None
        self._wrong: list[str] = []

    def strikes(self, told: str) -> float:
        """The fault happens now; returns the moment."""
        self._count()
        self.story.tell(f"fault: {told}")
        return SYSTEM_CLOCK.monotonic()

    def seen(self, told: str, seconds: float, bound: Bound) -> None:
        """It was noticed."""
        self._count()
        bound = bound.with_patience(self._patience)
        self._seen = (seconds, bound)
        self.story.tell(f"seen after {seconds:.2f} s (bound {bound.seconds:.1f} s = {bound.made_of}): {told}")

    def ended(self, told: str, seconds: float, bound: Bound) -> None:
        """It was repaired, or given up."""
        self._count()
        bound = bound.with_patience(self._patience)
        self._ended = (seconds, bound, told)
        self.story.tell(f"ended after {seconds:.2f} s (bound {bound.seconds:.1f} s = {bound.made_of}): {told}")

    def expect(self, what: str, held: object, shown: object = "") -> None:
        """Something else that has to hold."""
        self.story.tell(f"{'ok' if held else 'FAILED'}: {what}{f' ({shown})' if shown != '' else ''}")
        if not held:
            self._wrong.append(what)

    def row(self, error: str = "") -> Row:
        """The result, in the table's words."""
        nothing = Bound()
        seen, seen_bound = self._seen or (float("inf"), nothing)
        ended, ended_bound, how = self._ended or (float("inf"), nothing, "")
        wrong = [*self._wrong, *([error] if error else [])]
        in_time = seen <= seen_bound.seconds and ended <= ended_bound.seconds
        return Row(
            fault=self.fault,
            seen=seen,
            seen_bound=seen_bound,
            ended=ended,
            ended_bound=ended_bound,
            how="; ".join(wrong) or how,
            held=in_time and not wrong,
        )


class Results:
    """The rows so far, and every process that was seen below this one.

    Args:
        story: tells them.
        patience: how many times as long the slack of each bound is.
    """

    def __init__(self, story: Story, patience: float = 1.0) -> None:
        self.rows: list[Row] = []
        self._story = story
        self._patience = patience
        self._processes: set[psutil.Process] = set()

    def count(self) -> None:
        """Remember the processes there are now below this one."""
        self._processes.update(psutil.Process().children(recursive=True))

    def orphans(self) -> list[int]:
        """Ids of the processes ever seen that still run, wherever they belong now."""
        self.count()
        return survivors(list(self._processes))

    @contextmanager
    def trial(self, fault: str) -> Iterator[Trial]:
        """Run one trial; what had to happen and did not is a row that failed, and the next trial goes on."""
        self._story.chapter(fault)
        trial, error = Trial(fault, self._story, self.count, self._patience), ""
        try:
            yield trial
        except (NotSeenError, OSError) as failure:
            error = f"{type(failure).__name__}: {failure}"
            self._story.tell(f"FAILED: {error}")
        self.rows.append(trial.row(error))

    @property
    def held(self) -> bool:
        """Whether every row did."""
        return bool(self.rows) and all(row.held for row in self.rows)

    def table(self) -> str:
        """All rows, with bounds and times in seconds."""
        head = ["fault", "seen", "bound", "ended", "bound", "verdict", "how it ended"]
        return aligned([head, *map(_cells, self.rows)])


def _cells(row: Row) -> list[str]:
    times = [row.seen, row.seen_bound.seconds, row.ended, row.ended_bound.seconds]
    return [row.fault, *(f"{seconds:.2f} s" for seconds in times), "ok" if row.held else "FAILED", row.how]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text in columns; the first is the head."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])

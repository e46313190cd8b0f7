"""Six real faults, each healed by one of the strategies that ship: struck, found, acted upon, verified, told."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import attrs

from examples.reference_app.healing import JOURNAL
from examples.reference_app.observer import Observer
from examples.reference_app.running import NotSeenError, RunningApp
from examples.reference_app.story import Story
from examples.reference_app.traffic import busy
from selfheal.clock import SYSTEM_CLOCK
from selfheal.journal import Entry, read_journal

_WIDTH = 170
_LEARNT, _BY = "has learnt from", "contributed: "
OPTIONS = (
    *("--no-cache", "--queue-pace", "20", "--worker-hung-after", "60"),
    *("--rate-limit", "500", "--burst", "1000"),
)
"""How the app is started so that the faults are the strategies' to heal: its cache is off, its pool leaves workers that
hang to them, and a second in which the queue stands still counts for 20."""


@attrs.frozen(kw_only=True)
class Healed:
    """One healing, as the journal tells it. Times are seconds since the fault struck.

    Args:
        strategy: that healed.
        detected: when the healing began.
        repaired: when it was verified and over.
        entries: what the journal has of it.
    """

    strategy: str
    detected: float
    repaired: float
    entries: tuple[Entry, ...]

    @property
    def end(self) -> Entry:
        """Its last entry."""
        return self.entries[-1]

    @property
    def done(self) -> list[str]:
        """The actions that were done, in order."""
        return [one["action"] for one in self.end.fields["actions"] if one["state"] == "done"]

    def receipt(self) -> dict[str, Any]:
        """Of its last action."""
        return dict([entry for entry in self.entries if entry.type == "action_done"][-1].fields["receipt"])


class Faults:
    """The six, one after the other.

    Args:
        app: the service, started with :data:`OPTIONS`, with drills allowed.
        story: tells what happens.
        seen: looks at the service, and breaks its provider.
    """

    def __init__(self, app: RunningApp, story: Story, seen: Observer) -> None:
        self._app = app
        self._story = story
        self._seen = seen
        self.healed: list[Healed] = []

    def run(self) -> None:
        """All of them. One that is not healed is an expectation that does not hold; the next one follows."""
        self._knows()
        for fault in (self._odd, self._slow, self._leaks, self._fails, self._stands, self._runs_away):
            try:
                fault()
            except NotSeenError as error:
                self._story.expect("it was healed", False, error)
            finally:
                self._app.fault("none")
        self._tells()

    def _knows(self) -> None:
        """What was learnt from the week finds nothing unusual in traffic as it was then."""
        self._story.chapter("Traffic as in the week that it learnt from")
        log = self._app.log()
        self._story.typed(f"grep '{_LEARNT}' {self._app.state_dir / 'app.log'}")
        self._story.shown(next((line for line in log.splitlines() if _LEARNT in line), "nothing"))
        enough = max(self._detection()["detections"] + 1, 2)
        with busy(self._app.port):
            self._app.wait_for(lambda: self._detection()["detections"] >= enough, "some judgements of detection")
        now = self._detection()
        quiet = now["anomalyScore"] is not None and now["anomalyScore"] <= 0.8 and not now["openAlerts"]
        told = f"anomaly score {now['anomalyScore']}, {len(now['openAlerts'])} alerts open"
        self._story.expect("a week is learnt, and nothing is unusual", _LEARNT in log and quiet, told)

    def _odd(self) -> None:
        """Nothing is beyond a threshold of its own; together it is as never before."""
        self._story.chapter("Fault 1 of 6 · Several things are a little wrong at once")
        worker = self._workers()[0]
        with busy(self._app.port, clients=2):
            began = self._strikes(worker, "a worker keeps memory of its texts, up to half of what it may hold")
            self._fault("slow", 0.3)
            healed = self._sees("ml-composite-anomaly", "reference-app", began)
        kept = str(healed.receipt().get("path", healed.receipt()))
        snapshots = self._app.state_dir / "state" / "snapshots"
        there = [file.name for file in snapshots.glob("*.json") if file.name in kept]
        self._expect(healed, "what was to be seen is kept", there, kept)
        report = self._app.state_dir / "detection" / "anomaly_detection_report_latest.md"
        self._app.wait_for(lambda: _BY in report.read_text(), "the report of detection")
        why = [line for line in report.read_text().splitlines() if _BY in line]
        self._story.typed(f"grep '{_BY}' {report}")
        self._story.shown("\n".join(why))
        odd = [metric for metric in ("memory", "latency") if metric in str(why)]
        self._story.expect("detection says what is unusual", odd, ", ".join(odd))

    def _slow(self) -> None:
        self._story.chapter("Fault 2 of 6 · The provider takes 0.7 s for each summary")
        with busy(self._app.port, clients=4, same=True):
            began = self._fault("slow", 0.7)
            healed = self._sees("high-latency", "gateway", began)
            cache = self._app.status()["cache"]
        put_on = healed.receipt().get("enabled")  # it may be off again by now
        self._expect(healed, "the cache is on, and answers", put_on and cache["hits"], cache)

    def _leaks(self) -> None:
        self._story.chapter("Fault 3 of 6 · The worker goes on keeping memory")
        worker = self._workers()[0]
        began = self._strikes(worker, "up to nine tenths of what it may hold")
        healed = self._sees("high-memory", "summary-workers", began)
        held, pids = self._app.status()["measured"]["memory_percent of summary-workers"], self._workers()
        self._expect(healed, "it is replaced", worker not in pids and held < 75, f"{worker} by {pids}, {held:.0f} %")

    def _fails(self) -> None:
        self._story.chapter("Fault 4 of 6 · Every other summary of the provider is a 500")
        with busy(self._app.port):
            began = self._fault("flaky")
            healed = self._sees("low-success-rate", "provider", began)
            switched = healed.receipt()  # by now probes may have succeeded: it fails every other call only
            self._expect(healed, "the workers answer instead", switched.get("active") == "local", switched)
        self._fault("none")
        self._app.wait_for(lambda: self._app.status()["fallback"]["active"] == "upstream", "the provider in use again")
        self._story.tell("the fault is mended, probes succeed: the provider is in use again")

    def _stands(self) -> None:
        self._story.chapter("Fault 5 of 6 · All workers stand still, with work in their hands")
        before = self._workers()
        began = SYSTEM_CLOCK.wall()
        self._story.typed(f"kill -STOP {' '.join(map(str, before))}")
        for pid in before:
            os.kill(pid, signal.SIGSTOP)
        healed = self._sees("queue-stuck", "summary-workers", began)
        after = self._workers()
        self._expect(healed, "others do the work", not set(before) & set(after), f"{before} replaced by {after}")

    def _runs_away(self) -> None:
        self._story.chapter("Fault 6 of 6 · The indexer takes all the CPU it gets")
        pid = self._indexer()
        began = self._strikes(pid, "work that somebody forgot to end")
        healed = self._sees("high-cpu", "indexer", began)
        self._expect(healed, "it is another process", self._indexer() != pid, f"{pid} replaced by {self._indexer()}")

    def _tells(self) -> None:
        self._story.chapter("What the journal tells of it")
        self._journal()
        for one in self.healed:
            took = f"found after {one.detected:4.1f} s, repaired after {one.repaired:4.1f} s"
            self._story.tell(f"  {one.strategy:20}  {took}, by {', '.join(one.done)}")
        good = {one.strategy for one in self.healed if one.end.fields["success"]}
        self._story.expect("six real faults were healed end to end", len(good) == 6, f"{len(good)} of 6")

    def _sees(self, strategy: str, target: str, began: float, within: float = 100.0) -> Healed:
        """Tell a healing that begins after the fault as the journal grows, up to its end; then show its lines."""
        path, seen = self._app.state_dir / JOURNAL, list[Entry]()

        def look() -> bool:
            if not seen:
                first = read_journal(path, since=began, types="healing_started", strategy=strategy, target=target)
                seen.extend(itertools.islice(first, 1))
            if not seen:
                return False
            new = [entry for entry in read_journal(path, run=seen[0].fields["run"]) if entry.seq > seen[-1].seq]
            for entry in [*(seen if new and len(seen) == 1 else ()), *new]:
                self._story.tell(in_words(entry, entry.at - began))
            seen.extend(new)
            return seen[-1].type == "healing_finished"

        self._app.wait_for(look, f"{target} healed by {strategy}", within)
        self._journal("--all", "--run", str(seen[0].fields["run"]))
        return Healed(
            strategy=strategy,
            detected=seen[0].at - began,
            repaired=seen[-1].at - began,
            entries=tuple(seen),
        )

    def _expect(self, healed: Healed, what: str, held: object, seen: object) -> None:
        self.healed.append(healed)
        done = ", ".join(healed.done)
        self._story.expect(
            f"healed by {healed.strategy}: {what}",
            held and healed.end.fields["success"],
            f"{done}; found after {healed.detected:.1f} s, repaired after {healed.repaired:.1f} s; {seen}",
        )

    def _journal(self, *options: str) -> None:
        command = ["-m", "selfheal", "journal", str(self._app.state_dir / JOURNAL), *options]
        self._story.typed(" ".join(["python", *command]))
        told = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True, timeout=100.0)
        lines = told.stdout.splitlines()
        self._story.shown("\n".join(line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…" for line in lines))

    def _fault(self, mode: str, seconds: float = 0.0) -> float:
        """Break the provider; returns when, as wall-clock seconds."""
        began = SYSTEM_CLOCK.wall()
        self._seen.fault(mode, seconds)
        return began

    def _strikes(self, pid: int, what: str) -> float:
        """Strike a process that is armed for drills; returns when, as wall-clock seconds."""
        self._story.typed(f"kill -USR1 {pid}   # {what}")
        began = SYSTEM_CLOCK.wall()
        os.kill(pid, signal.SIGUSR1)
        return began

    def _detection(self) -> dict[str, Any]:
        return dict(self._app.status()["detection"])

    def _workers(self) -> list[int]:
        return list(self._app.status()["workers"]["pids"])

    def _indexer(self) -> int:
        return int(self._app.status()["indexer"]["pid"] or 0)


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "healing_started": lambda f: (
        f"detected: {f['alert']['metric']} of {f['target']} is {f['alert']['value']:.4g}, for strategy {f['strategy']}"
    ),
    "level_started": lambda f: f"level {f['level']}",
    "action_done": lambda f: f"done: {f['receipt']}",
    "action_intent": lambda f: f"action {f['action']} on {f['target']}",
    "action_skipped": lambda f: f"action {f['action']} skipped: {f['reason']}",
    "verified": lambda f: f"verified: {f['verdict']}",
    "healing_finished": lambda f: f"{f['outcome']}: {f['reason']}",
}


def in_words(entry: Entry, after: float) -> str:
    """One record in words."""
    words = _WORDS.get(entry.type)
    return f"  +{after:.1f} s  {words(dict(entry.fields)) if words else entry.type}"

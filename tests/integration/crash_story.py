"""What a journal and a world of files say of lives that ended in the middle, and what must be true of them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from selfheal.journal import Entry, read_journal
from selfheal.policies.dormancy import KEY
from selfheal.policies.dormancy_records import from_stored
from selfheal.state.sqlite import SQLiteStore
from tests.integration.crash_host import ACTIONS_PER_HOUR, FAILURE_LIMIT, GRACE, START, TARGET, Request

ROOT = Path(__file__).parents[2]
HOUR = 3600.0
KILLED = -9

Seen = dict[str, Any]


class Host:
    """The process that forks lives."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.crash_host"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._process.communicate(timeout=100)

    def live(self, request: Request) -> tuple[int, Seen]:
        """One life: its exit code, and what it saw if it came to its end."""
        told = self._ask({"life": request})
        return told["code"], told["seen"] or {}

    def begin(self, request: Request) -> int:
        """One life beside this one: its process."""
        pid: int = self._ask({"life": request, "background": True})["pid"]
        return pid

    def wait(self, pid: int) -> tuple[int, Seen]:
        """The end of one that was begun."""
        told = self._ask({"wait": pid})
        return told["code"], told["seen"] or {}

    def _ask(self, asked: Mapping[str, object]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@attrs.define
class Run:
    """One healing, as its entries tell it.

    Args:
        began: wall seconds.
        intents: by step.
        fates: by step: done, failed, in_doubt, undoing, undone or stuck; what has only an intent is missing.
        finished: its last word, ``None`` where there is none.
        fixed: whether its last verdict was that the problem is gone.
        lives: how many processes wrote of it before its end.
    """

    began: float
    intents: dict[int, Mapping[str, Any]] = attrs.field(factory=dict)
    fates: dict[int, str] = attrs.field(factory=dict)
    finished: Mapping[str, Any] | None = None
    fixed: bool = False
    lives: int = 1


class Story:
    """A journal and the world beside it, at one moment.

    Args:
        directory: where both are.
        lives: tell only what the first so many processes wrote.
    """

    def __init__(self, directory: Path, lives: int | None = None) -> None:
        reading = read_journal(directory / "journal.jsonl")
        self.entries = list(reading)
        if lives is not None:
            openings = [place for place, entry in enumerate(self.entries) if entry.type == "journal_opened"]
            self.entries = self.entries[: [*openings, len(self.entries)][lives]]
        self.report = reading.report
        world = directory / "world.json"
        self.world: dict[str, Any] = {"values": dict(START), "effects": []}
        if world.exists():
            self.world = json.loads(world.read_text())
        probes = directory / "probes"
        self.probes = set(probes.read_text().split()) if probes.exists() else set()
        self.runs: dict[str, Run] = {}
        self.failures = 0
        self.held: set[str] = set()
        self._failed_at = 0.0
        for entry in self.entries:
            self._read(entry)
        if (directory / "state.db").exists():
            resumed = from_stored(SQLiteStore(directory / "state.db").get(KEY))[1]
            if resumed is not None and resumed.timestamp >= self._failed_at:
                self.failures = 0  # resumed, and killed before the journal told

    @property
    def wall(self) -> float:
        """When the next life may begin."""
        return self.entries[-1].at + 1.0 if self.entries else 1_700_000_000.0

    @property
    def open_runs(self) -> set[str]:
        """Healings that never ended."""
        return {id for id, run in self.runs.items() if run.finished is None}

    def intents_since(self, wall: float) -> int:
        """Actions intended after ``wall``."""
        return sum(entry.type == "action_intent" and entry.at > wall for entry in self.entries)

    def values(self) -> dict[str, float]:
        """What the world must be like by the journal alone, once nothing is in doubt."""
        values = dict(START)
        for entry in self.entries:
            fields = entry.fields
            happened = entry.type == "action_done" or (entry.type == "action_failed" and fields.get("in_doubt"))
            if not (happened or entry.type == "rollback_done"):
                continue
            plan = self.runs[fields["run"]].intents[fields["step"]]["plan"]
            if "knob" in plan:
                values[plan["knob"]] = plan["new"] if happened else plan["old"]
        return values

    def measures(self) -> list[str]:
        """Actions of healings that ended well, that are still to be undone by themselves."""
        return sorted(
            intent["action"]
            for run in self.runs.values()
            for step, intent in run.intents.items()
            if run.finished is not None
            and intent["undo_after"] is not None
            and run.fates.get(step) in ("done", "undoing", "stuck")
        )

    def turning(self) -> set[str]:
        """What a measure that is being undone had turned: it may be back already."""
        return {
            intent["plan"]["knob"]
            for run in self.runs.values()
            for step, intent in run.intents.items()
            if run.fates.get(step) == "undoing"
        }

    def check(self) -> None:
        """What must be true at any moment, whoever died where."""
        assert [entry.seq for entry in self.entries] == list(range(1, len(self.entries) + 1))
        assert self.report.damaged == 0
        self._check_effects()
        self._check_paces()
        for run in self.runs.values():
            self._check_run(run)

    def _check_effects(self) -> None:
        """None without its intent before it, and none of one key twice."""
        effects = self.world["effects"]
        assert [effect for effect in effects if not effect["intended"]] == []
        times = Counter(effect["key"] for effect in effects if effect["kind"] == "run")
        assert [key for key, n in times.items() if n > 1] == []
        for name in ("restart", "wipe", "flush", "note"):
            intended = sum(i["action"] == name for run in self.runs.values() for i in run.intents.values())
            assert self.world["values"].get(name, 0) <= intended

    def _check_paces(self) -> None:
        """Grace period and budget of actions over all lives."""
        began = sorted(run.began for run in self.runs.values())
        assert all(later - earlier >= GRACE for earlier, later in itertools.pairwise(began))
        intents = [entry.at for entry in self.entries if entry.type == "action_intent"]
        for at in intents:
            assert sum(at <= other < at + HOUR for other in intents) <= ACTIONS_PER_HOUR

    def _check_run(self, run: Run) -> None:
        finished = run.finished
        if finished is None:
            return
        assert finished["success"] == (finished["outcome"] == "healed")
        if finished["success"]:
            assert run.fixed
            assert run.lives == 1
            return
        for step, intent in run.intents.items():
            if intent["effect"] == "reversible":
                assert run.fates[step] in ("undone", "failed", "stuck")
            if run.fates.get(step) == "stuck":
                assert intent["target"] in self.ever_held

    def _read(self, entry: Entry) -> None:
        fields = entry.fields
        match entry.type:
            case "journal_opened":
                for run in self.runs.values():
                    run.lives += run.finished is None
            case "healing_started":
                assert fields["run"] not in self.runs
                assert fields["mode"] == "live"
                self.runs[fields["run"]] = Run(entry.at)
            case "target_held":
                self.held.add(fields["target"])
            case "target_released":
                self.held.discard(fields["target"])
            case "dormancy_left":
                self.failures = 0
            case _:
                if "run" in fields:
                    self._read_of(self.runs[fields["run"]], entry.type, fields, entry.at)

    def _read_of(self, run: Run, kind: str, fields: Mapping[str, Any], at: float) -> None:
        fates = {"action_done": "done", "rollback_intent": "undoing", "rollback_done": "undone"}
        if kind == "action_intent":
            assert fields["step"] not in run.intents
            assert run.finished is None
            run.intents[fields["step"]] = fields
        elif kind in fates:
            run.fates[fields["step"]] = fates[kind]
        elif kind == "action_failed":
            run.fates[fields["step"]] = "in_doubt" if fields["in_doubt"] else "failed"
        elif kind == "rollback_failed":
            run.fates[fields["step"]] = "stuck"
        elif kind == "verified":
            run.fixed = fields["verdict"] == "fixed"
        elif kind == "healing_finished":
            assert run.finished is None, "it ended twice"
            run.finished = fields
            self.failures = {"healed": 0, "failed": self.failures + 1}.get(fields["outcome"], self.failures)
            if fields["outcome"] == "failed":
                self._failed_at = at

    @property
    def ever_held(self) -> set[str]:
        """Targets that were held at some time."""
        return {entry.fields["target"] for entry in self.entries if entry.type == "target_held"}

    def in_doubt(self) -> dict[str, Mapping[str, Any]]:
        """Key to intent, of what has no known fate in a healing that never ended."""
        return {
            f"{id}:{step}": intent
            for id in self.open_runs
            for step, intent in self.runs[id].intents.items()
            if self.runs[id].fates.get(step, "in_doubt") == "in_doubt"
        }


def check_restart(before: Story, after: Story, seen: Seen) -> None:
    """What a process sees that starts after a death, and what it has done about it before anything else.

    Args:
        before: as the death left it.
        after: as the process that recovered left it.
        seen: what that process told.
    """
    after.check()
    first, wall = seen["first"], before.wall
    assert first["actions_last_hour"] == before.intents_since(wall - HOUR)
    assert first["attempts_last_hour"] == sum(run.began > wall - HOUR for run in before.runs.values())
    assert first["failures"] == before.failures
    within = any(wall - run.began < GRACE for run in before.runs.values())
    assert ("grace" in first["refusals"]) == within
    assert ("held" in first["refusals"]) == bool(first["held"])
    if before.failures >= FAILURE_LIMIT:
        assert first["dormant"]
    assert set(first["held"]) == after.held
    waits = seen["was_dormant"] or before.failures >= FAILURE_LIMIT
    assert {run["run"] for run in seen["recovered"]["runs"]} == (set() if waits else before.open_runs)
    if not waits:
        check_ended(before, after, first)


def check_ended(before: Story, after: Story, first: Seen) -> None:
    """Everything that was in the middle has an end, and nothing else has changed."""
    assert after.open_runs == set()
    assert set(before.in_doubt()) <= after.probes
    expected = set(before.held)
    for key, intent in before.in_doubt().items():
        run, step = key.split(":")
        fate = after.runs[run].fates.get(int(step), "unknown")
        if intent["action"] == "wipe":
            expected.add(TARGET)
            assert fate in ("unknown", "in_doubt")
        else:
            assert fate in ("done", "failed", "undone", "stuck")
    if any("stuck" in after.runs[run].fates.values() for run in before.open_runs):
        expected.add(TARGET)
    assert set(first["held"]) == expected
    for run in before.open_runs:
        finished = after.runs[run].finished
        assert finished is not None
        assert finished["outcome"] == "interrupted"
    assert knobs(first["values"], after.turning()) == knobs(after.values(), after.turning())
    assert sorted(name for name, _ in first["measures"]) == after.measures()


def knobs(values: Mapping[str, float], but: Collection[str] = ()) -> dict[str, float]:
    """The values that can be turned back."""
    return {name: values[name] for name in START if name != "jammed" and name not in but}


def asked(room: Path, scenario: str, ticks: int = 0, *, wall: float | None = None) -> Request:
    """A life that begins a second after the last one wrote something."""
    begins = Story(room).wall if wall is None else wall
    return Request(directory=str(room), scenario=scenario, wall=begins, ticks=ticks)


def places(host: Host, room: Path, request: Request) -> list[str]:
    """Every place at which a life may die."""
    code, seen = host.live(request)
    assert code == 0
    named: list[str] = seen["places"]
    assert len(named) > 8
    return named


def die(host: Host, request: Request, place: int) -> None:
    """A life that is killed at a place."""
    code, _ = host.live(request | {"die_at": place})
    assert code == KILLED


def restart(host: Host, room: Path, scenario: str) -> Seen:
    """Start again and recover; all of it must be as the journal says."""
    before = Story(room)
    code, seen = host.live(asked(room, scenario))
    assert code == 0
    check_restart(before, Story(room), seen)
    return seen


@contextlib.contextmanager
def made_rooms() -> Iterator[Iterator[Path]]:
    """Empty directories, one after the other, removed at the end.

    In memory where there is such a file system: what a process has written stays there as well when it is killed, and
    nobody has to wait for a disk.
    """
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as directory:
        yield _rooms(Path(directory))


def _rooms(directory: Path) -> Iterator[Path]:
    for n in itertools.count():
        room = directory / str(n)
        room.mkdir()
        yield room


def copied(dead: Path, room: Path) -> Path:
    """What a death left, once more."""
    shutil.copytree(dead, room, dirs_exist_ok=True)
    return room

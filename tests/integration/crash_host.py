"""A process that heals a small world of files, and dies at a chosen place. Started by ``test_healing_crash.py``.

It imports everything once and forks a child for each life it is asked for: a line of JSON in, a line of JSON out.
A child that is told to die sends itself SIGKILL: nothing of it is flushed, closed or handled. What it has written to
files stays, as it would for any other death of a process.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import gc
import json
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict

import attrs

from selfheal.errors import JournalError
from selfheal.events import EventBus
from selfheal.healing.actions import ActionCall, ActionRegistry, BaseAction, Effect, Plan, Probed, Receipt
from selfheal.healing.engine import Policies, StrategyEngine
from selfheal.healing.strategies import StrategySet
from selfheal.journal import Journal
from selfheal.policies.dormancy import DormantController
from selfheal.policies.flags import FeatureFlags
from selfheal.policies.protection import Protection
from selfheal.state.sqlite import SQLiteStore
from selfheal.testing import FakeClock

TICK = 5.0
TARGET = "web"
GRACE = 300.0
ACTIONS_PER_HOUR = 60
FAILURE_LIMIT = 2
START: Mapping[str, float] = {"rate": 10.0, "size": 8.0, "pool": 4.0, "valve": 1.0, "jammed": 1.0}
"""What the world is like at first. A value that is missing is 0."""

Values = Mapping[str, float]


class Request(TypedDict, total=False):
    """What one life is to be like.

    ``die_at`` counts the places passed, from 1; ``full_from`` counts appends to the journal, and the disk is full
    from there on, with half of the line written. With ``mended`` it has room again, and a person has looked at
    everything, after half of the ticks. With ``until_observed`` the ticks begin once another one, that was asked to go
    on ``until_writing``, has said that it observes.
    """

    directory: str
    scenario: str
    wall: float
    ticks: int
    die_at: int
    full_from: int
    mended: bool
    pause: float
    release: bool
    until_writing: bool
    until_observed: bool


def _turn(knob: str, times: float, do: str = "turn", **more: object) -> dict[str, object]:
    return {"do": do, "params": {"knob": knob, "times": times}, **more}


LEVELS: Mapping[str, list[dict[str, Any]]] = {
    # the second level heals; what the first one turned is turned back a minute later
    "second_level": [
        {"level": "soft", "actions": [_turn("rate", 0.5, undo_after=60), "note"]},
        {"level": "hard", "actions": [_turn("size", 0.5), "flush", "restart"]},
    ],
    # the last of five actions raises: the others are undone; the second failure ends in dormancy
    "failing": [
        {
            "level": "soft",
            "actions": [
                _turn("rate", 0.5),
                _turn("rate", 0.5),
                _turn("size", 2.0, do="turn_blind"),
                _turn("pool", 2.0, do="turn_slowly"),
                _turn("valve", 3.0, do="turn_and_raise"),
            ],
        }
    ],
    # things get worse: what was done is undone
    "worse": [{"level": "soft", "actions": [_turn("rate", 0.5), _turn("pool", 2.0, do="turn_slowly"), "note"]}],
    # things get worse, and one thing cannot be undone: the target is held, and healing ends
    "stuck": [{"level": "soft", "actions": [_turn("valve", 3.0, do="turn_jammed"), _turn("rate", 0.5)]}],
    # the second level removes something, and cannot tell afterwards whether it did
    "unknown": [
        {"level": "soft", "actions": [_turn("rate", 0.5)]},
        {"level": "hard", "actions": ["wipe"]},
    ],
    # the release itself cannot be done
    "stuck_release": [{"level": "soft", "actions": [_turn("valve", 3.0, do="turn_jammed", undo_after=60)]}],
}

CPU: Mapping[str, Callable[[Values], float]] = {
    "second_level": lambda values: 20.0 if values.get("restart") else 90.0,
    "failing": lambda values: 90.0,
    "worse": lambda values: 99.0 if values["rate"] < START["rate"] else 90.0,
    "stuck": lambda values: 99.0 if values["rate"] < START["rate"] else 90.0,
    "unknown": lambda values: 20.0 if values.get("wipe") else 90.0,
    "stuck_release": lambda values: 20.0 if values["valve"] > START["valve"] else 90.0,
}


@functools.cache
def strategies(scenario: str) -> StrategySet:
    """One strategy that watches the CPU."""
    strategy = {
        "name": "hot",
        "trigger": "cpu > 80 for 10s clear 70",
        "settle": 10,
        "grace_period": GRACE,
        "verify": {"within": 20, "samples": 2},
        "levels": LEVELS[scenario],
    }
    return StrategySet.from_data({"version": 1, "strategies": [strategy]})


class Places:
    """The places at which this process may die, in the order in which it passes them."""

    def __init__(self, die_at: int = 0) -> None:
        self.passed: list[str] = []
        self._die_at = die_at

    def at(self, name: str) -> None:
        """Pass one, or not."""
        self.passed.append(name)
        if len(self.passed) == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)


class World:
    """What actions act on: a file, replaced whole with each effect, so that an effect is done or not done."""

    def __init__(self, directory: Path, places: Places) -> None:
        self._path = directory / "world.json"
        self._journal = directory / "journal.jsonl"
        self._probes = directory / "probes"
        self._places = places
        if not self._path.exists():
            self._save({"values": dict(START), "effects": []})

    @property
    def values(self) -> dict[str, float]:
        """What it is like."""
        return dict(self._load()["values"])

    def change(self, kind: str, call: ActionCall, changes: Values) -> None:
        """An effect: with it stays whether the journal had the intent of it at that moment."""
        self._places.at(f"before {kind}")
        state = self._load()
        state["values"].update(changes)
        state["effects"].append({"kind": kind, "key": call.key, "intended": self._intended(kind, call.key)})
        self._save(state)
        self._places.at(f"after {kind}")

    def ran(self, key: str) -> bool:
        """Whether an action of this key took effect."""
        return any(effect["kind"] == "run" and effect["key"] == key for effect in self._load()["effects"])

    def probed(self, key: str) -> None:
        """Keep that somebody asked."""
        with self._probes.open("a") as probes:
            probes.write(key + "\n")

    def _intended(self, kind: str, key: str) -> bool:
        wanted = "action_intent" if kind == "run" else "rollback_intent"
        lines = self._journal.read_bytes().split(b"\n")[:-1]
        said = [entry for entry in map(json.loads, lines) if entry["type"] == wanted]
        return any(f"{entry['run']}:{entry['step']}" == key for entry in said)

    def _load(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self._path.read_bytes())
        return loaded

    def _save(self, state: Mapping[str, Any]) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(state))
        new.replace(self._path)


@attrs.frozen(kw_only=True)
class Knob:
    """Which value is turned, and how far."""

    knob: str
    times: float


class Turn(BaseAction):
    """Reversible; knows afterwards whether it was done."""

    name = "turn"
    effect = Effect.REVERSIBLE
    params = Knob

    def __init__(self, world: World) -> None:
        self.world = world

    def plan(self, call: ActionCall) -> Plan:
        """Old and new value."""
        old = self.world.values[call.params.knob]
        return {"knob": call.params.knob, "old": old, "new": old * call.params.times}

    def run(self, call: ActionCall, plan: Plan) -> Receipt | None:
        """Turn it."""
        self.world.change("run", call, {plan["knob"]: plan["new"]})
        return {"value": plan["new"]}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """By what the world remembers."""
        self.world.probed(call.key)
        return Probed.DONE if self.world.ran(call.key) else Probed.NOT_DONE

    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        """Turn it back, if it is as this turned it."""
        if self.world.values[plan["knob"]] == plan["new"]:
            self.world.change("undo", call, {plan["knob"]: plan["old"]})
        return None


class TurnBlind(Turn):
    """Cannot tell whether it was done."""

    name = "turn_blind"

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """No idea."""
        self.world.probed(call.key)
        return Probed.UNKNOWN


class TurnSlowly(Turn):
    """Is undone in two parts."""

    name = "turn_slowly"

    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        """Half of it, then the rest."""
        half = (plan["old"] + plan["new"]) / 2
        for value, then in ((plan["new"], half), (half, plan["old"])):
            if self.world.values[plan["knob"]] == value:
                self.world.change("undo", call, {plan["knob"]: then})
        return None


class TurnAndRaise(Turn):
    """Takes effect and then says that it failed; the others of the scenario are to be undone, and it too."""

    name = "turn_and_raise"

    def run(self, call: ActionCall, plan: Plan) -> Receipt | None:
        """Turn it, and raise."""
        super().run(call, plan)
        raise RuntimeError("the knob came off")


class TurnJammed(Turn):
    """Cannot be undone while the world is jammed."""

    name = "turn_jammed"

    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        """Turn it back, or raise."""
        if self.world.values["jammed"]:
            raise RuntimeError("jammed")
        return super().rollback(call, plan, receipt)


class Once(BaseAction):
    """Counts how many times it was done; nothing takes it back."""

    def __init__(self, world: World) -> None:
        self.world = world

    def run(self, call: ActionCall, plan: Plan) -> Receipt | None:
        """Do it once more."""
        self.world.change("run", call, {self.name: self.world.values.get(self.name, 0.0) + 1})
        return None

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """By what the world remembers."""
        self.world.probed(call.key)
        return Probed.DONE if self.world.ran(call.key) else Probed.NOT_DONE


class Flush(Once):
    """Irreversible, and harms nobody."""

    name = "flush"


class Restart(Once):
    """Irreversible, and harms."""

    name = "restart"
    destructive = True


class Wipe(Once):
    """Irreversible, harms, and cannot tell whether it was done."""

    name = "wipe"
    destructive = True

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """No idea."""
        self.world.probed(call.key)
        return Probed.UNKNOWN


class Note(Once):
    """Leaves nothing that would have to be undone."""

    name = "note"
    effect = Effect.NEUTRAL


def actions(world: World) -> ActionRegistry:
    """All of them."""
    kinds = (Turn, TurnBlind, TurnSlowly, TurnAndRaise, TurnJammed, Flush, Restart, Wipe, Note)
    return ActionRegistry([kind(world) for kind in kinds])


class DyingJournal(Journal):
    """Dies before, within and after each line; or has a disk that is full from some line on."""

    def __init__(self, path: Path, places: Places, full_from: int, clock: FakeClock) -> None:
        self.lines = 0
        self._places_to_die = places
        self.full_from = full_from
        super().__init__(path, clock=clock)

    def _write(self, line: bytes) -> None:
        kind = json.loads(line)["type"]
        self.lines += 1
        self._places_to_die.at(f"before {kind}")
        half = len(line) // 2
        os.write(self._fd, line[:half])
        if 0 < self.full_from <= self.lines:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._places_to_die.at(f"within {kind}")
        os.write(self._fd, line[half:])
        self._places_to_die.at(f"after {kind}")


class DyingStore(SQLiteStore):
    """Dies before and after the dormancy is written."""

    def __init__(self, path: Path, places: Places) -> None:
        super().__init__(path)
        self._places = places

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        """Write it."""
        self._places.at(f"before {key}")
        super().put(key, record)
        self._places.at(f"after {key}")


class Life:
    """An engine in this process, from its start on."""

    def __init__(self, request: Request) -> None:
        directory = Path(request["directory"])
        self.request = request
        self._observed = directory / "observed"
        self.places = Places(request.get("die_at", 0))
        self.clock = FakeClock(wall=request["wall"])
        self.world = World(directory, self.places)
        self.journal = DyingJournal(
            directory / "journal.jsonl", self.places, request.get("full_from", 0), clock=self.clock
        )
        events = EventBus()
        store = DyingStore(directory / "state.db", self.places)
        self.engine = StrategyEngine(
            strategies(request["scenario"]),
            levers={},
            actions=actions(self.world),
            journal=self.journal,
            flags=FeatureFlags(directory, environ={}),
            dormancy=DormantController(clock=self.clock, events=events, store=store),
            policies=Policies(protection=Protection(allowed=(TARGET,))),
            clock=self.clock,
            events=events,
            inline_actions=True,
            actions_per_hour=ACTIONS_PER_HOUR,
            failure_limit=FAILURE_LIMIT,
        )

    def live(self) -> dict[str, Any]:
        """Recover, look, let the world go on for a while, look again, and close."""
        if self.request.get("until_writing"):
            return self._observe()
        if self.request.get("release"):
            self._repair()
        was_dormant = self.engine.healer.dormancy.is_dormant
        recovered = attrs.asdict(self.engine.recover())
        first = self._look()
        while self.request.get("until_observed") and not self._observed.exists():
            time.sleep(0.002)
        for tick in range(self.request.get("ticks", 0)):
            if self.request.get("mended") and tick == self.request["ticks"] // 2:
                self.journal.full_from = 0
                self._repair()
            self.engine.observe("cpu", CPU[self.request["scenario"]](self.world.values), TARGET)
            self.engine.run_once()
            self.clock.advance(TICK)
            if "pause" in self.request:
                time.sleep(self.request["pause"])
        last = self._look()
        with contextlib.suppress(JournalError):  # its disk may be full
            self.engine.close()
        return {
            "was_dormant": was_dormant,
            "recovered": recovered,
            "first": first,
            "last": last,
            "places": self.places.passed,
        }

    def _observe(self) -> dict[str, Any]:
        """Observe until nobody else writes; then take over."""
        first = self._look()
        self._observed.touch()
        began = time.monotonic()
        while not self.journal.writing and time.monotonic() - began < 90:
            self.engine.observe("cpu", CPU[self.request["scenario"]](self.world.values), TARGET)
            self.engine.run_once()
            time.sleep(0.002)
        last = self._look()
        self.engine.close()
        return {"recovered": attrs.asdict(self.engine.recover()), "first": first, "last": last, "places": []}

    def _repair(self) -> None:
        """What a person does: loosens what is jammed, releases what is held, resumes."""
        state = self.world._load()
        self.world._save(state | {"values": state["values"] | {"jammed": 0.0}})
        self.engine.recover()
        for held in self.engine.snapshot().held:
            self.engine.release(held.target, by="maria", reason="looked at it")
        if self.engine.healer.dormancy.is_dormant:
            self.engine.healer.dormancy.resume("repaired", by="maria")

    def _look(self) -> dict[str, Any]:
        seen, healer = self.engine.snapshot(), self.engine.healer.snapshot()
        return {
            "observing": seen.observing,
            "actions_last_hour": seen.actions_last_hour,
            "attempts_last_hour": healer.attempts_last_hour,
            "failures": healer.consecutive_failures,
            "dormant": healer.is_dormant,
            "held": [held.target for held in seen.held],
            "under_way": dict(seen.under_way),
            "measures": [[measure.action, measure.undo_in] for measure in seen.measures],
            "refusals": [refused.guard for refused in self.engine.explain("hot", TARGET).refusals],
            "values": self.world.values,
        }


def serve(lines: Iterable[str]) -> None:
    """A life for each line. ``background`` answers at once with the process; ``wait`` waits for it."""
    _warm_up()
    gc.freeze()
    running: dict[int, int] = {}
    for line in lines:
        asked = json.loads(line)
        if "wait" in asked:
            told = _ended(asked["wait"], running.pop(asked["wait"]))
        else:
            pid, out = _begin(asked["life"])
            if asked.get("background"):
                running[pid] = out
                told = {"pid": pid}
            else:
                told = _ended(pid, out)
        print(json.dumps(told), flush=True)


def _warm_up() -> None:
    """Live once here, so that what is made at the first use need not be made in each child."""
    for scenario in LEVELS:
        with tempfile.TemporaryDirectory() as directory:
            Life(Request(directory=directory, scenario=scenario, wall=1_700_000_000.0, ticks=30)).live()


def _begin(request: Request) -> tuple[int, int]:
    out, into = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(out)
            text = json.dumps(Life(request).live()).encode()
            with os.fdopen(into, "wb") as pipe:
                pipe.write(text)
            code = 0
        except BaseException:
            logging.getLogger("crash_host").exception("a life ended in an error")
        finally:
            os._exit(code)
    os.close(into)
    return pid, out


def _ended(pid: int, out: int) -> dict[str, Any]:
    with os.fdopen(out, "rb") as pipe:
        text = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {"code": code, "seen": json.loads(text) if text else None}


if __name__ == "__main__":
    logging.basicConfig(level=logging.CRITICAL)
    logging.getLogger("crash_host").setLevel(logging.ERROR)
    serve(sys.stdin)

"""A small world for engines: settings to turn, targets that fall ill and get well, and everything in it recorded."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from selfheal.healing.actions import ActionCall, ActionRegistry, Effect, Plan, Probed, Skip
from selfheal.journal import Journal
from selfheal.testing import FakeClock

OK = "ok"
SKIP = "skip"
UNPLANNED = "unplanned"
RAISES = "raises"
HALF = "half"
LATE = "late"
LATE_FOR_NOTHING = "late_for_nothing"
STUCK = "stuck"
WORSE = "worse"
USELESS = "useless"
SWITCH_OFF = "switch_off"
DOZE = "doze"
KILLED = "killed"
CUT = "cut"
FATES = (
    OK,
    SKIP,
    UNPLANNED,
    RAISES,
    HALF,
    LATE,
    LATE_FOR_NOTHING,
    STUCK,
    WORSE,
    USELESS,
    SWITCH_OFF,
    DOZE,
    KILLED,
    CUT,
)
"""What becomes of a use of an action.

It helps; has nothing to do; cannot be planned; raises before it took effect, or after; is late, with or without
effect; takes effect and cannot be undone; makes things worse; changes nothing; somebody switches healing off, or sends
it to sleep, meanwhile; its process is killed before the effect, or after.
"""
EFFECTS = {"turn": "reversible", "pair": "reversible", "restart": "irreversible", "tell": "neutral"}
"""The actions there are."""
TIMEOUT = 20.0


class Killed(BaseException):
    """The process is gone, all at once."""


class Witness(Protocol):
    """Sees everything as it happens."""

    def entry(self, type: str, fields: dict[str, Any]) -> None:
        """An entry is in the journal."""

    def runs(self, call: ActionCall, targets: list[str], *, destructive: bool) -> None:
        """A lever is about to be pulled."""

    def undoes(self, call: ActionCall, plan: Plan) -> None:
        """A lever is about to be put back."""


class WatchedJournal(Journal):
    """A journal whose entries are seen by a witness, whose disk may be full, and whose process may be killed."""

    faults = 0

    def __init__(self, path: Path, world: World, witness: Callable[[str, dict[str, Any]], None]) -> None:
        self.world = world
        self.witness = witness
        super().__init__(path, clock=world.clock, sync="never")

    def append(self, type: str, /, *, sync: bool = False, **fields: Any) -> Any:
        with self.world.lives():
            entry = super().append(type, sync=sync, **fields)
            self.witness(type, dict(entry.fields))
            return entry

    def _write(self, line: bytes) -> None:
        if self.faults:
            self.faults -= 1
            os.write(self._fd, line[: len(line) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        super()._write(line)

    def kill(self) -> None:
        """Let go of it as the end of a process does: without a word."""
        with self._lock:
            self._closed = True
            self._let_go()


class World:
    """What the actions of engines act on.

    Args:
        fates: what becomes of each use of an action, in order, over and over.
        metrics: that targets have.
    """

    def __init__(self, fates: Iterable[str] = (OK,), metrics: Iterable[str] = ()) -> None:
        self.clock = FakeClock()
        self.settings: dict[str, int] = {}
        self.receipts: set[str] = set()
        self.ill: dict[tuple[str, str], float] = {}
        self.metrics = tuple(metrics)
        self.alive = True
        self.calls: list[tuple[str, str, str]] = []
        self.witness: Witness | None = None
        self.switch_off: Callable[[], object] = lambda: None
        self.doze: Callable[[], object] = lambda: None
        self._fates = itertools.cycle(list(fates))
        self._stuck: set[str] = set()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._life = threading.RLock()

    def actions(self) -> ActionRegistry:
        """The four actions, all acting on this world."""
        registry = ActionRegistry()
        for name, effect in EFFECTS.items():
            declared = registry.action(name, effect=Effect(effect), destructive=name == "restart", timeout=TIMEOUT)(
                self._runner(name)
            )
            declared.plan(self._planner(name))
            declared.rollback(self._undo)
            declared.probe(self._probe)
            declared.verify(
                lambda call, plan, receipt: all(self.settings.get(t, 0) >= plan["new"] for t in plan["targets"])
            )
        return registry

    def _planner(self, name: str) -> Callable[[ActionCall], Plan | Skip]:
        def plan(call: ActionCall) -> Plan | Skip:
            with self._lock:
                fate, new = next(self._fates), next(self._numbers)
            if fate == SKIP:
                return Skip("nothing to do")
            if fate == UNPLANNED:
                raise RuntimeError("cannot be planned")
            targets = [call.target, f"{call.target}-twin"] if name == "pair" else [call.target]
            old = {target: self.settings.get(target, 0) for target in targets}
            return {"old": old, "new": new, "targets": targets, "fate": fate}

        return plan

    def _runner(self, name: str) -> Callable[[ActionCall, Plan], Any]:
        def run(call: ActionCall, plan: Plan) -> Any:
            fate = plan["fate"]
            with self.lives():
                self.calls.append(("run", call.key, call.target))
                if self.witness is not None:
                    self.witness.runs(call, list(plan["targets"]), destructive=name == "restart")
            if fate == RAISES:
                raise RuntimeError("refused by the lever")
            if fate == LATE_FOR_NOTHING:
                self.clock.advance(TIMEOUT + 1.0)
                return None
            if fate == KILLED:
                self.kill()
            self._take_effect(call, plan, fate)
            return {"set": plan["new"]}

        return run

    def _take_effect(self, call: ActionCall, plan: Plan, fate: str) -> None:
        with self.lives():
            self.settings.update(dict.fromkeys(plan["targets"], plan["new"]))
            self.receipts.add(call.key)
        if fate == CUT:
            self.kill()
        if fate == STUCK:
            self._stuck.add(call.key)
        elif fate == WORSE:
            self._move(call.target, 1.3)
        elif fate != USELESS:
            self._move(call.target, 0.0)
        if fate == HALF:
            raise RuntimeError("broke off after it took effect")
        if fate == LATE:
            self.clock.advance(TIMEOUT + 1.0)
        if fate == SWITCH_OFF:
            self.switch_off()
        if fate == DOZE:
            self.doze()

    def _move(self, target: str, factor: float) -> None:
        for metric in self.metrics:
            if (metric, target) in self.ill:
                if factor:
                    self.ill[metric, target] = min(100.0, self.ill[metric, target] * factor)
                else:
                    del self.ill[metric, target]

    def _probe(self, call: ActionCall, plan: Plan) -> Probed:
        with self.lives():
            probed = Probed.DONE if call.key in self.receipts else Probed.NOT_DONE
        if plan["new"] % 4 == 0:
            return Probed.UNKNOWN
        return probed

    def _undo(self, call: ActionCall, plan: Plan, receipt: Any) -> None:
        with self.lives():
            self.calls.append(("undo", call.key, call.target))
            if self.witness is not None:
                self.witness.undoes(call, plan)
        if call.key in self._stuck:
            raise RuntimeError("cannot be put back")
        for target, old in plan["old"].items():
            if self.settings.get(target) == plan["new"]:
                self.settings[target] = old

    def kill(self) -> None:
        """End the process."""
        with self._life:
            self.alive = False
        raise Killed

    @contextlib.contextmanager
    def lives(self) -> Iterator[None]:
        """Something that the process does while it lives: all of it, or nothing."""
        with self._life:
            if not self.alive:
                raise Killed
            yield

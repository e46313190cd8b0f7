"""An observer of engines that trusts nothing they say: it reads the journal as it grows, and sees each lever pulled."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

from selfheal.healing.actions import ActionCall, Plan
from selfheal.healing.records import FOR_ALL, HealingRecord, Outcome
from selfheal.policies.approvals import Approval
from selfheal.policies.protection import Protection
from tests.healing.engine.moments import Moment, Run, Time
from tests.healing.engine.scenarios import Scenario
from tests.healing.engine.world import EFFECTS, World


class Witness:
    """Checks everything that must never be otherwise.

    Args:
        scenario: what the engines are made of.
        world: what they act on.
    """

    def __init__(self, scenario: Scenario, world: World) -> None:
        self.scenario = scenario
        self.world = world
        self.protection = Protection(denied=scenario.denied, allowed=scenario.allowed)
        self.dry = scenario.mode == "dry_run"
        beside = scenario.options["concurrency"] > 1  # others that are late hold up the first entry of a healing
        self.time = Time(world.clock, slack=100.0 if beside else 0.01)
        self.flags_on = True
        self.dormant = False
        self.stood_since = 0.0
        self.closed = False
        self.runs_by_id: dict[str, Run] = {}
        self.intents: set[str] = set()
        self.ran: set[str] = set()
        self.acted: deque[Moment] = deque(maxlen=1000)
        self.began: dict[tuple[str, str], deque[Moment]] = {}
        self.approved: set[tuple[str, str, str]] = set()
        self.using: set[tuple[str, str, str]] = set()
        self.silences: list[tuple[str, float, float, float]] = []
        self.open_kinds: dict[tuple[str, str], float] = {}
        self.held: set[str] = set()
        self.samples: dict[tuple[str, str], deque[tuple[float, float]]] = {}
        self.failures = 0
        self.written_failures = 0
        self.healed = 0
        self.counts: dict[str, int] = {}
        self.last_word: dict[str, float] = {}
        self.for_all = 0.0
        self.violation: BaseException | None = None
        self._lock = threading.RLock()

    # What happens to the process and its surroundings.

    def boots(self) -> None:
        """A process begins."""
        self.time.boots()
        self.closed = False

    def observed(self, metric: str, value: float, target: str) -> None:
        """A sample was handed to the engine."""
        self.samples.setdefault((metric, target), deque(maxlen=200)).append((self.world.clock.monotonic(), value))

    def fault(self) -> None:
        """An entry could not be written: healings that are open may end without a last word."""
        with self._lock:
            for run in self.open_runs():
                run.broken = True

    def fault_is_near(self) -> None:
        """The next entry cannot be written."""
        self.fault()

    def ends(self) -> None:
        """A process ended: the next one knows of what is raised to it, and of what is in the journal."""
        self.open_kinds.clear()
        self.failures = self.written_failures

    def decided(self, approval: Approval, approved: bool) -> None:
        """A person decided, whether it can be written or not."""
        key = (approval.strategy, approval.target, approval.level)
        if approved:
            self.approved.add(key)
        else:
            self.approved.discard(key)

    def open_runs(self) -> list[Run]:
        """Those that have not ended."""
        return [run for run in self.runs_by_id.values() if not run.ended]

    # What the journal says.

    def entry(self, type: str, fields: dict[str, Any]) -> None:
        """Check an entry against all before it."""
        with self._watching():
            self.counts[type] = self.counts.get(type, 0) + 1
            check = getattr(self, f"_{type}", None)
            if check is not None:
                check(fields)

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        """Keep what is wrong: whoever is checked takes the error for one of its own, and goes on."""
        with self._lock:
            try:
                yield
            except (AssertionError, LookupError) as error:
                self.violation = self.violation or error
                raise

    def _stands(self, what: str) -> None:
        assert self.world.alive, f"{what} in a process that was killed"
        assert not self.closed, f"{what} after the end"
        beside = self.scenario.options["concurrency"] > 1  # another healing may have been past its last look already
        if not (beside and self.world.clock.monotonic() - self.stood_since < 60.0):
            assert self.flags_on, f"{what} while the flag is off"
            assert not self.dormant, f"{what} while dormant"

    def _healing_started(self, f: dict[str, Any]) -> None:
        self._stands("a healing began")
        strategy, target = f["strategy"], f["target"]
        assert f["mode"] == self.scenario.mode
        assert self.protection.check(target, False) is None, "a protected target is healed"
        assert target not in self.held, "a held target is healed"
        for other in self.open_runs():
            assert other.broken or target not in other.touched, f"two healings hold {target!r}"
        self._paced(strategy, target, f)
        wall = self.world.clock.wall()
        for silent, start, end, over in self.silences:
            lasts = start <= wall < end and self.world.clock.monotonic() < over
            assert silent != target or not lasts, f"a silenced target is healed: {silent}"
        if self.scenario.inhibited and f["alert"]["kind"] == "flood":
            raised = self.open_kinds.get(("fire", target))
            assert raised is None or self.world.clock.monotonic() - raised > 300.0, "an inhibited alert is answered"
        fixed = {step["target"] for step in self._steps_of(strategy) if "target" in step}
        self.runs_by_id[f["run"]] = Run(
            f["run"], strategy, target, self.time.process, {target, *fixed}, kind=f["alert"]["kind"]
        )

    def _steps_of(self, strategy: str) -> list[dict[str, Any]]:
        return [step for level in self.scenario.spec(strategy)["levels"] for step in level["actions"]]

    def _paced(self, strategy: str, target: str, f: dict[str, Any]) -> None:
        spec = self.scenario.spec(strategy)
        began = self.began.setdefault((strategy, target), deque(maxlen=1000))
        recent = self.time.recent(began)
        goes_on = any(key[:2] == (strategy, target) for key in self.approved)
        assert len(recent) < spec["max_attempts_per_hour"], f"{strategy} on {target!r} began too often in an hour"
        if began and not goes_on:
            assert self.time.age(began[-1]) + self.time.slack >= spec["grace_period"], (
                f"{strategy} on {target!r} in its grace period"
            )
        began.append(self.time.now())

    def _level_started(self, f: dict[str, Any]) -> None:
        run = self.runs_by_id[f["run"]]
        level = next(one for one in self.scenario.spec(run.strategy)["levels"] if one["level"] == f["level"])
        asks = level.get("approval", f["level"] == "critical" and not self.scenario.options["auto_critical"])
        if asks and not self.dry:
            key = (run.strategy, run.target, f["level"])
            assert key in self.using, f"level {f['level']} began without leave"
            self.using.discard(key)

    def _dormancy_left(self, f: dict[str, Any]) -> None:
        self.written_failures = 0

    def _approval(self, f: dict[str, Any]) -> None:
        approval = f["approval"]
        key = (approval["strategy"], approval["target"], approval["level"])
        if approval["state"] == "used":
            assert key in self.approved, "what nobody approved is used"
            self.using.add(key)
        if approval["state"] == "approved":
            self.approved.add(key)
        else:
            self.approved.discard(key)

    def _action_intent(self, f: dict[str, Any]) -> None:
        self._stands("an action began")
        run = self.runs_by_id[f["run"]]
        assert not run.ended, "an action of a healing that has ended"
        assert f["key"] not in self.intents, "an action is begun twice"
        self.intents.add(f["key"])
        run.steps[f["step"]] = "intended"
        run.actions[f["step"]] = f["action"]
        run.touched |= set(f["plan"]["targets"])
        most = self.scenario.options["actions_per_hour"]
        assert len(self.time.recent(self.acted)) < most, f"more than {most} actions began in an hour"
        self.acted.append(self.time.now())
        run.acted_at = self.world.clock.monotonic()

    def _action_done(self, f: dict[str, Any]) -> None:
        run = self.runs_by_id[f["run"]]
        assert run.steps[f["step"]] in ("intended", "in_doubt"), "done without an intent"
        run.steps[f["step"]] = "done"
        run.acted_at = self.world.clock.monotonic()

    def _action_failed(self, f: dict[str, Any]) -> None:
        run = self.runs_by_id[f["run"]]
        if "action" in f:
            assert f"{f['run']}:{f['step']}" not in self.intents
            return
        assert run.steps[f["step"]] in ("intended", "in_doubt"), "failed without an intent"
        run.steps[f["step"]] = "in_doubt" if f["in_doubt"] else "failed"

    def _silence_added(self, f: dict[str, Any]) -> None:
        silence = f["silence"]
        now = self.world.clock.monotonic()
        self.silences = [one for one in self.silences if one[2] > self.world.clock.wall() and one[3] > now]
        lasts = silence["ends_at"] - silence["starts_at"]
        self.silences.append((silence["match"]["target"], silence["starts_at"], silence["ends_at"], now + lasts))

    def _target_held(self, f: dict[str, Any]) -> None:
        self.held.add(f["target"])

    def _target_released(self, f: dict[str, Any]) -> None:
        self.held.discard(f["target"])

    def _verified(self, f: dict[str, Any]) -> None:
        self.runs_by_id[f["run"]].verdict = f["verdict"]

    def _rollback_intent(self, f: dict[str, Any]) -> None:
        run = self.runs_by_id[f["run"]]
        step = f["step"]
        assert EFFECTS[run.actions[step]] == "reversible"
        assert run.steps[step] not in ("failed", "skipped"), "what took no effect is undone"
        assert step not in run.undone, "an action is undone twice"
        if not run.ended:
            if run.process != self.time.process:
                self._stands("what a process before this one did was undone")
            if not run.order or run.process != self.time.process:
                run.process = self.time.process
                run.order = []
                run.to_undo = [
                    number
                    for number in sorted(run.steps, reverse=True)
                    if run.steps[number] in ("intended", "in_doubt", "done")
                    and EFFECTS[run.actions[number]] == "reversible"
                    and number not in run.undone
                ]
            run.order.append(step)
            assert run.order == run.to_undo[: len(run.order)], f"undone as {run.order}, and not as {run.to_undo}"
        run.undoing.append(step)

    def _rollback_done(self, f: dict[str, Any]) -> None:
        self.runs_by_id[f["run"]].undone.add(f["step"])

    def _healing_finished(self, f: dict[str, Any]) -> None:
        run = self.runs_by_id[f["run"]]
        assert not run.ended, "a healing ends twice"
        run.ended = True
        if f["outcome"] == "failed":
            self.written_failures += 1
        elif f["outcome"] == "healed":
            self.written_failures = 0
        assert f["success"] == (f["outcome"] == "healed")
        assert f["reason"]
        if self.dry:
            assert not f["success"]
            assert f["outcome"] in ("planned", "failed", "interrupted"), f["outcome"]
            assert f["actions_executed"] == 0
        if f["outcome"] == "interrupted" and not f["guard"] and self.scenario.spec(run.strategy)["rollback"]:
            assert run.in_force <= set(run.undoing), "what a killed process did was not undone"
        if run.order and not run.broken:
            assert run.order == run.to_undo, f"of {run.to_undo} only {run.order} were undone"
        if f["success"]:
            self.healed += 1
            assert run.verdict == "fixed", "healed without a verdict"
            self._really_fixed(run)
        elif f["outcome"] == "failed" and self._was_to_be_undone(run, f):
            assert run.order, f"{f['reason']}: nothing was undone"

    def _was_to_be_undone(self, run: Run, f: dict[str, Any]) -> bool:
        """Whether things got worse with something in force that can be put back."""
        return bool(run.in_force) and run.verdict == "worse" and bool(self.scenario.spec(run.strategy)["rollback"])

    def _really_fixed(self, run: Run) -> None:
        spec = self.scenario.spec(run.strategy)
        if spec["verify"]["by"] == "condition":
            metric, needed = spec["trigger"].split()[0], spec["verify"]["samples"]
            newer = [value for at, value in self.samples.get((metric, run.target), ()) if at > run.acted_at]
            assert len(newer) >= needed, f"healed by {len(newer)} new samples of {needed}"
            latest = sorted(newer[-needed:])
            assert latest[(needed - 1) // 2] <= 70.0, f"healed, at {latest}"
        elif spec["verify"]["by"] == "actions":
            assert "done" in run.steps.values()
        elif spec["verify"]["by"] == "alert":
            assert (run.kind, run.target) not in self.open_kinds, "healed, and the alert was never cleared"

    # What happens at the levers.

    def runs(self, call: ActionCall, targets: list[str], *, destructive: bool) -> None:
        """A lever is about to be pulled."""
        with self._watching():
            assert not self.dry, "a dry run touches something"
            self._stands("a lever was pulled")
            assert call.key in self.intents, "a lever is pulled without an intent"
            assert call.key not in self.ran, "a lever is pulled twice"
            self.ran.add(call.key)
            for target in targets:
                why = self.protection.check(target, destructive)
                assert why is None, f"a protected target is touched: {why}"
                assert target not in self.held, f"a held target is touched: {target}"
            self._alone(call.key, targets)

    def undoes(self, call: ActionCall, plan: Plan) -> None:
        """A lever is about to be put back."""
        with self._watching():
            assert not self.dry, "a dry run undoes something"
            run, _, step = call.key.partition(":")
            told = self.runs_by_id[run]
            assert int(step) in told.undoing, "undone without an intent"
            assert int(step) not in told.undone, "undone twice"
            if told.ended:
                self._stands("a measure was undone")
            for target in plan["targets"]:
                assert self.protection.check(target, False) is None, "a protected target is touched by an undo"
            self._alone(call.key, list(plan["targets"]))

    def _alone(self, key: str, targets: list[str]) -> None:
        run = key.partition(":")[0]
        for other in self.open_runs():
            if other.run != run and not other.broken and other.process == self.time.process:
                assert not other.touched & set(targets), f"two healings act on {other.touched & set(targets)}"

    # What comes back.

    def records(self, records: list[HealingRecord]) -> None:
        """Check what a look brought."""
        if self.violation is not None:
            raise self.violation
        now = self.world.clock.monotonic()
        for record in records:
            self.last_word[record.alert.fingerprint] = now
            if record.outcome is Outcome.REFUSED:
                assert record.guard, "a refusal without a guard"
                assert record.reason, "a refusal without a reason"
                if record.guard in FOR_ALL:
                    self.for_all = now
            assert not (self.dry and record.outcome is Outcome.HEALED)
            if record.outcome is Outcome.FAILED:
                self.failures += 1
            elif record.outcome is Outcome.HEALED:
                self.failures = 0

"""Engines, one process after the other, on a clock that moves as far as it can before something may happen."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from selfheal.errors import JournalError, SelfhealError
from selfheal.events import Alert, ClockJumped, DormancyEntered, DormancyLeft, Event, EventBus
from selfheal.healing.engine import Policies, StrategyEngine
from selfheal.healing.records import HealingRecord, Outcome
from selfheal.healing.strategies import StrategySet
from selfheal.policies.blast_radius import BlastRadius
from selfheal.policies.dormancy import DormantController
from selfheal.policies.flags import AUTO_HEALING, FeatureFlags
from selfheal.policies.inhibition import Inhibition, InhibitionRule
from selfheal.policies.matching import AlertMatch
from selfheal.state import MemoryStore
from tests.healing.engine.moments import HOUR
from tests.healing.engine.scenarios import FAULTS, METRICS, TARGETS, Op, Scenario
from tests.healing.engine.witness import Witness
from tests.healing.engine.world import Killed, WatchedJournal, World

_UNANSWERED = 6 * HOUR
"""Seconds after which an alert must have been answered, or refused with a reason."""

_DOWN = 600.0
"""Seconds until a process that was killed is followed by the next one."""


class Simulation:
    """A scenario, played.

    Args:
        scenario: what the engine is made of.
        path: of the journal.
    """

    def __init__(self, scenario: Scenario, path: Path) -> None:
        self.scenario = scenario
        self.path = path
        self.world = World(scenario.fates, METRICS)
        self.witness = Witness(scenario, self.world)
        self.world.witness = self.witness
        self.world.switch_off = lambda: self._flag(on=False)
        self.world.doze = lambda: self.engine.healer.dormancy.enter("a person says so", "manual")
        self.environ: dict[str, str] = {}
        self.store = MemoryStore()
        self.silent: set[str] = set()
        self.metrics = [metric for metric in METRICS if metric in str((scenario.strategies, scenario.others))]
        self.raised: dict[str, float] = {}
        self.healings = 0
        self.looks = 0
        self.running = 0
        self.began_at = self.world.clock.monotonic()
        self.engine, self.journal = self._boot()

    @property
    def hours(self) -> float:
        """Simulated so far."""
        return (self.world.clock.monotonic() - self.began_at) / HOUR

    def play(self, ops: Iterable[Op]) -> None:
        """Let all of it happen."""
        for op in ops:
            self._guarded(lambda op=op: self._do(op))
            self._pass(op.seconds)

    def end(self) -> None:
        """Put everything right, let things calm down, and see that nothing is left over."""
        if not self.world.alive or self.witness.closed:
            self._reboot()
        self.journal.faults = 0
        self._flag(on=True)
        self._guarded(self._resume)
        self._pass(600.0)
        if self.engine.healer.standing() is None and self.world.alive:
            mine = [
                run
                for run in self.witness.open_runs()
                if run.process != self.witness.time.process and not self.witness.dry
            ]
            assert not mine, "a healing of a process before this one was never ended"
        self._guarded(lambda: self.engine.close("the end"))
        self.journal.kill()

    # Processes.

    def _boot(self) -> tuple[StrategyEngine, WatchedJournal]:
        self.world.alive = True
        self.witness.boots()
        events, clock, scenario = EventBus(), self.world.clock, self.scenario
        events.subscribe(self._hear, DormancyEntered, DormancyLeft, inline=True)
        self.journal = WatchedJournal(self.path, self.world, self.witness.entry)
        store = self.store if scenario.keeps_dormancy else None
        dormancy = DormantController(clock=clock, events=events, store=store)
        self.witness.dormant = dormancy.is_dormant
        rule = InhibitionRule(
            name="cause", source=AlertMatch(kind="fire"), target=AlertMatch(kind="flood"), equal=["target"]
        )
        most = scenario.most_unhealthy
        self.events = events
        self.engine = StrategyEngine(
            StrategySet.from_data({"version": 1, "strategies": scenario.strategies}),
            levers={},
            actions=self.world.actions(),
            journal=self.journal,
            flags=FeatureFlags("/nonexistent", environ=self.environ),
            dormancy=dormancy,
            policies=Policies(
                protection=self.witness.protection,
                inhibition=Inhibition(rules=[rule] if scenario.inhibited else []),
                blast_radius=None if most is None else BlastRadius(max_unhealthy=most, at_least=1),
            ),
            mode=scenario.mode,
            clock=clock,
            events=events,
            inline_actions=True,
            **scenario.options,
        )
        self.engine.recover()  # at once, so that it is known when the journal was read
        return self.engine, self.journal

    def _reboot(self) -> None:
        self.journal.kill()
        self.raised.clear()
        self.witness.ends()
        self.engine, self.journal = self._boot()

    def _hear(self, event: Event) -> None:
        self.witness.dormant = isinstance(event, DormancyEntered)
        self.witness.stood_since = self.world.clock.monotonic()

    def _guarded(self, what: Any) -> Any:
        """Do something in the process, which may end of it; then the next one begins."""
        try:
            return what()
        except Killed:
            self.world.alive = False
            patience = 1 if self.witness.time.process < 20 else 12  # nobody restarts for ever at that pace
            self.world.clock.advance(patience * _DOWN)
            self._reboot()
            return None

    # Time.

    def _pass(self, seconds: float) -> None:
        clock = self.world.clock
        end = clock.monotonic() + seconds
        while True:
            self._guarded(self._look)
            left = end - clock.monotonic()
            if left <= 0:
                return
            clock.advance(min(left, self._stride()))

    def _stride(self) -> float:
        """Seconds until something may happen."""
        if self.running:
            return 10.0
        if self.witness.dormant or not self.witness.flags_on or not (self.world.ill or self.raised):
            return 3600.0
        return 290.0 if self.scenario.options["stale_after"] < 600.0 else 590.0

    def _look(self) -> None:
        world, engine = self.world, self.engine
        for metric in (one for one in self.metrics if one not in self.silent):
            for target in TARGETS:
                value = world.ill.get((metric, target), 40.0)
                self.witness.observed(metric, value, target)
                engine.observe(metric, value, target)
        for fingerprint in list(self.raised):
            kind, target = fingerprint.split("@")
            self._raise(kind, target)
        records = engine.run_once()
        self._check(records)

    def _check(self, records: list[HealingRecord]) -> None:
        self.witness.records(records)
        healer, snapshot = self.engine.healer, self.engine.healer.snapshot()
        self.looks, self.running = self.looks + 1, snapshot.running
        self.healings += sum(record.outcome is not Outcome.REFUSED for record in records)
        if any(record.outcome is Outcome.FAILED for record in records):
            many = max(self.witness.failures - self.scenario.options["concurrency"], snapshot.consecutive_failures)
            assert healer.dormancy.is_dormant or many < healer.failure_limit, f"awake after {many} failures in a row"
        assert snapshot.pending <= healer.config.pending_limit
        assert snapshot.attempts_last_hour <= snapshot.max_attempts_per_hour
        if self.looks % 8 == 0:
            self._bounded()
            self._all_answered()

    def _bounded(self) -> None:
        """Nothing that is kept grows with time."""
        seen, strategies = self.engine.snapshot(), len(self.scenario.strategies) + len(self.scenario.others)
        assert len(self.engine.history) <= 2 * self.engine.healer.config.history_limit
        assert seen.open_alerts <= len(TARGETS) * (strategies + len(FAULTS))
        assert seen.queued <= len(TARGETS) * strategies
        assert len(seen.approvals) <= len(TARGETS) * 3 * strategies
        assert len(seen.measures) <= 24 * self.scenario.options["actions_per_hour"]
        assert len(seen.under_way) <= 3 * len(TARGETS)

    def _all_answered(self) -> None:
        now, witness = self.world.clock.monotonic(), self.witness
        if witness.dormant or not witness.flags_on:
            witness.for_all = now
        waiting = {alert.fingerprint for alert in self.engine.open_alerts}
        for fingerprint in waiting - witness.last_word.keys():
            witness.last_word[fingerprint] = now
        for fingerprint in witness.last_word.keys() - waiting:
            del witness.last_word[fingerprint]
        if self.scenario.options["pending_limit"] < 100:
            return  # what was not taken is counted as dropped
        for fingerprint in waiting:
            word = max(witness.last_word[fingerprint], witness.for_all)
            assert now - word <= _UNANSWERED or self.engine.healer.heals(fingerprint), f"{fingerprint} waits for ever"

    # What happens.

    def _do(self, op: Op) -> None:
        getattr(self, f"_do_{op.kind}")(op)

    def _do_wait(self, op: Op) -> None:
        """Nothing."""

    def _do_ill(self, op: Op) -> None:
        self.world.ill[op.metric, op.target] = 82.0 + 2.0 * op.number

    def _do_well(self, op: Op) -> None:
        self.world.ill.pop((op.metric, op.target), None)

    def _do_silent(self, op: Op) -> None:
        self.silent ^= {op.metric}

    def _do_raise(self, op: Op) -> None:
        self._raise(FAULTS[op.number % len(FAULTS)], op.target)

    def _raise(self, kind: str, target: str) -> None:
        alert = Alert(kind=kind, target=target, at=self.world.clock.wall(), fingerprint=f"{kind}@{target}")
        self.raised[alert.fingerprint] = self.world.clock.monotonic()
        self.witness.open_kinds[kind, target] = self.world.clock.monotonic()
        self.engine.submit(alert)

    def _do_clear(self, op: Op) -> None:
        kind = FAULTS[op.number % len(FAULTS)]
        self.raised.pop(f"{kind}@{op.target}", None)
        self.witness.open_kinds.pop((kind, op.target), None)
        self.engine.clear(f"{kind}@{op.target}")

    def _do_approve(self, op: Op) -> None:
        self._decide(op, self.engine.approve)

    def _do_deny(self, op: Op) -> None:
        self._decide(op, self.engine.deny)

    def _decide(self, op: Op, say: Any) -> None:
        pending = [one for one in self.engine.snapshot().approvals if one.state == "pending"]
        if pending:
            one = pending[op.number % len(pending)]
            self.witness.decided(one, say == self.engine.approve)
            say(one.id, by="maria", reason="looked at it")

    def _flag(self, *, on: bool) -> None:
        self.environ[AUTO_HEALING] = "true" if on else "off"
        self.witness.flags_on = on
        self.witness.stood_since = self.world.clock.monotonic()

    def _do_flag_off(self, op: Op) -> None:
        self._flag(on=False)

    def _do_flag_on(self, op: Op) -> None:
        self._flag(on=True)

    def _do_sleep(self, op: Op) -> None:
        self.engine.healer.dormancy.enter("a person says so", "manual")

    def _do_resume(self, op: Op) -> None:
        self._resume()

    def _resume(self) -> None:
        if self.engine.healer.dormancy.resume("looked at it", by="maria"):
            self.witness.failures = 0
            if self.scenario.keeps_dormancy:
                self.witness.written_failures = 0

    def _do_jump(self, op: Op) -> None:
        self.world.clock.jump((-7200.0, -300.0, -5.0, 5.0, 300.0, 3600.0, 7200.0, 86400.0)[op.number])

    def _do_tell_jump(self, op: Op) -> None:
        self.events.publish(ClockJumped(at=self.world.clock.wall(), seconds=5.0))

    def _do_kill(self, op: Op) -> None:
        self.world.kill()

    def _do_close(self, op: Op) -> None:
        try:
            self.engine.close("a new version")
        except JournalError:
            self.witness.fault()
        self.witness.closed = True
        self._reboot()

    def _do_full(self, op: Op) -> None:
        self.journal.faults = 1 + op.number % 3
        self.witness.fault_is_near()

    def _do_silence(self, op: Op) -> None:
        seconds = 600.0 * (1 + op.number)
        try:
            self.engine.silence({"target": op.target}, duration=seconds, by="maria", reason="new disk")
        except JournalError:
            self.witness.fault()

    def _do_release(self, op: Op) -> None:
        held = self.engine.snapshot().held
        if held:
            target = held[op.number % len(held)].target
            self.witness.held.discard(target)
            try:
                self.engine.release(target, by="maria", reason="looked at it")
            except JournalError:
                self.witness.fault()

    def _do_schedule(self, op: Op) -> None:
        names = self.engine.strategies.names
        name = names[op.number % len(names)]
        try:
            self.engine.schedule(name, op.target, after=60.0 * op.number, priority=op.number)
        except SelfhealError as error:
            raise AssertionError(f"a healing could not be scheduled: {error}") from error

    def _do_swap(self, op: Op) -> None:
        chosen = self.scenario.others if op.number % 2 else self.scenario.strategies
        self.engine.use(StrategySet.from_data({"version": 1, "strategies": chosen}))

"""What is done to the processes: faults, nothing at all, and what looks like a fault and is none."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import attrs

from selfheal.conditions import parse
from selfheal.detection.rules import CpuSpikeRule, LatencyRule, LeakRule, ProcessRule, RuleSpec
from selfheal.detection.rules.loading import DEFAULT_RULES

if TYPE_CHECKING:
    from benchmarks.drill_detect.stage import Stage

HOUR = 3600.0
MIB = 2.0**20

Script = Callable[["Stage", random.Random], Iterator[float]]
"""Does something, and answers with the seconds of the monitor to wait until it goes on."""


@attrs.frozen(kw_only=True)
class Settings:
    """What may be set, so that the drill says something on a machine that is busy with other things too.

    Args:
        cpu: percent of a CPU above which a process is a spike.
        hold: seconds of the monitor for which it has to be.
        latency_ms: 95th percentile above which an endpoint is slow.
        speeds: how many seconds of the monitor a real one has, for CPU, for signs of life and requests, for memory.
    """

    cpu: float = 80.0
    hold: float = 300.0
    latency_ms: float = 500.0
    speeds: tuple[float, float, float] = (30.0, 10.0, 7200.0)

    @property
    def rules(self) -> tuple[RuleSpec, ...]:
        """The rules that ship; CPU is that of each process, not of the machine."""
        spike = parse(f"process_cpu_percent > {self.cpu:g} for {self.hold:g}s clear {self.cpu * 0.875:g}")
        slow = parse(f"latency_ms_p95 > {self.latency_ms:g} for 1m clear {self.latency_ms * 0.8:g}")
        changed: dict[type, RuleSpec] = {
            CpuSpikeRule: CpuSpikeRule(condition=spike),
            LatencyRule: LatencyRule(condition=slow),
        }
        return tuple(changed.get(type(rule), rule) for rule in DEFAULT_RULES)


@attrs.frozen(kw_only=True)
class Pace:
    """How a run goes by.

    Args:
        speed: seconds of the monitor in a real one.
        every: seconds of the monitor between two readings.
        lead: seconds of the monitor before anything is done: from, to.
        length: seconds of the monitor after that.
        rules: by which is judged.
        alive: whether signs of life and requests are looked at.
    """

    speed: float
    every: float
    lead: tuple[float, float]
    length: float
    rules: tuple[RuleSpec, ...]
    alive: bool = True


@attrs.frozen(kw_only=True)
class Case:
    """One kind of run.

    Args:
        key: its name on the command line.
        words: what is done.
        kind: of the alert that has to come, about the process that it was done to; empty: none may come.
        pace: how it goes by.
        script: does it.
        hogs: whether it needs a CPU for itself.
        quiet: whether nothing at all is done.
    """

    key: str
    words: str
    kind: str = ""
    pace: Pace
    script: Script
    hogs: bool = False
    quiet: bool = False


def cases(settings: Settings) -> Sequence[Case]:
    """All kinds of runs: faults, then the same with nothing done, then what is no fault."""
    of_cpu, of_life, of_memory = settings.speeds
    rules = settings.rules
    of_leaks = tuple(rule for rule in rules if isinstance(rule, LeakRule))
    cpu = Pace(speed=of_cpu, every=10.0, lead=(30.0, 60.0), length=settings.hold + 120.0, rules=rules)
    life = Pace(speed=of_life, every=10.0, lead=(30.0, 60.0), length=150.0, rules=rules)
    memory = Pace(speed=of_memory, every=300.0, lead=(HOUR, 4 * HOUR), length=30 * HOUR, rules=of_leaks, alive=False)
    slow = slow_endpoint(settings.latency_ms / 1000.0)
    return (
        Case(key="hog", words="CPU hog", kind="cpu_spike", pace=cpu, script=hog, hogs=True),
        Case(key="leak", words="leaking worker", kind="memory_leak", pace=memory, script=leak),
        Case(key="stop", words="stopped (SIGSTOP)", kind="process_unresponsive", pace=life, script=stopped),
        Case(key="slow", words="slow endpoint", kind="high_latency", pace=life, script=slow),
        Case(key="quiet-cpu", words="nothing, as for the CPU hog", pace=cpu, script=nothing, quiet=True),
        Case(key="quiet-memory", words="nothing, as for the leak", pace=memory, script=nothing, quiet=True),
        Case(key="quiet-life", words="nothing, as for the other two", pace=life, script=nothing, quiet=True),
        Case(key="burst", words="CPU burst, too short", pace=cpu, script=burst(settings.hold), hogs=True),
        Case(key="cache", words="cache warming up", pace=memory, script=warming(of_memory)),
        Case(key="mute", words="pause of heartbeats, too short", pace=life, script=mute),
        Case(key="once", words="one slow request in 60 s", pace=life, script=slow_once(settings.latency_ms / 1000.0)),
    )


def nothing(stage: Stage, rng: random.Random) -> Iterator[float]:
    """Let it run."""
    stage.begins()
    yield 0.0


def hog(stage: Stage, rng: random.Random) -> Iterator[float]:
    """Use a whole CPU, from now on."""
    yield from stage.wait_for_cpu()
    stage.hogs()


def leak(stage: Stage, rng: random.Random) -> Iterator[float]:
    """Keep 0.5 to 2 MiB an hour of the monitor, page by page."""
    stage.begins(f"leak {rng.uniform(0.5, 2.0) * MIB / HOUR * stage.case.pace.speed:.0f}")
    yield 0.0


def stopped(stage: Stage, rng: random.Random) -> Iterator[float]:
    """Stop it: it is there, and does nothing."""
    stage.begins()
    stage.chosen.stop()
    yield 0.0


def slow_endpoint(limit: float) -> Script:
    """Take 1.2 to 1.6 times as long for each request as is slow (``limit``: real seconds)."""

    def script(stage: Stage, rng: random.Random) -> Iterator[float]:
        stage.begins(f"slow {rng.uniform(1.2, 1.6) * limit:.3f}")
        yield 0.0

    return script


def burst(hold: float) -> Script:
    """Use a whole CPU, for less than what counts."""

    def script(stage: Stage, rng: random.Random) -> Iterator[float]:
        yield from stage.wait_for_cpu()
        stage.hogs()
        yield rng.uniform(0.2, 0.8) * hold
        stage.chosen.tell("calm")
        stage.leave_cpu()

    return script


def warming(speed: float) -> Script:
    """Fill a cache of 5 to 20 MiB within the first hours."""

    def script(stage: Stage, rng: random.Random) -> Iterator[float]:
        tau = rng.uniform(0.3, 2.0) * HOUR / speed
        stage.begins(f"cache {rng.uniform(5.0, 20.0) * MIB:.0f} {tau:.4f}")
        yield 0.0

    return script


def mute(stage: Stage, rng: random.Random) -> Iterator[float]:
    """Give no sign of life for a while that does not count yet."""
    stage.begins("mute")
    yield rng.uniform(5.0, 0.65 * ProcessRule().silent_for)
    stage.chosen.tell("speak")


def slow_once(limit: float) -> Script:
    """One slow request among some thirty fast ones, and a minute later another."""

    def script(stage: Stage, rng: random.Random) -> Iterator[float]:
        stage.begins()
        for _ in range(2):
            stage.chosen.tell(f"slow_once {rng.uniform(2.0, 3.0) * limit:.3f}")
            yield 65.0

    return script

"""One run: two processes alike, a monitor that looks at both, and what is done to one of them."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

from benchmarks.drill_detect.cases import Case, Settings
from benchmarks.drill_detect.clock import FastClock, RealSampler
from benchmarks.drill_detect.outcome import Heard, Outcome, Spent
from benchmarks.drill_detect.process import Prober, Process
from selfheal.clock import SYSTEM_CLOCK
from selfheal.detection import Monitor
from selfheal.events import Alert, Event, EventBus

REQUEST_EVERY = 2.0
"""Seconds of the monitor between two requests to one process."""
PROBERS = 6
"""Connections to each process, so that slow answers do not make requests rare."""
NAMES = ("worker-1", "worker-2")
SLACK = 30.0
"""Seconds of the monitor that a hog has to go on for longer than the rule says, for it to be there for sure."""


class Stage:
    """Where one run takes place.

    Args:
        case: what is done.
        settings: of the drill.
        seed: what is drawn is drawn from it.
        cpus: held while a process uses a whole CPU.
        over: set when the drill is to end early.
    """

    def __init__(
        self, case: Case, settings: Settings, seed: int, cpus: threading.Semaphore, over: threading.Event
    ) -> None:
        self.case, self._settings, self._seed = case, settings, seed
        self._cpus, self._holds, self._over = cpus, False, over
        self._rng = random.Random(seed)
        self._target = self._rng.choice(NAMES)
        self._spent = Spent(settings.cpu / 100.0)
        self._heard: list[tuple[Alert, float, float]] = []
        self._began: tuple[float, float] | None = None
        self._processes: dict[str, Process] = {}
        self._probers: list[Prober] = []
        self._clock = FastClock(case.pace.speed, case.pace.every)
        self._sampler = RealSampler(self._clock)
        self._bus = EventBus()
        self._monitor = Monitor(
            sampler=self._sampler, rules=case.pace.rules, learners=(), events=self._bus, clock=self._clock
        )

    @property
    def chosen(self) -> Process:
        """The process that something is done to."""
        return self._processes[self._target]

    def begins(self, order: str = "") -> None:
        """Now it is done, and time counts from here. An order is given, if there is one."""
        self._began = (self._clock.monotonic(), SYSTEM_CLOCK.monotonic())
        if order:
            self.chosen.tell(order)

    def wait_for_cpu(self) -> Iterator[float]:
        """Wait until there is a CPU that no other run makes busy."""
        while not self._cpus.acquire(blocking=False):
            yield self.case.pace.every
        self._holds = True

    def hogs(self) -> None:
        """From now on it uses all of a CPU. What it gets is seen over a little less than the time between readings."""
        self.begins(f"hog {0.9 * self.case.pace.every / self.case.pace.speed:.3f}")

    def leave_cpu(self) -> None:
        """Let another run make it busy."""
        if self._holds:
            self._holds = False
            self._cpus.release()

    def run(self) -> Outcome:
        """Play it, and end all that was started."""
        self._bus.subscribe(self._hear, Alert, inline=True)
        try:
            for name in NAMES:
                process = self._processes[name] = Process(name)
                self._sampler.watch(process.pid, name)
                process.listen(self._beat)
            if self.case.pace.alive:
                every = PROBERS * REQUEST_EVERY / self._clock.speed
                for process in self._processes.values():
                    self._probers += [
                        Prober(process, every * i / PROBERS, every, self._answered) for i in range(PROBERS)
                    ]
            self._play()
        finally:
            self.leave_cpu()
            self._end()
        return self._outcome()

    def _play(self) -> None:
        script = self.case.script(self, self._rng)
        due: float | None = self._clock.monotonic() + self._rng.uniform(*self.case.pace.lead)
        while not self._over.is_set():
            self._clock.stride()
            self._monitor.tick()
            now = self._clock.monotonic()
            while due is not None and now >= due:
                wait = next(script, None)
                due = None if wait is None else due + wait
            if self._began is not None and now - self._began[0] >= self.case.pace.length:
                return
            if any(alert.kind == self.case.kind for alert, _, _ in self._heard):
                return

    def _end(self) -> None:
        for prober in self._probers:
            prober.end()
        for process in self._processes.values():
            process.end()
        for prober in self._probers:
            prober.join()
        self._monitor.close()

    def _beat(self, process: Process, used: float, clock: float, least: float) -> None:
        if process.name == self._target:
            self._spent.take(least, self._clock.monotonic())
        if self.case.pace.alive:
            self._monitor.observe("heartbeat", 1.0, process.name)

    def _answered(self, process: Process, took: float) -> None:
        self._monitor.observe("latency_ms", took, process.name)

    def _hear(self, event: Event) -> None:
        assert isinstance(event, Alert)
        self._heard.append((event, self._clock.monotonic(), SYSTEM_CLOCK.monotonic()))

    def _outcome(self) -> Outcome:
        at, real = self._began or (self._clock.monotonic(), SYSTEM_CLOCK.monotonic())
        needs = self._settings.hold + SLACK if self.case.hogs and self.case.kind else 0.0
        return Outcome(
            case=self.case,
            seed=self._seed,
            target=self._target,
            heard=[Heard(alert=alert, after=t - at, real=r - real) for alert, t, r in self._heard],
            short=max(needs - self._spent.longest, 0.0),
        )

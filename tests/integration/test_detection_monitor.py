"""Everything together: sampler, rules, learners, monitor and tasks on one side of the bus, healing on the other."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from selfheal import EventBus, FeatureFlags, StrategyEngine, TaskRegistry
from selfheal.conditions import parse
from selfheal.detection import BaselineConfig, CompositeDetector, Monitor, Sampler, SamplerConfig, SeriesLearner
from selfheal.detection.monitor import BankLearner, GroupLearner
from selfheal.detection.rules import ThresholdRule
from selfheal.events import Alert, AlertCleared, BreakerStateChanged, Severity
from selfheal.healing import AlertFile, Outcome
from selfheal.healing.strategies import StrategySet
from selfheal.integrations.plots import Plots
from selfheal.policies.matching import AlertMatch
from selfheal.policies.silences import Silences
from selfheal.testing import FakeClock

RULES = [ThresholdRule(name="queue_stuck", condition=parse("queue_depth > 100"), clear_for=0.0)]
STRATEGIES = StrategySet.from_data(
    {
        "version": 1,
        "strategies": [
            {"name": name, "alerts": [kind], "settle": 0, "verify": {"by": "actions"}, "actions": ["log"]}
            for name, kind in [("unstick", "queue_stuck"), ("look", "anomaly")]
        ],
    }
)


@attrs.define(slots=False)
class Host:
    """A host whose load is measured by its sampler, with a healer that knows the monitor by the bus alone."""

    directory: Path
    clock: FakeClock = attrs.field(factory=lambda: FakeClock(wall=1_700_000_100.0))
    load: float = 40.0
    depth: float = 3.0

    def __attrs_post_init__(self) -> None:
        self.bus, self.flags, self.rng = EventBus(), FeatureFlags(environ={}), random.Random(5)
        self.silences = Silences()
        self.sampler = Sampler(SamplerConfig(machine=False), clock=self.clock)
        for metric, read in {"load": self._load, "work": self._load, "queue_depth": lambda: self.depth}.items():
            self.sampler.add(metric, read, "web")
        self.sampler.add("anomaly_score", lambda: self.monitor.anomaly_score("web"), "web")
        self.engine = StrategyEngine(
            STRATEGIES, levers={}, flags=self.flags, clock=self.clock, events=self.bus, inline_actions=True
        )
        self.monitor = Monitor(
            sampler=self.sampler,
            rules=RULES,
            learners=[
                SeriesLearner(["queue_depth"]),
                GroupLearner(CompositeDetector(["load", "work"]), "web"),
                BankLearner([("load", "web")], BaselineConfig(sigma=3.0), name="bank"),
            ],
            enabled=lambda: self.flags.auto_detection,
            silencing=self._silenced,
            directory=self.directory,
            plot=Plots(),
            events=self.bus,
            clock=self.clock,
        )
        self.tasks = TaskRegistry(clock=self.clock, events=self.bus, start=False)
        self.monitor.register(self.tasks, every=60.0)
        self.subscription = self.engine.subscribe()

    def _load(self) -> float:
        return self.rng.gauss(self.load, 2.0)

    def _silenced(self, alert: Alert) -> str | None:
        silence = self.silences.matches(alert, "", self.clock.wall())
        return None if silence is None else silence.reason

    def run(self, seconds: float) -> list[str]:
        """Let time pass with everything registered; the kinds that were healed."""
        healed: list[str] = []
        for _ in range(int(seconds // 60.0)):
            self.clock.advance(60.0)
            self.tasks.run_due()
            assert self.bus.drain(60.0)
            healed += [f"{record.outcome} {record.alert.kind}" for record in self.engine.run_once()]
        return healed

    def close(self) -> None:
        self.monitor.close()
        self.engine.close()
        self.tasks.shutdown()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.close()


def test_detection_tells_and_healing_answers_by_the_bus_alone(host: Host) -> None:
    """A rule's alert and a learnt one are each healed once; the learnt one is one page of two learners that saw it."""
    host.run(2 * 86_400.0)
    while host.monitor.open:  # a false alarm there may be: it has to be over
        host.run(300.0)
    host.depth = 500.0
    assert host.run(120.0) == ["healed queue_stuck"]
    host.depth = 3.0
    host.load = 90.0
    assert host.run(3600.0) == ["healed anomaly"]
    (alert,) = host.monitor.open
    assert alert.kind == "anomaly"
    assert alert.labels["contributed_1"].startswith(("load: ", "work: "))
    assert host.sampler.problems == ()
    report = (host.directory / "anomaly_detection_report_latest.md").read_text()
    assert report.startswith("# 1 thing wrong")
    assert (host.directory / "anomaly_detection_report_latest_1.png").read_bytes().startswith(b"\x89PNG")


def test_detection_without_healing_and_healing_without_detection(host: Host) -> None:
    """Each flag switches its side off, and the other goes on."""
    host.flags.override("FEATURE_AUTO_HEALING_ENABLED", False)
    host.depth = 500.0
    assert "healed" not in " ".join(host.run(120.0))
    assert [alert.kind for alert in host.monitor.open] == ["queue_stuck"]
    host.flags.override("FEATURE_AUTO_HEALING_ENABLED", True)
    host.flags.override("FEATURE_AUTO_DETECTION_MONITORING", False)
    host.bus.publish(Alert(kind="queue_stuck", target="elsewhere", at=host.clock.wall()))
    assert "healed queue_stuck" in host.run(120.0)
    assert not host.monitor.snapshot().enabled


def test_a_silence_of_the_policies_silences_the_monitor(host: Host) -> None:
    """The host's silences are asked through a callable; nothing is told until they end."""
    seen: list[object] = []
    host.bus.subscribe(seen.append, Alert, AlertCleared, inline=True)
    host.silences.add(AlertMatch(target="web"), host.clock.wall(), duration=600.0, reason="new disk", by="maria")
    host.depth = 500.0
    host.run(540.0)
    assert (seen, [told.silenced for told in host.monitor.snapshot().open]) == ([], ["new disk"])
    host.run(180.0)
    assert [alert.kind for alert in host.monitor.open] == ["queue_stuck"]


def test_what_the_monitor_writes_is_what_the_healer_reads(host: Host) -> None:
    """Both ends of the file of alerts: each alert is read once, as it was told, with every field."""
    file = AlertFile(host.directory / "anomaly_alert_latest.json", clock=host.clock)
    host.depth = 500.0
    host.run(60.0)
    host.bus.publish(BreakerStateChanged(breaker="db", old="CLOSED", new="OPEN", reason="down"))
    (alert,) = file.look()
    assert alert == host.monitor.open[0]
    assert alert.severity is Severity.WARNING
    assert file.look() == []
    host.depth = 3.0
    host.run(60.0)
    assert file.look() == []
    snapshot = file.snapshot()
    assert (snapshot.taken, snapshot.invalid, snapshot.refused, snapshot.problem) == (1, 0, 0, "")


def test_a_healer_that_knows_the_file_alone_heals_once_and_sees_it_verified(tmp_path: Path) -> None:
    """An incident is told once, though its file is written anew each minute; its end verifies what was done."""
    clock, heard = FakeClock(wall=1_700_000_100.0), EventBus()
    monitor = Monitor(rules=RULES, learners=(), events=EventBus(), clock=clock, directory=tmp_path)
    strategies = StrategySet.from_data(
        {
            "version": 1,
            "strategies": [
                {"name": "unstick", "alerts": ["queue_stuck"], "settle": 0, "verify": {"by": "alert", "within": 60}}
                | {"actions": ["log"]}
            ],
        }
    )
    file = AlertFile(tmp_path / "anomaly_alert_latest.json", clock=clock)
    engine = StrategyEngine(
        strategies, levers={}, flags=FeatureFlags(environ={}), clock=clock, events=heard, inline_actions=True,
        sources=[file],
    )  # fmt: skip

    def run(target: str, depth: float, seconds: float) -> list[tuple[Outcome, str]]:
        found: list[tuple[Outcome, str]] = []
        for _ in range(int(seconds // 10.0)):
            monitor.observe("queue_depth", depth, target)
            monitor.tick()
            records = engine.run_once()
            found += [(one.outcome, one.alert.target) for one in records if one.outcome is not Outcome.REFUSED]
            clock.advance(10.0)
        return found

    assert run("jobs", 500.0, 30.0) == []  # begun, and not verified yet
    assert run("jobs", 5.0, 1800.0) == [(Outcome.HEALED, "jobs")]
    assert run("mails", 500.0, 240.0) == [(Outcome.FAILED, "mails")]  # its alert is still open
    run("mails", 500.0, 3360.0)
    assert file.snapshot().taken == 2
    run("mails", 5.0, 20.0)
    assert engine.healer.snapshot().pending == 0
    engine.close()
    monitor.close()


def test_odd_names_and_missing_values_are_read_as_they_were_written(tmp_path: Path) -> None:
    """No value, names in other scripts, control characters and emoji survive the way through the file."""
    clock = FakeClock()
    monitor = Monitor(rules=RULES, learners=(), events=EventBus(), clock=clock, directory=tmp_path)
    for target in ("größe", 'web\n\t"1"', "🔥" * 400, ""):
        monitor.observe("queue_depth", 500.0, target, labels={"où": "naïve 🔥"})
    read = AlertFile(tmp_path / "anomaly_alert_latest.json", clock=clock).look()
    assert [(alert.target, dict(alert.labels)) for alert in read] == [
        (alert.target, dict(alert.labels)) for alert in monitor.open
    ]
    assert len(read) == 4
    monitor.close()

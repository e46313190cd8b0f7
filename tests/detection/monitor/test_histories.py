"""Whatever happens to a monitor, in whatever order: each alert is told once, and told to be over, if it was told."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from selfheal.conditions import parse
from selfheal.detection import Monitor
from selfheal.detection.monitor import Ended, Signal
from selfheal.detection.monitor.config import MonitorOptions
from selfheal.detection.rules import ThresholdRule
from selfheal.events import Alert, AlertCleared, Event, EventBus, Severity
from selfheal.healing import AlertFile
from selfheal.testing import FakeClock
from tests.detection.monitor.watching import WALL, Says, ended, signal

RULES = [
    ThresholdRule(name="deep", condition=parse("depth > 100"), clear_for=0.0),
    ThresholdRule(name="deeper", condition=parse("depth > 300"), clear_for=20.0, severity=Severity.CRITICAL),
]
TARGETS = "abcd"
RANKS = list(Severity)


class Life:
    """A monitor on a directory, over several lives, and what everybody was told of it."""

    def __init__(self, base: Path, rng: random.Random) -> None:
        self.rng, self.base, self.number = rng, base, 0
        self.clock = FakeClock(wall=WALL)
        self.silenced: set[str] = set()
        self.told: dict[str, tuple[Severity, int]] = {}
        self.read: dict[str, tuple[str, Severity]] = {}
        self.wrong: list[str] = []  # a bus keeps what subscribers raise to itself
        self.options: MonitorOptions = {"flap_raises": rng.choice([2, 4, 50]), "max_open": rng.choice([2, 50])}
        self.directory = base / "0"
        self.begin()
        self.file = AlertFile(self.directory / "anomaly_alert_latest.json", clock=self.clock)

    def begin(self) -> None:
        self.number += 1
        bus, self.says = EventBus(), Says()
        bus.subscribe(self.hear, Alert, AlertCleared, inline=True)
        self.monitor = Monitor(
            rules=RULES, learners=[self.says], events=bus, clock=self.clock, directory=self.directory,
            silencing=lambda alert: "silenced" if alert.target in self.silenced else None, **self.options,
        )  # fmt: skip

    def hear(self, event: Event) -> None:
        if isinstance(event, Alert):
            severity, number = self.told.get(event.fingerprint, (event.severity, 0))
            worse = RANKS.index(event.severity) > RANKS.index(severity)
            if not worse and number == self.number:
                self.wrong.append(f"{event.fingerprint} was told twice")
            self.told[event.fingerprint] = (event.severity, self.number)
        elif isinstance(event, AlertCleared) and self.told.pop(event.fingerprint, None) is None:
            self.wrong.append(f"nobody was told of {event.fingerprint}, which is over")

    def look(self) -> None:
        for alert in self.file.look():
            told = (alert.labels["since"], alert.severity)
            assert self.read.get(alert.fingerprint) != told, f"{alert.fingerprint} was read twice"
            self.read[alert.fingerprint] = told

    def end(self, killed: bool) -> None:
        """End and begin anew: with all that was on the disk at that moment."""
        if killed:
            left = self.base / str(self.number)
            shutil.copytree(self.directory, left)
            self.directory = left
            self.file.path = left / "anomaly_alert_latest.json"
        self.monitor.close()
        self.begin()

    def step(self) -> None:
        rng, target = self.rng, self.rng.choice(TARGETS)
        what = rng.choices(["rule", "silence", "learnt", "forget", "jump", "end"], [55, 10, 15, 3, 3, 4])[0]
        if what == "rule":
            self.monitor.observe("depth", rng.choice([5.0, 50.0, 200.0, 500.0]), target)
        elif what == "silence":
            self.silenced ^= {target}
        elif what == "learnt":
            one = signal("anomaly", target, rng.choice(["depth", "x"]), learnt=True)
            self.judge(one if rng.random() < 0.5 else ended(one))
        elif what == "forget":
            self.monitor.forget(target)
        elif what == "jump":
            self.clock.jump(rng.choice([-3600.0, -60.0, 3600.0]))
        else:
            self.end(killed=rng.random() < 0.5)
        self.clock.advance(rng.choice([1.0, 10.0, 60.0, 600.0]))
        self.monitor.tick()
        self.look()
        assert {alert.fingerprint for alert in self.monitor.open} <= self.told.keys()
        assert self.wrong == []

    def judge(self, *news: Signal | Ended) -> None:
        self.says.news = list(news)
        self.monitor.observe("some", 1.0)
        self.clock.advance(300.0)
        self.monitor.detect()

    def calm_down(self) -> None:
        """Nothing is the matter any more, for as long as anything is waited for."""
        self.silenced.clear()
        self.clock.jump(7200.0)
        self.judge(
            *(ended(signal("anomaly", one, metric, learnt=True)) for one in TARGETS for metric in ("depth", "x"))
        )
        for n in range(60):
            for target in TARGETS:
                self.monitor.observe("depth", 5.0, target)
            self.clock.advance(10.0 if n < 10 else 60.0)
            self.monitor.tick()
        self.look()


@pytest.mark.parametrize("seed", range(8))
def test_everything_told_is_told_to_be_over_in_the_end(tmp_path: Path, seed: int) -> None:
    """Rules, learners, silences, jumps of the clock, kills and restarts by chance; then nothing is the matter."""
    life = Life(tmp_path, random.Random(seed))
    for _ in range(120):
        life.step()
    life.calm_down()

    assert (life.monitor.incidents, life.told, life.wrong) == ((), {}, [])
    assert life.monitor.snapshot().waiting == 0
    assert json.loads(life.file.path.read_text()) == {"alerts": [], "complete": True}
    life.monitor.close()

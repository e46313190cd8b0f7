"""The strategies that ship, put to work by an engine; alerts and strategies that come from files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selfheal.errors import InvalidConfigError
from selfheal.events import Alert, EventBus
from selfheal.healing import AlertFile, HealingRecord, Outcome, Policies, StrategyEngine, write_alerts
from selfheal.healing.strategies import StrategySet, shipped
from selfheal.healing.strategies.watching import StrategyFile
from selfheal.journal import Journal, read_journal
from selfheal.policies.flags import FeatureFlags
from selfheal.policies.protection import Protection
from selfheal.testing import FakeClock, RecordingLevers


class Anything:
    """The levers that only some strategies pull: low-priority work, upstreams, processes, memory, a restart."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.waiting: list[str] = []
        self.working = ["report"]
        self.interval = 10.0
        self.prepared = False

    def active(self) -> list[str]:
        return self.working

    def suspended(self) -> list[str]:
        return self.waiting

    def suspend(self, id: str) -> bool:
        self.working.remove(id)
        self.waiting.append(id)
        return True

    def resume(self, id: str) -> bool:
        self.waiting.remove(id)
        self.working.append(id)
        return True

    def profile(self, seconds: float, reason: str, cancelled: Callable[[], bool]) -> Path:
        path = self.directory / "profile.txt"
        path.write_text(reason)
        return path

    def names(self) -> list[str]:
        return []

    def check(self, name: str) -> object:
        raise AssertionError("there is no upstream")

    def reset(self, name: str) -> str:
        return name

    def processes(self, owner: str) -> list[Any]:
        return []

    def idle(self) -> list[Any]:
        return []

    def alive(self, process: object) -> bool:
        return False

    def end(self, process: object) -> bool:
        return False

    def set_interval(self, seconds: float) -> None:
        self.interval = seconds

    def dependants(self, name: str) -> list[str]:
        return ["api"]

    def in_use(self) -> int:
        return 1000

    def trim(self) -> int:
        return 100

    def prepare(self, reason: str) -> None:
        self.prepared = True

    def cancel(self, reason: str) -> None:
        self.prepared = False


FURTHER = [
    *("low_priority", "profiler", "upstreams", "dependency_resets", "processes", "monitoring"),
    *("dependencies", "idle_processes", "memory", "restart_preparation"),
]


class Plant:
    """An engine with every lever there is."""

    def __init__(self, directory: Path, strategies: StrategySet | StrategyFile, **options: Any) -> None:
        self.clock = FakeClock()
        self.more = Anything(directory)
        self.levers = RecordingLevers(directory, **dict.fromkeys(FURTHER, self.more))
        self.path = directory / "journal.jsonl"
        self.alerts = directory / "anomaly_alert_latest.json"
        self.engine = StrategyEngine(
            strategies,
            levers=self.levers,
            journal=Journal(self.path, clock=self.clock, sync="never"),
            policies=Policies(protection=Protection(allowed=["*"]), blast_radius=None),
            sources=[AlertFile(self.alerts, clock=self.clock)],
            flags=FeatureFlags(environ={}),
            clock=self.clock,
            events=EventBus(),
            inline_actions=True,
            **options,
        )

    def run(self, seconds: float, **observed: float) -> list[HealingRecord]:
        """Let time pass, with the same samples of ``web`` every five seconds; what was begun and has ended."""
        records = []
        for _ in range(round(seconds / 5)):
            self.clock.advance(5.0)
            for metric, value in observed.items():
                self.engine.observe(metric, value, "web")
            records += self.engine.run_once()
        return [record for record in records if record.outcome is not Outcome.REFUSED]

    def written(self, kind: str, field: str) -> list[Any]:
        """A field of all entries of a kind."""
        return [entry.fields[field] for entry in read_journal(self.path, types=[kind])]


@pytest.mark.parametrize("spec", list(shipped("events")), ids=lambda spec: spec.name)
def test_each_event_strategy_answers_its_alert(spec: Any, tmp_path: Path) -> None:
    """The alert comes from a file; the actions of the first level run in order; what verifies it ends it healed."""
    plant = Plant(tmp_path, shipped("events"))
    alert = Alert(kind=spec.alerts[0], target="web", severity="critical", at=plant.clock.wall())
    write_alerts(plant.alerts, [alert], clock=plant.clock)
    records = plant.run(30)
    first = [step.do for step in spec.levels[0].actions]
    planned = plant.written("action_intent", "action") + plant.written("action_skipped", "action")
    assert sorted(planned) == sorted(first)
    plant.engine.clear(alert.fingerprint)
    records += plant.run(60)
    assert [(record.strategy, record.outcome) for record in records] == [(spec.name, Outcome.HEALED)]


def test_an_old_alert_in_the_file_is_left_alone(tmp_path: Path) -> None:
    """What was written more than five minutes ago is no reason to act."""
    plant = Plant(tmp_path, shipped("events"))
    write_alerts(plant.alerts, [Alert(kind="cpu_spike", target="web", at=plant.clock.wall())], clock=plant.clock)
    plant.clock.advance(400)
    assert plant.run(30) == []
    assert plant.engine.open_alerts == ()


def ladder(plant: Plant) -> list[str]:
    """The levels that were entered, as the journal tells."""
    return [str(level) for level in plant.written("level_started", "level")]


def test_pressure_of_memory_goes_up_level_by_level(tmp_path: Path) -> None:
    """Above 60 % it clears up; measured again above 75 % it puts work off, until the next measurement."""
    plant = Plant(tmp_path, shipped("levels"))
    [record] = plant.run(300, cpu_percent=10.0, memory_percent=62.0)
    assert (ladder(plant), record.outcome) == (["soft"], Outcome.FAILED)
    plant.run(600, cpu_percent=10.0, memory_percent=40.0)
    plant.run(300, cpu_percent=10.0, memory_percent=80.0)
    assert ladder(plant) == ["soft", "soft", "hard"]
    assert plant.more.waiting == ["report"]
    [record] = plant.run(200, cpu_percent=10.0, memory_percent=50.0)
    assert record.outcome is Outcome.HEALED
    assert plant.more.working == ["report"]


def test_the_last_level_waits_for_a_person(tmp_path: Path) -> None:
    """Above 85 % after both others, all that is optional is stopped once a person has said so, and no sooner."""
    plant = Plant(tmp_path, shipped("levels"))
    plant.run(600, cpu_percent=10.0, memory_percent=90.0)
    assert ladder(plant) == ["soft", "hard"]
    [asked] = plant.engine.snapshot().approvals
    assert (asked.level, plant.more.prepared) == ("critical", False)
    plant.engine.approve(asked.id, by="maria", reason="it is night")
    plant.run(20, cpu_percent=10.0, memory_percent=90.0)
    assert (ladder(plant)[-1], plant.more.prepared) == ("critical", True)
    [healed] = plant.run(100, cpu_percent=10.0, memory_percent=40.0)
    assert healed.outcome is Outcome.HEALED


def test_pressure_of_the_processor_alone_passes_the_lower_levels_over(tmp_path: Path) -> None:
    """With memory to spare there is nothing to clear up: only what is for the processor is entered."""
    plant = Plant(tmp_path, shipped("levels"), auto_critical=True)
    plant.run(100, memory_percent=20.0, cpu_percent=97.0)
    [record] = plant.run(60, memory_percent=20.0, cpu_percent=30.0)
    assert ladder(plant) == ["critical"]
    assert record.outcome is Outcome.HEALED


def strategies(name: str) -> str:
    """A strategy file with one strategy."""
    made = {"name": name, "alerts": ["odd"], "verify": {"by": "actions"}, "settle": 0, "actions": ["snapshot"]}
    return json.dumps({"version": 1, "strategies": [made]})


def test_a_changed_file_is_taken_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    """The next look takes new strategies; what cannot work here is told, and the old ones go on."""
    file = tmp_path / "strategies.json"
    file.write_text(strategies("first"))
    plant = Plant(tmp_path, StrategyFile(file, quiet=0.0))
    assert plant.engine.strategies.names == ("first",)
    file.write_text(strategies("second"))
    plant.run(5)
    assert plant.engine.strategies.names == ("second",)
    for bad in (strategies("third").replace("snapshot", "no_such_action"), '{"version": 1, "strateg'):
        file.write_text(bad)
        plant.run(5)
        assert plant.engine.strategies.names == ("second",)
    plant.engine.submit(Alert(kind="odd", target="web"))
    assert [record.strategy for record in plant.run(5)] == ["second"]


def test_a_set_that_cannot_work_here_is_refused_whole(tmp_path: Path) -> None:
    """Using it raises, names what is wrong, and leaves the engine as it was."""
    plant = Plant(tmp_path, shipped("six"))
    other = StrategySet.from_data(json.loads(strategies("third").replace("snapshot", "no_such_action")))
    with pytest.raises(InvalidConfigError, match="no_such_action"):
        plant.engine.use(other)
    assert plant.engine.strategies.names == shipped("six").names

"""The running reference app learns a recorded week, finds a real fault unusual, and goes on in its next life."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from examples.reference_app.anomaly import METRICS, WHOLE
from examples.reference_app.running import RunningApp
from examples.reference_app.traffic import busy
from examples.reference_app.week import Moment, lay, make
from selfheal.clock import SYSTEM_CLOCK
from selfheal.detection import History

OPTIONS = ("--no-cache", "--rate-limit", "500", "--burst", "1000")
PATIENCE = 120.0


@pytest.fixture
def week(tmp_path: Path) -> Path:
    """A week of a service whose CPU may be anything, as on a machine that others keep busy."""
    chance, recorded = random.Random(5), dict[int, list[Moment]]()
    for clients in (0, 1, 4):
        recorded[clients] = [
            {"cpu_percent": chance.uniform(0.0, 100.0), "memory_percent": chance.uniform(3.0, 25.0)}
            | ({"latency_ms": chance.uniform(2.0, 400.0), "success_rate": 1.0} if clients else {})
            for _ in range(40)
        ]
    file = tmp_path / "week.json"
    lay(recorded, SYSTEM_CLOCK.wall()).save(file)
    return file


def detection(app: RunningApp) -> dict[str, Any]:
    """What the status says of it."""
    return dict(app.status()["detection"])


def started(directory: Path, week: Path) -> RunningApp:
    """An app with a week, at a hundredfold pace."""
    app = RunningApp(directory, options=(*OPTIONS, "--history", str(week)))
    app.start()
    return app


def test_a_real_fault_is_unusual_beside_the_week_and_known_in_the_next_life(tmp_path: Path, week: Path) -> None:
    """Every call of the provider fails: an alert that names the success rate, a snapshot by the strategy for it."""
    state = tmp_path / "state"
    app = started(state, week)
    try:
        app.wait_for(lambda: detection(app)["anomalyScore"] is not None, "a score", PATIENCE)
        assert "has learnt from" in app.log()
        app.fault("flaky")
        with busy(app.port):
            app.wait_for(
                lambda: any(one["kind"] == "anomaly" for one in detection(app)["openAlerts"]), "the anomaly", PATIENCE
            )
            report = state / "detection" / "anomaly_detection_report_latest.md"
            app.wait_for(lambda: report.exists() and "success_rate: " in report.read_text(), "its report", PATIENCE)
            app.wait_for(lambda: "healing of anomaly|reference-app|composite: healed" in app.log(), "it", PATIENCE)
        assert "stopped clean" in app.end()
    finally:
        app.close()

    history = History.load(state / "detection" / "detection_history.json")
    assert all(len(history.points(metric, WHOLE)) > 1000 for metric in METRICS)

    later = started(state, week)
    try:
        assert detection(later)["anomalyScore"] is not None
        assert later.log().count("has learnt from") == 1
        before = detection(later)["detections"]
        later.wait_for(lambda: detection(later)["detections"] > before, "a judgement", PATIENCE)
        assert detection(later)["problems"] == []
    finally:
        later.close()


def test_a_week_is_made_of_seconds_of_the_real_service(tmp_path: Path) -> None:
    """Seven days of all four metrics, of looks at a running app; nothing is left of it but the file."""
    file = tmp_path / "week.json"

    told = make(file, seconds=2.0)

    history = History.load(file)
    assert "laid over 7 days" in told
    assert len(history.points("cpu_percent", WHOLE)) == 2016
    assert len(history.points("memory_percent", WHOLE)) == 2016
    assert all(len(history.points(metric, WHOLE)) > 500 for metric in METRICS)
    assert list(tmp_path.iterdir()) == [file]

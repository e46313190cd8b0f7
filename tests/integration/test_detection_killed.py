"""A monitor that is killed at any moment: the next life finds whole files, and knows what was open."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

from selfheal.clock import SYSTEM_CLOCK
from selfheal.conditions import parse
from selfheal.detection import Monitor
from selfheal.detection.rules import ThresholdRule
from selfheal.events import EventBus

QUEUE = ThresholdRule(name="queue_stuck", condition=parse("queue_depth > 100"), clear_for=0.0)
HOST = """
import sys
from selfheal.conditions import parse
from selfheal.detection import Monitor
from selfheal.detection.rules import ThresholdRule
from selfheal.events import EventBus
rule = ThresholdRule(name="queue_stuck", condition=parse("queue_depth > 100"), clear_for=0.0)
monitor = Monitor(rules=[rule], events=EventBus(), directory=sys.argv[1])
monitor.observe("queue_depth", 500.0, "jobs")
while True:
    monitor.observe("queue_depth", 500.0, "mails")
    monitor.detect()
    assert monitor.save(), monitor.snapshot().problems
    print("saved", flush=True)
    monitor.observe("queue_depth", 5.0, "mails")
"""


def test_a_kill_at_any_moment_leaves_whole_files_and_what_was_open(tmp_path: Path) -> None:
    """Ten lives, each killed while it saves, reports and tells without a pause: nothing is refused or piles up."""
    chance = random.Random(7)
    for _ in range(10):
        with subprocess.Popen(
            [sys.executable, "-c", HOST, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as host:
            assert host.stdout is not None
            assert host.stderr is not None
            assert host.stdout.readline() == "saved\n", host.stderr.read()
            SYSTEM_CLOCK.sleep(chance.uniform(0.0, 0.05))
            host.kill()
        for name in ("anomaly_alert_latest.json", "anomaly_detection_report_latest.json"):
            assert "jobs" in json.dumps(json.loads((tmp_path / name).read_text()))
        assert (tmp_path / "anomaly_detection_report_latest.md").read_text().endswith("\n")
    monitor = Monitor(rules=[QUEUE], events=EventBus(), directory=tmp_path)
    assert monitor.snapshot().problems == ()
    assert "jobs" in {incident.signal.target for incident in monitor.incidents}
    assert all(incident.restored for incident in monitor.incidents)
    monitor.observe("queue_depth", 500.0, "mails")
    monitor.detect()
    monitor.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "anomaly_alert_latest.json",
        "anomaly_detection_report_latest.json",
        "anomaly_detection_report_latest.md",
        "detection.lock",
        "detection_events.jsonl",
        "detection_events.jsonl.lock",
        "detection_history.json",
        "detection_open.json",
        "detection_state.json",
    ]

"""The report: what is wrong first, in words of a person, and nothing in it that a host's names could spoil."""

from __future__ import annotations

import json
import random
from pathlib import Path

import attrs
import pytest

from selfheal.conditions import parse
from selfheal.detection import Monitor
from selfheal.detection.monitor import as_markdown
from selfheal.detection.monitor.curves import Curve
from selfheal.detection.rules import CpuSpikeRule, ThresholdRule
from selfheal.events import EventBus, Severity
from selfheal.testing import FakeClock
from tests.detection.monitor.watching import Says, Watched, signal

QUEUE = ThresholdRule(name="queue_stuck", condition=parse("queue_depth > 100"), clear_for=0.0)
DOWN = ThresholdRule(name="down", condition=parse("up < 1"), clear_for=0.0, severity=Severity.CRITICAL)


@pytest.fixture
def watched() -> Watched:
    return Watched(rules=[QUEUE, DOWN, CpuSpikeRule()], zone="Europe/Berlin")


def text(watched: Watched) -> str:
    """The report of a monitor, as Markdown."""
    return as_markdown(watched.monitor.report())


def test_without_anything_it_says_that_it_knows_nothing(watched: Watched) -> None:
    """Silence because nothing is measured is not the same as all being well."""
    told = text(watched)
    assert told.startswith("# Nothing known is wrong\n")
    assert "Nothing has been measured" in told
    assert "learners ran never" in told


def test_the_worst_is_first_and_says_since_when(watched: Watched) -> None:
    """Critical before warning, each with its age, local time, message and evidence."""
    watched.monitor.observe("queue_depth", 500.0, "jobs")
    watched.clock.advance(3600.0)
    watched.monitor.observe("up", 0.0, "db")
    watched.clock.advance(720.0)
    told = text(watched)
    assert told.startswith("# 2 things wrong, 1 critical\n")
    assert told.index("| **critical** | down | db | 12 min ago |") < told.index(
        "| **warning** | queue\\_stuck | jobs | 72"
    )
    assert "## 2. queue\\_stuck on jobs (warning)" in told
    assert "- since 2023-11-14 23:15 CET, 72 min ago" in told
    assert "- evidence: rule queue\\_stuck, condition queue\\_depth \\> 100" in told


def test_now_and_usual_stand_beside_each_other() -> None:
    """What is measured now, and what was usual at this time before the incident became part of what is learnt."""
    watched = Watched(rules=[CpuSpikeRule()])
    rng = random.Random(2)
    for _ in range(4 * 288):
        watched.monitor.observe("cpu_percent", rng.gauss(30.0, 2.0), "web")
        watched.clock.advance(300.0)
        watched.monitor.detect()
    watched.hold("cpu_percent", 95.0, 3000.0)
    (measured,) = watched.monitor.report().measured.values()
    assert measured.value == pytest.approx(95.0)
    assert measured.mean == pytest.approx(30.0, abs=1.5)
    assert measured.spread < 4.0
    assert "| **warning** | cpu\\_spike | web | 45 min ago | 95 |" in text(watched)
    assert "- also seen by series: unusual: cpu\\_percent:" in text(watched)


def test_what_contributed_is_listed() -> None:
    """The reasons of a learnt detector, each on a line of its own."""
    says = Says()
    watched = Watched(rules=(), learners=[says])
    one = signal("anomaly", "web", "orders", learnt=True)
    says.say(watched, attrs.evolve(one, evidence={"contributed_1": "orders: 5, usual is 40", "score": "9"}))
    told = text(watched)
    assert "- contributed: orders: 5, usual is 40\n" in told
    assert "- evidence: score 9\n" in told


def test_silenced_and_flapping_are_told_apart(watched: Watched) -> None:
    """What nobody was told of stands in a table of its own, with the reason; what flaps says how often."""
    quiet = Watched(rules=[QUEUE], learners=(), silencing=lambda alert: "new disk" if alert.target == "mails" else None)
    quiet.monitor.observe("queue_depth", 500.0, "mails")
    for value in (500.0, 5.0) * 10:
        quiet.monitor.observe("queue_depth", value, "jobs")
        quiet.clock.advance(10.0)
    told = text(quiet)
    assert told.startswith("# 1 thing wrong\n")
    assert "| warning | queue\\_stuck | mails | 3 min ago | new disk |" in told
    assert "**flapping**: began 10 times so far; it is quiet now; stays raised until quiet for 30 min" in told
    assert "Flapping: queue\\_stuck on jobs." in told
    assert told.count("| queue\\_stuck | jobs | 10 s |") == 3  # those before it was found to flap


def test_learning_coverage_and_switches_are_told(watched: Watched) -> None:
    """What is not able to alarm yet, what is silent, and that detection is off."""
    watched.hold("orders", 40.0, 1200.0, target="shop")
    watched.hold("visits", 9.0, 3600.0, target="shop")
    told = text(watched)
    assert "| series | orders | shop | 2023-11-14 23:15 CET | 4 |" in told
    assert "| orders | shop | 25 % | 25 % | 2023-11-14 23:15 CET | **silent for 65 min** |" in told
    assert told.index("| orders | shop | 25 %") < told.index("| visits | shop | 100 %")
    off = Watched(enabled=lambda: False)
    assert "**OFF**" in text(off)


def test_names_of_a_host_are_text_and_nothing_else(watched: Watched) -> None:
    """Pipes, line ends, links, HTML and secrets in names and labels break no table and lead nowhere."""
    odd = "a|b\n# head <img src=x> [l](http://x) `c` password=hunter2"
    watched.monitor.observe("queue_depth", 500.0, odd)
    told = text(watched)
    assert "\n# head" not in told
    assert "<img" not in told.replace("\\<img", "")
    assert "hunter2" not in told
    rows = [line for line in told.splitlines() if line.startswith("| **warning**")]
    assert [row.replace("\\|", "").count("|") for row in rows] == [7]


def test_the_data_is_json_and_says_the_same(watched: Watched) -> None:
    """Open alerts with evidence, measured values, those that are over, learning and coverage."""
    watched.monitor.observe("queue_depth", 500.0, "jobs")
    watched.monitor.observe("up", 0.0, "db")
    watched.monitor.observe("up", 1.0, "db")
    watched.clock.advance(300.0)
    watched.monitor.detect()
    data = json.loads(json.dumps(watched.monitor.report().as_dict(), allow_nan=False))
    (alert,) = data["openAlerts"]
    assert (alert["kind"], alert["value"], alert["since"]) == ("queue_stuck", 500.0, "2023-11-14T22:15:00Z")
    assert alert["measured"] == {
        "metric": "queue_depth",
        "target": "jobs",
        "value": 500.0,
        "usual": None,
        "spread": None,
    }
    assert [past["kind"] for past in data["recentAlerts"]] == ["down"]
    assert {one["metric"] for one in data["learning"]} == {"queue_depth", "up"}
    assert [one["lastDay"] for one in data["coverage"]] == [1.0, 1.0]


def test_reports_and_plots_are_written_and_old_plots_go(tmp_path: Path) -> None:
    """Beside the Markdown lie its JSON twin and the plots it shows, and none that it does not."""
    clock, drawn = FakeClock(wall=1_700_000_100.0), list[Curve]()

    def plot(curve: Curve) -> bytes:
        drawn.append(curve)
        return b"png"

    monitor = Monitor(rules=[QUEUE], learners=(), events=EventBus(), clock=clock, directory=tmp_path, plot=plot)
    for _ in range(4):
        for target in ("jobs", "mails"):
            monitor.observe("queue_depth", 500.0, target)
        clock.advance(300.0)
    monitor.detect()
    stem = "anomaly_detection_report_latest"
    names = {path.name for path in tmp_path.iterdir() if path.name.startswith(stem)}
    assert names == {f"{stem}.md", f"{stem}.json", f"{stem}_1.png", f"{stem}_2.png"}
    assert f"![queue\\_stuck on jobs]({stem}_1.png)" in (tmp_path / f"{stem}.md").read_text()
    assert [alert["plot"] for alert in json.loads((tmp_path / f"{stem}.json").read_text())["openAlerts"]] == [
        f"{stem}_1.png",
        f"{stem}_2.png",
    ]
    assert (drawn[0].title, drawn[0].values) == ("queue_stuck on jobs", (500.0,) * 4)
    monitor.observe("queue_depth", 5.0, "jobs")
    monitor.detect()
    assert not (tmp_path / f"{stem}_2.png").exists()
    monitor.close()

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
from tests.detection.monitor.watching import Says, Watched, ended, signal

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
    assert "rules ran never, learners never" in told


def test_the_worst_is_first_and_says_since_when(watched: Watched) -> None:
    """Critical before warning, each with its age, local time, message and evidence."""
    watched.monitor.observe("queue_depth", 500.0, "jobs")
    watched.clock.advance(3600.0)
    watched.monitor.observe("up", 0.0, "db")
    watched.clock.advance(720.0)
    told = text(watched)
    assert told.startswith("# 2 things wrong, 1 critical\n")
    assert told.index("| **critical** | down | db | 12 min ago | up | 0 |") < told.index(
        "| **warning** | queue_stuck | jobs | 72 min ago | queue_depth | no value |"
    )
    assert "## 2. queue_stuck on jobs: queue_depth (warning)" in told
    assert "- since 2023-11-14 23:15 CET, 72 min ago" in told
    assert "- found by rule queue_stuck\n- evidence: rule queue_stuck, condition queue_depth \\> 100" in told


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
    row = f"| **warning** | cpu_spike | web | 45 min ago | cpu_percent | 95 % | {measured.mean:.4g} % ± "
    assert row in text(watched)
    assert "- also seen by series: unusual: cpu_percent is 95 %, usual is " in text(watched)


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
    assert "| warning | queue_stuck | mails | queue_depth | 3 min ago | new disk |" in told
    assert "**flapping**: began 10 times so far; it is quiet now; stays raised until quiet for 30 min" in told
    assert "Flapping: queue_stuck on jobs: queue_depth." in told
    assert told.count("| queue_stuck | jobs | queue_depth | 10 s |") == 3  # those before it was found to flap


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


def test_what_concerns_all_is_said_to_be_of_the_machine(watched: Watched) -> None:
    """No cell is left empty where a target has no name: in none of the tables."""
    watched.hold("orders", 40.0, 900.0, target="")
    watched.monitor.observe("queue_depth", 500.0)
    watched.monitor.observe("up", 0.0)
    watched.monitor.observe("up", 1.0)
    told = text(watched)
    assert "| **warning** | queue_stuck | the machine |" in told
    assert "| down | the machine | up |" in told
    assert "| series | orders | the machine |" in told
    assert "| orders | the machine | 100 % |" in told


def test_names_of_a_host_are_text_and_nothing_else(watched: Watched) -> None:
    """Pipes, line ends, links, HTML and secrets in names and labels break no table and lead nowhere."""
    odd = "a|b\n# head <img src=x> [l](http://x) `c` password=hunter2"
    watched.monitor.observe("queue_depth", 500.0, odd)
    told = text(watched)
    assert "\n# head" not in told
    assert "<img" not in told.replace("\\<img", "")
    assert "hunter2" not in told
    rows = [line for line in told.splitlines() if line.startswith("| **warning**")]
    assert [row.replace("\\|", "").count("|") for row in rows] == [8]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cpu_percent", "cpu_percent"),
        ("_a_ b_ __c__", "\\_a\\_ b\\_ \\_\\_c\\_\\_"),
        ("~~~", "\\~\\~\\~"),
        ("&lt;b&gt;", "\\&lt;b\\&gt;"),
        ("http://a.example www.a.example m@a.example", "http:\\//a.example www\\.a.example m\\@a.example"),
        ("- 1. x", "\\- 1. x"),
        ("17. x", "17\\. x"),
        ("11.9 x", "11.9 x"),
        ("\x1b[31mred\x00 \u202egnp \ud800x", "\ufffd\\[31mred\ufffd \ufffdgnp \ufffdx"),
        ("🔥 größe", "🔥 größe"),
    ],
)
def test_each_name_is_shown_as_it_is(watched: Watched, name: str, shown: str) -> None:
    """Nothing of it is Markdown, a link, an entity or a control character; and a plain one stays readable as text."""
    watched.monitor.observe("queue_depth", 500.0, name)
    told = text(watched)
    assert f"| **warning** | queue_stuck | {shown} | 0 s ago |" in told
    assert told.encode()


def test_two_of_a_kind_are_told_apart() -> None:
    """Which metric is unusual stands in the table, the heading, and among what is over."""
    says = Says()
    watched = Watched(rules=(), learners=[says])
    news = [signal("anomaly", "web", metric, learnt=True) for metric in ("orders", "visits", "logins")]
    says.say(watched, *news)
    says.say(watched, ended(news[2]))
    told = text(watched)
    for n, metric in enumerate(("orders", "visits"), start=1):
        assert f"## {n}. anomaly on web: {metric} (warning)" in told
        assert f"| **warning** | anomaly | web | 10 min ago | {metric} |" in told
    assert "| anomaly | web | logins | 10 min | 0 s ago | over |" in told


def test_what_is_said_of_one_metric_is_one_line() -> None:
    """A metric that is unusual in several ways is named once; others have lines of their own."""
    says = Says()
    watched = Watched(rules=(), learners=[says])
    evidence = {
        "contributed_1": "orders: 5, usual is 40; 9 spreads below what is usual",
        "contributed_2": "visits: 7, usual is 60; 8 spreads below what is usual",
        "contributed_3": "orders: 5, usual is 40; 7 spreads below the latest",
    }
    says.say(watched, attrs.evolve(signal("anomaly", "web", "orders", learnt=True), evidence=evidence))
    first = "- contributed: orders: 5, usual is 40; 9 spreads below what is usual; 7 spreads below the latest\n"
    assert first + "- contributed: visits: 7, usual is 60; 8 spreads below what is usual\n" in text(watched)


def test_a_group_shows_the_metric_that_contributed_most() -> None:
    """A score of several has no value that a person knows: the worst of its metrics has."""
    says = Says()
    watched = Watched(rules=(), learners=[says])
    for metric in ("aaa", "zzz"):
        watched.monitor.observe(metric, 7.0, "web")
    covers = (("aaa", "web"), ("zzz", "web"))
    one = signal("anomaly", "web", "composite", learnt=True, covers=covers)
    says.say(watched, attrs.evolve(one, evidence={"contributed_1": "zzz: 7, usual is 1; far"}, expected=1.25))
    assert "| **warning** | anomaly | web | 5 min ago | zzz | 7 | 1.25 |" in text(watched)


def test_a_step_that_just_began_is_not_all_that_is_now(watched: Watched) -> None:
    """One value of a new step weighs as much as one of the step before it; without one before, it is all there is."""
    for n in range(31):
        watched.monitor.observe("queue_depth", 500.0 if n < 30 else 190.0, "jobs")
        if n == 0:
            assert "| jobs | 0 s ago | queue_depth | 500 |" in text(watched)
        watched.clock.advance(10.0)
    assert "| jobs | 5 min ago | queue_depth | 490 |" in text(watched)
    watched.clock.advance(600.0)
    assert "| jobs | 15 min ago | queue_depth | 190 |" in text(watched)
    watched.clock.advance(300.0)
    assert "| jobs | 20 min ago | queue_depth | no value |" in text(watched)


def test_no_secret_is_in_the_data_either(watched: Watched) -> None:
    """What the text leaves out, its twin leaves out."""
    watched.monitor.observe("queue_depth", 500.0, "jobs password=hunter2")
    assert "hunter2" not in json.dumps(watched.monitor.report().as_dict())


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
    assert f"![queue_stuck on jobs: queue_depth]({stem}_1.png)" in (tmp_path / f"{stem}.md").read_text()
    assert [alert["plot"] for alert in json.loads((tmp_path / f"{stem}.json").read_text())["openAlerts"]] == [
        f"{stem}_1.png",
        f"{stem}_2.png",
    ]
    assert (drawn[0].title, drawn[0].values) == ("queue_stuck on jobs: queue_depth", (500.0,) * 4)
    monitor.observe("queue_depth", 5.0, "jobs")
    monitor.detect()
    assert not (tmp_path / f"{stem}_2.png").exists()
    monitor.close()


def test_of_many_the_worst_are_drawn(tmp_path: Path) -> None:
    """Nine old warnings do not keep the one that is critical from having a plot; silenced ones have none."""
    clock = FakeClock(wall=1_700_000_100.0)
    monitor = Monitor(
        rules=[QUEUE, DOWN], learners=(), events=EventBus(), clock=clock, directory=tmp_path, plot=lambda curve: b"png",
        silencing=lambda alert: "known" if alert.target == "jobs 0" else None,
    )  # fmt: skip
    for n in range(3):
        for target in range(10):
            monitor.observe("queue_depth", 500.0, f"jobs {target}")
        monitor.observe("up", float(n < 2), "db")
        clock.advance(300.0)
    monitor.detect()
    shown = json.loads((tmp_path / "anomaly_detection_report_latest.json").read_text())["openAlerts"]
    drawn = [alert["target"] for alert in shown if alert["plot"]]
    assert drawn == ["db", *(f"jobs {n}" for n in range(1, 8))]
    assert shown[0]["plot"] == "anomaly_detection_report_latest_1.png"
    monitor.close()

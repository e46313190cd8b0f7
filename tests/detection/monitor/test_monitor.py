"""The monitor: what is observed, ticked and heard becomes alerts on the bus, one for an incident."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import pytest

from selfheal.conditions import parse
from selfheal.detection import History, HistoryConfig, Monitor, RuleWatch, Sampler, SamplerConfig, SeriesLearner
from selfheal.detection.rules import CascadeRule, CpuSpikeRule, TaskFailureRule, ThresholdRule
from selfheal.errors import ConfigError
from selfheal.events import Alert, AlertCleared, BreakerStateChanged, EventBus, Severity, TaskFailed
from selfheal.journal import Journal, read_journal
from selfheal.testing import FakeClock
from tests.detection.monitor.watching import Says, Watched, ended, signal

QUEUE = ThresholdRule(name="queue_stuck", condition=parse("queue_depth > 100"), clear_for=0.0)


def test_a_rule_is_told_at_once_and_cleared_with_hysteresis() -> None:
    """Five minutes of busy CPU are one alert, raised in ``observe``, and one clear, after a minute below 70 %."""
    watched = Watched(learners=())
    watched.hold("cpu_percent", 95.0, 290.0)
    watched.monitor.observe("cpu_percent", 95.0, "web")
    watched.clock.advance(10.0)
    assert watched.told == []
    watched.monitor.observe("cpu_percent", 95.0, "web")
    assert watched.told == ["! cpu_spike|web|cpu_percent"]
    watched.hold("cpu_percent", 95.0, 3600.0)
    watched.hold("cpu_percent", 75.0, 3600.0)
    assert len(watched.told) == 1
    watched.hold("cpu_percent", 60.0, 120.0)
    assert watched.told == ["! cpu_spike|web|cpu_percent", ". cpu_spike|web|cpu_percent"]
    assert watched.monitor.open == ()


def test_an_alert_says_since_when_by_what_and_with_which_labels() -> None:
    """Evidence, source, beginning and the host's own labels are labels of the alert."""
    watched = Watched(learners=(), rules=[QUEUE])
    watched.monitor.observe("queue_depth", 500.0, "jobs", labels={"region": "north"})
    (alert,) = watched.monitor.open
    assert (alert.kind, alert.target, alert.metric, alert.value) == ("queue_stuck", "jobs", "queue_depth", 500.0)
    assert alert.labels == {
        "region": "north",
        "rule": "queue_stuck",
        "condition": "queue_depth > 100",
        "source": "rule queue_stuck",
        "since": "2023-11-14T22:15:00Z",
    }


def test_labels_of_a_host_push_out_none_of_the_monitor() -> None:
    """However many there are, and whatever they are called, an alert says since when and by whom it was found."""
    watched = Watched(learners=(), rules=[QUEUE])
    labels = {"since": "ever", "source": "me", **{f"label {n}": "x" for n in range(100)}}
    watched.monitor.observe("queue_depth", 500.0, "jobs", labels=labels)
    (alert,) = watched.monitor.open
    assert len(alert.labels) == 40
    assert alert.labels["since"] == "2023-11-14T22:15:00Z"
    assert (alert.labels["source"], alert.labels["rule"]) == ("rule queue_stuck", "queue_stuck")


def test_what_is_learnt_is_told_by_detect_and_names_what_is_usual() -> None:
    """A week of the usual, then something else: one anomaly, with the expected value, cleared when it is over."""
    watched = Watched(rules=())
    learn_a_week(watched)
    watched.hold("orders", 5.0, 1800.0)
    assert watched.told == ["! anomaly|web|orders"]
    (alert,) = watched.monitor.open
    assert "orders: 5, usual is 39." in alert.labels["contributed_1"]
    assert watched.monitor.anomaly_score("web") >= 0.8
    rng = random.Random(9)
    for _ in range(24 * 12):
        watched.hold("orders", rng.gauss(40.0, 2.0), 300.0, step=60.0)
    assert watched.told == ["! anomaly|web|orders", ". anomaly|web|orders"]


def learn_a_week(watched: Watched, metric: str = "orders", mean: float = 40.0) -> None:
    """Seven quiet days, a value every five minutes, judged as they come; what false alarms there were is over then."""
    rng, steps = random.Random(4), 0
    while steps < 7 * 288 or watched.monitor.open:
        watched.monitor.observe(metric, rng.gauss(mean, 2.0), "web")
        watched.clock.advance(300.0)
        watched.monitor.detect()
        steps += 1
    watched.seen.clear()


def test_rule_and_learnt_detector_of_one_series_are_one_page() -> None:
    """The learnt view of a busy CPU gives way to the rule's alert, whose evidence it is until both are over."""
    watched = Watched()
    learn_a_week(watched, "cpu_percent", 30.0)
    watched.hold("cpu_percent", 78.0, 600.0)
    watched.hold("cpu_percent", 95.0, 1800.0)
    taken_over = ["! anomaly|web|cpu_percent", "! cpu_spike|web|cpu_percent", ". anomaly|web|cpu_percent"]
    assert watched.told == taken_over
    (incident,) = watched.monitor.incidents
    assert [one.source for one in incident.beside] == ["series"]
    watched.hold("cpu_percent", 30.0, 6 * 3600.0)
    assert watched.told == [*taken_over, ". cpu_spike|web|cpu_percent"]
    assert (watched.monitor.open, watched.monitor.snapshot().waiting) == ((), 0)


def test_a_silenced_incident_is_recorded_and_told_when_the_silence_ends() -> None:
    """Nobody is told while it is silenced; at the next tick after it, they are, if it is still the matter."""
    reason = ["new disk"]
    watched = Watched(learners=(), rules=[QUEUE], silencing=lambda alert: reason[0])
    watched.monitor.observe("queue_depth", 500.0, "jobs")
    watched.monitor.tick()
    assert watched.told == []
    assert [told.silenced for told in watched.monitor.snapshot().silenced] == ["new disk"]
    assert len(watched.monitor.incidents) == 1
    reason[0] = ""
    watched.monitor.observe("queue_depth", 500.0, "jobs")
    watched.monitor.tick()
    watched.monitor.tick()
    assert watched.told == ["! queue_stuck|jobs|queue_depth"]


def test_a_silence_that_follows_another_is_the_reason_that_is_shown() -> None:
    """Where silences overlap, nothing is told in between, and the reason is that of the one that holds."""
    reason = ["new disk"]
    watched = Watched(learners=(), rules=[QUEUE], silencing=lambda alert: reason[0])
    watched.monitor.observe("queue_depth", 500.0, "jobs")
    reason[0] = "new cables"
    watched.monitor.tick()
    assert watched.told == []
    assert [told.silenced for told in watched.monitor.snapshot().silenced] == ["new cables"]
    reason[0] = ""
    watched.monitor.tick()
    assert watched.told == ["! queue_stuck|jobs|queue_depth"]


def test_two_who_find_a_silence_over_tell_it_once() -> None:
    """Whoever looks again while another does finds the same; it is told once."""
    asked = 0

    def silencing(alert: Alert) -> str:
        nonlocal asked
        asked += 1
        if asked == 2:
            watched.monitor.tick()
        return "new disk" if asked == 1 else ""

    watched = Watched(learners=(), rules=[QUEUE], silencing=silencing)
    watched.monitor.observe("queue_depth", 500.0, "jobs")
    watched.monitor.tick()
    watched.monitor.tick()
    assert watched.told == ["! queue_stuck|jobs|queue_depth"]


def test_a_silenced_one_that_is_quiet_is_told_when_it_is_back() -> None:
    """A flapping incident whose silence ends while it is only held is no news until it begins again."""
    reason = ["new disk"]
    watched = Watched(learners=(), rules=[QUEUE], silencing=lambda alert: reason[0], flap_raises=2)
    for value in (500.0, 5.0, 500.0, 5.0):
        watched.monitor.observe("queue_depth", value, "jobs")
    reason[0] = ""
    watched.monitor.tick()
    assert watched.told == []
    watched.monitor.observe("queue_depth", 500.0, "jobs")
    watched.monitor.tick()
    assert watched.told == ["! queue_stuck|jobs|queue_depth"]


def test_what_nobody_was_told_of_is_not_told_to_be_over() -> None:
    """An incident that began and ended under a silence is in the past, and was on no bus."""
    watched = Watched(learners=(), rules=[QUEUE], maintenance=lambda: "the nightly window")
    watched.monitor.observe("queue_depth", 500.0, "jobs")
    watched.monitor.observe("queue_depth", 5.0, "jobs")
    assert watched.told == []
    assert [one.told.silenced for one in watched.monitor.snapshot().past] == ["the nightly window"]


def test_nothing_is_learnt_in_maintenance() -> None:
    """What is measured in a maintenance window is neither judged nor learnt."""
    reason = ["upgrade"]
    watched = Watched(rules=(), maintenance=lambda: reason[0])
    watched.hold("orders", 5.0, 3600.0)
    assert watched.monitor.snapshot().learning == ()
    reason[0] = ""
    watched.hold("orders", 40.0, 3600.0)
    assert [state.metric for state in watched.monitor.snapshot().learning] == ["orders"]


def test_hooks_that_raise_are_taken_the_safe_way() -> None:
    """A silence that cannot be asked silences nothing; a switch that cannot be asked is off."""

    def broken(*_: object) -> Any:
        raise RuntimeError("no database")

    watched = Watched(learners=(), rules=[QUEUE], silencing=broken, maintenance=broken)
    watched.monitor.observe("queue_depth", 500.0, "jobs")
    assert watched.told == ["! queue_stuck|jobs|queue_depth"]
    off = Watched(learners=(), rules=[QUEUE], enabled=broken)
    off.monitor.observe("queue_depth", 500.0, "jobs")
    assert (off.told, off.monitor.enabled) == ([], False)


def test_switched_off_it_looks_at_nothing() -> None:
    """With the flag off nothing is measured, judged or learnt; on again, it goes on."""
    on = [False]
    watched = Watched(rules=[QUEUE], enabled=lambda: on[0])
    watched.hold("queue_depth", 500.0, 3600.0)
    snapshot = watched.monitor.snapshot()
    assert (watched.told, snapshot.samples, snapshot.ticks, snapshot.detections) == ([], 0, 0, 0)
    on[0] = True
    watched.hold("queue_depth", 500.0, 20.0)
    assert watched.told == ["! queue_stuck|web|queue_depth"]


def test_processes_have_a_switch_of_their_own() -> None:
    """With the watching of processes off, their samples and signs of life are left out; the rest is taken."""
    watched = Watched(learners=(), processes=lambda: False)
    for metric in ("heartbeat", "process_cpu_percent", "cpu_percent"):
        watched.monitor.observe(metric, 1.0, "web")
    assert watched.monitor.snapshot().samples == 1


def test_flapping_is_one_alert_that_is_held() -> None:
    """The fourth alert within the hour is marked as flapping, and is the last until it has been quiet."""
    watched = Watched(learners=(), rules=[QUEUE])
    for _ in range(50):
        for value in (500.0, 5.0):
            watched.monitor.observe("queue_depth", value, "jobs")
            watched.clock.advance(10.0)
            watched.monitor.tick()
    assert len([line for line in watched.told if line.startswith("!")]) == 4
    (alert,) = watched.monitor.open
    assert alert.labels["flapping"] == "true"
    assert [told.incident.times for told in watched.monitor.snapshot().flapping] == [50]
    watched.hold("queue_depth", 5.0, 1800.0, target="jobs")
    assert watched.told[-1] == ". queue_stuck|jobs|queue_depth"
    assert watched.monitor.open == ()


def test_worse_is_told_again_under_the_same_fingerprint() -> None:
    """A circuit that opens for good after it opened is the same alert, now critical, without an end in between."""
    watched = Watched(learners=())
    subscription = watched.monitor.start()
    for new in ("OPEN", "PERMANENT_OPEN", "CLOSED"):
        watched.bus.publish(BreakerStateChanged(breaker="db", old="", new=new, reason="down"))
        assert subscription.drain()
    alerts = [event for event in watched.seen if isinstance(event, Alert)]
    assert [alert.severity for alert in alerts] == [Severity.WARNING, Severity.CRITICAL]
    assert watched.told == ["! breaker_opened|db|", "! breaker_opened|db|", ". breaker_opened|db|"]
    watched.monitor.stop()


def test_the_bus_is_heard_and_its_own_alerts_are_not() -> None:
    """Failed tasks and alerts of others come by the bus; what it tells itself does not come back to it."""
    rules = [TaskFailureRule(), CascadeRule(dependencies={"web": ("api",), "api": ("db",)}), QUEUE]
    watched = Watched(learners=(), rules=rules)
    subscription = watched.monitor.start()
    watched.bus.publish(Alert(kind="down", target="db"))
    watched.bus.publish(TaskFailed(task_id="api", error="no", consecutive=5))
    assert subscription.drain()
    watched.monitor.observe("queue_depth", 500.0, "web")
    assert subscription.drain()
    assert watched.told[1:] == [
        "! task_failure_pattern|api|task_ok",
        "! queue_stuck|web|queue_depth",
        "! cascade_failure|db|",
    ]
    watched.monitor.stop()
    watched.bus.publish(TaskFailed(task_id="web", error="no", consecutive=5))
    assert len(watched.told) == 4


def test_what_it_told_itself_and_comes_back_late_changes_nothing() -> None:
    """The end of an alert that has begun again meanwhile comes back by the bus: for cascades the part still alarms."""
    watched = Watched(learners=(), rules=[CascadeRule(dependencies={"web": ("db",)}, least=2), QUEUE])
    for value in (500.0, 5.0, 500.0):
        watched.monitor.observe("queue_depth", value, "web")
    watched.monitor._hear(watched.seen[1])
    watched.monitor._hear(Alert(kind="down", target="db"))
    assert watched.told[3:] == ["! cascade_failure|db|"]


def test_a_cascade_is_seen_through_what_was_learnt() -> None:
    """An anomaly of a part is an alarm of it, for the rules on cascades, and its end is the end of that."""
    says = Says()
    watched = Watched(rules=[CascadeRule(dependencies={"web": ("db",)}, least=2, within=600.0)], learners=[says])
    subscription = watched.monitor.start()
    watched.bus.publish(Alert(kind="down", target="db"))
    assert subscription.drain()
    unusual = signal("anomaly", "web", "orders", learnt=True)
    says.say(watched, unusual)
    assert watched.told[1:] == ["! anomaly|web|orders", "! cascade_failure|db|"]
    says.say(watched, ended(unusual))
    assert watched.told[3:] == [". anomaly|web|orders", ". cascade_failure|db|"]
    watched.monitor.stop()


def test_the_sampler_is_asked_at_each_tick() -> None:
    """What the sampler measures, and what was observed there, comes in with the tick."""
    clock = FakeClock()
    sampler = Sampler(SamplerConfig(machine=False), clock=clock)
    sampler.add("queue_depth", lambda: 500.0, "jobs")
    monitor = Monitor(sampler=sampler, rules=[QUEUE], learners=(), events=EventBus(), clock=clock)
    monitor.tick()
    assert [alert.fingerprint for alert in monitor.open] == ["queue_stuck|jobs|queue_depth"]


def test_no_lock_is_held_while_others_are_called() -> None:
    """A subscriber and a silence may call the monitor, from their own and from any other thread."""
    monitor: Monitor

    def all_of_it() -> None:
        monitor.snapshot()
        monitor.observe("other", 1.0)
        monitor.tick()

    def elsewhere() -> None:
        thread = threading.Thread(target=all_of_it)
        thread.start()
        thread.join(30.0)
        assert not thread.is_alive()
        called.append(1)

    def silencing(alert: Alert) -> None:
        elsewhere()

    called: list[int] = []
    bus = EventBus()
    bus.subscribe(lambda event: elsewhere(), Alert, inline=True)
    monitor = Monitor(rules=[QUEUE], learners=(), events=bus, clock=FakeClock(), silencing=silencing)
    monitor.observe("queue_depth", 500.0)
    assert called == [1, 1]


def test_alerts_and_their_ends_are_told_in_order_from_many_threads() -> None:
    """However threads race, on the bus alerts and ends of an incident alternate."""
    watched = Watched(learners=(), rules=[QUEUE], flap_raises=1000)

    def toggle(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(300):
            watched.monitor.observe("queue_depth", rng.choice((5.0, 500.0)), "jobs")

    threads = [threading.Thread(target=toggle, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    watched.monitor.observe("queue_depth", 5.0, "jobs")
    expected = ["! queue_stuck|jobs|queue_depth", ". queue_stuck|jobs|queue_depth"] * (len(watched.told) // 2)
    assert watched.told == expected
    assert len(expected) > 10


def test_every_change_is_in_the_journal(tmp_path: Path) -> None:
    """Raised, silenced and cleared, each with what it was about; a second life reads it."""
    reason = [""]
    with Journal(tmp_path / "detection.jsonl", clock=FakeClock()) as journal:
        watched = Watched(learners=(), rules=[QUEUE], journal=journal, silencing=lambda alert: reason[0])
        watched.monitor.observe("queue_depth", 500.0, "jobs")
        watched.monitor.observe("queue_depth", 5.0, "jobs")
        reason[0] = "new disk"
        watched.monitor.observe("queue_depth", 700.0, "jobs")
    entries = [entry for entry in read_journal(tmp_path / "detection.jsonl") if entry.type.startswith("alert_")]
    assert [entry.type for entry in entries] == ["alert_raised", "alert_cleared", "alert_silenced"]
    assert entries[0].fields["evidence"] == {"rule": "queue_stuck", "condition": "queue_depth > 100"}
    assert entries[2].fields["silenced"] == "new disk"


def test_a_log_that_cannot_be_written_stops_no_alert(tmp_path: Path) -> None:
    """The alert is told; that it is not written down is counted and shown."""
    journal = Journal(tmp_path / "detection.jsonl", clock=FakeClock())
    watched = Watched(learners=(), rules=[QUEUE], journal=journal)
    journal.close()
    watched.monitor.observe("queue_depth", 500.0, "jobs")
    assert watched.told == ["! queue_stuck|jobs|queue_depth"]
    snapshot = watched.monitor.snapshot()
    assert snapshot.unwritten == 1
    assert "closed" in snapshot.problems[0]


def test_a_learner_that_fails_is_named_and_the_others_go_on() -> None:
    """What a learner raises goes no further, and is shown until it works again."""

    class Broken(SeriesLearner):
        def step(self, *_: Any) -> Any:
            raise RuntimeError("no memory")

    watched = Watched(rules=(), learners=[Broken(name="broken"), SeriesLearner()])
    watched.hold("orders", 40.0, 600.0)
    snapshot = watched.monitor.snapshot()
    assert snapshot.problems == ("learner broken failed (RuntimeError: no memory)",)
    assert [state.learner for state in snapshot.learning] == ["series"]


def test_names_of_learners_are_told_apart() -> None:
    """Two of one name could not be told apart in alerts and files."""
    with pytest.raises(ConfigError, match="names that differ"):
        Monitor(learners=[SeriesLearner(), SeriesLearner()])
    with pytest.raises(ConfigError, match="learners: with step"):
        Monitor(learners=[object()])  # type: ignore[list-item]


def test_it_runs_as_two_tasks() -> None:
    """Rules every ten seconds and learning every five minutes, unless said otherwise."""

    class Tasks:
        def __init__(self) -> None:
            self.made: list[tuple[str, Any, float]] = []

        def register_interval(self, id: str, fn: Any, every: float) -> None:
            self.made.append((id, fn, every))

    tasks, watched = Tasks(), Watched(learners=())
    watched.monitor.register(tasks)
    monitor = watched.monitor
    assert tasks.made == [("detection.rules", monitor.tick, 10.0), ("detection.learnt", monitor.detect, 300.0)]
    monitor.stop()


def test_a_target_that_is_gone_has_no_open_alert() -> None:
    """What was open on it ends when the host says that it is gone."""
    watched = Watched(learners=(), rules=[QUEUE])
    watched.monitor.observe("queue_depth", 500.0, "jobs")
    watched.monitor.forget("jobs")
    assert watched.told == ["! queue_stuck|jobs|queue_depth", ". queue_stuck|jobs|queue_depth"]


def test_the_section_is_plain_data() -> None:
    """The status shows what is open, and the bounds."""
    watched = Watched(learners=(), rules=RuleWatch([QUEUE, CpuSpikeRule()]))
    watched.monitor.observe("queue_depth", 500.0, "jobs")
    section = watched.monitor.section()
    assert section["openAlerts"][0]["since"] == "2023-11-14T22:15:00Z"
    assert (section["maxOpenAlerts"], section["samples"], section["lastDetection"]) == (500, 1, None)
    assert isinstance(watched.seen[0], Alert)
    assert not any(isinstance(event, AlertCleared) for event in watched.seen)


def test_forgetting_a_target_ends_what_was_learnt_of_it_and_what_is_held() -> None:
    """An anomaly, a flapping alert that is quiet, and nothing of another target."""
    says = Says()
    watched = Watched(learners=[says], rules=[QUEUE], flap_raises=2)
    for value in (500.0, 5.0, 500.0, 5.0):
        watched.monitor.observe("queue_depth", value, "web")
    says.say(watched, signal("anomaly", "web", "orders", learnt=True), signal("anomaly", "db", "orders", learnt=True))
    watched.seen.clear()
    watched.monitor.forget("web")
    assert sorted(watched.told) == [". anomaly|web|orders", ". queue_stuck|web|queue_depth"]
    assert [alert.target for alert in watched.monitor.open] == ["db"]
    assert {past.why for past in watched.monitor.snapshot().past} >= {"it is gone on purpose"}


@pytest.mark.parametrize("said", [None, ["nonsense"], 5])
def test_a_learner_that_says_nonsense_is_named_and_the_others_go_on(said: Any) -> None:
    """What is no list of signals is a failure of that learner alone."""

    class Odd(SeriesLearner):
        def step(self, *_: Any) -> Any:
            return said

    watched = Watched(rules=(), learners=[Odd(name="odd"), SeriesLearner()])
    watched.hold("orders", 40.0, 600.0)
    (problem,) = watched.monitor.snapshot().problems
    assert problem.startswith("learner odd failed (TypeError: ")
    assert [state.learner for state in watched.monitor.snapshot().learning] == ["series"]


def test_what_a_learner_has_no_room_for_is_shown() -> None:
    """A series that nobody learns is no secret."""
    watched = Watched(rules=(), learners=[SeriesLearner(max_series=1)])
    for _ in range(3):
        for metric in ("orders", "visits"):
            watched.monitor.observe(metric, 5.0, "shop")
        watched.clock.advance(300.0)
        watched.monitor.detect()
    assert watched.monitor.snapshot().problems == ("learner series has no room for 1 of 2 series: max_series is 1",)


@pytest.mark.parametrize(
    "given",
    [{"target": None}, {"target": 5}, {"labels": {"region": 5}}, {"labels": {5: "north"}}, {"labels": {"a": None}}],
)
def test_names_and_labels_that_are_no_text_are_refused_where_they_are_given(given: Any) -> None:
    """Not an hour later, when an alert is made of them; nothing is taken."""
    watched = Watched(learners=(), rules=[QUEUE])
    with pytest.raises(ConfigError, match="must be text"):
        watched.monitor.observe("queue_depth", 500.0, **given)
    assert (watched.told, watched.monitor.snapshot().samples) == ([], 0)


def test_a_measurement_that_hangs_is_shown() -> None:
    """Rules that wait for one are no quiet rules: after a minute that is a problem, until it has ended."""
    clock = FakeClock()
    sampler = Sampler(SamplerConfig(machine=False), clock=clock)
    seen: list[tuple[str, ...]] = []

    def slow() -> float:
        seen.append(monitor.snapshot().problems)
        clock.advance(75.0)
        seen.append(monitor.snapshot().problems)
        return 5.0

    sampler.add("queue_depth", slow, "jobs")
    monitor = Monitor(sampler=sampler, rules=[QUEUE], learners=(), events=EventBus(), clock=clock)
    monitor.tick()
    assert seen[0] == ()
    assert seen[1][0].startswith("the rules wait for 75 s: ")
    assert monitor.snapshot().problems == ()


def test_a_learner_that_hangs_is_shown() -> None:
    """It is named while it is at it; the status does not wait for it."""
    seen: list[tuple[str, ...]] = []

    class Slow(SeriesLearner):
        def step(self, *_: Any) -> Any:
            watched.clock.advance(400.0)
            seen.append(watched.monitor.snapshot().problems)
            return []

    watched = Watched(rules=(), learners=[Slow(name="slow")])
    watched.monitor.observe("orders", 40.0)
    watched.clock.advance(300.0)
    watched.monitor.detect()
    assert seen == [("learner slow is busy for 400 s: until it is done nothing is learnt, saved or reported",)]
    assert watched.monitor.snapshot().problems == ()


def test_a_clock_that_went_back_is_a_problem_until_it_has_caught_up() -> None:
    """What was measured of the hour that comes twice is not learnt twice, and that nothing is found is no secret."""
    watched = Watched(rules=())
    watched.hold("orders", 40.0, 1200.0)
    watched.clock.jump(-3600.0)
    watched.hold("orders", 40.0, 600.0)
    assert watched.monitor.snapshot().problems == (
        "the clock went back: nothing is learnt, or found by what was, for 50 min",
    )
    watched.hold("orders", 40.0, 3600.0)
    assert watched.monitor.snapshot().problems == ()
    assert watched.monitor.snapshot().learning[0].steps > 4


def test_series_that_the_history_has_no_room_for_are_told() -> None:
    """More than it keeps means that none of them has a past."""
    watched = Watched(rules=(), learners=(), history=History(HistoryConfig(max_series=2)))
    for target in ("a", "b", "c"):
        watched.monitor.observe("orders", 40.0, target)
    assert watched.monitor.snapshot().problems == (
        "the history has room for 2 series: 1 times one had to go for another",
    )

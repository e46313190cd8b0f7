"""Rules from files, and what is told of bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selfheal.conditions import describe, parse
from selfheal.detection.leak import LeakConfig
from selfheal.detection.rules import (
    DEFAULT_RULES,
    BreakerRule,
    CascadeRule,
    CpuSpikeRule,
    LatencyRule,
    LeakRule,
    ProcessRule,
    RuleWatch,
    TaskFailureRule,
    ThresholdRule,
    load_rules,
    rules_from,
)
from selfheal.errors import ConfigError, InvalidConfigError
from selfheal.events import Severity


def test_all_kinds_from_a_file(tmp_path: Path) -> None:
    """Each type of rule is read, with durations as text and conditions as text or data."""
    file = tmp_path / "rules.json"
    p99 = {"metric": "ms_p99", "op": ">", "value": 250, "for": "30s"}
    rules = [
        {"type": "threshold", "name": "full", "kind": "disk_full", "condition": "disk > 90", "severity": "critical"},
        {"type": "cpu_spike", "condition": "cpu_percent > 90 for 2m", "clear_for": "30s", "step": 5},
        {"type": "high_latency", "metric": "ms", "percentile": 99, "condition": p99},
        {"type": "task_failure_pattern", "consecutive": 3},
        {"type": "process_unresponsive", "silent_for": "1m"},
        {"type": "breaker_opened", "breakers": ["db"]},
        {"type": "cascade_failure", "dependencies": {"web": ["db"]}, "least": 2},
        {"type": "memory_leak", "trend": {"min_growth": 5}},
    ]
    file.write_text(json.dumps({"version": 1, "rules": rules}))
    read = load_rules(file)

    assert read == (
        ThresholdRule(name="full", kind="disk_full", condition=parse("disk > 90"), severity=Severity.CRITICAL),
        CpuSpikeRule(condition=parse("cpu_percent > 90 for 2m"), clear_for=30.0, step=5.0),
        LatencyRule(metric="ms", percentile=99.0, condition=parse("ms_p99 > 250 for 30s")),
        TaskFailureRule(consecutive=3),
        ProcessRule(silent_for=60.0),
        BreakerRule(breakers=("db",)),
        CascadeRule(dependencies={"web": ("db",)}, least=2),
        LeakRule(trend=LeakConfig(min_growth=5.0)),
    )
    assert RuleWatch(read).open == ()


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """File, path within it, what was found and what is accepted, for each problem."""
    file = tmp_path / "rules.json"
    rules: list[Any] = [
        {"type": "cpu_spike", "condition": {"all": [{"metric": "cpu", "op": "=>", "value": 1}]}, "step": "soon"},
        {"type": "latency"},
        {"type": "memory_leak", "trend": {"significance": 2.0}, "limt": 5},
        {"type": "process_unresponsive", "severity": "fatal"},
    ]
    file.write_text(json.dumps({"version": 2, "rules": rules}))
    with pytest.raises(InvalidConfigError) as told:
        load_rules(file)

    assert str(told.value).startswith(f"{file}: 7 settings are not accepted:")
    assert [problem.where for problem in told.value.problems] == [
        "version",
        "rules[0].condition.all[0].op",
        "rules[0].step",
        "rules[1].type",
        "rules[2].trend.significance",
        "rules[2].limt",
        "rules[3].severity",
    ]
    assert "did you mean 'limit'" in str(told.value)
    assert "the nearest is 'high_latency'" in str(told.value)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (5, "rules[0] must be a table with text keys, got 5."),
        (
            {"type": "threshold", "name": "x", "condition": "cpu > 80 clear 90"},
            "rules[0].condition, clear at character 1 must be at most the value (80), got 90.0.",
        ),
        (
            {"type": "cascade_failure", "dependencies": {"web": ["api"]}},
            "rules[0].dependencies must be of at least 3 parts, as 'least' asks for: fewer never make a cascade,"
            " got 2 parts.",
        ),
        (
            {"type": "cascade_failure", "dependencies": {"web": "api"}},
            "rules[0].dependencies.web must be a list, got 'api'.",
        ),
        (
            {"type": "high_latency", "percentile": 99},
            "rules[0].condition must be a condition over 'latency_ms_p99', got",
        ),
        ({"type": "cpu_spike", "step": "soon"}, "rules[0].step must be a number of seconds or text such as '30s',"),
    ],
)
def test_what_is_wrong_is_told_in_words_that_help(rule: Any, told: str) -> None:
    """Where it stands, what is accepted there, and what was found."""
    with pytest.raises(InvalidConfigError) as error:
        rules_from({"version": 1, "rules": [rule]}, source="rules.json")
    assert str(error.value).startswith(f"rules.json: {told}")


def test_a_name_twice_is_refused() -> None:
    """In a file with its path, and in Python."""
    rules = [{"type": "cpu_spike"}, {"type": "cpu_spike"}]
    with pytest.raises(InvalidConfigError, match=r"^a\.json: rules\[1\]\.name must be a name that no rule before"):
        rules_from({"version": 1, "rules": rules}, source="a.json")
    with pytest.raises(ConfigError, match=r"rules\[1\]\.name"):
        RuleWatch([CpuSpikeRule(), CpuSpikeRule()])


def test_too_many_rules_are_refused() -> None:
    """A file of more than a thousand is a mistake."""
    rules = [{"type": "cpu_spike", "name": f"r{n}"} for n in range(1001)]
    with pytest.raises(InvalidConfigError, match=r"^a\.json: rules must be at most 1000 rules, got 1001"):
        rules_from({"version": 1, "rules": rules}, source="a.json")
    assert len(rules_from({"version": 1, "rules": rules[1:]})) == 1000


def test_the_defaults_are_those_that_are_documented() -> None:
    """Thresholds, durations and counts, as the reference page tells them."""
    spike, slow, task, process = CpuSpikeRule(), LatencyRule(), TaskFailureRule(), ProcessRule()

    assert (describe(spike.condition), spike.clear_for, spike.step) == ("cpu_percent > 80 for 5m clear 70", 60.0, 10.0)
    assert describe(slow.condition) == "latency_ms_p95 > 500 for 1m clear 400"
    assert (slow.percentile, slow.window, slow.least, slow.clear_for) == (95.0, 60.0, 20, 60.0)
    assert (task.window, task.least, task.significance) == (600.0, 20, 1e-6)
    assert (task.consecutive, task.usual) == (5, 0.02)
    assert (process.silent_for, process.stopped_for, process.zombie_for) == (30.0, 30.0, 5.0)
    cascade = CascadeRule(dependencies={"web": ("api",), "api": ("db",)})
    assert (cascade.within, cascade.least, cascade.slack) == (120.0, 3, 10.0)
    assert (LeakRule().limit, LeakRule().process_limit) == (100.0, None)
    assert (process.severity, cascade.severity, spike.severity) == (
        Severity.CRITICAL,
        Severity.CRITICAL,
        Severity.WARNING,
    )


def test_the_shipped_rules_answer_each_event_but_the_cascade() -> None:
    """Their kinds are those that the shipped strategies answer."""
    assert {rule.TYPE for rule in DEFAULT_RULES} == {
        "breaker_opened",
        "cpu_spike",
        "high_latency",
        "memory_leak",
        "process_unresponsive",
        "task_failure_pattern",
    }

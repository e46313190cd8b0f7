"""Failures that pull others along."""

from __future__ import annotations

import pytest

from selfheal.detection.rules import BreakerRule, CascadeRule
from selfheal.errors import ConfigError
from selfheal.events import Alert, AlertCleared, BreakerStateChanged
from tests.detection.rules.feeding import Fed, words

NEEDS = {"web": ("api",), "api": ("db", "cache"), "jobs": ("db",), "mail": ()}


def fed() -> Fed:
    return Fed(CascadeRule(dependencies=NEEDS))


def alarms(rules: Fed, *parts: str, after: float = 20.0) -> list[str]:
    return words([finding for part in parts for finding in rules.hear(Alert(kind="down", target=part), after)])


def test_three_in_the_order_of_dependency_are_a_cascade() -> None:
    """The earliest is the root, and the chain is told."""
    rules = fed()
    assert alarms(rules, "db", "api", "web") == ["+cascade_failure db"]
    found = rules.found[0]
    assert found.evidence == {"root": "db", "chain": "db → api → web", "parts": "3"}
    assert found.message == "db failed first and pulled 2 others along: db → api → web"
    assert alarms(rules, "jobs") == []


def test_branches_count_together() -> None:
    """Two parts that need the root make a cascade with it, though neither needs the other."""
    assert alarms(fed(), "db", "jobs", "api") == ["+cascade_failure db"]


def test_a_part_that_is_silent_does_not_break_the_chain() -> None:
    """What needs the root by way of one that does not alarm belongs to it."""
    assert alarms(fed(), "db", "jobs", "web") == ["+cascade_failure db"]


@pytest.mark.parametrize("parts", ["db api", "db mail cache", "web api db", "mail web jobs"])
def test_others_are_none(parts: str) -> None:
    """Two parts, parts that need nothing of each other, and the wrong order are no cascade."""
    assert alarms(fed(), *parts.split()) == []


def test_what_takes_longer_than_120_s_is_none() -> None:
    """The last alarm has to come within 120 s of the first; a little out of order is allowed."""
    assert alarms(fed(), "db", "api", "web", after=61.0) == []
    assert alarms(fed(), "db", "api", "web", after=60.0) == ["+cascade_failure db"]
    assert alarms(fed(), "api", "db", "web", after=5.0) == ["+cascade_failure db"]


def test_a_cascade_ends_when_fewer_than_two_parts_alarm() -> None:
    """Each part has to be well by all its alarms."""
    rules = fed()
    alarms(rules, "db", "api", "web")
    rules.hear(Alert(kind="slow", target="api"))
    for kind, part, left in (("down", "web", []), ("down", "api", []), ("slow", "api", ["-cascade_failure db"])):
        assert words(rules.hear(AlertCleared(fingerprint=f"{kind}|{part}|"))) == left
    assert rules.hear(AlertCleared(fingerprint="down|db|")) == []


def test_what_other_rules_find_is_looked_at() -> None:
    """Circuits named after the parts are enough: no alert has to be given by hand."""
    rules = Fed(BreakerRule(), CascadeRule(dependencies=NEEDS))
    for part in ("db", "api", "web"):
        rules.hear(BreakerStateChanged(breaker=part, old="CLOSED", new="OPEN", reason="x"), after=10.0)
    assert words(rules.found)[-1] == "+cascade_failure db"
    assert len(rules.rules.open) == 4


def test_a_part_that_alarms_before_what_it_needs_does_not_belong() -> None:
    """The front fails, and its back after it: that is no failure passed on, unless it is a matter of seconds."""
    assert alarms(fed(), "db", "web", "api", after=20.0) == []
    assert alarms(fed(), "db", "web", "api", after=5.0) == ["+cascade_failure db"]


def test_one_failure_is_one_cascade_with_the_earliest_as_its_root() -> None:
    """Two parts that others need failed, one after the other: what follows is not told twice."""
    rules = fed()
    assert alarms(rules, "cache", "db", "api", "web", after=5.0) == ["+cascade_failure cache"]
    rules.hear(AlertCleared(fingerprint="down|cache|"))
    assert alarms(rules, "jobs", after=5.0) == []
    assert [finding.target for finding in rules.rules.open] == ["cache"]


def test_the_first_alarm_of_a_part_counts() -> None:
    """One more alarm of a part that failed long ago makes no new failure of it."""
    rules = fed()
    alarms(rules, "db")
    rules.hear(Alert(kind="slow", target="db"), after=115.0)
    assert alarms(rules, "api", "web", after=5.0) == []


def test_a_cascade_is_no_alarm_of_its_root() -> None:
    """Neither its own alert, nor that of another rule of its kind."""
    rules = fed()
    rules.hear(Alert(kind="cascade_failure", target="db"))
    assert alarms(rules, "api", "web") == []


def test_a_part_that_is_gone_alarms_no_more() -> None:
    """Forgotten on purpose, it is the root of nothing; a cascade that is left with one part is over."""
    rules = fed()
    alarms(rules, "db")
    rules.rules.forget("db", rules.t, rules.now)
    assert alarms(rules, "api", "web") == []

    rules = fed()
    alarms(rules, "db", "api", "web")
    rules.rules.forget("db", rules.t, rules.now)
    assert words(rules.rules.forget("api", rules.t, rules.now)) == ["-cascade_failure db"]


def test_a_thousand_alarms_are_remembered() -> None:
    """Those beyond are not looked at, until others are over."""
    rules = fed()
    for n in range(1000):
        rules.hear(Alert(kind=f"kind-{n}", target="db"))
    assert alarms(rules, "api", "web") == []
    for n in range(2):
        rules.hear(AlertCleared(fingerprint=f"kind-{n}|db|"))
    assert alarms(rules, "api", "web") == ["+cascade_failure db"]


def test_a_ring_does_not_hang() -> None:
    """Parts that need each other in a ring are looked at once each."""
    rules = Fed(CascadeRule(dependencies={"a": ("b",), "b": ("c",), "c": ("a",)}))
    assert len(alarms(rules, "a", "b", "c", after=1.0)) == 1


def test_a_part_that_needs_itself_is_refused() -> None:
    """Nothing pulls itself along."""
    with pytest.raises(ConfigError, match=r"CascadeRule\.dependencies"):
        CascadeRule(dependencies={"a": ("a",)})

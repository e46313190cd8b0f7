"""Inhibition: consequences wait for their cause, and nothing waits for ever."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from selfheal.configuring import structure
from selfheal.errors import ConfigError, InvalidConfigError
from selfheal.events import Alert
from selfheal.policies.inhibition import Inhibition, InhibitionRule
from selfheal.policies.matching import AlertMatch


def rule(name: str, source: str, target: str | None, **more: Any) -> InhibitionRule:
    """A rule from kind to kind."""
    return InhibitionRule(name=name, source=AlertMatch(kind=source), target=AlertMatch(kind=target), **more)


DOWN = Alert(kind="host_down", target="h1", labels={"zone": "a"})
SLOW = Alert(kind="slow", target="web", labels={"zone": "a"})


def test_a_consequence_waits_while_its_cause_is_open() -> None:
    """The target alert is kept back, with the rule and the source named, and only while the source is open."""
    inhibition = Inhibition(rules=[rule("host", "host_down", "slow")])

    assert inhibition.check(SLOW, [SLOW, DOWN]) == "rule 'host': 'host_down' on 'h1' is open"
    assert inhibition.check(SLOW, [SLOW]) is None
    assert inhibition.check(DOWN, [SLOW, DOWN]) is None


@pytest.mark.parametrize(
    ("equal", "labels", "kept"),
    [
        (["zone"], {"zone": "a"}, True),
        (["zone"], {"zone": "b"}, False),
        (["zone"], {}, False),
        (["rack"], {"rack": "1"}, False),
        (["target"], {"zone": "a"}, False),
        (["metric"], {}, True),
    ],
)
def test_what_has_to_be_equal_is(equal: list[str], labels: dict[str, str], kept: bool) -> None:
    """Labels both have with one value, or what the alerts themselves have; what one lacks is not equal."""
    inhibition = Inhibition(rules=[rule("host", "host_down", "slow", equal=equal)])
    alert = Alert(kind="slow", target="web", labels=labels)

    assert (inhibition.check(alert, [DOWN]) is not None) is kept


def test_nothing_is_kept_back_by_itself_or_its_like() -> None:
    """A source of a rule is not kept back by that rule, neither by itself nor by another source."""
    inhibition = Inhibition(rules=[rule("any", "host_down", None)])
    other = Alert(kind="host_down", target="h2")

    assert inhibition.check(DOWN, [DOWN, other]) is None
    assert inhibition.check(SLOW, [DOWN]) is not None


def test_rings_are_refused_and_named() -> None:
    """Rules that could keep one another's sources back are refused with the ring."""
    rules = [rule("x", "c", "z"), rule("r1", "a", "b"), rule("r2", "b", "c"), rule("r3", "c", "a")]
    with pytest.raises(ConfigError, match="r1 -> r2 -> r3 -> r1"):
        Inhibition(rules=rules)
    Inhibition(rules=rules[:3])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"source": {}}, "source"),
        ({"source": {"strategy": "x"}}, "source"),
        ({"equal": "zone"}, "equal"),
        ({"equal": ["zone", " "]}, "equal"),
        ({"name": ""}, "name"),
    ],
)
def test_a_wrong_rule_is_told_with_its_path(data: dict[str, Any], told: str) -> None:
    """A source that is anything, strategies, one text for a list and blanks are refused."""
    good = {"name": "n", "source": {"kind": "a"}, "target": {"kind": "b"}}
    assert structure({"rules": [good]}, Inhibition).rules[0] == rule("n", "a", "b")
    with pytest.raises(InvalidConfigError, match=rf"rules\[0\].*{told}"):
        structure({"rules": [{**good, **data}]}, Inhibition, "inhibition")


def test_names_are_told_apart_and_rules_counted() -> None:
    """The same name twice and more than a hundred rules are refused."""
    with pytest.raises(ConfigError, match="a name of its own"):
        Inhibition(rules=[rule("n", "a", "b"), rule("n", "a", "c")])
    with pytest.raises(ConfigError, match="at most 100 rules"):
        Inhibition(rules=[rule(f"r{n}", "a", "b") for n in range(101)])
    assert Inhibition(rules=[rule("n", "a", None)]).snapshot() == (
        {"name": "n", "source": "kind 'a'", "target": "any alert", "equal": []},
    )


WORDS = st.sampled_from("abcd")
SIDE = st.builds(AlertMatch, kind=WORDS | st.lists(WORDS, min_size=1, max_size=3, unique=True).map(tuple))
LABELLED = st.builds(AlertMatch, kind=st.none() | WORDS, labels=st.dictionaries(st.just("zone"), WORDS, min_size=1))
RULES = st.lists(st.tuples(SIDE | LABELLED, SIDE | LABELLED | st.just(AlertMatch())), min_size=1, max_size=4)
ALERTS = st.lists(
    st.builds(Alert, kind=WORDS, target=st.sampled_from("tu"), labels=st.dictionaries(st.just("zone"), WORDS)),
    min_size=1,
    max_size=8,
)


@given(RULES, ALERTS, st.sampled_from([(), ("zone",), ("target",)]))
def test_of_any_open_alerts_one_is_free(
    sides: list[tuple[AlertMatch, AlertMatch]], alerts: list[Alert], equal: tuple[str, ...]
) -> None:
    """Whatever rules are accepted, and whatever is open, at least one alert is not kept back."""
    made = [
        InhibitionRule(name=f"r{n}", source=source, target=target, equal=equal)
        for n, (source, target) in enumerate(sides)
    ]
    try:
        inhibition = Inhibition(rules=made)
    except ConfigError:
        assume(False)
    assert any(inhibition.check(alert, alerts) is None for alert in alerts)


def test_without_the_ban_on_rings_everything_would_wait() -> None:
    """The rules of a ring, each accepted alone, keep all open alerts back together: the ban is needed."""
    alerts = [Alert(kind="a"), Alert(kind="b")]
    one, two = (Inhibition(rules=[r]) for r in (rule("r1", "a", "b"), rule("r2", "b", "a")))

    assert all(one.check(alert, alerts) or two.check(alert, alerts) for alert in alerts)

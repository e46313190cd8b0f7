"""Which alerts a silence or a rule is about."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.configuring import structure
from selfheal.errors import ConfigError, InvalidConfigError
from selfheal.events import Alert
from selfheal.policies.matching import AlertMatch

WEB = Alert(kind="slow", target="web-1", labels={"zone": "a", "tier": "app"})


@pytest.mark.parametrize(
    ("match", "meant"),
    [
        ({}, True),
        ({"kind": "slow"}, True),
        ({"kind": "Slow"}, False),
        ({"kind": "slo"}, False),
        ({"kind": ["down", "slow"]}, True),
        ({"target": "web-2"}, False),
        ({"strategy": "restart"}, True),
        ({"strategy": "scale"}, False),
        ({"labels": {"zone": "a"}}, True),
        ({"labels": {"zone": ["b", "a"], "tier": "app"}}, True),
        ({"labels": {"zone": "a", "tier": "db"}}, False),
        ({"labels": {"rack": "1"}}, False),
        ({"kind": "slow", "target": "web-2"}, False),
    ],
)
def test_everything_said_has_to_hold(match: dict[str, Any], meant: bool) -> None:
    """Equality or one of several, for each thing that is said; a label that is missing is not meant."""
    assert structure(match, AlertMatch).matches(WEB, "restart") is meant


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"kind": ""}, "kind"),
        ({"target": []}, "target"),
        ({"kind": ["a", " "]}, "kind"),
        ({"labels": {"zone": ""}}, "labels"),
        ({"kind": "a.*", "regex": True}, "regex"),
        ({"kind": ["x"] * 101}, "kind"),
        ({"labels": {str(n): "x" for n in range(101)}}, "labels"),
    ],
)
def test_blanks_and_unknown_keys_are_refused(data: dict[str, Any], told: str) -> None:
    """What would match nothing, or is misspelt, is told with its path."""
    with pytest.raises(InvalidConfigError, match=rf"match\.{told}"):
        structure(data, AlertMatch, "match")


def test_made_in_python_it_checks_too() -> None:
    """The class itself refuses what is not text, and takes a list."""
    with pytest.raises(ConfigError, match=r"AlertMatch\.kind"):
        AlertMatch(kind=3)
    assert AlertMatch(kind=["x"] * 100).matches(Alert(kind="x"))
    assert AlertMatch(labels={"a": ["x", "y"]}).labels == {"a": ("x", "y")}


def test_it_says_itself_in_words() -> None:
    """The description has each thing that is said, or says that nothing is."""
    match = AlertMatch(kind=("a", "b"), strategy="s", labels={"zone": "z"})

    assert match.describe() == "kind 'a' or 'b', strategy 's', label zone 'z'"
    assert AlertMatch().describe() == "any alert"
    assert (AlertMatch().is_empty, match.is_empty) == (True, False)


WORD = st.sampled_from("xy")
SAID = st.none() | WORD | st.lists(WORD, min_size=1, max_size=2, unique=True).map(tuple)
MATCHES = st.builds(
    AlertMatch,
    kind=SAID,
    target=SAID,
    strategy=SAID,
    labels=st.dictionaries(st.sampled_from("lm"), WORD),
)
ALERTS = st.builds(Alert, kind=WORD, target=WORD, labels=st.dictionaries(st.sampled_from("lm"), WORD))


@given(MATCHES, MATCHES, ALERTS, WORD)
def test_two_that_mean_one_alert_overlap(one: AlertMatch, other: AlertMatch, alert: Alert, strategy: str) -> None:
    """Whenever one alert is meant by both, they are known to overlap, either way round."""
    assert one.overlaps(other) is other.overlaps(one)
    if one.matches(alert, strategy) and other.matches(alert, strategy):
        assert one.overlaps(other)


@given(MATCHES, MATCHES)
def test_two_that_overlap_mean_one_alert(one: AlertMatch, other: AlertMatch) -> None:
    """Where they are said to overlap, there is such an alert among all there can be."""
    alerts = [
        (Alert(kind=kind, target=target, labels={"l": label, "m": mark}), strategy)
        for kind in "xy"
        for target in "xy"
        for label in "xy"
        for mark in "xy"
        for strategy in "xy"
    ]
    both = any(one.matches(alert, by) and other.matches(alert, by) for alert, by in alerts)

    assert one.overlaps(other) is both

"""Event records: frozen, comparable, and strict about what they say."""

from __future__ import annotations

import pickle

import attrs
import pytest

from selfheal import events
from selfheal.errors import ConfigError
from selfheal.events import Alert, BreakerStateChanged, Event, Severity


def test_records_are_frozen() -> None:
    """What happened cannot be changed by one of those who were told."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Alert(kind="leak").kind = "other"  # type: ignore[misc]


def test_all_events_are_events() -> None:
    """Every record offered by the module is an event, so that a subscriber to all of them gets it."""
    records = [getattr(events, name) for name in events.__all__]
    records = [r for r in records if isinstance(r, type) and attrs.has(r)]

    assert len(records) > 10
    assert all(issubclass(record, Event) for record in records)


def test_names_are_sorted() -> None:
    """``__all__`` is in plain alphabetical order."""
    assert events.__all__ == sorted(set(events.__all__))


def test_same_problem_has_the_same_fingerprint() -> None:
    """Kind, target and metric make the problem; value, severity and time do not."""
    first = Alert(kind="cpu_spike", target="host", metric="cpu", value=81.0, at=1.0)
    again = Alert(kind="cpu_spike", target="host", metric="cpu", value=97.0, at=2.0, severity=Severity.CRITICAL)
    other = Alert(kind="cpu_spike", target="other", metric="cpu", value=81.0, at=1.0)

    assert first.fingerprint == again.fingerprint == "cpu_spike|host|cpu"
    assert other.fingerprint != first.fingerprint


def test_a_fingerprint_can_be_given() -> None:
    """A host that knows better which alerts are one says so."""
    assert Alert(kind="latency", fingerprint="slow-upstream").fingerprint == "slow-upstream"


def test_severity_may_be_written_as_a_word() -> None:
    """A severity read from a file becomes the severity."""
    assert Alert(kind="x", severity="critical").severity is Severity.CRITICAL


def test_an_unknown_severity_is_refused_in_words() -> None:
    """A word that is no severity is refused, naming the three."""
    with pytest.raises(ConfigError) as caught:
        Alert(kind="x", severity="fatal")

    assert str(caught.value) == (
        "Alert.severity must be one of 'info', 'warning', 'critical', got 'fatal'. The default is 'warning'."
    )


def test_labels_are_copied() -> None:
    """Who made an alert cannot change it afterwards through the mapping it gave."""
    labels = {"region": "north"}
    alert = Alert(kind="x", labels=labels)
    labels["region"] = "south"

    assert alert.labels == {"region": "north"}


@pytest.mark.parametrize(
    "event",
    [
        Alert(kind="cpu_spike", target="host", value=81.0, labels={"a": "b"}, at=5.0),
        BreakerStateChanged(breaker="db", old="CLOSED", new="OPEN", reason="3 failures", at=5.0),
    ],
)
def test_events_travel_between_processes(event: Event) -> None:
    """An event survives pickling."""
    assert pickle.loads(pickle.dumps(event)) == event

"""Held targets: held without asking, released by a person alone."""

from __future__ import annotations

import json

import pytest

from selfheal.configuring import structure
from selfheal.errors import ConfigError, InvalidConfigError, NotFoundError
from selfheal.policies.target_holds import TargetHold, TargetHolds, TargetHoldsConfig

T0 = 1_700_000_000.0


def test_a_held_target_is_held_with_its_first_reason() -> None:
    """Holding again keeps what was said first; other targets are free."""
    holds = TargetHolds()
    first = holds.hold("web", "restart in doubt", T0, run="r1", step=2)

    assert holds.hold("web", "something else", T0 + 1) == first
    assert holds.check("web") == "'web' is held: restart in doubt"
    assert holds.check("db") is None
    assert holds.snapshot() == (TargetHold(target="web", reason="restart in doubt", at=T0, run="r1", step=2),)


def test_a_person_releases_with_name_and_reason() -> None:
    """Without both it stays held; what is not held is told with what is."""
    holds = TargetHolds()
    held = holds.hold("web", "in doubt", T0)
    for said in ({"by": " ", "reason": "r"}, {"by": "b", "reason": ""}):
        with pytest.raises(ConfigError, match="not blank"):
            holds.release("web", **said)
        with pytest.raises(ConfigError, match="not blank"):
            holds.release_all(**said)
    with pytest.raises(NotFoundError, match="no held target is named 'db'. There are: web"):
        holds.release("db", by="maria", reason="looked")

    assert holds.check("web") is not None
    assert holds.release("web", by="maria", reason="looked") == held
    assert holds.check("web") is None


def test_without_room_everything_is_held() -> None:
    """One target more than can be kept by name holds all of them, until a person releases all."""
    holds = TargetHolds(structure({"limit": 1}, TargetHoldsConfig))
    holds.hold("a", "in doubt", T0)
    assert holds.check("c") is None
    holds.hold("a", "again", T0)
    assert not holds.overflowed
    holds.hold("b", "in doubt", T0)

    assert len(holds) == 1
    assert holds.check("c") == "more than 1 targets are held, so all are, 'c' too"
    holds.release("a", by="maria", reason="looked")
    assert holds.check("c") is not None
    assert holds.release_all(by="maria", reason="looked at all") == ()
    assert holds.check("c") is None


def test_a_restart_keeps_what_is_held_as_plain_data() -> None:
    """Through JSON and back the same targets are held for the same reasons."""
    holds, again = TargetHolds(), TargetHolds()
    holds.hold("a", "in doubt", T0, run="r", step=3)
    holds.hold("b", "in doubt too", T0 + 1)
    data = json.loads(json.dumps([one.as_data() for one in holds.snapshot()]))
    again.restore(structure(one, TargetHold) for one in data)

    assert again.snapshot() == holds.snapshot()
    with pytest.raises(InvalidConfigError, match=r"holds\.limit"):
        structure({"limit": 0}, TargetHoldsConfig, "holds")

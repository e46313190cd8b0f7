"""The app's own strategy beside those that ship."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from examples.reference_app.config import AppConfig
from examples.reference_app.detection import KINDS
from examples.reference_app.healing import BACKUP, MAY_BE_RESTARTED, REPAIR, RESTORE, actions_with, make_engine
from examples.reference_app.repair import Repair
from selfheal import Alert, CircuitBreaker, DormantController, EventBus, FeatureFlags, StrategyEngine
from selfheal.errors import InvalidConfigError
from selfheal.healing import Outcome
from selfheal.healing.strategies import StrategySet, shipped
from selfheal.levers import Levers
from selfheal.policies.breaker import BreakerRegistry


class Fixing(Repair):
    """A repair that only remembers what it was for."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.done: list[str] = []

    def heal(self, alert: Alert, checkpoint: Callable[[], None]) -> str:
        checkpoint()
        self.done.append(alert.kind)
        if self.error is not None:
            raise self.error
        return "fixed"


class Anything:
    """Every lever at once, none of which is pulled here."""

    rate, burst, enabled, active = 1.0, 1.0, True, "upstream"

    def _nothing(self, *_: object, **__: object) -> None:
        raise AssertionError("no lever is pulled here")

    set_rate = enable = disable = clear = size = restart = status = switch = return_to = _nothing
    snapshot = scale = redistribute = notify = _nothing
    newest = backup = find = verify = standing = restore = take_back = _nothing


def engine(directory: Path, repair: Repair, **options: object) -> StrategyEngine:
    names = ("rate_limiter", "cache", "services", "fallback", "workers", "queue", "snapshotter", "backups")
    events = EventBus()
    return make_engine(
        AppConfig(state_dir=directory).faster(100),
        levers=Levers({name: Anything() for name in names}, **options),
        repair=repair,
        dormancy=DormantController(events=events),
        breaker=CircuitBreaker("healer", registry=BreakerRegistry(), events=events),
        flags=FeatureFlags(directory, {}),
        events=events,
    )


def test_the_six_are_used_as_they_ship() -> None:
    """What is the app's own has a name and alerts of its own, and nothing stands against it."""
    own = StrategySet([REPAIR, BACKUP, RESTORE])
    both = shipped("six").merged(own)

    assert [spec for spec in both if spec not in (REPAIR, BACKUP, RESTORE)] == list(shipped("six"))
    assert own.check(actions_with(Fixing()), {"backups": Anything()}, MAY_BE_RESTARTED) == ()


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_detection_finds_is_repaired(tmp_path: Path, kind: str) -> None:
    """Each kind of its alerts, by one action, with what it did in the journal."""
    repair = Fixing()
    healing = engine(tmp_path, repair, notifier=Anything())

    record = healing.handle(Alert(kind=kind, target="gateway"))
    healing.close()

    assert (record.strategy, record.outcome, repair.done) == ("repair", Outcome.HEALED, [kind])
    assert '"receipt":{"done":"fixed"}' in (tmp_path / "journal.jsonl").read_text()


def test_a_repair_that_raises_is_a_failed_healing_that_says_why(tmp_path: Path) -> None:
    """It is tried again as the backoff allows: no grace period stands against it."""
    repair = Fixing()
    repair.error = ValueError("no key")
    healing = engine(tmp_path, repair, notifier=Anything())

    record = healing.handle(Alert(kind="no_active_keys", target="key-pool"))
    guards = [refusal.guard for refusal in healing.explain("repair", "key-pool").refusals]
    healing.close()

    assert record.outcome is Outcome.FAILED
    assert "ValueError: no key" in record.error
    assert [str(guard) for guard in guards] == ["backoff"]


def test_a_lever_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    """With the strategy that needs it, before anything runs."""
    with pytest.raises(InvalidConfigError, match=r"low-success-rate[\s\S]*notifier|notifier[\s\S]*low-success-rate"):
        engine(tmp_path, Fixing())

"""What the host brings along itself, in a dry run."""

from __future__ import annotations

from pathlib import Path

from selfheal import Alert, EventBus, FeatureFlags, StrategyEngine
from selfheal.healing import CallableStrategy, Outcome
from selfheal.healing.engine import Mode
from selfheal.healing.strategies import StrategySet
from selfheal.testing import FakeClock


def engine(directory: Path, mode: Mode, done: list[str]) -> StrategyEngine:
    return StrategyEngine(
        StrategySet(),
        levers={},
        host_strategies=[CallableStrategy(lambda alert: done.append("healed"), "own")],
        preventive=lambda: done.append("prevented"),
        mode=mode,
        flags=FeatureFlags(directory, {}),
        clock=FakeClock(),
        events=EventBus(),
    )


def test_in_a_dry_run_nothing_of_the_host_is_called(tmp_path: Path) -> None:
    """Neither its strategies nor its prevention: both are planned, which is neither success nor failure."""
    done: list[str] = []
    dry = engine(tmp_path, Mode.DRY_RUN, done)

    records = [dry.handle(Alert(kind="any", target="it")), dry.healer.prevent()]

    assert done == []
    assert [record.outcome for record in records] == [Outcome.PLANNED, Outcome.PLANNED]
    assert records[0].strategy == "own"
    assert dry.healer.snapshot().consecutive_failures == 0


def test_live_both_are_called(tmp_path: Path) -> None:
    """The strategy by the alert, the prevention by its task."""
    done: list[str] = []
    live = engine(tmp_path, Mode.LIVE, done)

    records = [live.handle(Alert(kind="any", target="it")), live.healer.prevent()]

    assert done == ["healed", "prevented"]
    assert [record.outcome for record in records] == [Outcome.HEALED, Outcome.HEALED]

"""Whatever happens to an engine, what must never be never is: random strategies and faults on a virtual clock.

What is checked, at each entry of the journal and each pull of a lever, stands in ``witness.py``.
"""

from __future__ import annotations

import logging
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.healing.engine.scenarios import draw_ops, draw_scenario
from tests.healing.engine.simulation import Simulation

T = TypeVar("T")

HOURS = 10_000
"""Simulated hours at least, over all seeded scripts."""
CHUNKS = 8
OPS = 250
"""Things that happen in a seeded script."""
HAPPENED = {
    "healing_started", "level_started", "action_intent", "action_done", "action_failed", "verified", "rollback_intent",
    "rollback_done", "healing_finished", "healing_refused", "approval", "dormancy_entered", "dormancy_left",
}  # fmt: skip
"""Entries that each part has to have seen, or it shows nothing."""


@pytest.fixture(autouse=True)
def _quietly() -> Iterator[None]:
    """Thousands of failures are looked at one by one here, and not read in a log."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


class Seeded:
    """Random choices from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def pick(self, options: Sequence[T], /) -> T:
        """One of them."""
        return self._random.choice(options)


class Drawn:
    """Random choices of hypothesis, which finds the shortest way to what is wrong."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def pick(self, options: Sequence[T], /) -> T:
        """One of them."""
        return self._data.draw(st.sampled_from(options))


@given(st.data())
@settings(
    max_examples=40,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
def test_no_limit_is_broken_whatever_happens(data: st.DataObject) -> None:
    """Short scripts: budgets, protection, dormancy, exclusivity, rollback order and verdicts hold at every step."""
    source = Drawn(data)
    with tempfile.TemporaryDirectory() as directory:
        simulation = Simulation(draw_scenario(source), Path(directory) / "journal.jsonl")
        simulation.play(draw_ops(source, data.draw(st.integers(1, 40))))
        simulation.end()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_limit_is_broken_in_ten_thousand_hours(
    chunk: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Long scripts, as many as it takes for the hours: the same holds, and everything that can happen did."""
    hours, healed, seed = 0.0, 0, chunk
    entries: Counter[str] = Counter()
    while hours < HOURS / CHUNKS:
        source = Seeded(seed)
        simulation = Simulation(draw_scenario(source), tmp_path / f"{seed}.jsonl")
        try:
            simulation.play(draw_ops(source, OPS))
            simulation.end()
        except BaseException as error:
            error.add_note(f"seed {seed}, after {simulation.hours:.1f} simulated hours")
            raise
        hours += simulation.hours
        healed += simulation.witness.healed
        entries.update(simulation.witness.counts)
        seed += CHUNKS
    record_property("simulated_hours", hours)
    print(f"{hours:.0f} simulated hours, {entries['healing_started']} healings, {healed} healed: {dict(entries)}")
    assert hours >= HOURS / CHUNKS
    assert healed
    assert entries.keys() >= HAPPENED, f"never happened: {HAPPENED - entries.keys()}"

"""How the demo tells a healing from the journal."""

from __future__ import annotations

from typing import Any

from examples.reference_app.faults import Healed, in_words
from selfheal.journal import Entry


def entry(type: str, at: float, **fields: Any) -> Entry:
    return Entry(seq=int(at), at=at, type=type, fields=fields)


def test_a_record_is_told_in_words_with_its_time() -> None:
    """What was measured, what was done, what came of it; of other records the type."""
    started = entry(
        "healing_started",
        10.0,
        strategy="high-cpu",
        target="indexer",
        alert={"metric": "cpu_percent", "value": 99.96},
    )

    assert in_words(started, 3.14) == ("  +3.1 s  detected: cpu_percent of indexer is 99.96, for strategy high-cpu")
    assert in_words(entry("verified", 11.0, verdict="fixed"), 5.0) == "  +5.0 s  verified: fixed"
    assert in_words(entry("rollback_done", 11.0), 5.0) == "  +5.0 s  rollback_done"


def test_what_was_done_leaves_out_what_was_not() -> None:
    """Only actions that were done count, and the receipt is that of the last."""
    healed = Healed(
        strategy="high-memory",
        detected=1.0,
        repaired=2.0,
        entries=(
            entry("action_done", 1.0, receipt={"a": 1}),
            entry("action_done", 2.0, receipt={"b": 2}),
            entry(
                "healing_finished",
                3.0,
                actions=[
                    {"action": "clear_cache", "state": "skipped"},
                    {"action": "restart_service", "state": "done"},
                ],
            ),
        ),
    )

    assert healed.done == ["restart_service"]
    assert healed.receipt() == {"b": 2}

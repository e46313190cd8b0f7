"""Five thousand tasks through a pool whose workers are killed all the while (the long run is in the benchmarks)."""

from __future__ import annotations

import pytest

from benchmarks.bench_queue import drill


@pytest.mark.timeout(300)
def test_nothing_is_lost_and_nothing_done_twice_undeclared() -> None:
    """Each task is done, and each time it is done again its delivery count says so."""
    report = drill(5_000, every=0.15, seed=7, timeout=250.0)

    assert report.kills >= 5
    assert (report.lost, report.undeclared, report.dead) == (0, 0, 0)
    assert report.declared <= report.kills

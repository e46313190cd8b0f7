"""What became of the requests, from look to look."""

from __future__ import annotations

import math

from examples.reference_app.calls import Calls


def test_a_look_takes_what_came_since_the_last() -> None:
    """One of four failed, two answers took 0.2 s and 0.4 s; the next look knows nothing of them."""
    calls = Calls()
    for failed in (False, False, True, False):
        calls.asked(failed=failed)
    calls.answered(0.2)
    calls.answered(0.4)

    looked = calls.take()

    assert looked.success_rate == 0.75
    assert math.isclose(looked.latency_ms, 300.0)
    assert math.isnan(calls.take().success_rate)
    assert math.isnan(calls.take().latency_ms)

"""A circuit breaker in the plainest way: keeps every result in a list and counts it anew each time."""

from __future__ import annotations

import math
from typing import Any

from selfheal import BreakerConfig, CountWindow, TimeWindow
from selfheal.policies.breaker import BreakerState as S


class ModelBreaker:
    """What the breaker ought to do, said without a thought to speed."""

    def __init__(self, config: BreakerConfig, now: float) -> None:
        self.c = config
        self.state = S.CLOSED
        self.life = 0
        self.streak = 0
        self.until = -math.inf
        self.opened_in_a_row = 0
        self.results: list[tuple[float, bool, bool]] = []
        self.probes: dict[int, float] = {}
        self.good_probes = 0
        self.next_call = 0
        self.calls: dict[int, tuple[int, bool]] = {}
        self.counts = dict.fromkeys(("successes", "failures", "ignored", "cancelled", "late", "rejected", "slow"), 0)

    def enter(self, state: S, until: float = -math.inf) -> None:
        self.state, self.until = state, until
        self.life += 1
        self.probes, self.good_probes = {}, 0
        if state in (S.CLOSED, S.METRICS_ONLY):
            self.results = []
        if state is S.CLOSED:
            self.opened_in_a_row = 0

    def begin(self, now: float) -> int | None:
        if self.state is S.OPEN and now >= self.until:
            self.enter(S.HALF_OPEN)
        if self.state in (S.OPEN, S.PERMANENT_OPEN, S.FORCED_OPEN):
            self.counts["rejected"] += 1
            return None
        if self.state is S.HALF_OPEN and len(self.probes) >= self.c.half_open_probes:
            self.probes = {call: end for call, end in self.probes.items() if end > now}
            if len(self.probes) >= self.c.half_open_probes:
                self.counts["rejected"] += 1
                return None
        self.next_call += 1
        probe = self.state is S.HALF_OPEN
        self.calls[self.next_call] = (self.life, probe)
        if probe:
            self.probes[self.next_call] = now + self.c.probe_timeout
        return self.next_call

    def end(self, call: int, outcome: str, now: float, slow: bool = False, **what: Any) -> None:
        life, probe = self.calls.pop(call)
        if life != self.life or (probe and self.probes.pop(call, None) is None):
            self.counts["late"] += 1
            return
        if self.state is S.DISABLED:
            return
        self.counts[outcome] += 1
        if outcome in ("ignored", "cancelled"):
            return
        self.counts["slow"] += slow
        failed = outcome == "failures"
        self.streak = self.streak + 1 if failed else self.streak
        slow_counts = self.c.window is not None and self.c.window.slow_call_rate is not None
        if not failed and not (probe and slow and slow_counts):
            self.streak = 0
        if not probe:
            self.results.append((now, failed, slow))
        if self.state is S.METRICS_ONLY:
            return
        enough = self.c.window is None and self.streak >= (self.c.permanent_threshold or math.inf)
        if failed and (what.get("permanent") or enough):
            self.enter(S.PERMANENT_OPEN, math.inf)
        elif probe and (failed or (slow and slow_counts)):
            self.open(now, what.get("retry_after"))
        elif probe:
            self.good_probes += 1
            if self.good_probes >= self.c.success_threshold:
                self.enter(S.CLOSED)
        elif (failed and what.get("opens")) or self.too_bad(now, failed):
            self.open(now, what.get("retry_after"))

    def too_bad(self, now: float, failed: bool) -> bool:
        if self.c.window is None:
            return failed and self.streak >= self.c.failure_threshold
        seen = self.in_window(now)
        if len(seen) < self.c.window.minimum_calls:
            return False
        slow_limit = self.c.window.slow_call_rate
        return self.share(seen, 1) >= self.c.window.failure_rate or (
            slow_limit is not None and self.share(seen, 2) >= slow_limit
        )

    def in_window(self, now: float) -> list[tuple[float, bool, bool]]:
        window = self.c.window
        if isinstance(window, CountWindow):
            return self.results[-window.size :]
        assert isinstance(window, TimeWindow)
        width = window.seconds / window.buckets
        return [r for r in self.results if now // width - r[0] // width < window.buckets]

    @staticmethod
    def share(seen: list[tuple[float, bool, bool]], which: int) -> float:
        return sum(bool(r[which]) for r in seen) / len(seen)

    def open(self, now: float, retry_after: float | None = None, by_hand: bool = False) -> None:
        self.opened_in_a_row += 1
        if self.c.window and not by_hand and self.opened_in_a_row >= (self.c.permanent_threshold or math.inf):
            in_a_row = self.opened_in_a_row - 1
            self.enter(S.PERMANENT_OPEN, math.inf)
            self.opened_in_a_row = in_a_row
            return
        wait = self.c.open_backoff.delay(self.opened_in_a_row) if self.c.open_backoff else self.c.open_for
        in_a_row = self.opened_in_a_row
        self.enter(S.OPEN, now + max(wait, min(retry_after or 0.0, self.c.retry_after_cap)))
        self.opened_in_a_row = in_a_row

    def reset(self, force: bool) -> str:
        if self.state is S.PERMANENT_OPEN and not force:
            return "refused"
        changed = self.state is not S.CLOSED or self.streak > 0
        self.streak = 0
        if self.state is not S.CLOSED:
            self.enter(S.CLOSED)
        self.results = []
        return "changed" if changed else "same"

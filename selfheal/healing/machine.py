"""Whether a healing may begin, and what its outcome means: pure, without clock, lock or I/O."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import TypedDict

import attrs

from selfheal.healing.records import GuardName, Lane, Outcome
from selfheal.policies.backoff import ExponentialBackoff
from selfheal.validators import between

HOUR = 3600.0
MOST_PER_HOUR = 100_000


@attrs.frozen(kw_only=True)
class HealerConfig:
    """The limits of a healer.

    Args:
        failure_limit: failed healings in a row that end all healing until a person resumes it.
        attempts_per_hour: healings begun at most in any 3600 s, whatever comes of them; ``None``: as
            many as shortest waits of the backoff fit into an hour, 720 with the default of 5 s.
        concurrency: healings at once; 1 after a resume until one has succeeded.
        pending_limit: alerts that wait at most; further ones are not taken.
        alert_ttl: seconds that an alert waits at most since it was last raised.
        history_limit: attempts, and apart from them refusals, that are remembered.
        check_every: seconds between two looks at the resume checks while dormant.
        settle: seconds after a jump of the clock in which no healing begins; 0: a jump changes nothing.

    Raises:
        ConfigError: if a value is out of range.
    """

    failure_limit: int = attrs.field(default=10, validator=between(1, 10_000))
    attempts_per_hour: int | None = attrs.field(default=None, validator=between(1, MOST_PER_HOUR, optional=True))
    concurrency: int = attrs.field(default=1, validator=between(1, 1000))
    pending_limit: int = attrs.field(default=100, validator=between(1, 100_000))
    alert_ttl: float = attrs.field(default=300.0, validator=between(0.001, 604_800.0, "s"))
    history_limit: int = attrs.field(default=200, validator=between(1, 100_000))
    check_every: float = attrs.field(default=300.0, validator=between(0.001, 86_400.0, "s"))
    settle: float = attrs.field(default=30.0, validator=between(0.0, 86_400.0, "s"))


class HealerOptions(TypedDict, total=False):
    """The fields of :class:`HealerConfig` as keyword arguments of a healer."""

    failure_limit: int
    attempts_per_hour: int | None
    concurrency: int
    pending_limit: int
    alert_ttl: float
    history_limit: int
    check_every: float
    settle: float


@attrs.frozen
class Permit:
    """Leave to run one healing.

    Args:
        number: counts healings, from 1.
        lane: healing or preventive.
        generation: of the machine; a resume begins the next one.
    """

    number: int
    lane: Lane
    generation: int


@attrs.frozen
class Refused:
    """No leave.

    Args:
        guard: what stands against it.
        reason: in words.
        retry_in: seconds until it may not any more; ``None`` if time does not tell.
    """

    guard: GuardName
    reason: str
    retry_in: float | None = None


@attrs.frozen
class Verdict:
    """What an outcome meant.

    Args:
        counted: whether it moved the count of failures in a row.
        failures: failures in a row now.
        limit_reached: whether healing has to stop for good.
        wait: seconds until the next may begin.
    """

    counted: bool
    failures: int
    limit_reached: bool = False
    wait: float = 0.0


class HealerMachine:
    """Counts, waits and places of one healer. All times are monotonic seconds.

    Args:
        config: its limits.
        attempts_per_hour: healings begun at most in any 3600 s.
        delay: seconds of wait after the n-th failure in a row; a table, not a callback.
    """

    def __init__(self, config: HealerConfig, attempts_per_hour: int, delay: Callable[[int], float]) -> None:
        self.config = config
        self.attempts_per_hour = attempts_per_hour
        self._delay = delay
        self.generation = 0
        self.probation = False
        self.attempts = 0
        self.outcomes: Counter[Outcome] = Counter()
        self.refused: Counter[GuardName] = Counter()
        self.failures = dict.fromkeys(Lane, 0)
        self._ready_at = dict.fromkeys(Lane, -math.inf)
        self._settled_at = -math.inf
        self._running: dict[int, Permit] = {}
        self._begun: deque[float] = deque()

    @property
    def running(self) -> int:
        """Healings in progress."""
        return len(self._running)

    def acquire(
        self,
        lane: Lane,
        standing: Refused | None,
        now: float,
        *,
        paced: Sequence[Refused] = (),
        placed: Sequence[Refused] = (),
    ) -> Permit | Refused:
        """Ask to begin a healing at ``now``.

        Args:
            lane: healing or preventive.
            standing: what stands against it outside of this machine: flags, dormancy or breaker; they
                are asked before what is decided here.
            now: monotonic seconds.
            paced: what stands against it and is asked after the backoff.
            placed: what stands against it and is asked after the hour's budget.
        """
        refused = standing or next(iter(self.all_standing(lane, now, paced=paced, placed=placed)), None)
        if refused is not None:
            self.refused[refused.guard] += 1
            return refused
        self.attempts += 1
        self._begun.append(now)
        permit = Permit(self.attempts, lane, self.generation)
        self._running[permit.number] = permit
        return permit

    def standing(self, lane: Lane, now: float) -> Refused | None:
        """What of settling, backoff, budget and place would refuse a healing at ``now``. Counts nothing."""
        return next(iter(self.all_standing(lane, now)), None)

    def all_standing(
        self, lane: Lane, now: float, *, paced: Sequence[Refused] = (), placed: Sequence[Refused] = ()
    ) -> list[Refused]:
        """Everything that would refuse a healing at ``now``, in the order in which it is asked. Counts nothing."""
        asked = (
            self.unsettled(now),
            self._waiting(lane, now),
            *paced,
            self._over_budget(now),
            *placed,
            self._no_place(),
        )
        return [refused for refused in asked if refused is not None]

    def restore(self, failures: int, begun_ago: Iterable[float], now: float) -> None:
        """Take over the failures in a row, and the healings begun so many seconds ago, of a process before this one.

        A failure counts as if it had just happened: its wait begins anew. What is told to lie in the future counts
        as of now.
        """
        self.failures[Lane.HEALING] = failures
        if failures:
            self._ready_at[Lane.HEALING] = now + self._delay(failures)
        self._begun.extend(sorted(now - max(0.0, ago) for ago in begun_ago if ago < HOUR))

    def jumped(self, now: float) -> None:
        """The clock jumped: let things settle from ``now`` on, however long a jump before still had to."""
        self._settled_at = now + self.config.settle

    def settling(self, now: float) -> float:
        """Seconds left to settle; 0 if the clock did not jump lately."""
        return max(self._settled_at - now, 0.0)

    def unsettled(self, now: float) -> Refused | None:
        """The refusal while things settle. Counts nothing."""
        left = self.settling(now)
        if left <= 0:
            return None
        return Refused(GuardName.SETTLING, f"the clock jumped; things settle for {self.config.settle:g} s", left)

    def record(self, permit: Permit, outcome: Outcome, now: float) -> Verdict:
        """Take the outcome of a healing that ended at ``now``, and give its place back.

        An outcome of before a resume moves no count: it is about another time.
        """
        if self._running.pop(permit.number, None) is None:
            return Verdict(False, self.failures[permit.lane])
        self.outcomes[outcome] += 1
        if permit.generation != self.generation or outcome not in (Outcome.HEALED, Outcome.FAILED):
            return Verdict(False, self.failures[permit.lane])
        if outcome is Outcome.HEALED:
            return self._healed(permit.lane)
        return self._failed(permit.lane, now)

    def reset(self) -> None:
        """A person resumed: forget failures and waits, and go on with one at a time.

        The budget stays spent, and a clock that jumped stays a clock that jumped.
        """
        self.generation += 1
        self.probation = True
        self.failures = dict.fromkeys(Lane, 0)
        self._ready_at = dict.fromkeys(Lane, -math.inf)

    def forget_running(self) -> None:
        """Give all places back: what held them is not in this process."""
        self._running.clear()

    def retry_in(self, lane: Lane, now: float) -> float:
        """Seconds until settling, backoff and budget let a healing begin; 0 if now."""
        refusals = (self.unsettled(now), self._waiting(lane, now), self._over_budget(now))
        return max([0.0, *(refused.retry_in or 0.0 for refused in refusals if refused is not None)])

    def begun_last_hour(self, now: float) -> int:
        """Healings begun in the last 3600 s."""
        while self._begun and self._begun[0] + HOUR <= now:
            self._begun.popleft()
        return len(self._begun)

    def _healed(self, lane: Lane) -> Verdict:
        self.failures[lane] = 0
        self._ready_at[lane] = -math.inf
        if lane is Lane.HEALING:
            self.probation = False
        return Verdict(True, 0)

    def _failed(self, lane: Lane, now: float) -> Verdict:
        self.failures[lane] += 1
        failures = self.failures[lane]
        wait = self._delay(failures)
        self._ready_at[lane] = max(self._ready_at[lane], now + wait)
        return Verdict(True, failures, failures >= self.config.failure_limit, wait)

    def _waiting(self, lane: Lane, now: float) -> Refused | None:
        wait = self._ready_at[lane] - now
        if wait <= 0:
            return None
        return Refused(GuardName.BACKOFF, f"waiting after {self.failures[lane]} failures in a row", wait)

    def _over_budget(self, now: float) -> Refused | None:
        if self.begun_last_hour(now) < self.attempts_per_hour:
            return None
        wait = self._begun[0] + HOUR - now
        return Refused(GuardName.BUDGET, f"{self.attempts_per_hour} healings began in the last hour, the most", wait)

    def _no_place(self) -> Refused | None:
        most = 1 if self.probation else self.config.concurrency
        if len(self._running) < most:
            return None
        why = "one at a time until one succeeds after a resume" if self.probation else f"at most {most} at once"
        return Refused(GuardName.BUSY, f"a healing is in progress; {why}")


def attempts_per_hour(config: HealerConfig, backoff: ExponentialBackoff) -> int:
    """How many healings can begin in any 3600 s: the configured number, or ``floor(3600 / base)``, at least 1.

    That is as many as if each waited the shortest wait of the backoff before the next.
    """
    if config.attempts_per_hour is not None:
        return config.attempts_per_hour
    if backoff.base * MOST_PER_HOUR <= HOUR:
        return MOST_PER_HOUR
    return max(1, math.floor(HOUR / backoff.base))


def failing_attempts_per_hour(config: HealerConfig, backoff: ExponentialBackoff, most: int) -> int:
    """How many healings can begin in any 3600 s if all fail and nobody resumes.

    The n-th begins ``shortest(1) + ... + shortest(n - 1)`` seconds after the first at the earliest, where
    ``shortest(i)`` is the least wait after i failures in a row; there are at most ``failure_limit`` of
    them before dormancy, and never more than ``most``. With more than one at a time the waits bound
    nothing, and ``failure_limit + concurrency - 1`` does. The breaker can only make it fewer.
    """
    if config.concurrency > 1:
        return min(config.failure_limit + config.concurrency - 1, most)
    begins = 0.0
    for attempts in range(1, min(config.failure_limit, most)):
        begins += backoff.shortest(attempts)
        if begins >= HOUR:
            return attempts
    return min(config.failure_limit, most)

"""Tests of the exponential backoff."""

from __future__ import annotations

import copy
import itertools
import os
import pickle
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.errors import ConfigError
from selfheal.policies.backoff import ExponentialBackoff

JITTERS = ["none", "full", "equal", "decorrelated"]


def test_table_with_the_defaults() -> None:
    """The waits double from 5 s and stay at 600 s."""
    backoff = ExponentialBackoff()

    assert [backoff.delay(n) for n in range(1, 11)] == [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_no_failure_yet_reports_the_base() -> None:
    """Before any failure the delay is the base, jittered or not."""
    assert ExponentialBackoff().delay() == 5.0
    assert ExponentialBackoff(jitter="full", seed=1).delay(0) == 5.0


@pytest.mark.parametrize("jitter", JITTERS)
@pytest.mark.parametrize("n", [64, 1024, 10**9, 10**30, 10**400])
def test_no_overflow(jitter: Any, n: int) -> None:
    """Any number of failures gives a finite wait of at most the cap."""
    for base in (5.0, 5e-324, 0.0):
        for factor in (1.0, 1.0000000000000002, 1.0000001, 2.0, 1000.0):
            assert 0 <= ExponentialBackoff(base=base, factor=factor, jitter=jitter, seed=3).delay(n) <= 600


@given(
    base=st.floats(0.0, 1000.0),
    growth=st.floats(1.0, 1000.0),
    extra=st.floats(0.0, 10_000.0),
    n=st.integers(0, 10**12),
    jitter=st.sampled_from(JITTERS),
    seed=st.integers(),
)
def test_wait_stays_within_its_bounds(base: float, growth: float, extra: float, n: int, jitter: Any, seed: int) -> None:
    """Whatever the configuration, a wait lies between its announced least value and the cap."""
    backoff = ExponentialBackoff(base=base, factor=growth, cap=base + extra, jitter=jitter, seed=seed)

    assert backoff.shortest(n) <= backoff.delay(n) <= backoff.cap


@given(n=st.integers(1, 200))
def test_plain_waits_never_shrink(n: int) -> None:
    """Without jitter a further failure never shortens the wait."""
    backoff = ExponentialBackoff(base=0.3, factor=1.7, cap=77.7)

    assert backoff.delay(n) <= backoff.delay(n + 1)
    assert backoff.delay(n) == pytest.approx(min(77.7, 0.3 * 1.7 ** (n - 1)))


def test_a_base_next_to_nothing_grows_to_the_cap() -> None:
    """The smallest base there is doubles all the way to the cap without a jump."""
    backoff = ExponentialBackoff(base=5e-324)
    waits = [backoff.delay(n) for n in range(1, 1200)]

    assert waits[-1] == 600
    assert all(after == pytest.approx(min(600, 2 * before)) for before, after in itertools.pairwise(waits))


@pytest.mark.parametrize(("jitter", "least"), [("full", 0.0), ("equal", 300.0), ("decorrelated", 5.0)])
def test_cap_comes_before_jitter(jitter: Any, least: float) -> None:
    """At the cap the jittered waits spread instead of all being the cap."""
    waits = [ExponentialBackoff(jitter=jitter, seed=seed).delay(500) for seed in range(200)]

    assert min(waits) >= least
    assert max(waits) < 600
    assert len(set(waits)) == 200


@pytest.mark.parametrize(("jitter", "mean"), [("full", 80.0), ("equal", 120.0)])
def test_jitter_is_spread_evenly(jitter: Any, mean: float) -> None:
    """Full jitter averages half of the wait, equal jitter three quarters of it."""
    waits = [ExponentialBackoff(jitter=jitter, seed=seed).delay(6) for seed in range(4000)]

    assert sum(waits) / len(waits) == pytest.approx(mean, rel=0.05)


def test_decorrelated_draws_up_to_three_times_the_previous_wait() -> None:
    """Each decorrelated wait lies between the base and three times the one before."""
    for seed in range(50):
        waits = list(itertools.islice(ExponentialBackoff(jitter="decorrelated", seed=seed), 60))
        for before, after in itertools.pairwise([5.0, *waits]):
            assert 5 <= after <= min(600, 3 * before)


@pytest.mark.parametrize("jitter", JITTERS)
def test_a_seed_makes_it_reproducible(jitter: Any) -> None:
    """Two backoffs of one seed and one history give the same waits; asking twice changes nothing."""
    one, two = (ExponentialBackoff(jitter=jitter, seed=7) for _ in range(2))
    first = [one.failed() for _ in range(20)]

    assert first == [two.failed() for _ in range(20)]
    assert one.delay() == one.delay() == first[-1]
    one.reset()
    two.reset()
    assert one.failed() == two.failed()


def test_another_seed_gives_other_waits() -> None:
    """The seed matters, and without one two backoffs do not wait in step."""
    waits = {ExponentialBackoff(jitter="full", seed=seed).delay(5) for seed in (1, 2, -3, 2**70)}
    loose = {ExponentialBackoff(jitter="full").delay(5) for _ in range(5)}

    assert len(waits) == 4
    assert len(loose) == 5


def test_reset_draws_anew() -> None:
    """After a reset a jittered backoff does not repeat the waits of the round before."""
    backoff = ExponentialBackoff(jitter="full", seed=1)
    first = [backoff.failed() for _ in range(5)]
    backoff.reset()

    assert [backoff.failed() for _ in range(5)] != first


def test_counts_and_resets() -> None:
    """failed() counts and returns the wait; a reset starts over from the base."""
    backoff = ExponentialBackoff()

    assert [backoff.failed() for _ in range(3)] == [5, 10, 20]
    assert (backoff.failures, backoff.delay()) == (3, 20)
    backoff.reset()
    assert (backoff.failures, backoff.delay(), backoff.failed()) == (0, 5, 5)


def test_iterates_over_the_waits_without_counting() -> None:
    """Iterating yields delay(1), delay(2) … for ever and leaves the count alone."""
    backoff = ExponentialBackoff()

    assert list(itertools.islice(backoff, 9)) == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    assert backoff.failures == 0


def test_count_is_exact_under_threads() -> None:
    """Failures counted by eight threads at once are all counted."""
    backoff = ExponentialBackoff(jitter="full")
    threads = [threading.Thread(target=lambda: [backoff.failed() for _ in range(2000)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert backoff.failures == 16_000


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"base": -1.0}, "base"),
        ({"base": float("nan")}, "base"),
        ({"base": True}, "base"),
        ({"base": "5"}, "base"),
        ({"factor": 0.5}, "factor"),
        ({"factor": float("inf")}, "factor"),
        ({"cap": 4.0}, "cap"),
        ({"cap": float("inf")}, "cap"),
        ({"jitter": "Full"}, "jitter"),
        ({"jitter": None}, "jitter"),
        ({"seed": 1.5}, "seed"),
        ({"seed": True}, "seed"),
    ],
)
def test_a_bad_setting_is_refused_by_name(options: dict[str, Any], where: str) -> None:
    """A value out of range is refused with the setting's name, what was found and what is accepted."""
    with pytest.raises(ConfigError, match=f"ExponentialBackoff.{where} must be") as caught:
        ExponentialBackoff(**options)

    assert caught.value.found is options[where]


@pytest.mark.parametrize("n", [-1, 1.0, True, "3"])
def test_a_bad_count_is_refused(n: Any) -> None:
    """delay() takes an integer of 0 or more and nothing that merely looks like one."""
    with pytest.raises(ConfigError, match="n of ExponentialBackoff"):
        ExponentialBackoff().delay(n)


def test_settings_are_fixed() -> None:
    """A setting cannot be changed behind the validators' back."""
    with pytest.raises(AttributeError):
        ExponentialBackoff().base = -5.0


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda backoff: pickle.loads(pickle.dumps(backoff))])
def test_copies_keep_count_and_draws(copied: Any) -> None:
    """A deep copy or pickle carries the count and the seed on, and counts for itself."""
    backoff = ExponentialBackoff(jitter="full")
    backoff.failed()
    twin = copied(backoff)

    assert (twin.failures, twin.delay(9)) == (1, backoff.delay(9))
    twin.failed()
    assert (twin.failures, backoff.failures) == (2, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_not_locked_out() -> None:
    """A lock held by another thread at the moment of a fork does not stop the child."""
    backoff = ExponentialBackoff()
    with backoff._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if backoff.failed() == 5.0 else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0

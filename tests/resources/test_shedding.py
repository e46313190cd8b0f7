"""Load shedding: the least critical first, by our own use and by what the other side says."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from selfheal.errors import BudgetExceededError, ConfigError, InvalidConfigError, LoadShedError, RateLimitedError
from selfheal.events import EventBus, LoadSheddingChanged
from selfheal.resources import (
    Criticality,
    LoadShedder,
    ResourceBudget,
    ShedderConfig,
    Usage,
    criticality_scope,
    current_criticality,
)
from selfheal.testing import FakeClock


class TooMany(Exception):
    """What an HTTP client raises for a status."""

    def __init__(self, status: int) -> None:
        self.status_code = status


def make(use: Callable[[], float | None] | float | None = None, **given: Any) -> LoadShedder:
    given.setdefault("clock", FakeClock())
    signal = use if callable(use) or use is None else lambda: use
    return LoadShedder(utilization=signal, seed=7, events=EventBus(), **given)


def share(shedder: LoadShedder, criticality: str, tries: int = 2000) -> float:
    """The share of requests of a class that is shed."""
    return sum(not shedder.allows(criticality) for _ in range(tries)) / tries


@pytest.mark.parametrize(
    ("use", "sheddable", "default", "critical"),
    [
        (0.0, 0.0, 0.0, 0.0),
        (0.70, 0.0, 0.0, 0.0),
        (0.775, 0.5, 0.0, 0.0),
        (0.85, 1.0, 0.0, 0.0),
        (0.925, 1.0, 0.5, 0.0),
        (1.0, 1.0, 1.0, 0.0),
        (1.1, 1.0, 1.0, 0.5),
        (9.9, 1.0, 1.0, 1.0),
    ],
)
def test_the_least_critical_is_shed_first(use: float, sheddable: float, default: float, critical: float) -> None:
    """The share grows evenly along each ramp, and a class is shed only where all of the one below it is."""
    shedder = make(use)

    assert share(shedder, "sheddable") == pytest.approx(sheddable, abs=0.04)
    assert share(shedder, "default") == pytest.approx(default, abs=0.04)
    assert share(shedder, "critical") == pytest.approx(critical, abs=0.04)


@given(st.floats(0.0, 3.0), st.floats(0.0, 3.0))
def test_more_use_never_sheds_less(one: float, other: float) -> None:
    """The share of each class grows with the use, and never falls below that of a more critical class."""
    low, high = (make(use).snapshot().chances for use in sorted((one, other)))

    for criticality in Criticality:
        assert low[criticality] <= high[criticality]
    assert high["sheddable"] >= high["default"] >= high["critical"]
    assert high["critical"] == 0.0 or high["default"] == 1.0


@pytest.mark.parametrize("signal", [None, float("nan"), float("inf")])
def test_what_is_not_known_sheds_nobody(signal: float | None) -> None:
    """A signal that is missing or no number counts as no use."""
    assert share(make(lambda: signal), "sheddable", 50) == 0.0


def test_a_signal_that_raises_is_told_and_sheds_nobody() -> None:
    """The problem is in the snapshot until the signal answers again."""
    broken = [True]

    def signal() -> float:
        if broken[0]:
            raise OSError("gone")
        return 0.1

    shedder = make(signal)
    assert shedder.allows("sheddable")
    assert shedder.snapshot().problem == "the utilization raised OSError"
    broken[0] = False
    assert shedder.snapshot().problem == ""


def test_one_seed_decides_the_same_again() -> None:
    """The dice are the seed's, so that a run can be repeated."""
    one, two = make(0.78), make(0.78)

    assert [one.allows("sheddable") for _ in range(200)] == [two.allows("sheddable") for _ in range(200)]


def test_a_refusal_says_why() -> None:
    """The error names the shedder, the class, the share and the reason."""
    with pytest.raises(LoadShedError) as caught:
        make(1.0, name="door").check("sheddable")

    error = caught.value
    assert (error.shedder, error.criticality, error.chance, error.why) == (
        "door",
        "sheddable",
        1.0,
        "the use is at 1.00",
    )


def test_the_other_side_is_believed_after_k() -> None:
    """The share held back is (requests - K accepts) / (requests + 1), as in the book."""
    shedder = make(k=2.0)
    for _ in range(40):
        shedder.accepted()
    for _ in range(40):
        shedder.refused()
    assert shedder.snapshot().chances["default"] == 0.0
    for _ in range(20):
        shedder.refused()

    assert shedder.snapshot().chances["default"] == pytest.approx((100 - 80) / 101)
    assert shedder.snapshot().answers["default"] == (100, 40)
    assert shedder.snapshot().chances["critical"] == 0.0


def test_what_is_held_back_counts_as_sent_what_is_shed_for_our_own_use_does_not() -> None:
    """Else the other side would be blamed for our own load."""
    busy = make(1.0)
    share(busy, "default", 100)
    assert busy.snapshot().answers["default"] == (0, 0)

    refused = make()
    for _ in range(10):
        refused.refused()
    shed = sum(not refused.allows() for _ in range(100))
    assert shed > 0
    assert refused.snapshot().answers["default"] == (10 + shed, 0)


def test_some_always_get_through() -> None:
    """However long the other side refuses, two in a hundred are sent to find out whether it still does."""
    shedder = make()
    sent = 0
    for _ in range(20_000):
        if shedder.allows():
            sent += 1
            shedder.refused()

    assert 0.015 < sent / 20_000 < 0.03


def test_it_finds_out_when_the_other_side_is_well_again() -> None:
    """After ten minutes of refusals, nothing is held back any more three windows after the other side recovered."""
    clock = FakeClock()
    shedder = make(clock=clock)

    def minute(well: bool) -> float:
        sent = 0
        for _ in range(600):
            clock.advance(0.1)
            if shedder.allows():
                sent += 1
                (shedder.accepted if well else shedder.refused)()
        return sent / 600

    assert min(minute(well=False) for _ in range(10)) < 0.05
    assert [minute(well=True) for _ in range(7)][6] == 1.0


def test_old_answers_are_forgotten() -> None:
    """A window later nothing of them counts, and nothing of them is kept."""
    clock = FakeClock()
    shedder = make(clock=clock, window=120.0)
    for _ in range(500):
        shedder.refused()
    assert shedder.snapshot().chances["default"] == 0.98
    clock.advance(120.0)
    assert shedder.snapshot().chances["default"] == 0.0
    assert shedder.snapshot().answers["default"] == (0, 0)


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 50.0)), max_size=200))
def test_answers_of_the_window_are_counted_as_a_list_would(answers: list[tuple[bool, float]]) -> None:
    """Within a part of the window, the counts are those of a list with times."""
    clock = FakeClock()
    shedder = make(clock=clock, window=48.0)
    told: list[tuple[float, bool]] = []
    for accepted, gap in answers:
        clock.advance(gap)
        (shedder.accepted if accepted else shedder.refused)()
        told.append((clock.monotonic(), accepted))
        part = clock.monotonic() // 2.0
        kept = [good for at, good in told if at // 2.0 > part - 24]
        assert shedder.snapshot().answers["default"] == (len(kept), sum(kept))


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (TooMany(429), True),
        (TooMany(503), True),
        (TooMany(500), False),
        (ValueError("broken"), False),
        (LoadShedError("a", "default", 1.0, ""), True),
        (BudgetExceededError("a", "default", "SLOW", 0.0, 1.0, ""), True),
        (RateLimitedError("a", None, 1.0, ""), True),
    ],
)
def test_what_counts_as_refused(error: Exception, refused: bool) -> None:
    """Only errors that say "too much": a request that failed for another reason was accepted."""
    shedder = make()

    @shedder
    def call() -> None:
        raise error

    with pytest.raises(type(error)):
        call()
    assert shedder.snapshot().answers["default"] == (1, 0 if refused else 1)


def test_guarded_functions() -> None:
    """Sync and async functions are checked first and counted afterwards; a cancelled call says nothing."""
    shedder = make(lambda: use[0])
    use = [0.0]

    @shedder.guard("sheddable")
    def report() -> str:
        return "report"

    @shedder
    async def page() -> str:
        return current_criticality().value

    @shedder
    async def endless() -> None:
        await asyncio.Event().wait()

    async def cancelled() -> None:
        task = asyncio.ensure_future(endless())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert report() == "report"
    assert asyncio.run(page()) == "default"
    asyncio.run(cancelled())
    assert shedder.snapshot().answers == {"critical": (0, 0), "default": (1, 1), "sheddable": (1, 1)}
    use[0] = 1.0
    with pytest.raises(LoadShedError):
        report()
    with pytest.raises(LoadShedError):
        asyncio.run(page())
    with criticality_scope("critical"):
        assert asyncio.run(page()) == "critical"


def test_the_criticality_is_handed_on() -> None:
    """To everything called inside, and to a thread that is given the context; not beyond the scope."""
    seen: list[str] = []
    with criticality_scope("critical"):
        with criticality_scope(Criticality.SHEDDABLE):
            context = contextvars.copy_context()
            thread = threading.Thread(target=context.run, args=(lambda: seen.append(current_criticality()),))
            thread.start()
            thread.join()
        seen.append(current_criticality())
    seen.append(current_criticality())

    assert seen == ["sheddable", "critical", "default"]
    with pytest.raises(ConfigError, match="'critical', 'default', 'sheddable'"), criticality_scope("vital"):
        pass


def test_shedding_is_told_once_and_its_end_too() -> None:
    """One event when a class is first shed, one when none was for 30 s; not one a request."""
    clock, bus, use = FakeClock(), EventBus(), [1.0]
    events: list[LoadSheddingChanged] = []
    bus.subscribe(events.append, LoadSheddingChanged, inline=True)
    shedder = LoadShedder("door", utilization=lambda: use[0], clock=clock, events=bus, seed=1)
    for _ in range(50):
        shedder.allows("sheddable")
    use[0] = 0.0
    clock.advance(29)
    shedder.allows("sheddable")
    assert [event.shedding for event in events] == [True]
    clock.advance(1)
    shedder.allows("critical")

    assert [(event.criticality, event.shedding, event.chance) for event in events] == [
        ("sheddable", True, 1.0),
        ("sheddable", False, 0.0),
    ]


def test_a_budget_is_its_signal() -> None:
    """Fed by a budget it sheds as the smoothed use grows."""
    budget = ResourceBudget(clock=FakeClock(), events=EventBus(), smoothing=0.0)
    shedder = make(budget.utilization)
    assert shedder.allows("sheddable")
    budget.observe(Usage(cpu=86.0, memory=10.0))
    assert not shedder.allows("sheddable")
    assert shedder.allows("critical")


def test_children_do_not_shed_in_step() -> None:
    """A forked child throws dice of its own, unless they are seeded."""
    free = LoadShedder(utilization=lambda: 0.775, events=EventBus())
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, bytes(free.allows("sheddable") for _ in range(64)))
        os._exit(0)
    os.wait()
    theirs = os.read(read, 64)
    os.close(read)
    os.close(write)

    assert len(theirs) == 64
    assert theirs != bytes(free.allows("sheddable") for _ in range(64))


def test_threads_count_exactly() -> None:
    """Each decision and answer is counted once."""
    shedder = make(0.775)

    def work() -> None:
        for _ in range(500):
            if shedder.allows("sheddable"):
                shedder.accepted("sheddable")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    it = shedder.snapshot()

    assert it.admitted["sheddable"] + it.shed["sheddable"] == 2000
    assert it.answers["sheddable"] == (it.admitted["sheddable"], it.admitted["sheddable"])
    assert shedder.section()["shed"]["sheddable"] == it.shed["sheddable"]


BAD: list[tuple[dict[str, Any], str]] = [
    (
        {"sheddable": (0.9, 0.8)},
        "ShedderConfig.sheddable must be two numbers from 0 to 1000, the second above the first",
    ),
    ({"sheddable": (-0.1, 0.8)}, "ShedderConfig.sheddable"),
    ({"sheddable": 0.5}, "ShedderConfig.sheddable"),
    ({"default": (0.8, 1.0)}, "ShedderConfig.default must be a ramp that begins at or after the end of 'sheddable'"),
    ({"k": 0.5}, "ShedderConfig.k must be between 1.0 and 1000.0"),
    ({"window": -1.0}, "ShedderConfig.window"),
    ({"ceiling": 1.0}, "ShedderConfig.ceiling"),
    ({"sheddabel": (0.1, 0.2)}, "an option of LoadShedder"),
    ({"utilization": 0.5}, "LoadShedder.utilization"),
    ({"refused": None}, "LoadShedder.refused"),
    ({"seed": 1.5}, "LoadShedder.seed"),
    ({"name": ""}, "LoadShedder.name"),
]


@pytest.mark.parametrize(("given", "told"), BAD, ids=[next(iter(given)) for given, _ in BAD])
def test_bad_settings(given: dict[str, Any], told: str) -> None:
    """One clear ConfigError that names setting, bound and value."""
    with pytest.raises(ConfigError) as caught:
        LoadShedder(**given)
    assert told in str(caught.value)


def test_from_plain_data() -> None:
    """Settings of a file make a shedder; all that is wrong is told at once."""
    shedder = LoadShedder.from_config({"name": "door", "sheddable": [0.5, 0.6], "k": 3}, "levers.door")
    assert (shedder.name, shedder.config) == ("door", ShedderConfig(sheddable=(0.5, 0.6), k=3.0))
    with pytest.raises(InvalidConfigError) as caught:
        LoadShedder.from_config({"sheddable": "all", "windo": 5}, "levers.door")
    assert "levers.door.sheddable" in str(caught.value)
    assert "did you mean 'window'" in str(caught.value)


def test_other_targets_are_refused() -> None:
    """Generators and things that cannot be called are told at once."""

    def items() -> Any:
        yield 1

    for thing in (5, items):
        with pytest.raises(ConfigError, match="the target of a load shedder"):
            make()(thing)  # type: ignore[arg-type]

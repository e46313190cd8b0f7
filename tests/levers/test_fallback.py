"""The fallback switch: to another provider with a reason, back after probes, never flapping."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.errors import CircuitOpenError, ConfigError, FallbackExhaustedError, NotFoundError
from selfheal.events import EventBus, FallbackSwitched
from selfheal.levers import FallbackConfig, FallbackSwitch
from selfheal.levers.fallback_machine import FallbackMachine
from selfheal.policies.breaker import BreakerRegistry, CircuitBreaker
from selfheal.testing import FakeClock


class Rig:
    """A switch over three providers, with a probe that says what it is told to."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.events: list[FallbackSwitched] = []
        bus = EventBus()
        bus.subscribe(self.events.append, FallbackSwitched, inline=True)
        self.good = True
        self.probed: list[float] = []
        providers = {name: lambda x, name=name: f"{name} {x}" for name in ("large", "small", "tiny")}
        self.switch = FallbackSwitch(
            "llm", providers, probes={"large": self.probe}, clock=self.clock, events=bus, **options
        )

    def probe(self) -> bool:
        self.probed.append(self.clock.monotonic() - 1000)
        return self.good

    def run(self, seconds: int) -> None:
        """Check each second, as a registered task would."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.switch.check()


def test_calls_go_to_the_active_provider() -> None:
    """The first is preferred; a switch goes to the next or the named one, and back."""
    rig = Rig()
    switch = rig.switch
    assert switch.call(1) == "large 1"
    assert switch.switch(reason="slow", by="healer") == "small"
    assert switch.call(2) == "small 2"
    assert switch.switch("tiny", reason="slower") == "tiny"
    assert switch.return_to("well again", by="maria") == "large"
    assert switch.call(3) == "large 3"

    assert [(e.switch, e.old, e.new, e.reason, e.by) for e in rig.events] == [
        ("llm", "large", "small", "slow", "healer"),
        ("llm", "small", "tiny", "slower", ""),
        ("llm", "tiny", "large", "well again", "maria"),
    ]
    seen = switch.snapshot()
    assert (seen.active, seen.reason, seen.by, seen.switches, seen.probe_in) == (
        "large",
        "well again",
        "maria",
        3,
        None,
    )


def test_there_is_an_end() -> None:
    """After the last provider there is none, and unknown names are told; nothing changes."""
    rig = Rig()
    rig.switch.switch("tiny", reason="x")
    with pytest.raises(FallbackExhaustedError, match="fallback 'llm' has no provider after 'tiny'"):
        rig.switch.switch(reason="y")
    with pytest.raises(NotFoundError, match="no provider is named 'huge'"):
        rig.switch.switch("huge", reason="y")
    assert rig.switch.active == "tiny"
    rig.switch.switch("tiny", reason="again")
    assert len(rig.events) == 1


def test_it_comes_back_after_good_probes_and_the_stay() -> None:
    """Three good probes in a row, thirty seconds apart, and it is back by itself."""
    rig = Rig()
    rig.switch.switch(reason="down")
    rig.run(89)
    assert rig.switch.active == "small"
    assert rig.probed == [30, 60]
    rig.run(1)

    assert rig.switch.active == "large"
    assert (rig.events[-1].reason, rig.events[-1].by) == ("3 probes in a row succeeded", "")
    rig.run(100)
    assert len(rig.probed) == 3


def test_a_failed_probe_starts_over_and_slows_down() -> None:
    """Probes that fail come at growing pauses up to the cap; successes before them count no more."""
    rig = Rig(probe_cap=100)
    rig.switch.switch(reason="down")
    rig.run(60)
    rig.good = False
    rig.run(400)
    assert rig.probed == [30, 60, 90, 150, 250, 350, 450]
    rig.good = True
    rig.run(200)

    assert rig.probed[7:] == [550, 580, 610]
    assert rig.switch.active == "large"


def test_probes_may_raise() -> None:
    """What a probe raises is a failed probe, kept as text without secrets."""
    rig = Rig()

    def broken() -> None:
        raise ConnectionError("refused, password=hunter2")

    switch = FallbackSwitch("x", {"a": int, "b": int}, probes={"a": broken}, clock=rig.clock)
    switch.switch(reason="down")
    rig.clock.advance(30)
    assert not switch.check()
    assert switch.snapshot().last_probe_error == "ConnectionError: refused, password=[redacted]"


def test_it_stays_away_at_least_that_long() -> None:
    """Good probes do not bring it back before the minimum stay is over."""
    rig = Rig(minimum_stay=200.0, probe_every=10.0)
    rig.switch.switch(reason="down")
    rig.run(199)
    assert rig.switch.active == "small"
    rig.run(2)
    assert rig.switch.active == "large"


def test_a_return_that_does_not_last_doubles_the_stay() -> None:
    """A provider that only looks well is gone back to ever more rarely; once it lasts, the stay is short again."""
    rig = Rig(probe_every=1.0, return_after=1, minimum_stay=60.0, longest_stay=300.0)
    away = []
    for _ in range(5):
        rig.switch.switch(reason="down")
        left = rig.clock.monotonic()
        while rig.switch.active != "large":
            rig.run(1)
        away.append(rig.clock.monotonic() - left)
        rig.run(5)
    assert away == [60, 120, 240, 300, 300]
    rig.run(301)
    rig.switch.switch(reason="down")
    assert rig.switch.snapshot().stay == 60


def test_what_a_person_holds_stays() -> None:
    """With ``hold`` no probe is made and nothing brings it back but a person."""
    rig = Rig()
    rig.switch.switch(reason="contract", by="maria", hold=True)
    rig.run(1000)
    assert (rig.probed, rig.switch.active, rig.switch.snapshot().held) == ([], "small", True)
    rig.switch.return_to("renewed", by="maria")
    assert not rig.switch.snapshot().held


def test_without_a_probe_or_when_told_so_it_does_not_come_back() -> None:
    """The way back by itself needs a probe, and can be switched off."""
    rig = Rig(auto_return=False)
    rig.switch.switch(reason="down")
    rig.run(500)
    assert rig.probed == []
    bare = FallbackSwitch("x", {"a": int, "b": int}, clock=rig.clock)
    bare.switch(reason="down")
    rig.clock.advance(1000)
    assert not bare.check()
    assert bare.snapshot().probe_in is None


def test_one_probe_at_a_time_and_no_late_verdicts() -> None:
    """While a probe runs no other starts, and a person's switch meanwhile makes its verdict void."""
    clock = FakeClock()
    entered, release = threading.Event(), threading.Event()

    def slow() -> bool:
        entered.set()
        return release.wait(60)

    switch = FallbackSwitch("x", {"a": int, "b": int, "c": int}, probes={"a": slow}, clock=clock, return_after=1)
    switch.switch(reason="down")
    clock.advance(60)
    thread = threading.Thread(target=switch.check)
    thread.start()
    assert entered.wait(60)
    assert not switch.check()
    switch.switch("c", reason="other", by="maria")
    release.set()
    thread.join(60)

    assert switch.active == "c"
    assert switch.snapshot().successes == 0


def test_an_open_circuit_sends_calls_on() -> None:
    """When the active provider's breaker refuses, the call is made by the next that does not, and stays there."""
    clock, registry = FakeClock(), BreakerRegistry()
    breakers = {name: CircuitBreaker(name, failure_threshold=1, clock=clock, registry=registry) for name in ("a", "b")}
    calls: list[str] = []

    def a() -> str:
        calls.append("a")
        raise ConnectionError

    switch = FallbackSwitch("x", {"a": a, "b": a, "c": lambda: "c"}, breakers=breakers, clock=clock)
    with pytest.raises(ConnectionError):
        switch.call()
    assert switch.active == "a"
    with pytest.raises(ConnectionError):
        switch.call()
    assert switch.active == "b"
    assert switch.call() == "c"
    assert (switch.active, switch.snapshot().reason) == ("c", "circuit of 'b' is open")
    assert switch.call() == "c"
    assert len(calls) == 2


def test_when_all_circuits_are_open_the_refusal_is_told() -> None:
    """With nobody left the last refusal is raised and nothing moves."""
    registry = BreakerRegistry()
    breakers = {name: CircuitBreaker(name, registry=registry) for name in ("a", "b")}
    for breaker in breakers.values():
        breaker.trip("test")
    switch = FallbackSwitch("x", {"a": int, "b": int}, breakers=breakers)

    with pytest.raises(CircuitOpenError):
        switch.call()
    with pytest.raises(CircuitOpenError):
        asyncio.run(switch.acall())
    assert switch.active == "a"


def test_a_refusal_from_deeper_is_not_taken_for_its_own() -> None:
    """A provider that itself meets an open circuit failed; its call is not made a second time elsewhere."""
    registry = BreakerRegistry()
    inner = CircuitBreaker("inner", registry=registry)
    inner.trip("test")
    switch = FallbackSwitch(
        "x", {"a": lambda: inner.call(int), "b": int}, breakers={"a": CircuitBreaker("a", registry=registry)}
    )
    with pytest.raises(CircuitOpenError):
        switch.call()
    assert switch.active == "a"


def test_coroutines() -> None:
    """Async and plain providers and probes, guarded or not, serve ``acall`` and ``acheck``."""
    clock, registry = FakeClock(), BreakerRegistry()

    async def large(x: int) -> str:
        return f"large {x}"

    async def well() -> bool:
        return True

    breaker = CircuitBreaker("large", clock=clock, registry=registry)
    switch = FallbackSwitch(
        "llm",
        {"large": large, "small": lambda x: f"small {x}"},
        probes={"large": well},
        breakers={"large": breaker},
        clock=clock,
        return_after=1,
        minimum_stay=0.0,
    )

    async def main() -> None:
        assert await switch.acall(1) == "large 1"
        breaker.trip("test")
        assert await switch.acall(2) == "small 2"
        assert switch.active == "small"
        clock.advance(60)
        assert not switch.check()
        assert "acheck() awaits" in switch.snapshot().last_probe_error
        clock.advance(600)
        assert await switch.acheck()
        assert await switch.acall(3) == "large 3"

    asyncio.run(main())


def test_a_cancelled_probe_is_a_failed_one() -> None:
    """Cancelling ``acheck`` leaves the switch where it is, and a later probe is made."""
    clock = FakeClock()

    async def hang() -> None:
        await asyncio.Event().wait()

    switch = FallbackSwitch("x", {"a": int, "b": int}, probes={"a": hang}, clock=clock)
    switch.switch(reason="down")
    clock.advance(30)

    async def main() -> None:
        task = asyncio.create_task(switch.acheck())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert switch.active == "b"
    assert switch.snapshot().probe_in == 60


@given(st.lists(st.tuples(st.integers(0, 200), st.sampled_from(["good", "bad", "switch"])), max_size=80))
def test_it_never_flaps(steps: list[tuple[int, str]]) -> None:
    """Whatever probes say, a return by itself comes after enough good probes in a row and no sooner than the stay."""
    config = FallbackConfig(return_after=2, probe_every=10, minimum_stay=50, longest_stay=400)
    now = 1000.0
    machine = FallbackMachine(config, ("a", "b"), now)
    left, row, last_probe = now, 0, now
    for wait, step in steps:
        now += wait
        if step == "switch":
            if machine.active == "a":
                machine.move("b", now)
                left, row, last_probe = now, 0, now
            continue
        generation = machine.begin_probe(now)
        if generation is None:
            continue
        assert now - last_probe >= 10
        last_probe = now
        row = row + 1 if step == "good" else 0
        moved = machine.probed(generation, step == "good", now)
        if moved is not None:
            assert row >= 2
            assert now - left >= 50
        assert 50 <= machine.stay <= 400


def test_a_fork_keeps_the_switch_usable() -> None:
    """A child process has the same provider and a lock of its own."""
    rig = Rig()
    rig.switch.switch(reason="down")
    pid = os.fork()
    if pid == 0:
        os._exit(0 if rig.switch.call(1) == "small 1" and rig.switch.return_to("x") == "large" else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert rig.switch.active == "small"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"providers": {}}, "providers must be at least one provider"),
        ({"providers": [1]}, "providers must be a mapping"),
        ({"providers": {"a": 5}}, r"providers\['a'\] must be a callable"),
        ({"probes": {"z": int}}, r"probes must be names of providers \(a\)"),
        ({"breakers": {"z": int}}, "breakers must be names of providers"),
        ({"return_after": 0}, r"FallbackConfig\.return_after"),
        ({"probe_every": 700.0}, r"FallbackConfig\.probe_cap must be at least probe_every"),
        ({"nonsense": 1}, "option of FallbackSwitch must be one of auto_return"),
        ({"name": ""}, "name must be text"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], told: str) -> None:
    """A value out of range is one clear error."""
    with pytest.raises(ConfigError, match=told):
        FallbackSwitch(**{"name": "x", "providers": {"a": int}, **options})


def test_from_config() -> None:
    """Plain data and callables make a switch; what is not accepted is told with its path in the file."""
    made = FallbackSwitch.from_config({"name": "llm", "return_after": 5}, {"a": int, "b": int})
    assert (made.name, made.active) == ("llm", "a")
    with pytest.raises(ConfigError, match=r"levers\.llm\.probe_every must be"):
        FallbackSwitch.from_config({"probe_every": -1.0}, {"a": int}, "levers.llm")

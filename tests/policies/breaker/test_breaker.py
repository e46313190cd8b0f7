"""The breaker as a host uses it: decorating, steering, configuring."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selfheal import (
    BreakerConfig,
    BreakerRegistry,
    CircuitBreaker,
    CircuitOpenError,
    ConfigError,
    CountWindow,
    TimeWindow,
)
from selfheal.errors import NotFoundError
from selfheal.policies.breaker import DEFAULT_REGISTRY, BreakerState
from selfheal.policies.breaker.conditions import read_retry_after
from selfheal.testing import FakeClock
from tests.policies.breaker.conftest import Boom, fail_times

Make = Callable[..., CircuitBreaker]


def test_the_name_alone_is_enough() -> None:
    """Three failures in a row open it for a minute, one probe closes it."""
    breaker = CircuitBreaker("payments", registry=BreakerRegistry())
    config = breaker.config
    assert (config.failure_threshold, config.open_for, config.half_open_probes, config.permanent_threshold) == (
        3,
        60.0,
        1,
        10,
    )
    assert config.permanent_on == ("no active api keys", "unauthorized")


def test_a_success_between_failures_keeps_it_closed(make: Make) -> None:
    """Only failures in a row count."""
    breaker = make()
    for _ in range(5):
        fail_times(breaker, 2)
        breaker.call(lambda: None)
    assert breaker.state is BreakerState.CLOSED
    fail_times(breaker, 3)
    assert breaker.state is BreakerState.OPEN


def test_one_circuit_guards_many_functions(make: Make) -> None:
    """Failures of any function count against all, and all are refused together."""
    breaker = make()

    @breaker
    def one() -> None:
        raise Boom

    @breaker
    async def two() -> None:
        raise Boom

    with pytest.raises(Boom):
        one()
    with pytest.raises(Boom):
        asyncio.run(two())
    fail_times(breaker, 1)
    with pytest.raises(CircuitOpenError):
        one()
    with pytest.raises(CircuitOpenError):
        asyncio.run(two())


def test_methods_static_and_class_methods(make: Make) -> None:
    """A breaker decorates whatever a class holds."""
    breaker = make()

    class Client:
        @breaker
        def plain(self, value: int) -> int:
            return value

        @breaker
        @staticmethod
        def static(value: int) -> int:
            return value

        @breaker
        @classmethod
        def of_class(cls, value: int) -> tuple[str, int]:
            return cls.__name__, value

        @breaker
        async def later(self, value: int) -> int:
            return value

    client = Client()
    assert (client.plain(1), Client.static(2), Client.of_class(3), asyncio.run(client.later(4))) == (
        1,
        2,
        ("Client", 3),
        4,
    )
    assert breaker.snapshot().successes == 4


def test_builtins_partials_classes_and_lambdas(make: Make) -> None:
    """What has no Python signature of its own is guarded all the same."""
    breaker = make()
    assert breaker(len)([1, 2]) == 2
    assert breaker(int)("7") == 7
    assert breaker(lambda *a, **k: (a, k))(1, b=2) == ((1,), {"b": 2})
    assert breaker.snapshot().successes == 3


def test_a_signature_that_is_not_the_real_one_is_not_used(make: Make) -> None:
    """A wrapper that shows the signature of what it wraps still gets the arguments it takes."""

    def inner(a: int) -> int:
        return a

    def outer(*args: int, extra: int = 0) -> int:
        return inner(*args) + extra

    outer.__wrapped__ = inner  # type: ignore[attr-defined]
    assert make()(outer)(1, extra=2) == 3


def test_parameters_may_have_any_name(make: Make) -> None:
    """Names used inside the guarded function do not clash with parameters."""

    def target(fn: int, admit: int, _sh_fn: int, result: int, *, self: int, guarded: int) -> list[int]:
        return [fn, admit, _sh_fn, result, self, guarded]

    assert make()(target)(1, 2, 3, 4, self=5, guarded=6) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("options", [{}, {"slow_call_duration": 5.0}, {"failure_result": lambda result: False}])
def test_parameters_may_shadow_builtins(make: Make, options: dict[str, Any]) -> None:
    """A parameter named like a builtin that the guarded function itself needs is just an argument."""
    breaker = make(**options)

    @breaker
    def target(next, type, BaseException):  # type: ignore[no-untyped-def]  # noqa: N803
        if next == "fail":
            raise Boom
        return [next, type, BaseException]

    assert target("a", "b", "c") == ["a", "b", "c"]
    with pytest.raises(Boom):
        target("fail", None, None)
    assert (breaker.snapshot().successes, breaker.snapshot().failures) == (1, 1)


def test_defaults_are_the_same_objects(make: Make) -> None:
    """A mutable default stays the one object it is."""

    def target(seen: list[int] = []) -> list[int]:  # noqa: B006
        seen.append(1)
        return seen

    guarded = make()(target)
    guarded()
    assert guarded() == [1, 1]
    assert guarded() is target.__defaults__[0]  # type: ignore[index]


def test_the_source_of_a_guarded_function_shows_in_tracebacks(make: Make) -> None:
    """The compiled lines can be read in a traceback."""

    @make()
    def target() -> None:
        raise Boom

    with pytest.raises(Boom) as caught:
        target()
    lines = [str(entry.statement).strip() for entry in caught.traceback]
    assert any("_sh_fn()" in line for line in lines)


def test_decorating_nothing_callable_is_an_error(make: Make) -> None:
    """A wrong target, a wrong name and an unknown option are one clear error each."""
    with pytest.raises(ConfigError, match="target of circuit 'db' must be a callable, got 3"):
        make()(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="CircuitBreaker.name must be text"):
        CircuitBreaker(test_decorating_nothing_callable_is_an_error)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="must be one of failure_threshold, .* got 'treshold'"):
        make(treshold=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"open_for": -1.0},
            "BreakerConfig.open_for must be between 0.0 and 86400.0 s, got -1.0. The default is 60.0.",
        ),
        ({"open_for": float("nan")}, "BreakerConfig.open_for must be between"),
        ({"failure_threshold": True}, "an integer between 1 and 10000, got True. The default is 3."),
        ({"failure_threshold": 2.5}, "got 2.5"),
        ({"half_open_probes": 0}, "got 0"),
        ({"permanent_on": ("",)}, "made of texts, exception types or callables, got ''"),
        ({"ignore": (int,)}, "BreakerConfig.ignore must be"),
        ({"window": 5}, "a CountWindow, a TimeWindow or None, got 5"),
        ({"open_backoff": 5}, "an ExponentialBackoff or None, got 5"),
        ({"fallback": "x"}, "a callable or None, got 'x'"),
        ({"window": CountWindow(slow_call_rate=0.5)}, "slow_call_duration must be given in seconds"),
    ],
)
def test_bad_settings_are_refused_with_bound_value_and_default(
    make: Make, options: dict[str, Any], message: str
) -> None:
    """Each wrong setting names the field, what is accepted and what was found."""
    with pytest.raises(ConfigError) as caught:
        make(**options)
    assert message in str(caught.value)


def test_a_window_needs_no_more_calls_than_it_holds() -> None:
    """A minimum that can never be reached would never open the circuit."""
    with pytest.raises(ConfigError, match=r"at most the window's size \(10\), got 20"):
        CountWindow(size=10)


def test_a_count_window_opens_on_its_rate(make: Make) -> None:
    """Failures need not be in a row; before the minimum nothing is judged."""
    breaker = make(window=CountWindow(size=10, minimum_calls=4, failure_rate=0.5))
    good = breaker(lambda: None)
    fail_times(breaker, 2)
    good()
    assert breaker.state is BreakerState.CLOSED
    good()
    assert breaker.state is BreakerState.OPEN
    assert breaker.snapshot().reason == "2 of 4 calls failed"


def test_a_window_opens_permanently_after_openings_not_calls(make: Make, clock: FakeClock) -> None:
    """An outage under load fails many calls before it is judged; what counts is failing to recover again and again."""
    breaker = make(window=CountWindow(size=50, minimum_calls=50), permanent_threshold=3)
    fail_times(breaker, 50)
    for _ in range(2):
        assert breaker.state is BreakerState.OPEN
        clock.advance(60)
        fail_times(breaker, 1)
    assert breaker.state is BreakerState.PERMANENT_OPEN
    assert "opened 3 times in a row" in (breaker.snapshot().permanent_open_reason or "")


def test_a_time_window_forgets(make: Make, clock: FakeClock) -> None:
    """Failures older than the window are not held against the target."""
    breaker = make(window=TimeWindow(seconds=60, minimum_calls=3, failure_rate=0.9))
    fail_times(breaker, 2)
    clock.advance(61)
    fail_times(breaker, 2)
    assert (breaker.state, breaker.snapshot().failure_rate) == (BreakerState.CLOSED, 1.0)
    fail_times(breaker, 1)
    assert breaker.state is BreakerState.OPEN


def test_slow_calls_open_a_window(make: Make, clock: FakeClock) -> None:
    """Calls that succeed, but too slowly, open it; a slow probe does not close it."""
    breaker = make(
        window=CountWindow(size=4, minimum_calls=4, slow_call_rate=0.5), slow_call_duration=1.0, open_for=10.0
    )
    guarded = breaker(clock.advance)
    for seconds in (0.1, 2.0, 0.1):
        guarded(seconds)
    assert breaker.state is BreakerState.CLOSED
    guarded(2.0)
    assert breaker.state is BreakerState.OPEN
    assert breaker.snapshot().slow_calls == 2
    clock.advance(10)
    guarded(2.0)
    assert breaker.state is BreakerState.OPEN
    clock.advance(10)
    guarded(0.1)
    assert breaker.state is BreakerState.CLOSED


def test_results_can_be_failures(make: Make) -> None:
    """A reply that says no counts like an error, and is still returned."""
    breaker = make(failure_result=lambda reply: reply == 503)

    @breaker
    def fetch(status: int) -> int:
        return status

    assert [fetch(503), fetch(503), fetch(200), fetch(503)] == [503, 503, 200, 503]
    assert breaker.snapshot().failure_count == 1
    fetch(503)
    fetch(503)
    assert breaker.state is BreakerState.OPEN
    assert "result 503" in breaker.snapshot().reason


def test_what_counts_can_be_chosen(make: Make) -> None:
    """By type or by predicate; ignored errors are neither failure nor success, even by way of a cause."""
    breaker = make(count=(ConnectionError, lambda error: "db" in str(error)), ignore=BrokenPipeError)

    def raising(error: Exception) -> None:
        raise error from KeyError("context")

    ignored: list[Exception] = [ValueError("x"), BrokenPipeError()]
    for error in ignored:
        with pytest.raises(type(error)):
            breaker.call(raising, error)
    assert (breaker.snapshot().failures, breaker.snapshot().ignored) == (0, 2)
    counted: list[Exception] = [ConnectionResetError(), ValueError("db gone")]
    for error in counted:
        with pytest.raises(type(error)):
            breaker.call(raising, error)
    assert breaker.snapshot().failures == 2


def test_a_condition_that_raises_never_reaches_the_caller(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A broken predicate is logged; the caller sees its own error or result, and the failure counts."""

    def broken(_: object) -> bool:
        raise RuntimeError("predicate")

    breaker = make(count=broken, ignore=broken, permanent_on=broken, retry_after=broken, failure_result=broken)
    with caplog.at_level(logging.ERROR, "selfheal.breaker"):
        fail_times(breaker, 1)
        assert breaker.call(lambda: 5) == 5
    assert breaker.snapshot().failures == 1
    assert "broken raised" in caplog.text


def test_retry_after_keeps_it_open_longer(make: Make, clock: FakeClock) -> None:
    """What the other side asked for is honoured, up to the cap; a condition opens at once."""

    class TooMany(Exception):
        retry_after = 300

    def target() -> None:
        raise TooMany("429")

    breaker = make(open_on=TooMany)
    with pytest.raises(TooMany):
        breaker.call(target)
    assert (breaker.state, breaker.snapshot().retry_after) == (BreakerState.OPEN, 300.0)

    capped = make("capped", open_on="429", retry_after_cap=100.0)
    with pytest.raises(TooMany):
        capped.call(target)
    assert capped.snapshot().retry_after == 100.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (1.5, 1.5),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("soon", None),
        (-5, None),
        (True, None),
        (float("inf"), None),
    ],
)
def test_retry_after_is_read_as_http_says(value: object, seconds: float | None) -> None:
    """Seconds or a date, on the error or in the headers of its response; nonsense is nothing."""

    class Reply:
        headers = {"Retry-After": value}  # noqa: RUF012

    error = Boom()
    error.response = Reply()  # type: ignore[attr-defined]
    assert read_retry_after(error, 1_700_000_000.0) == seconds
    assert read_retry_after(Boom(), 1_700_000_000.0) is None


def test_a_fallback_answers_refused_calls(make: Make) -> None:
    """With the same arguments, sync and async, functions and generators; failures still raise."""
    breaker = make(fallback=lambda x: f"kept {x}")

    @breaker
    def fetch(x: int) -> str:
        raise Boom

    @breaker
    async def afetch(x: int) -> str:
        raise Boom

    async def later(x: int) -> str:
        return f"later {x}"

    for _ in range(3):
        with pytest.raises(Boom):
            fetch(1)
    assert fetch(1) == "kept 1"
    assert asyncio.run(afetch(2)) == "kept 2"
    assert breaker.call(fetch, 3) == "kept 3"

    other = make("async", fallback=later)
    other.trip("test")
    assert asyncio.run(other(afetch)(4)) == "later 4"

    rows = make("rows", fallback=lambda: iter([7]))
    rows.trip("test")

    @rows
    def read() -> Any:
        yield 1

    assert list(read()) == [7]


def test_forced_states(make: Make) -> None:
    """Held open, switched off, or only watched, until a reset."""
    breaker = make()
    breaker.force_open("maintenance", by="ann")
    with pytest.raises(CircuitOpenError, match=r"forced open \(maintenance\).*held open by hand"):
        breaker.call(lambda: None)
    assert breaker.reset()

    breaker.disable("noise")
    fail_times(breaker, 20)
    assert (breaker.state, breaker.snapshot().failures) == (BreakerState.DISABLED, 0)
    breaker.reset()

    breaker.metrics_only("trial")
    fail_times(breaker, 20, "unauthorized")
    assert (breaker.state, breaker.snapshot().failures) == (BreakerState.METRICS_ONLY, 20)
    breaker.reset()
    assert breaker.snapshot().failure_count == 0


def test_reset_tells_whether_it_changed_anything(make: Make) -> None:
    """Closing what is closed and has no failures changes nothing."""
    breaker = make()
    assert breaker.reset() is False
    fail_times(breaker, 1)
    assert breaker.reset(reason="tidy", by="ann") is True
    assert breaker.snapshot().failure_count == 0


def test_a_guard_decides_by_hand_and_serves_one_block(make: Make) -> None:
    """``fail`` counts without an error; the block's end does not count again."""
    breaker = make()
    with breaker.guard() as guard:
        guard.fail()
    with breaker.guard() as guard:
        guard.cancel()
        with pytest.raises(RuntimeError, match="one block at a time"):
            guard.__enter__(), guard.__enter__()
    seen = breaker.snapshot()
    assert (seen.failures, seen.last_error) == (1, "reported as failed")

    async def block() -> None:
        async with breaker.guard():
            raise Boom

    with pytest.raises(Boom):
        asyncio.run(block())
    assert breaker.snapshot().failures == 2


def test_acall_guards_async_functions(make: Make) -> None:
    """The call form for coroutines."""

    async def target(x: int) -> int:
        return x

    assert asyncio.run(make().acall(target, 3)) == 3


def test_the_registry_lists_gets_and_forgets(clock: FakeClock) -> None:
    """By name; an unknown name lists those there are."""
    registry = BreakerRegistry()
    db = CircuitBreaker("db", clock=clock, registry=registry)
    CircuitBreaker("api", clock=clock, registry=registry)
    assert registry.names() == ["api", "db"]
    assert [one.name for one in registry] == ["api", "db"]
    assert [one.name for one in registry.snapshots()] == ["api", "db"]
    assert registry.get("db") == db
    assert "db" in registry
    with pytest.raises(NotFoundError, match=r"no breaker is named 'nope'. There are: api, db."):
        registry.get("nope")
    registry.remove("db")
    assert registry.names() == ["api"]
    with pytest.raises(NotFoundError):
        registry.remove("db")


def test_a_reloaded_module_shares_its_circuit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing a module again keeps the circuit and its state, predicates and all."""
    name = "reloaded_module_of_a_test"
    (tmp_path / f"{name}.py").write_text(
        "from selfheal import CircuitBreaker\n"
        "breaker = CircuitBreaker('reloaded', failure_result=lambda r: r == 'bad', ignore=(KeyError,))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        module = importlib.import_module(name)
        module.breaker.trip("before")
        assert importlib.reload(module).breaker.state is BreakerState.OPEN
    finally:
        DEFAULT_REGISTRY.remove("reloaded")
        sys.modules.pop(name, None)


def test_changes_of_state_are_logged_with_stable_keys(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A log record says which breaker went from where to where, and why."""
    with caplog.at_level(logging.INFO, "selfheal.breaker"):
        make().trip("by test", by="ann")
    (record,) = caplog.records
    assert (record.__dict__["breaker"], record.__dict__["old_state"], record.__dict__["new_state"]) == (
        "db",
        "CLOSED",
        "OPEN",
    )
    assert record.levelno == logging.WARNING


def test_the_kind_of_function_is_kept(make: Make) -> None:
    """Async stays async for whoever asks."""

    @make()
    async def target() -> None: ...

    assert inspect.iscoroutinefunction(target)
    assert make().config == BreakerConfig()

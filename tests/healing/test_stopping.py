"""Tests of healings in progress: told to stop, cancelled, broken off."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest

from selfheal.errors import ConfigError, HealingInterruptedError
from selfheal.events import Alert
from selfheal.healing import CallableStrategy, GuardName, HealingContext, HealingResult, Outcome
from selfheal.policies.backoff import ExponentialBackoff
from selfheal.policies.flags import PREVENTIVE_HEALING
from tests.healing.rig import ALERT, Rig


def after(action: Any, then: Any = None) -> Any:
    """A healing of two actions, with something happening between them."""

    def heal(context: HealingContext) -> object:
        context.checkpoint()
        action()
        context.checkpoint()
        return then

    return heal


def test_a_healing_that_nobody_stops_goes_on() -> None:
    """Checkpoints let a healing pass while nothing stands against it."""
    rig = Rig()
    seen: list[object] = []

    def heal(context: HealingContext) -> None:
        context.checkpoint()
        seen.append((context.stopped, context.stop_reason, context.told, context.attempt, context.strategy))

    assert rig.handle(heal).outcome is Outcome.HEALED
    assert seen == [(False, "", None, 1, "Rig.heal")]


def test_flipping_the_flag_stops_a_healing_before_its_next_action() -> None:
    """A flag switched off during a healing interrupts it; that is no failure and decides nothing."""
    rig = Rig()
    record = rig.handle(after(rig.switch_off))
    snapshot = rig.healer.snapshot()

    assert (record.outcome, record.guard) == (Outcome.INTERRUPTED, GuardName.FLAGS)
    assert record.reason == "FEATURE_AUTO_HEALING_ENABLED is off (environment)"
    assert record.error.startswith("HealingInterruptedError: the healing stops before its next action")
    assert (snapshot.consecutive_failures, snapshot.failed_healings, snapshot.successful_healings) == (0, 0, 0)
    assert (snapshot.interrupted_healings, snapshot.running, snapshot.retry_in) == (1, 0, 0.0)
    assert rig.healer.breaker.snapshot().cancelled == 1


def test_entering_dormancy_stops_a_healing_before_its_next_action() -> None:
    """A person who stops healing stops the one in progress too."""
    rig = Rig()
    record = rig.handle(after(lambda: rig.dormancy.enter("stop!")))

    assert (record.outcome, record.guard) == (Outcome.INTERRUPTED, GuardName.DORMANCY)
    assert "stop!" in record.reason


def test_a_dormancy_that_came_and_went_still_stops_the_healing() -> None:
    """A healing from before a dormancy does not go on after it as if nothing had been."""
    rig = Rig()

    def come_and_go() -> None:
        rig.dormancy.enter("stop!")
        rig.dormancy.resume("go on")

    assert rig.handle(after(come_and_go)).outcome is Outcome.INTERRUPTED


def test_stopping_the_healer_stops_the_healing_in_progress() -> None:
    """stop() reaches the healing in progress at its next checkpoint."""
    rig = Rig()
    record = rig.handle(after(lambda: rig.healer.stop("shutdown")))

    assert (record.outcome, record.guard, record.reason) == (Outcome.INTERRUPTED, GuardName.STOPPED, "shutdown")


@pytest.mark.parametrize("ending", [None, False, HealingResult(success=False), ValueError("gave up"), "text"], ids=repr)
def test_whatever_a_stopped_healing_brings_it_is_interrupted(ending: object) -> None:
    """A healing that saw that it has to stop and ends without success is interrupted, also by a bare return."""
    rig = Rig()

    def heal(context: HealingContext) -> object:
        rig.switch_off()
        assert context.stopped
        if isinstance(ending, Exception):
            raise ending
        return ending

    assert rig.handle(heal).outcome is Outcome.INTERRUPTED
    assert rig.healer.snapshot().failed_healings == 0


def test_a_stopped_healing_that_had_succeeded_is_a_success() -> None:
    """Told to stop after its last action, a healing may still say that it healed."""
    rig = Rig()

    def heal(context: HealingContext) -> bool:
        rig.switch_off()
        return context.stopped

    assert rig.handle(heal).outcome is Outcome.HEALED


def test_a_healing_that_never_asked_is_judged_as_it_ends() -> None:
    """A flag flipped during a healing that has no checkpoint changes nothing about its end."""
    rig = Rig()

    assert rig.handle(lambda context: rig.switch_off()).outcome is Outcome.HEALED
    rig.switch_on()

    def fail(context: HealingContext) -> bool:
        rig.switch_off()
        return False

    assert rig.handle(fail).outcome is Outcome.FAILED


def test_once_told_to_stop_it_stays_told() -> None:
    """A flag flipped off and on again during a healing has stopped it for good."""
    rig = Rig()
    seen: list[bool] = []

    def heal(context: HealingContext) -> None:
        rig.switch_off()
        seen.append(context.stopped)
        rig.switch_on()
        seen.append(context.stopped)
        context.checkpoint()

    assert rig.handle(heal).outcome is Outcome.INTERRUPTED
    assert seen == [True, True]


def test_an_interruption_nobody_asked_for_is_a_failure() -> None:
    """The error of an interruption raised without one is an error like any other."""
    rig = Rig()

    assert rig.handle(HealingInterruptedError("flags", "so")).outcome is Outcome.FAILED


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit(), asyncio.CancelledError()])
def test_what_ends_the_program_passes_and_decides_nothing(error: BaseException) -> None:
    """An error that is no Exception goes through unchanged, gives the place back, and counts as nothing."""
    rig = Rig()
    rig.fail(3)
    rig.clock.advance(60)
    with pytest.raises(type(error)) as caught:
        rig.handle(error)
    snapshot = rig.healer.snapshot()

    assert caught.value is error
    assert (snapshot.consecutive_failures, snapshot.failed_healings, snapshot.running) == (3, 3, 0)
    assert rig.healer.history[-1].outcome is Outcome.INTERRUPTED
    assert rig.healer.history[-1].reason == f"broken off by {type(error).__name__}"
    assert rig.healer.breaker.state == "HALF_OPEN"
    assert rig.handle(True).outcome is Outcome.HEALED


def test_a_cancelled_async_healing_gives_its_place_back() -> None:
    """Cancelling the task of a healing passes the cancellation on, and the next healing may run."""
    rig = Rig()

    async def scenario() -> None:
        started = asyncio.Event()

        async def hang() -> None:
            started.set()
            await asyncio.Event().wait()

        rig.says = lambda context: hang()
        task = asyncio.create_task(rig.healer.ahandle(ALERT))
        await started.wait()
        assert rig.healer.snapshot().running == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
    snapshot = rig.healer.snapshot()
    assert (snapshot.running, snapshot.consecutive_failures, snapshot.interrupted_healings) == (0, 0, 1)
    assert rig.handle(True).outcome is Outcome.HEALED


def test_an_abandoned_async_healing_gives_its_place_back() -> None:
    """A coroutine that is closed instead of awaited to its end does not keep the place."""
    rig = Rig()

    async def hang() -> None:
        await asyncio.sleep(3600)

    rig.says = lambda context: hang()

    async def scenario() -> None:
        steps = rig.healer.ahandle(ALERT)
        steps.send(None)
        assert rig.healer.snapshot().running == 1
        steps.close()

    asyncio.run(scenario())
    assert rig.healer.snapshot().running == 0


def test_an_async_healing_is_awaited_and_guarded() -> None:
    """An async healing runs under the same guards, and its errors count the same."""
    rig = Rig()

    async def heal(alert: Alert, context: HealingContext) -> bool:
        await asyncio.sleep(0)
        if rig.says is False:
            raise ValueError("no")
        context.checkpoint()
        return True

    rig = Rig(heal=heal)

    async def scenario() -> list[tuple[Outcome, object]]:
        rig.says = True
        records = [await rig.healer.ahandle(ALERT)]
        rig.says = False
        records += [await rig.healer.ahandle(ALERT), await rig.healer.ahandle(ALERT)]
        return [(record.outcome, record.guard) for record in records]

    assert asyncio.run(scenario()) == [
        (Outcome.HEALED, None),
        (Outcome.FAILED, None),
        (Outcome.REFUSED, GuardName.BACKOFF),
    ]


def test_an_async_healing_interrupted_at_its_checkpoint() -> None:
    """A flag flipped while an async healing waits stops it at its next checkpoint."""

    async def heal(alert: Alert, context: HealingContext) -> None:
        rig.switch_off()
        await asyncio.sleep(0)
        context.checkpoint()

    rig = Rig(heal=heal)
    assert asyncio.run(rig.healer.ahandle(ALERT)).outcome is Outcome.INTERRUPTED


def test_a_plain_healing_runs_in_an_event_loop_too() -> None:
    """ahandle and arun_once take plain healings as well."""
    rig = Rig()
    rig.healer.submit(ALERT)

    async def scenario() -> list[Outcome]:
        return [record.outcome for record in (await rig.healer.ahandle(ALERT), *await rig.healer.arun_once())]

    assert asyncio.run(scenario()) == [Outcome.HEALED]


def test_an_async_strategy_is_refused_by_the_plain_calls() -> None:
    """Calling the plain form with an async strategy is an error of the program, not a failed healing."""

    async def heal(alert: Alert, context: HealingContext) -> None: ...

    async def prevent() -> None: ...

    rig = Rig(heal=heal, preventive=prevent)
    for call in (lambda: rig.healer.handle(ALERT), rig.healer.run_once, rig.healer.prevent):
        with pytest.raises(ConfigError, match="it is async"):
            call()
    with pytest.raises(ConfigError, match="it is async"):
        rig.healer.subscribe(immediately=True)
    assert rig.healer.snapshot().total_attempts == 0
    assert asyncio.run(rig.healer.aprevent()).outcome is Outcome.HEALED


def test_a_plain_function_that_returns_a_coroutine_fails_and_leaves_none_unawaited() -> None:
    """A coroutine that nobody could await is closed, and the healing that made it has failed."""
    rig = Rig()

    async def work() -> None: ...

    record = rig.handle(lambda context: work())
    assert record.outcome is Outcome.FAILED
    assert "ahandle" in record.reason


def test_preventive_healing_needs_both_flags() -> None:
    """Prevention stops with its own flag, and with the one for all healing."""
    ran: list[object] = []
    rig = Rig(preventive=lambda: ran.append(1))
    rig.environ[PREVENTIVE_HEALING] = "off"
    assert rig.healer.prevent().guard is GuardName.FLAGS
    assert rig.handle(True).outcome is Outcome.HEALED
    rig.environ.clear()
    rig.switch_off()
    assert rig.healer.prevent().guard is GuardName.FLAGS
    assert ran == []
    rig.switch_on()
    record = rig.healer.prevent()
    assert (record.outcome, record.alert.kind, ran) == (Outcome.HEALED, "preventive", [1])


def test_preventive_success_does_not_hide_failing_healings() -> None:
    """Ten failed healings are ten in a row although prevention succeeds between them."""
    rig = Rig(preventive=lambda: None)
    for _ in range(10):
        rig.fail(1)
        rig.wait()
        rig.healer.prevent()

    assert rig.dormancy.is_dormant
    assert rig.healer.snapshot().failed_healings == 10


def test_preventive_failures_have_their_own_count_wait_and_limit() -> None:
    """Failing prevention slows down and ends in dormancy by itself, and does not slow down healing."""

    def prevent(context: HealingContext) -> bool:
        return False

    rig = Rig(preventive=prevent)
    assert rig.healer.prevent().outcome is Outcome.FAILED
    assert rig.healer.prevent().guard is GuardName.BACKOFF
    assert rig.handle(True).outcome is Outcome.HEALED
    snapshot = rig.healer.snapshot()
    assert (snapshot.consecutive_failures, snapshot.preventive_failures) == (0, 1)
    assert rig.healer.breaker.snapshot().failures == 0
    for _ in range(9):
        rig.clock.advance(600)
        rig.handle(True)
        rig.healer.prevent()

    assert rig.dormancy.record is not None
    assert rig.dormancy.record.reason.startswith("10 consecutive preventive healings failed")


def test_preventive_success_does_not_end_the_probation() -> None:
    """That prevention works after a resume does not say that healing does."""
    rig = Rig(preventive=lambda: None)
    rig.dormancy.enter("x")
    rig.dormancy.resume("y")
    rig.healer.prevent()

    assert rig.healer.snapshot().probation


def test_prevention_obeys_the_other_guards() -> None:
    """Prevention does not run while dormant, while the breaker is open, or while a healing runs."""
    ran: list[object] = []
    rig = Rig(preventive=lambda: ran.append(1))
    guards: list[object] = []
    rig.handle(lambda context: guards.append(rig.healer.prevent().guard))
    rig.healer.breaker.trip("x")
    guards.append(rig.healer.prevent().guard)
    rig.dormancy.enter("x")
    guards.append(rig.healer.prevent().guard)

    assert guards == [GuardName.BUSY, GuardName.BREAKER, GuardName.DORMANCY]
    assert ran == []


def test_without_something_to_prevent_it_says_so() -> None:
    """prevent() without a preventive callable is an error that says what to give."""
    with pytest.raises(ConfigError, match=r"Healer\.preventive"):
        Rig().healer.prevent()


def test_no_lock_is_held_across_a_healing_or_a_subscriber() -> None:
    """While a healing or a subscriber runs, other threads can ask and steer the healer."""
    rig = Rig()
    answered: list[int] = []

    def ask(*_: object) -> None:
        def call() -> None:
            rig.healer.submit(ALERT)
            answered.append(rig.healer.snapshot().total_attempts + len(rig.healer.history))

        thread = threading.Thread(target=call)
        thread.start()
        thread.join(60)

    rig.events.subscribe(ask, inline=True)
    rig.handle(ask)

    assert len(answered) == 2


def test_counts_are_exact_under_threads() -> None:
    """Sixteen threads with all kinds of healings lose no count and keep no place."""
    kinds = [True, False, ValueError("x"), KeyboardInterrupt()]
    rig = Rig(concurrency=4, failure_limit=10_000, attempts_per_hour=100_000, backoff=ExponentialBackoff(base=0))
    rig.healer.breaker.disable("counting", by="test")
    answers: list[str] = []

    def heal(n: int) -> None:
        for turn in range(50):
            said = kinds[(n + turn) % 4]
            try:
                answers.append(
                    rig.healer.handle(Alert(kind="k", labels={"n": str(n)}, message=str(kinds.index(said)))).outcome
                )
            except KeyboardInterrupt:
                answers.append("broken off")

    def by_message(alert: Alert, context: HealingContext) -> object:
        said = kinds[int(alert.message)]
        if isinstance(said, BaseException):
            raise said
        return said

    rig.healer.strategies = (CallableStrategy(by_message),)
    threads = [threading.Thread(target=heal, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    snapshot = rig.healer.snapshot()

    assert len(answers) == 800
    assert snapshot.successful_healings == answers.count("healed")
    assert snapshot.failed_healings == answers.count("failed")
    assert snapshot.interrupted_healings == answers.count("broken off")
    assert sum(snapshot.refused.values()) == answers.count("refused")
    assert snapshot.total_attempts == 800 - answers.count("refused")
    assert snapshot.running == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_during_a_healing_can_heal() -> None:
    """The place of a healing that runs in the parent is free in the child."""
    rig = Rig()
    begun, go = threading.Event(), threading.Event()

    def block(context: HealingContext) -> None:
        begun.set()
        go.wait(60)

    rig.says = block
    thread = threading.Thread(target=rig.healer.handle, args=(ALERT,))
    thread.start()
    begun.wait(60)
    rig.says = True
    with rig.healer._attempts._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if rig.healer.handle(ALERT).outcome is Outcome.HEALED else 1)
    go.set()
    thread.join()
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0

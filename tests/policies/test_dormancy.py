"""Tests of dormancy: easy to enter, left by a person alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from selfheal.errors import ConfigError, ResumeRefusedError, StateError
from selfheal.events import DormancyEntered, DormancyLeft, Event, EventBus, ResumeLooksPossible
from selfheal.policies.dormancy import DormantController, ResumeRecord
from selfheal.state import MemoryStore, SQLiteStore
from selfheal.testing import FakeClock


class Flaky:
    """A store that can be told to fail."""

    def __init__(self) -> None:
        self.inner = MemoryStore()
        self.reads_fail: Exception | None = None
        self.writes_fail: Exception | None = None
        self.reads = 0

    def get(self, key: str) -> dict[str, Any] | None:
        self.reads += 1
        if self.reads_fail is not None:
            raise self.reads_fail
        return self.inner.get(key)

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        if self.writes_fail is not None:
            raise self.writes_fail
        self.inner.put(key, record)

    def delete(self, key: str) -> None:
        self.inner.delete(key)


class Rig:
    """A controller on a fake clock, with everything it publishes."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.events = EventBus()
        self.seen: list[Event] = []
        self.events.subscribe(self.seen.append, inline=True)
        self.options = options
        self.dormancy = self.made()

    def made(self) -> DormantController:
        """Another controller of the same settings, as after a restart."""
        return DormantController(clock=self.clock, events=self.events, **self.options)

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.seen]


def test_awake_at_first() -> None:
    """A new controller is not dormant and has no records."""
    rig = Rig()

    assert (rig.dormancy.is_dormant, rig.dormancy.record, rig.dormancy.last_resume) == (False, None, None)
    assert rig.seen == []


def test_the_record_says_why_when_and_by_what() -> None:
    """Entering keeps reason, wall-clock time, trigger and conditions, and says that a person must reset it."""
    rig = Rig(resume_conditions=["the key works"])

    assert rig.dormancy.enter("10 failures", "automatic") is True
    record = rig.dormancy.record
    assert record is not None
    assert (record.reason, record.timestamp, record.triggered_by) == ("10 failures", rig.clock.wall(), "automatic")
    assert (record.resume_conditions, record.manual_reset_required) == (("the key works",), True)


def test_conditions_of_the_call_take_precedence() -> None:
    """Conditions given with enter() replace those of the controller."""
    rig = Rig(resume_conditions=["general"])
    rig.dormancy.enter("x", resume_conditions=["special"])

    assert rig.dormancy.record is not None
    assert rig.dormancy.record.resume_conditions == ("special",)


def test_entering_again_keeps_the_first_record_and_alerts_once() -> None:
    """A second reason changes nothing and publishes nothing."""
    rig = Rig()
    rig.dormancy.enter("first", "automatic")
    rig.clock.advance(5)

    assert rig.dormancy.enter("second", "circuit_breaker") is False
    assert rig.dormancy.record is not None
    assert rig.dormancy.record.reason == "first"
    assert rig.seen == [DormancyEntered(at=1_700_000_000.0, reason="first", triggered_by="automatic")]


def test_a_person_enters_it_by_hand() -> None:
    """enter() with a reason alone is taken as a person's doing; a blank reason is no obstacle to stopping."""
    rig = Rig()
    rig.dormancy.enter("   ")

    assert rig.dormancy.record is not None
    assert (rig.dormancy.record.triggered_by, rig.dormancy.record.reason) == ("manual", "no reason given")


def test_resume_needs_a_reason_and_records_who() -> None:
    """A resume keeps why, who and when, publishes it, and tells that something changed."""
    rig = Rig()
    rig.dormancy.enter("x")
    rig.clock.advance(60)

    assert rig.dormancy.resume("  key replaced ", by=" maria ") is True
    assert rig.dormancy.is_dormant is False
    assert rig.dormancy.last_resume == ResumeRecord(reason="key replaced", by="maria", timestamp=1_700_000_060.0)
    assert rig.seen[-1] == DormancyLeft(at=1_700_000_060.0, reason="key replaced", by="maria")


@pytest.mark.parametrize("reason", ["", "  \t\n", None, 7])
def test_a_blank_reason_is_refused(reason: Any) -> None:
    """Without a reason in words nothing resumes."""
    rig = Rig()
    rig.dormancy.enter("x")

    with pytest.raises(ResumeRefusedError, match="a reason is needed"):
        rig.dormancy.resume(reason)
    assert rig.dormancy.is_dormant


def test_resuming_while_awake_changes_nothing() -> None:
    """A resume that has nothing to end returns False and leaves no trace."""
    rig = Rig()

    assert rig.dormancy.resume("just in case") is False
    assert rig.dormancy.last_resume is None
    assert rig.seen == []


def test_time_never_ends_it() -> None:
    """Ten years and clock steps later it is still dormant."""
    rig = Rig()
    rig.dormancy.enter("x")
    rig.clock.advance(315_360_000)
    rig.clock.jump(-3600)

    assert rig.dormancy.is_dormant


def boom() -> object:
    """A check that raises."""
    raise OSError("no route to host")


@pytest.mark.parametrize(
    ("check", "why"),
    [
        (lambda: False, "it returned False"),
        (lambda: "the key is still missing", "the key is still missing"),
        (lambda: "", "it returned ''"),
        (lambda: 0, "it returned 0"),
        (lambda: 1, "it returned 1"),
        (boom, "OSError: no route to host"),
    ],
)
def test_a_check_that_does_not_pass_refuses_by_name(check: Any, why: str) -> None:
    """A check that returns anything but True or None, or raises, keeps it dormant and is named."""
    cleared: list[object] = []
    rig = Rig(checks={"fine": lambda: True, "upstream": check})
    rig.dormancy.on_resume(cleared.append)
    rig.dormancy.enter("x")

    with pytest.raises(ResumeRefusedError, match="check 'upstream' failed") as caught:
        rig.dormancy.resume("please")
    assert (caught.value.failed_check, caught.value.why) == ("upstream", why)
    assert rig.dormancy.is_dormant
    assert cleared == []


def test_an_asynchronous_check_refuses_and_says_so() -> None:
    """A check that nobody awaits has not passed."""

    async def check() -> bool:
        return True

    rig = Rig(checks={"later": check})
    rig.dormancy.enter("x")

    with pytest.raises(ResumeRefusedError, match="plain function"):
        rig.dormancy.resume("please")


def test_passing_checks_let_it_resume() -> None:
    """True and None are passes."""
    rig = Rig(checks={"a": lambda: True, "b": lambda: None})
    rig.dormancy.enter("x")

    assert rig.dormancy.resume("fixed") is True


def test_a_check_must_be_callable() -> None:
    """Something that cannot be called is refused at construction, by name."""
    checks: Any = {"up": True}
    with pytest.raises(ConfigError, match="checks\\['up'\\]"):
        DormantController(checks=checks)


def test_an_unknown_trigger_and_a_text_for_conditions_are_refused() -> None:
    """The trigger is one of three words, and conditions are several texts, not one taken apart."""
    rig = Rig()
    trigger: Any = "somehow"
    with pytest.raises(ConfigError, match="triggered_by"):
        rig.dormancy.enter("x", trigger)
    with pytest.raises(ConfigError, match="resume_conditions"):
        rig.dormancy.enter("x", resume_conditions="fix it")
    with pytest.raises(ConfigError, match="resume_conditions"):
        DormantController(resume_conditions="fix it")


def test_what_must_be_cleared_is_cleared_before_work_may_start() -> None:
    """The on_resume callables run while it is still dormant."""
    rig = Rig()
    seen: list[tuple[bool, str]] = []
    rig.dormancy.on_resume(lambda record: seen.append((rig.dormancy.is_dormant, record.reason)))
    rig.dormancy.enter("x")
    rig.dormancy.resume("fixed")

    assert seen == [(True, "fixed")]


def test_one_raising_callable_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """A callable that raises is logged and reported; the resume and the other callables go on."""
    rig = Rig()
    ran: list[str] = []

    @rig.dormancy.on_resume
    def bad(record: ResumeRecord) -> None:
        raise ValueError("stuck")

    rig.dormancy.on_resume(lambda record: ran.append(record.by))
    rig.dormancy.enter("x")

    assert rig.dormancy.resume("fixed", by="li") is True
    assert ran == ["li"]
    assert rig.dormancy.last_resume is not None
    assert len(rig.dormancy.last_resume.problems) == 1
    assert "bad: ValueError: stuck" in rig.dormancy.last_resume.problems[0]
    assert "raised" in caplog.text


def test_asked_for_anew_while_resuming() -> None:
    """If somebody stops it again while it is being resumed, it stays dormant."""
    rig = Rig(store=(store := MemoryStore()))
    rig.dormancy.enter("x")
    rig.dormancy.on_resume(lambda record: rig.dormancy.enter("wait!", "manual"))

    with pytest.raises(ResumeRefusedError, match="anew"):
        rig.dormancy.resume("fixed")
    assert rig.dormancy.is_dormant
    assert rig.made().is_dormant
    assert store.get("dormancy") is not None


def test_two_resumes_at_once_change_it_once() -> None:
    """Of two people resuming at the same time one is told that it changed something."""
    rig = Rig()
    barrier = threading.Barrier(2)
    rig.dormancy.on_resume(lambda record: barrier.wait(60))
    rig.dormancy.enter("x")
    answers: list[bool] = []
    threads = [threading.Thread(target=lambda: answers.append(rig.dormancy.resume("fixed"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [False, True]
    assert rig.kinds() == ["DormancyEntered", "DormancyLeft"]


def test_many_enter_at_once_and_one_does() -> None:
    """Of twenty threads entering at once exactly one does, with one event."""
    rig = Rig(store=MemoryStore())
    barrier, answers = threading.Barrier(20), []

    def enter(n: int) -> None:
        barrier.wait()
        answers.append(rig.dormancy.enter(f"thread {n}"))

    threads = [threading.Thread(target=enter, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers.count(True) == 1
    assert rig.kinds() == ["DormancyEntered"]


def test_a_subscriber_may_call_back() -> None:
    """A subscriber in the publisher's own thread can ask and steer without a deadlock."""
    rig = Rig(store=MemoryStore())
    seen: list[bool] = []

    def ask(event: DormancyEntered) -> None:
        thread = threading.Thread(target=lambda: seen.append(rig.dormancy.is_dormant and not rig.dormancy.enter("y")))
        thread.start()
        thread.join(60)

    rig.events.subscribe(ask, DormancyEntered, inline=True)
    rig.dormancy.enter("x")

    assert seen == [True]


def test_checks_tell_a_person_once_that_the_cause_looks_gone() -> None:
    """When all checks pass in a dormancy one event says so; nothing resumes, and the next dormancy tells anew."""
    state = {"ok": False}
    rig = Rig(checks={"upstream": lambda: state["ok"]})
    rig.dormancy.enter("key gone")
    assert [(r.name, r.passed, r.why) for r in rig.dormancy.check()] == [("upstream", False, "it returned False")]
    state["ok"] = True
    for _ in range(3):
        assert [(r.name, r.passed, r.why) for r in rig.dormancy.check()] == [("upstream", True, "")]
        rig.dormancy.enter("again")

    assert rig.seen[1:] == [ResumeLooksPossible(at=rig.clock.wall(), reason="key gone")]
    assert rig.dormancy.is_dormant
    rig.dormancy.resume("fixed")
    rig.dormancy.enter("key gone again")
    rig.dormancy.check()
    assert rig.kinds().count("ResumeLooksPossible") == 2


def test_checks_tell_nothing_while_awake_or_without_any() -> None:
    """No event where there is nothing to resume, or nothing that could have looked."""
    rig = Rig(checks={"a": lambda: True})
    assert [result.passed for result in rig.dormancy.check()] == [True]
    bare = Rig()
    bare.dormancy.enter("x")
    assert bare.dormancy.check() == ()

    assert rig.seen == []
    assert bare.kinds() == ["DormancyEntered"]


def test_it_survives_a_restart(tmp_path: Path) -> None:
    """With a durable store a new controller has the same record, without alerting again."""
    rig = Rig(store=SQLiteStore(tmp_path / "s"), resume_conditions=("a", "b"))
    rig.dormancy.enter("10 failures", "automatic")
    rig.seen.clear()
    after = rig.made()

    assert after.record == rig.dormancy.record
    assert rig.seen == []
    assert after.resume("fixed", by="li") is True
    again = rig.made()
    assert (again.is_dormant, again.last_resume) == (False, after.last_resume)


def test_the_store_is_read_at_the_first_question_and_once() -> None:
    """Construction reads nothing, and the answers afterwards come from memory."""
    store = Flaky()
    rig = Rig(store=store)
    assert store.reads == 0
    for _ in range(5):
        assert rig.dormancy.is_dormant is False

    assert store.reads == 1


@pytest.mark.parametrize("error", [StateError("s", "dormancy", "broken"), OSError("gone"), RuntimeError()])
def test_an_unreadable_store_reads_as_dormant(error: Exception) -> None:
    """What cannot be read counts as dormant, alerts once, and a person can resume it."""
    store = Flaky()
    store.reads_fail = error
    rig = Rig(store=store)

    assert rig.dormancy.is_dormant
    assert rig.dormancy.record is not None
    assert "cannot be read" in rig.dormancy.record.reason
    assert rig.kinds() == ["DormancyEntered"]
    assert rig.dormancy.resume("store repaired") is True
    store.reads_fail = None
    assert rig.made().is_dormant is False


GOOD = {
    "reason": "x",
    "timestamp": 1.0,
    "triggered_by": "manual",
    "resume_conditions": [],
    "manual_reset_required": True,
}


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"version": 1},
        {"version": 2, "dormancy": None, "last_resume": None},
        {"version": 1, "dormancy": None},
        {"version": 1, "dormancy": False, "last_resume": None},
        {"version": 1, "dormancy": "no", "last_resume": None},
        {"version": 1, "dormancy": [], "last_resume": None},
        {"version": 1, "dormancy": {}, "last_resume": None},
        {"version": 1, "dormancy": {**GOOD, "triggered_by": "x"}, "last_resume": None},
        {"version": 1, "dormancy": {**GOOD, "manual_reset_required": False}, "last_resume": None},
        {"version": 1, "dormancy": {**GOOD, "reason": None}, "last_resume": None},
        {"version": 1, "dormancy": {**GOOD, "resume_conditions": "abc"}, "last_resume": None},
        {"version": 1, "dormancy": None, "last_resume": {"reason": "x"}},
    ],
)
def test_a_corrupt_record_reads_as_dormant(stored: dict[str, Any]) -> None:
    """A record that is anything but what is written there counts as dormant."""
    store = MemoryStore()
    store.put("dormancy", stored)

    assert Rig(store=store).dormancy.is_dormant


def test_a_corrupt_file_reads_as_dormant(tmp_path: Path) -> None:
    """A database file overwritten with something else counts as dormant and cannot be resumed unrepaired."""
    path = tmp_path / "s"
    path.write_bytes(b"rubbish" * 1000)
    rig = Rig(store=SQLiteStore(path))

    assert rig.dormancy.is_dormant
    with pytest.raises(StateError):
        rig.dormancy.resume("try")
    assert rig.dormancy.is_dormant
    path.unlink()
    assert rig.dormancy.resume("file removed") is True


@settings(max_examples=50, deadline=None)
@given(stored=st.dictionaries(st.sampled_from(["version", "dormancy", "last_resume"]), st.integers() | st.none()))
def test_any_stored_shape_is_survived(stored: dict[str, Any]) -> None:
    """Whatever is stored, asking never raises, and only the exact form of "not dormant" reads as awake."""
    store = MemoryStore()
    store.put("dormancy", stored)

    assert Rig(store=store).dormancy.is_dormant == (stored != {"version": 1, "dormancy": None, "last_resume": None})


def test_a_failing_write_is_loud_and_still_dormant(caplog: pytest.LogCaptureFixture) -> None:
    """Where the record cannot be written entering raises, is alerted, and holds; the next enter tries again."""
    store = Flaky()
    rig = Rig(store=store)
    store.writes_fail = OSError("disk full")
    for _ in range(2):
        with pytest.raises(StateError, match="disk full"):
            rig.dormancy.enter("x", "automatic")

    assert rig.dormancy.is_dormant
    assert rig.kinds() == ["DormancyEntered"]
    assert "a restart would forget it" in caplog.text
    store.writes_fail = None
    assert rig.dormancy.enter("x") is False
    assert rig.made().record == rig.dormancy.record


def test_a_resume_that_cannot_be_written_stays_dormant() -> None:
    """Memory and store never part: what cannot be written as resumed is not resumed."""
    store = Flaky()
    rig = Rig(store=store)
    rig.dormancy.enter("x")
    store.writes_fail = OSError("disk full")

    with pytest.raises(StateError, match="disk full"):
        rig.dormancy.resume("fixed")
    assert rig.dormancy.is_dormant
    assert rig.made().is_dormant
    assert rig.kinds() == ["DormancyEntered"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_not_locked_out() -> None:
    """A lock held by another thread at the moment of a fork does not stop the child."""
    dormancy = DormantController(events=EventBus())
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with dormancy._steering:
            held.set()
            let_go.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    child = os.fork()
    if child == 0:
        os._exit(0 if dormancy.enter("x") else 1)
    let_go.set()
    thread.join()
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


class DormancyAgainstModel(RuleBasedStateMachine):
    """Random entering, resuming, failing stores and restarts against three plain variables."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Flaky()
        self.check_says: object = True
        self.rig = Rig(store=self.store, checks={"c": lambda: self.check_says})
        self.dormancy = self.rig.dormancy
        self.reason: str | None = None
        self.stored: str | None = None
        self.entered = self.left = 0

    @rule(reason=st.sampled_from(["a", "b", "c"]))
    def enter(self, reason: str) -> None:
        """Enter; the first reason is kept, and written if it can be."""
        fresh = self.reason is None
        if fresh:
            self.reason, self.entered = reason, self.entered + 1
        must_write = self.stored != self.reason
        try:
            assert self.dormancy.enter(reason) is fresh
            assert not (must_write and self.store.writes_fail)
            self.stored = self.reason
        except StateError:
            assert must_write
            assert self.store.writes_fail

    @rule(reason=st.sampled_from(["fixed", " "]))
    def resume(self, reason: str) -> None:
        """Resume; it works exactly with a reason, a passing check and a working store."""
        try:
            changed = self.dormancy.resume(reason)
        except ResumeRefusedError:
            assert reason == " " or (self.reason is not None and self.check_says is not True)
        except StateError:
            assert self.reason is not None
            assert self.store.writes_fail
        else:
            assert changed is (self.reason is not None)
            if changed:
                assert self.check_says is True
                assert not self.store.writes_fail
                self.left += 1
                self.reason = self.stored = None

    @rule(says=st.sampled_from([True, False, "no"]))
    def check_changes(self, says: object) -> None:
        """The world changes what the check sees."""
        self.check_says = says
        self.dormancy.check()

    @rule(broken=st.booleans())
    def disk(self, broken: bool) -> None:
        """The disk fills up or is freed."""
        self.store.writes_fail = OSError("full") if broken else None

    @precondition(lambda self: self.store.reads_fail is None)
    @rule()
    def restart(self) -> None:
        """A restart knows what was stored, and nothing else."""
        self.dormancy = self.rig.made()
        self.reason = self.stored

    @invariant()
    def agrees(self) -> None:
        """The controller says what the model says."""
        record = self.dormancy.record
        assert (None if record is None else record.reason) == self.reason
        kinds = self.rig.kinds()
        assert (kinds.count("DormancyEntered"), kinds.count("DormancyLeft")) == (self.entered, self.left)


TestDormancyAgainstModel = DormancyAgainstModel.TestCase

"""Steering calls and their audit, over real breakers, dormancy and tasks."""

from __future__ import annotations

import json
import logging
import pickle
from typing import Any

import attrs
import pytest

from selfheal.errors import ConfigError, NotFoundError, ResetRefusedError, ResumeRefusedError
from selfheal.events import ActionAudited, EventBus
from selfheal.policies.breaker import BreakerRegistry, CircuitBreaker
from selfheal.policies.dormancy import DormantController
from selfheal.status.steering import Caller, Steering
from selfheal.tasks import TaskRegistry
from selfheal.testing import FakeClock

MARIA = Caller(reason="key renewed", by="maria", via="http 10.0.0.7")


@attrs.define
class World:
    """Real parts on a virtual clock, and every audit event that was published."""

    clock: FakeClock
    events: EventBus
    dormancy: DormantController
    breakers: BreakerRegistry
    tasks: TaskRegistry
    steering: Steering
    published: list[ActionAudited]


@pytest.fixture
def world() -> World:
    """A dormant controller, a permanently open breaker and two tasks."""
    clock, events = FakeClock(), EventBus()
    published: list[ActionAudited] = []
    events.subscribe(published.append, ActionAudited, inline=True)
    dormancy = DormantController(clock=clock, events=events)
    breakers = BreakerRegistry()
    CircuitBreaker("llm", clock=clock, events=events, registry=breakers).trip_permanently("unauthorized")
    tasks = TaskRegistry(clock=clock, events=events, start=False)
    tasks.register_interval("detect", lambda: None, every=300)
    tasks.register_interval("prevent", lambda: None, every=600)
    steering = Steering(dormancy=dormancy, breakers=breakers, tasks=tasks, events=events, clock=clock)
    return World(clock, events, dormancy, breakers, tasks, steering, published)


def test_resume_ends_dormancy_and_says_who(world: World) -> None:
    """A resume with a reason wakes the healer and is recorded with person, way and reason."""
    world.dormancy.enter("worn out")
    done = world.steering.resume(MARIA)

    assert done.changed
    assert done.facts == {"resumed": True, "isDormant": False, "problems": []}
    assert not world.dormancy.is_dormant
    (record,) = world.published
    assert (record.who, record.what, record.reason, record.allowed) == (
        "maria (http 10.0.0.7)",
        "resume",
        "key renewed",
        True,
    )
    assert record.at == world.clock.wall()
    assert world.steering.audit == (record,)


def test_resume_when_awake_changes_nothing(world: World) -> None:
    """Resuming what is not dormant is no error, and says that nothing changed."""
    assert world.steering.resume(MARIA).changed is False


def test_a_refused_resume_is_audited_and_raised(world: World) -> None:
    """A failing check keeps it dormant, and the refusal is on record."""
    dormancy = DormantController(clock=world.clock, events=world.events, checks={"key": lambda: "no active key"})
    dormancy.enter("no active api keys")
    steering = Steering(dormancy=dormancy, breakers=world.breakers, events=world.events, clock=world.clock)

    with pytest.raises(ResumeRefusedError, match="'key' failed: no active key"):
        steering.resume(MARIA)

    assert dormancy.is_dormant
    assert [record.allowed for record in world.published] == [False]
    assert "no active key" in world.published[0].detail


def test_problems_of_a_resume_are_told(world: World) -> None:
    """What went wrong while resuming is part of the answer."""

    @world.dormancy.on_resume
    def _broken(record: Any) -> None:
        raise RuntimeError("cannot clear")

    world.dormancy.enter("x")
    done = world.steering.resume(MARIA)

    assert done.changed
    assert "cannot clear" in done.message
    assert len(done.facts["problems"]) == 1


def test_a_permanently_open_breaker_needs_force(world: World) -> None:
    """Without force the reset is refused and recorded; with force the breaker closes and knows by whom."""
    with pytest.raises(ResetRefusedError):
        world.steering.reset_breaker("llm", MARIA)
    done = world.steering.reset_breaker("llm", MARIA, force=True)

    assert done.facts == {"reset": True, "name": "llm", "state": "CLOSED"}
    assert [record.allowed for record in world.published] == [False, True]
    last = world.breakers.get("llm").snapshot().last_reset
    assert last is not None
    assert (last.by, last.reason) == ("maria", "key renewed")


def test_an_unknown_breaker_is_named_with_those_there_are(world: World) -> None:
    """A wrong name is audited and answered with the right ones."""
    with pytest.raises(NotFoundError) as caught:
        world.steering.reset_breaker("lmm", MARIA)

    assert caught.value.known == ("llm",)
    assert world.published[0].target == "lmm"


def test_tasks_are_paused_resumed_and_unregistered(world: World) -> None:
    """Each task call changes the real registry, tells whether it did, and is recorded."""

    def enabled() -> dict[str, bool]:
        return {task.id: task.enabled for task in world.tasks.snapshot().tasks}

    assert world.steering.pause_task("detect", MARIA).changed
    assert not world.steering.pause_task("detect", MARIA).changed
    assert enabled() == {"detect": False, "prevent": True}
    assert world.steering.resume_task("detect", MARIA).changed
    assert enabled() == {"detect": True, "prevent": True}
    assert world.steering.pause_all_tasks(MARIA).facts == {"paused": ["detect", "prevent"]}
    assert enabled() == {"detect": False, "prevent": False}
    assert world.steering.resume_all_tasks(MARIA).facts == {"resumed": ["detect", "prevent"]}
    assert world.steering.unregister_task("detect", MARIA).changed
    assert enabled() == {"prevent": True}
    assert [record.what for record in world.published] == [
        "task.pause",
        "task.pause",
        "task.resume",
        "tasks.pause",
        "tasks.resume",
        "task.unregister",
    ]


@pytest.mark.parametrize("call", ["pause_task", "resume_task", "unregister_task"])
def test_an_unknown_task_is_named_with_those_there_are(world: World, call: str) -> None:
    """A wrong id is refused with the ids there are, and recorded."""
    with pytest.raises(NotFoundError) as caught:
        getattr(world.steering, call)("detekt", MARIA)

    assert set(caught.value.known) == {"detect", "prevent"}
    assert world.published[0].allowed is False


def test_cleaning_up_stops_the_registry_for_good(world: World) -> None:
    """After a clean-up nothing is registered any more, and doing it again changes nothing."""
    first, second = world.steering.clean_up_tasks(MARIA), world.steering.clean_up_tasks(MARIA)

    assert (first.changed, second.changed) == (True, False)
    assert first.facts["stillRunning"] == []
    assert world.tasks.snapshot().state == "stopped"


@pytest.mark.parametrize(
    ("call", "what"),
    [("resume", "Steering.healer"), ("pause_all_tasks", "Steering.tasks"), ("clean_up_tasks", "Steering.tasks")],
)
def test_what_is_not_there_cannot_be_steered(call: str, what: str) -> None:
    """Steering a part that was not given is refused by its name, and recorded."""
    steering = Steering(breakers=BreakerRegistry(), events=EventBus(), clock=FakeClock())

    with pytest.raises(ConfigError, match=what):
        getattr(steering, call)(MARIA)

    assert [record.allowed for record in steering.audit] == [False]


def test_a_failure_in_a_part_is_audited_without_its_text(world: World) -> None:
    """An unexpected error is raised on, and the record names its kind but not its text, which may hold a secret."""

    class Broken(BreakerRegistry):
        def get(self, name: str) -> CircuitBreaker:
            raise RuntimeError("password=hunter2")

    steering = Steering(breakers=Broken(), events=world.events, clock=world.clock)
    with pytest.raises(RuntimeError):
        steering.reset_breaker("llm", MARIA)

    assert world.published[0].detail == "failed: RuntimeError"


def test_a_flood_of_refusals_does_not_push_out_what_was_done(world: World) -> None:
    """The audit is bounded, and done and refused calls are bounded apart."""
    steering = Steering(breakers=world.breakers, events=world.events, clock=world.clock, audit_limit=3)
    steering.reset_breaker("llm", MARIA, force=True)
    for number in range(100):
        steering.refused("resume", "healing", Caller(via=f"http {number}"), "401")

    assert [record.allowed for record in steering.audit] == [True, False, False, False]
    assert [record.who for record in steering.audit[1:]] == ["http 97", "http 98", "http 99"]


def test_the_audit_log_is_one_line_of_json_without_secrets(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """What a caller wrote can forge no second log line, and a credential in it is redacted."""
    caplog.set_level(logging.INFO, "selfheal.audit")
    caller = Caller(reason="x\nFAKE ok sk-abcdefghijklmnop", by="eve\r\n ghp_0123456789abcdefghijABCDEF", via="http")
    world.steering.refused("resume", "healing", caller, "401 unauthorized")

    (entry,) = [record for record in caplog.records if record.name == "selfheal.audit"]
    assert "\n" not in entry.getMessage()
    assert json.loads(entry.getMessage())["reason"] == "x\nFAKE ok [redacted]"
    assert "ghp_" not in entry.getMessage()
    assert "ghp_" not in repr(world.published)
    assert entry.levelno == logging.WARNING
    assert entry.audit["allowed"] is False  # type: ignore[attr-defined]


def test_audit_records_are_cut_to_a_size(world: World) -> None:
    """A huge name cannot fill the memory with records."""
    world.steering.refused("breaker.reset", "n" * 100_000, MARIA, "404")

    assert len(world.steering.audit[0].target) == 1000
    assert len(pickle.dumps(world.steering.audit[0])) < 5000


def test_the_audit_limit_must_be_positive() -> None:
    """An audit that keeps nothing is refused."""
    with pytest.raises(ConfigError, match="audit_limit"):
        Steering(breakers=BreakerRegistry(), audit_limit=0)

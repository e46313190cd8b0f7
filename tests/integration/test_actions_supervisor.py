"""Actions on services against a real supervisor and real processes: the contract, and what a crash leaves to find."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from selfheal.clock import SYSTEM_CLOCK
from selfheal.events import Alert, WorkerStateChanged
from selfheal.healing.actions import ActionCall, Probed, builtin_actions
from selfheal.levers import DependencyGraph, OptionalServices
from selfheal.supervision import Supervisor
from selfheal.testing import ActionContract, ActionScene
from tests.integration.supervising import FOR_EVER, Rig, alive, rig, sh, until

NAMES = ("db", "api")
ACTIONS = builtin_actions()
ALERT = Alert(kind="hung", target="api", severity="critical")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Rig]:
    yield from rig(tmp_path)


@pytest.fixture
def services(run: Rig) -> Supervisor:
    """A database, and an API that depends on it, both RUNNING."""
    made = run.started(**{name: run.worker(sh(FOR_EVER), min_uptime=0.02) for name in NAMES})
    for name in NAMES:
        made.wait_for(name, "RUNNING")
    return made


def scene(services: Supervisor) -> ActionScene:
    for name in NAMES:
        services.start(name)
        services.wait_for(name, "RUNNING")
    levers = {
        "services": services,
        "dependencies": DependencyGraph({"api": ["db"]}),
        "optional": OptionalServices(services, NAMES),
    }

    def look() -> object:
        return {name: services.status(name).pid for name in NAMES}

    return ActionScene(levers=levers, look=look, target="db", alert=ALERT, clock=SYSTEM_CLOCK)


def call(name: str, services: Supervisor) -> ActionCall:
    return ActionCall(
        key="run:0",
        strategy="hung",
        target="db",
        alert=ALERT,
        params=ACTIONS.get(name).params(),
        levers=scene(services).levers,
        clock=SYSTEM_CLOCK,
        deadline=SYSTEM_CLOCK.monotonic() + 60,
    )


@pytest.mark.parametrize("name", ["restart_service", "restart_if_critical", "restart_dependants", "stop_optional"])
def test_contract(name: str, services: Supervisor) -> None:
    """Each action on services keeps the contract over real processes."""
    assert ActionContract(ACTIONS.get(name), lambda: scene(services)).breaches() == ()


def test_restarted_and_known_by_it(services: Supervisor) -> None:
    """The old process is gone, another one is up, and who only has the plan sees that it was done."""
    made, action = call("restart_service", services), ACTIONS.get("restart_service")
    old = services.status("db").pid
    plan = action.plan(made)
    assert isinstance(plan, dict)
    assert action.probe(made, plan) is Probed.NOT_DONE
    receipt = action.run(made, plan)
    assert receipt is not None
    services.wait_for("db", "RUNNING")

    assert old is not None
    assert not alive(old)
    assert action.probe(made, plan) is Probed.DONE
    assert action.verify(made, plan, receipt) is True
    assert action.run(made, plan) == {"service": "db", "restarted": False}


def test_a_worker_that_came_back_by_itself_is_left_in_peace(services: Supervisor) -> None:
    """A service that crashed and was restarted between plan and run needs no second restart."""
    import os
    import signal

    made, action = call("restart_service", services), ACTIONS.get("restart_service")
    plan = action.plan(made)
    assert isinstance(plan, dict)
    pid = services.status("db").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: services.status("db").pid not in (None, pid))
    services.wait_for("db", "RUNNING")

    assert action.run(made, plan) == {"service": "db", "restarted": False}


def test_dependants_come_up_one_after_the_other(run: Rig, services: Supervisor) -> None:
    """The API is restarted only once the database is up again."""
    before = len(run.events)
    made, action = call("restart_dependants", services), ACTIONS.get("restart_dependants")
    plan = action.plan(made)
    assert isinstance(plan, dict)
    receipt = action.run(made, plan)
    assert receipt is not None

    assert receipt["restarted"] == ["db", "api"]
    changes = [event for _, event in run.events[before:] if isinstance(event, WorkerStateChanged)]
    moves = [(change.worker, change.new) for change in changes]
    assert moves.index(("db", "RUNNING")) < moves.index(("api", "STARTING"))
    assert action.verify(made, plan, receipt) is True
    stopped = attrs.evolve(made, target="api")
    assert ACTIONS.get("restart_dependants").plan(stopped) != plan

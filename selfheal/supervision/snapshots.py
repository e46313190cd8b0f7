"""What is shown of workers: frozen records, and a section for the status."""

from __future__ import annotations

from typing import Any

import attrs

from selfheal.errors import NotFoundError
from selfheal.plain import camel_cased
from selfheal.supervision.holding import Held
from selfheal.supervision.machine import WorkerMachine
from selfheal.supervision.output import OutputFile
from selfheal.supervision.states import WorkerState


@attrs.frozen(kw_only=True)
class WorkerSnapshot:
    """One worker at one moment. Durations are seconds.

    Args:
        name: its name.
        state: ``STARTING``, ``RUNNING``, ``BACKOFF``, ``FAILED`` or ``STOPPED``.
        reason: why it is in this state.
        since: how long it has been.
        pid: its process, or ``None``.
        uptime: how long its process has been up; 0 without one.
        ready: whether it can take work: RUNNING, and the readiness check is good where there is one.
        held: whether it was stopped by hand.
        ending: why its process was told to end, or ``None``.
        adopted: whether its process was started by an earlier supervisor.
        restarts: automatic restarts within the period.
        intensity: how many there may be.
        total_restarts: automatic restarts since its first start.
        retry_in: until it is started again, in BACKOFF; else ``None``.
        last_exit: how its last process ended, in words, or ``None``.
        last_exit_kind: the same as an ``ExitKind``, or ``None``.
        health: what the last health check found, or empty.
        last_good_ago: since the last good health check, or ``None`` without checks or process.
        bad_checks: bad ones among the last ten.
        output: the file it prints to.
    """

    name: str
    state: str
    reason: str
    since: float
    pid: int | None
    uptime: float
    ready: bool
    held: bool
    ending: str | None
    adopted: bool
    restarts: int
    intensity: int
    total_restarts: int
    retry_in: float | None
    last_exit: str | None
    last_exit_kind: str | None
    health: str
    last_good_ago: float | None
    bad_checks: int
    output: str


@attrs.frozen(kw_only=True)
class SupervisorSnapshot:
    """All workers of a supervisor at one moment.

    Args:
        state: ``new``, ``running``, ``stopped`` or ``forked``.
        workers: by name, in the order of the configuration.
    """

    state: str
    workers: tuple[WorkerSnapshot, ...]

    def __getitem__(self, name: str) -> WorkerSnapshot:
        found = {worker.name: worker for worker in self.workers}
        if name not in found:
            raise NotFoundError("worker", name, found)
        return found[name]


@attrs.frozen(kw_only=True)
class StopReport:
    """What a shutdown came to.

    Args:
        stopped: workers that ended when told to.
        killed: workers that had to be killed.
        still_running: workers that did not end even then.
    """

    stopped: tuple[str, ...] = ()
    killed: tuple[str, ...] = ()
    still_running: tuple[str, ...] = ()


def as_section(snapshot: SupervisorSnapshot) -> dict[str, Any]:
    """The status section: keys in camelCase, durations in whole milliseconds."""
    states = [worker.state for worker in snapshot.workers]
    return {
        "state": snapshot.state,
        "total": len(states),
        "running": states.count("RUNNING"),
        "failed": states.count("FAILED"),
        "workers": [camel_cased(worker, _TIMES) for worker in snapshot.workers],
    }


_TIMES = {"since", "uptime", "retry_in", "last_good_ago"}


def view(
    name: str, machine: WorkerMachine, held: Held | None, now: float, *, ready: bool, health: str, output: OutputFile
) -> WorkerSnapshot:
    """Show a worker as it is at ``now``."""
    checked = machine.alive and machine.config.health is not None
    running = machine.state is WorkerState.RUNNING and machine.ending is None
    last = machine.last_exit
    return WorkerSnapshot(
        name=name,
        state=str(machine.state),
        reason=machine.reason,
        since=now - machine.since,
        pid=None if held is None else held.pid,
        uptime=now - machine.started if machine.alive else 0.0,
        ready=running and ready,
        held=machine.held,
        ending=None if machine.ending is None else str(machine.ending),
        adopted=held is not None and held.adopted,
        restarts=machine.restarts(now),
        intensity=machine.config.restart.intensity,
        total_restarts=machine.total_restarts,
        retry_in=None if machine.retry_at is None else max(machine.retry_at - now, 0.0),
        last_exit=None if last is None else str(last),
        last_exit_kind=None if last is None else str(last.kind),
        health=health,
        last_good_ago=now - machine.last_good if checked else None,
        bad_checks=machine.bad_checks,
        output=str(output.path) if output.limits.keep else "",
    )

"""The whole reference app: its provider fails, its workers are killed. Clients get worse summaries, and no error."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from examples.demo_levers.measuring import Bound, Results, until
from examples.reference_app.config import AppConfig
from examples.reference_app.running import RunningApp
from examples.reference_app.traffic import Sent, Traffic, answered_by, told
from selfheal.clock import SYSTEM_CLOCK

SPEED = 100.0
_PAUSE = 0.05


class Clients:
    """Requests all the while, one after another, from a thread of their own.

    Args:
        port: of the service.
    """

    def __init__(self, port: int) -> None:
        self.sent: list[Sent] = []
        self._traffic = Traffic(port)
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._send, name="clients", daemon=True)

    def __enter__(self) -> Clients:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join(30.0)

    def _send(self) -> None:
        while not self._enough.wait(_PAUSE):
            self.sent += self._traffic.send()


def run(directory: Path, results: Results) -> None:
    """Start the service, and strike it."""
    with RunningApp(directory, speed=SPEED) as app, Clients(app.port) as clients:
        until("requests", lambda: len(clients.sent) > 3, SYSTEM_CLOCK.monotonic(), 10.0)
        _provider_fails(app, clients, results)
        results.count()


def _provider_fails(app: RunningApp, clients: Clients, results: Results) -> None:
    """503 from the provider: the switch sends requests to the workers, and back once probes succeed."""
    away = AppConfig().faster(SPEED).open_for
    with results.trial("service: provider fails, workers are killed") as trial:
        before = answered_by(clients.sent)
        began = trial.strikes(f"every call of the provider gets a 503 ({told(clients.sent)} so far)")
        app.fault("failing")
        found = until("the switch", lambda: _fallback(app) == "local", began, 10.0)
        trial.seen(
            "three failures opened the breaker, requests go to the workers", found, Bound.of(requests=3 * _PAUSE)
        )
        killed = _kill_workers(app)
        trial.story.tell(f"fault: kill -KILL {killed[0]}, then {killed[1]}, the workers that answer")
        app.fault("none")
        mended = SYSTEM_CLOCK.monotonic()
        back = until("the way back", lambda: _fallback(app) == "upstream", mended, 20.0) + mended - began
        until("an answer of it", lambda: clients.sent[-1].provider == "upstream", mended, 20.0)
        lasted = round(mended - began, 2)
        # The pause between two probes doubles while they fail: the last is at most as long as the fault lasted.
        bound = Bound.of(fault=lasted, pause=lasted + away / 6, stay=away, probes=away / 3, looks=0.4)
        trial.ended("probes succeeded, requests go to the provider again", back, bound)
        workers = app.status()["workers"]
        trial.expect("both workers were replaced", workers["crashes"] == 2 and len(workers["pids"]) == 2, workers)
        degraded = answered_by(clients.sent).get("local", 0)
        trial.expect("the workers answered meanwhile", degraded > 0 and "local" not in before, told(clients.sent))
        statuses = {one.status for one in clients.sent}
        trial.expect("every request got a summary", statuses == {200}, f"{len(clients.sent)} requests")


def _kill_workers(app: RunningApp) -> list[int]:
    """Kill the workers one after the other, each when all are there."""
    killed: list[int] = []
    for _ in range(2):
        pid = min(set(app.status()["workers"]["pids"]) - set(killed))
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)
        app.wait_for(lambda: _is_whole(app, killed), "a new worker")
    return killed


def _is_whole(app: RunningApp, killed: list[int]) -> bool:
    pids = app.status()["workers"]["pids"]
    return len(pids) == 2 and not set(pids) & set(killed)


def _fallback(app: RunningApp) -> str:
    return str(app.status()["fallback"]["active"])

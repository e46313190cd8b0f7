"""The reference app's provider under a supervisor that restarts it, within limits: killed, hung, exiting at once."""

from __future__ import annotations

import http.client
import json
import os
import signal
from pathlib import Path

from examples.demo_levers.measuring import SLACK, Bound, Results, Watch, until
from examples.reference_app.provider import PORT_FILE
from examples.reference_app.provider_process import command_of, environment_of
from selfheal.clock import SYSTEM_CLOCK
from selfheal.errors import ResetNeededError
from selfheal.events import Event, EventBus, WorkerEnding, WorkerExited, WorkerStateChanged
from selfheal.supervision import HeartbeatProbe, RestartPolicy, StopPolicy, Supervisor, SupervisorConfig, WorkerConfig

GOOD, BROKEN = "provider", "broken-provider"
HUNG_AFTER = 2.0
HEALTH_EVERY = 0.25
MIN_UPTIME = 0.3
GRACE = 1.0
POLICY = RestartPolicy(intensity=3, period=60.0, backoff=0.2, factor=2.0, cap=1.0)


class SupervisedProvider:
    """Two providers under one supervisor: one that works, and one whose directory is not there.

    Args:
        directory: for their files.
        events: where the supervisor tells what it does.
        watch: sees that.
    """

    def __init__(self, directory: Path, events: EventBus, watch: Watch) -> None:
        self._homes = {name: directory / name for name in (GOOD, BROKEN)}
        self._homes[GOOD].mkdir()
        self._watch = watch
        config = SupervisorConfig(
            workers={GOOD: self._worker(GOOD, autostart=True), BROKEN: self._worker(BROKEN, autostart=False)},
            state_dir=directory / "supervisor",
        )
        self.supervisor = Supervisor(config, events=events)

    def _worker(self, name: str, *, autostart: bool) -> WorkerConfig:
        return WorkerConfig(
            command=command_of(self._homes[name], "--end-with", str(os.getpid())),
            env=environment_of(),
            inherit_env=False,
            autostart=autostart,
            health=HeartbeatProbe(every=HEALTH_EVERY),
            hung_after=HUNG_AFTER,
            min_uptime=MIN_UPTIME,
            restart=POLICY,
            stop=StopPolicy(grace=GRACE),
        )

    def start(self) -> None:
        """Start the one that works."""
        self.supervisor.start()
        self.supervisor.wait_for(GOOD, "RUNNING", timeout=20.0)

    def killed(self, results: Results) -> None:
        """SIGKILL: the kernel tells at once; another process after the backoff."""
        with results.trial("provider process: SIGKILL") as trial:
            pid = self._pid()
            began = trial.strikes(f"kill -KILL {pid}")
            os.kill(pid, signal.SIGKILL)
            found = self._watch.wait("its death", lambda e: isinstance(e, WorkerExited) and e.pid == pid, began, 10.0)
            trial.seen("the kernel told", found, Bound.of(0.5))
            back = self._back(began)
            bound = Bound.of(backoff=POLICY.backoff, min_uptime=MIN_UPTIME, health_check=HEALTH_EVERY)
            trial.ended(f"restarted as process {self._pid()}", back, bound)
            trial.expect("it answers again", self.answers(GOOD))

    def hung(self, results: Results) -> None:
        """SIGSTOP: no sign of life from its work loop; it is ended, by force if need be, and restarted."""
        with results.trial("provider process: hung (SIGSTOP)") as trial:
            pid = self._pid()
            began = trial.strikes(f"kill -STOP {pid}")
            os.kill(pid, signal.SIGSTOP)

            def hung(event: Event) -> bool:
                return isinstance(event, WorkerEnding) and event.pid == pid and event.ending == "hung"

            found = self._watch.wait("that it hangs", hung, began, 20.0)
            trial.seen("no heartbeat", found, Bound.of(0.5, hung_after=HUNG_AFTER, health_check=HEALTH_EVERY))
            back = self._back(began)
            bound = Bound.of(
                hung_after=HUNG_AFTER,
                grace=GRACE,
                backoff=POLICY.delay(2),
                min_uptime=MIN_UPTIME,
                health_checks=2 * HEALTH_EVERY,
            )
            trial.ended(f"ended, restarted as process {self._pid()}", back, bound)
            trial.expect("it answers again", self.answers(GOOD))

    def exits_at_once(self, results: Results) -> None:
        """A crash loop: it is given up after as many restarts as are allowed, and a person resets it."""
        with results.trial("provider process: exits at once") as trial:
            began = trial.strikes(f"{BROKEN} is started, and its directory is not there")
            self.supervisor.start(BROKEN)
            found = self._watch.wait("its death", lambda e: _moved(e, BROKEN, "BACKOFF"), began, 10.0)
            trial.seen("ended before it was up", found, Bound.of())
            failed = self._watch.wait("that it is given up", lambda e: _moved(e, BROKEN, "FAILED"), began, 30.0)
            waits = sum(POLICY.delay(n) for n in range(1, POLICY.intensity + 1))
            starts = POLICY.intensity + 1
            given_up = Bound.of((starts) * SLACK / 2, backoffs=waits)
            shown = self.supervisor.status(BROKEN)
            trial.ended(f"given up: FAILED after {POLICY.intensity} restarts, reset by a person", failed, given_up)
            trial.expect("no more restarts than the limit", shown.total_restarts == POLICY.intensity, shown.reason)
            trial.expect("a start is refused until then", self._refuses())
            self._homes[BROKEN].mkdir()
            reset = SYSTEM_CLOCK.monotonic()
            self.supervisor.reset(BROKEN, "its directory is there now", by="operator")
            running = self._watch.wait("that it runs", lambda e: _moved(e, BROKEN, "RUNNING"), reset, 10.0)
            trial.expect("reset by a person, it runs", self.answers(BROKEN), f"{running:.2f} s after the reset")

    def answers(self, name: str) -> bool:
        """Whether a provider answers over HTTP."""
        port = int(json.loads((self._homes[name] / PORT_FILE).read_text())["port"])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        finally:
            connection.close()

    def _pid(self) -> int:
        pid = self.supervisor.status(GOOD).pid
        return 0 if pid is None else pid

    def _back(self, began: float) -> float:
        self._watch.wait("its restart", lambda e: _moved(e, GOOD, "RUNNING"), began, 20.0)
        return until("an answer", lambda: self.answers(GOOD), began, 20.0)

    def _refuses(self) -> bool:
        try:
            self.supervisor.start(BROKEN)
        except ResetNeededError:
            return True
        return False


def _moved(event: Event, worker: str, state: str) -> bool:
    return isinstance(event, WorkerStateChanged) and event.worker == worker and event.new == state

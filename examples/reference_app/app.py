"""The reference app, wired: every part made once, in the order in which it is needed, and ended in reverse."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from typing import Any

import attrs
import psutil

from examples.reference_app.config import AppConfig
from examples.reference_app.detection import Detection
from examples.reference_app.gateway import Gateway
from examples.reference_app.keys import VARIABLE, KeyPool
from examples.reference_app.provider_process import ProviderProcess, issue_key
from examples.reference_app.repair import Repair
from examples.reference_app.request_log import RequestLog
from examples.reference_app.upstream import DocumentRefusedError, Upstream, UpstreamError
from examples.reference_app.web import Web
from selfheal import (
    CircuitBreaker,
    DormantController,
    EventBus,
    ExponentialBackoff,
    FeatureFlags,
    Healer,
    StatusReport,
    TaskRegistry,
)
from selfheal.clock import SYSTEM_CLOCK
from selfheal.integrations.asgi import asgi_app
from selfheal.integrations.http import SteeringApi
from selfheal.policies.breaker import BreakerRegistry
from selfheal.policies.dormancy import ResumeRecord
from selfheal.state import SQLiteStore
from selfheal.status import Steering

logger = logging.getLogger("reference_app")

UPSTREAM = "summary-provider"
HEALER = "healer"
TASKS = ("detection", "healing", "preventive-healing", "request-log-trim")
RESUME_CONDITIONS = (
    f"a valid key is in {VARIABLE}",
    "the provider answers: see .gateway.provider in the status",
)


@attrs.frozen(kw_only=True)
class StopReport:
    """What was still there after everything had been told to end.

    Args:
        tasks: ids of registered tasks that still run.
        threads: names of threads beside the main one.
        processes: ids of child processes.
    """

    tasks: tuple[str, ...]
    threads: tuple[str, ...]
    processes: tuple[int, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing was."""
        return not (self.tasks or self.threads or self.processes)

    def __str__(self) -> str:
        if self.clean:
            return "stopped clean: 0 tasks, 0 threads and 0 child processes left"
        return f"STOPPED WITH LEFTOVERS: tasks {self.tasks}, threads {self.threads}, child processes {self.processes}"


class ReferenceApp:
    """The parts of the service and how they hang together. It does nothing until :meth:`start`.

    Args:
        config: the settings; its token must be set.
        environ: the environment, for keys and flags.

    Attributes:
        web: the ASGI application.
    """

    def __init__(self, config: AppConfig, environ: Mapping[str, str] = os.environ) -> None:
        self.config = config
        state = config.state_dir
        self.events = EventBus()
        self.flags = FeatureFlags(state, environ)
        self.keys = KeyPool(state, environ)
        self.process = ProviderProcess(state / "provider", config.admin_token)
        self.upstream = Upstream(lambda: self.process.port, self.keys, config.upstream_timeout)
        self.requests = RequestLog(state / "requests.sqlite")
        self.breakers = BreakerRegistry()
        self.breaker = self._breaker(UPSTREAM, ignore=(DocumentRefusedError,))
        self.gateway = Gateway(self.upstream, self.breaker, self.requests)
        self.detection = Detection(
            keys=self.keys,
            process=self.process,
            breaker=self.breaker,
            log=self.requests,
            flags=self.flags,
            events=self.events,
        )
        self.healer = self._make_healer()
        self.tasks = TaskRegistry(events=self.events)
        self.report = self._make_report()
        steering = Steering(healer=self.healer, breakers=self.breakers, tasks=self.tasks, events=self.events)
        self.web = Web(self.gateway, asgi_app(SteeringApi(self.report, steering, token=config.token)))

    def start(self) -> None:
        """Start the provider and the background tasks.

        Raises:
            ProviderStartError: if the provider does not come up.
        """
        self.process.start()
        self.healer.subscribe()
        self.register_tasks()

    def register_tasks(self) -> None:
        """Register the background tasks; those that are there already are replaced, never doubled."""
        config, owner = self.config, __name__
        self.tasks.register_interval("detection", self._detect, config.detection_every, owner=owner)
        self.healer.register(
            self.tasks, every=config.healing_every, preventive_every=config.preventive_every, owner=owner
        )
        self.tasks.register_interval("request-log-trim", self._trim, config.trim_every, owner=owner)

    def stop(self) -> StopReport:
        """End everything, in reverse, within ``stop_timeout`` and the time the provider takes; tell what is left."""
        self.healer.stop()
        ended = self.tasks.shutdown(timeout=self.config.stop_timeout)
        self.web.close()
        self.process.stop()
        self.events.drain()
        self.requests.close()
        return StopReport(
            tasks=tuple(ended.still_running),
            threads=_other_threads(grace=2.0),
            processes=tuple(child.pid for child in psutil.Process().children(recursive=True)),
        )

    def _breaker(self, name: str, **options: Any) -> CircuitBreaker:
        return CircuitBreaker(
            name, registry=self.breakers, events=self.events, open_for=self.config.open_for, **options
        )

    def _make_healer(self) -> Healer:
        repair = Repair(
            keys=self.keys, process=self.process, upstream=self.upstream, breaker=self.breaker, flags=self.flags
        )
        dormancy = DormantController(
            events=self.events,
            store=SQLiteStore(self.config.state_dir / "state.sqlite"),
            checks={"api keys": self._a_key_is_accepted},
            resume_conditions=RESUME_CONDITIONS,
        )
        dormancy.on_resume(self._reopen)
        return Healer(
            repair.heal,
            preventive=repair.prevent,
            flags=self.flags,
            dormancy=dormancy,
            # No text makes this one permanent: a key can come back in .env.local while the healer still tries. Ten
            # failures in a row do, and the pace of the ten is the backoff's: half an hour with the default numbers.
            breaker=self._breaker(HEALER, permanent_on=()),
            backoff=ExponentialBackoff(base=self.config.backoff_base, cap=self.config.backoff_cap),
            events=self.events,
            # Detection raises a problem anew at each look; what two looks did not find is no problem any more.
            alert_ttl=2.5 * self.config.detection_every,
            check_every=self.config.detection_every,
        )

    def _make_report(self) -> StatusReport:
        return StatusReport(
            healer=self.healer,
            breakers=self.breakers,
            tasks=self.tasks,
            flags=self.flags,
            sections={"llm": self._llm_section, "gateway": self._gateway_section},
            base_url=self.config.address,
        )

    def _a_key_is_accepted(self) -> None:
        """Resume check: there is a key, and the provider, if it can be asked, accepts it."""
        try:
            for key in self.keys.all():
                self.upstream.validate(key)
        except UpstreamError as error:
            # Whether the provider works is what healing is for: only keys stand against a resume.
            logger.warning("the keys could not be shown to the provider: %s", error)
        self.keys.need_active()

    def _reopen(self, resumed: ResumeRecord) -> None:
        """A person has said that the cause is gone: that goes for the gateway's breaker too."""
        self.breaker.reset(force=True, reason=resumed.reason, by=resumed.by)

    def _detect(self) -> None:
        self.detection.look()

    def _trim(self) -> None:
        self.requests.trim(self.config.keep_requests)

    def _llm_section(self) -> Mapping[str, Any]:
        counts = self.keys.counts()
        return {"keyManagement": {"totalKeys": counts.total, "activeKeys": counts.active, "failedKeys": counts.failed}}

    def _gateway_section(self) -> Mapping[str, Any]:
        tally = self.requests.tally()
        return {
            "pid": os.getpid(),
            "provider": {
                "running": self.process.alive(),
                "pid": self.process.pid,
                "port": self.process.port,
                "restarts": self.process.restarts,
            },
            "requests": {"ok": tally.ok, "degraded": tally.degraded, "rejected": tally.rejected},
            "problems": [alert.message for alert in self.detection.open],
        }


def prepare_state(config: AppConfig, environ: Mapping[str, str] = os.environ) -> bool:
    """Make the state directory and, the first time, two keys that the provider accepts.

    Returns:
        Whether keys were issued. They are when neither ``.env.local`` nor the variable exists: a file without
        keys is a person's decision and stays.
    """
    state = config.state_dir
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    (state / ".gitignore").write_text("*\n")
    settings = state / ".env.local"
    if settings.exists() or VARIABLE in environ:
        return False
    keys = ",".join(issue_key(state / "provider") for _ in range(2))
    settings.touch(mode=0o600)
    settings.write_text(
        f"# Read live: an edit takes effect at the next decision, without a restart.\n{VARIABLE}={keys}\n"
    )
    return True


def _other_threads(grace: float) -> tuple[str, ...]:
    """Threads beside this one that do not end within ``grace`` seconds."""
    deadline = SYSTEM_CLOCK.monotonic() + grace
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(max(deadline - SYSTEM_CLOCK.monotonic(), 0.0))
    return tuple(thread.name for thread in threading.enumerate() if thread is not threading.current_thread())

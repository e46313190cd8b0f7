"""The reference app, wired: every part made once, in the order in which it is needed, and ended in reverse."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping
from typing import Any

from examples.reference_app.anomaly import Anomalies
from examples.reference_app.backups import Backups
from examples.reference_app.budget import make_budget
from examples.reference_app.cache import SummaryCache
from examples.reference_app.config import AppConfig
from examples.reference_app.desk import Desk
from examples.reference_app.detection import Detection
from examples.reference_app.door import Door
from examples.reference_app.gateway import Gateway, WayBack, provider_limit
from examples.reference_app.healing import make_engine
from examples.reference_app.indexer_process import IndexerProcess
from examples.reference_app.keys import VARIABLE, KeyPool
from examples.reference_app.places import Places
from examples.reference_app.provider_process import ProviderProcess
from examples.reference_app.repair import Repair
from examples.reference_app.request_log import NotKeptError, RequestLog
from examples.reference_app.sampler import INDEXER, PROVIDER, WORKERS, Sampler
from examples.reference_app.services import Service, Services, WorkInHand
from examples.reference_app.stopping import StopReport
from examples.reference_app.telling import Telling
from examples.reference_app.upstream import DocumentRefusedError, Upstream, UpstreamError
from examples.reference_app.web import Web
from examples.reference_app.workers import SummaryWorkers, WorkerLimits
from selfheal import (
    CircuitBreaker,
    DormantController,
    EventBus,
    FeatureFlags,
    StatusReport,
    TaskRegistry,
)
from selfheal.errors import ConcurrencyLimitedError
from selfheal.healing import StrategyEngine
from selfheal.integrations.asgi import asgi_app
from selfheal.levers import CacheControl, Levers
from selfheal.policies.breaker import BreakerRegistry, BreakerState
from selfheal.policies.dormancy import ResumeRecord
from selfheal.resources import ResourceBudget
from selfheal.state import SQLiteStore
from selfheal.status import Steering

logger = logging.getLogger("reference_app")

UPSTREAM = "summary-provider"
HEALER = "healer"
TRIM = "request-log-trim"
TASKS = ("detection", "healing", "preventive-healing", TRIM, "resource-watch")
RESUME_CONDITIONS = (
    f"a valid key is in {VARIABLE}",
    "the provider answers: see .gateway.provider in the status",
)


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
        state, places = config.state_dir, Places(config.state_dir)
        self.events = EventBus()
        self.flags = FeatureFlags(state, environ)
        self.keys = KeyPool(state, environ)
        self.process = ProviderProcess(state / "provider", config.admin_token, self.events)
        self.upstream = Upstream(lambda: self.process.port, self.keys, config.upstream_timeout)
        self.requests = RequestLog(places.requests)
        self.indexer = IndexerProcess(state / "indexer", places.requests, events=self.events)
        self.breakers = BreakerRegistry()
        self.breaker = self._breaker(UPSTREAM, ignore=(DocumentRefusedError, ConcurrencyLimitedError))
        self.workers = self._make_workers()
        self.cache = SummaryCache(config.cache_entries, config.cache_ttl, enabled=config.cache)
        self.gateway = self._make_gateway()
        self.detection = Detection(
            keys=self.keys,
            process=self.process,
            breaker=self.breaker,
            log=self.requests,
            flags=self.flags,
            events=self.events,
            workers_failed=lambda: self.workers.failed,
        )
        self.tasks = TaskRegistry(events=self.events)
        self.cache_control = CacheControl("summary cache", self.cache, events=self.events)
        self.budget = self._make_budget()
        self.door = Door(config.rate_limit, config.burst, self.budget, self.events)
        self.telling = Telling(places.state, lambda: self.report.as_dict(), config.webhook, self.events)
        self.backups = Backups(
            places,
            self.requests,
            directory=config.backups,
            at=config.backup_at,
            check_every=min(config.detection_every, 120.0),
            on_restored=self._restored,
            events=self.events,
        )
        self.engine = self._make_engine()
        self.anomaly = Anomalies(
            state / "detection", week=config.history, flags=self.flags, events=self.events, speed=config.speed
        )
        self.sampler = self._make_sampler()
        self.report = self._make_report()
        steering = Steering(healer=self.engine.healer, breakers=self.breakers, tasks=self.tasks, events=self.events)
        desk = Desk(
            self.report,
            steering,
            backups=self.backups,
            engine=self.engine,
            events=self.events,
            token=config.token,
        )
        self.web = Web(self.gateway, self.door, asgi_app(desk))

    def start(self) -> None:
        """Start the provider, the summary workers and the background tasks.

        Raises:
            ProviderStartError: if the provider does not come up.
        """
        self.process.start()
        self.indexer.start()
        self.workers.start()
        self.engine.subscribe()
        self.anomaly.start()
        self.register_tasks()

    def register_tasks(self) -> None:
        """Register the background tasks; those that are there already are replaced, never doubled."""
        config, owner = self.config, __name__
        self.tasks.register_interval("detection", self._detect, config.detection_every, owner=owner)
        self.engine.register(
            self.tasks, every=config.healing_every, preventive_every=config.preventive_every, owner=owner
        )
        self.tasks.register_interval(TRIM, self._trim, config.trim_every, owner=owner)
        self.tasks.register_interval("resource-watch", self._watch, config.watch_every, owner=owner)
        self.backups.register(owner)

    def stop(self) -> StopReport:
        """End everything, in reverse, within ``stop_timeout`` and what the processes take; tell what is left."""
        self.engine.close()
        self.budget.close()
        ended = self.tasks.shutdown(timeout=self.config.stop_timeout)
        backing_up = self.backups.tasks.shutdown(timeout=self.config.stop_timeout)
        self.anomaly.close()
        self.web.close()
        self.gateway.close()
        self.workers.stop()
        self.indexer.stop()
        self.process.stop()
        self.telling.close()
        self.events.drain()
        self.requests.close()
        return StopReport.of((*ended.still_running, *backing_up.still_running), grace=2.0)

    def _breaker(self, name: str, **options: Any) -> CircuitBreaker:
        return CircuitBreaker(
            name, registry=self.breakers, events=self.events, open_for=self.config.open_for, **options
        )

    def _make_workers(self) -> SummaryWorkers:
        limits = WorkerLimits(
            workers=self.config.workers,
            max_memory=self.config.worker_memory,
            answer_within=self.config.local_timeout,
            hung_after=self.config.worker_hung_after,
        )
        return SummaryWorkers(limits, self.events)

    def _make_gateway(self) -> Gateway:
        away = self.config.open_for
        return Gateway(
            self.upstream,
            self.breaker,
            self.workers,
            self.requests,
            cache=self.cache,
            limit=provider_limit(self.config.upstream_limit),
            back=WayBack(probe_every=away / 6, minimum_stay=away),
            events=self.events,
        )

    def _make_sampler(self) -> Sampler:
        return Sampler(
            self.engine.observe,
            processes={PROVIDER: lambda: self.process.pid, INDEXER: lambda: self.indexer.pid},
            calls=self.gateway.calls,
            workers=self.workers,
            anomaly=self.anomaly,
            flags=self.flags,
            queue_pace=self.config.queue_pace,
        )

    def _make_budget(self) -> ResourceBudget:
        return make_budget(
            cpu_limit=self.config.cpu_limit,
            memory_limit=self.config.memory_limit,
            rate=self.config.rate_limit,
            cache=self.cache_control,
            queue=self.workers.queue,
            tasks=self.tasks,
            suspended=TRIM,
            report_dir=self.config.state_dir,
            events=self.events,
        )

    def _make_engine(self) -> StrategyEngine:
        repair = Repair(
            keys=self.keys,
            process=self.process,
            upstream=self.upstream,
            breaker=self.breaker,
            flags=self.flags,
            workers_failed=lambda: self.workers.failed,
        )
        dormancy = DormantController(
            events=self.events,
            store=SQLiteStore(Places(self.config.state_dir).dormancy),
            checks={"api keys": self._a_key_is_accepted},
            resume_conditions=RESUME_CONDITIONS,
        )
        dormancy.on_resume(self._reopen)
        return make_engine(
            self.config,
            levers=self._levers(),
            repair=repair,
            dormancy=dormancy,
            # No text makes this one permanent: a key can come back in .env.local while the healer still tries. Ten
            # failures in a row do, and the pace of the ten is the backoff's: half an hour with the default numbers.
            breaker=self._breaker(HEALER, permanent_on=()),
            flags=self.flags,
            events=self.events,
        )

    def _levers(self) -> Levers:
        """What the strategies may pull."""
        workers = self.workers
        services = {
            PROVIDER: Service(restart=self.process.restart, status=self.process.status),
            INDEXER: Service(restart=self.indexer.restart, status=self.indexer.status),
            WORKERS: Service(restart=workers.restart, status=workers.status),
        }
        return Levers(
            rate_limiter=self.door.limiter,
            cache=self.cache_control,
            services=Services(services),
            fallback=self.gateway.fallback,
            workers=workers.pool,
            queue=WorkInHand(workers),
            notifier=self.telling.notifiers,
            snapshotter=self.telling.snapshotter,
            backups=self.backups.control,
        )

    def _make_report(self) -> StatusReport:
        return StatusReport(
            healer=self.engine.healer,
            breakers=self.breakers,
            tasks=self.tasks,
            flags=self.flags,
            sections={
                "llm": self._llm_section,
                "gateway": self._gateway_section,
                "door": self.door.section,
                "cache": self.cache.section,
                "upstreamLimit": self.gateway.limit_section,
                "fallback": self.gateway.fallback_section,
                "queue": self.workers.queue_section,
                "workers": self.workers.section,
                "indexer": self.indexer.section,
                "budget": self.budget.section,
                "measured": self.sampler.section,
                "detection": self.anomaly.section,
                "strategies": self.engine.section,
                "backups": self.backups.section,
            },
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
        """A person has said that the cause is gone: that goes for the gateway's breaker and the workers too."""
        self.breaker.reset(force=True, reason=resumed.reason, by=resumed.by)
        self.workers.reset(resumed.reason, resumed.by)

    def _restored(self) -> None:
        """A person has approved it: the keys are there again, whose absence had opened the breaker for good."""
        if self.breaker.state == BreakerState.PERMANENT_OPEN:
            self.breaker.reset(force=True, reason="the keys were restored", by="restore")

    def _detect(self) -> None:
        if self.flags.auto_detection:
            self.backups.losses.look()
        self.detection.look()

    def _trim(self) -> None:
        with contextlib.suppress(NotKeptError):  # lost, and told by who looks at the files: there is nothing to trim
            self.requests.trim(self.config.keep_requests)

    def _watch(self) -> None:
        """What is to be looked at more often than faults are: loads, leaks, and the way back to the provider."""
        self.sampler.look()
        self.budget.check()
        self.workers.replace_leaking()
        self.gateway.fallback.check()

    def _llm_section(self) -> Mapping[str, Any]:
        counts = self.keys.counts()
        return {"keyManagement": {"totalKeys": counts.total, "activeKeys": counts.active, "failedKeys": counts.failed}}

    def _gateway_section(self) -> Mapping[str, Any]:
        return {
            "pid": os.getpid(),
            "provider": {
                "running": self.process.alive(),
                "pid": self.process.pid,
                "port": self.process.port,
                "restarts": self.process.restarts,
            },
            "requests": self.requests.section(),
            "problems": [alert.message for alert in self.detection.open],
        }

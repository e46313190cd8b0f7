"""What heals the service: the six strategies that ship with selfheal, and behind them the app's own repair."""

from __future__ import annotations

from collections.abc import Mapping

from examples.reference_app.config import AppConfig
from examples.reference_app.repair import Repair
from examples.reference_app.sampler import INDEXER, PROVIDER, WORKERS
from selfheal import CircuitBreaker, DormantController, EventBus, ExponentialBackoff, FeatureFlags
from selfheal.healing import CallableStrategy, StrategyEngine
from selfheal.healing.engine import Policies
from selfheal.healing.strategies import shipped
from selfheal.journal import Journal
from selfheal.policies.protection import Protection

JOURNAL = "journal.jsonl"
MAY_BE_RESTARTED = Protection(allowed=(INDEXER, PROVIDER, WORKERS))


def make_engine(
    config: AppConfig,
    *,
    levers: Mapping[str, object],
    repair: Repair,
    dormancy: DormantController,
    breaker: CircuitBreaker,
    flags: FeatureFlags,
    events: EventBus,
) -> StrategyEngine:
    """One engine, with one healer, one dormancy and one journal, for everything that is healed here.

    What is measured is answered by the shipped strategies, what detection finds by the repair, which goes its own way
    from what it finds to what it does: it answers every alert that no strategy is for.

    Args:
        config: how fast it goes, and where the journal is.
        levers: what the strategies may pull.
        repair: the app's own.
        dormancy: in which healing ends when it does not help.
        breaker: around the healings.
        flags: switch them off and on.
        events: where alerts come from.
    """
    return StrategyEngine(
        shipped("six").faster(config.speed),
        levers=levers,
        host_strategies=[CallableStrategy(repair.heal, "repair")],
        preventive=repair.prevent,
        journal=Journal(config.state_dir / JOURNAL),
        # Its targets are a few parts of one service, not a pool of equals: they may well be ill all at once.
        policies=Policies(protection=MAY_BE_RESTARTED, blast_radius=None),
        dormancy=dormancy,
        breaker=breaker,
        backoff=ExponentialBackoff(base=config.backoff_base, cap=config.backoff_cap),
        flags=flags,
        events=events,
        stale_after=300.0 / config.speed,
        # Detection raises a problem anew at each look; what two looks did not find is no problem any more.
        alert_ttl=2.5 * config.detection_every,
        check_every=config.detection_every,
    )

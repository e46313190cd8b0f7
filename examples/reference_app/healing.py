"""What heals the service: the six strategies that ship with selfheal, and three of the app's own."""

from __future__ import annotations

from collections.abc import Mapping

from examples.reference_app.config import AppConfig
from examples.reference_app.detection import KINDS
from examples.reference_app.losses import CONFIG, DATA, FILES, FILES_LOST, STATE
from examples.reference_app.repair import Repair
from examples.reference_app.sampler import INDEXER, PROVIDER, WORKERS
from selfheal import CircuitBreaker, DormantController, EventBus, ExponentialBackoff, FeatureFlags
from selfheal.healing import StrategyEngine
from selfheal.healing.actions import ActionCall, ActionRegistry, Plan, Probed, Receipt, Repeat, builtin_actions
from selfheal.healing.engine import Mode, Policies
from selfheal.healing.strategies import (
    Level,
    LevelSpec,
    OnFailure,
    StepSpec,
    StrategySet,
    StrategySpec,
    VerifyBy,
    VerifySpec,
    shipped,
)
from selfheal.journal import Journal
from selfheal.policies.inhibition import Inhibition, InhibitionRule
from selfheal.policies.matching import AlertMatch
from selfheal.policies.protection import Protection

JOURNAL = "journal.jsonl"
MAY_BE_RESTARTED = Protection(allowed=(INDEXER, PROVIDER, WORKERS, FILES))
BACKUP_KINDS = ("backup_failed", "backup_overdue", "backup_damaged", "verification_overdue")

REPAIR = StrategySpec(
    name="repair",
    description="Detection found that the provider is out of use: bring it back.",
    alerts=KINDS,
    levels=(LevelSpec(actions=(StepSpec(do="repair", target=PROVIDER, on_failure=OnFailure.ABORT),)),),
    # The backoff and the ten failures are its limits, as its ten attempts are spread over half an hour by themselves.
    grace_period=0.0,
    max_attempts_per_hour=1000,
    settle=0.0,
    verify=VerifySpec(by=VerifyBy.ACTIONS),
)

BACKUP = StrategySpec(
    name="backup",
    description="No backup that is proven, or none that is new enough: make one, and read every byte of it.",
    alerts=BACKUP_KINDS,
    levels=(
        LevelSpec(
            actions=(
                StepSpec(do="backup", on_failure=OnFailure.ABORT),
                StepSpec(do="verify_backup", on_failure=OnFailure.ABORT),
            )
        ),
    ),
    settle=0.0,
    verify=VerifySpec(by=VerifyBy.ACTIONS),
)

RESTORE = StrategySpec(
    name="restore",
    description="Files of the service are gone or damaged: put the newest backup back, once a person approves.",
    alerts=(FILES_LOST,),
    levels=(
        LevelSpec(
            level=Level.CRITICAL,
            actions=(
                StepSpec(do="verify_backup", on_failure=OnFailure.ABORT),
                # Not the journal: the engine is writing it.
                StepSpec(do="restore", params={"sections": [CONFIG, DATA, STATE]}, on_failure=OnFailure.ABORT),
            ),
        ),
    ),
    # Each attempt waits for a person: that is limit enough.
    grace_period=0.0,
    max_attempts_per_hour=1000,
    settle=0.0,
    verify=VerifySpec(by=VerifyBy.ACTIONS),
)

FIRST_THE_FILES = InhibitionRule(
    name="first the files",
    source=AlertMatch(kind=FILES_LOST),
    # What comes of lost keys and lost data; no healing of these helps before they are back.
    target=AlertMatch(kind=("no_active_keys", "degraded_replies", "breaker_opened", *BACKUP_KINDS)),
)


def actions_with(repair: Repair) -> ActionRegistry:
    """The actions that ship, and one of the app's own: the repair, which goes its own way to what it has to do."""
    actions = builtin_actions()

    @actions.action("repair", destructive=True, timeout=60.0, repeat=Repeat.SAME)
    def run(call: ActionCall) -> Receipt:
        return {"done": repair.heal(call.alert, call.go_on)}

    @run.probe
    def cut_off(call: ActionCall, plan: Plan) -> Probed:
        return Probed.NOT_DONE  # whatever it got done: it begins by looking, and doing it again does no harm

    @run.verify
    def works(call: ActionCall, plan: Plan, receipt: Receipt) -> bool:
        return True  # it ends with a summary by the provider, or it fails

    return actions


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

    What is measured is answered by the strategies that ship, as they are; what detection finds, a backup that was not
    made, and files that are lost by three of the app's own.

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
        shipped("six").faster(config.speed).merged(StrategySet([REPAIR, BACKUP, RESTORE])),
        levers=levers,
        actions=actions_with(repair),
        preventive=repair.prevent,
        mode=Mode.DRY_RUN if config.dry_run else Mode.LIVE,
        journal=Journal(config.state_dir / JOURNAL),
        # Its targets are a few parts of one service, not a pool of equals: they may well be ill all at once.
        policies=Policies(
            protection=MAY_BE_RESTARTED, inhibition=Inhibition(rules=(FIRST_THE_FILES,)), blast_radius=None
        ),
        dormancy=dormancy,
        breaker=breaker,
        backoff=ExponentialBackoff(base=config.backoff_base, cap=config.backoff_cap),
        flags=flags,
        events=events,
        stale_after=300.0 / config.speed,
        actions_per_hour=round(60 * config.speed),
        # Detection raises a problem anew at each look; what two looks did not find is no problem any more.
        alert_ttl=2.5 * config.detection_every,
        check_every=config.detection_every,
    )

"""Actions that free what is not used: memory, temporary files; and that begin anew with a dependency."""

from __future__ import annotations

import attrs

from selfheal.healing.actions.protocol import (
    ActionCall,
    BaseAction,
    Effect,
    LeverNeed,
    Plan,
    Receipt,
    Repeat,
)
from selfheal.healing.actions.switching import amounts
from selfheal.levers import CleaningTemp, ResettingDependency, TrimmingMemory
from selfheal.validators import between


@attrs.frozen(kw_only=True)
class CleanTempParams:
    """Which temporary files.

    Args:
        older_than: seconds since their last change.
    """

    older_than: float = attrs.field(default=3600.0, validator=between(0.0, 31_536_000.0, "s"))


class CleanTemp(BaseAction):
    """Remove temporary files. The directory is never left: see :class:`~selfheal.levers.CacheControl`."""

    name = "clean_temp"
    effect = Effect.IRREVERSIBLE
    timeout = 120.0
    needs = (LeverNeed(role="temp_files", protocol=CleaningTemp),)
    params = CleanTempParams
    repeat = Repeat.SAME

    def plan(self, call: ActionCall) -> Plan:
        """How old they are at least."""
        params: CleanTempParams = call.params
        return {"older_than": params.older_than}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Remove them; what could not be removed is in the receipt."""
        return amounts(call.lever("temp_files", CleaningTemp).clean_temp(plan["older_than"]))

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool | None:
        """False where something could not be removed, true where all could; not told where the lever did not tell."""
        return not receipt.get("failures", 0) if receipt else None


class TrimMemory(BaseAction):
    """Give back memory that is held and not used. That nothing could be given back is no failure."""

    name = "trim_memory"
    effect = Effect.IRREVERSIBLE
    timeout = 60.0
    needs = (LeverNeed(role="memory", protocol=TrimmingMemory),)
    repeat = Repeat.SAME

    def plan(self, call: ActionCall) -> Plan:
        """How much is held."""
        return {"before": call.lever("memory", TrimmingMemory).in_use()}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Trim."""
        lever = call.lever("memory", TrimmingMemory)
        lever.trim()
        return {"after": lever.in_use()}

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool | None:
        """True where less is held now than before; not told where not: the service goes on using memory."""
        return True if call.lever("memory", TrimmingMemory).in_use() < plan["before"] else None


@attrs.frozen(kw_only=True)
class ResetParams:
    """Which dependency.

    Args:
        dependency: its name; empty: the target.
    """

    dependency: str = ""


class ResetDependency(BaseAction):
    """Drop what is held of a dependency and begin anew. Whether that happened cannot be told afterwards."""

    name = "reset_dependency"
    effect = Effect.IRREVERSIBLE
    timeout = 60.0
    needs = (LeverNeed(role="dependency_resets", protocol=ResettingDependency),)
    params = ResetParams

    def plan(self, call: ActionCall) -> Plan:
        """Which; if it is not the target it stands under ``targets``."""
        params: ResetParams = call.params
        name = params.dependency or call.target
        return {"dependency": name, "targets": [name]}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Reset it, or raise what it raises."""
        call.lever("dependency_resets", ResettingDependency).reset(plan["dependency"])
        return {"reset": plan["dependency"]}

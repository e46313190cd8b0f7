"""Actions on backups: make one, look whether one is sound, put one back."""

from __future__ import annotations

import attrs

from selfheal.errors import HealingFailedError
from selfheal.healing.actions.protocol import (
    ActionCall,
    BaseAction,
    Effect,
    LeverNeed,
    Plan,
    Probed,
    Receipt,
    Repeat,
)
from selfheal.levers import BackingUp, Restoring, VerifyingBackups


class Backup(BaseAction):
    """Make a backup. Verified by its being the newest."""

    name = "backup"
    effect = Effect.NEUTRAL
    timeout = 3600.0
    needs = (LeverNeed(role="backups", protocol=BackingUp),)

    def plan(self, call: ActionCall) -> Plan:
        """Which is the newest now."""
        return {"newest": call.lever("backups", BackingUp).newest()}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Make it.

        Raises:
            BackupError: if it cannot be made.
        """
        return {"id": call.lever("backups", BackingUp).backup()}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """Whether there is a newer one. A backup that was cut off is not there."""
        newer = call.lever("backups", BackingUp).newest() != plan["newest"]
        return Probed.DONE if newer else Probed.NOT_DONE

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool:
        """Whether there is one that was not there before."""
        return bool(call.lever("backups", BackingUp).newest() != plan["newest"])


@attrs.frozen(kw_only=True)
class VerifyBackupParams:
    """Which backup is verified.

    Args:
        which: its id, a date, or ``latest``.
    """

    which: str = "latest"


class VerifyBackup(BaseAction):
    """Read every byte of a backup and compare it with what was written down; fails where something is wrong."""

    name = "verify_backup"
    effect = Effect.NEUTRAL
    timeout = 3600.0
    repeat = Repeat.SAME
    needs = (LeverNeed(role="backups", protocol=VerifyingBackups),)
    params = VerifyBackupParams

    def plan(self, call: ActionCall) -> Plan:
        """Which one.

        Raises:
            NotFoundError: if there is none.
        """
        params: VerifyBackupParams = call.params
        return {"id": call.lever("backups", VerifyingBackups).find(params.which)}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Look.

        Raises:
            HealingFailedError: if something is wrong with it; the first findings are named.
        """
        found = call.lever("backups", VerifyingBackups).verify(plan["id"])
        if found:
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            raise HealingFailedError(f"backup {plan['id']} is damaged: {'; '.join(found[:3])}{more}")
        return {"sound": True}


@attrs.frozen(kw_only=True)
class RestoreParams:
    """What is put back.

    Args:
        which: id of the backup, a date, or ``latest``.
        sections: which of its sections; none: all.
    """

    which: str = "latest"
    sections: tuple[str, ...] = ()


class Restore(BaseAction):
    """Put a backup back. A person is always asked before; what was there is kept, so that it can be taken back."""

    name = "restore"
    effect = Effect.REVERSIBLE
    destructive = True
    asks = True
    timeout = 3600.0
    needs = (LeverNeed(role="backups", protocol=Restoring),)
    params = RestoreParams

    def plan(self, call: ActionCall) -> Plan:
        """Which one, and which restores there were before.

        Raises:
            NotFoundError: if there is none.
            HealingFailedError: if a restore is under way, or can still be taken back: one at a time.
        """
        params: RestoreParams = call.params
        lever = call.lever("backups", Restoring)
        name, backup = lever.standing()
        if name:
            why = f"the restore {name} of backup {backup} is not at its end: commit it, or take it back"
            raise HealingFailedError(why)
        return {"id": lever.find(params.which), "sections": list(params.sections)}

    def run(self, call: ActionCall, plan: Plan) -> Receipt:
        """Put it back.

        Raises:
            RestoreError: if it failed; then all is as it was, unless it says otherwise.
        """
        return {"restore": call.lever("backups", Restoring).restore(plan["id"], plan["sections"])}

    def probe(self, call: ActionCall, plan: Plan) -> Probed:
        """Whether it stands and can be taken back. One that a crash cut off is taken back when the host starts."""
        _, backup = call.lever("backups", Restoring).standing()
        return Probed.DONE if backup == plan["id"] else Probed.NOT_DONE

    def verify(self, call: ActionCall, plan: Plan, receipt: Receipt) -> bool | None:
        """Whether it stands; that the service works is what the host's own probe says."""
        name, _ = call.lever("backups", Restoring).standing()
        return True if name == receipt["restore"] else None

    def rollback(self, call: ActionCall, plan: Plan, receipt: Receipt | None) -> str | None:
        """Put back what was there before; what was written since is lost."""
        lever = call.lever("backups", Restoring)
        name, backup = lever.standing()
        if backup != plan["id"] or (receipt is not None and name != receipt["restore"]):
            return "the state before the restore is not kept any more" if receipt is not None else None
        lever.take_back()
        return None

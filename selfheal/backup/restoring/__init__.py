"""Backups put back: staged, compared byte for byte, exchanged, probed; undone where that fails, and after a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfheal.lazy import lazy_names

if TYPE_CHECKING:
    from selfheal.backup.restoring.comparing import StateDiff as StateDiff
    from selfheal.backup.restoring.comparing import TreeState as TreeState
    from selfheal.backup.restoring.comparing import diff_states as diff_states
    from selfheal.backup.restoring.comparing import tree_state as tree_state
    from selfheal.backup.restoring.planning import RestorePlan as RestorePlan
    from selfheal.backup.restoring.planning import plan_restore as plan_restore
    from selfheal.backup.restoring.reporting import RestoreReport as RestoreReport
    from selfheal.backup.restoring.restorer import Restorer as Restorer

_HOME = {
    "RestorePlan": "planning",
    "RestoreReport": "reporting",
    "Restorer": "restorer",
    "StateDiff": "comparing",
    "TreeState": "comparing",
    "diff_states": "comparing",
    "plan_restore": "planning",
    "tree_state": "comparing",
}

__all__ = [
    "RestorePlan",
    "RestoreReport",
    "Restorer",
    "StateDiff",
    "TreeState",
    "diff_states",
    "plan_restore",
    "tree_state",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME, globals())

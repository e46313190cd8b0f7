"""The commands by their names."""

from __future__ import annotations

from collections.abc import Mapping

from selfheal.cli.backup.beginning import init
from selfheal.cli.backup.creating import create
from selfheal.cli.backup.differing import diff
from selfheal.cli.backup.listing import list_backups
from selfheal.cli.backup.pruning import prune
from selfheal.cli.backup.replicating import replicate
from selfheal.cli.backup.restoring import restore
from selfheal.cli.backup.running import Work
from selfheal.cli.backup.verifying import verify

COMMANDS: Mapping[str, Work] = {
    "create": create,
    "diff": diff,
    "init": init,
    "list": list_backups,
    "prune": prune,
    "replicate": replicate,
    "restore": restore,
    "verify": verify,
}

"""Makes backups until it is killed: ``python -m tests.integration.backup_host <store> <source> [<step> <times>]``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

from selfheal.backup import BackupStore, Section


def killing(step: str, times: int) -> Callable[[str], None]:
    """Kill this process, without a chance to do anything, at the n-th occurrence of a step."""
    left = [times]

    def hook(name: str) -> None:
        if name == step:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def main() -> None:
    """Make one backup, dying at a step; or, without a step, one after the other without end."""
    store, source, *at = sys.argv[1:]
    section = Section("data", source)
    if at:
        BackupStore(store, [section], step=killing(at[0], int(at[1]))).create()
        return
    print("begun", flush=True)
    while True:
        BackupStore(store, [section]).create()


if __name__ == "__main__":
    main()

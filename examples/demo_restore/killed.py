"""A restore that is killed: ``python -m examples.demo_restore.killed <step> <how often> -- <options>``."""

from __future__ import annotations

import os
import signal
import sys

from examples.reference_app import restore


def main(argv: list[str]) -> int:
    """Restore, and die by KILL when it comes to ``step`` for the so many-th time."""
    fatal, left, options = argv[0], int(argv[1]), argv[3:]

    def step(name: str) -> None:
        nonlocal left
        left -= name == fatal
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    return restore.main(options, step)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

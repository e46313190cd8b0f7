"""A worker that is stuck: it takes tasks from a queue's file and is never done with them.

``python -m examples.demo_levers.taker FILE NAME COUNT`` prints a line once it has them, and then does nothing until its
standard input ends, which it does when whoever started it is gone.
"""

from __future__ import annotations

import sys

from examples.demo_levers.queue_faults import open_queue


def main(arguments: list[str]) -> int:
    """Take tasks, and keep them."""
    path, name, count = arguments
    queue = open_queue(path)
    taken = [queue.take(name, timeout=5.0) for _ in range(int(count))]
    print("holds", [delivery.id for delivery in taken if delivery is not None], flush=True)
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

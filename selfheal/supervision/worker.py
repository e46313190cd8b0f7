"""The program of a pool's worker process: ``python -m selfheal.supervision.worker module:function``.

Started by :class:`~selfheal.supervision.pool.WorkerPool`, which talks to it in JSON lines over its pipes. It ends
by itself, and takes what it started along, when whoever started it is gone.
"""

from __future__ import annotations

import sys

from selfheal.supervision.worker_loop import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

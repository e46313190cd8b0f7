"""A host with a supervisor, to be killed at any moment: ``python supervisor_host.py FOLDER MARK [stir]``.

With ``stir`` it stops, starts, restarts and resets its workers at random, so that it dies in the middle of that.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from selfheal.errors import SupervisionError  # noqa: E402 - the package is found only now
from selfheal.supervision import Supervisor  # noqa: E402

ALONE = "exec 9>>{folder}/{name}.alone; flock -n 9 || echo double >> {folder}/violations; "
"""A worker says so when another of its kind lives."""
BODIES = {
    "steady": "while :; do sleep 0.1; done",
    "stubborn": "trap '' TERM; while :; do sleep 0.1; done",
    "crashing": "sleep 0.15; exit 1",
    "looping": "exit 1",
    "family": "(sleep 1000 9>&- & wait) & sleep 1000 9>&-",
    "waiting": "while :; do sleep 0.1; done",
}


def config(folder: Path, mark: str) -> dict[str, object]:
    """Workers of all kinds, with short times."""
    workers: dict[str, object] = {}
    for name, body in BODIES.items():
        workers[name] = {
            "command": ["/bin/sh", "-c", ALONE.format(folder=folder, name=name) + body],
            "env": {"SELFHEAL_TEST_MARK": mark},
            "min_uptime": 50.0 if name == "waiting" else 0.05,
            "restart": {"backoff": 0.1, "factor": 1.0, "intensity": 3 if name == "looping" else 1000, "period": 200.0},
            "stop": {"grace": 0.2},
        }
    return {"workers": workers, "state_dir": str(folder / "state")}


def stir(supervisor: Supervisor) -> None:
    """Do what people do, for ever."""
    while True:
        name = random.choice(list(BODIES))
        try:
            match random.randrange(5):
                case 0:
                    supervisor.stop(name, timeout=0.3)
                case 1:
                    supervisor.restart(name, timeout=0.3)
                case 2:
                    supervisor.reset(name, "tried")
                case _:
                    supervisor.start(name)
        except SupervisionError:
            time.sleep(0.01)


if __name__ == "__main__":
    made = Supervisor(config(Path(sys.argv[1]), sys.argv[2]))
    made.start()
    print("at work", flush=True)
    if sys.argv[3:] == ["stir"]:
        stir(made)
    sys.stdin.read()
    report = made.shutdown(30.0)
    print(len(report.still_running), flush=True)

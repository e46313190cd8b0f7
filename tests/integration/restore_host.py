"""A process that restores a small world of files and dies at a chosen place. Started by ``test_restore_crash.py``.

It imports everything once and forks a child for each life it is asked for: a line of JSON in, a line of JSON out. A
child that is told to die sends itself SIGKILL between two changes on the disk.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sqlite3
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from selfheal.backup.restoring import Restorer
from selfheal.errors import RestoreFailedError
from selfheal.testing import FakeClock
from tests.backup.restoring.made import Shelf, grown

SECTIONS = ("config", "data", "db")


class Request(TypedDict, total=False):
    """What one life is to do.

    ``acts`` are calls of a restorer, one after the other; ``die_at`` counts the steps passed, from 1.
    """

    room: str
    acts: list[str]
    exchange: bool
    in_place: list[str]
    probe: bool
    keep: bool
    die_at: int
    rounds: int


def targets(room: Path) -> dict[str, Path]:
    """What is replaced."""
    return {"config": room / "etc" / "app.toml", "data": room / "srv" / "data", "db": room / "srv" / "app.db"}


def make_world(room: Path, files: int = 3) -> None:
    """A backup, what came of its sources since, and neighbours that a restore must not touch."""
    (room / "state").mkdir()
    grown(room, {"etc/passwd": "secret", "srv/neighbour/a": "a", "srv/.hidden": "h", "srv/database": "d"})
    config, data, db = targets(room).values()
    grown(room / "etc", {"app.toml": "level = 1\n"})
    grown(
        data, {f"deep/er/{n}.txt": f"old {n}" for n in range(files)} | {"same": "same", "gone": "gone", "later/x": ""}
    )
    (data / "link").symlink_to("deep/er")
    os.link(data / "same", data / "second")
    database(db, [1])
    Shelf(room / "store").put({"config": config, "data": data, "db": db})
    config.write_text("level = broken\n")
    (data / "gone").unlink()
    (data / "same").write_text("not the same")
    grown(data, {"new/file": "new", "deep/er/0.txt": "changed"})
    (data / "link").unlink()
    (data / "link").symlink_to("new")
    db.unlink()
    database(db, [1, 2, 3])
    for end in ("-wal", "-shm"):
        db.with_name(f"app.db{end}").write_bytes(b"what belongs to the old one" + end.encode())


def database(path: Path, rows: list[int]) -> None:
    """A small one, in one file."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (n)")
    connection.executemany("INSERT INTO t VALUES (?)", [(n,) for n in rows])
    connection.commit()
    connection.close()


def strip_world(room: Path) -> None:
    """A disaster: the targets are gone, with the directories that held them."""
    for root in (room / "etc", room / "srv"):
        for above, directories, names in os.walk(root, topdown=False):
            for name in names:
                os.unlink(os.path.join(above, name))
            for name in directories:
                path = os.path.join(above, name)
                os.unlink(path) if os.path.islink(path) else os.rmdir(path)
        root.rmdir()


class Places:
    """The places at which this process may die, in the order in which it passes them."""

    def __init__(self, die_at: int = 0) -> None:
        self.passed: list[str] = []
        self._die_at = die_at

    def __call__(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)


def live(request: Request) -> dict[str, Any]:
    """Do what is asked, and tell."""
    room, places = Path(request["room"]), Places(request.get("die_at", 0))
    restorer = Restorer(
        Shelf(room / "store"),
        room / "state",
        probe=lambda: request.get("probe", True),
        keep_previous=request.get("keep", False),
        exchange=request.get("exchange", True),
        clock=FakeClock(),
        step=places,
    )
    outcomes: list[str | None] = []
    for _ in range(request.get("rounds", 1)):
        outcomes += [_act(restorer, act, request) for act in request["acts"]]
    pending = restorer.pending
    return {
        "outcomes": outcomes,
        "places": places.passed,
        "pending": None if pending is None else pending.standing.phase.value,
    }


def _act(restorer: Restorer, act: str, request: Request) -> str | None:
    try:
        match act:
            case "restore":
                return restorer.restore(restorer.plan(in_place=request.get("in_place", []))).outcome
            case "recover" | "resume":
                report = restorer.recover(rollback=act == "recover")
                return None if report is None else report.outcome
            case "rollback":
                return restorer.rollback().outcome
            case "commit":
                return restorer.commit().outcome
            case _:
                raise ValueError(act)
    except RestoreFailedError as error:
        return error.outcome


def _fork(request: Request) -> tuple[int, int]:
    """A child that lives; its process, and where it tells."""
    out, into = os.pipe()
    pid = os.fork()
    if pid:
        os.close(into)
        return pid, out
    os.close(out)
    code = 1
    try:
        os.write(into, json.dumps(live(request)).encode())
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _end(pid: int, out: int) -> dict[str, Any]:
    with os.fdopen(out, "rb") as told:
        seen = told.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {"code": code, "seen": json.loads(seen) if code == 0 else None}


def main() -> None:
    """Answer requests until there are no more."""
    gc.collect()
    gc.freeze()  # nothing of this is touched in a child, so nothing has to be copied for it
    begun: dict[int, int] = {}
    for line in sys.stdin:
        asked: Mapping[str, Any] = json.loads(line)
        if "wait" in asked:
            answer = _end(asked["wait"], begun.pop(asked["wait"]))
        else:
            pid, out = _fork(asked["life"])
            if asked.get("background"):
                begun[pid] = out
                answer = {"pid": pid}
            else:
                answer = _end(pid, out)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

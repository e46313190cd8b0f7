"""A process whose children replace a file and die at each call into the system. Started by ``test_durable_crash.py``.

``python -m tests.integration.durable_host deaths <room> <sync> <what of a dead one: clean or left>`` tells, a line of
JSON each, what stood in the directory at the moment of each death, and what after the next write.
``python -m tests.integration.durable_host writes <file> <number>`` replaces the file until it is killed.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import cast

from selfheal import durable
from selfheal.durable import Sync, replace_file

SIZE = 50_000


class Deadly:
    """Kills this process, without a chance to do anything, right before the n-th call that the module makes."""

    def __init__(self, die_at: int, told: int) -> None:
        self._left = die_at
        self._told = told

    def __call__(self, frame: FrameType, event: str, called: object) -> None:
        if event != "c_call" or frame.f_code.co_filename != durable.__file__:
            return
        self._left -= 1
        if not self._left:
            os.write(self._told, str(getattr(called, "__name__", "?")).encode())
            os.kill(os.getpid(), signal.SIGKILL)


def deaths(room: Path, sync: Sync, left: str) -> None:
    """One child for each call, until one comes to its end."""
    for die_at in itertools.count(1):
        place = room / str(die_at)
        place.mkdir()
        (place / "file").write_bytes(b"old")
        if left == "left":
            (place / ".file.new").write_bytes(b"half")
        out, into = os.pipe()
        pid = os.fork()
        if not pid:
            sys.setprofile(Deadly(die_at, into))
            replace_file(place / "file", b"new", sync=sync)
            os._exit(0)
        os.close(into)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with os.fdopen(out, "rb") as told:
            call = told.read().decode()
        seen = {"call": call, "code": code, "dead": _look(place)}
        replace_file(place / "file", b"next", sync=sync)
        print(json.dumps(seen | {"after": _look(place)}), flush=True)
        if not code:
            return


def _look(place: Path) -> dict[str, str]:
    return {one.name: one.read_text() for one in sorted(place.iterdir())}


def writes(path: Path, number: int) -> None:
    """Without end: content that tells whose it is."""
    print("begun", flush=True)
    while True:
        replace_file(path, bytes([number]) * SIZE, sync="content")


def main() -> None:
    """Do what the command line says."""
    match sys.argv[1:]:
        case ["deaths", room, sync, left]:
            deaths(Path(room), cast("Sync", sync), left)
        case ["writes", path, number]:
            writes(Path(path), int(number))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()

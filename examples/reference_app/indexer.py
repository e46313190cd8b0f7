"""The indexer: a process of its own that reads the request log and keeps the list of the documents most asked for.

It writes ``index.json`` into its directory: name, requests and mean milliseconds of the twenty first.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import sqlite3
import sys
import threading
from pathlib import Path
from types import FrameType

from examples.reference_app.drills import Drill
from examples.reference_app.parent import when_gone

INDEX = "index.json"
_QUERY = """
SELECT document, COUNT(*), AVG(duration_ms) FROM requests
GROUP BY document ORDER BY COUNT(*) DESC, document LIMIT 20
"""


def most_wanted(log: Path) -> list[dict[str, object]]:
    """The documents most asked for, first the first; read without keeping anybody from writing."""
    with sqlite3.connect(f"file:{log}?mode=ro", uri=True, timeout=5.0) as db:
        rows = db.execute(_QUERY).fetchall()
    db.close()
    return [{"document": name, "requests": count, "meanMs": round(mean, 1)} for name, count, mean in rows]


def write_index(log: Path, directory: Path) -> None:
    """Make the list anew and put it in place of the old one at once; a log that cannot be read leaves the old one."""
    try:
        found = most_wanted(log)
    except sqlite3.Error as error:  # it may be in the middle of being replaced by a restore
        print(f"no new index: {error}", file=sys.stderr)
        return
    fresh = directory / (INDEX + ".new")
    fresh.write_text(json.dumps(found))
    fresh.replace(directory / INDEX)


def main(argv: list[str] | None = None) -> int:
    """Index until TERM comes, or the process of ``--end-with`` is gone."""
    parser = argparse.ArgumentParser(prog="indexer", description="The indexer of the reference app.")
    parser.add_argument("--log", type=Path, required=True, help="SQLite file of the request log")
    parser.add_argument("--dir", type=Path, required=True, help="where the index is kept")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two indexes (default: 1)")
    parser.add_argument("--end-with", type=int, metavar="PID", help="end when this process, its parent, is gone")
    options = parser.parse_args(argv)
    over, busy = threading.Event(), Drill()

    def end(number: int, frame: FrameType | None) -> None:
        over.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the app, which then ends this process
    busy.arm()
    if options.end_with is not None:
        when_gone(options.end_with, over.set)
    write_index(options.log, options.dir)
    while not over.wait(options.every):
        write_index(options.log, options.dir)
        if busy.struck:
            run_away(over)
    return 0


def run_away(over: threading.Event) -> None:
    """What a drill does: work that somebody forgot to end, in more threads than there should be."""
    data = bytes(1_000_000)

    def burn() -> None:
        while not over.is_set():
            hashlib.sha256(data)  # lets the other threads go on meanwhile

    for _ in range(3):
        threading.Thread(target=burn, daemon=True).start()
    burn()


if __name__ == "__main__":
    sys.exit(main())

"""The journal beside other ways to keep records in a file: what an entry costs, flushed to the disk and not."""

from __future__ import annotations

import json
import logging
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.table import Gate, print_gates, print_table
from selfheal.journal import Journal, read_journal

CALLS = 5_000
FLUSHED = 100
ROUNDS = 7

RECORD: dict[str, Any] = {
    "step": 3,
    "action": "restart_service",
    "target": "worker-7",
    "plan": {"service": "worker-7", "grace": 10.0},
    "effect": "reversible",
    "destructive": True,
}
"""What an action says before it runs; ``run`` and ``key`` are new for each."""

Append = Callable[[str, bool], Any]


def selfheal(folder: Path) -> tuple[Append, Callable[[], object]]:
    journal = Journal(folder / "journal.jsonl")

    def append(run: str, flush: bool) -> None:
        journal.append("action_intent", sync=flush, run=run, key=f"{run}:3", **RECORD)

    return append, journal.close


def file_handler(folder: Path) -> tuple[Append, Callable[[], object]]:
    """``logging`` to a file, a JSON object a line; it has no flush to the disk."""
    handler = logging.FileHandler(folder / "log.jsonl")
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("benchmark")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)

    def append(run: str, flush: bool) -> None:
        logger.info(json.dumps({"at": time.time(), "type": "action_intent", "run": run, "key": f"{run}:3", **RECORD}))

    return append, handler.close


def sqlite_wal(folder: Path) -> tuple[Append, Callable[[], object]]:
    """SQLite with a write-ahead log, each record a transaction; ``synchronous`` decides about the disk."""
    connection = sqlite3.connect(folder / "records.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE records (seq INTEGER PRIMARY KEY, at REAL, type TEXT, fields TEXT)")
    level = {False: "OFF", True: "FULL"}
    state: dict[str, bool] = {}

    def append(run: str, flush: bool) -> None:
        if state.get("flush") is not flush:
            connection.execute(f"PRAGMA synchronous={level[flush]}")
            state.update(flush=flush)
        fields = json.dumps({"run": run, "key": f"{run}:3", **RECORD})
        row = (time.time(), "action_intent", fields)
        connection.execute("INSERT INTO records (at, type, fields) VALUES (?, ?, ?)", row)

    return append, connection.close


CONTENDERS = {"selfheal": selfheal, "logging.FileHandler": file_handler, "sqlite3, WAL": sqlite_wal}
UNFLUSHED = {"logging.FileHandler"}


def microseconds(append: Append, calls: int, flush: bool) -> float:
    """A call, the run being another every ten calls."""
    runs = [f"{n:032x}" for n in range(calls // 10 + 1)]
    start = time.perf_counter_ns()
    for n in range(calls):
        append(runs[n // 10], flush)
    return (time.perf_counter_ns() - start) / calls / 1000


def race(folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Median microseconds of each, plain and flushed, taking turns; one round before to warm up."""
    made = {}
    for name, make in CONTENDERS.items():
        (folder / name).mkdir()
        made[name] = make(folder / name)
    plain: dict[str, list[float]] = {name: [] for name in made}
    flushed: dict[str, list[float]] = {name: [] for name in made if name not in UNFLUSHED}
    for index in range(ROUNDS + 1):
        for name, (append, _) in made.items():
            took = microseconds(append, CALLS, False)
            plain[name] += [took] if index else []
            if name in flushed and index:
                flushed[name].append(microseconds(append, FLUSHED, True))
    for _, close in made.values():
        close()
    return ({n: statistics.median(t) for n, t in plain.items()}, {n: statistics.median(t) for n, t in flushed.items()})


def reading(folder: Path) -> tuple[int, float]:
    """Entries of the journal just written, and microseconds for each."""
    start = time.perf_counter_ns()
    count = sum(1 for _ in read_journal(folder / "selfheal" / "journal.jsonl"))
    return count, (time.perf_counter_ns() - start) / count / 1000


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        plain, flushed = race(Path(name))
        count, each = reading(Path(name))
    rows = []
    for contender, took in plain.items():
        waited = f"{1e6 / flushed[contender]:,.0f}" if contender in flushed else "-"
        rows.append([contender, f"{took:.1f}", f"{1e6 / took:,.0f}", waited])
    print_table("one record, plain and flushed to the disk", ["", "µs", "records/s", "flushed/s"], rows)
    print_table("reading", ["", "entries", "µs each"], [["selfheal", f"{count:,}", f"{each:.1f}"]])
    return print_gates(
        [
            Gate("plain append, µs", plain["selfheal"], "≤", 20.0),
            Gate("plain append, of logging's", plain["selfheal"] / plain["logging.FileHandler"], "≤", 1.3),
            Gate("plain append, of sqlite3's", plain["selfheal"] / plain["sqlite3, WAL"], "≤", 1.0),
            Gate("flushed append, of sqlite3's", flushed["selfheal"] / flushed["sqlite3, WAL"], "≤", 1.5),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())

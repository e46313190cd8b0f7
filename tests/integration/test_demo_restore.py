"""The demo of a restore under traffic; and that a backup costs no request, whoever opens the database."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from examples.reference_app.backups import Backups
from examples.reference_app.places import Places
from examples.reference_app.request_log import Entry, RequestLog, look_into
from examples.reference_app.running import survivors
from selfheal.events import EventBus

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 5.0
"""How much longer than by default is waited: the machine may be busy with other tests."""


def start(directory: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "examples.demo_restore", "--patience", f"{PATIENCE:g}"]
    environ = {**os.environ, "TMPDIR": str(directory)}
    return subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.timeout(900)
def test_what_was_in_the_backup_is_there_after_the_disaster(tmp_path: Path) -> None:
    """All expectations hold, the figures are told, and nothing is left of it."""
    demo = start(tmp_path)
    try:
        said, _ = demo.communicate(timeout=800)
    finally:
        demo.kill()

    assert demo.returncode == 0, said
    assert list(tmp_path.iterdir()) == []
    assert "Traceback" not in said
    assert "27 of 27 expectations held: ok" in said
    assert re.search(r"TIME TO RESTORE: \d+\.\d\d s from the approval to the next acknowledged document", said)
    in_backup = re.search(r"(\d+) documents were acknowledged in all, (\d+) of them are in the backup", said)
    there = re.search(r"zero lost that were in the backup: (\d+) there", said)
    lost = re.search(r"LOST: (\d+) that were acknowledged after the backup", said)
    assert in_backup, said
    assert there, said
    assert lost, said
    assert int(in_backup[1]) > int(in_backup[2]) == int(there[1]) >= 20
    assert int(lost[1]) >= 20
    assert "'requests.sqlite' is corrupt" in said
    assert "on the disk: config new, data new, state old" in said


def test_killed_in_the_middle_it_leaves_no_process(tmp_path: Path) -> None:
    """KILL at any moment: the service and all it started end by themselves."""
    demo = start(tmp_path)
    assert demo.stdout is not None
    try:
        for line in demo.stdout:
            if "A backup, while clients post" in line:
                break
        family = {psutil.Process(demo.pid)}
        deadline = time.monotonic() + 60.0
        while len(family) < 4 and time.monotonic() < deadline:  # a process may just be between two others
            family.update(psutil.Process(demo.pid).children(recursive=True))
    finally:
        demo.kill()
        demo.wait()
        demo.stdout.close()

    assert len(family) >= 4
    assert survivors(list(family), within=60.0) == []


def test_a_backup_costs_no_request_whoever_opens_the_database(tmp_path: Path) -> None:
    """Another process that opens and closes the database after a backup does not take its log of writes away."""
    places = Places(tmp_path / "app")
    places.make()
    places.settings.write_text("A=1\n")
    places.journal.write_text("{}\n")
    requests = RequestLog(places.requests)
    backups = Backups(places, requests, events=EventBus())
    look = f"import sqlite3; db = sqlite3.connect({str(places.requests)!r}); db.execute('SELECT 1 FROM requests')"

    def add() -> int:
        return requests.add(
            Entry(at=1.0, document="d", size=1, outcome="ok", provider="upstream", error="", duration_ms=1.0)
        )

    numbers = [add()]
    assert backups.now().ok
    numbers.append(add())
    subprocess.run([sys.executable, "-c", f"{look}; db.close()"], check=True, timeout=60)
    numbers.append(add())
    seen = look_into(places.requests)
    with sqlite3.connect(places.requests) as outside:
        ids = [number for (number,) in outside.execute("SELECT id FROM requests ORDER BY id")]
    outside.close()
    requests.close()

    assert seen["documents"] == 3
    assert ids == numbers == [1, 2, 3]

"""The supervisor itself killed, in each state and at any moment: the next one goes on; no orphan, no double start."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from selfheal.errors import StateDirTakenError
from selfheal.events import WorkerAdopted, WorkerEnding
from selfheal.supervision import Supervisor
from tests.integration.supervising import FOR_EVER, LIMIT, MARK, STUBBORN, Rig, alive, marked, rig, sessions, sh, until
from tests.integration.supervisor_host import BODIES, config

HOST = Path(__file__).with_name("supervisor_host.py")
STATES = {"STARTING", "RUNNING", "BACKOFF", "FAILED", "STOPPED"}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Rig]:
    yield from rig(tmp_path)


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[str]:
    """What the processes of a test carry; a test that fails leaves none of them behind either."""
    made = f"{tmp_path.name}-{os.getpid()}-{time.monotonic_ns()}"
    yield made
    for pid in marked(made):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Host:
    """A process with a supervisor in it."""

    def __init__(self, folder: Path, mark: str, *how: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, str(HOST), str(folder), mark, *how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def at_work(self) -> None:
        """Wait until it has begun."""
        assert self.popen.stdout is not None
        assert self.popen.stdout.readline() == "at work\n"

    def kill(self) -> None:
        """Kill it, and it alone."""
        self.popen.kill()
        self.popen.communicate()

    def end(self) -> int:
        """Have it shut down; return how many workers it could not end."""
        out, _ = self.popen.communicate("", timeout=LIMIT)
        return int(out.split()[-1])


def states(folder: Path) -> dict[str, str]:
    """What the records say of each worker."""
    files = (folder / "state" / "workers").glob("*.json")
    return {file.stem: json.loads(file.read_text())["memory"]["state"] for file in files}


def leaders(mark: str) -> dict[str, list[int]]:
    """The worker processes there are, by worker: those that lead a session."""
    found: dict[str, list[int]] = {name: [] for name in BODIES}
    for pid in marked(mark):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            command = Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            continue
        if int(fields[3]) == pid and ".alone" in command:
            found[next(name for name in BODIES if f"/{name}.alone" in command)].append(pid)
    return found


@pytest.mark.timeout(1800)
def test_random_kills_leave_no_orphan_and_start_nothing_twice(tmp_path: Path, mark: str, long_run: bool) -> None:
    """Killed at random moments while it is stirred, each next supervisor goes on; at the end nothing is left."""
    seen: set[str] = set()
    chance = random.Random(20)
    kills = 0
    while kills < (200 if long_run else 20) or (seen != STATES and kills < 400):
        kills += 1
        host = Host(tmp_path, mark, "stir")
        if chance.random() < 0.8:
            host.at_work()
            time.sleep(chance.random() * 0.5)
        else:  # while it takes over
            time.sleep(chance.random() * 0.4)
        host.kill()
        seen |= set(states(tmp_path).values()) if (tmp_path / "state" / "workers").exists() else set()
        twice = {name: pids for name, pids in leaders(mark).items() if len(pids) > 1}
        assert not twice
        assert not (tmp_path / "violations").exists()
    last = Host(tmp_path, mark)
    last.at_work()
    until(lambda: all(len(pids) <= 1 for pids in leaders(mark).values()))

    assert last.end() == 0
    assert marked(mark) == []
    assert not (tmp_path / "violations").exists()
    assert seen == STATES


def test_killed_in_each_state_the_next_goes_on(run: Rig, tmp_path: Path) -> None:
    """RUNNING, STARTING, BACKOFF, FAILED and STOPPED workers are found as they were, their processes the same."""
    host = Host(tmp_path, run.mark)
    host.at_work()
    settled = {"looping": "FAILED", "steady": "RUNNING", "stubborn": "RUNNING", "family": "RUNNING"}
    until(lambda: settled.items() <= states(tmp_path).items())
    until(lambda: states(tmp_path).get("crashing") == "BACKOFF")
    host.kill()
    before, was = leaders(run.mark), states(tmp_path)
    again = Supervisor(config(tmp_path, run.mark), events=run.bus)
    run.made.append(again)
    again.start()

    assert was["waiting"] == "STARTING"
    for name in ("steady", "stubborn", "family", "waiting"):
        assert [again.status(name).pid] == before[name]
        assert again.status(name).adopted
        assert again.status(name).state == was[name]
    assert again.status("looping").state == "FAILED"
    assert {e.worker for e in run.of(WorkerAdopted)} >= {"steady", "stubborn", "family", "waiting"}
    adopted = again.status("steady").pid
    assert adopted is not None
    os.kill(adopted, signal.SIGKILL)
    until(lambda: again.status("steady").pid not in (None, adopted))
    assert again.stop("stubborn").state == "STOPPED"


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from selfheal.supervision import Supervisor
worker = {"command": ["/bin/sh", "-c", sys.argv[3]], "env": {sys.argv[4]: sys.argv[5]}, "min_uptime": 0.0}
made = Supervisor({"workers": {"w": {**worker, "stop": {"grace": 60.0}}}}, state_dir=sys.argv[2])
made.start()
made.wait_for("w", "RUNNING")
while "echo deaf" in sys.argv[3] and "deaf" not in made.output("w"):
    pass
print(made.status("w").pid, flush=True)
"""


def host_of_one(run: Rig, worker: str, then: str) -> tuple[subprocess.Popen[str], int]:
    """A process with a supervisor of one worker, which then does something; and the worker's process."""
    arguments = [str(HOST.parents[2]), str(run.folder / "state"), worker, MARK, run.mark]
    command = [sys.executable, "-c", SCRIPT + then, *arguments]
    host = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert host.stdout is not None
    return host, int(host.stdout.readline())


def test_killed_in_the_middle_of_a_stop_the_next_ends_it(run: Rig, tmp_path: Path) -> None:
    """A stop by hand that the supervisor did not live to finish is finished by the next, and holds."""
    host, _ = host_of_one(run, STUBBORN, "made.stop('w', reason='moved')")
    record = tmp_path / "state" / "workers" / "w.json"
    until(lambda: json.loads(record.read_text())["memory"]["ending"] == "stop")
    host.kill()
    host.communicate()
    again = run.started(w=run.worker(sh(STUBBORN), stop={"grace": 0.2}))

    assert again.wait_for("w", "STOPPED").held
    assert marked(run.mark) == []
    assert [e.forced for e in run.of(WorkerEnding)] == [False, True]


def test_an_innocent_process_of_the_same_id_is_left_alone(run: Rig, tmp_path: Path) -> None:
    """A record that names the id of a process which started at another time is not believed."""
    settings = run.worker(sh(FOR_EVER))
    first = run.started(w=settings)
    first.wait_for("w", "RUNNING")
    first.shutdown()
    record = tmp_path / "state" / "workers" / "w.json"
    told = json.loads(record.read_text())
    innocent = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        told["memory"].update(state="RUNNING", held=True)
        told["process"] = {"pid": innocent.pid, "started": 12345}
        record.write_text(json.dumps(told))
        again = run.started(w=settings)
        assert (again.status("w").state, again.status("w").pid) == ("STOPPED", None)
        again.start("w")
        again.wait_for("w", "RUNNING")
        again.stop("w")
        again.shutdown()
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


@pytest.mark.parametrize("damage", ["{", "", "[]", '{"version": 2}', None])
def test_a_lost_record_is_no_lost_worker(run: Rig, tmp_path: Path, damage: str | None) -> None:
    """Without a readable record the process is found by what is in its environment, and taken over."""
    host = Host(tmp_path, run.mark)
    host.at_work()
    until(lambda: states(tmp_path).get("steady") == "RUNNING")
    host.kill()
    record = tmp_path / "state" / "workers" / "steady.json"
    if damage is None:
        record.unlink()
    else:
        record.write_text(damage)
    before = leaders(run.mark)["steady"]
    again = Supervisor(config(tmp_path, run.mark), events=run.bus)
    run.made.append(again)
    again.start()

    assert [again.status("steady").pid] == before
    assert again.wait_for("steady", "RUNNING").adopted


def test_a_worker_taken_from_the_configuration_is_ended(run: Rig, tmp_path: Path) -> None:
    """What an earlier configuration started and this one does not know is stopped and forgotten."""
    host = Host(tmp_path, run.mark)
    host.at_work()
    until(lambda: states(tmp_path).get("steady") == "RUNNING")
    host.kill()
    again = run.started(other=run.worker(["sleep", "1000"]))
    until(lambda: [worker.name for worker in again.snapshot().workers] == ["other"])

    other = again.status("other").pid
    assert sessions(run.mark) == {other}
    assert sorted(states(tmp_path)) == ["other"]


def test_changed_settings_are_another_process(run: Rig) -> None:
    """A worker found alive whose command is another now is ended and started as it is now to be."""
    host, old = host_of_one(run, FOR_EVER, "sys.stdin.read()")
    host.kill()
    host.communicate()
    again = run.started(w=run.worker(sh("true; " + FOR_EVER)))
    until(lambda: again.status("w").pid not in (None, old))

    assert again.wait_for("w", "RUNNING").adopted is False
    assert not alive(old)


def test_two_supervisors_do_not_share_a_directory(run: Rig, tmp_path: Path) -> None:
    """The second one is refused, naming the process of the first; when that is killed, it is let in."""
    host = Host(tmp_path, run.mark)
    host.at_work()
    second = Supervisor(config(tmp_path, run.mark))
    with pytest.raises(StateDirTakenError) as refused:
        second.start()
    assert refused.value.holder == host.popen.pid
    host.kill()
    run.made.append(second)
    second.start()

    assert second.snapshot().state == "running"


def test_a_host_that_ends_by_itself_ends_its_workers(run: Rig) -> None:
    """A host that comes to its end without a shutdown leaves no worker behind."""
    host, worker = host_of_one(run, FOR_EVER, "")
    host.communicate(timeout=LIMIT)

    assert host.returncode == 0
    assert not alive(worker)
    assert marked(run.mark) == []


def test_a_forked_child_has_no_say(run: Rig) -> None:
    """A child forked from a host cannot steer its workers, holds none of its locks, and ends none of them."""
    then = """
import os, signal
from selfheal.errors import SupervisorStoppedError
child = os.fork()
if child == 0:
    try:
        made.stop("w")
    except SupervisorStoppedError as refused:
        print(refused, flush=True)
    print(made.snapshot().state, flush=True)
    sys.stdin.read()
    os._exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""
    host, worker = host_of_one(run, FOR_EVER, then)
    assert host.stdout is not None
    told = [host.stdout.readline().strip() for _ in range(2)]
    host.wait(LIMIT)
    again = run.started(w=run.worker(sh(FOR_EVER)))

    assert told == ["stop('w') refused: it belongs to the parent process. Make a new Supervisor.", "forked"]
    assert again.status("w").pid == worker
    host.communicate("")


def test_orphans_of_a_worker_are_reaped_where_the_host_is_their_subreaper(run: Rig) -> None:
    """With subreaper, grandchildren that end as orphans leave no zombie behind, while their worker runs on."""
    then = """
import os, time
def parent(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):  # it ended between the look at the directory and the reading
        return 0
def children():  # zombies too
    return {int(name) for name in os.listdir("/proc") if name.isdigit() and parent(name) == os.getpid()}
made.shutdown()
over = sys.argv[2] + ".over"
orphan = f"while ! test -e {over}; do sleep 0.05; done"
orphans = f"for i in 1 2 3 4 5; do ( ({orphan}) & ) ; done; exec sleep 1000"
config = {"workers": {"w": {**worker, "command": ["/bin/sh", "-c", orphans]}}, "subreaper": True}
made = Supervisor(config, state_dir=sys.argv[2])
made.start()
end = time.monotonic() + 40
while time.monotonic() < end and len(children()) < 6:
    time.sleep(0.01)
there = children() - {made.status("w").pid}
open(over, "w").close()
while time.monotonic() < end and there & children():
    time.sleep(0.01)
print(len(there), len(there & children()), made.status("w").state, flush=True)
"""
    host, _ = host_of_one(run, FOR_EVER, then)
    out, _ = host.communicate(timeout=LIMIT)

    assert out.split() == ["5", "0", "RUNNING"]


STARTING = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from selfheal.supervision import Supervisor, keeping
die = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[6] == "before":
    keeping.launch = die
else:
    keeping.Held.spawned = die
worker = {"command": ["/bin/sh", "-c", sys.argv[3]], "env": {sys.argv[4]: sys.argv[5]}, "min_uptime": 0.1}
Supervisor({"workers": {"w": worker}}, state_dir=sys.argv[2]).start()
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_in_the_middle_of_a_start_nothing_is_started_twice(run: Rig, moment: str) -> None:
    """Killed right before there is a process, the next starts it; right after, before it is noted, it is adopted."""
    arguments = [str(HOST.parents[2]), str(run.folder / "state"), FOR_EVER, MARK, run.mark, moment]
    killed = subprocess.run([sys.executable, "-c", STARTING, *arguments], check=False, timeout=LIMIT)
    assert killed.returncode == -signal.SIGKILL
    there = marked(run.mark)
    again = run.started(w=run.worker(sh(FOR_EVER)))
    worker = again.wait_for("w", "RUNNING")

    assert (worker.adopted, worker.total_restarts) == (moment == "after", 0)
    assert bool(there) is (moment == "after")
    assert not there or worker.pid in there
    assert sessions(run.mark) == {worker.pid}

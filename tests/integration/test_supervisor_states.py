"""Each change of state of a worker, and each way to see that one is ill, with real processes."""

from __future__ import annotations

import functools
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfheal.errors import ConfigError, InvalidConfigError, NotFoundError, ResetNeededError, WorkerHeldError
from selfheal.events import WorkerEnding, WorkerExited, WorkerReadinessChanged, WorkerStateChanged
from selfheal.supervision import Supervisor
from tests.descriptors import none_left
from tests.integration.supervising import (
    BEATING,
    FOR_EVER,
    LIMIT,
    SERVING,
    STUBBORN,
    Rig,
    alive,
    full_py,
    marked,
    py,
    reserved_port,
    rig,
    sh,
    until,
)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Rig]:
    yield from rig(tmp_path)


@pytest.fixture
def port() -> Iterator[int]:
    yield from reserved_port()


def known_dead(run: Rig, pid: int) -> bool:
    """Whether the end of a process was told."""
    return any(event.pid == pid for event in run.of(WorkerExited))


def test_running_only_when_up_and_well(run: Rig, tmp_path: Path, port: int) -> None:
    """A worker whose health endpoint says 503 stays STARTING until it says 200, whatever its uptime."""
    told = tmp_path / "told"
    told.write_text("503")
    health = {"type": "http", "url": f"http://127.0.0.1:{port}/health", "every": 0.1}
    made = run.started(w=run.worker(py(SERVING, port, told), health=health, ports=[port], start_timeout=600.0))
    until(lambda: made.status("w").health == "status 503")

    assert made.wait_for("w", "RUNNING", timeout=0.3).state == "STARTING"
    told.write_text("200")
    assert made.wait_for("w", "RUNNING").ready
    assert run.path() == ["STARTING", "RUNNING"]


def test_a_start_that_never_gets_well_is_ended(run: Rig, port: int) -> None:
    """A worker that is up but never answers is ended at its start timeout, and given up after its restarts."""
    health = {"type": "tcp", "port": port, "every": 0.1}
    settings = run.worker(sh(FOR_EVER), health=health, start_timeout=0.3, restart={"intensity": 1})
    made = run.started(w=settings)

    assert made.wait_for("w", "FAILED").reason.startswith("no good health check within 0.3 s of its start")
    assert run.path() == ["STARTING", "BACKOFF", "STARTING", "FAILED"]
    assert [e.ending for e in run.of(WorkerEnding)] == ["start-timeout", "start-timeout"]


def test_a_crash_is_noticed_within_100_ms_and_mended(run: Rig) -> None:
    """A worker killed from outside is known to be dead within 100 ms, and runs again."""
    made = run.started(w=run.worker(sh("exec sleep 1000"), restart={"intensity": 100}))
    noticed = list[float]()
    while len(noticed) < 50 and (len(noticed) < 3 or min(noticed) > 0.1):  # the machine may be busy with others
        pid = made.wait_for("w", "RUNNING").pid
        assert pid is not None
        at = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        until(functools.partial(known_dead, run, pid))
        noticed.append(run.when(WorkerExited) - at)
    worker = made.wait_for("w", "RUNNING")

    assert min(noticed) <= 0.1
    assert {(e.kind, e.signal) for e in run.of(WorkerExited)} == {("killed", "SIGKILL")}
    assert (worker.total_restarts, worker.last_exit) == (len(noticed), "killed by SIGKILL")


def test_without_descriptors_nobody_is_run_twice_or_given_up(run: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Who cannot look takes nobody for gone: what has to be done is done once there is a descriptor again."""
    made = run.started(w=run.worker(sh("exec sleep 1000"), restart={"intensity": 100}))
    pid = made.wait_for("w", "RUNNING").pid
    assert pid is not None
    with none_left():
        os.kill(pid, signal.SIGKILL)
        until(lambda: "Too many open files" in caplog.text)
        assert made.snapshot().workers[0].pid == pid
        assert not run.of(WorkerExited)
    until(lambda: known_dead(run, pid))
    worker = made.wait_for("w", "RUNNING")

    assert worker.pid not in (None, pid)
    assert (worker.total_restarts, worker.last_exit) == (1, "killed by SIGKILL")
    assert len(run.of(WorkerExited)) == 1
    assert marked(run.mark) == [worker.pid]


def test_a_stopped_process_is_hung_ended_and_replaced(run: Rig) -> None:
    """A worker frozen by SIGSTOP beats no more: once its silence is over, and not before, it is ended and replaced."""
    health = {"type": "heartbeat", "every": 0.1}
    made = run.started(w=run.worker(full_py(BEATING), health=health, hung_after=3.0, start_timeout=600))
    frozen = made.wait_for("w", "RUNNING").pid
    assert frozen is not None
    os.kill(frozen, signal.SIGSTOP)
    until(lambda: made.status("w").pid not in (None, frozen))

    assert [e.ending for e in run.of(WorkerEnding) if e.pid == frozen] == ["hung"]
    assert made.wait_for("w", "RUNNING").last_exit_kind == "ended"
    reasons = [e.reason for e in run.of(WorkerStateChanged) if e.reason.startswith("hung")]
    assert silence(reasons[0]) >= 3.0


def silence(reason: str) -> float:
    """For how many seconds a worker that is hung was silent, as its reason tells it."""
    return float(reason.partition("hung: no good health check for ")[2].split()[0])


def test_a_beat_must_come_from_the_loop(run: Rig, tmp_path: Path) -> None:
    """A worker that lives but does no more work is hung, although its process is well."""
    enough = tmp_path / "enough"
    script = BEATING.replace("while True:", "import os\nwhile not os.path.exists(sys.argv[1]):") + "time.sleep(1000)\n"
    settings = run.worker(
        full_py(script, enough),
        health={"type": "heartbeat", "every": 0.1},
        hung_after=3.0,
        start_timeout=600,
        restart={"intensity": 0},
    )
    made = run.started(w=settings)
    made.wait_for("w", "RUNNING")
    enough.touch()

    assert silence(made.wait_for("w", "FAILED").reason) >= 3.0


def test_exiting_at_once_is_given_up_within_bounds(run: Rig, tmp_path: Path) -> None:
    """A crash loop starts the process intensity + 1 times, is FAILED, and stays so until a person resets it."""
    starts = tmp_path / "starts"
    made = run.started(w=run.worker(sh(f"echo >> {starts}; exit 3"), restart={"intensity": 4}))
    failed = made.wait_for("w", "FAILED")

    assert failed.reason == "exit code 3; it would be more than 4 restarts in 300 s"
    assert starts.read_text() == "\n" * 5
    with pytest.raises(ResetNeededError, match="more than 4 restarts"):
        made.start("w")
    with pytest.raises(ResetNeededError):
        made.restart("w")
    with pytest.raises(ConfigError, match="reason"):
        made.reset("w", "  ")
    assert made.reset("w", "the disk was full", by="ann")
    assert not made.reset("w", "again")
    made.wait_for("w", "FAILED")
    assert starts.read_text() == "\n" * 10


def test_ignoring_term_is_killed_after_the_grace(run: Rig) -> None:
    """A worker that does not listen is killed when its grace is over, and not before."""
    made = run.started(w=run.worker(sh(STUBBORN), stop={"grace": 0.5}))
    made.wait_for("w", "RUNNING")
    run.deaf(made)
    began = time.monotonic()

    assert made.stop("w", timeout=LIMIT).state == "STOPPED"
    assert time.monotonic() - began >= 0.5
    assert [e.forced for e in run.of(WorkerEnding)] == [False, True]


def test_a_stop_by_hand_is_sticky(run: Rig) -> None:
    """What a person stopped is restarted by nobody, nor by another supervisor; only its start by name begins anew."""
    settings = {"w": run.worker(sh(FOR_EVER))}
    made = run.started(**settings)
    made.wait_for("w", "RUNNING")
    assert made.stop("w", reason="being moved", by="ann").held
    with pytest.raises(WorkerHeldError, match="being moved"):
        made.restart("w", reason="healing")
    made.start()
    made.shutdown()
    again = run.started(**settings)

    assert (again.status("w").state, again.status("w").held) == ("STOPPED", True)
    again.start("w")
    assert again.wait_for("w", "RUNNING").state == "RUNNING"


def test_a_restart_by_hand_is_another_process_and_not_counted(run: Rig) -> None:
    """A restart ends the process, starts another, and takes nothing from the limit."""
    made = run.started(w=run.worker(sh(FOR_EVER), restart={"intensity": 0}, min_uptime=0.5))
    before = made.wait_for("w", "RUNNING").pid
    after = made.restart("w", reason="new certificate")

    assert after.pid not in (None, before)
    assert (after.state, after.restarts) == ("STARTING", 0)


@pytest.mark.parametrize(
    ("script", "when", "state", "kind"),
    [
        ("exit 0", "on-failure", "STOPPED", "clean"),
        ("exit 4", "on-failure", "STOPPED", "clean"),
        ("exit 0", "never", "STOPPED", "clean"),
        ("exit 1", "never", "FAILED", "crash"),
        ("exit 78", "always", "FAILED", "no-restart"),
        ("kill -SEGV $$", "never", "FAILED", "killed"),
        ("kill -KILL $$", "never", "FAILED", "killed"),
    ],
)
def test_ends_are_told_apart(run: Rig, script: str, when: str, state: str, kind: str) -> None:
    """Clean ends, crashes, codes that forbid a restart, and signals lead where the policy says."""
    restart = {"when": when, "success_codes": [0, 4], "no_restart_codes": [78]}
    made = run.started(w=run.worker(sh(script), restart=restart, autostart=False))
    made.start("w")

    worker = made.wait_for("w", "STOPPED", "FAILED")
    assert (worker.state, worker.last_exit_kind) == (state, kind)


def test_grandchildren_do_not_outlive_a_stop(run: Rig) -> None:
    """A stop ends the whole group, and those that ignore it or left the session are killed."""
    script = f"({STUBBORN}) & setsid sh -c '{FOR_EVER}' & wait"
    made = run.started(w=run.worker(sh(script), stop={"grace": 0.5}))
    made.wait_for("w", "RUNNING")
    until(lambda: len(marked(run.mark)) >= 5)

    made.stop("w")
    assert marked(run.mark) == []


def test_grandchildren_do_not_outlive_a_crash(run: Rig) -> None:
    """When a worker crashes, what it left behind is gone before it is started again."""
    script = f"setsid sh -c '{FOR_EVER}' & sh -c '{FOR_EVER}' & sleep 0.3; kill -KILL $$"
    made = run.started(w=run.worker(sh(script), restart={"intensity": 0}))

    assert made.wait_for("w", "FAILED").last_exit == "killed by SIGKILL"
    assert marked(run.mark) == []


def test_health_by_command(run: Rig, tmp_path: Path) -> None:
    """A command tells whether it is well; one that hangs is given up and killed with its children."""
    well = tmp_path / "well"
    well.touch()
    script = f"test -e {well} || (sleep 1000; true)"
    health = {"type": "command", "command": sh(script), "every": 0.1, "timeout": 1.0}
    made = run.started(w=run.worker(sh(FOR_EVER), health=health, hung_after=4.0, restart={"intensity": 0}))
    made.wait_for("w", "RUNNING")
    well.unlink()

    assert made.wait_for("w", "FAILED").health == "no answer within 1 s"
    assert marked(run.mark) == []


@pytest.mark.parametrize("kind", ["command", "tcp"])
def test_a_check_that_cannot_be_made_says_nothing(
    run: Rig, kind: str, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A supervisor without descriptors takes nobody for ill or hung, and checks again when it has some."""
    probe = {"command": ["true"]} if kind == "command" else {"port": port}
    health = {"type": kind, "every": 0.05, "timeout": 1.0, **probe}
    serving = py(SERVING, port, "/nowhere")
    made = run.started(w=run.worker(serving, health=health, hung_after=0.5, restart={"intensity": 0}))
    pid = made.wait_for("w", "RUNNING").pid
    with none_left():
        until(lambda: made.snapshot()["w"].health == "too many open files")
        time.sleep(1.0)
        assert made.snapshot()["w"].state == "RUNNING"
    until(lambda: made.snapshot()["w"].health != "too many open files")
    worker = made.snapshot()["w"]

    assert (worker.state, worker.pid) == ("RUNNING", pid)
    assert not run.of(WorkerEnding)
    assert "worker 'w' cannot be checked: too many open files" in caplog.text


def test_health_by_connection(run: Rig, tmp_path: Path, port: int) -> None:
    """A worker is well while it accepts connections."""
    health = {"type": "tcp", "port": port, "every": 0.1}
    made = run.started(w=run.worker(py(SERVING, port, tmp_path / "told"), health=health))

    assert made.wait_for("w", "RUNNING").health == "connected"


def test_flapping_health_is_no_reason_to_restart_but_readiness_is_told(run: Rig, tmp_path: Path, port: int) -> None:
    """Every other answer bad: it stays RUNNING and lives, and each change of its readiness is an event."""
    told = tmp_path / "told"
    probe = {"type": "http", "url": f"http://127.0.0.1:{port}/", "every": 0.05}
    ready = {**probe, "url": f"http://127.0.0.1:{port}/ready"}
    made = run.started(w=run.worker(py(SERVING, port, told), health=probe, readiness=ready, hung_after=20.0))
    pid = made.wait_for("w", "RUNNING").pid
    told.write_text("flap")
    until(lambda: len(run.of(WorkerReadinessChanged)) >= 6)

    until(lambda: 3 <= made.status("w").bad_checks <= 6)
    assert made.status("w").pid == pid
    assert [e.ready for e in run.of(WorkerReadinessChanged)][:4] == [True, False, True, False]
    assert run.path() == ["STARTING", "RUNNING"]


def test_a_port_in_use_is_refused_at_load_and_counted_later(run: Rig, port: int) -> None:
    """A port that somebody holds is one clear error at load; taken later, it is a failed start within the limit."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(InvalidConfigError) as refused:
            run.supervisor(w=run.worker(sh(FOR_EVER), ports=[port]))
    made = run.supervisor(w=run.worker(sh(FOR_EVER), ports=[port], restart={"intensity": 1}))
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        made.start()
        failed = made.wait_for("w", "FAILED")

    told = f"workers.w.ports[0] must be a port that is free (address already in use), got {port}."
    assert str(refused.value) == told
    assert failed.reason.startswith(f"could not be started: port {port} is taken: address already in use;")


def test_all_that_is_wrong_on_this_machine_is_told_at_once(run: Rig, tmp_path: Path) -> None:
    """Missing programs and directories are one error that names each by its path in the file."""
    file = tmp_path / "workers.toml"
    file.write_text(
        f'state_dir = "{tmp_path}/state"\n[workers.a]\ncommand = ["no-such-program"]\n[workers.b]\n'
        f'command = ["{tmp_path}/none"]\n[workers.c]\ncommand = ["sh"]\ncwd = "{tmp_path}/nowhere"\n'
        '[workers.d]\ncommand = ["sh"]\nhealth = { type = "command", command = ["nope"] }\n'
    )
    with pytest.raises(InvalidConfigError) as refused:
        Supervisor(file)

    assert str(refused.value).splitlines() == [
        f"{file}: 4 settings are not accepted:",
        "- workers.a.command[0] must be a program that can be run, found in PATH, got 'no-such-program'.",
        f"- workers.b.command[0] must be a program that can be run, got '{tmp_path}/none'.",
        f"- workers.c.cwd must be a directory that is there, got '{tmp_path}/nowhere'.",
        "- workers.d.health.command[0] must be a program that can be run, found in PATH, got 'nope'.",
    ]


def test_a_program_that_vanishes_is_a_failed_start(run: Rig, tmp_path: Path) -> None:
    """A program removed after the load is given up within the limit, naming it."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o700)
    made = run.supervisor(w=run.worker([str(program)], restart={"intensity": 2}))
    program.unlink()
    made.start()

    failed = made.wait_for("w", "FAILED")
    assert failed.reason.startswith(f"could not be started: no such file or directory: {program};")
    assert failed.last_exit_kind == "not-started"


def test_output_is_kept_bounded_and_rotated(run: Rig) -> None:
    """Both streams go to one file, which is rotated; the newest lines are at hand, and old files are dropped."""
    script = "i=0; while :; do i=$((i+1)); echo line-$i; echo err-$i >&2; sleep 0.001; done"
    made = run.started(w=run.worker(sh(script), output={"max_bytes": 2048, "backups": 2}))
    file = Path(made.status("w").output)
    until(lambda: file.with_name(f"{file.name}.2").exists())
    before = made.output("w")
    until(lambda: made.output("w") != before)
    made.stop("w")  # else it may be rotated between two looks

    assert sorted(p.name for p in file.parent.glob("w.log*")) == ["w.log", "w.log.1", "w.log.2"]
    assert "err-" in before
    assert file.with_name("w.log.1").stat().st_size <= 2048
    assert file.stat().st_size < 100_000
    assert made.status("w").total_restarts == 0


def test_unknown_workers_are_named(run: Rig) -> None:
    """A name that is not there is told with those that are."""
    made = run.started(w=run.worker(sh(FOR_EVER)))
    for call in (made.start, made.stop, made.restart, made.status, made.output):
        with pytest.raises(NotFoundError, match=r"no worker is named 'x'\. There are: w\."):
            call("x")


def test_shutdown_is_bounded_and_says_who_had_to_be_killed(run: Rig) -> None:
    """A worker with a long grace does not hold a shutdown up beyond its time."""
    made = run.started(good=run.worker(sh(FOR_EVER)), stubborn=run.worker(sh(STUBBORN), stop={"grace": 3600.0}))
    made.wait_for("stubborn", "RUNNING")
    run.deaf(made, "stubborn")
    report = made.shutdown(5.0)  # it is killed a second before

    assert (report.stopped, report.killed, report.still_running) == (("good",), ("stubborn",), ())
    assert made.shutdown() == report
    assert made.snapshot().state == "stopped"
    assert not alive(made.status("good").pid or -1)

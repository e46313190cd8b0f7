"""Starting a process: what stands against it, its environment, and the lock that it keeps while it lives."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import attrs

from selfheal.errors import ConfigProblem
from selfheal.supervision.beating import HEARTBEAT
from selfheal.supervision.configs import WorkerConfig
from selfheal.supervision.processes import TOKEN


def environment_of(config: WorkerConfig, extra: Mapping[str, str]) -> dict[str, str]:
    """What a worker, and each of its checks, finds in its environment."""
    return {**(os.environ if config.inherit_env else {}), **config.env, **extra}


def fingerprint(config: WorkerConfig) -> str:
    """Tells whether a process would be started the same way."""
    told = [config.command, str(config.cwd), sorted(config.env.items()), config.inherit_env]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def obstacles(where: str, config: WorkerConfig, *, ports: bool) -> Iterator[ConfigProblem]:
    """What this machine has against starting the worker; with ``ports``, whether its ports are free too."""
    if config.cwd is not None and not config.cwd.is_dir():
        yield ConfigProblem(f"{where}.cwd", str(config.cwd), "a directory that is there")
    else:
        yield from _programs(where, config)
    for index, port in enumerate(config.ports if ports else ()):
        if (why := port_taken(port)) is not None:
            yield ConfigProblem(f"{where}.ports[{index}]", port, f"a port that is free ({why})")


def _programs(where: str, config: WorkerConfig) -> Iterator[ConfigProblem]:
    commands = {"command": config.command}
    for key in ("health", "readiness"):
        command = getattr(getattr(config, key), "command", None)
        if command:
            commands[f"{key}.command"] = command
    for key, command in commands.items():
        if not _runnable(command[0], config):
            path = "" if "/" in command[0] else ", found in PATH"
            yield ConfigProblem(f"{where}.{key}[0]", command[0], f"a program that can be run{path}")


def _runnable(program: str, config: WorkerConfig) -> bool:
    if "/" in program:
        file = Path(config.cwd or ".") / program
        return file.is_file() and os.access(file, os.X_OK)
    return shutil.which(program, path=environment_of(config, {}).get("PATH", os.defpath)) is not None


def port_taken(port: int) -> str | None:
    """Why nobody could listen on ``port`` now; ``None`` if one could."""
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 - bound, never listened on
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((host, port))
        except PermissionError:
            return "only a privileged process may listen there"
        except OSError as error:
            if family == socket.AF_INET:
                return (error.strerror or str(error)).lower()
    return None


def taken_port(config: WorkerConfig) -> str | None:
    """Which port of a worker somebody else holds, in words; ``None`` if they are free."""
    taken = ((port, port_taken(port)) for port in config.ports)
    return next((f"port {port} is taken: {why}" for port, why in taken if why is not None), None)


def take_lock(path: Path) -> int | None:
    """Open and lock a file; ``None`` if a process holds it. Whoever inherits the descriptor holds it on."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


@attrs.frozen(kw_only=True)
class Places:
    """The files of one worker.

    Args:
        record: what is written down of it.
        lock: held by its process, and by those it starts, as long as one of them lives.
        beat: touched by it as a sign of life.
        output: what it prints.
    """

    record: Path
    lock: Path
    beat: Path
    output: Path

    @classmethod
    def of(cls, folder: Path, name: str) -> Places:
        """The files of worker ``name`` below ``folder``."""
        suffixes = {"record": "json", "lock": "lock", "beat": "beat", "output": "log"}
        return cls(**{kind: folder / f"{name}.{suffix}" for kind, suffix in suffixes.items()})


def launch(config: WorkerConfig, token: str, places: Places, output: int, lock: int) -> subprocess.Popen[bytes]:
    """Start the process: a session and group of its own, output to ``output``, holding ``lock``.

    Raises:
        OSError: if it cannot be started.
    """
    places.beat.touch(mode=0o600)
    with _no_signal_blocked():
        return subprocess.Popen(
            list(config.command),
            cwd=config.cwd,
            env=environment_of(config, {TOKEN: token, HEARTBEAT: str(places.beat)}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(lock,),
            start_new_session=True,
        )


@contextlib.contextmanager
def _no_signal_blocked() -> Iterator[None]:
    """A process begins with the signals blocked that are blocked in the thread starting it: none, here.

    A host may block signals in all its threads but one. A worker that could not be told to end would be killed.
    """
    before: Collection[int] = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

"""Copies of backups over a real network: a server of OpenSSH, connections that break, senders that are killed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfheal.backup import BackupStore, Section
from selfheal.backup.replicating import Replica
from selfheal.backup.verifying import verify
from selfheal.errors import ReplicationError
from selfheal.integrations.remote_files import replica_at
from tests.backup.trees import grow, look

ROOT = Path(__file__).parents[2]
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
SENDER = """
import sys
from selfheal.backup import BackupStore
from selfheal.integrations.remote_files import replica_at
store, id, url, port, user, key, pause = sys.argv[1:]
options = {"port": int(port), "username": user, "key_filename": key, "look_for_keys": False, "allow_agent": False}
def step(name):
    print(name, flush=True)
    sys.stdin.readline()
replica_at(url, options=options, step=step).send(BackupStore(store), id)
print("done", flush=True)
"""


class Server:
    """An SSH server of one's own, with one user and one key.

    Args:
        directory: for its keys and settings.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = directory / "key"
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(mode=0o700)
        for name in ("host", "key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True, timeout=60
            )
        shutil.copy(directory / "key.pub", directory / "authorized")

    def start(self) -> None:
        """Listen on a port that is free, or the one it had."""
        assert SSHD is not None
        for _ in range(20):
            if not self.port:
                with socket.socket() as free:
                    free.bind(("127.0.0.1", 0))
                    self.port = free.getsockname()[1]
            settings = self.directory / "settings"
            settings.write_text(
                f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.directory / 'host'}\nUsePAM no\n"
                f"AuthorizedKeysFile {self.directory / 'authorized'}\nStrictModes no\nPasswordAuthentication no\n"
                f"PermitRootLogin prohibit-password\nPidFile none\nSubsystem sftp internal-sftp\nMaxStartups 100\n"
            )
            with open(self.directory / "log", "ab") as log:
                self._process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(settings)], stderr=log)
            if self._answers():
                return
            self.stop()
            self.port = 0
        raise AssertionError((self.directory / "log").read_text())

    def _answers(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                    return connection.recv(4) == b"SSH-"
            except OSError:
                time.sleep(0.05)
        return False

    def stop(self) -> None:
        """End it, and every connection that it has."""
        if self._process is None:
            return
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self._process.pid)], capture_output=True, text=True, check=False
        ).stdout.split()
        self._process.kill()
        self._process.wait(60)
        for child in children:
            try:
                os.kill(int(child), signal.SIGKILL)
            except ProcessLookupError:
                continue

    def replica(self, directory: Path, **options: Any) -> Replica:
        """A place on it."""
        told = {"port": self.port, "username": self.user, "key_filename": str(self.key)}
        return replica_at(
            f"sftp://127.0.0.1{directory}", options={**told, "look_for_keys": False, "allow_agent": False}, **options
        )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that runs."""
    assert SSHD is not None, "install openssh-server"
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # the server leaves its privileges there
    server = Server(tmp_path / "ssh")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def store(tmp_path: Path) -> BackupStore:
    """A store with one backup of a random tree."""
    grow(tmp_path / "source", 5, 60)
    store = BackupStore(tmp_path / "backups", [Section("data", tmp_path / "source")])
    store.create()
    return store


def test_a_backup_goes_there_and_comes_back(tmp_path: Path, server: Server, store: BackupStore) -> None:
    """Over SFTP, with names of all bytes: sent, verified there, listed, fetched, the same to the last bit."""
    id = store.get().id
    replica = server.replica(tmp_path / "copies")

    sent = replica.send(store, id)

    assert sent.files > 20
    assert replica.names() == [id]
    assert replica.verify(id).ok
    back = BackupStore(tmp_path / "back")
    replica.fetch(id, back)
    assert look(back.path(id) / "data") == look(store.path(id) / "data")
    assert verify(back, id).ok
    assert replica.send(store, id).files == 0


def test_a_connection_that_breaks_is_told_and_the_rest_follows_later(
    tmp_path: Path, server: Server, store: BackupStore
) -> None:
    """The server is killed in the middle: one clear error, no copy; back again, only what is missing is sent."""
    id = store.get().id
    seen: list[str] = []

    def step(name: str) -> None:
        seen.append(name)
        if len(seen) == 12:
            server.stop()

    with pytest.raises(ReplicationError, match="cannot"):
        server.replica(tmp_path / "copies", name="far", step=step).send(store, id)

    server.start()
    replica = server.replica(tmp_path / "copies")
    assert replica.names() == []
    sent = replica.send(store, id)
    assert sent.kept >= 10
    assert replica.verify(id).ok


def test_a_sender_killed_anywhere_leaves_no_half_copy_behind(
    tmp_path: Path, server: Server, store: BackupStore, long_run: bool
) -> None:
    """SIGKILL at every tenth step (at each, with --long) and the last ones: what is listed is whole, and completed."""
    id = store.get().id
    steps: list[str] = []
    server.replica(tmp_path / "all", step=steps.append).send(store, id)
    for place in sorted({*range(0, len(steps), 1 if long_run else 10), *range(len(steps) - 3, len(steps))}):
        copies = tmp_path / f"copies-{place}"
        killed_at(server, store, copies, id, place)
        replica = server.replica(copies)
        listed = replica.names()
        assert listed == ([id] if steps[place] == "sent" else [])
        replica.send(store, id)
        assert replica.verify(id).ok


def killed_at(server: Server, store: BackupStore, copies: Path, id: str, place: int) -> None:
    """Send from a process of its own, which is killed when it is about to take a step."""
    arguments = [str(store.directory), id, f"sftp://127.0.0.1{copies}", str(server.port), server.user, str(server.key)]
    with subprocess.Popen(
        [sys.executable, "-c", SENDER, *arguments, ""],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        for _ in range(place):
            process.stdout.readline()
            process.stdin.write("\n")
            process.stdin.flush()
        assert process.stdout.readline()
        process.kill()

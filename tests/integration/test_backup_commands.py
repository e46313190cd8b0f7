"""``selfheal backup`` as a process: at a terminal, interrupted by Ctrl-C, and checked by sha256sum."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from selfheal.backup import BackupStore, verify
from tests.backup.trees import grow
from tests.cli.backup.rig import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0
"""Seconds for what takes one on a quiet machine."""
SELFHEAL = [sys.executable, "-m", "selfheal", "backup"]


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A service with settings."""
    (tmp_path / "selfheal-backup.toml").write_text(SETTINGS)
    (tmp_path / "app.toml").write_text("size = 3\n")
    grow(tmp_path / "data", 7, files=60)
    return tmp_path


def environ(**more: str) -> dict[str, str]:
    """Of a process that finds this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", **more}


def run(host: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command without a terminal."""
    return subprocess.run(
        [*SELFHEAL, *arguments],
        cwd=host,
        env=environ(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, host: Path, *arguments: str, **environment: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*SELFHEAL, *arguments],
            cwd=host,
            env=environ(**environment),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.shown = ""

    def wait_for(self, text: str) -> None:
        """Wait until it has shown this."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert self._read(deadline), f"it never showed {text!r}, but {self.shown!r}"

    def wait_until_it_waits(self) -> None:
        """Wait until it sleeps in the call that reads: a signal just before that would not end it."""
        deadline = time.monotonic() + PATIENCE
        while Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
            assert time.monotonic() < deadline, "it never came to wait"
            time.sleep(0.01)

    def type(self, text: str) -> None:
        """Type this."""
        os.write(self._master, text.encode())

    def end(self) -> int:
        """Wait for its end; give its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        code = self.process.wait(PATIENCE)
        os.close(self._master)
        return code

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(deadline - time.monotonic(), 0.0))
        if not ready:
            return False
        try:
            read = os.read(self._master, 65_536)
        except OSError:  # the other end is closed
            return False
        self.shown += read.decode("utf-8", "replace")
        return bool(read)


def interrupted(host: Path, module: str, doing: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command, and interrupt it as Ctrl-C does while it is doing something."""
    command = [sys.executable, "-m", "tests.integration.backup_commands", module, doing, "backup", *arguments]
    process = subprocess.Popen(
        command, cwd=host, env=environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    try:
        assert line == "waiting\n", line + process.stderr.read()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def look(path: Path) -> dict[str, tuple[int, bytes]]:
    """All files below, with inode and content: what a restore that was taken back leaves as it was."""
    return {
        str(each.relative_to(path)): (each.stat().st_ino, each.read_bytes())
        for each in path.rglob("*")
        if each.is_file() and not each.is_symlink()
    }


def test_from_settings_to_a_restore(host: Path) -> None:
    """Without a terminal: made, checked by sha256sum, compared, put back, with nothing on stderr and no escapes."""
    assert run(host, "create").returncode == 0
    (id,) = BackupStore(host / "backups").names()
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=host / "backups" / id, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, b"")
    assert checked.stdout.count(b": OK\n") > 20

    (host / "app.toml").write_text("size = 4\n")
    differs, restored, same = run(host, "diff"), run(host, "restore", "--yes"), run(host, "diff")
    assert [done.returncode for done in (differs, restored, same)] == [3, 0, 0]
    assert [done.stderr for done in (differs, restored, same)] == ["", "", ""]
    assert not any("\x1b" in done.stdout for done in (differs, restored, same))
    refused = run(host, "restore")
    assert (refused.returncode, refused.stdout) == (1, "")


def test_asked_at_a_terminal(host: Path) -> None:
    """The plan is shown, the id is typed, and it is restored; another word changes nothing."""
    assert run(host, "create").returncode == 0
    (id,) = BackupStore(host / "backups").names()
    (host / "app.toml").write_text("size = 4\n")

    terminal = Terminal(host, "restore")
    terminal.wait_for(f"To restore it, type its id, {id}: ")
    assert "Nothing was changed." in terminal.shown
    terminal.type("yes\n")
    assert terminal.end() == 1
    assert "that is not the id: nothing was changed" in terminal.shown
    assert (host / "app.toml").read_text() == "size = 4\n"

    terminal = Terminal(host, "restore")
    terminal.wait_for(f"type its id, {id}: ")
    terminal.type(f"{id}\n")
    assert terminal.end() == 0
    assert f"restored: backup {id}" in terminal.shown
    assert (host / "app.toml").read_text() == "size = 3\n"


def test_ctrl_c_at_the_question(host: Path) -> None:
    """The key itself, at a terminal: nothing is changed, and no traceback is shown."""
    assert run(host, "create").returncode == 0
    (host / "app.toml").write_text("size = 4\n")
    terminal = Terminal(host, "restore")
    terminal.wait_for("type its id")
    terminal.wait_until_it_waits()
    terminal.process.send_signal(signal.SIGINT)

    assert terminal.end() == 1
    assert "interrupted: nothing was changed" in terminal.shown
    assert "Traceback" not in terminal.shown
    assert (host / "app.toml").read_text() == "size = 4\n"


@pytest.mark.parametrize(("term", "wanted"), [("dumb", r"copying data: 100 %"), ("xterm", r"\x1b\[.*copying data")])
def test_progress_at_a_terminal(host: Path, term: str, wanted: str) -> None:
    """Lines or bars, before what it found; no escape but those of the bars."""
    terminal = Terminal(host, "create", TERM=term)

    assert terminal.end() == 0
    assert re.search(wanted, terminal.shown, re.DOTALL)
    assert ("\x1b" in terminal.shown) is (term == "xterm")
    assert re.search(r"backup \d{8}T\d{6}Z: sound\r\n", terminal.shown)


@pytest.mark.parametrize(
    ("module", "doing", "said"),
    [
        ("creating", "copying", "interrupted: no backup was made, and nothing is left of it\n"),
        ("creating", "verifying", "is made, and not verified: selfheal backup verify "),
    ],
)
def test_interrupted_while_creating(host: Path, module: str, doing: str, said: str) -> None:
    """The store is sound: every backup in it is whole, nothing half made is left, and the next is made at once."""
    assert run(host, "create").returncode == 0
    done = interrupted(host, module, doing, "create")
    store = BackupStore(host / "backups")

    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert said in done.stderr
    assert len(store.names()) == (1 if doing == "copying" else 2)
    assert all(verify(store, id).ok for id in store.names())
    assert not [path for path in (host / "backups").iterdir() if path.name.startswith((".partial", ".removing"))]
    assert run(host, "create").returncode == 0


def test_interrupted_while_restoring(host: Path) -> None:
    """The targets are the very files they were, and nothing has to be recovered."""
    assert run(host, "create").returncode == 0
    (host / "app.toml").write_text("size = 4\n")
    before = look(host / "data")
    done = interrupted(host, "restoring", "restoring", "restore", "--yes")

    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "interrupted: the restore was taken back, everything is as it was before\n" in done.stderr
    assert look(host / "data") == before
    assert (host / "app.toml").read_text() == "size = 4\n"
    assert run(host, "restore", "--status").stdout == "no restore is under way, and none is kept\n"
    assert run(host, "restore", "--yes").returncode == 0


def test_interrupted_while_verifying(host: Path) -> None:
    """It says so in one line, with code 1: that is no verdict."""
    assert run(host, "create").returncode == 0
    done = interrupted(host, "verifying", "verifying", "verify")

    assert (done.returncode, done.stdout, done.stderr) == (1, "", "selfheal: interrupted\n")
    assert len(BackupStore(host / "backups").records) == 1

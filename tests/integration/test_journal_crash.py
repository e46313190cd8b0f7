"""The journal with real processes: writers killed at any moment, readers all the while, disks that are full."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfheal.errors import JournalError, JournalObservedError
from selfheal.journal import Entry, Journal, follow, read_journal

ROOT = Path(__file__).parents[2]

WRITER = """
    import os, signal, sys
    from selfheal.errors import JournalObservedError
    from selfheal.journal import Journal
    path, told, life = sys.argv[1], sys.argv[2], sys.argv[3]

    class Halting(Journal):
        # Each line in two parts, so that a kill comes between them; some lives end there by themselves.
        lines = 0
        def _write(self, line):
            half = len(line) // 2
            os.write(self._fd, line[:half])
            self.lines += 1
            if self.lines > 40 and int(life) % 8 == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            os.sched_yield()
            os.write(self._fd, line[half:])

    journal = Halting(path, max_bytes=20_000, keep=1000)
    out = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    print("writing" if journal.writing else "observing", flush=True)
    while not journal.try_to_write():
        os.sched_yield()
    n = 0
    while True:
        n += 1
        entry = journal.append("verified", sync=n % 50 == 0, life=life, n=n, text="x" * (n * 37 % 900))
        os.write(out, b"%d %d\\n" % (entry.seq, n))
"""


def start(path: Path, told: Path, life: object) -> subprocess.Popen[str]:
    """A process that writes the journal, or waits to; it is at work when this returns."""
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path), str(told), str(life)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() in {"writing\n", "observing\n"}
    return process


def kill(process: subprocess.Popen[str]) -> None:
    """End it at once."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def noted(told: Path) -> int:
    """How many appends have returned so far."""
    return told.read_bytes().count(b"\n") if told.exists() else 0


def acknowledged(told: Path) -> dict[int, int]:
    """What appends returned: number to content; but for a line that a kill tore."""
    lines = told.read_text().split("\n")[:-1]
    return {int(seq): int(n) for seq, n in (line.split() for line in lines)}


class Watcher(threading.Thread):
    """Reads the journal over and over, and follows it, while it is written."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.over = threading.Event()
        self.followed: list[Entry] = []
        self.problems: list[str] = []
        self.readings = 0
        self.follower = threading.Thread(target=self.follow)

    def follow(self) -> None:
        """Take what comes."""
        self.followed.extend(follow(self.path, limit=None, poll=0.01, stop=self.over.is_set))

    def run(self) -> None:
        """Read all there is, again and again."""
        seen = 0
        self.follower.start()
        while not self.over.is_set():
            began = time.monotonic()
            reading = read_journal(self.path)
            numbers = [entry.seq for entry in reading]
            if numbers != list(range(1, len(numbers) + 1)) or len(numbers) < seen or reading.report.damaged:
                self.problems.append(f"{seen} seen before, now {len(numbers)}: {reading.report}")
            seen = len(numbers)
            self.readings += 1
            time.sleep(max(time.monotonic() - began, 0.01))  # the others in this process want to go on as well
        self.follower.join()

    def end(self) -> None:
        """Wait until it has seen all; nobody writes any more."""
        last = [entry.seq for entry in read_journal(self.path)][-1]
        with contextlib.suppress(AssertionError):  # it is told by what is compared
            until(lambda: self.readings > 5 and self.followed and self.followed[-1].seq == last)
        self.over.set()
        self.join()


def check(path: Path, told: Path) -> list[Entry]:
    """All that was acknowledged is there, as it was written, and numbers have neither gaps nor doubles."""
    entries = list(read_journal(path))
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    contents = {entry.seq: entry.fields["n"] for entry in entries if entry.type == "verified"}
    assert acknowledged(told).items() <= contents.items()
    assert all(len(entry.fields["text"]) == entry.fields["n"] * 37 % 900 for entry in entries if "text" in entry.fields)
    return entries


def test_a_writer_killed_at_any_moment(tmp_path: Path) -> None:
    """Over forty kills no acknowledged entry is lost or altered, and readers never see a gap, a double or damage."""
    path, told = tmp_path / "journal.jsonl", tmp_path / "told"
    chance = random.Random(7)
    watcher = Watcher(path)
    watcher.start()
    try:
        for life in range(40):
            process = start(path, told, life)
            enough = noted(told) + chance.randrange(60)
            until(lambda process=process, enough=enough: noted(told) >= enough or process.poll() is not None)
            kill(process)
        with Journal(path, max_bytes=20_000, keep=1000) as journal:
            journal.append("verified", n=0, text="")
    finally:
        watcher.end()

    entries = check(path, told)
    assert watcher.problems == []
    assert watcher.readings > 5
    assert watcher.followed == entries
    opened = [entry for entry in entries if entry.type == "journal_opened"]
    assert len(opened) == 41
    assert sum(entry.fields["torn_bytes"] > 0 for entry in opened) >= 3
    assert len(acknowledged(told)) > 1000
    assert len(list(tmp_path.iterdir())) > 10


def test_the_second_takes_over_when_the_first_is_killed(tmp_path: Path) -> None:
    """Of two writers one writes; each time it is killed the other goes on, and nothing is lost between them."""
    path, told = tmp_path / "journal.jsonl", tmp_path / "told"
    active = start(path, told, 0)
    until(lambda: noted(told))
    for life in (1, 2, 3, 4, 6, 7, 8):  # not one that ends by itself
        waiting = start(path, told, life)
        with pytest.raises(JournalObservedError) as refused:
            Journal(path).append("verified")
        assert refused.value.holder == active.pid
        kill(active)
        until(lambda life=life: any(e.fields.get("life") == str(life) for e in read_journal(path)))
        active = waiting
    kill(active)

    lives = [int(entry.fields["life"]) for entry in check(path, told) if entry.type == "verified"]
    assert lives == sorted(lives)
    assert set(lives) == {0, 1, 2, 3, 4, 6, 7, 8}


def until(holds: object, seconds: float = 60.0) -> None:
    """Wait until it holds."""
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_forked_child_observes(tmp_path: Path) -> None:
    """A child writes nothing and does not keep the lock: another takes over when the parent is gone."""
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    hear, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        with contextlib.suppress(JournalObservedError):
            code = 2 if journal.writing or journal.try_to_write() else 3
            journal.append("verified")
            code = 4
        os.close(os.open("/dev/null", os.O_RDONLY))
        os.write(tell, b"%d" % code)
        signal.pause()
    try:
        assert os.read(hear, 1) == b"3"
        journal.append("verified", by="parent")
        journal.close()
        with Journal(path) as other:  # the child still lives
            assert other.writing
        assert [e.seq for e in read_journal(path)] == [1, 2, 3, 4, 5]
    finally:
        os.kill(pid, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        os.close(hear)
        os.close(tell)


def test_a_child_that_came_to_nothing_yet_does_not_keep_the_lock(tmp_path: Path) -> None:
    """A journal that is closed is free at once, though a child begun just before still has its open files."""
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    held = os.dup(journal._lock_fd)  # what such a child has, until it begins its program
    try:
        journal.close()
        with Journal(path) as other:
            assert other.writing
    finally:
        os.close(held)


def test_forks_while_threads_write(tmp_path: Path) -> None:
    """A fork in the middle of writing leaves neither a lock held in the child nor half a line in the file."""
    over = threading.Event()
    with Journal(tmp_path / "j") as journal:

        def work() -> None:
            while not over.is_set():
                journal.append("verified", text="x" * 500)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            for _ in range(20):
                pid = os.fork()
                if pid == 0:
                    refused = False
                    try:
                        journal.append("verified")
                    except JournalObservedError:
                        refused = True
                    os._exit(0 if refused else 1)
                assert os.waitpid(pid, 0)[1] == 0
        finally:
            over.set()
            thread.join()
    reading = read_journal(tmp_path / "j")
    assert [entry.seq for entry in reading] == list(range(1, reading.report.entries + 1))
    assert reading.report.damaged == 0


FULL = """
    import resource, sys
    from selfheal.errors import JournalError
    from selfheal.journal import Journal, read_journal
    path = sys.argv[1]
    journal = Journal(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
    written, refused = [1], 0
    for n in range(100):
        try:
            written.append(journal.append("verified", n=n, text="x" * 100).seq)
        except JournalError as error:
            refused += 1
            assert "the entry was not written (File too large)" in str(error), error
            assert open(path, "rb").read().endswith(b"}\\n")
    assert refused > 10 and len(written) > 10, (refused, len(written))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    written.append(journal.append("verified", n="after").seq)
    assert [e.seq for e in read_journal(path)] == written == list(range(1, len(written) + 1))
    journal.close()
    print("done")
"""


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """Where the kernel takes half a line and no more, the half is taken back, and later it works again."""
    command = [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path / "j")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert (run.stdout, run.returncode) == ("done\n", 0), run.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True, check=False
        ).returncode
    )
    if not mounted:
        pytest.skip("needs leave to mount a small file system, as root has it")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    """On a disk that is full an append fails and leaves nothing; with room made, numbers go on without a gap."""
    hog = small_disk / "hog"
    hog.write_bytes(b"x" * 40_000)
    with Journal(small_disk / "j", keep=1) as journal:
        written = 1
        try:
            while written < 1000:
                written = journal.append("verified", text="x" * 300).seq
        except JournalError as error:
            assert error.why == "the entry was not written (No space left on device)"
        assert 10 < written < 1000
        for _ in range(5):
            with pytest.raises(JournalError, match="No space left on device"):
                journal.append("verified", text="x" * 8000)
        assert (small_disk / "j").read_bytes().endswith(b"}\n")
        with pytest.raises(JournalError), Journal(small_disk / "other") as other:
            other.append("verified", text="x" * 8000)
        hog.unlink()
        assert journal.append("verified").seq == written + 1
        assert [e.seq for e in read_journal(journal.path)] == list(range(1, written + 2))


def test_a_disk_that_may_only_be_read(small_disk: Path) -> None:
    """Where nothing may be written, opening says so; who only reads is not hindered."""
    Journal(small_disk / "j").close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    with pytest.raises(JournalError, match=r"cannot be opened for writing \(Read-only file system\)"):
        Journal(small_disk / "j")
    assert [entry.type for entry in read_journal(small_disk / "j")] == ["journal_opened", "clean_stop"]


def test_a_directory_of_somebody_else(tmp_path: Path) -> None:
    """A user without the right to write gets a clear error, and none of the right to read either."""
    program = """
        import os, sys
        from selfheal.errors import JournalError
        from selfheal.journal import Journal, read_journal
        if os.geteuid() == 0:
            os.setuid(65534)
        for what in (lambda: Journal(sys.argv[1]), lambda: list(read_journal(sys.argv[1]))):
            try:
                what()
            except JournalError as error:
                print(error)
    """
    path = tmp_path / "private" / "j"
    path.parent.mkdir()
    Journal(path).close()
    path.parent.chmod(0)
    try:
        command = [sys.executable, "-c", textwrap.dedent(program), str(path)]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    finally:
        path.parent.chmod(0o755)

    assert run.stdout.splitlines() == [
        f"journal {path}: it cannot be opened for writing (Permission denied).",
        f"journal {path}: it cannot be read (Permission denied).",
    ], run.stderr

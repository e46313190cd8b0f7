"""With the service stopped: a damaged backup is refused, and a restore that is killed half way leaves no mix."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import attrs
import psutil

from examples.demo_restore.contents import Contents, contents_of, contents_of_backup
from examples.demo_restore.service import WITHIN, running
from examples.reference_app.places import Places
from examples.reference_app.story import Story

_MIX = "config new, data new, state old"
_NOTE = "# rm in the wrong directory; restored by maria"


@attrs.define
class Stopped:
    """The second half.

    Args:
        directory: the state directory.
        story: tells it.
        backup: id of a good one.
        patience: how many times as long is waited.
    """

    directory: Path
    story: Story
    backup: str
    patience: float = 1.0

    def run(self, processes: set[psutil.Process]) -> None:
        """All of it; the processes that there were are added to ``processes``."""
        self._refuses()
        self._edits()
        new = contents_of_backup(Places(self.directory).backups / self.backup)
        self._killed(processes, "written swapped", 2, new, "old", "with config and data exchanged, and state not")
        self._killed(processes, "written committed", 1, new, "new", "when all was exchanged and found to work")

    def _edits(self) -> None:
        """Make config and state something else than in the backup; data and journal have gone on by themselves."""
        places = Places(self.directory)
        for file in (places.settings, places.state / "notes.txt"):
            self.story.typed(f"echo '{_NOTE}' >> {file}")
            with file.open("a") as edited:
                edited.write(f"{_NOTE}\n")

    def _refuses(self) -> None:
        self.story.chapter("The service is stopped, and a backup damaged: one bit of its database")
        newest = sorted(path.name for path in Places(self.directory).backups.glob("2*"))[-1]
        before = contents_of(Places(self.directory))
        file = Places(self.directory).backups / newest / "data" / "data" / "requests.sqlite"
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        told = self._restore()
        named = "requests.sqlite" in told.stderr and told.returncode == 1
        self.story.expect("it is refused, and what is damaged is named", named, f"exit code {told.returncode}")
        self.story.expect("nothing was touched", contents_of(Places(self.directory)) == before, "all as it was")
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        self.story.tell("the bit is put right again, for what follows")

    def _killed(
        self, processes: set[psutil.Process], step: str, times: int, new: Contents, expected: str, when: str
    ) -> None:
        places = Places(self.directory)
        self.story.chapter(f"A restore is killed {when}")
        old = contents_of(places)
        told = self._restore("--which", self.backup, killed=(step, times))
        self.story.expect("it is dead in the middle", told.returncode == -9, f"exit code {told.returncode}")
        found = json.loads((places.restores / "restore_journal.json").read_text())["restore"]["standing"]
        mixed = contents_of(places)
        self.story.tell(f"the record of the restore says {found}; on the disk: {mixed.like(old, new)}")
        if expected == "old":
            self.story.expect("a mix is on the disk now", mixed.like(old, new) == _MIX, mixed.like(old, new))
        with running(self.directory, self.patience) as app:
            (said,) = [line for line in app.said.splitlines() if "cut off" in line] or ["it said nothing"]
            self.story.tell(f"the service starts: {said}")
            processes.update(app.family())
            app.wait_for(lambda: app.status()["status"] == "healthy", "a healthy service", WITHIN * self.patience)
        now = contents_of(places).like(old, new)
        wanted = f"config {expected}, data {expected}, state {expected}"
        self.story.expect(f"after the next start all is {expected}, no mix", now == wanted, now)
        left = [path.name for path in [*self.directory.glob(".*.restore-*"), *places.restores.glob("*journal*")]]
        self.story.expect("it works, and nothing is left lying about", not left, left or "healthy")

    def _restore(self, *options: str, killed: tuple[str, int] | None = None) -> subprocess.CompletedProcess[str]:
        options = ("--state-dir", str(self.directory), *options)
        self.story.typed(f"python -m examples.reference_app.restore {' '.join(options)}")
        how = ("restore",) if killed is None else (killed[0], str(killed[1]), "--")
        module = "examples.reference_app.restore" if killed is None else "examples.demo_restore.killed"
        told = subprocess.run(
            [sys.executable, "-m", module, *(how if killed else ()), *options],
            capture_output=True,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
            timeout=WITHIN * self.patience,
        )
        self.story.shown((told.stdout + told.stderr).strip())
        return told

"""The files of a running service are destroyed; it notices, asks a person, and restores itself under traffic."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import psutil

from examples.demo_restore.clients import Clients, Receipt
from examples.demo_restore.contents import documents_in
from examples.demo_restore.service import WITHIN, running
from examples.reference_app.places import Places
from examples.reference_app.running import Answer, RunningApp
from examples.reference_app.story import Story
from selfheal.clock import SYSTEM_CLOCK

SPEED = 100.0
_ENOUGH = 20
_HALF_AN_HOUR = 1800.0


@attrs.define
class Disaster:
    """The first half: with the service running.

    Args:
        directory: its state directory.
        story: tells it.
        patience: how many times as long is waited.

    Attributes:
        backup: id of the one that was restored.
    """

    directory: Path
    story: Story
    patience: float = 1.0
    backup: str = ""
    _before: set[Receipt] = attrs.Factory(set)
    _lost_at: float = 0.0

    def run(self, processes: set[psutil.Process]) -> None:
        """All of it; the processes that there were are added to ``processes``."""
        # No backup of the night comes between: twelve hours from now.
        night = datetime.datetime.now().astimezone() + datetime.timedelta(hours=12)
        options = ("--backup-at", f"{night:%H:%M}")
        with running(self.directory, self.patience, speed=SPEED, options=options) as app:
            with Clients(app.port) as clients:
                self._works(app, clients)
                self._backs_up(app, clients)
                self._loses(app, clients)
                self._notices(app, clients)
                self._restores(app, clients)
                processes.update(app.family())
            self._counts(clients)
            self._commits(app)

    def _works(self, app: RunningApp, clients: Clients) -> None:
        self.story.chapter("The service works")
        self._wait(app, lambda: len(clients.acknowledged()) >= _ENOUGH, "acknowledged documents")
        pid = int(app.status()["gateway"]["provider"]["pid"])
        self.story.typed(f"kill -KILL {pid}   # its provider: something for its state to tell of")
        os.kill(pid, signal.SIGKILL)
        self._wait(app, lambda: app.status()["gateway"]["provider"]["restarts"] == 1, "the provider restarted")
        self._wait(app, (Places(self.directory).state / "notifications.jsonl").exists, "a notification")
        self.story.tell("healed; people were notified, which is part of its state now")
        self.story.tell(f"{len(clients.acknowledged())} documents acknowledged so far")

    def _backs_up(self, app: RunningApp, clients: Clients) -> None:
        self.story.chapter("A backup, while clients post")
        began = SYSTEM_CLOCK.monotonic()
        self._before = clients.acknowledged(until=began)
        made = self._asked(app, "/api/backups", "before the disaster").body
        took = SYSTEM_CLOCK.monotonic() - began
        self.backup = str(made["backup"])
        self.story.expect("a backup was made, and every byte of it read again", made["proven"], f"{took:.2f} s, {made}")
        self._checks_sums()
        errors = {answer: n for answer, n in clients.answers(began).items() if "request log" in answer}
        self.story.expect("no client was turned away for it", not errors, errors or "all got their summary")
        held = documents_in(self._database_of_backup())
        missing = self._before - held
        self.story.expect("all acknowledged before it are in it", not missing, f"{len(self._before)} of {len(held)}")
        self._wait(app, lambda: len(clients.acknowledged(began) - held) >= _ENOUGH, "documents after the backup")

    def _checks_sums(self) -> None:
        path = Places(self.directory).backups / self.backup
        self.story.typed(f"cd {path}; sha256sum -c SHA256SUMS")
        if (command := shutil.which("sha256sum")) is None:
            self.story.shown("there is no sha256sum on this machine")
            return
        told = subprocess.run([command, "-c", "SHA256SUMS"], cwd=path, capture_output=True, text=True, timeout=WITHIN)
        self.story.shown(told.stdout)
        self.story.expect("sha256sum says the same", told.returncode == 0, f"exit code {told.returncode}")

    def _loses(self, app: RunningApp, clients: Clients) -> None:
        places = Places(self.directory)
        self.story.chapter("Somebody destroys config, data and state, while it runs")
        self.story.tell(f"{len(clients.acknowledged())} documents acknowledged so far")
        self.story.typed(f"rm -r {places.settings} {places.data} {places.state}")
        places.settings.unlink()
        shutil.rmtree(places.data)
        shutil.rmtree(places.state)
        self._lost_at = SYSTEM_CLOCK.monotonic()

    def _notices(self, app: RunningApp, clients: Clients) -> None:
        self._wait(app, lambda: clients.posted(self._lost_at), "an answer to a client")
        self._wait(app, lambda: app.status()["strategies"]["approvals"], "a request for approval")
        noticed = SYSTEM_CLOCK.monotonic() - self._lost_at
        status = app.status()
        self.story.typed("curl -s .../api/status | jq '.status, .backups.lost, .strategies.approvals'")
        for shown in (status["status"], status["backups"]["lost"], status["strategies"]["approvals"]):
            self.story.shown(json.dumps(shown))
        lost = str(status["backups"]["lost"])
        names = [name for name in ("config", "data", "state") if f"{name}: " not in lost]
        self.story.expect("it finds out what is lost, and asks a person", not names, f"after {noticed:.1f} s")
        for answer, count in clients.answers(self._lost_at).most_common():
            self.story.tell(f"{count} times: {answer}")
        kept = clients.acknowledged(self._lost_at)
        self.story.expect("nothing is acknowledged that is not kept", not kept, f"{len(kept)} acknowledged meanwhile")
        clear = [one for one in clients.posted(self._lost_at) if one.status == 503 and one.error and one.retry_after]
        all_clear = len(clear) == len(clients.posted(self._lost_at))
        self.story.expect(
            "each client is told why, and when to try again", clear and all_clear, f"{len(clear)} answers"
        )

    def _restores(self, app: RunningApp, clients: Clients) -> None:
        self.story.chapter("A person approves; it restores itself, while clients post")
        (asked,) = app.status()["strategies"]["approvals"]
        approved = SYSTEM_CLOCK.monotonic()
        self._asked(app, f"/api/approvals/{asked['id']}", "rm in the wrong directory")
        self._wait(app, lambda: app.status()["backups"]["restore"]["run"], "the restore")
        self._wait(app, lambda: clients.acknowledged(approved), "an acknowledged document")
        again = min(one.ended for one in clients.posted(approved) if one.status == 200)
        self._wait(app, lambda: not app.status()["backups"]["lost"], "nothing lost any more")
        self._wait(app, lambda: app.status()["status"] == "healthy", "a healthy service")
        self._wait(app, lambda: len(clients.acknowledged(approved)) >= _ENOUGH, "documents after the restore")
        for answer, count in clients.answers(approved).most_common():
            self.story.tell(f"{count} times since the approval: {answer}")
        self._reports()
        taken = again - approved
        self.story.tell(f"TIME TO RESTORE: {taken:.2f} s from the approval to the next acknowledged document")
        self.story.tell(f"the service acknowledged nothing for {again - self._lost_at:.2f} s, since the disaster")
        self.story.expect("restored within half an hour, by far", taken < _HALF_AN_HOUR / 10, f"{taken:.2f} s")

    def _reports(self) -> None:
        report = Places(self.directory).restores / "restore_report_latest.md"
        self.story.tell(f"its report, {report}:")
        self.story.shown(report.read_text())
        told: dict[str, Any] = json.loads(report.with_suffix(".json").read_text())
        outcome = f"{told['outcome']}, its own check {told['probe']}, {told['finished'] - told['started']:.2f} s"
        self.story.expect("restored, and the service says that it works", told["probe"] == "passed", outcome)
        unlike = {section["name"]: section["unlike_backup"] for section in told["sections"] if section["unlike_backup"]}
        self.story.expect("what it says of itself is what it said in the backup", not unlike, unlike or "all alike")
        came_back = {
            section["name"]: len(section["diff"]["added"]) + len(section["diff"]["changed"])
            for section in told["sections"]
        }
        self.story.expect("state compared before and after: each part came back", all(came_back.values()), came_back)

    def _counts(self, clients: Clients) -> None:
        self.story.chapter("What became of the documents")
        held, saved = documents_in(Places(self.directory).requests), documents_in(self._database_of_backup())
        acknowledged = clients.acknowledged()
        in_backup = acknowledged & saved
        lost = acknowledged - held
        after = acknowledged & held - saved
        self.story.tell(
            f"{len(acknowledged)} documents were acknowledged in all, {len(in_backup)} of them are in the backup"
        )
        self.story.expect("zero lost that were in the backup", not in_backup - held, f"{len(in_backup & held)} there")
        self.story.expect("zero lost of those acknowledged before it", not self._before - held, f"{len(self._before)}")
        named = {document for _, document in lost}
        late = [one.document for one in clients.posted(self._lost_at) if one.document in named]
        self.story.tell(
            f"LOST: {len(lost)} that were acknowledged after the backup, and are in no backup: {_some(lost)}"
        )
        honest = lost and not late and not lost & saved
        self.story.expect("lost are those between backup and disaster, and no other", honest, f"{len(lost)} named")
        self.story.expect("those acknowledged after the restore are there", after, f"{len(after)}")

    def _commits(self, app: RunningApp) -> None:
        kept = [path.name for path in self.directory.glob(".*.restore-*")]
        done = self._asked(app, "/api/restores/commit", "it works").body
        left = [path.name for path in self.directory.glob(".*.restore-*")]
        self.story.expect("what was there before was kept, until a person says it may go", kept and not left, done)

    def _asked(self, app: RunningApp, path: str, reason: str) -> Answer:
        self.story.typed(f"""curl -X POST .../{path.lstrip("/")} -d '{{"reason": "{reason}", "by": "maria"}}'""")
        answer = app.post(path, {"reason": reason, "by": "maria"})
        self.story.shown(json.dumps(answer.body))
        return answer

    def _wait(self, app: RunningApp, condition: Any, what: str) -> None:
        app.wait_for(condition, what, WITHIN * self.patience)

    def _database_of_backup(self) -> Path:
        return Places(self.directory).backups / self.backup / "data" / "data" / "requests.sqlite"


def _some(receipts: Iterable[Receipt]) -> str:
    names = [f"no. {id} ({name})" for id, name in sorted(receipts)]
    return ", ".join(names if len(names) < 5 else [*names[:2], "…", names[-1]])

"""What a person asks of backups over HTTP: with the token, with a reason, and told who did what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.reference_app.backups import Backups
from examples.reference_app.desk import Desk
from examples.reference_app.healing import FIRST_THE_FILES, RESTORE
from examples.reference_app.losses import FILES_LOST
from examples.reference_app.places import Places
from examples.reference_app.request_log import Entry, RequestLog, look_into
from selfheal.events import ActionAudited, Alert, EventBus
from selfheal.healing import Outcome, StrategyEngine
from selfheal.healing.engine import Policies
from selfheal.healing.strategies import StrategySet
from selfheal.integrations.messages import Request, Response
from selfheal.levers import Levers
from selfheal.policies.inhibition import Inhibition
from selfheal.policies.protection import Protection
from selfheal.status import StatusReport, Steering

TOKEN = "a token of more than sixteen".replace(" ", "-")


class Service:
    """The parts of the app that the desk needs; no process."""

    def __init__(self, root: Path) -> None:
        self.places = Places(root)
        self.places.make()
        self.places.settings.write_text("A=1\n")
        self.places.journal.write_text("{}\n")
        self.events = EventBus()
        self.audited: list[ActionAudited] = []
        self.events.subscribe(self.audited.append, ActionAudited, inline=True)
        self.requests = RequestLog(self.places.requests)
        self.backups = Backups(self.places, self.requests, events=self.events)
        self.engine = StrategyEngine(
            StrategySet([RESTORE]),
            levers=Levers(backups=self.backups.control),
            policies=Policies(
                protection=Protection(allowed=("files",)), inhibition=Inhibition(rules=(FIRST_THE_FILES,))
            ),
            events=self.events,
        )
        self.desk = Desk(
            StatusReport(healer=self.engine.healer),
            Steering(healer=self.engine.healer, events=self.events),
            backups=self.backups,
            engine=self.engine,
            events=self.events,
            token=TOKEN,
        )

    def post(self, path: str, *, token: str = TOKEN, query: str = "", **fields: str) -> Response:
        """Ask the desk, with a reason if none is given."""
        body = json.dumps({"reason": "rm", "by": "maria", **fields}).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        return self.desk.dispatch(Request(method="POST", path=path, query=query, headers=headers, body=body))

    def add(self, document: str) -> int:
        return self.requests.add(
            Entry(at=1.0, document=document, size=1, outcome="ok", provider="upstream", error="", duration_ms=1.0)
        )

    def close(self) -> None:
        self.engine.close()
        self.backups.tasks.shutdown(timeout=10)
        self.requests.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "app")
    yield made
    made.close()


def test_a_backup_now(service: Service) -> None:
    """Made, proven, and who asked for it is told."""
    answer = service.post("/api/backups")

    assert answer.status == 200
    told = answer.json()
    assert (told["proven"], told["files"], told["errors"]) == (True, 3, [])
    assert service.backups.store.names() == [told["backup"]]
    (audited,) = service.audited
    assert (audited.who, audited.what, audited.reason) == ("maria", "/api/backups", "rm")


def test_what_a_person_let_go_of_is_no_loss(service: Service) -> None:
    """A backup without it is made only on purpose; from then on it is not missed."""
    notes = service.places.state / "notes.txt"
    notes.write_text("a case that is closed")
    service.post("/api/backups")
    notes.unlink()
    lost = service.backups.losses.look()

    refused = service.post("/api/backups").json()
    made = service.post("/api/backups", query="as_it_is=true").json()

    assert lost == "state: nothing is left of state"
    assert refused["backup"] is None
    assert "state is not whole" in refused["errors"][0]
    assert made["proven"]
    assert service.backups.losses.open == ""


@pytest.mark.parametrize(
    "path", ["/api/backups", "/api/approvals/x", "/api/restores", "/api/restores/commit", "/api/restores/rollback"]
)
def test_nothing_without_the_token_and_a_reason(service: Service, path: str) -> None:
    """Refused before anything is looked at."""
    assert service.post(path, token="another-token-of-16").status == 401
    assert service.post(path, reason=" ").status in (400, 422)
    assert service.audited == []
    assert not service.backups.store.directory.exists()


def test_what_cannot_be_is_refused_with_why(service: Service) -> None:
    """No backup of that name, nothing kept, nobody asked: an answer and no traceback."""
    service.post("/api/backups")

    assert service.post("/api/restores", query="which=20200101T000000Z").status == 404
    assert service.post("/api/restores/commit").status == 409
    assert service.post("/api/restores/rollback").status == 409
    assert service.post("/api/approvals/nobody").status == 404


def test_other_calls_are_selfheals_own(service: Service) -> None:
    """The status and the steering calls answer as ever; what is posted is not to be got."""
    assert service.desk.dispatch(Request(path="/healthz")).status == 200
    assert service.desk.dispatch(Request(path="/api/backups")).status == 404
    assert service.post("/api/system/heal/resume").status == 200


def test_a_person_puts_a_backup_back_whatever_healing_may_do(service: Service) -> None:
    """Without an alert or an approval, and kept until the person says so; or another backup than the newest."""
    first = service.post("/api/backups").json()["backup"]
    service.add("a")
    service.backups.store.create()  # by itself: that of a night would take the place of the first, of the same day
    service.add("b")

    newest = service.post("/api/restores").json()
    held = look_into(service.places.requests)["documents"]
    taken_back = service.post("/api/restores/rollback").json()
    older = service.post("/api/restores", query=f"which={first}").json()
    committed = service.post("/api/restores/commit").json()

    assert (newest["outcome"], newest["sections"], held) == ("kept", ["config", "data", "state"], 1)
    assert taken_back["outcome"] == "rolled_back"
    assert (older["outcome"], older["backup"], committed["outcome"]) == ("kept", first, "restored")
    assert look_into(service.places.requests)["documents"] == 0


def test_lost_files_wait_for_a_person_and_are_restored_then(service: Service) -> None:
    """Nothing is moved before the approval."""
    service.add("a")
    service.post("/api/backups")
    service.places.settings.unlink()
    alert = Alert(at=1.0, kind=FILES_LOST, target="files", message="lost: config: .env.local is gone")
    service.engine.submit(alert)

    service.engine.run_once()
    (asked,) = service.engine.snapshot().approvals
    before = service.places.settings.exists()
    service.post(f"/api/approvals/{asked.id}")
    service.engine.submit(alert)
    service.engine.run_once()

    assert (asked.strategy, asked.level) == ("restore", "critical")
    assert not before
    assert service.places.settings.read_text() == "A=1\n"
    assert service.backups.section()["restore"]["run"]
    assert [record.outcome for record in service.engine.healer.history][-1] is Outcome.HEALED


@pytest.mark.parametrize(
    ("kind", "held_back"), [("no_active_keys", True), ("backup_failed", True), ("process_dead", False)]
)
def test_what_comes_of_lost_files_waits_for_them(kind: str, held_back: bool) -> None:
    """Without keys no healing helps, and each that fails is a step to dormancy; a dead process is another matter."""
    lost = Alert(at=1.0, kind=FILES_LOST, target="files")
    consequence = Alert(at=1.0, kind=kind, target="anything")

    assert FIRST_THE_FILES.inhibits(lost, consequence) is held_back


def test_a_damaged_backup_is_not_put_back(service: Service) -> None:
    """It is read before anything is moved, and the healing says what is wrong with it."""
    service.add("a")
    made = service.post("/api/backups").json()["backup"]
    copy = service.backups.store.path(made) / "data" / "config" / ".env.local"
    copy.write_text("A=2\n")
    service.places.settings.unlink()
    alert = Alert(at=1.0, kind=FILES_LOST, target="files", message="lost: config: .env.local is gone")
    service.engine.submit(alert)
    service.engine.run_once()
    (asked,) = service.engine.snapshot().approvals
    service.post(f"/api/approvals/{asked.id}")
    service.engine.submit(alert)
    service.engine.run_once()

    record = service.engine.healer.history[-1]
    assert record.outcome is Outcome.FAILED
    assert "config/.env.local corrupt" in str(record.error or record.reason)
    assert not service.places.settings.exists()


def test_a_fault_of_the_desk_is_an_answer(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client gets a 500 without what is inside; the log has the rest."""

    def broken(**options: bool) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr(service.backups, "now", broken)

    answer = service.post("/api/backups")

    assert answer.status == 500
    assert b"inside" not in answer.body

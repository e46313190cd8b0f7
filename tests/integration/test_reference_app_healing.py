"""The reference app healed by strategies: what is measured, done, verified, undone and written down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from examples.reference_app.drills import VARIABLE
from examples.reference_app.faults import OPTIONS
from examples.reference_app.healing import JOURNAL
from examples.reference_app.running import RunningApp
from examples.reference_app.traffic import Traffic
from selfheal.journal import Entry, read_journal

Start = Callable[..., RunningApp]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[RunningApp] = []

    def begin(*options: str, speed: float = 100.0) -> RunningApp:
        app = RunningApp(tmp_path / "state", speed=speed, options=(*OPTIONS, *options), environ={VARIABLE: "1"})
        made.append(app)
        app.start()
        return app

    yield begin
    for app in made:
        app.close()


def entries(app: RunningApp, *types: str, strategy: str | None = None) -> list[Entry]:
    return list(read_journal(app.state_dir / JOURNAL, types=types or None, strategy=strategy))


def ended(app: RunningApp, strategy: str) -> Entry:
    """Send documents until a healing by a strategy has ended; its last entry."""
    traffic, found = Traffic(app.port), list[Entry]()

    def look() -> bool:
        traffic.send(2)
        found[:] = entries(app, "healing_finished", strategy=strategy)
        return bool(found)

    app.wait_for(look, f"the end of a healing by {strategy}")
    return found[0]


def test_a_flaky_provider_is_left_for_the_workers_and_used_again(start: Start) -> None:
    """Verified by measurements newer than the switch; the command shows it; probes bring the provider back."""
    app = start()
    app.fault("flaky")

    healed = ended(app, "low-success-rate")

    assert (healed.fields["outcome"], healed.fields["success"]) == ("healed", True)
    assert [one["action"] for one in healed.fields["actions"]] == ["fallback_llm"]
    (verified,) = [e for e in entries(app, "verified") if e.fields["run"] == healed.fields["run"]]
    assert verified.fields["verdict"] == "fixed"
    assert verified.fields["before"] < 0.9 <= verified.fields["after"]
    (done,) = [e for e in entries(app, "action_done") if e.fields["run"] == healed.fields["run"]]
    assert done.fields["receipt"]["active"] == "local"  # by now probes may have brought the provider back
    command = [sys.executable, "-m", "selfheal", "journal", str(app.state_dir / JOURNAL)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "low-success-rate  provider  success_rate" in shown
    app.fault("none")
    app.wait_for(lambda: app.status()["fallback"]["active"] == "upstream", "the provider in use again")


def test_a_dry_run_decides_and_touches_nothing(start: Start) -> None:
    """The same fault, and a provider that is killed: both planned, neither is acted upon."""
    app = start("--dry-run")
    app.fault("flaky")

    planned = ended(app, "low-success-rate")
    pid = app.status()["gateway"]["provider"]["pid"]
    os.kill(pid, signal.SIGKILL)
    repair = ended(app, "repair")

    assert [one.fields["outcome"] for one in (planned, repair)] == ["planned", "planned"]
    assert [one.fields["dry_run"] for one in (planned, repair)] == [True, True]
    assert not entries(app, "action_done")
    shown = app.status()
    assert shown["strategies"]["mode"] == "dry_run"
    assert shown["fallback"]["active"] != "local" or "low-success-rate" not in shown["fallback"]["reason"]
    assert shown["gateway"]["provider"]["running"] is False


def test_switched_off_nothing_is_healed(start: Start) -> None:
    """With the flag off a flaky provider is measured, and the refusal written down with its guard."""
    app = start()
    with (app.state_dir / ".env.local").open("a") as settings:
        settings.write("FEATURE_AUTO_HEALING_ENABLED=false\n")
    app.fault("flaky")
    traffic = Traffic(app.port)

    def measured() -> bool:
        traffic.send(2)
        rate = app.status()["measured"].get("success_rate of provider")
        return rate is not None and rate < 0.9

    def refused() -> bool:
        traffic.send(2)
        return bool(entries(app, "healing_refused"))

    app.wait_for(measured, "a low success rate")
    app.wait_for(refused, "the refusal")  # of whichever alert comes first: the others are not even asked for

    assert {entry.fields["guard"] for entry in entries(app, "healing_refused")} == {"flags"}
    assert not entries(app, "healing_started")


def test_the_journal_goes_on_after_an_end(start: Start) -> None:
    """Stopped, it says so; killed, it does not; the numbers go on, and what was healed is still there."""
    app = start()
    os.kill(app.status()["gateway"]["provider"]["pid"], signal.SIGKILL)
    ended(app, "repair")
    app.end()
    app.start()
    app.end(signal.SIGKILL)
    app.start()
    app.wait_for(lambda: app.status()["strategies"]["recovered"], "the journal read")

    told = entries(app)
    kinds = [entry.type for entry in told]
    assert kinds.count("journal_opened") == 3
    assert kinds.count("clean_stop") == 1
    assert [entry.seq for entry in told] == sorted({entry.seq for entry in told})
    assert entries(app, "healing_finished", strategy="repair")[0].fields["outcome"] == "healed"
    assert app.status()["strategies"]["held"] == []

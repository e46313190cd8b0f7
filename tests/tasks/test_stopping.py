"""The last entry of a journal: that its tasks were stopped, and what still ran."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from selfheal.clock import SYSTEM_CLOCK
from selfheal.errors import JournalError
from selfheal.journal import Journal, read_journal
from selfheal.tasks import TaskRegistry
from selfheal.testing import FakeClock


def types_and_reasons(path: Path) -> list[tuple[str, object]]:
    return [(entry.type, entry.fields.get("reason")) for entry in read_journal(path)]


def test_a_shutdown_ends_the_journal_with_a_clean_stop(tmp_path: Path) -> None:
    """After everything has ended, the journal says what was stopped, ends clean, and is free for the next process."""
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    registry = TaskRegistry(clock=FakeClock(), start=False, journal=journal)
    registry.register_interval("poll", lambda: None, every=10)
    registry.shutdown()
    registry.shutdown()
    written = list(read_journal(path))
    assert [entry.type for entry in written[-2:]] == ["tasks_stopped", "clean_stop"]
    assert written[-2].fields["still_running"] == []
    assert written[-1].fields["reason"] == "tasks stopped"
    assert not journal.writing
    with Journal(path) as following:
        assert following.writing


def test_the_clean_stop_names_what_still_runs(tmp_path: Path) -> None:
    """A run that cannot be ended in time is named in the last entries, for whoever looks in the morning."""
    path = tmp_path / "journal.jsonl"
    begun, end = threading.Event(), threading.Event()

    def stuck() -> None:
        begun.set()
        end.wait(90)

    registry = TaskRegistry(journal=Journal(path))
    try:
        registry.register_once("stuck", stuck)
        assert begun.wait(60)
        assert registry.shutdown(timeout=0.05).still_running == ("stuck",)
    finally:
        end.set()
    assert types_and_reasons(path)[-2:] == [
        ("tasks_stopped", None),
        ("clean_stop", "tasks stopped; still running: stuck"),
    ]


def test_an_observed_journal_is_let_go_of_without_an_entry(tmp_path: Path) -> None:
    """A process that only looks on writes nothing at its end, and leaves the writer alone."""
    path = tmp_path / "journal.jsonl"
    with Journal(path) as writer:
        before = types_and_reasons(path)
        TaskRegistry(clock=FakeClock(), start=False, journal=Journal(path)).shutdown()
        assert types_and_reasons(path) == before
        assert writer.writing


def test_a_journal_that_fails_holds_up_no_shutdown(caplog: pytest.LogCaptureFixture) -> None:
    """Where the last entry cannot be written it is logged, and the shutdown comes to its end in time."""

    class Full:
        writing = True

        def append(self, type: str, /, *, sync: bool = False, **fields: object) -> object:
            raise JournalError("journal.jsonl", "the disk is full")

        def close(self, reason: str = "") -> None:
            raise AssertionError("not reached")

    registry = TaskRegistry(clock=FakeClock(), start=False, journal=Full())
    began = SYSTEM_CLOCK.monotonic()
    with caplog.at_level(logging.ERROR, "selfheal.tasks"):
        assert registry.shutdown(timeout=600.0).still_running == ()
    assert SYSTEM_CLOCK.monotonic() - began < 100
    assert "the disk is full" in caplog.text

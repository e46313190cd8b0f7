"""The status as Markdown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfheal.events import EventBus
from selfheal.policies.dormancy import DormantController
from selfheal.status.markdown import as_markdown
from selfheal.status.report import StatusReport
from selfheal.testing import FakeClock
from tests.status.records import a_breaker, a_registry, a_task
from tests.status.test_report import Breakers, Tasks


def _report(**parts: Any) -> StatusReport:
    parts.setdefault("breakers", Breakers())
    parts.setdefault("clock", FakeClock())
    return StatusReport(section_timeout=None, **parts)


def test_a_healthy_report_is_short() -> None:
    """When nothing is the matter the page says so at once and recommends nothing."""
    text = _report().as_markdown()

    assert text.startswith("# ✅ Status: HEALTHY\n")
    assert "Nothing is the matter." in text
    assert "What to do" not in text
    assert "Dormant" not in text


def test_what_to_do_stands_before_the_tables() -> None:
    """At 3 a.m. the first screen has the issue, the call to make, and why it is dormant."""
    clock = FakeClock()
    dormancy = DormantController(clock=clock, events=EventBus())
    dormancy.enter("no active api keys", "automatic", ["an API key is active"])
    clock.advance(320)
    text = _report(clock=clock, dormancy=dormancy, base_url="http://localhost:3001").as_markdown()

    order = [text.index(part) for part in ("CRITICAL: self-healing", "## What to do", "## Dormant", "## Self-healing")]
    assert order == sorted(order)
    assert text.startswith("# 🛑 Status: CRITICAL\n")
    assert "| since | 2023-11-14T22:13:20.000Z (5 min 20 s ago) |" in text
    assert "| resume when | an API key is active |" in text
    assert "\n    curl -X POST http://localhost:3001/api/system/heal/resume" in text


def test_breakers_and_tasks_are_tables() -> None:
    """Each breaker and each task is one row, with durations as people say them."""
    breakers = Breakers(
        a_breaker("db", "OPEN", failure_count=3, last_failure_ago=1.5, retry_after=58.0, reason="3 failures")
    )
    tasks = Tasks(a_registry(a_task("detect", execution_count=2, last_duration=0.05, next_in=300.0)))
    text = _report(breakers=breakers, tasks=tasks).as_markdown()

    assert "| db | OPEN | 3 | 1.5 s ago | 58 s | 3 failures |" in text
    assert "| detect | interval | on | 2 | 0 | 0.05 s | 5 min |  |" in text
    assert "1 registered, 1 active." in text


def test_host_sections_are_nested_lists() -> None:
    """A host's section reads as a list, one level a key."""
    text = _report(
        sections={"llm": lambda: {"keys": {"total": 3, "ok": True}, "seen": ["a", []], "none": None}}
    ).as_markdown()

    assert "## llm\n\n- keys:\n  - total: 3\n  - ok: yes\n- seen:\n  - 1. a\n  - 2. -\n- none: -\n" in text


@pytest.mark.parametrize("text", ["a|b", "a\nb", "# heading", "<img src=x>", "[x](javascript:alert)", "`code`", "\\|"])
def test_texts_cannot_break_out_of_their_cell(text: str) -> None:
    """An error message with markup in it stays one cell of one row."""
    shown = _report(breakers=Breakers(a_breaker("db", "OPEN", reason=text))).as_markdown()
    (row,) = [line for line in shown.splitlines() if line.startswith("| db ")]

    assert row.replace("\\\\", "").replace("\\|", "").count("|") == 7
    assert "<img" not in shown
    assert "](" not in shown


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_leaves_the_layout_whole(reason: str, error: str) -> None:
    """Whatever a reason or an error says, the headings and the number of rows stay the same."""
    report = _report(
        breakers=Breakers(a_breaker("db", "OPEN", reason=reason)),
        tasks=Tasks(a_registry(a_task("t", consecutive_failures=1, last_error=error))),
    )
    plain = _report(
        breakers=Breakers(a_breaker("db", "OPEN")), tasks=Tasks(a_registry(a_task("t", consecutive_failures=1)))
    )

    def headings(text: str) -> list[str]:
        return [line for line in text.split("\n") if line.startswith(("#", "- ", "|"))]

    assert [line[:6] for line in headings(report.as_markdown())] == [line[:6] for line in headings(plain.as_markdown())]


def test_it_is_made_from_the_dict_alone() -> None:
    """Rendering a report that was read back from JSON gives the same page."""
    import json

    report = _report(tasks=Tasks(a_registry(a_task())), sections={"host": lambda: {"a": 1}})

    assert as_markdown(json.loads(report.as_json())) == report.as_markdown()

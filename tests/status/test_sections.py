"""Sections of the host."""

from __future__ import annotations

import contextvars
import threading
import time
from typing import Any

import pytest

from selfheal.errors import ConfigError
from selfheal.status.sections import HostSections


def _asked(section: Any, timeout: float | None = 2.0) -> Any:
    sections = HostSections(timeout)
    sections.add("llm", section, ())
    return sections.ask()["llm"]


@pytest.mark.parametrize("timeout", [None, 2.0])
def test_a_section_shows_what_it_returns(timeout: float | None) -> None:
    """A section that answers is shown and raises no issue."""
    answer = _asked(lambda: {"totalKeys": 3}, timeout)

    assert answer.shown == {"totalKeys": 3}
    assert answer.finding is None


@pytest.mark.parametrize("timeout", [None, 2.0])
def test_a_section_that_raises_is_an_issue_without_its_text(
    timeout: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    """The status names the error, while its text, which may hold a secret, goes to the log alone."""

    def section() -> dict[str, Any]:
        raise ConnectionError("postgres://app:hunter2@db refused")

    answer = _asked(section, timeout)

    assert "raised ConnectionError" in answer.shown["error"]
    assert "hunter2" not in str(answer)
    assert answer.finding.issue == answer.shown["error"]
    assert "section 'llm' raised" in caplog.text


@pytest.mark.parametrize("value", [None, "text", [("a", 1)], object()])
def test_a_section_that_returns_no_mapping_is_an_issue(value: Any) -> None:
    """What is no mapping is refused with its type named."""
    assert f"this one a {type(value).__name__}" in _asked(lambda: value).shown["error"]


def test_a_section_that_returns_the_unshowable_is_an_issue() -> None:
    """An object inside a section is named by its place."""
    assert "llm.client: a object cannot be shown" in _asked(lambda: {"client": object()}).shown["error"]


def test_a_late_section_is_given_up_and_not_asked_twice() -> None:
    """A hanging section costs its timeout once, and polling does not pile up threads."""
    go, asked = threading.Event(), []

    def section() -> dict[str, Any]:
        asked.append(1)
        go.wait(60)
        return {"ok": True}

    sections = HostSections(0.05)
    sections.add("llm", section, ())

    try:
        assert "no answer within 0.05 s" in sections.ask()["llm"].shown["error"]
        assert "still busy" in sections.ask()["llm"].shown["error"]
        assert len(asked) == 1
    finally:
        go.set()
    for thread in threading.enumerate():
        if thread.name == "selfheal-status-llm":
            thread.join(60)

    end = time.monotonic() + 60
    while (shown := sections.ask()["llm"].shown) != {"ok": True}:  # a busy machine may take more than the timeout
        assert time.monotonic() < end, shown


def test_a_section_sees_the_callers_context() -> None:
    """Context variables reach a section though it runs in a thread of its own."""
    tenant = contextvars.ContextVar("tenant", default="none")
    tenant.set("acme")

    assert _asked(lambda: {"tenant": tenant.get()}).shown == {"tenant": "acme"}


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "issues"])
def test_a_section_needs_a_free_name(name: str) -> None:
    """A blank name and a name of selfheal's own are refused."""
    with pytest.raises(ConfigError, match="sections name"):
        HostSections(None).add(name, dict, ("issues",))


def test_a_section_must_be_callable() -> None:
    """A mapping given in place of a callable is refused by name."""
    with pytest.raises(ConfigError, match="'llm'"):
        HostSections(None).add("llm", {}, ())  # type: ignore[arg-type]

"""Sections that the host adds to the status: asked with a deadline, and never able to break it."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

import attrs

from selfheal.errors import ConfigError
from selfheal.plain import NotPlainError, plain
from selfheal.status.judge import Finding, Level

logger = logging.getLogger("selfheal.status")

Section = Callable[[], Mapping[str, Any]]


@attrs.frozen
class Answer:
    """What became of asking one section.

    Args:
        shown: what stands in the status under its name.
        finding: what a person should know when it did not answer; else ``None``.
    """

    shown: Any
    finding: Finding | None = None


class HostSections:
    """The host's sections, by name.

    A section that raises, answers late or returns what JSON cannot hold shows ``{"error": …}`` and an issue.
    While one is late it is not asked again, so that polling cannot pile up threads.

    Args:
        timeout: seconds of real time each section gets; ``None`` asks in the caller's own thread, without
            a deadline.
    """

    def __init__(self, timeout: float | None) -> None:
        self._timeout = timeout
        self._sections: dict[str, Section] = {}
        self._asking: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    def add(self, name: str, section: Section, reserved: Collection[str]) -> None:
        """Show what ``section()`` returns under ``name``; a section of that name is replaced.

        Raises:
            ConfigError: if the name is taken by selfheal itself, or ``section`` cannot be called.
        """
        if not name.strip() or not name.isprintable() or name in reserved:
            accepted = f"text that is not blank and none of {', '.join(sorted(reserved))}"
            raise ConfigError("StatusReport.sections name", name, accepted)
        if not callable(section):
            raise ConfigError(f"StatusReport.sections[{name!r}]", section, "a callable that returns a mapping")
        with self._lock:
            self._sections = {**self._sections, name: section}

    def ask(self) -> dict[str, Answer]:
        """Ask all sections, in the order in which they were added. Never raises."""
        return {name: self._ask(name, section) for name, section in self._sections.items()}

    def _ask(self, name: str, section: Section) -> Answer:
        if self._timeout is None:
            return _answer(name, section)
        box: list[Answer] = []
        context = contextvars.copy_context()

        def ask() -> None:
            box.append(context.run(_answer, name, section))

        asking = threading.Thread(target=ask, name=f"selfheal-status-{name}", daemon=True)
        with self._lock:
            late = self._asking.get(name)
            if late is not None and (late.is_alive() or late.ident is None):
                return _silent(name, "is still busy with an earlier question")
            self._asking[name] = asking
        try:
            asking.start()
        except RuntimeError:  # no thread can be had: at exit, or the machine is out of them
            del self._asking[name]
            return _silent(name, "was not asked: no thread could be started")
        asking.join(self._timeout)
        return box[0] if box else _silent(name, f"gave no answer within {self._timeout:g} s")


def _answer(name: str, section: Section) -> Answer:
    try:
        value = section()
        if not isinstance(value, Mapping):
            raise NotPlainError(f"{name}: a section returns a mapping, this one a {type(value).__name__}")
        return Answer(plain(value, name))
    except NotPlainError as problem:
        return _silent(name, f"cannot be shown: {problem}")
    except Exception as error:
        # The text of a foreign exception may hold anything, a key included: it goes to the host's log alone.
        logger.warning("status section %r raised", name, exc_info=True)
        return _silent(name, f"raised {type(error).__name__}; the log of selfheal.status has the traceback")


def _silent(name: str, what: str) -> Answer:
    told = f"Status section {name!r} {what}."
    return Answer({"error": told}, Finding(level=Level.WARNING, issue=told))

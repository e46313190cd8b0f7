"""Summary tasks with faults built in, for workers: one that leaks, and a module that cannot be started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from examples.reference_app.summary_task import summarise
from selfheal.clock import SYSTEM_CLOCK

LICENCE = "DEMO_LICENCE_FILE"
"""Names the file without which a worker that needs a licence exits at once."""
LEAK = 8 * 1024 * 1024
"""Bytes that the leaking task never gives back, each time."""

_kept: list[bytearray] = []


def leaking(task: dict[str, Any]) -> dict[str, str]:
    """A summary, after which some memory is never given back: a cache that forgets nothing."""
    _kept.append(bytearray(os.urandom(4096)) * (LEAK // 4096))
    return summarise(task)


def slow(task: dict[str, Any]) -> dict[str, str]:
    """A summary that takes half a second."""
    SYSTEM_CLOCK.sleep(0.5)
    return summarise(task)


def deadly(task: dict[str, Any]) -> dict[str, str]:
    """A summary, except of a text that ends the process of whoever tries."""
    if task["text"].startswith("poison"):
        os._exit(9)
    return summarise(task)


def licensed(task: dict[str, Any]) -> dict[str, str]:
    """A summary, by a worker that needs a licence."""
    return summarise(task)


if LICENCE in os.environ and not Path(os.environ[LICENCE]).exists():
    os._exit(7)

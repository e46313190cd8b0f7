"""The service that all of this happens to, for as long as a chapter takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from examples.reference_app.running import RunningApp

WITHIN = 60.0
"""Seconds that are waited for anything, where the machine has nothing else to do."""


@contextmanager
def running(
    directory: Path, patience: float, *, speed: float = 1.0, options: tuple[str, ...] = ()
) -> Iterator[RunningApp]:
    """Start it, and end it with the block.

    Args:
        directory: its state directory.
        patience: how many times as long is waited for it.
        speed: how many times faster than by default it goes.
        options: further command line.
    """
    app = RunningApp(directory, speed=speed, options=options)
    try:
        app.start(WITHIN * patience)
        yield app
    finally:
        app.close()

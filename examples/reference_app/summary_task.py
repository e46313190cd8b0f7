"""What a summary worker does with one task. It runs in a process of its own, which loads only this."""

from __future__ import annotations

from typing import Any

from examples.reference_app.drills import Drill
from examples.reference_app.summary import lead

LEAK, LEAK_MOST = 22, 110
"""MiB that a worker under drill keeps of each text, and of all for each time it was struck.

Struck twice it is still below what a worker may hold by default, so that its pool does not replace it by itself.
"""
_MIB = 1024 * 1024

_leak = Drill()
_leak.arm()
_kept: list[bytes] = []


def summarise(task: dict[str, Any]) -> dict[str, str]:
    """The local summary of ``task["text"]``, or why there is none.

    A text that cannot be summarised is an answer, not a failure: to try it again would not help.
    """
    if len(_kept) * LEAK < LEAK_MOST * _leak.struck:
        _kept.append(b"x" * (LEAK * _MIB))
    try:
        return {"summary": lead(task["text"], task["sentences"]).text}
    except ValueError as error:
        return {"refused": str(error)}

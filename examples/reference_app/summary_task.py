"""What a summary worker does with one task. It runs in a process of its own, which loads only this."""

from __future__ import annotations

from typing import Any

from examples.reference_app.summary import lead


def summarise(task: dict[str, Any]) -> dict[str, str]:
    """The local summary of ``task["text"]``, or why there is none.

    A text that cannot be summarised is an answer, not a failure: to try it again would not help.
    """
    try:
        return {"summary": lead(task["text"], task["sentences"]).text}
    except ValueError as error:
        return {"refused": str(error)}

"""What the guards of a healing raise when a person asks them for something."""

from __future__ import annotations

from selfheal.errors.base import SelfhealError


class GuardFullError(SelfhealError):
    """A guard keeps as many as it may. Nothing was added.

    Attributes:
        what: of what (``"silences"``).
        size: how many there are.
        max_size: how many there may be.
    """

    def __init__(self, what: str, size: int, max_size: int) -> None:
        super().__init__(what, size, max_size)
        self.what = what
        self.size = size
        self.max_size = max_size

    def __str__(self) -> str:
        return f"there are {self.size} of at most {self.max_size} {self.what}. End some, or raise the limit."


class ApprovalClosedError(SelfhealError):
    """An approval is not open any more, so nothing can be decided about it.

    Attributes:
        id: which one.
        state: what it is now (``"denied"``, ``"expired"`` ...).
    """

    def __init__(self, id: str, state: str) -> None:
        super().__init__(id, state)
        self.id = id
        self.state = state

    def __str__(self) -> str:
        return f"approval {self.id!r} is {self.state}: nothing was changed. Wait for a new request."

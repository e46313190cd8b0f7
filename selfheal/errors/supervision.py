"""What the supervisor of worker processes raises."""

from __future__ import annotations

from selfheal.errors.base import SelfhealError


class SupervisionError(SelfhealError):
    """Base of the supervisor's errors."""


class ResetNeededError(SupervisionError):
    """A worker that has FAILED is not started again before a person has looked.

    Attributes:
        worker: its name.
        why: why it failed.
    """

    def __init__(self, worker: str, why: str) -> None:
        super().__init__(worker, why)
        self.worker = worker
        self.why = why

    def __str__(self) -> str:
        call = f"reset({self.worker!r}, reason=...)"
        return f"worker {self.worker!r} has FAILED ({self.why}). Fix the cause, then call {call}."


class StateDirTakenError(SupervisionError):
    """Another supervisor is at work in this directory: two of them would start every worker twice.

    Attributes:
        state_dir: the directory.
        holder: process id of the other, or ``None`` where it is not known.
    """

    def __init__(self, state_dir: str, holder: int | None = None) -> None:
        super().__init__(state_dir, holder)
        self.state_dir = state_dir
        self.holder = holder

    def __str__(self) -> str:
        who = "another process" if self.holder is None else f"process {self.holder}"
        return f"{self.state_dir} is held by the supervisor of {who}. End that one, or use another state_dir."


class SupervisorStoppedError(SupervisionError):
    """The supervisor is no longer at work.

    Attributes:
        what: the call that was refused.
        why: why it is not at work.
    """

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what = what
        self.why = why

    def __str__(self) -> str:
        return f"{self.what} refused: {self.why}. Make a new Supervisor."


class WorkerHeldError(SupervisionError):
    """A worker that was stopped by hand is not restarted: whoever stopped it had a reason.

    Attributes:
        worker: its name.
        why: why it was stopped.
    """

    def __init__(self, worker: str, why: str) -> None:
        super().__init__(worker, why)
        self.worker = worker
        self.why = why

    def __str__(self) -> str:
        return f"worker {self.worker!r} was stopped by hand ({self.why}). Only start({self.worker!r}) starts it again."

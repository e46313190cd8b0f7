"""What happened to restores of backups, as frozen records."""

from __future__ import annotations

import attrs

from selfheal.events.records import Event


@attrs.frozen(kw_only=True)
class RestoreStarted(Event):
    """A restore began, or a process found one half done and goes on with it.

    Args:
        backup: id of the backup.
        run: names the restore.
        sections: which are restored, in order.
        targets: what is replaced, in the same order.
        phase: where it begins: ``staging``, or where the one that is gone on with was.
    """

    backup: str
    run: str
    sections: tuple[str, ...]
    targets: tuple[str, ...]
    phase: str


@attrs.frozen(kw_only=True)
class RestoreFinished(Event):
    """A restore came to its end.

    Args:
        backup: id of the backup.
        run: names the restore.
        outcome: ``restored``, ``kept`` (restored, and the previous state is kept), ``rolled_back``, ``discarded``
            or ``stuck``.
        duration: seconds since this process began or took over.
        error: why it failed; empty where it did not.
    """

    backup: str
    run: str
    outcome: str
    duration: float
    error: str = ""


@attrs.frozen(kw_only=True)
class RestoreRolledBack(Event):
    """The previous state of sections was put back.

    Args:
        backup: id of the backup that had been restored.
        run: names the restore.
        sections: which, in the order in which they were put back.
        reason: why.
    """

    backup: str
    run: str
    sections: tuple[str, ...]
    reason: str

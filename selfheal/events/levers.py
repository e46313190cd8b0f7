"""What happened to the levers, as frozen records."""

from __future__ import annotations

import attrs

from selfheal.events.records import Event


@attrs.frozen(kw_only=True)
class LeverMoved(Event):
    """A lever was moved: a rate changed, a cache switched or cleared.

    Args:
        kind: ``rate_limiter`` or ``cache``.
        lever: its name.
        move: what was done (``set_rate``, ``enable``, ``disable``, ``clear``, ``clean_temp``).
        detail: what came of it.
        reason: why, where it was said.
        by: who, where it was said.
    """

    kind: str
    lever: str
    move: str
    detail: str = ""
    reason: str = ""
    by: str = ""


@attrs.frozen(kw_only=True)
class FallbackSwitched(Event):
    """Calls go to another provider from now on.

    Args:
        switch: name of the fallback switch.
        old: provider it left.
        new: provider it took.
        reason: why.
        by: who; empty where it happened by itself.
    """

    switch: str
    old: str
    new: str
    reason: str
    by: str = ""


@attrs.frozen(kw_only=True)
class NotificationFailed(Event):
    """A notifier could not deliver.

    Args:
        notifier: its name.
        title: of the notification.
        error: what went wrong, without secrets.
    """

    notifier: str
    title: str
    error: str

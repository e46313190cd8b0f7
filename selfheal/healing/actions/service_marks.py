"""What a service's status says of its identity and state, whatever kind of object it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal.healing.actions.protocol import Probed

_EXACT = ("started_at", "start_time", "generation")
_GOOD = {"running", "up", "active", "healthy", "ok", "ready"}
_BAD = {"failed", "stopped", "down", "dead", "exited", "fatal", "backoff", "inactive"}
_SLACK = 1.0
"""Seconds by which a start reckoned from an uptime may be off."""


def mark(status: object, wall: float) -> dict[str, Any]:
    """What tells one run of a service from the next, as JSON data; empty where the status tells nothing.

    Args:
        status: an object or mapping with any of ``pid``, ``started_at``, ``start_time``, ``generation``, ``uptime``.
        wall: wall-clock seconds now, from which an uptime is reckoned back.
    """
    found: dict[str, Any] = {}
    for name in ("pid", *_EXACT):
        value = _told(status, name)
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            found[name] = value
    uptime = _told(status, "uptime")
    if isinstance(uptime, int | float) and not isinstance(uptime, bool) and ("pid" in found or uptime > 0):
        found["up_since"] = wall - uptime
    return found


def restarted(before: Mapping[str, Any], now: Mapping[str, Any]) -> Probed:
    """Whether a service is another run now than that of an earlier mark."""
    for name in _EXACT:
        if name in before and name in now:
            return Probed.DONE if before[name] != now[name] else Probed.NOT_DONE
    if "pid" in now and before.get("pid") != now["pid"] and ("pid" in before or "up_since" not in before):
        return Probed.DONE
    if "up_since" in before and "up_since" in now:
        later = now["up_since"] - before["up_since"]
        return Probed.DONE if later > _SLACK else Probed.NOT_DONE if later > -_SLACK else Probed.UNKNOWN
    if "pid" in before and "pid" in now:
        return Probed.NOT_DONE
    return Probed.UNKNOWN


def is_up(status: object) -> bool | None:
    """Whether a status says that the service works: true, false, or not told (yet)."""
    if isinstance(status, bool):
        return status
    state = status if isinstance(status, str) else _told(status, "state")
    if not isinstance(state, str):
        return None
    if state.lower() in _BAD:
        return False
    return True if state.lower() in _GOOD and _told(status, "ready") is not False else None


def _told(status: object, name: str) -> object:
    return status.get(name) if isinstance(status, Mapping) else getattr(status, name, None)


def tells_state(status: object) -> bool:
    """Whether a status says anything of its state."""
    return isinstance(status, bool | str) or isinstance(_told(status, "state"), str)

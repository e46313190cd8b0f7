"""The exact calls a person makes, written out: in Python, over HTTP and for a shell."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from urllib.parse import quote

RESUME_PATH = "/api/system/heal/resume"

_WHAT = "what you fixed"
_WHO = "your name"


def breaker_reset_path(name: str) -> str:
    """Path of the call that resets breaker ``name``."""
    return f"/api/breakers/{quote(name, safe='')}/reset"


def task_path(task_id: str, verb: str) -> str:
    """Path of the call that does ``verb`` (``pause``, ``resume``, ``unregister``) to a task."""
    return f"/api/tasks/{quote(task_id, safe='')}/{verb}"


def resume_call(*, base_url: str = "") -> dict[str, str]:
    """How healing is resumed: ``python``, ``http`` and, when the address is known, ``curl``."""
    python = f'healer.dormancy.resume("{_WHAT}", by="{_WHO}")'
    return _call(python, RESUME_PATH, {"reason": _WHAT, "by": _WHO}, base_url)


def breaker_reset_call(name: str, *, force: bool, base_url: str = "") -> dict[str, str]:
    """How breaker ``name`` is reset, with ``force`` when it is permanently open."""
    forced = "force=True, " if force else ""
    python = f'breakers.get({name!r}).reset({forced}reason="{_WHAT}", by="{_WHO}")'
    body: dict[str, object] = {"reason": _WHAT, "by": _WHO}
    if force:
        body["force"] = True
    return _call(python, breaker_reset_path(name), body, base_url)


def task_call(task_id: str, verb: str, *, base_url: str = "") -> dict[str, str]:
    """How a task is paused, resumed or unregistered."""
    return _call(f"tasks.{verb}({task_id!r})", task_path(task_id, verb), {"reason": _WHAT, "by": _WHO}, base_url)


def told(call: Mapping[str, str]) -> str:
    """One call as a piece of a sentence: the Python way, or the HTTP way."""
    return f"{call['python']} or {call['http']}"


def _call(python: str, path: str, body: Mapping[str, object], base_url: str) -> dict[str, str]:
    sent = json.dumps(body)
    url = base_url.rstrip("/") + path
    made = {"python": python, "http": f"POST {url} {sent}"}
    if base_url:
        made["curl"] = (
            f"curl -X POST {shlex.quote(url)} "
            f'-H "Authorization: Bearer $SELFHEAL_TOKEN" -H "Content-Type: application/json" -d {shlex.quote(sent)}'
        )
    return made

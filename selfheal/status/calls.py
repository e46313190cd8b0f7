"""The exact calls a person makes, written out: in Python, over HTTP and for a shell."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from urllib.parse import quote

import attrs

RESUME_PATH = "/api/system/heal/resume"

_WHAT = "what you fixed"
_WHO = "your name"
_WHY = {"reason": _WHAT, "by": _WHO}


@attrs.frozen(kw_only=True)
class Calls:
    """Writes calls out.

    Each comes as a mapping: ``python``, ``http`` and, when the address is known, ``curl``.

    Args:
        base_url: address of the API; empty shows paths alone.
        healers_breaker: name of the breaker that the healer has for itself; it is reached by the healer.
    """

    base_url: str = ""
    healers_breaker: str | None = None

    def resume(self) -> dict[str, str]:
        """How healing is resumed."""
        return self._call(f'healer.dormancy.resume("{_WHAT}", by="{_WHO}")', RESUME_PATH, _WHY)

    def reset(self, name: str, *, force: bool = False) -> dict[str, str]:
        """How breaker ``name`` is reset, with ``force`` when it is permanently open."""
        breaker = "healer.breaker" if name == self.healers_breaker else f"breakers.get({name!r})"
        python = f'{breaker}.reset({"force=True, " if force else ""}reason="{_WHAT}", by="{_WHO}")'
        path = f"/api/breakers/{quote(name, safe='')}/reset"
        return self._call(python, path, {**_WHY, "force": True} if force else _WHY)

    def task(self, task_id: str, verb: str) -> dict[str, str]:
        """How a task is steered: ``pause``, ``resume`` or ``unregister``."""
        return self._call(f"tasks.{verb}({task_id!r})", f"/api/tasks/{quote(task_id, safe='')}/{verb}", _WHY)

    def _call(self, python: str, path: str, body: Mapping[str, object]) -> dict[str, str]:
        url, sent = self.base_url.rstrip("/") + path, json.dumps(body)
        made = {"python": python, "http": f"POST {url} {sent}"}
        if self.base_url:
            made["curl"] = (
                f"curl -X POST {shlex.quote(url)} "
                f'-H "Authorization: Bearer $SELFHEAL_TOKEN" -H "Content-Type: application/json" -d {shlex.quote(sent)}'
            )
        return made


PLAIN = Calls()
"""Calls without an address."""


def told(call: Mapping[str, str]) -> str:
    """One call as a piece of a sentence: the Python way, or the HTTP way."""
    return f"{call['python']} or {call['http']}"

"""Paths: which there are, what they mean, and what may be asked of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from selfheal.integrations.bodies import Field
from selfheal.integrations.messages import RefusedError, Request, Response
from selfheal.status.steering import Caller, Done

Read = Callable[[Request, str], Response]
Act = Callable[[str, Caller, Mapping[str, Any]], Done]

#: A name may hold slashes (they are there once it is percent-decoded), but does not end as a verb's path does.
_NAME = r"(.+?)"
_NO_VERB = r"(?<!/pause)(?<!/resume)(?<!/unregister)"


def _expression(shown: str) -> re.Pattern[str]:
    pieces = [re.escape(piece) for piece in re.split(r"\{\w+\}", shown)]
    return re.compile(_NAME.join(pieces) + (_NO_VERB if shown.endswith("}") else ""), re.DOTALL)


@attrs.frozen(kw_only=True)
class Get:
    """A path that is read.

    Args:
        path: as documented; ``{…}`` stands for a name.
        read: answers; is handed the request and the name.
        rights: ``"none"``, ``"read"`` or ``"write"``.
    """

    path: str
    read: Read
    rights: str = "read"
    matches: re.Pattern[str] = attrs.field(init=False)
    method: str = attrs.field(default="GET", init=False)

    @matches.default
    def _matches(self) -> re.Pattern[str]:
        return _expression(self.path)


@attrs.frozen(kw_only=True)
class Post:
    """A path by which something is changed.

    Args:
        path: as documented; ``{…}`` stands for a name.
        what: what the audit calls it.
        fields: what the body may hold.
        act: does it; is handed the name, the caller and the fields.
        target: what the audit says it is about, where the path has no name.
    """

    path: str
    what: str
    fields: Mapping[str, Field]
    act: Act
    target: str = "all"
    matches: re.Pattern[str] = attrs.field(init=False)
    method: str = attrs.field(default="POST", init=False)

    @matches.default
    def _matches(self) -> re.Pattern[str]:
        return _expression(self.path)


Route = Get | Post


@attrs.frozen
class Found:
    """What a request asks for: the route and the name within its path, or only which methods there are.

    Args:
        route: the route; ``None`` when the request asks which methods the path has.
        name: the name within the path; empty where it has none.
        allowed: the methods of the path, as in an ``Allow`` header.
    """

    route: Route | None
    name: str
    allowed: str


def find(routes: Sequence[Route], request: Request) -> Found:
    """Find what ``request`` asks for. One slash at the end of the path does not matter.

    Raises:
        RefusedError: 404 when there is no such path, 405 when it has no such method.
    """
    path = request.path[:-1] if request.path.endswith("/") else request.path
    matched = {route.method: (route, match) for route in routes if (match := route.matches.fullmatch(path)) is not None}
    if not matched:
        there = [f"{route.method} {route.path}" for route in routes]
        raise RefusedError(404, "no_such_path", "There is nothing at this path.", facts={"known": there})
    allowed = _allowed(matched)
    if request.method == "OPTIONS":
        return Found(None, "", allowed)
    wanted = "GET" if request.method == "HEAD" else request.method
    if wanted not in matched:
        message = f"{request.method[:20]} is not answered at this path."
        raise RefusedError(405, "wrong_method", message, send=allowed, headers=(("Allow", allowed),))
    route, match = matched[wanted]
    return Found(route, match.group(1) if match.groups() else "", allowed)


def _allowed(methods: Iterable[str]) -> str:
    heads = ("HEAD",) if "GET" in methods else ()
    return ", ".join([*sorted({*methods, *heads}), "OPTIONS"])

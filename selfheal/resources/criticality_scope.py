"""The criticality of what is being done now, handed on to everything it calls.

A context variable: it follows ``await`` and tasks made by ``asyncio``. A new thread begins with the default; hand it
on by ``contextvars.copy_context().run``. Over the wire it is the word itself, in a header of your choice.

Source: *Site Reliability Engineering*, "Handling Overload": a request that serves a request has its criticality.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

from selfheal.errors import ConfigError
from selfheal.resources.criticality import Criticality

_current: contextvars.ContextVar[Criticality] = contextvars.ContextVar(
    "selfheal_criticality", default=Criticality.DEFAULT
)
_BY_WORD = {criticality.value: criticality for criticality in Criticality}


def current_criticality() -> Criticality:
    """The criticality of what is being done now; ``DEFAULT`` where nobody said."""
    return _current.get()


def to_criticality(value: object, where: str = "criticality") -> Criticality:
    """Read a criticality from what a host gives; ``None`` stands for the current one.

    Raises:
        ConfigError: if it is none of the three.
    """
    if value is None:
        return _current.get()
    known = _BY_WORD.get(value) if isinstance(value, str) else None
    if known is not None:
        return known
    raise ConfigError(where, value, "one of " + ", ".join(repr(one.value) for one in Criticality), "'default'")


@contextlib.contextmanager
def criticality_scope(criticality: Criticality | str) -> Iterator[Criticality]:
    """Do what is in the block, and all it calls, under a criticality.

    >>> with criticality_scope("sheddable"):
    ...     current_criticality()
    <Criticality.SHEDDABLE: 'sheddable'>

    Raises:
        ConfigError: if it is none of the three.
    """
    token = _current.set(to_criticality(criticality))
    try:
        yield _current.get()
    finally:
        _current.reset(token)

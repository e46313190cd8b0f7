"""What was found, made fit for a message: short, and without asking a stranger's object for anything."""

from __future__ import annotations

MAX_SHOWN = 80
"""Characters of a text that are shown."""


def shown(value: object) -> object:
    """``value`` as a message may hold it.

    Long text is cut, containers and huge integers are described: the ``repr`` of one that is nested a million deep, or
    that holds itself, would fail or take for ever.
    """
    if type(value) is str:
        return value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}… ({len(value)} characters)"
    if value is None or type(value) in (bool, float, Described):
        return value
    if type(value) is int:
        return value if value.bit_length() <= 256 else Described(f"an integer of {value.bit_length()} bits")
    if isinstance(value, dict):
        return Described(f"a table of {len(value)}")
    if isinstance(value, list | tuple):
        return Described(f"a list of {len(value)}")
    return Described(f"a {type(value).__name__[:MAX_SHOWN]}")


class Described(str):
    """Words in place of a value: shown without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

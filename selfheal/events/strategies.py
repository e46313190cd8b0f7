"""What is told about strategy files."""

from __future__ import annotations

import attrs

from selfheal.events.records import Event


@attrs.frozen(kw_only=True)
class StrategiesReloaded(Event):
    """Strategy files changed, and the new strategies hold from now on.

    Args:
        source: the file or directory.
        strategies: how many there are now.
    """

    source: str
    strategies: int


@attrs.frozen(kw_only=True)
class StrategiesRefused(Event):
    """Strategy files changed, and are not accepted: the old strategies stay.

    Args:
        source: the file or directory.
        problem: all that is wrong, in words.
    """

    source: str
    problem: str

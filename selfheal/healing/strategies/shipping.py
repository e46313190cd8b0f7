"""The strategies that ship, as files of the package."""

from __future__ import annotations

from importlib import resources

from selfheal.configuring import parse_bytes
from selfheal.errors import NotFoundError
from selfheal.healing.strategies.sets import StrategySet

NAMES = ("events", "levels", "six")
"""The files there are."""


def shipped(*names: str) -> StrategySet:
    """Strategies that ship with selfheal.

    Args:
        names: ``"six"``: for a service and its workers; ``"events"``: one for each kind of event that selfheal's
            detectors tell of; ``"levels"``: for pressure on CPU and memory. Several are one set; none is ``"six"``.

    Raises:
        NotFoundError: if there is no such file.
    """
    sets = [_shipped(name) for name in names or ("six",)]
    return sets[0].merged(*sets[1:]) if len(sets) > 1 else sets[0]


def _shipped(name: str) -> StrategySet:
    if name not in NAMES:
        raise NotFoundError("file of shipped strategies", name, NAMES)
    file = resources.files(__package__) / "shipped" / f"{name}.json"
    return StrategySet.from_data(parse_bytes(file.read_bytes(), f"{name}.json"), source=f"shipped {name}.json")

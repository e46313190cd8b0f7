"""The reference page tells what the actions declare."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

from selfheal.healing.actions import builtin_actions

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "actions.md"


def test_the_table_shows_what_is_declared() -> None:
    """Each action has one row, with its levers, parameters, effect and repetition."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \| (\w+) \| .+ \| .+ \|$", PAGE.read_text(), re.M)
    shown = {name: (words(levers), words(params), effect, repeat) for name, levers, params, effect, repeat in rows}

    assert shown == {
        action.name: (
            [need.role for need in action.needs],
            [field.name for field in attrs.fields(action.params)],
            action.effect.value + (", destructive" if action.destructive else ""),
            action.repeat.value,
        )
        for action in builtin_actions()
    }
    assert len(rows) == len(shown)


def words(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)

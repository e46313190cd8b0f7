"""``selfheal schema``: what editors complete by."""

from __future__ import annotations

import json

import pytest

from selfheal.cli import main
from selfheal.healing.strategies import strategy_schema


def test_the_schema_of_strategies_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed is the schema of strategy files as JSON, and nothing else."""
    assert main(["schema", "strategies"]) == 0

    assert json.loads(capsys.readouterr().out) == strategy_schema()


def test_an_unknown_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A kind of file that has no schema is a wrong argument, and those that have one are named."""
    assert main(["schema", "recipes"]) == 2

    told = capsys.readouterr()
    assert told.out == ""
    assert "'strategies'" in told.err

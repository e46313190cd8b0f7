"""``selfheal schema``: the JSON Schema of a kind of file, for editors."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add_to(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "schema", help="print the JSON Schema of a kind of file, for editors"
    )
    parser.add_argument("kind", choices=["strategies"], metavar="KIND", help="strategies")
    parser.set_defaults(command=print_schema)


def print_schema(arguments: argparse.Namespace) -> None:
    """Print the schema; ``arguments.kind`` says of which files."""
    from selfheal.healing.strategies import schema_text  # only who asks for it waits for all actions to load

    sys.stdout.write(schema_text())

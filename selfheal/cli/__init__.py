"""The command line, over the public API only: ``selfheal`` or ``python -m selfheal``."""

from selfheal.cli.main import main

__all__ = ["main"]

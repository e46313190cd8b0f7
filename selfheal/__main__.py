"""``python -m selfheal``: the command line."""

from __future__ import annotations

from selfheal.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

"""Strategy files under a fuzzer that is guided by coverage. Not part of ``make test``; runs until it is stopped.

::

    pip install atheris
    python -m tests.fuzz.fuzz_strategies -max_total_time=3600 -timeout=5 /tmp/strategies-found

Any bytes, read as JSON or as TOML, have to become a whole set of strategies, or to be refused by one
``InvalidConfigError`` that can be shown; a refusal takes at most 50 ms of the processor; a set is made of its own data, as
the same.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import atheris

with atheris.instrument_imports():
    from selfheal.errors import InvalidConfigError
    from selfheal.healing.actions import builtin_actions
    from selfheal.healing.strategies import StrategySet
    from selfheal.healing.strategies.checking import Host
    from selfheal.healing.strategies.loading import Content

SOON = 0.05
LARGEST = 65_536
HOST = Host(actions=builtin_actions())
CORPUS = Path(__file__).parent.parent / "healing" / "strategies" / "corpus"
SHIPPED = Path(__file__).parents[2] / "selfheal" / "healing" / "strategies" / "shipped"


def one_input(raw: bytes) -> None:
    """Read it as a file of each kind."""
    for ending in (".json", ".toml"):
        check(raw[:LARGEST], ending)


def check(raw: bytes, ending: str) -> None:
    """A whole set, or a refusal, and that soon."""
    found, took = read(raw, ending)
    if isinstance(found, StrategySet):
        if StrategySet.from_data(json.loads(json.dumps(found.to_data()))) != found:
            raise AssertionError("another set by its data")
        return
    if len(str(found).encode()) > 500_000:
        raise AssertionError("a message without end")
    if took > SOON and min(read(raw, ending)[1] for _ in range(3)) > SOON:
        raise AssertionError(f"took {took:.3f} s to refuse")


def read(raw: bytes, ending: str) -> tuple[StrategySet | InvalidConfigError, float]:
    """What comes of it, and the processor time that it took."""
    content = Content(Path(f"fuzzed{ending}"), "", raw)
    start = time.process_time()
    try:
        found: StrategySet | InvalidConfigError = StrategySet.from_contents((content,), content.path, HOST)
    except InvalidConfigError as error:
        found = error
    return found, time.process_time() - start


def main() -> None:
    """Begin with the corpus that is committed and the files that ship; the fuzzer's own arguments follow."""
    for file in sorted([*CORPUS.iterdir(), *SHIPPED.glob("*.json")]):
        one_input(file.read_bytes())
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""Strategy files under a fuzzer that is guided by coverage. Not part of ``make test``; runs until it is stopped.

::

    pip install atheris
    python -m tests.fuzz.fuzz_strategies -max_total_time=3600 -timeout=5 -len_control=0 /tmp/strategies-found

Any bytes, read as JSON, as TOML, and as directions by which data like that of a strategy is put together, have to
become a whole set of strategies, or to be refused by one ``InvalidConfigError`` that can be shown, in at most 50 ms of
the processor; a set is made of its own data, as the same. A file filled with one strategy up to its bound is no slower.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports():
    from selfheal.errors import InvalidConfigError
    from selfheal.healing.actions import builtin_actions
    from selfheal.healing.strategies import StrategySet
    from selfheal.healing.strategies.checking import Host
    from selfheal.healing.strategies.loading import Content
    from selfheal.healing.strategies.reading import MOST_IN_FILE, MOST_VALUES_IN_FILE
    from selfheal.healing.strategies.shape import measured

SOON = 0.05
SLOWED = float(os.environ.get("FUZZ_SLOWED", "4"))
"""How many times as long the code takes that was changed for the fuzzer to see which way it goes."""
LARGEST = 65_536
HOST = Host(actions=builtin_actions())
CORPUS = Path(__file__).parent.parent / "healing" / "strategies" / "corpus"
SHIPPED = Path(__file__).parents[2] / "selfheal" / "healing" / "strategies" / "shipped"


WORDS = (
    "name description trigger alerts labels targets severity keep_firing_for priority grace_period level levels "
    "actions max_attempts_per_hour settle verify rollback enabled when approval do target levers params timeout "
    "on_failure undo_after by condition samples within tolerance metric op value for clear all any not label equals in "
    "factor version strategies $schema log rate_limit restart_service clear_cache notify soft hard critical warning "
    "abort > 5m a>1 1h30m alert actions x cpu>80"
)
KNOWN = [*WORDS.split(), "", "cpu > 80 for 5m clear 70", "not (a > 1 or label.b == 'c')", "\ud800", "\0", "a" * 300]
NUMBERS = [0, 1, -1, 3, 300, 0.5, 1e308, -0.0, 2**63, 10**400, float("nan"), float("inf"), True, False, None]


def one_input(raw: bytes) -> None:
    """Read it as a file of each kind, and as directions."""
    for ending in (".json", ".toml"):
        check(functools.partial(contents, raw[:LARGEST], ending))
    data = grown(atheris.FuzzedDataProvider(raw), 0)
    check(lambda: StrategySet.from_data(data, actions=HOST.actions))
    strategy = {"name": "a", "alerts": ["x"], "actions": ["log"], **(data if isinstance(data, dict) else {})}
    check(lambda: StrategySet.from_data({"version": 1, "strategies": [strategy, data]}, actions=HOST.actions))
    check(lambda: StrategySet.from_data({"version": 1, "strategies": [strategy]}, actions=HOST.actions))
    filled = {"version": 1, "strategies": [{**strategy, "name": f"s{n}"} for n in range(fitting(strategy))]}
    check(lambda: StrategySet.from_data(filled, actions=HOST.actions))


def fitting(strategy: dict[str, Any]) -> int:
    """How many of a strategy a file may hold."""
    return min(MOST_IN_FILE, MOST_VALUES_IN_FILE // measured({**strategy, "name": "s000"})[0])


def contents(raw: bytes, ending: str) -> StrategySet:
    """The strategies of a file."""
    content = Content(Path(f"fuzzed{ending}"), "", raw)
    return StrategySet.from_contents((content,), content.path, HOST)


def grown(directions: Any, depth: int) -> Any:
    """Data put together by directions: tables of known words, for the most part."""
    kind = directions.ConsumeIntInRange(0, 6 if depth < 12 else 3)
    if kind == 0:
        return directions.PickValueInList(NUMBERS)
    if kind == 1:
        return directions.ConsumeInt(4)
    if kind == 2:
        return directions.ConsumeUnicode(directions.ConsumeIntInRange(0, 20))
    if kind == 3:
        return directions.PickValueInList(KNOWN)
    count = directions.ConsumeIntInRange(0, 8)
    if kind == 4:
        return [grown(directions, depth + 1) for _ in range(count)]
    return {directions.PickValueInList(KNOWN): grown(directions, depth + 1) for _ in range(count)}


def check(load: Callable[[], StrategySet]) -> None:
    """A whole set, or a refusal, and that soon."""
    found, took = outcome(load)
    if took > SOON * SLOWED and min(outcome(load)[1] for _ in range(5)) > SOON * SLOWED:
        raise AssertionError(f"took {took:.3f} s")
    if isinstance(found, StrategySet):
        if len(found) > 2:
            return
        if StrategySet.from_data(json.loads(json.dumps(found.to_data()))) != found:
            raise AssertionError("another set by its data")
        return
    if len(str(found).encode()) > 500_000:
        raise AssertionError("a message without end")


def outcome(load: Callable[[], StrategySet]) -> tuple[StrategySet | InvalidConfigError, float]:
    """What comes of it, and the processor time that it took."""
    start = time.process_time()
    try:
        found: StrategySet | InvalidConfigError = load()
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

"""Conditions under a fuzzer that is guided by coverage. Not part of ``make test``; runs until it is stopped.

::

    pip install atheris
    python -m tests.fuzz.fuzz_conditions -max_total_time=3600 -timeout=5 /tmp/conditions-found

Any text and any JSON has to become a condition or to be refused by a ``ConfigError``, within 50 ms of the processor;
a condition has to be described, and made of its own data, as the same; and to be compiled and watched without a fault.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path

import atheris

with atheris.instrument_imports():
    from selfheal.conditions import (
        All,
        AnyOf,
        Condition,
        ConditionIndex,
        compile_condition,
        condition_from,
        describe,
        metrics_of,
        parse,
        to_data,
    )
    from selfheal.conditions.nodes import parts_of
    from selfheal.errors import ConfigError

SOON = 0.05
CORPUS = Path(__file__).parent.parent / "conditions" / "corpus" / "texts.json"


WORDS = r"""
a b cpu.max and or not in for clear label.z label[ 'x' 'it\'s' ( ) , ] . > >= < <= == != = 1 80 -5 1e3 1e400 5m 1h30m
{"metric":"a", "op":">", "op":"==", "value":1, "value":80} "for":"5m", "for":3, "clear":0, {"label":"z", "equals":"x"}
"in":["x","y"]} {"all":[ {"any":[ {"not": ]} } ] "a>1" "a>1_and_b<2" null true 1e400 NaN
"""
SPOKEN = [word.replace("_", " ") for word in WORDS.split()]


def one_input(raw: bytes) -> None:
    """Read it as text and as JSON; half of the inputs are numbers of words, which get further than letters do."""
    if raw[:1] and raw[0] & 1:
        text = " ".join(SPOKEN[byte % len(SPOKEN)] for byte in raw[1:])
    else:
        text = raw[1:].decode("utf-8", "surrogateescape")  # what is no UTF-8 becomes lone surrogates
    check(text)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return
    check(data)


def check(data: object) -> None:
    """Whatever it is: a condition or a refusal, soon, and the condition is a good one."""
    start = time.process_time()
    try:
        made = condition_from(data)
    except ConfigError as error:
        made = None
        if len(str(error)) > 8000:
            raise AssertionError("a message without end") from error
    took = time.process_time() - start
    if took > SOON and quickest(data) > SOON:
        raise AssertionError(f"took {took:.3f} s")
    if made is not None:
        use(made)


def quickest(data: object) -> float:
    """Processor time of the best of three: one alone may be disturbed by the machine."""
    took = []
    for _ in range(3):
        start = time.process_time()
        with contextlib.suppress(ConfigError):
            condition_from(data)
        took.append(time.process_time() - start)
    return min(took)


def use(condition: Condition) -> None:
    """Write it, read it again, compile it and watch it."""
    if condition_from(json.loads(json.dumps(to_data(condition)))) != condition:
        raise AssertionError("another condition by its data")
    text = describe(condition)
    if len(text) <= 1000 and not has_group_of_one(condition) and parse(text) != condition:
        raise AssertionError("another condition by its text")
    metrics = metrics_of(condition)
    if compile_condition(condition)(dict.fromkeys(metrics, 1.0).get, {}) not in (True, False, None):
        raise AssertionError("an answer that is none")
    if metrics:
        index = ConditionIndex()
        index.add("it", condition)
        for step, metric in enumerate(sorted(metrics) * 2):
            index.observe(metric, float(step), "", 1000.0 + step)
        index.tick(1e9)


def has_group_of_one(condition: Condition) -> bool:
    """Whether it holds what text has no form for."""
    parts = parts_of(condition)
    return (isinstance(condition, All | AnyOf) and len(parts) == 1) or any(map(has_group_of_one, parts))


def main() -> None:
    """Begin with the corpus that is committed; the fuzzer's own arguments follow."""
    for entry in json.loads(CORPUS.read_text()):
        check("".join(part * times for part, times in entry["parts"]))
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

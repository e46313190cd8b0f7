"""Whether a healing helped: judged by measurements newer than its last action. Pure."""

from __future__ import annotations

import enum
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import attrs

from selfheal.conditions import All, AnyOf, Comparison, Condition, Not, compile_condition

Lookup = Callable[[str], float | None]
"""Value of a metric; ``None`` where it is not known."""


class Verdict(enum.StrEnum):
    """What a level brought.

    ``UNKNOWN``: there were not enough measurements newer than the action, which is never taken for success.
    """

    FIXED = "fixed"
    IMPROVED = "improved"
    UNCHANGED = "unchanged"
    WORSE = "worse"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class Judgement:
    """A verdict and what it rests on.

    Args:
        verdict: what it is.
        metric: the metric compared; empty where none was.
        before: its value before the first action of the level; ``None`` if not known.
        after: median of the new measurements; ``None`` if there are too few.
        samples: how many new measurements there were of it; without one, of the metric that has fewest.
        by: what told: condition, alert or actions.
    """

    verdict: Verdict
    metric: str = ""
    before: float | None = None
    after: float | None = None
    samples: int = 0
    by: str = ""


def cleared_condition(condition: Condition) -> Condition:
    """The condition that has to end for the problem to be gone: each threshold is its ``clear``, and nothing waits."""
    if isinstance(condition, Comparison):
        value = condition.value if condition.clear is None else condition.clear
        return attrs.evolve(condition, value=value, clear=None, for_=0.0)
    if isinstance(condition, All | AnyOf):
        return type(condition)(tuple(cleared_condition(part) for part in condition.conditions))
    if isinstance(condition, Not):
        return Not(cleared_condition(condition.condition))
    return condition


def first_comparison(condition: Condition) -> Comparison | None:
    """The leaf that is compared before and after: the first, from left to right."""
    return next(_comparisons(condition), None)


def _comparisons(condition: Condition) -> Iterator[Comparison]:
    if isinstance(condition, Comparison):
        yield condition
    elif isinstance(condition, All | AnyOf):
        for part in condition.conditions:
            yield from _comparisons(part)
    elif isinstance(condition, Not):
        yield from _comparisons(condition.condition)


def judge_samples(
    condition: Condition,
    fresh: Mapping[str, Sequence[float]],
    before: float | None,
    *,
    needed: int,
    tolerance: float,
    labels: Mapping[str, str],
) -> Judgement:
    """Judge by measurements.

    Args:
        condition: what must not hold any more, as :func:`cleared_condition` gives it.
        fresh: metric → values newer than the last action, oldest first, of every metric of the condition.
        before: value of the first comparison's metric before the level.
        needed: values that each metric must have; the median of the last so many is what counts.
        tolerance: share of ``before`` by which it has to move to count as moved.
        labels: of the alert.

    Returns:
        ``FIXED`` if the condition no longer holds. Else, for the first comparison, ``IMPROVED`` if the value moved
        towards its threshold by more than the tolerance, ``WORSE`` if away from it, ``UNCHANGED`` otherwise.
        ``UNKNOWN`` if there are too few values to tell whether it holds.
    """
    medians = {metric: _median(values, needed) for metric, values in fresh.items()}
    leaf = first_comparison(condition)
    metric = "" if leaf is None else leaf.metric
    after = medians.get(metric)
    seen = len(fresh.get(metric, ())) if leaf is not None else min(map(len, fresh.values()), default=0)
    holds = compile_condition(condition)(medians.get, labels)
    verdict = Verdict.UNKNOWN
    if holds is False:
        verdict = Verdict.FIXED
    elif holds is True:
        verdict = Verdict.UNCHANGED if leaf is None else moved(leaf.op, before, after, tolerance)
    return Judgement(verdict=verdict, metric=metric, before=before, after=after, samples=seen, by="condition")


def moved(op: str, before: float | None, after: float | None, tolerance: float) -> Verdict:
    """Which way a value went, seen from a comparison that must end."""
    if before is None or after is None or op not in (">", ">=", "<", "<="):
        return Verdict.UNCHANGED
    change = after - before if op in (">", ">=") else before - after
    if abs(change) <= tolerance * max(abs(before), abs(after)):
        return Verdict.UNCHANGED
    return Verdict.WORSE if change > 0 else Verdict.IMPROVED


def judge_effects(effects: Iterable[bool | None]) -> Judgement:
    """Judge by what the actions say of their own effects.

    One that does not hold is enough for ``UNCHANGED``; with none that is told to hold it is ``UNKNOWN``.
    """
    told = list(effects)
    if any(effect is False for effect in told):
        return Judgement(verdict=Verdict.UNCHANGED, by="actions")
    known = any(told)
    return Judgement(verdict=Verdict.FIXED if known else Verdict.UNKNOWN, by="actions")


def _median(values: Sequence[float], needed: int) -> float | None:
    usable = [value for value in values if math.isfinite(value)]
    return statistics.median(usable[-needed:]) if len(usable) >= needed else None

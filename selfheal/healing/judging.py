"""What the end of a healing means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from selfheal.errors import HealingFailedError
from selfheal.healing.records import GuardName, HealingResult, Outcome
from selfheal.healing.strategy import HealingContext


@attrs.frozen(kw_only=True)
class Judged:
    """How a healing ended.

    Args:
        outcome: healed, failed, interrupted or planned.
        reason: in words.
        guard: what interrupted it.
        error: what went wrong, as the breaker is to see it.
        details: of the result.
    """

    outcome: Outcome
    reason: str = ""
    guard: GuardName | None = None
    error: BaseException | None = None
    details: Mapping[str, Any] = attrs.field(factory=dict)


def judge_result(result: object, context: HealingContext) -> Judged:
    """Judge what a healing returned.

    A healing that was told to stop and returned is interrupted, unless it says in so many words that it
    succeeded: a bare ``return`` is how one stops.
    """
    said = result if isinstance(result, HealingResult) else _said(result)
    if said.success and not (context.told is not None and result is None):
        return Judged(outcome=Outcome.HEALED, reason=said.reason, details=said.details)
    if context.told is not None:
        return _interrupted(context, said.error, said.details)
    if said.interrupted_by is not None:
        return Judged(outcome=Outcome.INTERRUPTED, reason=said.reason, guard=said.interrupted_by, details=said.details)
    if said.planned:
        return Judged(outcome=Outcome.PLANNED, reason=said.reason, details=said.details)
    error = said.error or HealingFailedError(said.reason)
    return Judged(outcome=Outcome.FAILED, reason=said.reason or _text(error), error=error, details=said.details)


def judge_error(error: Exception, context: HealingContext) -> Judged:
    """Judge what a healing raised. Told to stop, it is interrupted whatever it raised; else it failed."""
    if context.told is not None:
        return _interrupted(context, error, {})
    return Judged(outcome=Outcome.FAILED, reason=_text(error), error=error)


def error_text(error: BaseException | None) -> str:
    """An error as text for a record; empty for none."""
    return "" if error is None else _text(error)


def _said(result: object) -> HealingResult:
    if result is None or result is True:
        return HealingResult(success=True)
    if result is False:
        return HealingResult(success=False, reason="the healing returned False")
    return HealingResult(
        success=False,
        reason=f"the healing returned {type(result).__name__}, which is not None, True, False or a HealingResult",
    )


def _interrupted(context: HealingContext, error: BaseException | None, details: Mapping[str, Any]) -> Judged:
    return Judged(
        outcome=Outcome.INTERRUPTED, reason=context.stop_reason, guard=context.told, error=error, details=details
    )


def _text(error: BaseException) -> str:
    try:
        told = str(error)
    except Exception as broken:  # an error that cannot be told must not become another error here
        told = f"(its text cannot be read: {type(broken).__name__})"
    if isinstance(error, HealingFailedError):
        return told or "the healing failed"
    return f"{type(error).__name__}: {told}" if told else type(error).__name__

"""What a circuit breaker can be told, with the defaults that are enough for most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

import attrs

from selfheal.errors import ConfigError
from selfheal.policies.backoff import ExponentialBackoff
from selfheal.policies.breaker.conditions import Condition
from selfheal.validators import a_callable, between

DEFAULT_PERMANENT_ON: tuple[Condition, ...] = ("no active api keys", "unauthorized")
"""Errors that no waiting mends: a person has to put a key in place."""


@attrs.frozen(kw_only=True)
class CountWindow:
    """Judge the last ``size`` calls instead of consecutive failures.

    Args:
        size: calls looked at, newest first.
        minimum_calls: calls that must be in the window before it is judged.
        failure_rate: share of failures, 0 to 1, at or above which the circuit opens.
        slow_call_rate: share of slow calls, 0 to 1, at or above which it opens; ``None``: slowness
            does not open it. Needs ``BreakerConfig.slow_call_duration``.

    Raises:
        ConfigError: if a value is out of range.
    """

    size: int = attrs.field(default=100, validator=between(1, 1_000_000))
    minimum_calls: int = attrs.field(default=20, validator=between(1, 1_000_000))
    failure_rate: float = attrs.field(default=0.5, validator=between(0.000_001, 1.0))
    slow_call_rate: float | None = attrs.field(default=None, validator=between(0.000_001, 1.0, optional=True))

    def __attrs_post_init__(self) -> None:
        if self.minimum_calls > self.size:
            raise ConfigError(
                "CountWindow.minimum_calls", self.minimum_calls, f"at most the window's size ({self.size})", "20"
            )


@attrs.frozen(kw_only=True)
class TimeWindow:
    """Judge the calls of the last ``seconds`` instead of consecutive failures.

    The window moves in steps of ``seconds / buckets``: a call leaves it between ``seconds`` and one
    step less than that after it ended.

    Args:
        seconds: how far back it looks.
        buckets: steps it is divided into; memory is a few numbers a bucket.
        minimum_calls: calls that must be in the window before it is judged.
        failure_rate: share of failures, 0 to 1, at or above which the circuit opens.
        slow_call_rate: share of slow calls, 0 to 1, at or above which it opens; ``None``: slowness
            does not open it. Needs ``BreakerConfig.slow_call_duration``.

    Raises:
        ConfigError: if a value is out of range.
    """

    seconds: float = attrs.field(default=60.0, validator=between(0.001, 86_400.0, "s"))
    buckets: int = attrs.field(default=10, validator=between(1, 3_600))
    minimum_calls: int = attrs.field(default=20, validator=between(1, 1_000_000))
    failure_rate: float = attrs.field(default=0.5, validator=between(0.000_001, 1.0))
    slow_call_rate: float | None = attrs.field(default=None, validator=between(0.000_001, 1.0, optional=True))


def _conditions(value: Any) -> tuple[Condition, ...]:
    """One condition or several, as a tuple."""
    if isinstance(value, str | type) or callable(value):
        return (value,)
    return tuple(value)


def _check_conditions(owner: object, field: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
    for condition in value:
        if not _is_condition(condition):
            accepted = "made of texts, exception types or callables"
            raise ConfigError(f"BreakerConfig.{field.name}", condition, accepted)


def _is_condition(value: object) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, type):
        return issubclass(value, BaseException)
    return callable(value)


def _check_window(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, CountWindow | TimeWindow):
        raise ConfigError("BreakerConfig.window", value, "a CountWindow, a TimeWindow or None", "None")


def _check_backoff(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, ExponentialBackoff):
        raise ConfigError("BreakerConfig.open_backoff", value, "an ExponentialBackoff or None", "None")


def _condition_field(default: tuple[Condition, ...]) -> Any:
    return attrs.field(default=default, converter=_conditions, validator=_check_conditions)


@attrs.frozen(kw_only=True)
class BreakerConfig:
    """When a circuit opens, how it is probed, and what counts.

    A *condition* is a text (found in the message of the error or of one that caused it, in any case), an
    exception type, or a callable that is given the error and answers true or false.

    Args:
        failure_threshold: failures in a row that open the circuit. Not used with a ``window``.
        open_for: seconds to refuse calls before probing.
        open_backoff: seconds to refuse calls grow with each reopening that no success interrupts:
            ``open_backoff.delay(n)`` for the n-th; replaces ``open_for``.
        half_open_probes: calls let through at once while half open.
        success_threshold: probes that must succeed to close the circuit; each failed one reopens it.
        probe_timeout: seconds after which a probe that has not come back gives its place to another;
            what it brings later is not looked at.
        permanent_threshold: failures in a row, probes included, after which only a person closes the
            circuit; ``None``: never by count. With a ``window``, where many calls fail before anything is
            judged, it is openings in a row.
        permanent_on: conditions that open it permanently at once.
        open_on: conditions that open it at once.
        count: conditions an error must meet, at least one, to be a failure.
        ignore: conditions that make an error neither failure nor success. Wins over all others.
        failure_result: given the result of a call, answers whether it is a failure all the same.
        slow_call_duration: seconds above which a call counts as slow; ``None``: calls are not timed.
        retry_after: given the error, answers the seconds that the other side asked us to stay away, or
            ``None``. The circuit stays open for at least that long. By default, what an attribute
            ``retry_after`` (seconds) or a ``Retry-After`` header (seconds or date) on the error or its
            ``response`` says.
        retry_after_cap: seconds that are believed at most.
        window: judge the calls of a window by rate instead of failures in a row.
        fallback: called with the arguments of a refused call in its place; may be async for async
            functions. Failures of calls that were made are raised, never replaced.

    Raises:
        ConfigError: if a value is out of range.

    Source: Nygard, *Release It!*, "Circuit Breaker".
    """

    failure_threshold: int = attrs.field(default=3, validator=between(1, 10_000))
    open_for: float = attrs.field(default=60.0, validator=between(0.0, 86_400.0, "s"))
    open_backoff: ExponentialBackoff | None = attrs.field(default=None, validator=_check_backoff)
    half_open_probes: int = attrs.field(default=1, validator=between(1, 10_000))
    success_threshold: int = attrs.field(default=1, validator=between(1, 10_000))
    probe_timeout: float = attrs.field(default=60.0, validator=between(0.001, 86_400.0, "s"))
    permanent_threshold: int | None = attrs.field(default=10, validator=between(1, 1_000_000, optional=True))
    permanent_on: tuple[Condition, ...] = _condition_field(DEFAULT_PERMANENT_ON)
    open_on: tuple[Condition, ...] = _condition_field(())
    count: tuple[Condition, ...] = _condition_field((Exception,))
    ignore: tuple[Condition, ...] = _condition_field(())
    failure_result: Callable[[Any], object] | None = attrs.field(default=None, validator=a_callable(optional=True))
    slow_call_duration: float | None = attrs.field(default=None, validator=between(0.0, 86_400.0, "s", optional=True))
    retry_after: Callable[[BaseException], float | None] | None = attrs.field(
        default=None, validator=a_callable(optional=True)
    )
    retry_after_cap: float = attrs.field(default=3_600.0, validator=between(0.0, 86_400.0, "s"))
    window: CountWindow | TimeWindow | None = attrs.field(default=None, validator=_check_window)
    fallback: Callable[..., Any] | None = attrs.field(default=None, validator=a_callable(optional=True))

    def __attrs_post_init__(self) -> None:
        wants_slow = self.window is not None and self.window.slow_call_rate is not None
        if wants_slow and self.slow_call_duration is None:
            raise ConfigError(
                "BreakerConfig.slow_call_duration", None, "given in seconds when the window has a slow_call_rate", None
            )


class BreakerOptions(TypedDict, total=False):
    """The fields of :class:`BreakerConfig` as keyword arguments of a breaker."""

    failure_threshold: int
    open_for: float
    open_backoff: ExponentialBackoff | None
    half_open_probes: int
    success_threshold: int
    probe_timeout: float
    permanent_threshold: int | None
    permanent_on: Condition | tuple[Condition, ...]
    open_on: Condition | tuple[Condition, ...]
    count: Condition | tuple[Condition, ...]
    ignore: Condition | tuple[Condition, ...]
    failure_result: Callable[[Any], object] | None
    slow_call_duration: float | None
    retry_after: Callable[[BaseException], float | None] | None
    retry_after_cap: float
    window: CountWindow | TimeWindow | None
    fallback: Callable[..., Any] | None

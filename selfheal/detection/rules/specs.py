"""The rules as settings: what JSON files hold, made into frozen records and checked."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeAlias

import attrs

from selfheal.conditions import Condition, condition_from, metrics_of, parse, parse_duration
from selfheal.conditions.showing import Described
from selfheal.configuring import StructuredBy
from selfheal.detection.leak import LeakConfig
from selfheal.errors import ConfigError, ConfigProblem, InvalidConfigError
from selfheal.events import Severity
from selfheal.validators import between
from selfheal.validators import name as a_name

Seconds = Annotated[float, StructuredBy(parse_duration)]
_ROOT = "condition"


def _condition(data: object) -> Condition:
    """A condition of plain data; what is wrong with it is placed from where it stands."""
    try:
        return condition_from(data, _ROOT)
    except InvalidConfigError as error:
        inside = [ConfigProblem(p.where.removeprefix(_ROOT), *p[1:]) for p in error.problems]
        raise InvalidConfigError(inside) from None


ConditionData = Annotated[Condition, StructuredBy(_condition)]

_duration = between(0.0, 604_800.0, "s")
_some_time = between(0.001, 604_800.0, "s")


def _texts(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(one, str) and one for one in value):
        raise ConfigError(f"{type(owner).__name__}.{field.name}", value, "a list of names", "()")


@attrs.frozen(kw_only=True)
class ThresholdRule:
    """Any condition over metrics, on each target that they are measured on.

    Args:
        name: of the rule.
        kind: of its alerts; the name where it is empty.
        condition: what has to hold for how long; its ``clear`` is the way back.
        clear_for: seconds for which it has to be over before the alert is.
        step: seconds between two samples; after two of them without one, the value is unknown.
        severity: of its alerts.

    Raises:
        ConfigError: if a value is not accepted.
    """

    TYPE: ClassVar[str] = "threshold"

    name: str = attrs.field(validator=a_name)
    kind: str = ""
    condition: ConditionData
    clear_for: Seconds = attrs.field(default=60.0, validator=_duration)
    step: Seconds = attrs.field(default=10.0, validator=_some_time)
    severity: Severity = Severity.WARNING


@attrs.frozen(kw_only=True)
class CpuSpikeRule:
    """The CPU is busy, and stays so.

    Args:
        name: of the rule.
        condition: what has to hold for how long.
        clear_for: seconds for which it has to be over before the alert is.
        step: seconds between two samples; after two of them without one, the value is unknown.
        severity: of its alerts.

    Raises:
        ConfigError: if a value is not accepted.
    """

    TYPE: ClassVar[str] = "cpu_spike"

    name: str = attrs.field(default="cpu_spike", validator=a_name)
    condition: ConditionData = attrs.field(factory=lambda: parse("cpu_percent > 80 for 5m clear 70"))
    clear_for: Seconds = attrs.field(default=60.0, validator=_duration)
    step: Seconds = attrs.field(default=10.0, validator=_some_time)
    severity: Severity = Severity.WARNING


@attrs.frozen(kw_only=True)
class LatencyRule:
    """Answers are slow: a percentile over the requests of a sliding window.

    Args:
        name: of the rule.
        metric: one observed value is one request, in the unit of the condition.
        percentile: which one.
        window: seconds of requests that it is taken over.
        least: requests in the window below which it is unknown.
        condition: over the metric ``<metric>_p<percentile>``.
        clear_for: seconds for which it has to be over before the alert is.
        severity: of its alerts.

    Raises:
        ConfigError: if a value is not accepted, or the condition does not look at that percentile.
    """

    TYPE: ClassVar[str] = "high_latency"

    name: str = attrs.field(default="high_latency", validator=a_name)
    metric: str = attrs.field(default="latency_ms", validator=a_name)
    percentile: float = attrs.field(default=95.0, validator=between(1.0, 100.0, "%"))
    window: Seconds = attrs.field(default=60.0, validator=_some_time)
    least: int = attrs.field(default=20, validator=between(1, 1000))
    condition: ConditionData = attrs.field(factory=lambda: parse("latency_ms_p95 > 500 for 1m clear 400"))
    clear_for: Seconds = attrs.field(default=60.0, validator=_duration)
    severity: Severity = Severity.WARNING

    def __attrs_post_init__(self) -> None:
        if self.derived not in metrics_of(self.condition):
            found = ", ".join(sorted(metrics_of(self.condition)))
            raise ConfigError("LatencyRule.condition", found, f"a condition over {self.derived!r}")

    @property
    def derived(self) -> str:
        """The metric that the condition looks at."""
        return f"{self.metric}_p{self.percentile:g}"


@attrs.frozen(kw_only=True)
class TaskFailureRule:
    """A task fails more often than it used to, or again and again.

    Args:
        name: of the rule.
        metric: one observed value is one attempt: 1 if it went well, 0 if it failed; the target is the task.
        window: seconds of attempts that are judged.
        least: attempts in the window below which only ``consecutive`` counts.
        significance: probability of so many failures by chance, given how often it failed before, at most.
        consecutive: failures in a row that are enough by themselves.
        usual: share of failures that is taken to be usual as long as nothing is known.
        severity: of its alerts.

    Raises:
        ConfigError: if a value is not accepted.
    """

    TYPE: ClassVar[str] = "task_failure_pattern"

    name: str = attrs.field(default="task_failure_pattern", validator=a_name)
    metric: str = attrs.field(default="task_ok", validator=a_name)
    window: Seconds = attrs.field(default=600.0, validator=_some_time)
    least: int = attrs.field(default=20, validator=between(2, 500))
    significance: float = attrs.field(default=1e-6, validator=between(1e-30, 0.5))
    consecutive: int = attrs.field(default=5, validator=between(2, 1000))
    usual: float = attrs.field(default=0.02, validator=between(0.0001, 0.9))
    severity: Severity = Severity.WARNING


@attrs.frozen(kw_only=True)
class ProcessRule:
    """A process does not answer: silent, stopped, or a zombie.

    Args:
        name: of the rule.
        heartbeat: metric whose every value is a sign of life; only targets that gave one can be silent.
        silent_for: seconds without one.
        stopped_for: seconds for which it is stopped (``process_stopped``).
        zombie_for: seconds for which nobody took its end (``process_zombie``): a moment of that is normal.
        step: seconds between two samples.
        severity: of its alerts.

    Raises:
        ConfigError: if a value is not accepted.
    """

    TYPE: ClassVar[str] = "process_unresponsive"

    name: str = attrs.field(default="process_unresponsive", validator=a_name)
    heartbeat: str = attrs.field(default="heartbeat", validator=a_name)
    silent_for: Seconds = attrs.field(default=30.0, validator=_some_time)
    stopped_for: Seconds = attrs.field(default=30.0, validator=_duration)
    zombie_for: Seconds = attrs.field(default=5.0, validator=_duration)
    step: Seconds = attrs.field(default=10.0, validator=_some_time)
    severity: Severity = Severity.CRITICAL


@attrs.frozen(kw_only=True)
class BreakerRule:
    """A circuit opened.

    Args:
        name: of the rule.
        breakers: which ones; all where it is empty.
        severity: of its alerts; a circuit that only a person closes is critical in any case.

    Raises:
        ConfigError: if a value is not accepted.
    """

    TYPE: ClassVar[str] = "breaker_opened"

    name: str = attrs.field(default="breaker_opened", validator=a_name)
    breakers: tuple[str, ...] = attrs.field(default=(), validator=_texts)
    severity: Severity = Severity.WARNING


def _dependencies(owner: object, field: attrs.Attribute[Any], value: Mapping[str, tuple[str, ...]]) -> None:
    for part, needs in value.items():
        if not part or part in needs or not all(needs):
            raise ConfigError(f"{type(owner).__name__}.{field.name}", part, "parts, each with others that it needs")


@attrs.frozen(kw_only=True)
class CascadeRule:
    """One failure pulls others along.

    Args:
        dependencies: part (a target of alerts) to the parts that it needs.
        name: of the rule.
        within: seconds from the first alarm to the last.
        least: parts that alarm, the root included.
        slack: seconds by which a part may alarm before what it needs: they are not measured at the same moment.
        severity: of its alerts.

    Raises:
        ConfigError: if a value is not accepted, or there are too few parts for any cascade.
    """

    TYPE: ClassVar[str] = "cascade_failure"

    dependencies: Mapping[str, tuple[str, ...]] = attrs.field(validator=_dependencies)
    name: str = attrs.field(default="cascade_failure", validator=a_name)
    within: Seconds = attrs.field(default=120.0, validator=_some_time)
    least: int = attrs.field(default=3, validator=between(2, 1000))
    slack: Seconds = attrs.field(default=10.0, validator=_duration)
    severity: Severity = Severity.CRITICAL

    def __attrs_post_init__(self) -> None:
        parts = {*self.dependencies, *itertools.chain.from_iterable(self.dependencies.values())}
        if len(parts) < self.least:
            accepted = f"of at least {self.least} parts, as 'least' asks for: fewer never make a cascade"
            raise ConfigError("CascadeRule.dependencies", Described(f"{len(parts)} parts"), accepted)


@attrs.frozen(kw_only=True)
class LeakRule:
    """Memory grows, and will run out.

    Args:
        name: of the rule.
        metric: memory of a whole: a machine, a container.
        limit: at which it is exhausted, in the unit of that metric.
        process_metric: memory of one process; each target of it is watched too.
        process_limit: at which a process is exhausted; ``None``: it has no limit of its own.
        trend: what counts as a leak.
        severity: of its alerts; what will be exhausted within six hours is critical in any case.

    Raises:
        ConfigError: if a value is not accepted.
    """

    TYPE: ClassVar[str] = "memory_leak"

    name: str = attrs.field(default="memory_leak", validator=a_name)
    metric: str = attrs.field(default="memory_percent", validator=a_name)
    limit: float = attrs.field(default=100.0, validator=between(1e-9, 1e18))
    process_metric: str = attrs.field(default="process_memory_bytes", validator=a_name)
    process_limit: float | None = attrs.field(default=None, validator=between(1e-9, 1e18, optional=True))
    trend: LeakConfig = attrs.field(factory=LeakConfig)
    severity: Severity = Severity.WARNING


RuleSpec: TypeAlias = (
    ThresholdRule | CpuSpikeRule | LatencyRule | TaskFailureRule | ProcessRule | BreakerRule | CascadeRule | LeakRule
)
"""Settings of a rule of any kind."""

"""The report: collects snapshots, has them judged, and shows both as data and as Markdown."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.redaction import scrub_all
from selfheal.status import judge, shape
from selfheal.status.breakers import BreakerSource, KnownBreakers
from selfheal.status.calls import Calls
from selfheal.status.judge import Finding, Level
from selfheal.status.markdown import as_markdown
from selfheal.status.sections import HostSections, Section
from selfheal.status.words import iso

if TYPE_CHECKING:
    from selfheal.healing import Healer, HealerSnapshot
    from selfheal.policies.breaker import BreakerSnapshot
    from selfheal.policies.dormancy import DormancyRecord, DormantController, ResumeRecord
    from selfheal.policies.flags import FeatureFlags, Flag
    from selfheal.tasks import RegistrySnapshot

logger = logging.getLogger("selfheal.status")

T = TypeVar("T")


class TaskSource(Protocol):
    """Where the tasks come from: a :class:`~selfheal.tasks.TaskRegistry`, or alike."""

    def snapshot(self) -> RegistrySnapshot:
        """The totals and one snapshot a task."""


@attrs.frozen(kw_only=True)
class _Facts:
    """What was collected, at one moment."""

    healer: HealerSnapshot | None
    dormant: DormancyRecord | None
    last_resume: ResumeRecord | None
    breakers: Sequence[BreakerSnapshot]
    tasks: RegistrySnapshot | None
    flags: Sequence[Flag]
    unread: list[Finding]

    @property
    def is_dormant(self) -> bool:
        return self.dormant is not None or (self.healer is not None and self.healer.is_dormant)

    @property
    def dormant_reason(self) -> str | None:
        return self.dormant.reason if self.dormant else self.healer.dormant_reason if self.healer else None

    def judged(self, calls: Calls) -> list[Finding]:
        """All findings about selfheal's own parts."""
        found = [*self.unread, *judge.judge_dormancy(self.is_dormant, self.dormant_reason, calls)]
        found += judge.judge_healer(self.healer) if self.healer else []
        found += judge.judge_breakers(self.breakers, calls)
        found += judge.judge_tasks(self.tasks, calls) if self.tasks else []
        return found + judge.judge_flags(self.flags)


class StatusReport:
    """Health, what is the matter and what to do, read anew at each call.

    >>> from selfheal.policies.breaker import BreakerRegistry
    >>> StatusReport(breakers=BreakerRegistry()).status
    'healthy'

    Args:
        healer: the healer; without one ``selfHealing`` shows ``enabled: false`` and zeros.
        breakers: the breaker registry; by default the one that breakers join when none is named. The healer's
            own breaker is shown too.
        tasks: the task registry; without one there are no background tasks.
        flags: the feature flags; by default the healer's.
        dormancy: the dormant controller; by default the healer's.
        clock: for the timestamp.
        sections: the host's own top-level sections: name to a callable that returns a mapping.
        section_timeout: seconds of real time that each section gets to answer; ``None``: no deadline, and the
            section is asked in the caller's own thread.
        base_url: address under which people reach the API (``http://127.0.0.1:3001``, or with the prefix of a
            mount), so that the calls shown can be copied, ``curl`` included; empty shows paths alone.

    Raises:
        ConfigError: if a section's name is one of selfheal's own keys, or it cannot be called.
    """

    def __init__(
        self,
        *,
        healer: Healer | None = None,
        breakers: BreakerSource | None = None,
        tasks: TaskSource | None = None,
        flags: FeatureFlags | None = None,
        dormancy: DormantController | None = None,
        clock: Clock = SYSTEM_CLOCK,
        sections: Mapping[str, Section] | None = None,
        section_timeout: float | None = 2.0,
        base_url: str = "",
    ) -> None:
        self._healer = healer
        self._breakers = KnownBreakers(breakers, healer)
        self._tasks = tasks
        self._flags = flags if flags is not None or healer is None else healer.flags
        self._dormancy = dormancy if dormancy is not None or healer is None else healer.dormancy
        self._clock = clock
        own = None if healer is None else healer.breaker.name
        self._calls = Calls(base_url=base_url, healers_breaker=own)
        self._sections = HostSections(section_timeout)
        for name, section in (sections or {}).items():
            self.add_section(name, section)

    def add_section(self, name: str, section: Section) -> None:
        """Show what ``section()`` returns under the top-level key ``name``.

        It is asked at each report. What it returns is made plain JSON; values under keys that name a secret
        (``apiKey``, ``password``) are redacted, counts (``totalKeys``) are not. When it raises, is late or
        returns something else, its entry is ``{"error": …}`` and the report has an issue.

        Raises:
            ConfigError: if the name is one of selfheal's own keys, or ``section`` cannot be called.
        """
        self._sections.add(name, section, shape.OWN_KEYS)

    @property
    def status(self) -> str:
        """``healthy``, ``warning`` or ``critical``, sections of the host included."""
        return str(self.as_dict()["status"])

    @property
    def level(self) -> Level:
        """The same for selfheal's own parts alone. Quick: no code of the host runs."""
        return judge.overall(self._collect().judged(self._calls))

    def as_dict(self) -> dict[str, Any]:
        """The whole report as JSON data, keys in the order in which they are documented."""
        facts = self._collect()
        answers = self._sections.ask()
        late = [answer.finding for answer in answers.values() if answer.finding is not None]
        findings = judge.worst_first([*facts.judged(self._calls), *late])
        own = {
            "status": str(judge.overall(findings)),
            "timestamp": iso(self._clock.wall()),
            "selfHealing": shape.self_healing(facts.healer, facts.is_dormant, facts.dormant_reason),
            "circuitBreakers": [shape.breaker(one) for one in facts.breakers],
            "backgroundTasks": shape.background_tasks(facts.tasks),
            "issues": [finding.issue for finding in findings],
            "recommendations": [finding.recommendation for finding in findings if finding.recommendation],
            **self._further(facts),
        }
        return {**scrub_all(own), **{name: answer.shown for name, answer in answers.items()}}

    def as_json(self, *, indent: int | None = None) -> str:
        """The whole report as JSON text (strict: no ``NaN``)."""
        return json.dumps(self.as_dict(), indent=indent, ensure_ascii=False, allow_nan=False)

    def as_markdown(self) -> str:
        """The same facts for reading: what is the matter and what to do first, then the tables."""
        return as_markdown(self.as_dict())

    def _further(self, facts: _Facts) -> dict[str, Any]:
        tasks = facts.tasks.tasks if facts.tasks else ()
        return {
            "dormancy": shape.dormancy(facts.dormant, facts.last_resume, self._clock.wall(), self._calls),
            "healing": shape.healing(facts.healer),
            "circuitBreakerDetails": {one.name: shape.breaker_details(one) for one in facts.breakers},
            "backgroundTaskDetails": {one.id: shape.task_details(one) for one in tasks},
            "flags": shape.flags(facts.flags),
            "limits": shape.limits(facts.healer),
        }

    def _collect(self) -> _Facts:
        unread: list[Finding] = []

        def read(what: str, source: Callable[[], T], otherwise: T) -> T:
            try:
                return source()
            except Exception as error:
                logger.exception("the status could not read the %s", what)
                told = f"The {what} could not be read ({type(error).__name__}); the log of selfheal.status has more."
                unread.append(Finding(level=Level.WARNING, issue=told))
                return otherwise

        healer, dormancy, tasks, flags = self._healer, self._dormancy, self._tasks, self._flags
        return _Facts(
            healer=read("healer", healer.snapshot, None) if healer is not None else None,
            dormant=read("dormancy", lambda: dormancy.record, None) if dormancy is not None else None,
            last_resume=read("last resume", lambda: dormancy.last_resume, None) if dormancy is not None else None,
            breakers=read("circuit breakers", self._breakers.snapshots, ()),
            tasks=read("background tasks", tasks.snapshot, None) if tasks is not None else None,
            flags=read("feature flags", flags.all, ()) if flags is not None else (),
            unread=unread,
        )

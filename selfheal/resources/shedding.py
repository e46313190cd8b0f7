"""Load shedding by criticality, on both sides of a call.

Serving: the higher the use of what there is, the larger the share of requests shed, sheddable ones first. Calling:
where the other side refuses much, most requests are not even sent.

Source: *Site Reliability Engineering*, "Handling Overload": criticality, utilization signals, client-side throttling.
"""

from __future__ import annotations

import functools
import inspect
import logging
import math
import threading
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, Unpack

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import (
    BudgetExceededError,
    ConcurrencyLimitedError,
    ConfigError,
    LoadShedError,
    RateLimitedError,
)
from selfheal.events import DEFAULT_BUS, EventBus, LoadSheddingChanged
from selfheal.forking import track
from selfheal.resources.budget_config import checked_name, make_config, split_name
from selfheal.resources.budget_wrapping import deciding_function
from selfheal.resources.criticality import Criticality
from selfheal.resources.criticality_scope import to_criticality
from selfheal.resources.shedding_machine import NONE, Chance, ShedderConfig, ShedderOptions, SheddingMachine

logger = logging.getLogger("selfheal.resources")

P = ParamSpec("P")
R = TypeVar("R")


def says_too_much(error: BaseException) -> bool:
    """Whether an error says that the other side has too much to do: selfheal's refusals, HTTP 429 and 503."""
    if isinstance(error, LoadShedError | BudgetExceededError | RateLimitedError | ConcurrencyLimitedError):
        return True
    told = (error, getattr(error, "response", None))
    return any(getattr(it, name, None) in (429, 503) for it in told for name in ("status_code", "status", "code"))


@attrs.frozen(kw_only=True)
class ShedderSnapshot:
    """Everything there is to see of a shedder, at one moment.

    Args:
        name: of the shedder.
        utilization: the share in use, or ``None`` where it is not known.
        chances: the share of requests shed now, by criticality.
        admitted: requests let through so far, by criticality.
        shed: requests shed so far, by criticality.
        answers: requests of the window and how many the other side accepted, by criticality.
        problem: why the use is not known, or empty.
    """

    name: str
    utilization: float | None
    chances: Mapping[str, float]
    admitted: Mapping[str, int]
    shed: Mapping[str, int]
    answers: Mapping[str, tuple[int, int]]
    problem: str


class LoadShedder:
    """Sheds requests when there is too much to do, the least critical first.

    >>> shedder = LoadShedder("door", utilization=lambda: 0.9, seed=1)
    >>> [shedder.allows(criticality) for criticality in ("critical", "sheddable")]
    [True, False]

    It never waits. What is not known sheds nobody: a signal that raises, is ``None`` or no number counts as none.

    Args:
        name: for messages and events.
        config: when how much is shed; or give it as ``options``.
        utilization: asked at each request for the share in use, 1 being all there is: ``budget.utilization``, or
            ``lambda: limit.in_flight / limit.limit``. Quick. ``None``: only the other side's answers count.
        refused: given an error of a guarded call, answers whether the other side refused the request for having too
            much to do. By default selfheal's own refusals and the HTTP statuses 429 and 503.
        seed: of the dice, for the same decisions again; ``None``: of the operating system.
        clock: the time it goes by.
        events: where :class:`~selfheal.events.LoadSheddingChanged` is published.
        **options: fields of :class:`ShedderConfig`, on top of ``config``.

    Raises:
        ConfigError: if a value is out of range or an option unknown.
    """

    def __init__(
        self,
        name: str = "load",
        config: ShedderConfig | None = None,
        *,
        utilization: Callable[[], float | None] | None = None,
        refused: Callable[[BaseException], object] = says_too_much,
        seed: int | None = None,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
        **options: Unpack[ShedderOptions],
    ) -> None:
        self.name = checked_name(name, "LoadShedder.name")
        self.config: ShedderConfig = make_config(ShedderConfig, "LoadShedder", config, options)
        for field, value in (("utilization", utilization), ("refused", refused)):
            if not callable(value) and not (field == "utilization" and value is None):
                raise ConfigError(f"LoadShedder.{field}", value, "a callable")
        if seed is not None and type(seed) is not int:
            raise ConfigError("LoadShedder.seed", seed, "an integer or None", "None")
        self._utilization, self._refused, self._seed = utilization, refused, seed
        self._clock, self._events = clock, events
        self._lock = threading.Lock()
        self._machine = SheddingMachine(self.config, seed)
        self._problem = ""
        track(self, LoadShedder._in_child, lock=lambda me: me._lock)

    @classmethod
    def from_config(cls, settings: Mapping[str, Any], where: str = "shedder", **parts: Any) -> LoadShedder:
        """Make one from plain data, as a settings file holds it: fields of :class:`ShedderConfig`, perhaps ``name``.

        Raises:
            InvalidConfigError: with everything that is wrong.
        """
        from selfheal.configuring import structure

        name, settings = split_name(settings, where)
        return cls(config=structure(settings, ShedderConfig, where), **name, **parts)

    def __repr__(self) -> str:
        return f"<LoadShedder {self.name!r}>"

    def check(self, criticality: Criticality | str | None = None) -> None:
        """Return if the request may be served or sent.

        Args:
            criticality: of the request; ``None``: that of what is being done (:func:`criticality_scope`).

        Raises:
            LoadShedError: if it is shed.
            ConfigError: if the criticality is none.
        """
        wanted = to_criticality(criticality, "check(criticality)")
        shed = self._decide(wanted)
        if shed is not None:
            raise LoadShedError(self.name, wanted.value, shed.value, shed.why)

    def allows(self, criticality: Criticality | str | None = None) -> bool:
        """:meth:`check` as an answer. It is counted all the same."""
        return self._decide(to_criticality(criticality, "allows(criticality)")) is None

    def accepted(self, criticality: Criticality | str | None = None) -> None:
        """Tell that the other side accepted a request, whatever came of it."""
        self._answer(to_criticality(criticality), accepted=True)

    def refused(self, criticality: Criticality | str | None = None) -> None:
        """Tell that the other side refused a request for having too much to do."""
        self._answer(to_criticality(criticality), accepted=False)

    def __call__(self, fn: Callable[P, R]) -> Callable[P, R]:
        """Guard a function, sync or async, under the criticality of what is being done."""
        return self.guard()(fn)

    def guard(self, criticality: Criticality | str | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """A decorator: each call is checked first, and what came of it is counted as the other side's answer.

        A call that was cancelled says nothing. Generators are not taken: check inside them.
        """
        wanted = None if criticality is None else to_criticality(criticality, "guard(criticality)")
        return lambda fn: self._wrap(fn, wanted)

    def snapshot(self) -> ShedderSnapshot:
        """Everything there is to see of it now. Decides nothing."""
        now, use = self._clock.monotonic(), self._use()
        self._tell_calm(now)
        with self._lock:
            machine = self._machine
            return ShedderSnapshot(
                name=self.name,
                utilization=use,
                chances={one.value: machine.chance(one, use, now).value for one in Criticality},
                admitted={one.value: machine.admitted[one] for one in Criticality},
                shed={one.value: machine.shed[one] for one in Criticality},
                answers={one.value: machine.answers(one, now) for one in Criticality},
                problem=self._problem,
            )

    def section(self) -> dict[str, Any]:
        """A section for :class:`~selfheal.StatusReport`."""
        return attrs.asdict(self.snapshot())

    def _wrap(self, fn: Any, criticality: Criticality | None) -> Any:
        if isinstance(fn, staticmethod | classmethod):
            return type(fn)(self._wrap(fn.__func__, criticality))
        kind = deciding_function(fn)
        if kind is None or inspect.isgeneratorfunction(kind) or inspect.isasyncgenfunction(kind):
            raise ConfigError("the target of a load shedder", fn, "a function or a coroutine function")

        def plain(*args: Any, **kwargs: Any) -> Any:
            wanted = to_criticality(criticality)
            self.check(wanted)
            try:
                result = fn(*args, **kwargs)
            except Exception as error:
                self._answer(wanted, accepted=not self._refused(error))
                raise
            self._answer(wanted, accepted=True)
            return result

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            wanted = to_criticality(criticality)
            self.check(wanted)
            try:
                result = await fn(*args, **kwargs)
            except Exception as error:
                self._answer(wanted, accepted=not self._refused(error))
                raise
            self._answer(wanted, accepted=True)
            return result

        return functools.update_wrapper(coroutine if inspect.iscoroutinefunction(kind) else plain, fn)

    def _decide(self, criticality: Criticality) -> Chance | None:
        use, now = self._use(), self._clock.monotonic()
        with self._lock:
            shed = self._machine.decide(criticality, use, now)
            news = shed is not None and self._machine.note(criticality, now)
        if shed is not None and news:
            self._tell(criticality, True, shed)
        self._tell_calm(now)
        return shed

    def _answer(self, criticality: Criticality, *, accepted: bool) -> None:
        with self._lock:
            self._machine.answer(criticality, accepted, self._clock.monotonic())

    def _use(self) -> float | None:
        if self._utilization is None:
            return None
        try:
            use = self._utilization()
            problem = "" if use is None or math.isfinite(use) else f"the utilization is {use!r}"
        except Exception as error:
            use, problem = None, f"the utilization raised {type(error).__name__}"
            if problem != self._problem:
                logger.warning("shedder %r: %s", self.name, problem, exc_info=True)
        self._problem = problem
        return None if problem or use is None else float(use)

    def _tell_calm(self, now: float) -> None:
        if not self._machine.shedding:
            return
        with self._lock:
            calm = self._machine.calmed(now)
        for criticality in calm:
            self._tell(criticality, False, NONE)

    def _tell(self, criticality: Criticality, shedding: bool, chance: Chance) -> None:
        reason = chance.why or f"none was shed for {self.config.calm_after:g} s"
        logger.warning("shedder %r: %s %s (%s)", self.name, criticality, "shed" if shedding else "served", reason)
        self._events.publish(
            LoadSheddingChanged(
                shedder=self.name,
                criticality=criticality.value,
                shedding=shedding,
                chance=chance.value,
                reason=reason,
                at=self._clock.wall(),
            )
        )

    def _in_child(self) -> None:
        """A new lock, and dice of its own where they are not seeded: children must not shed in step."""
        self._lock = threading.Lock()
        if self._seed is None:
            self._machine.dice.seed()

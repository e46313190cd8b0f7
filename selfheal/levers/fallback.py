"""Ordered providers of one thing: the one in use, the way to another, and the way back."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.errors import CircuitOpenError, ConfigError
from selfheal.events import DEFAULT_BUS, EventBus, FallbackSwitched
from selfheal.forking import track
from selfheal.levers.fallback_checks import check_known, check_named, make_config
from selfheal.levers.fallback_machine import FallbackConfig, FallbackMachine, FallbackSnapshot, Move
from selfheal.redaction import scrub

Provider = Callable[..., Any]
Probe = Callable[[], object]


class Guarding(Protocol):
    """What guards a provider: a :class:`~selfheal.policies.breaker.CircuitBreaker`, or alike."""

    @property
    def name(self) -> str:
        """Its name, which its refusals carry."""

    def call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Make one guarded call."""

    def acall(self, fn: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Make one guarded call of an async function."""


class FallbackSwitch:
    """Sends calls to one of several providers, and back to the preferred one when that is well again.

    >>> answers = FallbackSwitch("llm", {"large": lambda q: f"large: {q}", "small": lambda q: f"small: {q}"})
    >>> answers.call("hi"), answers.switch(reason="large is down"), answers.call("hi")
    ('large: hi', 'small', 'small: hi')

    The way back by itself takes ``return_after`` successful probes in a row and a minimum stay, which doubles
    when a return did not last. Probes are made by :meth:`check` or :meth:`acheck`, which a registered
    task calls every few seconds; a provider without a probe is not gone back to by itself.

    Args:
        name: for errors and events.
        providers: name to callable, in order of preference.
        probes: name to a callable that tells whether the provider is well: it raises or returns ``False`` if not.
        breakers: name to what guards the provider. When it refuses a call of the active one, the call goes to the
            next that does not refuse, and stays there.
        clock: the time it goes by.
        events: where :class:`~selfheal.events.FallbackSwitched` is published.
        **options: fields of :class:`FallbackConfig`.

    Raises:
        ConfigError: if there is no provider, something cannot be called, or a value is out of range.
    """

    def __init__(
        self,
        name: str,
        providers: Mapping[str, Provider],
        *,
        probes: Mapping[str, Probe] | None = None,
        breakers: Mapping[str, Guarding] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        events: EventBus = DEFAULT_BUS,
        **options: Any,
    ) -> None:
        config = make_config({"name": name, **options})
        self.name = config.name
        self._providers = check_named("providers", providers)
        if not self._providers:
            raise ConfigError("FallbackSwitch.providers", providers, "at least one provider, in order of preference")
        self._probes = check_named("probes", probes or {}, self._providers)
        self._breakers = dict(breakers or {})
        check_known("breakers", self._breakers, self._providers)
        self._clock, self._events = clock, events
        self._lock = threading.Lock()
        self._machine = FallbackMachine(config, tuple(self._providers), clock.monotonic())
        self._reason, self._by, self._last_error, self._switches = "preferred", "", "", 0
        track(self, FallbackSwitch._in_child, lock=lambda me: me._lock)

    @classmethod
    def from_config(
        cls,
        settings: Mapping[str, Any],
        providers: Mapping[str, Provider],
        where: str = "levers.fallback",
        **parts: Any,
    ) -> FallbackSwitch:
        """Make one of plain data, whose keys are those of :class:`FallbackConfig`.

        Args:
            settings: the plain data.
            providers: name to callable, in order of preference.
            where: path in the file.
            **parts: ``probes``, ``breakers``, ``clock``, ``events``.

        Raises:
            ConfigError: naming the path below ``where`` of what is not accepted.
        """
        from selfheal.configuring import structure

        return cls(providers=providers, **attrs.asdict(structure(settings, FallbackConfig, where)), **parts)

    @property
    def active(self) -> str:
        """The provider in use."""
        return self._machine.active

    @property
    def preferred(self) -> str:
        """The first provider."""
        return self._machine.preferred

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the active provider; when its breaker refuses, the next that is let through.

        Raises:
            CircuitOpenError: if all that are guarded refuse and none is left.
        """
        order = self._order()
        for name in order:
            try:
                result = self._one(name, args, kwargs)
            except BaseException as error:
                if not self._refused(order[0], name, error) or name == order[-1]:
                    raise
            else:
                self._take_over(order[0], name)
                return result

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        """:meth:`call` for coroutine functions; a plain provider is called as well.

        Raises:
            CircuitOpenError: as :meth:`call` does.
        """
        order = self._order()
        for name in order:
            try:
                result = await self._aone(name, args, kwargs)
            except BaseException as error:
                if not self._refused(order[0], name, error) or name == order[-1]:
                    raise
            else:
                self._take_over(order[0], name)
                return result

    def switch(self, to: str | None = None, *, reason: str, by: str = "", hold: bool = False) -> str:
        """Use another provider from now on.

        Args:
            to: its name; ``None``: the one after the active one.
            reason: why.
            by: who; empty for automation.
            hold: stay there until :meth:`return_to`, whatever probes say.

        Returns:
            The provider now in use.

        Raises:
            FallbackExhaustedError: if there is none after the active one.
            NotFoundError: if there is none of that name.
        """
        with self._lock:
            target = self._machine.after(self._machine.active) if to is None else to
            move = self._machine.move(target, self._clock.monotonic(), hold=hold)
            self._note(move, reason, by)
        self._tell(move, reason, by)
        return target

    def return_to(self, reason: str, by: str = "") -> str:
        """Use the preferred provider again, at once.

        Returns:
            Its name.
        """
        return self.switch(self.preferred, reason=reason, by=by)

    def check(self) -> bool:
        """Probe the preferred provider if that is due; tell whether it is in use again because of it.

        Cheap when nothing is due. At most one probe runs at a time. What a probe raises is a failed probe.
        """
        begun = self._begin_probe()
        if begun is None:
            return False
        probe, generation = begun
        try:
            result = probe()
            if inspect.isawaitable(result):
                _close(result)
                raise ConfigError("FallbackSwitch.probes", probe, "a plain callable for check(); acheck() awaits")
        except Exception as error:
            return self._end_probe(generation, error)
        return self._end_probe(generation, None if result is not False else ProbeSaidNoError())

    async def acheck(self) -> bool:
        """:meth:`check` for coroutines; plain probes are called in the loop's thread."""
        begun = self._begin_probe()
        if begun is None:
            return False
        probe, generation = begun
        try:
            result = probe()
            if inspect.isawaitable(result):
                result = await result
        except Exception as error:
            return self._end_probe(generation, error)
        except BaseException as error:  # cancelled: it says nothing good, and must not stay the one that runs
            self._end_probe(generation, error)
            raise
        return self._end_probe(generation, None if result is not False else ProbeSaidNoError())

    def snapshot(self) -> FallbackSnapshot:
        """Everything there is to see of it now."""
        with self._lock:
            machine, now = self._machine, self._clock.monotonic()
            return FallbackSnapshot(
                name=self.name,
                active=machine.active,
                preferred=machine.preferred,
                providers=machine.names,
                since=now - machine.since,
                reason=self._reason,
                by=self._by,
                held=machine.held,
                switches=self._switches,
                successes=machine.successes,
                probe_in=machine.probe_in(now) if machine.preferred in self._probes else None,
                stay=machine.stay,
                last_probe_error=self._last_error,
            )

    def __repr__(self) -> str:
        return f"<FallbackSwitch {self.name!r} {self.active}>"

    def _order(self) -> tuple[str, ...]:
        """The active provider, and behind it, if it is guarded, those that may step in."""
        with self._lock:
            active = self._machine.active
            return (active, *self._machine.others()) if active in self._breakers else (active,)

    def _one(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        breaker, provider = self._breakers.get(name), self._providers[name]
        return provider(*args, **kwargs) if breaker is None else breaker.call(provider, *args, **kwargs)

    async def _aone(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        breaker, provider = self._breakers.get(name), self._providers[name]

        async def run() -> Any:
            result = provider(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result

        return await run() if breaker is None else await breaker.acall(run)

    def _refused(self, first: str, name: str, error: BaseException) -> bool:
        """Whether the provider's own breaker refused, so that nothing was attempted."""
        breaker = self._breakers.get(name)
        if isinstance(error, CircuitOpenError) and breaker is not None and error.breaker == breaker.name:
            return True
        self._take_over(first, name)
        return False

    def _take_over(self, first: str, name: str) -> None:
        """The call got through to ``name`` because ``first`` refused: stay there."""
        if name == first:
            return
        reason = f"circuit of {first!r} is open"
        with self._lock:
            if self._machine.active != first:
                return
            move = self._machine.move(name, self._clock.monotonic())
            self._note(move, reason, "")
        self._tell(move, reason, "")

    def _begin_probe(self) -> tuple[Probe, int] | None:
        probe = self._probes.get(self._machine.preferred)
        if probe is None:
            return None
        with self._lock:
            generation = self._machine.begin_probe(self._clock.monotonic())
        return None if generation is None else (probe, generation)

    def _end_probe(self, generation: int, error: BaseException | None) -> bool:
        reason = f"{self._machine.config.return_after} probes in a row succeeded"
        with self._lock:
            self._last_error = "" if error is None else scrub(f"{type(error).__name__}: {error}")[:500]
            move = self._machine.probed(generation, error is None, self._clock.monotonic())
            self._note(move, reason, "")
        self._tell(move, reason, "")
        return move is not None

    def _note(self, move: Move | None, reason: str, by: str) -> None:
        if move is not None:
            self._reason, self._by = reason, by
            self._switches += 1

    def _tell(self, move: Move | None, reason: str, by: str) -> None:
        if move is not None:
            at = self._clock.wall()
            event = FallbackSwitched(switch=self.name, old=move.old, new=move.new, reason=reason, by=by, at=at)
            self._events.publish(event)

    def _in_child(self) -> None:
        """Make a new lock."""
        self._lock = threading.Lock()


class ProbeSaidNoError(Exception):
    """A probe returned ``False``."""


def _close(result: object) -> None:
    close = getattr(result, "close", None)
    if callable(close):
        close()

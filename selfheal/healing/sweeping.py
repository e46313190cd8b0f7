"""One look at everything that waits: healings under way, and alerts that none answers yet."""

from __future__ import annotations

from collections.abc import Callable, Generator

from selfheal.clock import Clock
from selfheal.events import Alert
from selfheal.healing.attempts import Attempts
from selfheal.healing.driving import Running, Steps
from selfheal.healing.records import FOR_ALL, GuardName, HealingRecord, Outcome
from selfheal.healing.under_way import Healing, UnderWay, advance_all

Sweep = Generator[list[Healing], None, list[HealingRecord]]
"""Yields healings to be taken on, all at once; returns what ended."""


class Sweeper:
    """Takes healings on, and begins new ones.

    Args:
        attempts: guards and waiting alerts.
        handling: answers one alert.
        clock: for the waits of healings.
    """

    def __init__(self, attempts: Attempts, handling: Callable[[Alert], Steps[HealingRecord]], clock: Clock) -> None:
        self._attempts = attempts
        self._handling = handling
        self._clock = clock
        self.under_way = UnderWay()

    def sweep(self) -> list[HealingRecord]:
        """Look once, in this thread; several healings that are ready go on in threads of their own."""
        steps = self._sweep()
        try:
            healings = next(steps)
            while True:
                try:
                    advance_all(healings)
                except BaseException as error:
                    healings = steps.throw(error)
                else:
                    healings = next(steps)
        except StopIteration as end:
            return self._ended(end.value)

    async def asweep(self) -> list[HealingRecord]:
        """Look once, in an event loop; several healings that are ready go on at the same time."""
        steps = self._sweep()
        try:
            healings = next(steps)
            while True:
                try:
                    await _aadvance_all(healings)
                except BaseException as error:
                    healings = steps.throw(error)
                else:
                    healings = next(steps)
        except StopIteration as end:
            return self._ended(end.value)

    def finish(self) -> list[HealingRecord]:
        """After a stop: go on with all that wait, at once, so that each sees that it is to end."""
        left = self.under_way.take(all_of_them=True)
        advance_all(left)
        return self.under_way.put_back(left)

    def _ended(self, records: list[HealingRecord]) -> list[HealingRecord]:
        return [*records, *self.finish()] if self._attempts.stopped else records

    def _sweep(self) -> Sweep:
        records: list[HealingRecord] = []
        yield from self._go_on(self.under_way.take(), records)
        begun: list[Healing] = []
        for alert in self._attempts.in_turn():
            healing = Running(self._handling(alert), self._clock, alert.fingerprint)
            if not (self._attempts.waits(alert.fingerprint) and self.under_way.begin(healing)):
                continue
            yield from self._alone(healing)
            if not healing.ended:
                begun.append(healing)
                continue
            records += self.under_way.put_back([healing])
            if records[-1].guard is GuardName.STRATEGY:
                self._attempts.clear(alert.fingerprint)
            elif records[-1].outcome is Outcome.REFUSED and records[-1].guard in FOR_ALL:
                break
        ready = [one for one in begun if one.ready]
        records += self.under_way.put_back(one for one in begun if one not in ready)
        yield from self._go_on(ready, records)
        return records

    def _go_on(self, healings: list[Healing], records: list[HealingRecord]) -> Generator[list[Healing], None, None]:
        if healings:
            try:
                yield healings
            finally:
                records += self.under_way.put_back(healings)

    def _alone(self, healing: Healing) -> Generator[list[Healing], None, None]:
        try:
            yield [healing]
        except BaseException:
            self.under_way.forget(healing)
            raise


async def _aadvance_all(healings: list[Healing]) -> None:
    if len(healings) == 1:
        await healings[0].aadvance()
    elif healings:
        import asyncio

        await asyncio.gather(*(one.aadvance() for one in healings))

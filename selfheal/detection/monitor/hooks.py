"""What the host is asked: switches, maintenance, silences. An answer that cannot be had is taken the safe way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from selfheal.detection.monitor.telling import Silencing
from selfheal.detection.sampler import Sample
from selfheal.events import Alert

logger = logging.getLogger("selfheal.detection.monitor")

Switch = Callable[[], bool]
Deliver = Callable[[Sequence[Sample]], object]


class Hooks:
    """Asks the host, and keeps what goes wrong there from the monitor.

    Args:
        enabled: whether anything is looked at; off if that cannot be asked.
        processes: likewise for what is measured of processes.
        maintenance: why nothing is told and learnt now; none if that cannot be asked.
        silencing: why nobody is to be told of an alert.
        deliver: takes samples.
    """

    def __init__(
        self,
        enabled: Switch,
        processes: Switch,
        maintenance: Callable[[], str | None] | None,
        silencing: Silencing,
        deliver: Deliver | None,
    ) -> None:
        self._enabled, self._processes = enabled, processes
        self._maintenance, self._silencing, self._deliver = maintenance, silencing, deliver
        self._said: set[str] = set()

    def enabled(self) -> bool:
        """Whether anything is looked at."""
        return self._asks("enabled", self._enabled)

    def processes(self) -> bool:
        """Whether what is measured of processes is."""
        return self._asks("processes", self._processes)

    def maintenance(self) -> str:
        """Why nothing is told and learnt now; empty if all is."""
        try:
            return str((self._maintenance() if self._maintenance is not None else "") or "")
        except Exception:
            logger.exception("Monitor: maintenance cannot be asked: it is taken as none")
            return ""

    def silence(self, alert: Alert) -> str | None:
        """Why nobody is to be told of an alert; raises what the host's silences do."""
        return self.maintenance() or self._silencing(alert)

    def deliver(self, samples: Sequence[Sample]) -> None:
        """Hand samples on."""
        if self._deliver is None or not samples:
            return
        try:
            self._deliver(samples)
        except Exception:
            logger.exception("Monitor: samples cannot be handed on to %r", self._deliver)

    def _asks(self, name: str, switch: Switch) -> bool:
        try:
            return bool(switch())
        except Exception:
            if name not in self._said:
                self._said.add(name)
                logger.exception("Monitor: %s cannot be asked: it is taken as off", name)
            return False

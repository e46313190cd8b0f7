"""Telling what became of incidents: to the bus, to the log, and to nobody while somebody said so."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

from selfheal.detection.monitor.incidents import Change, Incident
from selfheal.errors import EntryRefusedError, JournalError
from selfheal.events import Alert, AlertCleared, Event, EventBus
from selfheal.journal import Journal

logger = logging.getLogger("selfheal.detection.monitor")

Silencing = Callable[[Alert], str | None]
"""Why nobody is to be told of an alert now; ``None`` or empty if they are."""
LONGEST_LABEL, LONGEST_MESSAGE, MOST_LABELS = 500, 2000, 40
_REMEMBERED = 2000


@attrs.frozen(kw_only=True)
class Told:
    """An open incident, and who knows of it.

    Args:
        incident: the one.
        silenced: why nobody was told, or empty.
        published: whether it was told.
    """

    incident: Incident
    silenced: str = ""
    published: bool = False


@attrs.frozen(kw_only=True)
class Past:
    """An incident that is over.

    Args:
        told: as it was last.
        cleared: wall seconds.
        why: in words.
    """

    told: Told
    cleared: float
    why: str


def moment(t: float) -> str:
    """Wall seconds as text, in UTC."""
    return datetime.fromtimestamp(t, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def alert_of(incident: Incident, t: float, labels: Mapping[str, str]) -> Alert:
    """The alert that tells of an incident at ``t`` (wall seconds)."""
    signal = incident.signal
    ours = {"source": signal.source, "since": moment(incident.since)}
    for n, other in enumerate(incident.beside, start=1):
        ours[f"beside_{n}"] = f"{other.source}: {other.message}"
    if incident.flapping:
        ours["flapping"] = "true"
    theirs = {key: text for key, text in {**labels, **signal.evidence}.items() if key not in ours}
    kept = (*tuple(theirs.items())[len(ours) - MOST_LABELS :], *ours.items())
    short = {key[:100]: text[:LONGEST_LABEL] for key, text in kept}
    return Alert(
        at=t,
        kind=signal.kind,
        target=signal.target,
        metric=signal.metric,
        value=signal.value,
        severity=signal.severity,
        fingerprint=signal.fingerprint,
        message=signal.message[:LONGEST_MESSAGE] + (" (flapping)" if incident.flapping else ""),
        labels=short,
    )


def _nothing() -> None:
    return None


class Teller:
    """Tells changes one after the other, in the order in which they were posted, with no lock held meanwhile.

    Args:
        events: the bus.
        log: takes what became of incidents as fields of an entry of a type.
        silencing: asked before an incident is told.
        labels: further labels of an incident's alert.
        history: incidents that are over which are remembered.

    Attributes:
        after: called when something was told, before others tell more.
    """

    def __init__(
        self,
        events: EventBus,
        log: Callable[..., object],
        silencing: Silencing,
        labels: Callable[[Incident], Mapping[str, str]],
        history: int,
    ) -> None:
        self._events = events
        self._log = log
        self._silencing = silencing
        self._labels = labels
        self._outbox: deque[tuple[Change, float]] = deque()
        self._mine: OrderedDict[int, Event] = OrderedDict()
        self._told: dict[str, Told] = {}
        self._alerts: dict[str, Alert] = {}
        self._past: deque[Past] = deque(maxlen=history)
        self.after: Callable[[], object] = _nothing
        self._changed = False
        self.in_child()

    def in_child(self) -> None:
        """Make new locks."""
        self._draining = threading.Lock()
        self._lock = threading.Lock()

    @property
    def told(self) -> tuple[Told, ...]:
        """The open incidents that were come to so far, oldest first."""
        with self._lock:
            return tuple(self._told.values())

    @property
    def past(self) -> tuple[Past, ...]:
        """The incidents that are over, latest last."""
        with self._lock:
            return tuple(self._past)

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """Those that were published and hold, oldest first."""
        with self._lock:
            return tuple(self._alerts.values())

    def is_mine(self, event: Event) -> bool:
        """Whether an event of the bus was published here."""
        with self._lock:
            return self._mine.pop(id(event), None) is event

    def post(self, changes: Iterable[Change], t: float) -> None:
        """Have changes told at the next :meth:`flush`. Call it under the lock by which they were decided."""
        self._outbox.extend((change, t) for change in changes)

    def flush(self) -> None:
        """Tell what was posted, unless another thread, or a caller further up, is doing so: then that one does."""
        while self._outbox:
            if not self._draining.acquire(blocking=False):
                return
            try:
                while self._outbox:
                    self._tell(*self._outbox.popleft())
                if self._changed:
                    self._changed = False
                    self.after()
            finally:
                self._draining.release()

    def recheck(self, t: float) -> None:
        """Look again at what is silenced: what is not any more is told, and another reason is shown."""
        for told in self.told:
            if told.silenced and told.incident.live and self._reason(told.incident, t) != told.silenced:
                self._outbox.append((Change("unsilenced", told.incident, "it is not silenced any more"), t))
        self.flush()

    def restore(self, open_before: Iterable[Told]) -> None:
        """Take over what an earlier life knew; only what it had told is told to be over."""
        with self._lock:
            self._told.update((told.incident.fingerprint, told) for told in open_before)

    def _reason(self, incident: Incident, t: float) -> str:
        alert = alert_of(incident, t, self._labels(incident))
        try:
            return str(self._silencing(alert) or "")
        except Exception:
            logger.exception("asking whether %s is silenced failed: it is told", incident.fingerprint)
            return ""

    def _tell(self, change: Change, t: float) -> None:
        incident, fingerprint = change.incident, change.incident.fingerprint
        before = self._told.get(fingerprint)
        if change.what == "cleared":
            self._clear(change, before, t)
            return
        if change.what in ("raised", "escalated"):
            self._raise(change, before is not None and before.published, t)
        elif change.what == "unsilenced":
            if before is not None and before.silenced:  # else it ended, or somebody came before
                self._raise(change._replace(incident=before.incident), False, t)
        elif before is not None:
            self._keep(attrs.evolve(before, incident=incident))
            self._note(change, t, silenced=before.silenced)

    def _raise(self, change: Change, published: bool, t: float) -> None:
        """Tell of it, unless it is silenced; one that was told before is told that it is worse."""
        incident = change.incident
        worse = published and change.what == "escalated"
        reason = "" if worse else self._reason(incident, t)
        alert = None if reason else alert_of(incident, t, self._labels(incident))
        self._keep(Told(incident=incident, silenced=reason, published=published or not reason), alert)
        if not (reason and change.what == "unsilenced"):
            self._note(change, t, silenced=reason)
        if alert is not None:
            self._publish(alert)

    def _clear(self, change: Change, before: Told | None, t: float) -> None:
        known = before or Told(incident=change.incident)
        with self._lock:
            self._told.pop(change.incident.fingerprint, None)
            self._alerts.pop(change.incident.fingerprint, None)
            self._past.append(Past(told=attrs.evolve(known, incident=change.incident), cleared=t, why=change.why))
            self._changed = True
        self._note(change, t, silenced=known.silenced)
        if known.published:
            self._publish(AlertCleared(at=t, fingerprint=change.incident.fingerprint))

    def _keep(self, told: Told, alert: Alert | None = None) -> None:
        with self._lock:
            self._told[told.incident.fingerprint] = told
            if alert is not None:
                self._alerts[alert.fingerprint] = alert
            self._changed = True

    def _publish(self, event: Event) -> None:
        with self._lock:
            self._mine[id(event)] = event
            if len(self._mine) > _REMEMBERED:
                self._mine.popitem(last=False)
        self._events.publish(event)

    def _note(self, change: Change, t: float, silenced: str) -> None:
        incident = change.incident
        signal = incident.signal
        fields: dict[str, Any] = {
            "fingerprint": incident.fingerprint,
            "kind": signal.kind,
            "target": signal.target,
            "metric": signal.metric,
            "value": signal.value,
            "severity": signal.severity,
            "since": moment(incident.since),
            "said_by": signal.source,
            "message": signal.message,
            "evidence": dict(signal.evidence),
        }
        told = {"silenced": silenced, "why": change.why, "flapping": incident.flapping, "times": incident.times}
        what = "silenced" if silenced and change.what == "raised" else change.what
        self._log(f"alert_{what}", **fields, **{key: value for key, value in told.items() if value})


class Logbook:
    """Writes entries to a journal, if there is one; what cannot be written is counted, and said once.

    Args:
        journal: the journal; ``None``: the one that ``make`` gives.
        make: asked for it until there is one; ``None``: nothing is written down.
    """

    def __init__(self, journal: Journal | None, make: Callable[[], Journal | None] | None) -> None:
        self.unwritten = 0
        self.problem = ""
        self._make = make
        self._journal = journal if journal is not None or make is None else make()

    def write(self, type: str, **fields: Any) -> None:
        """Write one entry."""
        if self._journal is None and self._make is not None:
            self._journal = self._make()
            self.unwritten += self._journal is None
        if self._journal is None:
            return
        try:
            if not self._journal.writing:
                self._journal.try_to_write()
            self._journal.append(type, **fields)
        except (JournalError, EntryRefusedError) as error:
            self.unwritten += 1
            if str(error) != self.problem:
                logger.error("what became of alerts is not written down: %s", error)
            self.problem = str(error)
        else:
            self.problem = ""

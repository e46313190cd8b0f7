"""Failures that pull others along, in the order in which parts need each other."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from selfheal.detection.rules.findings import Finding, OpenFindings
from selfheal.detection.rules.watch import Quiet
from selfheal.events import Alert, AlertCleared, Event

if TYPE_CHECKING:
    from selfheal.detection.rules.specs import CascadeRule

_MOST_ALARMS = 1000


class CascadeWatch(Quiet):
    """Watches which parts alarm, by any alert whose target is a part."""

    def __init__(self, rule: CascadeRule) -> None:
        self._rule = rule
        self._open = OpenFindings(rule.name, rule.TYPE)
        self._parts = {*rule.dependencies, *(one for needs in rule.dependencies.values() for one in needs)}
        self._dependants: dict[str, list[str]] = {part: [] for part in self._parts}
        for part, needs in rule.dependencies.items():
            for need in needs:
                self._dependants[need].append(part)
        self._alarms: dict[str, str] = {}  # fingerprint → part
        self._since: dict[str, float] = {}  # part → monotonic seconds of its first alarm that lasts
        self._chains: dict[str, tuple[str, ...]] = {}

    def event(self, event: Event, t: float, at: float) -> list[Finding]:
        """A part alarms, or an alarm of it is over."""
        if isinstance(event, Alert) and event.target in self._parts and event.kind != self._rule.TYPE:
            if event.fingerprint in self._alarms or len(self._alarms) >= _MOST_ALARMS:
                return []
            self._alarms[event.fingerprint] = event.target
            self._since.setdefault(event.target, at)
            return self._look(t)
        if isinstance(event, AlertCleared) and event.fingerprint in self._alarms:
            part = self._alarms.pop(event.fingerprint)
            if part not in self._alarms.values():
                del self._since[part]
            return self._over(t)
        return []

    def forget(self, target: str, t: float) -> list[Finding]:
        """A part is gone, and its alarms with it."""
        self._alarms = {fingerprint: part for fingerprint, part in self._alarms.items() if part != target}
        self._since.pop(target, None)
        return self._over(t)

    def _look(self, t: float) -> list[Finding]:
        for root in sorted(self._since, key=lambda part: (self._since[part], part)):
            chain = self._chain(root)
            if len(chain) < self._rule.least or any(set(chain) & set(known) for known in self._chains.values()):
                continue
            self._chains[root] = chain
            told = " → ".join(chain)
            return self._open.begin(
                root,
                t,
                self._rule.severity,
                target=root,
                value=float(len(chain)),
                message=f"{root} failed first and pulled {len(chain) - 1} others along: {told}",
                evidence={"root": root, "chain": told, "parts": str(len(chain))},
            )
        return []

    def _chain(self, root: str) -> tuple[str, ...]:
        """The root and all that need it, however indirectly, and alarm after what they need, in order of time."""
        began, rule = self._since[root], self._rule
        reached, todo = {root}, deque([root])
        while todo:
            for part in self._dependants[todo.popleft()]:
                if part not in reached:
                    reached.add(part)
                    todo.append(part)
        alarming = [
            part for part in reached if part in self._since and -rule.slack <= self._since[part] - began <= rule.within
        ]
        kept = {root}
        for part in sorted(alarming, key=lambda part: (self._since[part], part)):
            needs = [need for need in rule.dependencies.get(part, ()) if need in alarming]
            if all(self._since[need] - rule.slack <= self._since[part] for need in needs):
                kept.add(part)
        return tuple(sorted(kept, key=lambda part: (part != root, self._since[part], part)))

    def _over(self, t: float) -> list[Finding]:
        found: list[Finding] = []
        for root, chain in tuple(self._chains.items()):
            if sum(part in self._since for part in chain) < 2:
                del self._chains[root]
                found += self._open.end(root, t, f"what {root} pulled along is well again")
        return found

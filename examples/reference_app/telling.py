"""Whom the app tells when a person is needed, and what it keeps for whoever looks into the case."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from selfheal.events import DormancyEntered, EventBus
from selfheal.levers import FileNotifier, LogNotifier, Notifier, Notifiers, Snapshotter, WebhookNotifier

logger = logging.getLogger("reference_app.telling")

NOTIFICATIONS = "notifications.jsonl"
SNAPSHOTS = "snapshots"


class Telling:
    """Notifications on critical alerts and on dormancy, and a snapshot of everything when it becomes dormant.

    Args:
        directory: where both are kept.
        status: the status, for the snapshot.
        webhook: address that gets each notification too; empty: none does.
        events: the bus that is listened to.
    """

    def __init__(
        self, directory: Path, status: Callable[[], Mapping[str, object]], webhook: str, events: EventBus
    ) -> None:
        ways: dict[str, Notifier] = {
            "log": LogNotifier("reference_app.notify"),
            "file": FileNotifier(directory / NOTIFICATIONS),
        }
        if webhook:
            ways["webhook"] = WebhookNotifier(webhook)
        self.notifiers = Notifiers(ways, events=events)
        snapshots = directory / SNAPSHOTS
        snapshots.mkdir(mode=0o700, exist_ok=True)
        self.snapshotter = Snapshotter(snapshots, {"status": status})
        self._subscriptions = [
            *self.notifiers.notify_on(events),
            events.subscribe(self._keep_evidence, DormancyEntered),
        ]

    def close(self) -> None:
        """Listen no more."""
        for subscription in self._subscriptions:
            subscription.cancel()

    def _keep_evidence(self, event: DormancyEntered) -> None:
        kept = self.snapshotter.snapshot(f"dormant: {event.reason}")
        logger.warning("a snapshot of this moment is in %s", kept)

"""Copies of backups in other places: sent, verified there, and fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfheal.lazy import lazy_names

if TYPE_CHECKING:
    from selfheal.backup.replicating.places import Files as Files
    from selfheal.backup.replicating.replica import Replica as Replica
    from selfheal.backup.replicating.replica import Sent as Sent

_HOME = {"Files": "places", "Replica": "replica", "Sent": "replica"}

__all__ = ["Files", "Replica", "Sent"]

__getattr__, __dir__ = lazy_names(__name__, _HOME, globals())

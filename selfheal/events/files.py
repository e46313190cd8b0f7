"""Alerts in a file, for another program."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.durable import replace_file
from selfheal.events.records import Alert

FILE_NAME = "anomaly_alert_latest.json"
"""What the file is called where nobody says otherwise."""


def write_alerts(
    path: str | Path, alerts: Iterable[Alert], *, complete: bool = False, clock: Clock = SYSTEM_CLOCK
) -> None:
    """Leave alerts in a file for an ``AlertFile``; a reader sees the old file or the new one, never a half.

    Args:
        path: the file; its directory has to be there. What was in it is replaced. It is for its owner alone, until
            somebody gives it other permissions, which it keeps.
        alerts: what to write. One that has no time (``at`` is 0) gets the time of now.
        complete: whether these are all that are open, so that a reader takes what is not among them for over.
        clock: gives the time of now.

    Raises:
        OSError: if it cannot be written; the old file is still there then.
    """
    wall = clock.wall()
    told = [alert_data(alert if alert.at else attrs.evolve(alert, at=wall)) for alert in alerts]
    data = json.dumps({"alerts": told, "complete": complete}, allow_nan=False, indent=1).encode()
    replace_file(path, data, mode=None, sync="content")


def alert_data(alert: Alert) -> dict[str, Any]:
    """An alert as JSON data; a value that is none becomes ``None``."""
    value = alert.value if math.isfinite(alert.value) else None
    return {**attrs.asdict(alert), "value": value, "severity": alert.severity.value}

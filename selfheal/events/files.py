"""Alerts in a file, for another program."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

from selfheal.clock import SYSTEM_CLOCK, Clock
from selfheal.events.records import Alert

FILE_NAME = "anomaly_alert_latest.json"
"""What the file is called where nobody says otherwise."""


def write_alerts(path: str | Path, alerts: Iterable[Alert], *, clock: Clock = SYSTEM_CLOCK) -> None:
    """Leave alerts in a file for an ``AlertFile``; a reader sees the old file or the new one, never a half.

    Args:
        path: the file; its directory has to be there. What was in it is replaced.
        alerts: what to write. One that has no time (``at`` is 0) gets the time of now.
        clock: gives the time of now.

    Raises:
        OSError: if it cannot be written; the old file is still there then.
    """
    import tempfile  # only who writes pays

    wall = clock.wall()
    told = [alert_data(alert if alert.at else attrs.evolve(alert, at=wall)) for alert in alerts]
    data = json.dumps({"alerts": told}, allow_nan=False, indent=1).encode()
    file = Path(path)
    fd, beside = tempfile.mkstemp(prefix=".alerts-", suffix=".tmp", dir=file.parent)
    try:
        with os.fdopen(fd, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        os.replace(beside, file)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise


def alert_data(alert: Alert) -> dict[str, Any]:
    """An alert as JSON data; a value that is none becomes ``None``."""
    value = alert.value if math.isfinite(alert.value) else None
    return {**attrs.asdict(alert), "value": value, "severity": alert.severity.value}

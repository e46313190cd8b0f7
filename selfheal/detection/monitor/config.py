"""Settings of a monitor."""

from __future__ import annotations

from typing import Any, TypedDict

import attrs

from selfheal.validators import a_zone, between

WEEK = 604_800.0


@attrs.frozen(kw_only=True)
class MonitorConfig:
    """How alerts are told, and how much is kept.

    Args:
        zone: time zone of reports, and of the time of day that is learnt, by default learners and by shipped rules.
        flap_raises: alerts of one incident within ``flap_window`` that make it a flapping one.
        flap_window: seconds.
        flap_quiet: seconds without it after which a flapping one is over.
        linger: seconds for which a learnt detector may go on to see something unusual in the latest values, after the
            alert that explained it was cleared, before that becomes an alert of its own.
        aftermath: seconds after an alert was cleared in which what a learnt detector begins to say of the same series
            is taken to be about it, and lingers: learnt detectors look at steps that are over.
        restored_for: seconds for which an incident of an earlier life is held open, waiting to be seen again.
        max_open: alerts open at once.
        max_series: series whose labels and latest values are known.
        remembered: alerts that are over which are remembered.
        save_every: seconds between two savings.

    Raises:
        ConfigError: if a value is out of range.
    """

    zone: str = attrs.field(default="UTC", validator=a_zone)
    flap_raises: int = attrs.field(default=4, validator=between(2, 1000))
    flap_window: float = attrs.field(default=3600.0, validator=between(1.0, WEEK, "s"))
    flap_quiet: float = attrs.field(default=1800.0, validator=between(1.0, WEEK, "s"))
    linger: float = attrs.field(default=3600.0, validator=between(0.0, WEEK, "s"))
    aftermath: float = attrs.field(default=900.0, validator=between(0.0, WEEK, "s"))
    restored_for: float = attrs.field(default=1800.0, validator=between(0.0, WEEK, "s"))
    max_open: int = attrs.field(default=500, validator=between(1, 100_000))
    max_series: int = attrs.field(default=5000, validator=between(1, 1_000_000))
    remembered: int = attrs.field(default=200, validator=between(1, 100_000))
    save_every: float = attrs.field(default=3600.0, validator=between(10.0, WEEK, "s"))


class MonitorOptions(TypedDict, total=False):
    """The fields of :class:`MonitorConfig` as keyword arguments."""

    zone: str
    flap_raises: int
    flap_window: float
    flap_quiet: float
    linger: float
    aftermath: float
    restored_for: float
    max_open: int
    max_series: int
    remembered: int
    save_every: float


def checked(config: MonitorConfig | None, options: Any) -> MonitorConfig:
    """The settings, with those given as keyword arguments in place."""
    return attrs.evolve(config or MonitorConfig(), **options)

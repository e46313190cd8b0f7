"""Settings that the multivariate detectors have in common."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from selfheal.errors import ConfigError
from selfheal.validators import a_zone, between, one_of

DAY = 86_400.0
MOST_METRICS = 200


@attrs.frozen(kw_only=True)
class WindowConfig:
    """What a detector of several metrics learns from, and when it fits.

    Args:
        zone: time zone whose time of day counts.
        window: seconds of the past that the model is fitted to; 600 to 7776000 (90 days).
        max_rows: samples kept of that at most, spread evenly over it; 64 to 20000.
        least: samples before the first model; 8 to 10000, at most ``max_rows``.
        refit_every: seconds between two models; 60 to 604800.
        refit: ``"inline"``: :meth:`learn` fits when it is time; ``"called"``: only :meth:`refit` does.
        smooth: samples over which deviations are averaged, so that what lasts stands out from single jumps; 1 to 100.
        lasting: seconds after which a deviation counts 1/e in a second mean, which is taken where it is larger, so that
            what lasts stands out in samples of every minute as in those of every five; 0 to 86400, 0 for none.
        anchor: seconds that what was usual at one moment stays to be compared with, beside what was learnt since, so
            that a long incident stays unusual; 0 to 31536000 (a year), 0 for never.
        seed: of all that is drawn at random; 0 to 4294967295.

    Raises:
        ConfigError: if a value is out of range.
    """

    zone: str = attrs.field(default="UTC", validator=a_zone)
    window: float = attrs.field(default=7 * DAY, validator=between(600.0, 90 * DAY, "s"))
    max_rows: int = attrs.field(default=2_000, validator=between(64, 20_000))
    least: int = attrs.field(default=64, validator=between(8, 10_000))
    refit_every: float = attrs.field(default=21_600.0, validator=between(60.0, 7 * DAY, "s"))
    refit: str = attrs.field(default="inline", validator=one_of("inline", "called"))
    smooth: int = attrs.field(default=6, validator=between(1, 100))
    lasting: float = attrs.field(default=0.0, validator=between(0.0, DAY, "s"))
    anchor: float = attrs.field(default=0.0, validator=between(0.0, 365 * DAY, "s"))
    seed: int = attrs.field(default=0, validator=between(0, 2**32 - 1))

    def __attrs_post_init__(self) -> None:
        if self.least > self.max_rows:
            accepted = f"at most max_rows ({self.max_rows})"
            raise ConfigError(f"{type(self).__name__}.least", self.least, accepted, "64")


def some_metrics(metrics: Iterable[str]) -> tuple[str, ...]:
    """Names of metrics: at least one, at most 200, text, none twice.

    Raises:
        ConfigError: if they are not.
    """
    names = tuple(metrics)
    good = all(type(name) is str and name.strip() for name in names)
    if isinstance(metrics, str) or not good or not 1 <= len(set(names)) == len(names) <= MOST_METRICS:
        raise ConfigError("metrics", metrics, f"1 to {MOST_METRICS} different names")
    return names

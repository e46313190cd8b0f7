"""Too much is unhealthy at once: then it is no fault of single targets, and healing them one by one does harm. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import attrs

from selfheal.errors import ConfigError
from selfheal.validators import between

_ACCEPTED = "a share above 0.0 and up to 1.0, or a count: an integer between 1 and 1000000"


def _limit(owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    share = isinstance(value, float) and 0.0 < value <= 1.0
    count = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1_000_000
    if not share and not count:
        raise ConfigError("BlastRadius.max_unhealthy", value, _ACCEPTED, repr(field.default))


@attrs.frozen(kw_only=True)
class BlastRadius:
    """How many targets may be unhealthy at once before healing stops.

    A target that is being healed counts as unhealthy: a remedy must not take a whole pool away one by one.

    Args:
        max_unhealthy: a ``float`` is a share of the known targets, above 0.0 and up to 1.0 (``1.0``: all may be); an
            ``int`` is a count, 1 or more. More than that many unhealthy ones refuse.
        at_least: fewer unhealthy targets than this never refuse, whatever their share; 1 to 1000000. So a host of two
            targets can still be healed when both are ill.

    Raises:
        ConfigError: if a value is out of range.

    >>> radius = BlastRadius(max_unhealthy=0.5, at_least=2)
    >>> radius.check({"a"}, {"a", "b", "c", "d"}) is None
    True
    >>> radius.check({"a", "b"}, {"a", "b", "c", "d"}, healing={"c"})
    '3 of 4 known targets are unhealthy or being healed, more than the share of 0.5'
    """

    max_unhealthy: int | float = attrs.field(default=0.5, validator=_limit)
    at_least: int = attrs.field(default=3, validator=between(1, 1_000_000))

    def check(self, unhealthy: Collection[str], known: Collection[str], healing: Collection[str] = ()) -> str | None:
        """Why no healing may begin; ``None`` if one may.

        Args:
            unhealthy: names of the targets with an open alert, the one to be healed included.
            known: names of all targets there are; those of the other two are taken as known.
            healing: names of the targets that are being healed.
        """
        ill = {*unhealthy, *healing}
        everything = len(ill.union(known))
        if len(ill) < self.at_least:
            return None
        if isinstance(self.max_unhealthy, int):
            allowed, limit = self.max_unhealthy, f"the {self.max_unhealthy} that may be"
        else:
            allowed, limit = int(self.max_unhealthy * everything + 1e-9), f"the share of {self.max_unhealthy:g}"
        if len(ill) <= allowed:
            return None
        return f"{len(ill)} of {everything} known targets are unhealthy or being healed, more than {limit}"

    def snapshot(self) -> dict[str, float]:
        """The limits, as plain data."""
        return {"max_unhealthy": self.max_unhealthy, "at_least": self.at_least}

"""Who says so, and why: what every word of a person comes with."""

from __future__ import annotations

import attrs

from selfheal.validators import name


@attrs.frozen(kw_only=True)
class Signed:
    """Who says so, and why.

    Args:
        by: who; not blank.
        reason: why; not blank.

    Raises:
        ConfigError: if one of them is blank.
    """

    by: str = attrs.field(validator=name)
    reason: str = attrs.field(validator=name)

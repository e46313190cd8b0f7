"""What a guard answers when something may not be done now."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Refusal:
    """It may not be done now.

    Args:
        kind: which rule stands against it, one word (``"grace"``).
        reason: in words, for people.
        retry_in: seconds until the rule may let it pass; ``None`` if time does not tell.
    """

    kind: str
    reason: str
    retry_in: float | None = None

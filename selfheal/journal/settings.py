"""What can be set of a journal."""

from __future__ import annotations

from typing import Literal

import attrs

from selfheal.validators import between, one_of

Sync = Literal["destructive", "always", "never"]


@attrs.frozen(kw_only=True)
class JournalConfig:
    """How much a journal keeps, and when it waits for the disk.

    Args:
        max_bytes: size at which the file is rotated.
        keep: rotated files that are kept beside the one being written.
        sync: what is flushed to the disk before ``append`` returns. ``"destructive"``: the entries appended with
            ``sync=True``, which is for what is about to be done and cannot be taken back; ``"always"``: each entry;
            ``"never"``: none. What is not flushed survives the end of the process, not a loss of power.

    Raises:
        ConfigError: if a value is out of range.
    """

    max_bytes: int = attrs.field(default=10 * 1024 * 1024, validator=between(1024, 1024**3))
    keep: int = attrs.field(default=5, validator=between(1, 1000))
    sync: Sync = attrs.field(default="destructive", validator=one_of("destructive", "always", "never"))

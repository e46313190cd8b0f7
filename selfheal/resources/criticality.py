"""How much it matters that a piece of work is done: what is served first, and what may be shed."""

from __future__ import annotations

import enum


class Criticality(enum.StrEnum):
    """Three classes of work.

    Source: *Site Reliability Engineering*, "Handling Overload" (criticality), with four classes made three.
    """

    CRITICAL = "critical"
    """Served first, never slowed down, never shed."""
    DEFAULT = "default"
    """Ordinary work: it may be delayed."""
    SHEDDABLE = "sheddable"
    """The first to be delayed, and to be given up when there is no room."""

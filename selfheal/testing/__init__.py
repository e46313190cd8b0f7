"""What a host needs to test its healing policies: a virtual clock."""

from selfheal.testing.clock import FakeClock

__all__ = ["FakeClock"]

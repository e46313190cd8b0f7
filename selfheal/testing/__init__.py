"""What a host needs to test its healing policies: a virtual clock, levers that remember, a contract for actions."""

from selfheal.testing.action_contract import ActionContract, check_action
from selfheal.testing.action_scene import ActionScene, ContractBreachError
from selfheal.testing.clock import FakeClock
from selfheal.testing.lever_proxies import LeverBrokenError, Taps
from selfheal.testing.recording import Pull, RecordingLevers

__all__ = [
    "ActionContract",
    "ActionScene",
    "ContractBreachError",
    "FakeClock",
    "LeverBrokenError",
    "Pull",
    "RecordingLevers",
    "Taps",
    "check_action",
]

"""What a host needs to test its policies: a virtual clock, levers that remember, contracts for actions and detectors.

Each name is loaded when first used: a test that needs a clock loads no actions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfheal.lazy import lazy_names

if TYPE_CHECKING:
    from selfheal.testing.action_contract import ActionContract as ActionContract
    from selfheal.testing.action_contract import check_action as check_action
    from selfheal.testing.action_scene import ActionScene as ActionScene
    from selfheal.testing.clock import FakeClock as FakeClock
    from selfheal.testing.contract import ContractBreachError as ContractBreachError
    from selfheal.testing.detector_contract import DetectorContract as DetectorContract
    from selfheal.testing.detector_contract import check_detector as check_detector
    from selfheal.testing.lever_proxies import LeverBrokenError as LeverBrokenError
    from selfheal.testing.lever_proxies import Taps as Taps
    from selfheal.testing.recording import Pull as Pull
    from selfheal.testing.recording import RecordingLevers as RecordingLevers

_HOME = {
    "ActionContract": "action_contract",
    "ActionScene": "action_scene",
    "ContractBreachError": "contract",
    "DetectorContract": "detector_contract",
    "FakeClock": "clock",
    "LeverBrokenError": "lever_proxies",
    "Pull": "recording",
    "RecordingLevers": "recording",
    "Taps": "lever_proxies",
    "check_action": "action_contract",
    "check_detector": "detector_contract",
}

__all__ = [
    "ActionContract",
    "ActionScene",
    "ContractBreachError",
    "DetectorContract",
    "FakeClock",
    "LeverBrokenError",
    "Pull",
    "RecordingLevers",
    "Taps",
    "check_action",
    "check_detector",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME, globals())

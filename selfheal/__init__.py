"""selfheal: a service that notices its own faults, repairs them, and knows when to stop.

Importing this package loads next to nothing: each public name is loaded when first used (PEP 562), so
that an import starts no thread, reads no environment, installs no handler and costs next to nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from selfheal.lazy import lazy_names

if TYPE_CHECKING:
    from selfheal.detection import IsolationForestDetector as IsolationForestDetector
    from selfheal.errors import CircuitOpenError as CircuitOpenError
    from selfheal.errors import ConfigError as ConfigError
    from selfheal.errors import SelfhealError as SelfhealError
    from selfheal.events import Alert as Alert
    from selfheal.events import EventBus as EventBus
    from selfheal.healing import Healer as Healer
    from selfheal.healing import StrategyEngine as StrategyEngine
    from selfheal.policies.backoff import ExponentialBackoff as ExponentialBackoff
    from selfheal.policies.breaker import BreakerConfig as BreakerConfig
    from selfheal.policies.breaker import BreakerRegistry as BreakerRegistry
    from selfheal.policies.breaker import CircuitBreaker as CircuitBreaker
    from selfheal.policies.breaker import CountWindow as CountWindow
    from selfheal.policies.breaker import TimeWindow as TimeWindow
    from selfheal.policies.dormancy import DormantController as DormantController
    from selfheal.policies.flags import FeatureFlags as FeatureFlags
    from selfheal.status import StatusReport as StatusReport
    from selfheal.tasks import TaskRegistry as TaskRegistry

__version__ = "0.1.0"

_HOME = {
    "Alert": "selfheal.events",
    "BreakerConfig": "selfheal.policies.breaker",
    "BreakerRegistry": "selfheal.policies.breaker",
    "CircuitBreaker": "selfheal.policies.breaker",
    "CircuitOpenError": "selfheal.errors",
    "ConfigError": "selfheal.errors",
    "CountWindow": "selfheal.policies.breaker",
    "DormantController": "selfheal.policies.dormancy",
    "EventBus": "selfheal.events",
    "ExponentialBackoff": "selfheal.policies.backoff",
    "FeatureFlags": "selfheal.policies.flags",
    "Healer": "selfheal.healing",
    "IsolationForestDetector": "selfheal.detection",
    "SelfhealError": "selfheal.errors",
    "StatusReport": "selfheal.status",
    "StrategyEngine": "selfheal.healing",
    "TaskRegistry": "selfheal.tasks",
    "TimeWindow": "selfheal.policies.breaker",
}

__all__ = [
    "Alert",
    "BreakerConfig",
    "BreakerRegistry",
    "CircuitBreaker",
    "CircuitOpenError",
    "ConfigError",
    "CountWindow",
    "DormantController",
    "EventBus",
    "ExponentialBackoff",
    "FeatureFlags",
    "Healer",
    "IsolationForestDetector",
    "SelfhealError",
    "StatusReport",
    "StrategyEngine",
    "TaskRegistry",
    "TimeWindow",
]


logging.getLogger("selfheal").addHandler(logging.NullHandler())  # the host decides where logs go

__getattr__, __dir__ = lazy_names(__name__, _HOME, globals())

"""The monitor: rules and learnt detectors at work, and the alerts that come of them.

Each name is loaded when first used: only a bank of baselines needs numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfheal.lazy import lazy_names

if TYPE_CHECKING:
    from selfheal.detection.monitor.banks import BankLearner as BankLearner
    from selfheal.detection.monitor.config import MonitorConfig as MonitorConfig
    from selfheal.detection.monitor.groups import GroupLearner as GroupLearner
    from selfheal.detection.monitor.incidents import Change as Change
    from selfheal.detection.monitor.incidents import Incident as Incident
    from selfheal.detection.monitor.incidents import Incidents as Incidents
    from selfheal.detection.monitor.learners import Learner as Learner
    from selfheal.detection.monitor.learners import Learning as Learning
    from selfheal.detection.monitor.markdown import as_markdown as as_markdown
    from selfheal.detection.monitor.monitor import Monitor as Monitor
    from selfheal.detection.monitor.reporting import Report as Report
    from selfheal.detection.monitor.series import SeriesLearner as SeriesLearner
    from selfheal.detection.monitor.signals import Ended as Ended
    from selfheal.detection.monitor.signals import Signal as Signal
    from selfheal.detection.monitor.snapshots import MonitorSnapshot as MonitorSnapshot

_HOME = {
    "BankLearner": "banks",
    "Change": "incidents",
    "Ended": "signals",
    "GroupLearner": "groups",
    "Incident": "incidents",
    "Incidents": "incidents",
    "Learner": "learners",
    "Learning": "learners",
    "Monitor": "selfheal.detection.monitor.monitor",
    "MonitorConfig": "config",
    "MonitorSnapshot": "snapshots",
    "Report": "reporting",
    "SeriesLearner": "series",
    "Signal": "signals",
    "as_markdown": "markdown",
}

__all__ = [
    "BankLearner",
    "Change",
    "Ended",
    "GroupLearner",
    "Incident",
    "Incidents",
    "Learner",
    "Learning",
    "Monitor",
    "MonitorConfig",
    "MonitorSnapshot",
    "Report",
    "SeriesLearner",
    "Signal",
    "as_markdown",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME, globals())

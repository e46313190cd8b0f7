"""The monitor: rules and learnt detectors at work, and the alerts that come of them."""

from selfheal.detection.monitor.config import MonitorConfig
from selfheal.detection.monitor.incidents import Change, Incident, Incidents
from selfheal.detection.monitor.learners import Learner, Learning
from selfheal.detection.monitor.monitor import Monitor
from selfheal.detection.monitor.series import SeriesLearner
from selfheal.detection.monitor.signals import Ended, Signal
from selfheal.detection.monitor.snapshots import MonitorSnapshot

__all__ = [
    "Change",
    "Ended",
    "Incident",
    "Incidents",
    "Learner",
    "Learning",
    "Monitor",
    "MonitorConfig",
    "MonitorSnapshot",
    "SeriesLearner",
    "Signal",
]

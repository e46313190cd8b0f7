"""Everything a person has to know, as data and as Markdown, and the calls by which they steer."""

from selfheal.status.judge import Finding, Level
from selfheal.status.report import StatusReport
from selfheal.status.steering import Caller, Steering

__all__ = ["Caller", "Finding", "Level", "StatusReport", "Steering"]

"""How much of what a process may use is in use, aware of containers. Nothing heavy is loaded before it is read."""

from selfheal.usage.reading import MACHINE, UNKNOWN, Machine, PsutilMachine, Usage, UsageReader

__all__ = ["MACHINE", "Machine", "PsutilMachine", "UNKNOWN", "Usage", "UsageReader"]

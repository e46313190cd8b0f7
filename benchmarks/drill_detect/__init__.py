"""Faults on real processes, and whether the monitor finds them: ``python -m benchmarks.drill_detect``."""

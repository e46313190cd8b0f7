"""The eight scenarios that a service must go through well, each proven twice.

``python -m examples.eight_scenarios`` runs them on the virtual clock, with the real parts of selfheal and their
default numbers, and on the running reference app, whose clockwork is a hundred times faster.
"""

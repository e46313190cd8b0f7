"""Rules that say when to act, when to wait and when to stop: each usable alone.

Import from the modules: :mod:`selfheal.policies.backoff`, :mod:`selfheal.policies.breaker`,
:mod:`selfheal.policies.dormancy`, :mod:`selfheal.policies.flags`. Nothing is loaded here.
"""

"""Rules that say when to act, when to wait and when to stop: each usable alone.

Import from the modules: :mod:`~selfheal.policies.backoff`, :mod:`~selfheal.policies.breaker`,
:mod:`~selfheal.policies.dormancy`, :mod:`~selfheal.policies.flags`; and what stands before a healing:
:mod:`~selfheal.policies.action_budget`, :mod:`~selfheal.policies.approvals`, :mod:`~selfheal.policies.blast_radius`,
:mod:`~selfheal.policies.grace`, :mod:`~selfheal.policies.inhibition`, :mod:`~selfheal.policies.protection`,
:mod:`~selfheal.policies.silences`, :mod:`~selfheal.policies.target_holds`, :mod:`~selfheal.policies.target_locks`,
:mod:`~selfheal.policies.windows`. Nothing is loaded here.
"""

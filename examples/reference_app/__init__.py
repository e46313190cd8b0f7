"""A document-summary gateway that heals itself: the parts of selfheal wired into one real service.

::

    client ── POST /summaries ──> gateway ── breaker "summary-provider" ──> provider (a process of its own)
                                     └──────── when that fails ───────────> local summary, marked degraded
    every 300 s   detection      requests, keys, process, breaker  ──> alerts on the bus
    on an alert   healing        validate keys, restart the provider, probe it, under every guard of the healer
    every 600 s   preventive     the same looks before anything is wrong

Start it with ``python -m examples.reference_app``; see a whole incident with
``python -m examples.reference_app.demo``. It needs a POSIX system.
"""

"""A document-summary gateway that heals itself: the parts of selfheal wired into one real service.

::

    client ── POST /summaries ──> door ──> gateway ── cache, breaker, limit ──> provider (a supervised process)
                                   │          └────── when one refuses, or it fails ──> queue ──> summary workers
                        too fast: 429, too much: 503                                (local summary, marked degraded)
    every 300 s   detection      requests, keys, process, breaker, workers  ──> alerts on the bus
    on an alert   healing        validate keys, restart the provider, probe it, under every guard of the healer
    every 600 s   preventive     the same looks before anything is wrong
    every 1 s     watch          CPU and memory against the budget, workers that leak, the way back to the provider
    dormant       telling        a notification to people, and a snapshot of everything for whoever looks into it

Start it with ``python -m examples.reference_app``; see a whole incident with
``python -m examples.reference_app.demo``. It needs a POSIX system.
"""

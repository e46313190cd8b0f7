"""A document-summary gateway that heals itself: the parts of selfheal wired into one real service.

::

    client ── POST /summaries ──> door ──> gateway ── cache, breaker, limit ──> provider (a supervised process)
                                   │          └────── when one refuses, or it fails ──> queue ──> summary workers
                        too fast: 429, too much: 503                                (local summary, marked degraded)
    every 1 s     sampling       CPU, memory, latency, success rate, queue, anomaly score ──> triggers of six strategies
    every 300 s   detection      requests, keys, process, breaker, workers  ──> alerts on the bus
    every 300 s   learning       what was sampled, together, beside the past week ──> anomaly score, alerts on the bus
    on an alert   healing        the strategies that ship, and a repair of the app's own, under every guard; it is
                                 verified by new measurements, undone where it made things worse, and in the journal
    every 600 s   preventive     the same looks before anything is wrong
    every 1 s     watch          CPU and memory against the budget, workers that leak, the way back to the provider
    dormant       telling        a notification to people, and a snapshot of everything for whoever looks into it
    beside it     indexer        a supervised process that lists the documents most asked for

Start it with ``python -m examples.reference_app``; see six faults and a whole incident with
``python -m examples.reference_app.demo``. It needs a POSIX system.
"""

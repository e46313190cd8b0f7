"""All benchmarks, one after the other: ``python -m benchmarks``. Exits 1 if a gate is missed."""

from benchmarks import (
    bench_backup,
    bench_breaker,
    bench_conditions,
    bench_detect,
    bench_engine,
    bench_journal,
    bench_limiter,
    bench_queue,
    bench_sampler,
    bench_supervisor,
    bench_tasks,
)

ALL = (
    bench_backup,
    bench_breaker,
    bench_conditions,
    bench_detect,
    bench_engine,
    bench_journal,
    bench_limiter,
    bench_queue,
    bench_sampler,
    bench_supervisor,
    bench_tasks,
)

raise SystemExit(max(bench.main() for bench in ALL))

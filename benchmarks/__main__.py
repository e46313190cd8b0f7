"""All benchmarks, one after the other: ``python -m benchmarks``. Exits 1 if a gate is missed."""

from benchmarks import bench_breaker, bench_limiter, bench_supervisor, bench_tasks

raise SystemExit(max(bench_breaker.main(), bench_tasks.main(), bench_limiter.main(), bench_supervisor.main()))

"""Run all faults: ``python -m examples.demo_levers``. Exit code 0 only if everything held.

``--patience 5`` makes the slack in each bound, and the time for all, five times as long, for a machine that is busy
with other work; what follows from settings stays as it is.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from examples.demo_levers import service_faults
from examples.demo_levers.measuring import Results, Watch
from examples.demo_levers.provider_faults import SupervisedProvider
from examples.demo_levers.queue_faults import StuckQueue
from examples.demo_levers.worker_faults import FaultyWorkers
from examples.reference_app.story import Story
from selfheal.events import EventBus

LIMIT = 90.0
_HEADER = """selfheal: levers that really move. Faults on real processes, with bounds and measured times.

Each bound is the sum of the settings it follows from, and of a slack for what no setting decides: how long this
machine takes to start an interpreter. Logs and files: {directory}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run everything in a fresh directory, which is removed when all went well."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo_levers", description="Faults on real processes.")
    parser.add_argument("--patience", type=float, default=1.0, help="how many times as long the slack is (1)")
    patience: float = parser.parse_args(argv).patience
    directory = Path(tempfile.mkdtemp(prefix="selfheal-levers-"))
    logging.basicConfig(filename=directory / "demo.log", level=logging.INFO)
    print(_HEADER.format(directory=directory))
    story = Story()
    results = Results(story, patience)
    events = EventBus()
    watch = Watch(events)
    try:
        _provider(directory / "supervised", results, events, watch)
        _workers(directory, results, events, watch)
        _queue(directory, results, events)
        service_faults.run(directory / "service", results)
    except KeyboardInterrupt:
        print("\ninterrupted")
        return 130
    finally:
        watch.close()
        events.drain()
    held = _verdict(story, results, LIMIT * patience)
    if held:
        shutil.rmtree(directory)
    return 0 if held else 1


def _provider(directory: Path, results: Results, events: EventBus, watch: Watch) -> None:
    directory.mkdir()
    provider = SupervisedProvider(directory, events, watch)
    try:
        provider.start()
        provider.killed(results)
        provider.hung(results)
        provider.exits_at_once(results)
    finally:
        provider.supervisor.shutdown(5.0)


def _workers(directory: Path, results: Results, events: EventBus, watch: Watch) -> None:
    workers = FaultyWorkers(directory, events, watch)
    workers.killed(results)
    workers.hung(results)
    workers.leaks(results)
    workers.exits_at_once(results)
    workers.deadly_text(results)


def _queue(directory: Path, results: Results, events: EventBus) -> None:
    queue = StuckQueue(directory, events)
    try:
        queue.times_out(results)
        queue.is_redistributed(results)
    finally:
        queue.close()


def _verdict(story: Story, results: Results, limit: float) -> bool:
    print(f"\n{results.table()}\n")
    left = results.orphans()
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.current_thread()]
    story.expect("every fault was seen, and ended, within its bound", results.held, f"{len(results.rows)} faults")
    story.expect("no process is left", not left, left or "none")
    story.expect("no thread is left", not threads, threads or "none")
    story.expect(f"all within {limit:.0f} s", story.seconds <= limit, f"{story.seconds:.1f} s")
    return story.verdict()


if __name__ == "__main__":
    sys.exit(main())

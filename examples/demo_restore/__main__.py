"""Tell all of it: ``python -m examples.demo_restore``. Exit code 0 only if everything held.

``--patience 5`` waits five times as long for what has to happen, on a machine that is busy with other work.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import psutil

from examples.demo_restore.disaster import Disaster
from examples.demo_restore.stopped import Stopped
from examples.reference_app.running import NotSeenError, survivors
from examples.reference_app.story import Story

_HEADER = """selfheal: a service loses its config, its data and its state while it works, and gets them back.

Clients post documents all the while; each is acknowledged with a number once it is in the database.
Logs and files: {directory}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run everything in a fresh directory, which is removed when all went well."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo_restore", description="Lost files, and a restore.")
    parser.add_argument("--patience", type=float, default=1.0, help="how many times as long is waited (1)")
    patience: float = parser.parse_args(argv).patience
    directory = Path(tempfile.mkdtemp(prefix="selfheal-restore-"))
    logging.basicConfig(filename=directory / "demo.log", level=logging.INFO)
    print(_HEADER.format(directory=directory))
    story, processes = Story(), set[psutil.Process]()
    try:
        disaster = Disaster(directory / "service", story, patience)
        disaster.run(processes)
        Stopped(directory / "service", story, disaster.backup, patience).run(processes)
    except (NotSeenError, OSError, subprocess.SubprocessError) as error:
        story.expect("everything that had to happen did", False, f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        print("\ninterrupted")
        return 130
    held = _verdict(story, processes)
    if held:
        shutil.rmtree(directory)
    return 0 if held else 1


def _verdict(story: Story, processes: set[psutil.Process]) -> bool:
    left = survivors(list(processes))
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.current_thread()]
    story.expect("no process is left", not left, left or "none")
    story.expect("no thread is left", not threads, threads or "none")
    return story.verdict()


if __name__ == "__main__":
    sys.exit(main())

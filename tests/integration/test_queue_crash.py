"""A durable queue whose producers and consumers are killed at any moment, over and over."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest

from selfheal.errors import QueueFullError
from selfheal.events import EventBus
from selfheal.resources import TaskQueue

ROOT = Path(__file__).parents[2]

COMMON = """
    import os, sys
    from selfheal.resources import TaskQueue
    directory, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    queue = TaskQueue("crash", path=f"{directory}/queue.sqlite", synchronous="normal",
                      visibility=0.5, max_deliveries=1000, max_size=100_000, poll=0.01)
    def note(what, *words):
        file = os.open(f"{directory}/{what}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, (" ".join(map(str, words)) + "\\n").encode())
        os.close(file)
    print("ready", flush=True)
"""
PRODUCER = (
    COMMON
    + """
    for n in range(count):
        kind = ["default", "critical"][n % 2]
        note("acknowledged", queue.put({"n": n, "by": name}, priority=n % 10, criticality=kind))
"""
)
CONSUMER = (
    COMMON
    + """
    while True:
        delivery = queue.take(name, timeout=1.0)
        if delivery is not None:
            note("runs", delivery.id, delivery.delivery_count)
            if queue.ack(delivery):
                note("acks", delivery.id)
"""
)


def start(program: str, directory: Path, name: str, count: int = 0) -> subprocess.Popen[str]:
    """A process that uses the queue; it is at work when this returns."""
    command = [sys.executable, "-c", textwrap.dedent(program), str(directory), name, str(count)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    """Kill it."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def lines(directory: Path, what: str) -> list[tuple[int, ...]]:
    """What was noted, but for a line that a kill tore."""
    file = directory / what
    text = file.read_text() if file.exists() else ""
    return [tuple(map(int, line.split())) for line in text.splitlines()]


def open_queue(directory: Path, **options: object) -> TaskQueue:
    """The queue of the processes, here."""
    made: dict[str, object] = {"visibility": 0.5, "max_deliveries": 1000, "max_size": 100_000, **options}
    return TaskQueue("crash", path=directory / "queue.sqlite", events=EventBus(), **made)  # type: ignore[arg-type]


def noted(directory: Path, what: str) -> int:
    """How many lines were noted so far."""
    file = directory / what
    return file.read_bytes().count(b"\n") if file.exists() else 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
def test_kills_lose_nothing_and_declare_what_is_done_twice(tmp_path: Path, seed: int) -> None:
    """Every acknowledged put is done, each delivery has a count of its own, and nothing done comes back."""
    rng = random.Random(seed)
    consumers = [start(CONSUMER, tmp_path, f"c{n}") for n in range(2)]
    for round in range(10):
        producer = start(PRODUCER, tmp_path, f"p{round}", 10_000)
        enough = noted(tmp_path, "acknowledged") + rng.randrange(11, 100)
        while noted(tmp_path, "acknowledged") < enough:
            time.sleep(0.001)
        end(producer)
        victim = rng.randrange(2)
        end(consumers[victim])
        consumers[victim] = start(CONSUMER, tmp_path, f"c{victim}")
    with open_queue_closing(tmp_path) as queue:
        deadline = time.monotonic() + 200.0
        while queue.snapshot().size and time.monotonic() < deadline:
            time.sleep(0.05)
        left = queue.snapshot().size
    for consumer in consumers:
        end(consumer)

    acknowledged = [task for (task,) in lines(tmp_path, "acknowledged")]
    runs, acks = lines(tmp_path, "runs"), [task for (task,) in lines(tmp_path, "acks")]
    assert left == 0
    assert len(acknowledged) > 100
    assert len(set(acknowledged)) == len(acknowledged)
    assert set(acknowledged) <= {task for task, _ in runs}
    assert [run for run, times in Counter(runs).items() if times > 1] == []
    assert [task for task, times in Counter(acks).items() if times > 1] == []
    counts = Counter(task for task, _ in runs)
    assert all(count <= counts[task] + 20 for task, count in runs)  # a kill between take and note leaves a gap


class open_queue_closing:  # noqa: N801
    """The queue, closed at the end."""

    def __init__(self, directory: Path, **options: object) -> None:
        self.queue = open_queue(directory, **options)

    def __enter__(self) -> TaskQueue:
        return self.queue

    def __exit__(self, *_: object) -> None:
        self.queue.close()


def test_a_killed_takers_task_is_delivered_to_another_process(tmp_path: Path) -> None:
    """Visibility holds over processes: the task comes back after its time, counted, and the late ack is refused."""
    with open_queue_closing(tmp_path, visibility=2.0) as mine, open_queue_closing(tmp_path, visibility=600.0) as other:
        task = mine.put("x")
        first = mine.take("mine")
        assert first is not None
        assert other.take("other") is None
        second = other.take("other", timeout=60.0)

        assert second is not None
        assert (second.id, second.delivery_count, second.payload) == (task, 2, "x")
        assert not mine.ack(first)
        assert other.ack(second)
        assert mine.snapshot().size == 0


def test_a_put_of_another_process_ends_the_waiting(tmp_path: Path) -> None:
    """Who waits sees what another process puts, within its polling time."""
    with open_queue_closing(tmp_path) as mine:
        producer = start(PRODUCER, tmp_path, "p", 1)
        delivery = mine.take("mine", timeout=600.0)
        producer.wait()
        end(producer)

        assert delivery is not None
        assert delivery.payload == {"n": 0, "by": "p"}


def test_the_bound_and_the_slowness_are_those_of_the_file(tmp_path: Path) -> None:
    """Several queues on one file share its room, its speed and its dead letters."""
    with (
        open_queue_closing(tmp_path) as mine,
        open_queue_closing(tmp_path) as other,
    ):
        for _ in range(3):
            mine.put(1)
        small = open_queue(tmp_path, max_size=3)
        with pytest.raises(QueueFullError):
            small.put(1)
        small.close()
        mine.slow_down(100.0)
        first = other.take("o")
        assert first is not None
        assert mine.take("m") is None
        assert mine.snapshot().slow_factor == 100.0
        other.bury(first, "no use")
        assert [letter.id for letter in mine.dead_letters()] == [first.id]

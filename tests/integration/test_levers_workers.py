"""The reference app's local summaries, made by real processes: what a request is told, whatever becomes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from examples.reference_app.summary import lead
from examples.reference_app.upstream import DocumentRefusedError
from examples.reference_app.workers import NoLocalSummaryError, SummaryWorkers, WorkerLimits
from selfheal import EventBus
from selfheal.resources import Criticality
from tests.integration.summary_tasks import GATE, passed

TEXT = "The first sentence has enough words in it. The second one is about the provider and its keys."
FAULTY = "examples.demo_levers.faulty_tasks"
GATED = "tests.integration.summary_tasks:gated"
PATIENCE = 60.0
Make = Callable[..., SummaryWorkers]


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Once it is there, the workers of ``GATED`` go on."""
    path = tmp_path / "gate"
    monkeypatch.setenv(GATE, str(path))
    return path


def until(holds: Callable[[], object]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[SummaryWorkers] = []

    def start(target: str = "examples.reference_app.summary_task:summarise", **limits: float) -> SummaryWorkers:
        limits = {"answer_within": PATIENCE, **limits}
        workers = SummaryWorkers(WorkerLimits(**limits), EventBus(), target=target)  # type: ignore[arg-type]
        workers.start()
        assert workers.pool.wait_ready(60.0)
        made.append(workers)
        return workers

    yield start
    for workers in made:
        workers.stop()


def test_each_request_gets_its_own_summary(make: Make) -> None:
    """Many at once, over two processes."""
    workers = make()
    texts = [f"Text number {n} has quite a few words in it. {TEXT}" for n in range(40)]

    with ThreadPoolExecutor(10) as asking:
        got = list(asking.map(lambda text: workers.summarise(text, 2), texts))

    assert got == [lead(text, 2).text for text in texts]
    assert workers.queue.snapshot().size == 0


def test_a_text_without_sentences_is_refused_once(make: Make) -> None:
    """It is the caller's fault: no worker tries it again."""
    workers = make()

    with pytest.raises(DocumentRefusedError, match="no sentence"):
        workers.summarise(" \n ", 2)
    shown = workers.queue.snapshot()
    assert (shown.taken, shown.redelivered, shown.dead) == (1, 0, 0)


def test_a_request_waits_no_longer_than_its_bound(make: Make, gate: Path) -> None:
    """The summary may come later; nobody waits for it."""
    workers = make(GATED, answer_within=0.1, hung_after=600.0)

    with pytest.raises(NoLocalSummaryError, match=r"within 0\.1 s"):
        workers.summarise(TEXT, 2)
    assert workers.queue.snapshot().size == 1
    gate.touch()
    until(lambda: workers.queue.snapshot().acked == 1)


def test_a_full_queue_refuses_at_once(make: Make, gate: Path) -> None:
    """And says so; the requests that are in are answered."""
    workers = make(GATED, workers=1, max_waiting=2, hung_after=600.0)

    with ThreadPoolExecutor(2) as asking:
        inside = [asking.submit(workers.summarise, TEXT, 1) for _ in range(2)]
        until(lambda: workers.queue.snapshot().size == 2)
        with pytest.raises(NoLocalSummaryError, match="is full: it holds 2 of 2 tasks"):
            workers.summarise(TEXT, 1)
        gate.touch()
        assert [one.result(PATIENCE) for one in inside] == [lead(TEXT, 1).text] * 2


def test_what_can_wait_waits(make: Make, gate: Path) -> None:
    """Of what is in the queue, the default requests are done before the sheddable one that came first."""
    workers = make(GATED, workers=1, hung_after=600.0)
    asked = [
        ("At work it says so.", Criticality.DEFAULT),
        ("This can wait a bit.", Criticality.SHEDDABLE),
        ("This cannot wait at all.", Criticality.DEFAULT),
    ]
    with ThreadPoolExecutor(3) as asking:
        for size, (text, criticality) in enumerate(asked, 1):
            asking.submit(workers.summarise, text, 1, criticality)
            until(lambda size=size: workers.queue.snapshot().put == size)  # type: ignore[misc]
            until(lambda: workers.queue.snapshot().delivered == 1)
        gate.touch()

    assert passed(gate).read_text().splitlines() == [asked[0][0], asked[2][0], asked[1][0]]


def test_a_text_that_ends_every_worker_is_given_up(make: Make) -> None:
    """Its request is told, nothing of it stays in the queue, and the next is answered."""
    workers = make(f"{FAULTY}:deadly", deliveries=2)

    with pytest.raises(NoLocalSummaryError, match="given up: .* at delivery 2 of 2"):
        workers.summarise("poison", 1)
    assert workers.queue.snapshot().size == 0
    assert workers.summarise(TEXT, 1) == lead(TEXT, 1).text


def test_stopped_it_leaves_nothing_and_lets_nobody_wait(make: Make, gate: Path) -> None:
    """Requests that still wait are refused, later ones too; no process is left."""
    before = set(psutil.Process().children(recursive=True))
    workers = make(GATED, workers=1, hung_after=600.0)

    with ThreadPoolExecutor(8) as asking:
        waiting = [asking.submit(workers.summarise, TEXT, 1) for _ in range(8)]
        until(lambda: workers.queue.snapshot().put == 8)
        workers.stop(0.2)
        errors = [one.exception(PATIENCE) for one in waiting]

    assert [type(error) for error in errors] == [NoLocalSummaryError] * 8
    with pytest.raises(NoLocalSummaryError, match="closed"):
        workers.summarise(TEXT, 1)
    assert set(psutil.Process().children(recursive=True)) <= before

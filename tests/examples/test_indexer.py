"""The indexer lists the documents most asked for."""

from __future__ import annotations

import json
from pathlib import Path

from examples.reference_app.indexer import INDEX, write_index
from examples.reference_app.request_log import Entry, RequestLog


def test_the_document_most_asked_for_comes_first(tmp_path: Path) -> None:
    """With its number of requests and their mean; the log stays open for writing all the while."""
    log = RequestLog(tmp_path / "requests.sqlite")
    for name, duration in (("a", 4.0), ("b", 10.0), ("b", 20.0)):
        log.add(Entry(at=1.0, document=name, size=9, outcome="ok", provider="upstream", error="", duration_ms=duration))

    write_index(tmp_path / "requests.sqlite", tmp_path)

    assert json.loads((tmp_path / INDEX).read_text()) == [
        {"document": "b", "requests": 2, "meanMs": 15.0},
        {"document": "a", "requests": 1, "meanMs": 4.0},
    ]
    log.close()


def test_a_log_that_cannot_be_read_leaves_the_index_there_is(tmp_path: Path) -> None:
    """In the middle of a restore there may be none, or another: the next look finds it."""
    (tmp_path / INDEX).write_text("[]")

    write_index(tmp_path / "requests.sqlite", tmp_path)

    assert (tmp_path / INDEX).read_text() == "[]"
    assert not (tmp_path / "requests.sqlite").exists()

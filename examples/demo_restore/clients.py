"""Clients that go on posting whatever happens, and remember what was acknowledged to them."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter

import attrs

from examples.reference_app.documents import documents
from selfheal.clock import SYSTEM_CLOCK

_PAUSE = 0.05
_TIMEOUT = 60.0
Receipt = tuple[int, str]
"""Number and name of a document: what an acknowledgement says, and what a row of the request log has."""


@attrs.frozen(kw_only=True)
class Posted:
    """What came of one document.

    Args:
        document: its name; no other has it.
        began: when it was posted, monotonic seconds.
        ended: when the answer was there.
        status: HTTP status; 0 where nobody answered.
        id: number that was acknowledged; 0 where none was.
        error: what the service said instead.
        retry_after: seconds after which it asked to be asked again; empty if it did not.
    """

    document: str
    began: float
    ended: float
    status: int
    id: int
    error: str
    retry_after: str

    @property
    def receipt(self) -> Receipt:
        """What can be looked for in the request log."""
        return (self.id, self.document)


class Clients:
    """Some of them, each in a thread of its own, each with one document after another.

    Args:
        port: of the service, on 127.0.0.1.
        count: how many.
    """

    def __init__(self, port: int, count: int = 2) -> None:
        self._port = port
        self._text = documents(1)[0].text[:2000]
        self._lock = threading.Lock()
        self._posted: list[Posted] = []
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(target=self._post_on, args=(f"client {number}",), name=f"client {number}", daemon=True)
            for number in range(1, count + 1)
        ]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join(_TIMEOUT)

    def posted(self, since: float = 0.0) -> list[Posted]:
        """What was posted since a moment and has its answer."""
        with self._lock:
            return [one for one in self._posted if one.began >= since]

    def acknowledged(self, since: float = 0.0, until: float = float("inf")) -> set[Receipt]:
        """What was posted since a moment and acknowledged before another."""
        return {one.receipt for one in self.posted(since) if one.status == 200 and one.ended <= until}

    def answers(self, since: float = 0.0) -> Counter[str]:
        """How often which answer came to what was posted since a moment."""
        return Counter(f"{one.status} {one.error}".strip() for one in self.posted(since))

    def _post_on(self, name: str) -> None:
        number = 0
        while not self._enough.wait(_PAUSE):
            number += 1
            posted = self._post(f"{name}, letter {number}")
            with self._lock:
                self._posted.append(posted)

    def _post(self, document: str) -> Posted:
        began = SYSTEM_CLOCK.monotonic()
        status, told, retry_after = 0, {}, ""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT)
        body = json.dumps({"document": document, "text": f"{self._text}\n\nThis is {document}."})
        try:
            connection.request("POST", "/summaries", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            status, told = answer.status, json.loads(answer.read())
            retry_after = answer.getheader("Retry-After") or ""
        except (OSError, http.client.HTTPException, ValueError) as error:
            told = {"error": f"no answer: {error}"}
        finally:
            connection.close()
        return Posted(
            document=document,
            began=began,
            ended=SYSTEM_CLOCK.monotonic(),
            status=status,
            id=int(told.get("id", 0)),
            error=str(told.get("error", "")),
            retry_after=retry_after,
        )

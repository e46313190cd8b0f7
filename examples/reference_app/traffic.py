"""Traffic for the reference app: real documents, one after another, over HTTP as any client sends them.

``python -m examples.reference_app.traffic --count 20`` sends twenty and tells who answered. No text is sent twice, so
that no answer comes from a cache; with ``--same`` it is one document all the time.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import secrets
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from examples.reference_app.documents import Document, documents
from selfheal.clock import SYSTEM_CLOCK


@attrs.frozen(kw_only=True)
class Sent:
    """What came of one document.

    Args:
        document: its name.
        status: HTTP status of the answer.
        provider: ``upstream``, ``cache`` or ``local``; empty when there was no summary.
        degraded: whether the local fallback answered.
        reason: why, or the error.
        summary: the text that came back.
    """

    document: str
    status: int
    provider: str
    degraded: bool
    reason: str
    summary: str


class Traffic:
    """A client that never runs out of documents.

    Args:
        port: of the reference app, on 127.0.0.1.
        timeout: seconds to wait for an answer.
        same: send one document again and again, instead of texts that nobody has sent before.
    """

    def __init__(self, port: int, timeout: float = 20.0, *, same: bool = False) -> None:
        self._port = port
        self._timeout = timeout
        self._next: Iterator[Document] = itertools.repeat(documents(1)[0]) if same else _never_the_same()

    def send(self, count: int = 1) -> list[Sent]:
        """Send the next ``count`` documents, one after another."""
        return [self._send(next(self._next)) for _ in range(count)]

    def _send(self, document: Document) -> Sent:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout)
        body = json.dumps({"document": document.name, "text": document.text})
        try:
            connection.request("POST", "/summaries", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            told = json.loads(answer.read())
        finally:
            connection.close()
        return Sent(
            document=document.name,
            status=answer.status,
            provider=str(told.get("provider", "")),
            degraded=bool(told.get("degraded", False)),
            reason=str(told.get("reason", told.get("error", ""))),
            summary=str(told.get("summary", "")),
        )


@contextmanager
def busy(port: int, clients: int = 1, *, same: bool = False) -> Iterator[None]:
    """Documents all the while, from so many clients."""
    over = threading.Event()
    senders = [
        threading.Thread(target=_send_until, args=(over, Traffic(port, same=same), 0.15 * number))
        for number in range(clients)
    ]
    for sender in senders:
        sender.start()
    try:
        yield
    finally:
        over.set()
        for sender in senders:
            sender.join()


def _send_until(over: threading.Event, traffic: Traffic, first: float) -> None:
    pause = first
    while not over.wait(pause):
        traffic.send()
        pause = 0.02


def _never_the_same() -> Iterator[Document]:
    """The documents in turn, each with a last line that no other has; too short to get into a summary."""
    run = secrets.token_hex(8)
    for number, document in enumerate(itertools.cycle(documents()), 1):
        yield attrs.evolve(document, text=f"{document.text}\n\nCopy {number} of {run}.")


def answered_by(sent: list[Sent]) -> dict[str, int]:
    """How many each provider answered; by status where none did."""
    return dict(Counter(one.provider or f"status {one.status}" for one in sent))


def told(sent: list[Sent]) -> str:
    """The same in words."""
    return ", ".join(f"{count} answered by {who}" for who, count in sorted(answered_by(sent).items()))


def refused(sent: list[Sent]) -> int:
    """How many were not even tried with the provider, because its breaker is open."""
    return sum(one.reason.startswith("circuit ") for one in sent)


def main(argv: list[str] | None = None) -> int:
    """Send documents; exit code 0 if every one got a summary, be it a degraded one."""
    parser = argparse.ArgumentParser(prog="traffic", description="Send real documents to the reference app.")
    parser.add_argument("--port", type=int, default=3001, help="port of the app on 127.0.0.1 (default: %(default)s)")
    parser.add_argument("--count", type=int, default=20, help="how many documents; 0 goes on for ever (default: 20)")
    parser.add_argument("--every", type=float, default=0.0, help="seconds between two documents (default: none)")
    parser.add_argument("--same", action="store_true", help="send the same document again and again")
    options = parser.parse_args(argv)
    traffic = Traffic(options.port, same=options.same)
    answered: Counter[str] = Counter()
    try:
        for _ in itertools.count() if options.count == 0 else range(options.count):
            (sent,) = traffic.send()
            answered[sent.provider or f"status {sent.status}"] += 1
            SYSTEM_CLOCK.sleep(options.every)
    except KeyboardInterrupt:
        print()
    except OSError as error:
        print(f"nobody answers on port {options.port}: {error}", file=sys.stderr)
        return 1
    print(", ".join(f"{count} answered by {who}" for who, count in sorted(answered.items())))
    return 0 if set(answered) <= {"upstream", "cache", "local"} else 1


if __name__ == "__main__":
    sys.exit(main())

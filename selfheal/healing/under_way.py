"""Healings that wait: kept between two looks, so that letting things settle holds no thread."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from selfheal.forking import track
from selfheal.healing.driving import Running
from selfheal.healing.records import HealingRecord

if TYPE_CHECKING:
    from concurrent.futures import Future

Healing = Running[HealingRecord]


class UnderWay:
    """The healings that have begun and wait for something."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Healing] = []
        self._about: set[str] = set()
        self._of_parent: list[Healing] = []
        track(self, UnderWay._in_child)

    def __len__(self) -> int:
        return len(self._waiting)

    def holds(self, about: str) -> bool:
        """Whether a healing of this alert is under way."""
        with self._lock:
            return about in self._about

    def begin(self, healing: Healing) -> bool:
        """Take a healing in, unless one of the same alert is under way."""
        with self._lock:
            if healing.about in self._about:
                return False
            self._about.add(healing.about)
            return True

    def take(self, *, all_of_them: bool = False) -> list[Healing]:
        """Take out those that need not wait any more, or all; each is then one caller's alone."""
        with self._lock:
            taken = [one for one in self._waiting if all_of_them or one.ready]
            self._waiting = [one for one in self._waiting if one not in taken]
            return taken

    def put_back(self, healings: Iterable[Healing]) -> list[HealingRecord]:
        """Keep those that wait again; return what the others brought."""
        done: list[HealingRecord] = []
        with self._lock:
            for one in healings:
                if one.ended:
                    self._about.discard(one.about)
                    done.append(one.result)
                else:
                    self._waiting.append(one)
        return done

    def forget(self, healing: Healing) -> None:
        """One broke off with an error that is not a healing's: it is not under way any more."""
        with self._lock:
            self._about.discard(healing.about)

    def _in_child(self) -> None:
        """They are the parent's. Kept, never gone on with: ending them here would write of what goes on there."""
        self._lock = threading.Lock()
        self._of_parent += self._waiting
        self._waiting, self._about = [], set()


def advance_all(healings: Sequence[Healing]) -> None:
    """Take each on until it waits or ends: several at once, each in a thread of its own.

    Raises:
        BaseException: the first error that is not a healing's own (``KeyboardInterrupt``), once all have come to rest.
    """
    if len(healings) == 1:
        healings[0].advance()
    elif healings:
        from concurrent.futures import Future

        futures: list[Future[None]] = []
        for one in healings:
            future: Future[None] = Future()
            futures.append(future)
            threading.Thread(target=_advance, args=(one, future), name=f"healing-{one.about}", daemon=True).start()
        errors = [future.exception() for future in futures]
        for error in filter(None, errors):
            raise error


def _advance(healing: Healing, future: Future[None]) -> None:
    try:
        healing.advance()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(None)

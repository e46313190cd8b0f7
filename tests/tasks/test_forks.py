"""The lock around a fork, without forking."""

from __future__ import annotations

import threading

from selfheal.tasks.forks import ForkGuard


def free(lock: threading.RLock) -> bool:
    """Whether another thread could take ``lock`` now."""
    got: list[bool] = []

    def take() -> None:
        got.append(lock.acquire(blocking=False))
        if got[0]:
            lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return got[0]


def test_nobody_changes_the_tasks_while_the_process_forks() -> None:
    """The lock is held from right before the fork until right after it, in the parent."""
    lock = threading.RLock()
    guard = ForkGuard(lambda: lock, lambda: None)

    guard.before_fork()
    assert not free(lock)
    guard.after_fork_in_parent()
    assert free(lock)


def test_a_fork_does_not_wait_for_ever() -> None:
    """A lock that is not given up in time is not waited for, and not released by mistake."""
    lock, held, done = threading.RLock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    guard = ForkGuard(lambda: lock, lambda: None)
    guard.before_fork()
    guard.after_fork_in_parent()
    done.set()
    thread.join()


def test_the_child_starts_over_and_leaves_the_lock() -> None:
    """In the child the old lock belongs to a thread that is not there: it is left alone."""
    lock = threading.RLock()
    begun: list[str] = []
    guard = ForkGuard(lambda: lock, lambda: begun.append("over"))

    guard.before_fork()
    guard.after_fork_in_child()
    guard.after_fork_in_parent()
    assert begun == ["over"]
    assert not free(lock)
    lock.release()

"""What the workers of the pool tests do."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import time
from typing import Any

from selfheal.supervision import current_task, progress


def double(n: int) -> int:
    """Answer twice the payload."""
    return 2 * n


async def adouble(n: int) -> int:
    """The same, as a coroutine."""
    await asyncio.sleep(0)
    return 2 * n


def note(payload: dict[str, Any]) -> int:
    """Write the task and its delivery count down, then behave as told; at the second delivery always well."""
    task = current_task()
    assert task is not None
    file = os.open(payload["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{task.id} {task.delivery_count} {os.getpid()}\n".encode())
    os.close(file)
    if task.delivery_count == 1 or payload.get("always"):
        behave(payload.get("do", "well"), payload)
    return task.id


def behave(how: str, payload: dict[str, Any]) -> None:
    """End, hang or fail in one of many ways."""
    if how == "sleep":
        time.sleep(payload["seconds"])
    elif how == "wait":
        while not os.path.exists(payload["gate"]):
            time.sleep(0.01)
    elif how == "exit":
        os._exit(7)
    elif how == "abort":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.abort()
    elif how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "freeze":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif how == "hang":
        while True:
            time.sleep(0.05)
    elif how == "raise":
        raise RuntimeError("card network is down")
    elif how == "leave":
        sys.exit("no more")
    elif how == "print":
        print("this is no line of the protocol")
        os.write(1, b'{"done": 999, "value": "nor is this"}\n')
    elif how == "progress":
        for _ in range(payload["steps"]):
            time.sleep(payload["seconds"])
            progress()
    elif how == "child":
        child = os.fork()
        if child == 0:
            time.sleep(3600)
        with open(payload["children"], "a") as file:
            file.write(f"{child}\n")
        os.kill(os.getpid(), signal.SIGKILL)


def unjson(_: object) -> object:
    """Answer what JSON has not."""
    return {1, 2}


not_callable = 5

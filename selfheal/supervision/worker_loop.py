"""What a worker process does: takes one task after the other from its pipe, and ends when its parent does.

Its standard output is that of its errors from then on: what a task prints must not get between the lines of the
protocol. Lines that come in: ``path`` (once, first), ``task``, ``ping``, ``stop``. Lines that go out: ``ready`` or
``refused``, then ``done``, ``failed``, ``sign`` and ``pong``.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

from selfheal.errors import ConfigError
from selfheal.supervision.worker_context import CurrentTask, working_on
from selfheal.supervision.worker_target import runner, text_of

REFUSED = 3
"""Exit code of a worker that cannot do this work: starting it again does not help."""
_LOOK = 2.0
"""Real seconds between looks whether the parent is still the parent, should the pipe not tell."""
_CHUNK = 1 << 16

Message = dict[str, Any]


class Line:
    """The worker's end of the two pipes."""

    def __init__(self) -> None:
        self.inbox: SimpleQueue[Message] = SimpleQueue()
        self._in, self._out = os.dup(0), os.dup(1)
        self._lock = threading.Lock()
        self._parent = os.getppid()
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)

    def send(self, **message: Any) -> None:
        """Write one line, whole, from any thread."""
        data = json.dumps(message).encode() + b"\n"
        with self._lock:
            try:
                while data:
                    data = data[os.write(self._out, data) :]
            except OSError:
                end_all()

    def read(self) -> None:
        """Hand on each line that comes in; end everything once nobody can write any more."""
        rest = b""
        while True:
            ready, _, _ = select.select([self._in], [], [], _LOOK)
            if not ready:
                if os.getppid() != self._parent:
                    end_all()
                continue
            data = os.read(self._in, _CHUNK)
            if not data:
                end_all()
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self.inbox.put(json.loads(line))


def end_all() -> None:
    """The parent is gone: nobody will take the result. End at once, with all that this worker started."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def main(arguments: Sequence[str]) -> int:
    """Work until told to stop.

    Args:
        arguments: the target, as ``module:function``.

    Returns:
        The exit code.
    """
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m selfheal.supervision.worker module:function\n")
        return 2
    line = Line()
    threading.Thread(target=line.read, name="selfheal-worker-pipe", daemon=True).start()
    hello = line.inbox.get()
    sys.path[:] = [*hello["path"], *(entry for entry in sys.path if entry not in hello["path"])]
    try:
        run = runner(arguments[0])
    except ConfigError as error:
        line.send(refused=str(error).rstrip("."))
        return REFUSED
    line.send(ready=os.getpid())
    while "stop" not in (message := line.inbox.get()):
        if "ping" in message:
            line.send(pong=message["ping"])
        else:
            _work(line, run, message, wanted=bool(hello["results"]))
    return 0


def _work(line: Line, run: Callable[[Any], Any], message: Message, *, wanted: bool) -> None:
    task = CurrentTask(message["task"], message["count"])
    try:
        with working_on(task, lambda: line.send(sign=task.id)):
            value = run(message["payload"])
        if wanted:
            json.dumps(value)
    except BaseException as error:
        traceback.print_exc()
        line.send(failed=task.id, error=text_of(error))
    else:
        line.send(done=task.id, value=value if wanted else None)

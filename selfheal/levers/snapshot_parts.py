"""What a snapshot of a process holds: its threads, its own figures, and the processes around it."""

from __future__ import annotations

import os
import re
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import Any

from selfheal.plain import NotPlainError, plain
from selfheal.redaction import REDACTED, hides, scrub

_MOST_PROCESSES = 300
_MOST_THREADS = 500
_MOST_FRAMES = 60
_MOST_ARGUMENTS = 40
_FLAG = re.compile(r"(-{0,2})([A-Za-z_][\w.-]*)([=:])(.*)", re.DOTALL)


def threads() -> list[dict[str, Any]]:
    """The stack of each thread, innermost frame last; the lines as they stand in the source."""
    names = {thread.ident: thread for thread in threading.enumerate()}
    shown = []
    for ident, frame in list(sys._current_frames().items())[:_MOST_THREADS]:
        thread = names.get(ident)
        stack = traceback.extract_stack(frame)[-_MOST_FRAMES:]
        shown.append(
            {
                "name": thread.name if thread else "unknown",
                "ident": ident,
                "daemon": thread.daemon if thread else None,
                "stack": [scrub(f"{f.filename}:{f.lineno} {f.name}: {f.line or ''}") for f in stack],
            }
        )
    return shown


def process() -> dict[str, Any]:
    """This process: memory, CPU time, threads, open files."""
    import psutil  # 30 ms to import: only who looks pays

    own = psutil.Process()
    with own.oneshot():
        memory, times = own.memory_info(), own.cpu_times()
        return {
            "pid": own.pid,
            "rss_bytes": memory.rss,
            "vms_bytes": memory.vms,
            "cpu_user_seconds": times.user,
            "cpu_system_seconds": times.system,
            "threads": own.num_threads(),
            "open_files": own.num_fds() if hasattr(own, "num_fds") else None,
            "started_at": own.create_time(),
            "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        }


def processes() -> list[dict[str, Any]]:
    """The processes of this machine, the largest first, at most 300; command lines without secrets, no environments."""
    import psutil

    wanted = [
        "pid",
        "ppid",
        "name",
        "status",
        "username",
        "cmdline",
        "create_time",
        "memory_info",
        "cpu_times",
        "num_threads",
    ]
    rows = []
    for one in psutil.process_iter(wanted):
        told = one.info
        memory, times = told["memory_info"], told["cpu_times"]
        rows.append(
            {
                "pid": told["pid"],
                "ppid": told["ppid"],
                "name": scrub(str(told["name"])),
                "status": told["status"],
                "user": told["username"],
                "command": redact_arguments(told["cmdline"] or []),
                "started_at": told["create_time"],
                "rss_bytes": memory.rss if memory else 0,
                "cpu_seconds": times.user + times.system if times else None,
                "threads": told["num_threads"],
            }
        )
    rows.sort(key=lambda row: (-row["rss_bytes"], row["pid"]))
    return rows[:_MOST_PROCESSES]


def redact_arguments(arguments: Sequence[str]) -> list[str]:
    """A command line without secrets: values of options and variables that name one, and what looks like one.

    >>> redact_arguments(["app", "--password", "hunter2", "--api-key=abc", "--port=80", "DB_PASSWORD=x"])
    ['app', '--password', '[redacted]', '--api-key=[redacted]', '--port=80', 'DB_PASSWORD=[redacted]']
    """
    shown: list[str] = []
    hide_next = False
    for argument in arguments[:_MOST_ARGUMENTS]:
        hidden, hide_next = hide_next, False
        match = _FLAG.fullmatch(argument)
        if hidden and not argument.startswith("--"):
            shown.append(REDACTED)
        elif match and hides(match[2]):
            shown.append(f"{match[1]}{match[2]}{match[3]}{REDACTED}")
        else:
            hide_next = argument.startswith("-") and bool(hides(argument.lstrip("-")))
            shown.append(scrub(argument[:1000]))
    return shown + ["…"] * (len(arguments) > _MOST_ARGUMENTS)


def shown(value: object, where: str) -> Any:
    """What a section gave, as plain JSON data without secrets; an error in its place where that cannot be."""
    try:
        return plain(value, where)
    except NotPlainError as error:
        return {"error": str(error)}

"""What an import may cost: hardly any time, and no trace in the process that imports."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

import selfheal

CPU_BUDGET = 0.120
"""CPU seconds for ``import selfheal`` in a fresh interpreter, on top of the interpreter's own start."""

ARRAYS = {"IsolationForestDetector"}
HEAVY = {"asyncio", "numpy", "scipy", "sklearn", "psutil", "dotenv", "sqlite3", "multiprocessing", "uvicorn"}

PROBE = """
import _thread, atexit, json, logging, os, signal, sys, threading, time

done = []

def started_thread(original):
    def record(*args, **kwargs):
        done.append("thread")
        return original(*args, **kwargs)
    return record

def ours(what, function):
    def record(*args, **kwargs):
        module = sys._getframe(1).f_globals.get("__name__", "")
        if module.partition(".")[0] == "selfheal":
            done.append(f"{what} by {module}")
        return function(*args, **kwargs)
    return record

def read(original):
    def record(self, *args):
        frame, modules = sys._getframe(1), []
        while frame:
            modules.append(frame.f_globals.get("__name__", ""))
            frame = frame.f_back
        if STRICT or any(m.partition(".")[0] == "selfheal" for m in modules[:4]):
            done.append(f"environment {args}")
        return original(self, *args)
    return record

def audit(event, args):
    if event in {"socket.connect", "subprocess.Popen", "os.fork", "os.putenv"}:
        done.append(event)

def handlers():
    signals = {s: signal.getsignal(s) for s in signal.valid_signals()}
    hooks = (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.displayhook)
    return signals, hooks, list(sys.meta_path), list(logging.root.handlers), logging.root.level

for name in ("__getitem__", "__iter__", "__setitem__", "__delitem__"):
    setattr(os._Environ, name, read(getattr(os._Environ, name)))
atexit.register = ours("atexit", atexit.register)
os.register_at_fork = ours("fork handler", os.register_at_fork)
threading.Thread.start = started_thread(threading.Thread.start)
_thread.start_new_thread = started_thread(_thread.start_new_thread)
sys.addaudithook(audit)
before, loaded = handlers(), set(sys.modules)
started = time.process_time()
exec(CODE, {})
cpu = time.process_time() - started
if handlers() != before:
    done.append("handler")
print(json.dumps({"cpu": cpu, "done": done, "loaded": sorted(set(sys.modules) - loaded)}))
"""


def probe(code: str, *, strict: bool = True) -> dict[str, Any]:
    """Run ``code`` in a fresh interpreter; tell its CPU seconds, what it did, and the modules it loaded.

    With ``strict`` every reading of the environment counts; otherwise only selfheal's own, not that of a
    module of the standard library which it imports.
    """
    script = f"CODE = {code!r}\nSTRICT = {strict}\n{PROBE}"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    told: dict[str, Any] = json.loads(run.stdout)
    return told


def test_import_stays_within_its_cpu_budget() -> None:
    """The best of imports in fresh interpreters takes at most 120 ms of CPU."""
    took = [probe("import selfheal")["cpu"] for _ in range(2)]
    while min(took) > CPU_BUDGET and len(took) < 20:  # what others do on the machine costs caches, and so CPU
        took.append(probe("import selfheal")["cpu"])

    assert min(took) <= CPU_BUDGET


def test_import_leaves_no_trace() -> None:
    """Importing starts no thread, reads no environment, installs no handler and loads nothing heavy."""
    told = probe("import selfheal")

    assert told["done"] == []
    assert not HEAVY & set(told["loaded"])
    assert [m for m in told["loaded"] if m.startswith("selfheal")] == ["selfheal", "selfheal.lazy"]


@pytest.mark.parametrize("name", selfheal.__all__)
def test_each_name_loads_nothing_heavy(name: str) -> None:
    """Loading a public name brings nothing heavy and leaves no trace; one of arrays brings numpy, and its trace."""
    told = probe(f"from selfheal import {name}", strict=False)

    assert told["done"] == (["os.putenv"] if name in ARRAYS else [])
    assert not (HEAVY - {"numpy"} if name in ARRAYS else HEAVY) & set(told["loaded"])


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ("import threading; threading.Thread(target=print, args=('',), kwargs={'end': ''}).start()", "thread"),
        ("import os; os.getenv('HOME')", "environment"),
        ("import os; os.environ.get('HOME')", "environment"),
        ("import os; 'HOME' in os.environ", "environment"),
        ("import os; dict(os.environ)", "environment"),
        ("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)", "handler"),
        ("import sys; sys.excepthook = print", "handler"),
        ("import logging; logging.basicConfig()", "handler"),
        ("__name__ = 'selfheal.x'; import atexit; atexit.register(print, end='')", "atexit"),
        ("__name__ = 'selfheal.x'; import os; os.register_at_fork(before=int)", "fork handler"),
    ],
)
def test_the_probe_sees_a_trace(code: str, seen: str) -> None:
    """Each kind of trace, left on purpose, is noticed by the probe."""
    assert any(trace.startswith(seen) for trace in probe(code)["done"])


def test_the_probe_sees_heavy_modules() -> None:
    """A heavy package that is loaded is noticed, and so is the time it takes."""
    told = probe("import numpy", strict=False)

    assert "numpy" in told["loaded"]
    assert told["cpu"] > 0.01

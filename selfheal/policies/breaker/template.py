"""The hot path of guarded functions, compiled with the signature of the function it guards.

As attrs compiles ``__init__``: arguments are neither packed nor unpacked, and a call with wrong arguments
raises the caller's own TypeError before the breaker sees anything. Only parameter names, which Python
has parsed before, go into the text; every value is handed over in a cell. Each name read from outside
costs a nanosecond a call, so the hot path reads as few as it can. What has no signature of its own that
can be read (builtins, partials, callable objects) gets ``*args, **kwargs``.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import itertools
import linecache
from collections.abc import Callable, Mapping
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

from selfheal.policies.breaker.config import BreakerConfig, TimeWindow

_PREFIX = "_sh_"
"""Stands before every name of the template, builtins too, so that parameters may be called what they like."""

_BODY = """\
def guarded({parameters}):
    _sh_stamp = _sh_admit
    if _sh_stamp is None:
        {refuse}
        return {wait}_sh_ask({arguments})
    {start}
    try:
        _sh_result = {wait}_sh_fn({arguments})
    except _sh_BaseException as _sh_error:
        _sh_failed(_sh_stamp, _sh_error{started})
        raise
    {look}
    {count}
    return _sh_result
"""
_REFUSE = """\
_sh_no = _sh_refusal()
        if _sh_no is not None:
            raise _sh_no
"""
_LOOK = (
    "if _sh_type(_sh_result) is not _sh_plain and _sh_is_deferred(_sh_result): "
    "return _sh_defer(_sh_stamp, _sh_result{started})"
)
_GLOBALS = {
    "__builtins__": builtins,
    "__name__": __name__,
    f"{_PREFIX}next": next,
    f"{_PREFIX}type": type,
    f"{_PREFIX}BaseException": BaseException,
}
_numbers = itertools.count(1)


def compile_guarded(
    fn: Callable[..., Any], config: BreakerConfig, cells: Mapping[str, CellType], *, is_async: bool
) -> Callable[..., Any]:
    """Make the guarded function of ``fn``.

    Args:
        fn: what it guards.
        config: which steps its calls need.
        cells: the values that the template reads, by name without prefix.
        is_async: whether ``fn`` gives a coroutine.
    """
    own = _own_signature(fn)
    parameters, arguments = ("*args, **kwargs",) * 2 if own is None else _as_text(own)
    timed = config.slow_call_duration is not None
    started = ", _sh_started" if timed else ""
    wait = "await " if is_async else ""
    lines = {
        "refuse": "" if config.fallback else _REFUSE,
        "start": "_sh_started = _sh_now()" if timed else "",
        "look": "" if is_async or _returns_plain(fn) else _LOOK.format(started=started),
        "count": _count(config, started),
    }
    source = _BODY.format(parameters=parameters, arguments=arguments, wait=wait, started=started, **lines)
    steps = "".join(line for line in source.splitlines(keepends=True) if line.strip())
    code = _compile(("async " if is_async else "") + steps)
    closure = tuple(cells[name.removeprefix(_PREFIX)] for name in code.co_freevars)
    guarded = FunctionType(code, _GLOBALS, "guarded", None, closure)
    if own is not None:
        given = own.parameters.values()
        plain = [p for p in given if p.kind is not p.KEYWORD_ONLY and p.default is not p.empty]
        guarded.__defaults__ = tuple(p.default for p in plain) or None
        guarded.__kwdefaults__ = {
            p.name: p.default for p in given if p.kind is p.KEYWORD_ONLY and p.default is not p.empty
        } or None
    return guarded


def _count(config: BreakerConfig, started: str) -> str:
    """What a success does: one tick, unless something about it may have to be recorded."""
    record = f"_sh_succeeded(_sh_stamp, _sh_result{started})"
    if config.failure_result is not None:
        return record
    checks = []
    if isinstance(config.window, TimeWindow):
        checks.append("_sh_ended >= _sh_look_at")
    if config.slow_call_duration is not None:
        checks.append("_sh_ended - _sh_started > _sh_slow_above")
    if not checks:
        return "_sh_next(_sh_stamp)"
    return f"""\
_sh_ended = _sh_now()
    if {" or ".join(checks)}:
        {record}
    else:
        _sh_next(_sh_stamp)
"""


@functools.lru_cache(maxsize=512)
def _compile(source: str) -> CodeType:
    """The code of a guarded function whose ``_sh_`` names are free variables."""
    filename = f"<selfheal guarded {next(_numbers)}>"
    names = sorted({word for word in _words(source) if word.startswith(_PREFIX)} - _GLOBALS.keys())
    free = [name for name in names if f"{name} =" not in source and f"as {name}:" not in source]
    body = "".join(f"    {line}\n" for line in source.splitlines())
    text = f"{body}    return guarded\n"
    text = f"def make({', '.join(free)}):\n{text}"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    (make,) = (c for c in compile(text, filename, "exec").co_consts if isinstance(c, CodeType))
    (code,) = (c for c in make.co_consts if isinstance(c, CodeType))
    return code


def _words(source: str) -> list[str]:
    return "".join(c if c.isidentifier() or c.isdigit() else " " for c in source).split()


def _own_signature(fn: Callable[..., Any]) -> inspect.Signature | None:
    """The signature of a function written in Python, as it really is; ``None`` for anything else."""
    if not isinstance(fn, FunctionType | MethodType) or hasattr(fn, "__signature__"):
        return None
    try:
        own = inspect.signature(fn, follow_wrapped=False)
    except (TypeError, ValueError):
        return None
    fits = all(name.isidentifier() and not name.startswith(_PREFIX) for name in own.parameters)
    return own if fits else None


def _as_text(own: inspect.Signature) -> tuple[str, str]:
    """The parameters as they stand in a ``def``, without defaults, and the arguments that hand them on."""
    parameters: list[str] = []
    arguments: list[str] = []
    last = None
    for p in own.parameters.values():
        if last is inspect.Parameter.POSITIONAL_ONLY and p.kind is not last:
            parameters.append("/")
        starred = last in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.KEYWORD_ONLY)
        if p.kind is p.KEYWORD_ONLY and not starred:
            parameters.append("*")
        stars = "*" if p.kind is p.VAR_POSITIONAL else "**" if p.kind is p.VAR_KEYWORD else ""
        parameters.append(stars + p.name)
        arguments.append(f"{p.name}={p.name}" if p.kind is p.KEYWORD_ONLY else stars + p.name)
        last = p.kind
    if last is inspect.Parameter.POSITIONAL_ONLY:
        parameters.append("/")
    return ", ".join(parameters), ", ".join(arguments)


def _returns_plain(fn: Callable[..., Any]) -> bool:
    """Tell whether ``fn`` says by its annotation that it returns no awaitable.

    A name in a text annotation is looked up, never evaluated.
    """
    said = getattr(fn, "__annotations__", {}).get("return", inspect.Parameter.empty)
    if said is None or said == "None":
        return True
    if isinstance(said, str):
        name = said.partition("[")[0]
        said = getattr(fn, "__globals__", {}).get(name, getattr(builtins, name, None))
    said = getattr(said, "__origin__", said)
    return isinstance(said, type) and said.__module__ == "builtins" and said is not object

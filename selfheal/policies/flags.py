"""Switches that a person flips while the service runs."""

from __future__ import annotations

import io
import logging
import os
import stat
import threading
from collections.abc import Mapping
from pathlib import Path

import attrs

from selfheal.clock import SYSTEM_CLOCK
from selfheal.errors import ConfigError, NotFoundError
from selfheal.forking import track

logger = logging.getLogger("selfheal.flags")

AUTO_HEALING = "FEATURE_AUTO_HEALING_ENABLED"
AUTO_DETECTION = "FEATURE_AUTO_DETECTION_MONITORING"
PREVENTIVE_HEALING = "FEATURE_PREVENTIVE_HEALING_ENABLED"
PROCESS_MONITORING = "FEATURE_PROCESS_MONITORING_ENABLED"
NAMES = (AUTO_HEALING, AUTO_DETECTION, PREVENTIVE_HEALING, PROCESS_MONITORING)
"""The flags there are."""

_ON = frozenset({"1", "true", "yes", "on", "enabled"})
_OFF = frozenset({"0", "false", "no", "off", "disabled"})
_ACCEPTED = "true/false, 1/0, yes/no, on/off or enabled/disabled"
_FILES = (".env.local", ".env")
_MAX_BYTES = 1 << 20
_TICK = 2.0
"""Seconds within which two edits may carry one time stamp; 2 s is the coarsest in use (FAT)."""

_Identity = tuple[int, int, int, int, int]


@attrs.frozen(kw_only=True)
class Flag:
    """One flag as it reads now.

    Args:
        name: of the flag.
        value: on or off.
        origin: who decided: ``"override"``, ``"environment"``, ``".env.local"``, ``".env"`` or ``"default"``.
        raw: the text found there, ``None`` where there is none.
        problem: why it was read as off against what a person may have meant, else ``None``.
    """

    name: str
    value: bool
    origin: str
    raw: str | None = None
    problem: str | None = None


@attrs.frozen
class _Content:
    """What a file said when it had this identity."""

    identity: _Identity | None
    settled: bool
    values: Mapping[str, str | None]
    problem: str | None


_ABSENT = _Content(None, False, {}, None)


class FeatureFlags:
    """The four switches, read anew at each question.

    A flag is looked for in the overrides, the environment, ``.env.local`` and ``.env``, in this order;
    the first that has it decides, and where none has it the flag is on. Spellings (case and surrounding
    blanks do not matter): ``1 true yes on enabled`` and ``0 false no off disabled``.

    Everything doubtful is **off** and named in :meth:`problems`: a value of another spelling, an empty
    one, and every flag that a file which cannot be read, decoded or parsed might have decided.

    A changed file is seen at the very next read. An unchanged one costs a ``stat``.

    Args:
        directory: where the two files are looked for; ``None`` takes the working directory of now.
        environ: the environment; ``None`` reads ``os.environ``, live.
        overrides: first values of :meth:`override`.

    Raises:
        ConfigError: if an override is not a boolean.
        NotFoundError: if an override names no flag.

    >>> FeatureFlags(environ={"FEATURE_AUTO_HEALING_ENABLED": "off"}).auto_healing
    False
    """

    def __init__(
        self,
        directory: Path | str | None = None,
        environ: Mapping[str, str] | None = None,
        overrides: Mapping[str, bool] | None = None,
    ) -> None:
        self.directory = Path.cwd() if directory is None else Path(directory).absolute()
        self._paths = {file: str(self.directory / file) for file in _FILES}
        self._environ = os.environ if environ is None else environ
        self._overrides: dict[str, bool] = {}
        self._files: dict[str, _Content] = {}
        self._told: dict[str, Flag] = {}
        self._lock = threading.Lock()
        for name, value in (overrides or {}).items():
            self.override(name, value)
        track(self, FeatureFlags._in_child)

    def __repr__(self) -> str:
        return f"FeatureFlags(directory={str(self.directory)!r}, overrides={self._overrides!r})"

    @property
    def auto_healing(self) -> bool:
        """Whether alerts are answered by healings."""
        return self.read(AUTO_HEALING).value

    @property
    def auto_detection(self) -> bool:
        """Whether detectors watch."""
        return self.read(AUTO_DETECTION).value

    @property
    def preventive_healing(self) -> bool:
        """Whether preventive healing runs."""
        return self.read(PREVENTIVE_HEALING).value

    @property
    def process_monitoring(self) -> bool:
        """Whether processes are watched."""
        return self.read(PROCESS_MONITORING).value

    def read(self, name: str) -> Flag:
        """Read one flag now, with where its value comes from.

        Raises:
            NotFoundError: if there is no flag of this name.
        """
        self._known(name)
        flag = self._decide(name)
        self._tell_change(flag)
        return flag

    def all(self) -> tuple[Flag, ...]:
        """Read all four flags now."""
        return tuple(self.read(name) for name in NAMES)

    def problems(self) -> tuple[str, ...]:
        """What stands against reading the flags as meant; empty when all is well. Each is one sentence."""
        found = [content.problem for content in map(self._file, _FILES) if content.problem]
        found += [flag.problem for flag in self.all() if flag.problem and flag.problem not in found]
        return tuple(dict.fromkeys(found))

    def override(self, name: str, value: bool) -> None:
        """Decide a flag in code, before every other source, until :meth:`clear_override`.

        Raises:
            ConfigError: if ``value`` is not a boolean.
            NotFoundError: if there is no flag of this name.
        """
        self._known(name)
        if not isinstance(value, bool):
            raise ConfigError(f"override of {name}", value, "True or False")
        self._overrides[name] = value

    def clear_override(self, name: str) -> None:
        """Let the environment and the files decide again. Does nothing where there is no override.

        Raises:
            NotFoundError: if there is no flag of this name.
        """
        self._known(name)
        self._overrides.pop(name, None)

    def _known(self, name: str) -> None:
        if name not in NAMES:
            raise NotFoundError("flag", name, NAMES)

    def _decide(self, name: str) -> Flag:
        overridden = self._overrides.get(name)
        if overridden is not None:
            return Flag(name=name, value=overridden, origin="override")
        raw = self._environ.get(name)
        if raw is not None:
            return _parse(name, raw, "environment")
        for file in _FILES:
            content = self._file(file)
            if content.problem is not None:
                return Flag(name=name, value=False, origin=file, problem=f"{content.problem} {name} is read as off.")
            if name in content.values:
                return _parse(name, content.values[name], file)
        return Flag(name=name, value=True, origin="default")

    def _file(self, file: str) -> _Content:
        """What ``file`` says now; from memory if it certainly has not changed."""
        known = self._files.get(file, _ABSENT)
        if known.settled and known.identity == _identity_at(self._paths[file]):
            return known
        content = self._files[file] = _load(self._paths[file])
        return content

    def _tell_change(self, flag: Flag) -> None:
        with self._lock:
            before = self._told.get(flag.name)
            self._told[flag.name] = flag
        if before is None or before == flag:
            if flag.problem is not None and before is None:
                logger.warning("%s", flag.problem)
            return
        level = logging.INFO if flag.problem is None else logging.WARNING
        words = ("off", "on")
        logger.log(
            level,
            "%s is %s (%s), was %s (%s)%s",
            flag.name,
            words[flag.value],
            flag.origin,
            words[before.value],
            before.origin,
            f": {flag.problem}" if flag.problem else "",
        )

    def _in_child(self) -> None:
        """Make a new lock: its holder may not be in this process."""
        self._lock = threading.Lock()


def _parse(name: str, raw: str | None, origin: str) -> Flag:
    word = (raw or "").strip().lower()
    if word in _ON or word in _OFF:
        return Flag(name=name, value=word in _ON, origin=origin, raw=raw)
    found = "no value" if raw is None else repr(raw[:80])
    problem = f"{name} in {origin} is {found}, which is not {_ACCEPTED}: it is read as off."
    return Flag(name=name, value=False, origin=origin, raw=raw, problem=problem)


def _identity(info: os.stat_result) -> _Identity:
    return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def _identity_at(path: str) -> _Identity | None:
    try:
        return _identity(os.stat(path))
    except OSError:
        return None


def _load(path: str) -> _Content:
    """Read ``path``. Every way in which that can fail is a problem with a name, except that it is not there."""
    try:
        info = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return _ABSENT
    except OSError as error:
        return _unusable(path, f"cannot be looked at ({error.strerror})")
    if stat.S_ISDIR(info.st_mode) and os.path.isfile(os.path.join(path, "pyvenv.cfg")):
        return _ABSENT  # a virtual environment of that name, as some keep, is no settings file
    if not stat.S_ISREG(info.st_mode):
        return _unusable(path, "is not a regular file")  # and is not opened: a pipe would block for ever
    try:
        with open(path, "rb") as file:
            identity = _identity(os.fstat(file.fileno()))
            data = file.read(_MAX_BYTES + 1)
            unchanged = identity == _identity(os.fstat(file.fileno()))
    except OSError as error:
        return _unusable(path, f"cannot be read ({error.strerror})")
    return _parsed(path, data, identity, unchanged and _settled(identity))


def _settled(identity: _Identity) -> bool:
    """Whether an edit from now on must show in the time stamps.

    An edit within the file system's tick after the last one leaves size and times as they were. The
    time stamps come from the machine's own clock, so no injected one is asked here.
    """
    return SYSTEM_CLOCK.wall() - max(identity[3], identity[4]) / 1e9 > _TICK


def _parsed(path: str, data: bytes, identity: _Identity, settled: bool) -> _Content:
    if len(data) > _MAX_BYTES:
        return _unusable(path, f"is larger than {_MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _unusable(path, f"is not UTF-8 (byte {error.start})")
    if "\0" in text:
        return _unusable(path, "is not UTF-8 text (it has NUL bytes)")

    from dotenv.parser import parse_stream  # only who has such a file pays for the import

    values: dict[str, str | None] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            return _unusable(path, f"cannot be parsed at line {_line(binding.original.string, binding.original.line)}")
        if binding.key is not None:
            values[binding.key] = binding.value
    return _Content(identity, settled, values, None)


def _line(original: str, first: int) -> int:
    """Line of the statement itself: the parser counts from the blank lines before it."""
    return first + original[: len(original) - len(original.lstrip())].count("\n")


def _unusable(path: str, why: str) -> _Content:
    return _Content(None, False, {}, f"{path} {why}.")

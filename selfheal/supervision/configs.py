"""What a supervisor is told: workers, how they are started, checked, restarted and stopped."""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import attrs

from selfheal.configuring import load_file, structure
from selfheal.errors import ConfigError
from selfheal.validators import between, boolean, one_of

STOP_SIGNALS = ("TERM", "INT", "QUIT", "HUP", "USR1", "USR2")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DAY = 86_400.0


def _listed(value: Any) -> Any:
    """A tuple of what a list holds; text is left as it is, for the validator to refuse."""
    return value if isinstance(value, str) else tuple(value)


def _words(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    good = isinstance(value, tuple) and value and all(isinstance(word, str) and "\0" not in word for word in value)
    if not good or not value[0]:  # type: ignore[index]
        accepted = "a list of texts, the first naming the program"
        raise ConfigError(f"{type(owner).__name__}.{field.name}", value, accepted)


def _codes(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    codes = value if isinstance(value, tuple) else (value,)
    for code in codes:
        if not isinstance(code, int) or isinstance(code, bool) or not 0 <= code <= 255:
            raise ConfigError(f"{type(owner).__name__}.{field.name}", value, "a list of exit codes from 0 to 255")


def _ports(owner: object, field: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
    for port in value:
        if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65_535:
            raise ConfigError("WorkerConfig.ports", value, "a list of ports from 1 to 65535")


def _environment(owner: object, field: attrs.Attribute[Any], value: Mapping[object, object]) -> None:
    for key, text in value.items():
        if not isinstance(key, str) or not key or "=" in key or "\0" in key:
            raise ConfigError("WorkerConfig.env", key, "made of names without '='")
        if not isinstance(text, str) or "\0" in text:
            raise ConfigError(f"WorkerConfig.env[{key!r}]", text, "text")


def _host(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    accepted = "an IP address or 'localhost': a worker lives on this machine, and no check waits for a name server"
    if not isinstance(value, str) or (value != "localhost" and not _is_address(value)):
        raise ConfigError(f"{type(owner).__name__}.{field.name}", value, accepted)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _url(owner: object, field: attrs.Attribute[Any], value: object) -> None:
    accepted = "http://HOST:PORT/PATH, where HOST is an IP address or 'localhost'"
    try:
        parts = urlsplit(value) if isinstance(value, str) and value.isascii() and value.isprintable() else None
        good = parts is not None and parts.scheme == "http" and parts.port != 0 and " " not in parts.geturl()
        good = good and parts is not None and "@" not in parts.netloc
        good = good and parts is not None and (parts.hostname == "localhost" or _is_address(parts.hostname or ""))
    except ValueError:
        good = False
    if not good:
        raise ConfigError("HttpProbe.url", value, accepted)


def _every(default: float) -> Any:
    return attrs.field(default=default, validator=between(0.05, _DAY, "s"))


@attrs.frozen(kw_only=True)
class HttpProbe:
    """Well when a GET is answered with a 2xx status.

    Args:
        url: ``http://127.0.0.1:8080/health``.
        every: seconds between checks.
        timeout: seconds for one check, from connecting to the status line.
    """

    TYPE: ClassVar[str] = "http"
    url: str = attrs.field(validator=_url)
    every: float = _every(5.0)
    timeout: float = attrs.field(default=2.0, validator=between(0.01, 600.0, "s"))


@attrs.frozen(kw_only=True)
class TcpProbe:
    """Well when a connection is accepted.

    Args:
        port: where it listens.
        host: an IP address, or ``localhost``.
        every: seconds between checks.
        timeout: seconds for one check.
    """

    TYPE: ClassVar[str] = "tcp"
    port: int = attrs.field(validator=between(1, 65_535))
    host: str = attrs.field(default="127.0.0.1", validator=_host)
    every: float = _every(5.0)
    timeout: float = attrs.field(default=2.0, validator=between(0.01, 600.0, "s"))


@attrs.frozen(kw_only=True)
class CommandProbe:
    """Well when a command ends with 0. It runs with the worker's directory and environment; its output is dropped.

    Args:
        command: program and arguments.
        every: seconds between checks.
        timeout: seconds for one check; then it is killed, its children too.
    """

    TYPE: ClassVar[str] = "command"
    command: tuple[str, ...] = attrs.field(converter=_listed, validator=_words)
    every: float = _every(10.0)
    timeout: float = attrs.field(default=5.0, validator=between(0.01, 600.0, "s"))


@attrs.frozen(kw_only=True)
class HeartbeatProbe:
    """Well when the work loop called :func:`selfheal.supervision.heartbeat` since the last check.

    Args:
        every: seconds between looks at the heartbeat file.
    """

    TYPE: ClassVar[str] = "heartbeat"
    every: float = _every(2.0)


Probe = HttpProbe | TcpProbe | CommandProbe | HeartbeatProbe


class When(enum.StrEnum):
    """Which ends are followed by a restart."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


@attrs.frozen(kw_only=True)
class RestartPolicy:
    """When a worker is started again by itself, and when no longer.

    Args:
        when: ``always``; ``on-failure`` (a clean end is the end); ``never`` (any other end is FAILED).
        intensity: restarts within ``period``; what would be one more is FAILED.
        period: seconds the restarts are counted over: a sliding count, which no success clears.
        backoff: seconds to wait before the first restart of the period.
        factor: how much longer each further restart of the period waits.
        cap: seconds waited at most.
        success_codes: exit codes of a clean end.
        no_restart_codes: exit codes after which a restart does not help: FAILED at once.

    Raises:
        ConfigError: if a value is out of range, or so many waits do not fit into the period, so that a worker
            which ends at once would be restarted for ever.
    """

    when: When = attrs.field(default=When.ALWAYS, converter=When)
    intensity: int = attrs.field(default=5, validator=between(0, 1_000))
    period: float = attrs.field(default=300.0, validator=between(0.1, _DAY, "s"))
    backoff: float = attrs.field(default=1.0, validator=between(0.0, 3_600.0, "s"))
    factor: float = attrs.field(default=2.0, validator=between(1.0, 100.0))
    cap: float = attrs.field(default=60.0, validator=between(0.0, 3_600.0, "s"))
    success_codes: tuple[int, ...] = attrs.field(default=(0,), converter=_listed, validator=_codes)
    no_restart_codes: tuple[int, ...] = attrs.field(default=(), converter=_listed, validator=_codes)

    def __attrs_post_init__(self) -> None:
        waits = sum(self.delay(n) for n in range(1, self.intensity + 1))
        if waits >= self.period:
            accepted = f"more than the {waits:g} s that its {self.intensity} restarts wait"
            raise ConfigError("RestartPolicy.period", self.period, accepted, "300.0")

    def delay(self, n: int) -> float:
        """Seconds to wait before the ``n``-th restart of the period."""
        wait = self.backoff
        for _ in range(n - 1):
            if wait >= self.cap or wait == 0:
                break
            wait *= self.factor
        return min(wait, self.cap)


@attrs.frozen(kw_only=True)
class StopPolicy:
    """How a worker is ended.

    Args:
        signal: sent to its process group first: ``TERM``, ``INT``, ``QUIT``, ``HUP``, ``USR1`` or ``USR2``.
        grace: seconds until what is left of the group is killed.
    """

    signal: str = attrs.field(default="TERM", validator=one_of(*STOP_SIGNALS))
    grace: float = attrs.field(default=10.0, validator=between(0.0, 3_600.0, "s"))


@attrs.frozen(kw_only=True)
class OutputLimits:
    """How much of a worker's output is kept. Its two streams go to one file.

    Args:
        keep: whether output is kept at all.
        max_bytes: size at which the file is rotated.
        backups: older files kept.
    """

    keep: bool = attrs.field(default=True, validator=boolean)
    max_bytes: int = attrs.field(default=10 * 2**20, validator=between(1_024, 2**40))
    backups: int = attrs.field(default=3, validator=between(0, 100))


@attrs.frozen(kw_only=True)
class WorkerConfig:
    """One worker process.

    Args:
        command: program and arguments; never a shell line. A program without a slash is looked up in ``PATH``.
        cwd: directory it runs in; by default that of the supervisor.
        env: variables it gets on top of, or instead of, the supervisor's.
        inherit_env: whether it gets the supervisor's environment.
        autostart: whether ``start()`` starts it.
        ports: ports it will listen on; nobody else may when it is started.
        health: how to see that it lives; without, a process that is there is well.
        readiness: how to see that it can take work. Shown and told, never a reason to restart.
        hung_after: seconds without a good health check after which it is hung: ended and restarted.
        max_bad: bad checks among the last ten that are too many, also where good ones lie between.
        min_uptime: seconds it must have been up to be RUNNING; one good health check is needed too.
        start_timeout: seconds it may stay STARTING.
        restart: see :class:`RestartPolicy`.
        stop: see :class:`StopPolicy`.
        output: see :class:`OutputLimits`.

    Raises:
        ConfigError: if a value is not accepted.
    """

    command: tuple[str, ...] = attrs.field(converter=_listed, validator=_words)
    cwd: Path | None = None
    env: Mapping[str, str] = attrs.field(factory=dict, validator=_environment)
    inherit_env: bool = attrs.field(default=True, validator=boolean)
    autostart: bool = attrs.field(default=True, validator=boolean)
    ports: tuple[int, ...] = attrs.field(default=(), converter=_listed, validator=_ports)
    health: HttpProbe | TcpProbe | CommandProbe | HeartbeatProbe | None = None
    readiness: HttpProbe | TcpProbe | CommandProbe | None = None
    hung_after: float = attrs.field(default=30.0, validator=between(0.1, _DAY, "s"))
    max_bad: int = attrs.field(default=8, validator=between(1, 10))
    min_uptime: float = attrs.field(default=1.0, validator=between(0.0, 3_600.0, "s"))
    start_timeout: float = attrs.field(default=60.0, validator=between(0.1, _DAY, "s"))
    restart: RestartPolicy = attrs.field(factory=RestartPolicy)
    stop: StopPolicy = attrs.field(factory=StopPolicy)
    output: OutputLimits = attrs.field(factory=OutputLimits)

    def __attrs_post_init__(self) -> None:
        if self.min_uptime >= self.start_timeout:
            accepted = f"less than start_timeout ({self.start_timeout:g} s)"
            raise ConfigError("WorkerConfig.min_uptime", self.min_uptime, accepted, "1.0")
        if self.health is not None and self.health.every >= self.hung_after:
            accepted = f"more than the {self.health.every:g} s between health checks"
            raise ConfigError("WorkerConfig.hung_after", self.hung_after, accepted, "30.0")


def _workers(owner: object, field: attrs.Attribute[Any], value: Mapping[str, object]) -> None:
    if not value:
        raise ConfigError("SupervisorConfig.workers", value, "a table of at least one worker")
    for name in value:
        if not NAME.fullmatch(str(name)):
            accepted = "named with at most 64 of A-Z a-z 0-9 . _ - and a letter or digit first"
            raise ConfigError("SupervisorConfig.workers", name, accepted)


@attrs.frozen(kw_only=True)
class SupervisorConfig:
    """All workers of one supervisor.

    Args:
        workers: by name.
        state_dir: directory for records, heartbeats and output. One supervisor at a time works in it.
        subreaper: become the parent of processes that workers leave behind, so that they are reaped here. It
            concerns the whole host process, so it is for processes that do nothing but supervise.

    Raises:
        ConfigError: if a value is not accepted.
    """

    workers: Mapping[str, WorkerConfig] = attrs.field(validator=_workers)
    state_dir: Path | None = None
    subreaper: bool = attrs.field(default=False, validator=boolean)

    @classmethod
    def from_config(cls, data: object, where: str = "", *, source: str = "") -> SupervisorConfig:
        """Make it of plain data.

        Args:
            data: a mapping as a JSON or TOML file holds it.
            where: path of that place in the file, for messages.
            source: the file, for messages.

        Raises:
            InvalidConfigError: with everything that is wrong.
        """
        return structure(data, cls, where, source=source)

    @classmethod
    def from_file(cls, path: str | Path) -> SupervisorConfig:
        """Read it from a JSON or TOML file.

        Raises:
            ConfigError: if the file cannot be read or a setting is not accepted.
        """
        return cls.from_config(load_file(path), source=str(path))

"""What the reference app can be told, by command line and environment."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from selfheal.errors import ConfigError
from selfheal.integrations.http import check_bind
from selfheal.validators import between, boolean

TOKEN = "SELFHEAL_TOKEN"
PREFIX = "REFERENCE_APP_"
_DAY = 86_400.0


@attrs.frozen(kw_only=True)
class AppConfig:
    """The app's settings; all durations in seconds.

    Args:
        host: address to listen on.
        port: TCP port to listen on; 0 takes a free one.
        state_dir: holds the two databases, ``.env.local``, backups, the provider's files and the pid file.
        token: lets its bearer steer; empty: a fresh one is made and printed at each start.
        admin_token: lets its bearer inject faults into the provider; empty: nobody may.
        detection_every: between two looks at keys, process, requests and breaker.
        healing_every: between two looks at the alerts that wait for a healing.
        preventive_every: between two preventive healings.
        trim_every: between two trims of the request log.
        backoff_base: wait after the first failed healing.
        backoff_cap: longest wait between two healings.
        open_for: how long a breaker refuses before it lets a probe through.
        upstream_timeout: for an answer of the provider.
        upstream_limit: requests with the provider at once, at most; fewer while it is slow.
        stop_timeout: for everything to end, when the app is told to.
        keep_requests: how many requests the log keeps.
        workers: processes that make the local summaries.
        worker_memory: MiB that one of them may hold; beyond that it is replaced.
        worker_hung_after: a worker that says nothing for so long is hung: its pool kills and replaces it.
        local_timeout: for a local summary, waiting for a worker included.
        rate_limit: requests a second of each sender.
        burst: requests of each sender at once.
        cpu_limit: percent of the CPU from which on work is delayed, and soon shed; 100: never.
        memory_limit: the same for memory.
        watch_every: between two looks at CPU and memory, the workers', and the way back to the provider.
        cache: whether summaries that were bought are kept, from the start.
        cache_entries: how many of them.
        cache_ttl: for how long.
        queue_pace: what a second in which a queue stands still counts for; more than 1 for demonstrations.
        history: a recorded week that the anomaly score begins with, a file of ``examples.reference_app.week``; none: it
            learns as it goes.
        speed: how many times faster than as shipped the strategies go.
        backups: directory of the backups; by default ``backups`` in the state directory. Best on another disk.
        backup_at: the time of day, of this machine, at which they are made.
        webhook: address that gets each notification as JSON; empty: none does.
        dry_run: what would be healed is written to the journal, and nothing is touched.
        end_with_stdin: stop when standard input ends, that is when whoever started the app is gone.

    Raises:
        ConfigError: if a value is out of range, or a host that others can reach is given without a token.
    """

    host: str = "127.0.0.1"
    port: int = attrs.field(default=3001, validator=between(0, 65_535))
    state_dir: Path = attrs.field(default=Path(".reference_app"), converter=Path)
    token: str = attrs.field(default="", repr=False)
    admin_token: str = attrs.field(default="", repr=False)
    detection_every: float = attrs.field(default=300.0, validator=between(0.01, _DAY, "s"))
    healing_every: float = attrs.field(default=1.0, validator=between(0.01, _DAY, "s"))
    preventive_every: float = attrs.field(default=600.0, validator=between(0.01, _DAY, "s"))
    trim_every: float = attrs.field(default=3600.0, validator=between(0.01, _DAY, "s"))
    backoff_base: float = attrs.field(default=5.0, validator=between(0.001, _DAY, "s"))
    backoff_cap: float = attrs.field(default=600.0, validator=between(0.001, _DAY, "s"))
    open_for: float = attrs.field(default=60.0, validator=between(0.001, _DAY, "s"))
    upstream_timeout: float = attrs.field(default=5.0, validator=between(0.1, 300.0, "s"))
    upstream_limit: int = attrs.field(default=16, validator=between(1, 1000))
    stop_timeout: float = attrs.field(default=10.0, validator=between(0.1, 300.0, "s"))
    keep_requests: int = attrs.field(default=10_000, validator=between(1, 10_000_000))
    workers: int = attrs.field(default=2, validator=between(1, 64))
    worker_memory: float = attrs.field(default=256.0, validator=between(32.0, 1_048_576.0, "MiB"))
    worker_hung_after: float = attrs.field(default=3.0, validator=between(0.1, _DAY, "s"))
    local_timeout: float = attrs.field(default=5.0, validator=between(0.1, 300.0, "s"))
    rate_limit: float = attrs.field(default=50.0, validator=between(0.1, 1e6, "a second"))
    burst: float = attrs.field(default=100.0, validator=between(1.0, 1e6))
    cpu_limit: float = attrs.field(default=80.0, validator=between(20.0, 100.0, "%"))
    memory_limit: float = attrs.field(default=70.0, validator=between(20.0, 100.0, "%"))
    watch_every: float = attrs.field(default=1.0, validator=between(0.01, 60.0, "s"))
    cache: bool = attrs.field(default=True, validator=boolean)
    cache_entries: int = attrs.field(default=1000, validator=between(1, 10_000_000))
    cache_ttl: float = attrs.field(default=600.0, validator=between(0.001, 30 * _DAY, "s"))
    queue_pace: float = attrs.field(default=1.0, validator=between(1.0, 1000.0))
    history: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    speed: float = attrs.field(default=1.0, validator=between(1.0, 1000.0))
    backups: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    backup_at: str = "03:30"
    webhook: str = attrs.field(default="", repr=False)
    dry_run: bool = attrs.field(default=False, validator=boolean)
    end_with_stdin: bool = attrs.field(default=False, validator=boolean)

    def __attrs_post_init__(self) -> None:
        check_bind(self.host, self.token)

    @property
    def address(self) -> str:
        """Where the service is, as a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def faster(self, speed: float) -> AppConfig:
        """The same policy with its clockwork ``speed`` times faster: intervals, backoff and open time are divided.

        So are all times of the strategies, but for the time-outs of their actions; these not below a hundredth, for
        there have to be some measurements between an action and the question whether it helped.
        What depends on the world and not on policy (network and stop timeouts, the cache) stays as it is.
        ``healing_every`` does not go below 0.05, ``watch_every`` not below 0.2.

        Raises:
            ConfigError: if ``speed`` is not between 1 and 1000, or a value becomes too small.
        """
        if not 1 <= speed <= 1000:
            raise ConfigError("--speed", speed, "between 1 and 1000", "1")
        return attrs.evolve(
            self,
            detection_every=self.detection_every / speed,
            healing_every=max(self.healing_every / speed, min(self.healing_every, 0.05)),
            preventive_every=self.preventive_every / speed,
            trim_every=self.trim_every / speed,
            watch_every=max(self.watch_every / speed, min(self.watch_every, 0.2)),
            backoff_base=self.backoff_base / speed,
            backoff_cap=self.backoff_cap / speed,
            open_for=self.open_for / speed,
            speed=min(speed, 100.0),
        )


_OPTIONS: dict[str, tuple[type, str]] = {
    "host": (str, "address to listen on"),
    "port": (int, "TCP port to listen on; 0 takes a free one"),
    "state_dir": (Path, "directory of the databases, .env.local and the pid file"),
    "detection_every": (float, "seconds between two detections"),
    "healing_every": (float, "seconds between two looks at waiting alerts"),
    "preventive_every": (float, "seconds between two preventive healings"),
    "backoff_base": (float, "seconds to wait after the first failed healing"),
    "backoff_cap": (float, "seconds to wait at most between two healings"),
    "open_for": (float, "seconds that a breaker refuses before it probes"),
    "upstream_timeout": (float, "seconds to wait for the provider's answer"),
    "upstream_limit": (int, "requests with the provider at once, at most"),
    "keep_requests": (int, "how many requests the log keeps"),
    "workers": (int, "processes that make the local summaries"),
    "worker_memory": (float, "MiB that one of them may hold"),
    "worker_hung_after": (float, "seconds without a sign after which a worker is replaced"),
    "local_timeout": (float, "seconds to wait for a local summary"),
    "rate_limit": (float, "requests a second of each sender"),
    "burst": (float, "requests of each sender at once"),
    "cpu_limit": (float, "percent of the CPU from which on work is delayed and shed; 100: never"),
    "memory_limit": (float, "percent of the memory from which on work is delayed and shed; 100: never"),
    "cache_entries": (int, "bought summaries that are kept"),
    "cache_ttl": (float, "seconds for which a bought summary is kept"),
    "queue_pace": (float, "what a second in which a queue stands still counts for"),
    "history": (Path, "recorded week that the anomaly score begins with"),
    "backups": (Path, "directory of the backups"),
    "backup_at": (str, "time of day at which they are made"),
    "webhook": (str, "address that gets each notification"),
}


def read_config(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> AppConfig:
    """Make the configuration: command line first, then ``REFERENCE_APP_…`` variables, then the defaults.

    Raises:
        ConfigError: if a value is not accepted.
        SystemExit: if the command line cannot be read, or asks for help.
    """
    defaults = AppConfig()
    parser = argparse.ArgumentParser(
        prog="python -m examples.reference_app",
        description="A document-summary gateway that heals itself.",
        epilog=f"Each option can be given as a variable too: {PREFIX}PORT=3002. {TOKEN} holds the token for steering "
        "calls (made and printed when absent), PROVIDER_ADMIN_TOKEN the one for injecting faults.",
    )
    for name, (kind, meaning) in _OPTIONS.items():
        told = f"{meaning} (default: {getattr(defaults, name)})"
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=told)
    parser.add_argument("--speed", type=float, help="run the clockwork this many times faster (default: 1)")
    parser.add_argument("--no-cache", dest="cache", action="store_false", help="do not keep summaries that were bought")
    parser.add_argument("--dry-run", action="store_true", help="write down what would be healed, and touch nothing")
    parser.add_argument("--end-with-stdin", action="store_true", help="stop when standard input ends")
    given = vars(parser.parse_args(argv))
    found: dict[str, Any] = {name: _found(name, kind, given[name], environ) for name, (kind, _) in _OPTIONS.items()}
    chosen = {name: value for name, value in found.items() if value is not None}
    speed = _found("speed", float, given["speed"], environ)
    config = AppConfig(
        token=environ.get(TOKEN, ""),
        admin_token=environ.get("PROVIDER_ADMIN_TOKEN", ""),
        cache=given["cache"],
        dry_run=given["dry_run"],
        end_with_stdin=given["end_with_stdin"],
        **chosen,
    )
    return config if speed is None else config.faster(speed)


def _found(name: str, kind: type, given: object, environ: Mapping[str, str]) -> Any:
    variable = PREFIX + name.upper()
    if given is not None or variable not in environ:
        return given
    try:
        return kind(environ[variable])
    except ValueError as error:
        raise ConfigError(variable, environ[variable], f"text that {kind.__name__} can read") from error

"""Notifiers from plain data.

::

    [levers.notify]
    dedup_for = 300
    [levers.notify.to.ops]
    type = "webhook"
    url = "https://hooks.example/..."
    [levers.notify.to.file]
    type = "file"
    path = "/var/log/app/notifications.jsonl"
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from selfheal.clock import Clock
from selfheal.errors import ConfigError
from selfheal.levers.notify import ConsoleNotifier, FileNotifier, FileNotifierConfig, LogNotifier, Notifier
from selfheal.levers.notify_gate import NotifiersConfig
from selfheal.levers.notify_webhook import WebhookConfig, WebhookNotifier


@attrs.frozen(kw_only=True)
class LogTo:
    """A log, ``type = "log"``."""

    TYPE: ClassVar[str] = "log"
    logger: str = "selfheal.notify"


@attrs.frozen(kw_only=True)
class ConsoleTo:
    """The console, ``type = "console"``."""

    TYPE: ClassVar[str] = "console"


@attrs.frozen(kw_only=True)
class FileTo(FileNotifierConfig):
    """A file, ``type = "file"``."""

    TYPE: ClassVar[str] = "file"


@attrs.frozen(kw_only=True)
class WebhookTo(WebhookConfig):
    """A web address, ``type = "webhook"``."""

    TYPE: ClassVar[str] = "webhook"


@attrs.frozen(kw_only=True)
class NotifyConfig(NotifiersConfig):
    """All notifiers of a settings file, and when notifications are held back.

    Args:
        to: name to notifier, told apart by ``type``.
    """

    to: Mapping[str, LogTo | ConsoleTo | FileTo | WebhookTo] = attrs.field(factory=dict)


def notifiers_from(
    settings: Mapping[str, Any], where: str, clock: Clock
) -> tuple[dict[str, Notifier], NotifiersConfig]:
    """Make the notifiers and the settings of their gate.

    Raises:
        ConfigError: naming the path below ``where`` of what is not accepted.
    """
    from selfheal.configuring import structure

    given = structure(settings, NotifyConfig, where)
    made: dict[str, Notifier] = {}
    for name, to in given.to.items():
        try:
            made[name] = _made(to, clock)
        except ConfigError as error:
            key = error.where.rpartition(".")[2]
            raise ConfigError(f"{where}.to.{name}.{key}", error.found, error.accepted, error.default) from None
    return made, NotifiersConfig(dedup_for=given.dedup_for, most=given.most, per=given.per)


def _made(to: LogTo | ConsoleTo | FileTo | WebhookTo, clock: Clock) -> Notifier:
    if isinstance(to, WebhookTo):
        return WebhookNotifier(clock=clock, **attrs.asdict(to, recurse=False))
    if isinstance(to, FileTo):
        return FileNotifier(**attrs.asdict(to, recurse=False))
    return LogNotifier(to.logger) if isinstance(to, LogTo) else ConsoleNotifier()

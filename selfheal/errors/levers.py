"""What limiters and the levers of a healing raise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from selfheal.errors.base import SelfhealError


class RateLimitedError(SelfhealError):
    """A rate limiter refused. Nothing was taken.

    Attributes:
        limiter: its name.
        key: the key that was asked for, or ``None``.
        retry_after: seconds until asking again may help; ``None`` where more was asked for than its burst.
        why: in words.
    """

    def __init__(self, limiter: str, key: object, retry_after: float | None, why: str) -> None:
        super().__init__(limiter, key, retry_after, why)
        self.limiter = limiter
        self.key = key
        self.retry_after = retry_after
        self.why = why

    def __str__(self) -> str:
        about = f"limiter {self.limiter!r}" + ("" if self.key is None else f", key {self.key!r}")
        after = "Ask for less at once" if self.retry_after is None else f"Retry in {self.retry_after:.3g} s"
        return f"{about}: refused, {self.why}. {after}, or raise the rate by set_rate()."


class ConcurrencyLimitedError(SelfhealError):
    """As much is under way as may be, and there is no room to wait or no time left.

    Attributes:
        limiter: the limit's name.
        limit: how many may be under way at once.
        waiting: how many waited for a place.
        why: in words.
    """

    def __init__(self, limiter: str, limit: int, waiting: int, why: str) -> None:
        super().__init__(limiter, limit, waiting, why)
        self.limiter = limiter
        self.limit = limit
        self.waiting = waiting
        self.why = why

    def __str__(self) -> str:
        return (
            f"limit {self.limiter!r}: refused, {self.why}: {self.limit} under way, {self.waiting} waiting. "
            "Answer 'try later', or allow more to wait by max_waiting."
        )


class LeverError(SelfhealError):
    """Base of what goes wrong when a lever is pulled."""


class LeverUnsupportedError(LeverError):
    """This lever has no such move.

    Attributes:
        lever: its name.
        move: what was asked for.
        instead: what to do.
    """

    def __init__(self, lever: str, move: str, instead: str) -> None:
        super().__init__(lever, move, instead)
        self.lever = lever
        self.move = move
        self.instead = instead

    def __str__(self) -> str:
        return f"lever {self.lever!r} cannot {self.move}: {self.instead}."


class FallbackExhaustedError(LeverError):
    """There is no provider after the active one.

    Attributes:
        switch: name of the fallback switch.
        active: the provider in use.
        providers: all of them, in order of preference.
    """

    def __init__(self, switch: str, active: str, providers: Iterable[str]) -> None:
        self.switch = switch
        self.active = active
        self.providers = tuple(providers)
        super().__init__(switch, active, self.providers)

    def __str__(self) -> str:
        return (
            f"fallback {self.switch!r} has no provider after {self.active!r} (of {', '.join(self.providers)}). "
            "Name one by switch(to=...), or go back by return_to(reason)."
        )


class NotifyError(LeverError):
    """A notification was not delivered.

    Attributes:
        title: of the notification.
        failed: notifier to what went wrong, as text without secrets.
    """

    def __init__(self, title: str, failed: Mapping[str, str]) -> None:
        self.title = title
        self.failed = dict(failed)
        super().__init__(title, self.failed)

    def __str__(self) -> str:
        told = "; ".join(f"{name}: {why}" for name, why in self.failed.items()) or "there is no notifier"
        return f"notification {self.title!r} was not delivered ({told}). Look at the notifier's address and reach."

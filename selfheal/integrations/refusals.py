"""selfheal's own errors as HTTP answers."""

from __future__ import annotations

from selfheal.errors import (
    ConfigError,
    NotFoundError,
    ResetRefusedError,
    ResumeRefusedError,
    SelfhealError,
    StateError,
)
from selfheal.integrations.messages import RefusedError
from selfheal.redaction import scrub

_MOST_NAMES = 100


def refusal_of(error: SelfhealError) -> RefusedError:
    """The answer to a request on which ``error`` was raised: it says what happened and what to send."""
    if isinstance(error, NotFoundError):
        known = sorted(error.known)[:_MOST_NAMES]
        message = f"There is no {error.kind} named {error.name[:200]!r}."
        return RefusedError(
            404, "not_found", scrub(message), send="one of the names in 'known'", facts={"known": known}
        )
    if isinstance(error, ResetRefusedError):
        send = {"reason": "what you fixed", "force": True}
        facts = {"permanentOpenReason": scrub(error.reason)}
        return RefusedError(409, "reset_refused", scrub(str(error)), send=send, facts=facts)
    if isinstance(error, ResumeRefusedError):
        send_again = {"reason": "what you fixed"}
        facts = {"failedCheck": error.failed_check or ""}
        return RefusedError(409, "resume_refused", scrub(str(error)), send=send_again, facts=facts)
    if isinstance(error, ConfigError):
        return RefusedError(409, "not_configured", scrub(str(error)))
    if isinstance(error, StateError):
        return RefusedError(503, "state_unavailable", scrub(str(error)), send="the same again once the store works")
    return RefusedError(409, "refused", scrub(str(error)))

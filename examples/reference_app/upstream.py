"""Calls to the provider over HTTP. Nothing here retries or guards: the gateway's breaker does."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any

from examples.reference_app.keys import ApiKey, KeyPool

PROBE = (
    "A summary keeps what matters and leaves out the rest. The service sends this text to see whether its provider "
    "can still write one. If it can, the answer is one of these sentences."
)
"""A text that shows whether the provider works."""


class UpstreamError(Exception):
    """The provider did not give a summary."""


class ProviderUnreachableError(UpstreamError):
    """No answer: nobody listens there, the connection broke, or the time was up."""


class ProviderSlowError(ProviderUnreachableError):
    """The time was up."""


class ProviderFailedError(UpstreamError):
    """The provider answered that it cannot: a status of 500 and above."""


class ProviderOverloadedError(ProviderFailedError):
    """The provider answered that it has too much to do: 429, 503 or 504."""


class UnauthorizedError(UpstreamError):
    """The provider refused every key there is; the text begins with what it said: ``unauthorized``."""


class DocumentRefusedError(Exception):
    """The document cannot be summarised, by anybody: the caller's fault, not the provider's."""


TOO_MUCH = (ProviderSlowError, ProviderOverloadedError)
"""The failures that say that fewer calls at once would do better."""


class Upstream:
    """The provider as the gateway sees it.

    Args:
        port: tells the provider's port at this moment, or ``None`` while it does not run.
        keys: the keys to call it with.
        timeout: seconds for connecting, and for each read.
    """

    def __init__(self, port: Callable[[], int | None], keys: KeyPool, timeout: float = 5.0) -> None:
        self._port = port
        self._keys = keys
        self._timeout = timeout

    def summarise(self, text: str, sentences: int = 3) -> str:
        """Have the provider summarise ``text``, with the first of the active keys that it accepts.

        Raises:
            NoActiveKeysError: if there is no key to try.
            UnauthorizedError: if it refused every key tried.
            ProviderUnreachableError: if it did not answer.
            ProviderFailedError: if it answered that it cannot.
            DocumentRefusedError: if it can do nothing with this text.
        """
        tried = self._keys.need_active()
        for key in tried:
            status, body = self._call("POST", "/v1/summaries", key, {"text": text, "sentences": sentences})
            if status == 200:
                return str(body["summary"])
            if status != 401:
                raise _failure(status, body)
            self._keys.mark(key, accepted=False)
        raise UnauthorizedError(f"unauthorized: the provider refused every key it was shown ({len(tried)})")

    def validate(self, key: ApiKey) -> bool:
        """Ask the provider whether it accepts ``key``, and note the answer in the pool.

        Raises:
            ProviderUnreachableError: if it did not answer.
            ProviderFailedError: if it answered that it cannot say.
        """
        status, body = self._call("GET", "/v1/keys/self", key, None)
        if status not in (200, 401):
            raise _failure(status, body)
        self._keys.mark(key, accepted=status == 200)
        return status == 200

    def _call(self, method: str, path: str, key: ApiKey, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        port = self._port()
        if port is None:
            raise ProviderUnreachableError("the provider does not run")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=self._timeout)
        headers = {"Authorization": f"Bearer {key.secret}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content: dict[str, Any] = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            told = str(error) or type(error).__name__
            kind = ProviderSlowError if isinstance(error, TimeoutError) else ProviderUnreachableError
            raise kind(f"the provider does not answer: {told}") from error
        finally:
            connection.close()
        return answer.status, content


def _failure(status: int, body: dict[str, Any]) -> Exception:
    told = str(body.get("error", "no reason given"))
    if status in (400, 413, 422):
        return DocumentRefusedError(told)
    kind = ProviderOverloadedError if status in (429, 503, 504) else ProviderFailedError
    return kind(f"the provider answered {status}: {told}")

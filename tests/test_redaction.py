"""What counts as a secret, by name and by look."""

from __future__ import annotations

import math

import pytest

from selfheal.redaction import REDACTED, hides, scrub, scrub_all


@pytest.mark.parametrize("key", ["password", "dbPassword", "DB_PASSWORD", "client-secret", "pin", "awsCredentials"])
def test_a_password_hides_everything(key: str) -> None:
    """Under the name of a password even a number is secret."""
    assert hides(key) == "all"


@pytest.mark.parametrize(
    "key", ["token", "accessToken", "apiKey", "API_KEY", "api-keys", "apikey", "privateKey", "Authorization", "cookie"]
)
def test_a_token_hides_text(key: str) -> None:
    """Under the name of a token text is secret, while a number is a count."""
    assert hides(key) == "text"


@pytest.mark.parametrize(
    "key",
    [
        "totalKeys",
        "activeKeys",
        "failedKeys",
        "keyManagement",
        "tokenCount",
        "tokensUsed",
        "apiKeyStatus",
        "passwordExpiresAt",
        "name",
        "primaryKey",
        "tokenizer",
        "compass",
        "spin",
        "",
        "42",
    ],
)
def test_what_only_talks_about_secrets_is_shown(key: str) -> None:
    """Counts, states and words that merely contain the letters of a secret hide nothing."""
    assert hides(key) == ""


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("401 unauthorized for sk-proj-abcDEF123456789", "abcDEF123456789"),
        ("clone with ghp_0123456789abcdefghijABCDEFGHIJ", "0123456789abcdefghij"),
        ("AKIAABCDEFGHIJKLMNOP refused", "AKIAABCDEFGHIJKLMNOP"),
        ("postgres://app:hunter2@db:5432/x", "hunter2"),
        ("Authorization: Bearer abcdefgh12345678", "abcdefgh12345678"),
        ("GET /?token=abc123&x=1", "abc123"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc-def", "eyJzdWIi"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----", "MIIEow"),
    ],
)
def test_credentials_in_text_are_replaced(text: str, secret: str) -> None:
    """A credential of a known kind does not survive inside a sentence."""
    assert secret in text
    assert secret not in scrub(text)
    assert REDACTED in scrub(text)


@pytest.mark.parametrize(
    "text",
    ["unauthorized", "no active api keys", "task-sk fails", "http://localhost:3001/api", "3 of 4 failed: timeout"],
)
def test_plain_sentences_stay(text: str) -> None:
    """What is no credential is left as it is."""
    assert scrub(text) == text


def test_all_texts_of_a_document_are_scrubbed_but_not_its_keys() -> None:
    """Scrubbing reaches nested texts and leaves names, numbers and null alone."""
    found = scrub_all({"sk-abcdefghijklmnop": [{"why": "sk-abcdefghijklmnop"}, 1, 0.5, math.nan, None, True]})

    assert found == {"sk-abcdefghijklmnop": [{"why": REDACTED}, 1, 0.5, None, None, True]}


def test_scrubbing_long_text_takes_linear_time() -> None:
    """A hostile text cannot make the scrubber backtrack for ever."""
    for text in ("://" + "a" * 200_000, "-----BEGIN " * 20_000, "eyJ" * 60_000, "sk-" * 60_000, ":" * 200_000):
        assert isinstance(scrub(text), str)

"""Keep secrets out of what is shown: by the name of a key, and by the look of a value.

The name decides first. ``password`` or ``apiKey`` hides its value, whatever it is made of; ``totalKeys``
and ``tokensUsed`` are counts and stay. As a second net, text that looks like a well-known kind of
credential is replaced wherever it stands, so that an error message cannot carry a key into a report.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import Any, Final

REDACTED: Final = "[redacted]"
"""What is shown in place of a secret."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

#: A key with one of these words hides every value, numbers too: a PIN is a number.
_STRONG = _words("""
    password passwords passwd pwd passphrase passphrases pin secret secrets credential credentials
""")
#: A key with one of these words hides text; numbers and booleans under it are counts and switches.
_WEAK = _words("""
    token tokens apikey apikeys authorization bearer cookie cookies jwt dsn privatekey accesskey
    secretkey
""")
#: These make a secret of the word ``key`` that follows.
_KEY_KINDS = _words("""
    api private access secret signing encryption master auth license ssh
""")
#: A key that ends so tells something about a secret and not the secret.
_ABOUT = _words("""
    count total used limit at age expires expiry ttl status state valid
    enabled present configured type provider rotated management
""")

_LOOKS_SECRET = re.compile(
    r"""
      \b(?:sk|pk|rk)[-_](?:live[-_]|test[-_]|proj[-_]|ant[-_])?[A-Za-z0-9_-]{12,}   # API keys of many providers
    | \bgh[pousr]_[A-Za-z0-9]{20,} | \bgithub_pat_\w{20,}                           # GitHub
    | \bxox[abprs]-[A-Za-z0-9-]{10,}                                                # Slack
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b                                                 # AWS
    | \bAIza[A-Za-z0-9_-]{30,}                                                      # Google
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*                     # JWT
    | -----BEGIN\ [A-Z ]{0,40}PRIVATE\ KEY-----[\s\S]{0,8192}?(?:-----END[^-]{0,60}-----|\Z)
    | (?<=://)[^\s/:@]{0,256}:[^\s/@]{1,256}(?=@)                                   # user:password in a URL
    | (?i:(?<=\bbearer\ )[A-Za-z0-9._~+/=-]{8,})
    | (?i:(?<=\bpassword=)[^\s&;,'"]+) | (?i:(?<=\btoken=)[^\s&;,'"]+)
    | (?i:(?<=\bapi_key=)[^\s&;,'"]+) | (?i:(?<=\bapikey=)[^\s&;,'"]+) | (?i:(?<=\bsecret=)[^\s&;,'"]+)
    """,
    re.VERBOSE,
)


def scrub(text: str) -> str:
    """Return ``text`` with everything that looks like a credential replaced by :data:`REDACTED`."""
    return _LOOKS_SECRET.sub(REDACTED, text)


def hides(key: str) -> str:
    """Tell what a key of this name hides.

    Returns:
        ``"all"`` (a password), ``"text"`` (a token, whose numbers are counts) or ``""`` (nothing).
    """
    words = [word.lower() for word in _WORDS.findall(key)]
    if not words or words[-1] in _ABOUT:
        return ""
    if any(word in _STRONG for word in words):
        return "all"
    kinds_of_key = any(a in _KEY_KINDS and b in ("key", "keys") for a, b in itertools.pairwise(words))
    return "text" if kinds_of_key or any(word in _WEAK for word in words) else ""


def scrub_all(data: Any) -> Any:
    """Return JSON data with :func:`scrub` applied to each text in it; keys are left as they are.

    A number that JSON cannot hold becomes ``None``.
    """
    if isinstance(data, str):
        return scrub(data)
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, list):
        return [scrub_all(item) for item in data]
    if isinstance(data, dict):
        return {key: scrub_all(item) for key, item in data.items()}
    return data

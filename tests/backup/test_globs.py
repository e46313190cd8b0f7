"""Patterns of names."""

from __future__ import annotations

import pytest

from selfheal.backup import Section
from selfheal.backup.globs import matcher
from selfheal.errors import ConfigError

CASES = [
    ("*.tmp", ["a.tmp", "x/y/a.tmp", ".tmp"], ["a.tmpx", "a.tmp/x"]),
    ("cache", ["cache", "x/cache"], ["cached", "cache/x"]),
    ("/cache", ["cache"], ["x/cache"]),
    ("a/*", ["a/b"], ["a", "a/b/c", "x/a/b"]),
    ("a/**", ["a/b", "a/b/c"], ["a", "b/a/c"]),
    ("**/a", ["a", "x/a", "x/y/a"], ["xa"]),
    ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/xb"]),
    ("f?", ["f1", "x/f1"], ["f", "f12", "f/"]),
    ("f[0-9]", ["f1"], ["fa", "f/"]),
    ("f[!0-9]", ["fa"], ["f1", "f/"]),
    ("[", ["["], ["a"]),
    ("a.b", ["a.b"], ["axb"]),
    ("*", ["a", "x/y"], []),
    ("cache/", ["cache"], ["x/cache"]),
    ("line\nend", ["line\nend"], ["line"]),
]


@pytest.mark.parametrize(("pattern", "fits", "others"), CASES, ids=[case[0] for case in CASES])
def test_patterns(pattern: str, fits: list[str], others: list[str]) -> None:
    """A pattern fits these paths, and not those."""
    test = matcher([pattern])
    assert [path for path in fits if not test(path)] == []
    assert [path for path in others if test(path)] == []


def test_none_and_several() -> None:
    """No pattern fits nothing; of several any does."""
    assert not matcher([])("a")
    assert [path for path in ("a", "b", "c") if matcher(["a", "c"])(path)] == ["a", "c"]


@pytest.mark.parametrize(
    "options",
    [
        {"name": "a/b"},
        {"name": ""},
        {"name": "."},
        {"name": "a" * 65},
        {"path": ""},
        {"path": 7},
        {"exclude": "*.tmp"},
        {"exclude": [7]},
        {"exclude": ["/"]},
        {"sqlite": "always"},
        {"unstable": "ignore"},
    ],
    ids=str,
)
def test_a_section_says_what_it_does_not_accept(options: dict[str, object]) -> None:
    """Each value that is no good is refused when the section is made, by name."""
    with pytest.raises(ConfigError, match="Section"):
        Section(**{"name": "data", "path": "/srv", **options})  # type: ignore[arg-type]

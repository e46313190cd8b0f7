"""All levers from one settings file, and everything wrong with one told with its path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from selfheal.configuring import load_file
from selfheal.errors import ConfigError
from selfheal.levers import CacheControl, FallbackSwitch, Notifiers, Snapshotter, SwitchableCache
from selfheal.resources import AdaptiveLimit, RateLimiter

SETTINGS = """
[levers.door]
rate = 50
burst = 100
[levers.search]
initial = 20
[levers.prices]
ttl = 30
[levers.thumbs]
name = "thumbs"
directory = "thumbs"
root = "{here}"
[levers.llm]
return_after = 5
[levers.notify]
most = 10
[levers.notify.to.file]
type = "file"
path = "{here}/told.jsonl"
[levers.snapshots]
directory = "{here}"
"""

MAKERS = {
    "door": RateLimiter.from_config,
    "search": AdaptiveLimit.from_config,
    "prices": SwitchableCache.from_config,
    "thumbs": CacheControl.from_config,
    "llm": lambda given, where: FallbackSwitch.from_config(given, {"a": int}, where),
    "notify": Notifiers.from_config,
    "snapshots": lambda given, where: Snapshotter.from_config(given, where=where),
}


def make(settings: dict[str, Any]) -> dict[str, Any]:
    makers: dict[str, Any] = MAKERS
    return {name: makers[name](given, where=f"levers.{name}") for name, given in settings["levers"].items()}


def test_a_file_makes_all_levers(tmp_path: Path) -> None:
    """One TOML file has the settings of every lever."""
    file = tmp_path / "app.toml"
    file.write_text(SETTINGS.format(here=tmp_path))
    made = make(load_file(file))

    assert made["door"].try_acquire(100)
    assert made["search"].limit == 20
    assert made["thumbs"].size().entries == 0
    assert made["snapshots"].snapshot("start").exists()


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("rate = 50", "rate = -50", r"levers\.door\.rate must be between"),
        ("rate = 50", "rate = 50\nbrust = 1", r"levers\.door\.brust must be a known key .*did you mean 'burst'"),
        ("initial = 20", 'initial = "20"', r"levers\.search\.initial must be an integer"),
        ("ttl = 30", "ttl = true", r"levers\.prices\.ttl must be"),
        ('directory = "thumbs"', 'directory = "../etc"', r"levers\.thumbs\.directory must be a path without '\.\.'"),
        ('directory = "thumbs"', 'directory = "/etc"', r"levers\.thumbs\.directory must be a directory below its root"),
        ("return_after = 5", "return_after = 0", r"levers\.llm\.return_after must be"),
        ('type = "file"', 'type = "pigeon"', r"levers\.notify\.to\.file\.type"),
        ("most = 10", "most = nan", r"levers\.notify\.most must be an integer"),
    ],
)
def test_what_is_wrong_is_told_with_its_path(tmp_path: Path, right: str, wrong: str, told: str) -> None:
    """A bad value, a wrong type, an unknown key or a directory out of root is one error that names its place."""
    file = tmp_path / "app.toml"
    file.write_text(SETTINGS.format(here=tmp_path).replace(right, wrong, 1))

    with pytest.raises(ConfigError, match=told):
        make(load_file(file))

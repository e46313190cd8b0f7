"""What the app can be told about its levers."""

from __future__ import annotations

import pytest

from examples.reference_app.config import AppConfig, read_config
from selfheal.errors import ConfigError


def test_levers_are_set_by_options_and_variables() -> None:
    """An option goes before a variable, a variable before the default."""
    environ = {"REFERENCE_APP_WORKERS": "4", "REFERENCE_APP_RATE_LIMIT": "7.5", "REFERENCE_APP_CPU_LIMIT": "100"}

    config = read_config(["--no-cache", "--workers", "3", "--webhook", "https://example.org/hook"], environ)

    assert (config.workers, config.rate_limit, config.cpu_limit, config.cache) == (3, 7.5, 100.0, False)
    assert config.webhook == "https://example.org/hook"
    assert (config.burst, config.memory_limit, config.worker_memory) == (100.0, 70.0, 256.0)


def test_cache_and_limit_of_the_provider_have_bounds_from_the_start() -> None:
    """Summaries are kept, a thousand for ten minutes; options say otherwise."""
    assert read_config([], {}).cache
    config = read_config(["--cache-entries", "5", "--upstream-limit", "3"], {"REFERENCE_APP_CACHE_TTL": "30"})

    assert (config.cache_entries, config.cache_ttl, config.upstream_limit) == (5, 30.0, 3)
    assert (AppConfig().cache_entries, AppConfig().cache_ttl, AppConfig().upstream_limit) == (1000, 600.0, 16)


def test_a_webhook_is_in_no_repr() -> None:
    """Its address often is a secret."""
    assert "example.org" not in repr(AppConfig(webhook="https://example.org/hook"))


def test_a_faster_clockwork_does_not_look_all_the_time() -> None:
    """The watch is sped up to five looks a second, and what depends on the world stays as it is."""
    config = AppConfig().faster(100)

    assert config.watch_every == 0.2
    assert (config.local_timeout, config.rate_limit, config.worker_memory) == (5.0, 50.0, 256.0)
    assert AppConfig(watch_every=0.1).faster(100).watch_every == 0.1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("workers", 0),
        ("worker_memory", 1.0),
        ("local_timeout", 0.0),
        ("rate_limit", 0.0),
        ("burst", 0.5),
        ("cpu_limit", 101.0),
        ("memory_limit", 5.0),
        ("watch_every", 0.0),
        ("cache", 1),
        ("cache_entries", 0),
        ("cache_ttl", 0.0),
        ("upstream_limit", 0),
    ],
)
def test_what_is_out_of_range_is_named(option: str, value: float) -> None:
    """With the field and the default."""
    with pytest.raises(ConfigError, match=rf"AppConfig\.{option} must be"):
        AppConfig(**{option: value})  # type: ignore[arg-type]

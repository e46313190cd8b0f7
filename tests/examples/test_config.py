"""The app's settings: defaults, sources, compression and refusals."""

from pathlib import Path
from typing import Any

import pytest

from examples.reference_app.config import AppConfig, read_config
from selfheal.errors import ConfigError


def test_defaults_are_the_documented_pace() -> None:
    """Detection every 300 s, prevention every 600 s, backoff 5 s to 600 s, breakers open for 60 s, port 3001."""
    config = AppConfig()

    assert (config.port, config.detection_every, config.preventive_every) == (3001, 300.0, 600.0)
    assert (config.backoff_base, config.backoff_cap, config.open_for) == (5.0, 600.0, 60.0)


def test_speed_divides_the_clockwork_and_nothing_else() -> None:
    """A hundred times faster keeps every ratio; timeouts against the world stay."""
    slow, fast = AppConfig(), AppConfig().faster(100)

    assert (fast.detection_every, fast.preventive_every, fast.open_for) == (3.0, 6.0, 0.6)
    assert (fast.backoff_base, fast.backoff_cap) == (0.05, 6.0)
    assert (fast.upstream_timeout, fast.stop_timeout) == (slow.upstream_timeout, slow.stop_timeout)
    assert fast.healing_every == 0.05


def test_strategies_are_hurried_up_to_a_hundred_times() -> None:
    """Faster than that there would be no measurements left between an action and its verdict."""
    assert [AppConfig().faster(speed).speed for speed in (1, 20, 100, 1000)] == [1.0, 20.0, 100.0, 100.0]


def test_a_dry_run_is_asked_for() -> None:
    """By its option; otherwise things are really done."""
    assert read_config(["--dry-run"], {}).dry_run is True
    assert read_config([], {}).dry_run is False


@pytest.mark.parametrize("speed", [0.5, 0, -1, 1001, float("nan")])
def test_speed_has_bounds(speed: float) -> None:
    """Slower than the policy, or faster than the machine can follow, is refused."""
    with pytest.raises(ConfigError, match="--speed must be between 1 and 1000"):
        AppConfig().faster(speed)


def test_command_line_wins_over_environment() -> None:
    """An option given by hand counts before its variable; the variable before the default."""
    environ = {"REFERENCE_APP_PORT": "3005", "REFERENCE_APP_DETECTION_EVERY": "7"}

    config = read_config(["--port", "3006", "--state-dir", "x"], environ)

    assert (config.port, config.detection_every, config.state_dir) == (3006, 7.0, Path("x"))


def test_speed_comes_from_either_place() -> None:
    """--speed and its variable do the same."""
    by_hand = read_config(["--speed", "10"], {})
    by_variable = read_config([], {"REFERENCE_APP_SPEED": "10"})

    assert by_hand == by_variable
    assert by_hand.detection_every == 30.0


def test_tokens_come_from_the_environment_and_are_not_shown() -> None:
    """A token on a command line would be seen by everybody on the machine."""
    config = read_config([], {"SELFHEAL_TOKEN": "t0ken", "PROVIDER_ADMIN_TOKEN": "adm1n"})

    assert (config.token, config.admin_token) == ("t0ken", "adm1n")
    assert "t0ken" not in repr(config)
    assert "adm1n" not in repr(config)


def test_a_variable_that_cannot_be_read_is_named() -> None:
    """The error says which variable, what it held and what is accepted."""
    with pytest.raises(ConfigError, match="REFERENCE_APP_PORT must be text that int can read, got 'many'"):
        read_config([], {"REFERENCE_APP_PORT": "many"})


@pytest.mark.parametrize(("field", "value"), [("port", 70_000), ("detection_every", 0.0), ("open_for", float("inf"))])
def test_values_out_of_range_are_refused(field: str, value: float) -> None:
    """Each field names itself and its bounds."""
    given: dict[str, Any] = {field: value}
    with pytest.raises(ConfigError, match=f"AppConfig.{field} must be"):
        AppConfig(**given)


def test_an_open_door_needs_a_token() -> None:
    """Listening where others can reach it is refused without a token, and accepted with one."""
    with pytest.raises(ConfigError, match="host must be a loopback address"):
        AppConfig(host="0.0.0.0")
    assert AppConfig(host="0.0.0.0", token="t").host == "0.0.0.0"
    assert AppConfig(host="::1").host == "::1"


def test_the_address_is_a_url() -> None:
    """IPv6 addresses stand in brackets there."""
    assert AppConfig().address == "http://127.0.0.1:3001"
    assert AppConfig(host="::1", port=80).address == "http://[::1]:80"


def test_a_recorded_week_is_given_by_option_or_variable() -> None:
    """Without one there is none: the app learns as it goes."""
    assert read_config([], {}).history is None
    assert read_config(["--history", "week.json"], {}).history == Path("week.json")
    assert read_config([], {"REFERENCE_APP_HISTORY": "week.json"}).history == Path("week.json")

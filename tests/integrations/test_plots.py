"""Plots are PNG files that show what they say, and nobody needs matplotlib who makes none."""

from __future__ import annotations

import importlib.util
import math
import struct
import subprocess
import sys
from zoneinfo import ZoneInfo

import pytest
from matplotlib.figure import Figure

from selfheal.detection.monitor.curves import Curve
from selfheal.errors import MissingExtraError
from selfheal.integrations.plots import DPI, HEIGHT, WIDTH, Plots, _draw, _with_gaps

T = 1_700_000_100.0
MANY = 200


def curve(**changes: object) -> Curve:
    """A day with a daily shape."""
    values = tuple(40.0 + 10.0 * math.sin(n / 30.0) for n in range(MANY))
    known: dict[str, object] = {
        "title": "cpu_spike on web",
        "metric": "cpu_percent",
        "zone": "Europe/Berlin",
        "times": tuple(T + 300.0 * n for n in range(MANY)),
        "values": values,
        "lows": values,
        "highs": values,
        "usual": tuple((value, 2.0) for value in values),
        "since": T + 300.0 * 180,
    }
    return Curve(**{**known, **changes})  # type: ignore[arg-type]


def size(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG file."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_a_plot_is_a_png_of_the_size_it_is_meant_to_be() -> None:
    """Drawn without a display, and alike each time."""
    drawn = Plots()(curve())
    assert size(drawn) == (WIDTH * DPI, HEIGHT * DPI)
    assert drawn == Plots()(curve())


def test_what_was_measured_and_what_is_usual_are_seen() -> None:
    """Another value, another band and another beginning each make another picture."""
    drawn = {
        Plots()(curve()),
        Plots()(curve(values=(90.0,) * MANY)),
        Plots()(curve(usual=(None,) * MANY)),
        Plots()(curve(since=T)),
        Plots()(curve(zone="UTC")),
        Plots()(curve(lows=(1.0,) * MANY)),
    }
    assert len(drawn) == 6


def test_axes_say_what_they_show_and_in_what() -> None:
    """The metric and whose it is, the time zone by name, when it began, and each line of the legend."""
    axes = Figure().add_subplot()
    _draw(axes, curve(target="web", lows=(1.0,) * MANY))
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("cpu_percent of web", "time in Europe/Berlin")
    assert axes.get_title(loc="left") == "cpu_spike on web"
    legend = axes.get_legend()
    assert legend is not None
    told = [text.get_text() for text in legend.get_texts()]
    assert told == ["usual ± 3 spreads", "lowest to highest", "mean", "since 14:15 CET"]
    axes = Figure().add_subplot()
    _draw(axes, curve(metric="memory_bytes", values=(2e9,) * MANY))
    assert axes.yaxis.get_major_formatter()(2e9) == "2 GB"


def test_where_steps_are_missing_nothing_is_drawn() -> None:
    """Neither the line nor what is usual goes on over a gap as if something had been measured in it."""
    times = tuple(T + 300.0 * n + 9000.0 * (n > 100) for n in range(MANY))
    shown, columns = _with_gaps(curve(times=times), ZoneInfo("UTC"))
    assert len(shown) == MANY + 1
    assert all(math.isnan(column[101]) for column in columns)
    assert sum(math.isnan(value) for column in columns for value in column) == len(columns)


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "$\\frac{1}{0}$ of $x", "metric": "$\\nothing{"},
        {"values": (math.nan, *(1e300,) * (MANY - 1))},
        {"times": tuple(T + 300.0 * n + 9000.0 * (n > 100) for n in range(MANY))},
        {"since": T + 1e6},
        {"values": (5.0,) * MANY, "usual": ((5.0, 0.0),) * MANY},
    ],
)
def test_odd_names_and_values_are_drawn_too(changes: dict[str, object]) -> None:
    """Names that look like formulas, missing and huge values, gaps, and a beginning beyond the end."""
    assert size(Plots()(curve(**changes))) == (WIDTH * DPI, HEIGHT * DPI)


def test_without_the_package_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, when plots are asked for, and not when somebody needs one."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'selfheal-kit\[plot\]'"):
        Plots()


def test_a_package_that_is_broken_is_told_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed and cannot be imported is missing too."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"selfheal-kit\[plot\]"):
        Plots()(curve())


def test_matplotlib_is_loaded_by_the_first_plot_alone_and_pyplot_never() -> None:
    """Who imports the module, or makes a drawer, does not pay; who draws has no global state changed."""
    code = """
import sys
from selfheal.detection.monitor.curves import Curve
from selfheal.integrations.plots import Plots
plots = Plots()
assert "matplotlib" not in sys.modules
plots(Curve(title="a", metric="b", zone="UTC", times=(0.0, 1.0), values=(1.0, 2.0), lows=(1.0, 2.0),
            highs=(1.0, 2.0), usual=(None, None), since=0.5))
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr

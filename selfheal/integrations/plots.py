"""Plots of what is the matter, as PNG files, drawn by matplotlib: ``pip install 'selfheal-kit[plot]'``.

Nothing of matplotlib is loaded before the first plot, no display is needed, and none of its global state is touched.
"""

from __future__ import annotations

import importlib.util
import io
import math
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from selfheal.errors import MissingExtraError
from selfheal.zones import zone_of

if TYPE_CHECKING:
    from selfheal.detection.monitor.curves import Curve

WIDTH, HEIGHT, DPI = 9.0, 3.2, 100
SPREADS = 3.0
_BAND, _LINE, _SINCE = "#b7cde3", "#1f3b57", "#c0392b"


class Plots:
    """Draws a curve beside what is usual; what :class:`~selfheal.detection.Monitor` takes as ``plot``.

    Raises:
        MissingExtraError: if matplotlib is not installed; it says how to install it.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("matplotlib") is None:
            raise MissingExtraError("plots in reports", "plot")

    def __call__(self, curve: Curve) -> bytes:
        """The curve as the content of a PNG file.

        Raises:
            MissingExtraError: if matplotlib is not installed.
        """
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError as error:
            raise MissingExtraError("plots in reports", "plot") from error
        figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        _draw(axes, curve)
        out = io.BytesIO()
        canvas.print_png(out)
        return out.getvalue()


def _draw(axes: Any, curve: Curve) -> None:
    zone = zone_of(curve.zone)
    times, (values, lows, highs, floor, ceiling) = _with_gaps(curve, zone)
    if any(not math.isnan(low) for low in floor):
        axes.fill_between(times, floor, ceiling, color=_BAND, linewidth=0, label="usual ± 3 spreads")
    if lows != highs:
        axes.fill_between(times, lows, highs, color=_LINE, alpha=0.25, linewidth=0, label="lowest to highest")
    axes.plot(times, values, color=_LINE, linewidth=1.3, label="mean")
    since = datetime.fromtimestamp(curve.since, zone)
    axes.axvline(since, color=_SINCE, linewidth=1.2, label=f"since {since:%H:%M} {since.tzname()}")
    axes.axvspan(since, max(times[-1], since), color=_SINCE, alpha=0.08, linewidth=0)
    _lettered(axes, curve, zone)


def _lettered(axes: Any, curve: Curve, zone: tzinfo) -> None:
    """Title, legend beside it, and both axes with what they are in."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import EngFormatter, StrMethodFormatter

    locator = AutoDateLocator(tz=zone)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
    in_bytes = "bytes" in curve.metric.split("_")
    axes.yaxis.set_major_formatter(EngFormatter(unit="B") if in_bytes else StrMethodFormatter("{x:,.10g}"))
    where = f"{curve.metric} of {curve.target}" if curve.target else curve.metric
    axes.set_title(_literal(curve.title), loc="left", fontsize=10, pad=20)
    axes.set_ylabel(_literal(where, 40), fontsize=9)
    axes.set_xlabel(f"time in {curve.zone}", fontsize=8, loc="left")
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, frameon=False, borderpad=0.2)
    axes.margins(x=0.01)


def _with_gaps(curve: Curve, zone: tzinfo) -> tuple[list[datetime], tuple[list[float], ...]]:
    """Times; mean, lowest, highest, and what is usual at the least and most. With a break where steps are missing."""
    step = min((b - a for a, b in zip(curve.times, curve.times[1:], strict=False)), default=0.0)
    rows: list[tuple[float, ...]] = []
    for n, t in enumerate(curve.times):
        if n and t - curve.times[n - 1] > 1.5 * step:
            rows.append((curve.times[n - 1], *[math.nan] * 5))
        mean, spread = curve.usual[n] or (math.nan, math.nan)
        usual = (mean - SPREADS * spread, mean + SPREADS * spread)
        rows.append((t, curve.values[n], curve.lows[n], curve.highs[n], *usual))
    at, *columns = zip(*rows, strict=True)
    return [datetime.fromtimestamp(t, zone) for t in at], tuple(list(column) for column in columns)


def _literal(text: str, most: int = 80) -> str:
    """Text of a host on one line, in which a dollar sign is one and begins no formula."""
    line = " ".join(text.split())
    line = "".join(one if one.isprintable() else "?" for one in line)
    return (line[: most - 1] + "…" if len(line) > most else line).replace("$", r"\$")

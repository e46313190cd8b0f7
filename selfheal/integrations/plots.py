"""Plots of what is the matter, as PNG files, drawn by matplotlib: ``pip install 'selfheal-kit[plot]'``.

Nothing of matplotlib is loaded before the first plot, no display is needed, and none of its global state is touched.
"""

from __future__ import annotations

import importlib.util
import io
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from selfheal.errors import MissingExtraError

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
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    zone = ZoneInfo(curve.zone)
    times = [datetime.fromtimestamp(t, zone) for t in curve.times]
    known = [(t, *usual) for t, usual in zip(times, curve.usual, strict=True) if usual is not None]
    if known:
        low, high = [m - SPREADS * s for _, m, s in known], [m + SPREADS * s for _, m, s in known]
        axes.fill_between([t for t, _, _ in known], low, high, color=_BAND, linewidth=0, label="usual ± 3 spreads")
    shown = _with_gaps(curve, times)
    axes.plot([t for t, _ in shown], [value for _, value in shown], color=_LINE, linewidth=1.3, label="measured")
    since = datetime.fromtimestamp(curve.since, zone)
    axes.axvline(since, color=_SINCE, linewidth=1.2, label=f"since {since:%H:%M} {since.tzname()}")
    axes.axvspan(since, max(times[-1], since), color=_SINCE, alpha=0.08, linewidth=0)
    locator = AutoDateLocator(tz=zone)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
    axes.set_title(_literal(curve.title), loc="left", fontsize=10)
    axes.set_ylabel(_literal(curve.metric), fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, loc="upper left", framealpha=0.85)
    axes.margins(x=0.01)


def _with_gaps(curve: Curve, times: list[datetime]) -> list[tuple[datetime, float]]:
    """The values, and a break wherever steps are missing."""
    step = min((b - a for a, b in zip(curve.times, curve.times[1:], strict=False)), default=0.0)
    shown: list[tuple[datetime, float]] = []
    for n, (at, value) in enumerate(zip(times, curve.values, strict=True)):
        if n and curve.times[n] - curve.times[n - 1] > 1.5 * step:
            shown.append((at, float("nan")))
        shown.append((at, value))
    return shown


def _literal(text: str) -> str:
    """Text of a host, in which a dollar sign is one and begins no formula."""
    return text[:120].replace("$", r"\$")

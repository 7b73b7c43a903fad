"""The pictures that README shows, from scaling.json: SVG, the same bytes for the same figures."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")

from matplotlib import pyplot
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from lowmem_sentiment.system.memory import MB

STYLE = {
    "svg.hashsalt": "lowmem-sentiment",
    "svg.fonttype": "none",  # text stays text: small, and sharp at any size
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "lines.marker": "o",
    "lines.linewidth": 2,
}
BLUE, RED = "#1f5fa8", "#b3402a"
AXES = {
    "words": "words in the vocabulary (num_words)",
    "batches": "batch size (reviews)",
    "reviews": "reviews in the dataset (synthetic)",
}


def draw(result: dict[str, Any], folder: Path) -> list[Path]:
    """Draw a picture for each series into `folder`, scaling-NAME.svg, and give the files."""
    files = []
    with pyplot.rc_context(STYLE):
        for name in AXES:
            if points := result["series"].get(name):
                files.append(folder / f"scaling-{name}.svg")
                figure = _figure(name, points, result["series"].get(f"{name}_lazy", []))
                # White behind it: README may be read on black.
                figure.savefig(files[-1], facecolor="white", metadata={"Date": None, "Creator": None})
                pyplot.close(figure)
    return files


def _figure(name: str, points: list[dict[str, Any]], lazy: list[dict[str, Any]]) -> Any:
    """Draw time and memory of `points`, and dashed those of `lazy`, the same with lazy Adam."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    at = [point["at"] for point in points]
    if name == "reviews":
        rates = [point["second_epoch_reviews_per_second"] for point in points]
        left.plot(at, rates, color=BLUE)
        left.set_title("training (reviews/s)", loc="left")
        left.set_ylim(0, 1.1 * max(rates))
        left.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    else:
        left.plot(at, [point["step_seconds"] * 1000 for point in points], color=BLUE, label="a step (ms)")
        left.plot(at, [point["epoch_seconds"] for point in points], color=RED, label="an epoch (s)")
        for figure_name, scale, color in (("step_seconds", 1000, BLUE), ("epoch_seconds", 1, RED)):
            _plot_lazy(left, lazy, figure_name, scale, color)
        left.set_title("time", loc="left")
        left.legend(frameon=False)
        left.set_yscale("log")
        left.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        left.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        left.yaxis.set_minor_locator(NullLocator())
    for label, figure_name, color in (
        ("resident", "peak_resident_bytes", BLUE),
        ("anonymous", "peak_anonymous_bytes", RED),
    ):
        right.plot(at, [point[figure_name] / MB for point in points], color=color, label=label)
        _plot_lazy(right, lazy, figure_name, 1 / MB, color)
    right.set_title("peak memory (MB)", loc="left")
    right.set_ylim(bottom=0)
    right.legend(frameon=False)
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xticks(at, [_short(each) for each in at])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(AXES[name])
    return figure


def _plot_lazy(axes: Any, points: list[dict[str, Any]], name: str, scale: float, color: str) -> None:
    if points:
        at, values = zip(*((point["at"], point[name] * scale) for point in points), strict=True)
        axes.plot(at, values, color=color, linestyle="--", label="with lazy-adam")


def _short(number: int) -> str:
    """Return 5k for 5,000 and 1M for 1,000,000.

    >>> _short(88_584), _short(1_024), _short(512), _short(1_000_000)
    ('88.6k', '1,024', '512', '1M')
    """
    if number >= 1_000_000:
        return f"{number / 1_000_000:g}M"
    return f"{number / 1000:.3g}k" if number >= 2_000 else f"{number:,}"

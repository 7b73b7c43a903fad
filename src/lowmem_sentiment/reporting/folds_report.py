"""The page of a cross-validation: what to expect of a model, each fold, whether more data would help."""

from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from ..search.cross_validation import CrossValidation, Estimate
from ..system.errors import plural
from .charts import Axis, Series, figure
from .metric_tables import metric_name
from .page import Html, bar, facts, grid, joined, page, section, table, tag, tiles


def folds_page(result: CrossValidation) -> str:
    """Return the page of a cross-validation."""
    accuracy = result.points[-1].metrics["accuracy"]
    low, high = accuracy.interval
    lead = joined(
        [
            tag("b", f"{accuracy.mean:.1%}"),
            f" of new reviews should get the right label (95% interval {low:.1%} to {high:.1%}) from a "
            f"model trained on {result.points[-1].reviews:,} reviews.",
        ]
    )
    made = datetime.now(timezone.utc)
    about = f"{plural(result.reviews, 'training review')} in {result.folds} folds · {result.data}"
    about += f" · {made.day} {made:%B %Y, %H:%M} UTC"
    parts = [_metrics(result), _learning_curve(result), _folds(result), _about(result)]
    title = Path(result.dataset).resolve().name
    return page("Cross-validation", title, about, lead, filter(None, parts))


def _range(each: Estimate) -> str:
    return "{:.4f} to {:.4f}".format(*each.interval)


def _metrics(result: CrossValidation) -> Html:
    found = result.points[-1].metrics
    shown = [(metric_name(key), f"{each.mean:.4f}", _range(each)) for key, each in found.items()]
    note = "Means over the folds with 95% intervals, corrected for the training reviews that folds share."
    return section("Metrics", tiles(shown), note=note)


def _learning_curve(result: CrossValidation) -> Html | None:
    """Return each metric by training reviews; None for one share of the data."""
    if not result.gain:
        return None
    sizes = np.array([point.reviews for point in result.points], np.float64)
    figures = []
    for key in ("accuracy", "loss"):
        found = [point.metrics[key] for point in result.points]
        low, high = np.array([each.interval for each in found]).T
        means = np.array([each.mean for each in found])
        lines = [Series("mean", sizes, means, "line", low, high)]
        x = Axis("training reviews", logarithmic=True)
        figures.append(
            figure(
                metric_name(key),
                f"Mean of {result.folds} folds, with 95% intervals.",
                lines,
                x,
                Axis(key),
            )
        )
    before, gained = result.points[-2], result.gain
    low, high = gained.interval
    note = (
        f"{result.points[-1].reviews:,} training reviews instead of {before.reviews:,} changed the "
        f"accuracy by {gained.mean:+.4f} ({low:+.4f} to {high:+.4f})."
    )
    return section("Would more data help?", grid(*figures), note=note)


def _folds(result: CrossValidation) -> Html:
    folds = sorted((each for each in result.results if each.share == 1), key=lambda each: each.fold)
    rows = [
        [
            each.fold + 1,
            f"{each.trained:,}",
            f"{each.tested:,}",
            *(
                f"{value:.4f}" if key == "loss" else bar(value, f"{value:.4f}")
                for key, value in each.metrics.items()
            ),
        ]
        for each in folds
    ]
    deviations = [f"{each.deviation:.4f}" for each in result.points[-1].metrics.values()]
    rows.append(["standard deviation", "", "", *deviations])
    head = ["fold", "trained on", "tested on", *map(metric_name, folds[0].metrics)]
    return section("Each fold", table(head, rows))


def _about(result: CrossValidation) -> Html:
    rows = {
        "dataset": result.dataset,
        "data": result.data,
        "n-grams": "chosen anew for each fold" if result.ngrams else None,
        "settings besides the recipe’s": " ".join(result.grid),
        "seed": result.seed,
        "predictions": result.predictions,
    }
    return section("About this cross-validation", facts(rows))

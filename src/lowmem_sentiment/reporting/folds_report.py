"""The page of a cross-validation: the estimates, each fold, and whether more data would help."""

from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from ..search.cross_validation import CrossValidation
from ..system.errors import plural
from .charts import Axis, Series, figure
from .metric_tables import metric_name
from .page import Html, bar, date, ends, facts, grid, joined, page, section, table, tag, tiles


def folds_page(result: CrossValidation) -> str:
    """Return the page of a cross-validation."""
    whole = result.points[-1]
    accuracy = whole.metrics["accuracy"]
    interval = ends(accuracy.interval, ".1%")
    lead = joined(
        tag("b", f"{accuracy.mean:.1%}"),
        f" of new reviews should get the right label (95% interval {interval}) from a model trained "
        f"on {whole.reviews:,} reviews.",
    )
    metrics = whole.metrics.items()
    shown = [(metric_name(key), f"{each.mean:.4f}", ends(each.interval)) for key, each in metrics]
    note = "Means over the folds with 95% intervals, corrected for the training reviews that folds share."
    rows = {
        "dataset": result.dataset,
        "data": result.data,
        "n-grams": "chosen anew for each fold" if result.ngrams else None,
        "settings besides the recipe’s": " ".join(result.grid),
        "seed": result.seed,
        "predictions": result.predictions,
    }
    parts = [
        section("Metrics", tiles(shown), note=note),
        _more_data(result),
        _folds(result),
        section("About this cross-validation", facts(rows)),
    ]
    divided = f"{plural(result.reviews, 'training review')} in {result.folds} folds"
    about = f"{divided} · {result.data} · {date(datetime.now(timezone.utc).isoformat())}"
    return page("Cross-validation", Path(result.dataset).resolve().name, about, lead, parts)


def _more_data(result: CrossValidation) -> Html | None:
    """Return each metric by training reviews; None for one share of the data."""
    if not result.gain:
        return None
    sizes, figures = np.array([point.reviews for point in result.points]), []
    about = f"Mean of {result.folds} folds, with 95% intervals."
    for key in ("accuracy", "loss"):
        means = np.array([point.metrics[key].mean for point in result.points])
        intervals = np.array([point.metrics[key].interval for point in result.points])
        lines = [Series("mean", sizes, means, intervals=intervals)]
        x = Axis("training reviews", logarithmic=True)
        figures.append(figure(metric_name(key), about, lines, x, Axis(key)))
    *_, before, whole = result.points
    note = (
        f"{whole.reviews:,} training reviews instead of {before.reviews:,} changed the accuracy by "
        f"{result.gain.mean:+.4f} ({ends(result.gain.interval, '+.4f')})."
    )
    return section("Would more data help?", grid(*figures), note=note)


def _folds(result: CrossValidation) -> Html:
    rows: list[list[object]] = []
    for each in sorted((e for e in result.results if e.share == 1), key=lambda each: each.fold):
        values = (value if key == "loss" else bar(value) for key, value in each.metrics.items())
        rows.append([each.fold + 1, each.trained, each.tested, *values])
    metrics = result.points[-1].metrics
    rows.append(["standard deviation", "", "", *(each.deviation for each in metrics.values())])
    head = ["fold", "trained on", "tested on", *map(metric_name, metrics)]
    return section("Each fold", table(head, rows))

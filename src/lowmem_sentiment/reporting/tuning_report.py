"""The pages of tune, and the facts that its answer shares with them.

A search shows the winner, all candidates, and each setting's effect on the score; a cross-validation the
estimates, each fold, and whether more data would help.
"""

from datetime import datetime, timezone
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from ..dataset.manifest import VALIDATION_TOO_GOOD
from ..evaluation.scoring import all_metrics
from ..monitoring.terminal_text import cut
from ..search.cross_validation import CrossValidation, Estimate
from ..search.results import Candidate, TuningResult
from ..system.errors import plural
from ..system.memory import MB
from ..system.progress import duration
from ..system.settings import plain
from .charts import Axis, Series, figure, point
from .evaluation_report import SECTIONS
from .metric_tables import metric_name
from .page import Html, bar, date, ends, facts, folded, grid, joined, page, section, table, tag

_SHOWN = 20  # candidates in the first table
_ENOUGH = 5  # fewer candidates do not show what a setting does
_GROUPS = 4  # groups of a numeric setting's values, with equally many candidates each


def tuning_page(result: TuningResult) -> str:
    """Return the page of a search."""
    winner, searched = result.winner, plural(len(result.candidates), "setting")
    about = f"{searched} in {plural(result.trained, 'run')} · {result.data} · {date(result.test.time)}"
    lead = joined(
        tag("b", f"{_metric(result)} {winner.value:.4f}"),
        f" ± {winner.standard_error:.4f} on the validation reviews, with the settings of rank "
        f"{winner.rank}. Trained again on all training reviews: accuracy {result.test.accuracy:.4f} "
        "on the test split.",
    )
    failed = "; ".join(str(each.error) for each in result.failed[:_SHOWN])
    rows = {**summary(result), "failed runs": failed, "seed": result.settings.seed}
    sections = (
        section("Result", facts(rows)),
        _candidates(result),
        _scores(result),
        tag("h2", "The winner on the test split", class_="part"),
        *(each(result.test) for each in SECTIONS),
    )
    return page("Search", Path(result.dataset).name, about, lead, sections)


def _metric(result: TuningResult) -> str:
    return metric_name(result.settings.metric)


def _candidates(result: TuningResult) -> Html:
    head, *rows = result.table()
    note = "± is the standard error, with several seeds the standard deviation."
    every = folded(f"All {len(rows)} settings", table(head, rows)) if len(rows) > _SHOWN else None
    return section("Settings by rank", table(head, rows[:_SHOWN]), every, note=note)


def _scores(result: TuningResult) -> Html:
    """Return the score by each cost and setting, the ones that explain most first."""
    rows = result.candidates
    values: dict[str, list[Any]] = {
        "epochs": [row.epochs for row in rows],
        "seconds of training": [row.epochs * row.epoch_seconds for row in rows],
        "model MB": [row.model_bytes / MB for row in rows],
    }
    if len(rows) >= _ENOUGH:
        names = (name for name in result.varied if name != "epochs")
        values |= {name: [getattr(row.settings, name) for row in rows] for name in names}
    charts = sorted((_by(result, name, each) for name, each in values.items()), key=lambda each: -each[0])
    note = (
        "The share of the differences between scores that goes with one cost or setting, adjusted for "
        "chance. They were changed together, so this is a hint and not a proof."
    )
    figures = grid(_best_so_far(result), *(chart for _, chart in charts))
    return section("What makes a better score", figures, note=note)


def _best_so_far(result: TuningResult) -> Html:
    found = np.array([each.value for each in result.measured])
    best = (np.minimum if result.settings.sign < 0 else np.maximum).accumulate(found)
    runs = np.arange(1, len(found) + 1)
    lines = [Series("run", runs, found, "dots"), Series("best so far", runs, best)]
    note = "In the order of the search: would more runs have helped?"
    return figure("Best so far", note, lines, Axis("run", whole=True), Axis(_metric(result)))


def _spread(values: np.ndarray) -> bool:
    """Return whether values are better shown on a logarithmic axis."""
    return bool(values.min() > 0 and values.max() / values.min() > 10)


def _by(result: TuningResult, name: str, values: list[Any]) -> tuple[float, Html]:
    """Return how much of the differences between scores a cost or setting explains, and its chart."""
    if all(isinstance(each, tuple) and len(each) == 1 for each in values):
        values = [each[0] for each in values]
    scores = np.array([row.value for row in result.candidates])
    title, kinds, lines = name.replace("_", " "), sorted(set(values)), []
    if len(kinds) > _GROUPS and all(isinstance(each, int | float) for each in values):
        x = np.array(values, np.float64)
        axis = Axis(title, logarithmic=_spread(x), whole=isinstance(values[0], int))
        groups = np.argsort(np.argsort(x, kind="stable"), kind="stable") * _GROUPS // len(x)
    else:
        groups = np.array([kinds.index(each) for each in values])
        x = groups.astype(np.float64)
        means = np.array([scores[groups == nth].mean() for nth in range(len(kinds))])
        shown = (f"{each:.4g}" if isinstance(each, float) else plain(each) or "none" for each in kinds)
        axis = Axis(title, categories=[cut(each, 14) for each in shown])
        lines = [Series("mean", np.arange(len(kinds)), means, "point")]
    at = result.candidates.index(result.winner)
    lines = [Series("settings", x, scores, "dots"), *lines, point("winner", x[at], scores[at])]
    explained = _explained(groups, scores)
    note = f"Explains {explained:.0%} of the differences."
    return explained, figure(title.capitalize(), note, lines, axis, Axis(_metric(result)))


def _explained(groups: np.ndarray, scores: np.ndarray) -> float:
    """Return the share of the scores' variance that is between groups (adjusted R²)."""
    parts = [scores[groups == nth] for nth in np.unique(groups)]
    within = sum(float(part.var() * len(part)) for part in parts)
    total, freedom = float(scores.var() * len(scores)), len(scores) - len(parts)
    if not total or not freedom:
        return 0.0
    return max(0.0, 1 - within / freedom / (total / (len(scores) - 1)))


def summary(result: TuningResult) -> dict[str, str]:
    """Return the facts of a search: its extent, the winner and its test metrics, the command."""
    settings, test, winner, default = result.settings, result.test, result.winner, result.default
    of = f" of {duration(60 * settings.minutes)}" if settings.minutes else ""
    lines = {
        "searched": f"{plural(len(result.candidates), 'setting')} in {plural(result.trained, 'run')}, by "
        f"{settings.metric} on {result.validated_on}",
        "time": f"{duration(result.seconds)}{of}",
        "winner": f"{_named(winner)}: {winner.value:.4f} ± {winner.standard_error:.4f}; trained "
        "again on all training reviews",
        "cheapest": "the winner",
    }
    if (cheapest := result.cheapest) is not winner:
        of = " (--prefer cheap)" if winner.rank == 1 else " of rank 1"
        size = f"{cheapest.model_bytes / MB:.1f} MB"
        lines["cheapest"] = f"{_named(cheapest)}, {size}: within one standard error{of}"
    if default:
        lines["recipe"] = "the winner" if default is winner else f"{_named(default)}: {default.value:.4f}"
    lines |= {f"not {name}": reason for name, reason in result.not_tried.items()}
    if result.ranked_with_validation:
        lines["note"] = VALIDATION_TOO_GOOD
    values = all_metrics(test.metrics, test.by_label)
    names = dict.fromkeys([settings.metric, "accuracy", "loss"])
    lines["test"] = ", ".join(f"{name} {values[name]:.4f}" for name in names)
    if several := result.test_accuracies:
        lines["seeds"] = (
            f"test accuracy {fmean(several):.4f} ± {stdev(several):.4f} of its "
            f"{len(several)} seeds, trained without the validation reviews"
        )
    return {**lines, "run": result.run, "again": result.command}


def _named(row: Candidate) -> str:
    kind = "" if row.kind in ("random", "grid") else f" ({row.kind})"
    return f"rank {row.rank}{kind}"


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
    rows = {
        **folds_summary(result),
        "dataset": result.dataset,
        "settings besides the recipe’s": " ".join(result.grid),
        "seed": result.seed,
    }
    parts = [section("Result", facts(rows)), _more_data(result), _folds(result)]
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
    return section("Would more data help?", grid(*figures))


def _folds(result: CrossValidation) -> Html:
    rows: list[list[object]] = []
    for each in sorted((e for e in result.results if e.share == 1), key=lambda each: each.fold):
        values = (value if key == "loss" else bar(value) for key, value in each.metrics.items())
        rows.append([each.fold + 1, each.trained, each.tested, *values])
    metrics = result.points[-1].metrics
    rows.append(["standard deviation", "", "", *(each.deviation for each in metrics.values())])
    head = ["fold", "trained on", "tested on", *map(metric_name, metrics)]
    return section("Each fold", table(head, rows))


def folds_summary(result: CrossValidation) -> dict[str, str]:
    """Return the facts of a cross-validation: the estimates with all the data, and what more gave."""
    *before, whole = result.points
    rows = {
        "data": f"{result.data}, {result.reviews:,} training reviews",
        "folds": f"{result.folds}, n-grams chosen anew for each" if result.ngrams else str(result.folds),
        "intervals": "95 % in brackets, corrected for the training reviews that folds share",
    }
    rows |= {name: estimate_text(each) for name, each in whole.metrics.items()}
    if result.gain:
        rows["more data"] = (
            f"{whole.reviews:,} training reviews instead of {before[-1].reviews:,} changed the accuracy "
            f"by {result.gain.mean:+.4f} ({ends(result.gain.interval, '+.4f')})"
        )
    return {**rows, "predictions": result.predictions}


def estimate_text(each: Estimate) -> str:
    """Return a mean, its standard deviation over the folds, and its interval."""
    return f"{each.mean:.4f} ± {each.deviation:.4f}  ({ends(each.interval)})"

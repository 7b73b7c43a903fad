"""The page of an evaluation: one run's report, or several runs side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..evaluation.results import Comparison, Evaluation
from ..system.errors import plural
from ..system.settings import plain
from . import curves
from .charts import MOST_LINES
from .evaluation_report import about, checks, evaluation_sections, lead, reviews_of
from .metric_tables import WORST, ends_of, interval, metric_name, paired_tests, verdict
from .page import Html, bar, folded, grid, joined, name, page, section, table, tag


def evaluation_page(comparisons: Sequence[Comparison]) -> str:
    """Return the page of evaluations, as `evaluate_runs` returns them: a part for each comparison."""
    evaluations = [each for comparison in comparisons for each in comparison.evaluations]
    first = evaluations[0]
    if len(evaluations) == 1:
        title = Path(first.run).resolve().name
        return page("Evaluation", title, reviews_of(first), lead(first), evaluation_sections(first))
    if len(comparisons) == 1:
        title = f"{len(evaluations)} runs compared"
        return page(
            "Evaluation",
            title,
            reviews_of(first),
            _lead(evaluations),
            comparison_sections(comparisons[0]),
        )
    parts: list[Html] = []
    for comparison in comparisons:
        first, *others = runs = comparison.evaluations
        title = f"{len(runs)} runs compared" if others else Path(first.run).resolve().name
        parts.append(tag("h2", name(title), class_="part"))
        parts.append(tag("p", reviews_of(first), class_="about"))
        parts.append(tag("p", _lead(runs) if others else lead(first), class_="lead"))
        parts += comparison_sections(comparison) if others else evaluation_sections(first)
    title = plural(len(dict.fromkeys(each.run for each in evaluations)), "run")
    return page("Evaluation", title, f"on {len(comparisons)} sets of reviews", None, parts)


def comparison_sections(comparison: Comparison) -> list[Html]:
    """Return the parts of a comparison, the most important first; a new part is a line here."""
    runs = comparison.evaluations
    parts = (
        checks(*runs),
        _metrics(runs),
        paired_tests(*runs),
        _settings(comparison),
        _curves(runs),
        _labels(runs),
        about(*runs),
    )
    return [part for part in parts if part is not None]


def _lead(evaluations: Sequence[Evaluation]) -> Html:
    """Return the result in a sentence."""
    best = max(evaluations, key=lambda each: each.accuracy)
    low, high = best.intervals["accuracy"]
    more = sum(each.accuracy == best.accuracy for each in evaluations) - 1
    which = f" and {more} more have" if more else " has"
    about = f"{which} the highest accuracy, {best.accuracy:.1%} (95% interval {low:.1%} to {high:.1%})."
    parts: list[object] = [tag("b", name(best.run)), about]
    if test := best.baseline:
        parts += [" Against ", name(test.run), f": {verdict(test)} by accuracy, p = {test.p_value:.2g}."]
    return joined(parts)


# --- the sections ---


def _metrics(evaluations: Sequence[Evaluation]) -> Html:
    """Return a row for each run, with the interval of its accuracy on a common scale."""
    shown = [key for key in evaluations[0].metrics if key != "accuracy" and "weighted" not in key]
    lows, highs = zip(*(each.intervals["accuracy"] for each in evaluations), strict=True)
    start, end, names = min(lows), max(highs), curves.names_of(evaluations)
    best = {
        key: (min if key in ("loss", "brier", "calibration_error") else max)(
            each.metrics[key] for each in evaluations if key in each.metrics
        )
        for key in ("accuracy", *shown)
    }

    def cell(evaluation: Evaluation, key: str) -> object:
        if key not in evaluation.metrics:
            return ""
        value = evaluation.metrics[key]
        return tag("b" if value == best[key] else "span", f"{value:.4f}")

    rows = [
        [
            name(run),
            cell(each, "accuracy"),
            interval(each.accuracy, low, high, start, end),
            *(cell(each, key) for key in shown),
        ]
        for run, each, low, high in zip(names, evaluations, lows, highs, strict=True)
    ]
    head = ["run", "Accuracy", ends_of(f"{start:.4f}", f"{end:.4f}"), *map(metric_name, shown)]
    every = [
        [name(each.run), *("{:.4f} to {:.4f}".format(*ends) for ends in each.intervals.values())]
        for each in evaluations
    ]
    titles = ["run", *map(metric_name, evaluations[0].intervals)]
    note = "The line is the 95% interval of the accuracy; the best value of each metric is bold."
    folded_intervals = folded("95% intervals", table(titles, every))
    return section("Metrics", table(head, rows), folded_intervals, note=note)


def _settings(comparison: Comparison) -> Html | None:
    """Return the settings in which the runs differ; None if they are the same."""
    if not comparison.settings:
        return None
    head = ["setting", *(name(each.run) for each in comparison.evaluations)]
    rows = [[key, *map(plain, values)] for key, values in comparison.settings.items()]
    return section("Settings that differ", table(head, rows))


def _curves(evaluations: Sequence[Evaluation]) -> Html:
    """Return the curves of the first runs in common charts."""
    two = all(map(curves.has_both_labels, evaluations))
    figures = [curves.precision_and_recall(evaluations), curves.roc(evaluations)] if two else []
    figures += [curves.risk_by_coverage(evaluations), *curves.learning(evaluations)]
    note = f"The first {MOST_LINES} runs." if len(evaluations) > MOST_LINES else None
    return section("Curves", grid(*figures), note=note)


def _labels(evaluations: Sequence[Evaluation]) -> Html:
    """Return each label's F1 by run; with many labels of those in which the runs differ most."""
    f1 = np.array([[each.f1 for each in run.by_label.values()] for run in evaluations])
    names, most = evaluations[0].labels, np.ptp(f1, axis=0)
    many = len(names) > WORST
    order = np.argsort(-most, kind="stable")[:WORST].tolist() if many else range(len(names))
    rows = [
        [name(names[nth]), f"{evaluations[0].by_label[names[nth]].reviews:,}"]
        + [bar(value, f"{value:.4f}") for value in f1[:, nth].tolist()]
        for nth in order
    ]
    note = f"Of {len(names):,} labels, the {len(rows)} whose F1 differs most." if many else None
    head = ["label", "reviews", *(name(each.run) for each in evaluations)]
    return section("F1 of each label", tag("div", table(head, rows), class_="bars"), note=note)

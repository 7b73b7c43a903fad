"""Metrics in tables, with their intervals: of the whole, of a comparison, of each label."""

from dataclasses import asdict

import numpy as np

from ..decisions.significance import MetricDifference, PairedTest
from ..evaluation.results import Evaluation
from .page import Html, bar, folded, joined, name, section, shortened, table, tag, tiles

WORST = 20
"""Labels in a table at most; with more, this many of the worst are shown."""

ALL_LABELS = 1_000
"""Rows of all labels in a page at most: 0.4 KB each."""

MEANING = {
    "loss": "mean cross-entropy; lower is better",
    "accuracy": "share of reviews with the right label",
    "precision": "of those predicted so, the share that is right",
    "recall": "of those that are so, the share found",
    "f1": "harmonic mean of precision and recall",
    "macro": "mean over the labels",
    "weighted": "mean weighted by the labels’ reviews",
    "auc": "area under the ROC curve",
    "brier": "mean squared error; lower is better",
    "calibration_error": "mean gap to what is observed; lower is better",
}


def metric_name(metric: str) -> str:
    """Return a metric's name for people.

    >>> metric_name("macro_f1"), metric_name("recall:spam")
    ('Macro F1', 'Recall of “spam”')
    """
    metric, _, label = metric.partition(":")
    words = {"f1": "F1", "auc": "AUC", "brier": "Brier score"}
    shown = " ".join(words.get(word, word) for word in metric.split("_"))
    return shown[:1].upper() + shown[1:] + (f" of “{shortened(label, 24)}”" if label else "")


def largest_label(evaluation: Evaluation) -> tuple[str, float]:
    """Return the label with the most reviews, and its share of them."""
    counts = {label: each.reviews for label, each in evaluation.by_label.items()}
    largest = max(counts, key=counts.__getitem__)
    return largest, counts[largest] / max(1, evaluation.reviews)


def metrics(evaluation: Evaluation) -> Html:
    """Return the metrics with their intervals: the most important large, all in a table."""
    two, values = len(evaluation.labels) == 2, evaluation.metrics
    largest, share = largest_label(evaluation)
    shown = ["accuracy", *(("f1", "auc") if two else ("macro_f1",)), "calibration_error", "loss"]
    remarks = {key: "{:.4f} to {:.4f}".format(*ends) for key, ends in evaluation.intervals.items()}
    large = [(metric_name(key), f"{values[key]:.4f}", remarks.get(key)) for key in shown if key in values]
    rows = []
    for key in [*(each for each in values if each != "loss"), "loss"]:
        value = values[key]
        about = MEANING.get(key) or MEANING[key.partition("_")[0]]
        title = joined([metric_name(key), " ", tag("small", about)])
        ends = evaluation.intervals.get(key)
        picture = interval(value, *ends) if ends and key != "loss" else tag("td", class_="range")
        rows.append([title, f"{value:.4f}", remarks.get(key, ""), picture])
        if key == "accuracy":
            always = joined(["Always “", name(largest), "” ", tag("small", "the largest label’s share")])
            rows.append([always, f"{share:.4f}", "", interval(share, share, share)])
    of = f" Precision, recall and F1 are for “{evaluation.labels[1]}”." if two else ""
    return section(
        "Metrics",
        tiles(large),
        table(["metric", "value", "95% interval", ends_of(0, 1)], rows),
        note=f"An interval says how far a metric would move on other reviews of the same kind.{of}",
    )


def ends_of(start: object, end: object) -> Html:
    """Return the heading of a column of intervals."""
    return tag("th", tag("span", tag("span", start), tag("span", end), class_="ends"), class_="range")


def interval(value: float, low: float, high: float, start: float = 0.0, end: float = 1.0) -> Html:
    """Return a cell that shows a value and its interval on a line from `start` to `end`."""
    at, left, right = ((each - start) / (end - start) for each in (value, low, high))
    inside = tag("i", style=f"left:{left:.2%};width:{right - left:.2%}"), tag("b", style=f"left:{at:.2%}")
    return tag("td", tag("span", *inside), class_="range")


def paired_tests(*evaluations: Evaluation) -> Html | None:
    """Return the tests against the baseline, or the first run; None without one."""
    tested = [(each.run, each.baseline) for each in evaluations if each.baseline]
    if not tested:
        return None
    rows = []
    for run, test in tested:
        counts = f"{test.p_value:.2g}", f"{test.only_run_right:,}", f"{test.only_baseline_right:,}"
        if test.metric:
            rows.append([*_tested(run, test.metric.metric, test.metric), "", "", ""])
        rows.append([*_tested(run, "accuracy", test), *counts])
    first = tested[0][1]
    note = joined(
        [
            "Against ",
            name(first.run),
            f". Accuracy by McNemar’s exact test, two-sided, alpha {first.alpha:g}: it counts reviews "
            "that only one of the two has right. Other metrics by a paired bootstrap.",
        ]
    )
    head = ["run", *(tag("th", title, class_="text") for title in ("metric", "verdict")), "gained"]
    head += [f"{1 - first.alpha:.0%} interval", "p", "only it right", "only the other"]
    return section("Is the difference more than chance?", table(head, rows), note=note)


def _tested(run: str, metric: str, test: PairedTest | MetricDifference) -> list[object]:
    texts = (tag("td", each, class_="text") for each in (metric_name(metric), verdict(test)))
    gained, low, high = (f"{each:+.4f}".replace("-", "−") for each in (test.difference, *test.interval))
    return [name(run), *texts, gained, f"{low} to {high}"]


def verdict(test: PairedTest | MetricDifference) -> str:
    """Return which of two runs is better, for people."""
    if test.significantly_better or test.significantly_worse:
        return f"significantly {'better' if test.significantly_better else 'worse'}"
    return "no significant difference"


def labels(evaluation: Evaluation) -> Html:
    """Return precision, recall and F1 of each label; with many labels of the weakest."""
    present = [label for label, each in evaluation.by_label.items() if each.reviews]
    many = len(present) > WORST
    counts = evaluation.confusion_matrix
    errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    order = np.argsort(-errors.astype(np.int64), kind="stable")[:WORST].tolist()
    worst = [evaluation.labels[nth] for nth in order] if many else present
    note = f"Of {len(present):,} labels, the {len(worst)} with the most reviews missed or added."
    head = ["label", "reviews", "precision", "recall", "F1"]
    rows, all_rows = [], []
    for label in dict.fromkeys([*worst, *evaluation.labels[:ALL_LABELS]]):
        values, ends = asdict(evaluation.by_label[label]), evaluation.label_intervals[label]
        first = name(label), f"{values['reviews']:,}"
        if label in worst:
            rows.append([*first, *(bar(values[key], f"{values[key]:.4f}") for key in ends)])
        shown = (f"{values[key]:.4f} ({low:.4f} to {high:.4f})" for key, (low, high) in ends.items())
        all_rows.append([*first, *shown])
    return section(
        "Each label",
        tag("div", table(head, rows), class_="bars"),
        folded("All labels, with intervals", table(head, all_rows)),
        note=note if many else None,
    )

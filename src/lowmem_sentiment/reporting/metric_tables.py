"""Metrics in tables, with their intervals: of the whole, of a comparison, of each label."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from ..decisions.significance import MetricDifference, PairedTest, verdict
from ..evaluation.results import Evaluation
from ..monitoring.run_names import short_names
from ..monitoring.terminal_text import cut
from ..runs.diagnosis import largest_label
from .page import Html, bar, ends, folded, joined, name, section, table, tag, tiles

WORST = 20
"""Labels in a table at most; with more, this many of the worst are shown."""

ALL_LABELS = 1_000
"""Rows of all labels in a page at most: 0.4 KB each."""

MEANING = {
    "loss": "mean cross-entropy; lower is better",
    "accuracy": "share of reviews with the right label",
    "precision": "share of the predictions that are right",
    "recall": "share of the label’s reviews that are found",
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
    return shown[:1].upper() + shown[1:] + (f" of “{cut(label, 24)}”" if label else "")


def metrics(evaluation: Evaluation) -> Html:
    """Return the metrics with their intervals: the most important large, all in a table."""
    two, values = len(evaluation.labels) == 2, evaluation.metrics
    largest, share = largest_label(evaluation.labels, evaluation.label_reviews)
    shown = ["accuracy", *(("f1", "auc") if two else ("macro_f1",)), "calibration_error", "loss"]
    remarks = {key: ends(each) for key, each in evaluation.intervals.items()}
    large = [(metric_name(key), f"{values[key]:.4f}", remarks.get(key)) for key in shown if key in values]
    rows: list[list[object]] = []
    for key in [*(each for each in values if each != "loss"), "loss"]:
        about = MEANING.get(key) or MEANING[key.partition("_")[0]]
        title = joined(metric_name(key), " ", tag("small", about))
        around = evaluation.intervals.get(key) if key != "loss" else None
        picture = interval(values[key], around) if around else tag("td", class_="range")
        rows.append([title, values[key], remarks.get(key, ""), picture])
        if key == "accuracy":
            always = joined("Always “", name(largest), "” ", tag("small", "the largest label’s share"))
            rows.append([always, share, "", interval(share, [share, share])])
    of = f" Precision, recall and F1 are for “{evaluation.labels[1]}”." if two else ""
    return section(
        "Metrics",
        tiles(large),
        table(["metric", "value", "95% interval", line_ends("0", "1")], rows),
        note=f"An interval says how far a metric would move on other reviews of the same kind.{of}",
    )


def compared_metrics(evaluations: Sequence[Evaluation]) -> Html:
    """Return a row for each run, with the interval of its accuracy on a common scale."""
    first = evaluations[0]
    keys = ["accuracy", *(k for k in first.metrics if k != "accuracy" and "weighted" not in k)]
    lows, highs = zip(*(each.intervals["accuracy"] for each in evaluations), strict=True)
    start, end = min(lows), max(highs)
    best = {
        key: (min if key in ("loss", "brier", "calibration_error") else max)(
            each.metrics[key] for each in evaluations if key in each.metrics
        )
        for key in keys
    }
    rows = []
    for run, each in zip(short_names([each.run for each in evaluations]), evaluations, strict=True):
        cells: list[object] = []
        for key in keys:
            value = each.metrics.get(key)
            kind = "b" if value == best[key] else "span"
            cells.append("" if value is None else tag(kind, f"{value:.4f}"))
        line = interval(each.accuracy, each.intervals["accuracy"], start, end)
        rows.append([name(run), cells[0], line, *cells[1:]])
    accuracy, *others = map(metric_name, keys)
    head = ["run", accuracy, line_ends(f"{start:.4f}", f"{end:.4f}"), *others]
    every = [[name(each.run), *map(ends, each.intervals.values())] for each in evaluations]
    return section(
        "Metrics",
        table(head, rows),
        folded("95% intervals", table(["run", *map(metric_name, first.intervals)], every)),
        note="The line is the 95% interval of the accuracy; the best value of each metric is bold.",
    )


def line_ends(start: str, end: str) -> Html:
    """Return the heading of a column of intervals."""
    return tag("th", tag("span", tag("span", start), tag("span", end), class_="ends"), class_="range")


def interval(value: float, around: Sequence[float], start: float = 0.0, end: float = 1.0) -> Html:
    """Return a cell that shows a value and its interval on a line from `start` to `end`."""
    at, left, right = ((each - start) / (end - start) for each in (value, *around))
    inside = tag("i", style=f"left:{left:.2%};width:{right - left:.2%}"), tag("b", style=f"left:{at:.2%}")
    return tag("td", tag("span", *inside), class_="range")


def paired_tests(*evaluations: Evaluation) -> Html | None:
    """Return the tests against the baseline, or the first run; None without one."""
    tested = [(each.run, each.baseline) for each in evaluations if each.baseline]
    if not tested:
        return None
    rows = []
    for run, test in tested:
        if test.metric:
            rows.append([*_tested(run, test.metric.metric, test.metric), "", "", ""])
        counts = f"{test.p_value:.2g}", test.only_run_right, test.only_baseline_right
        rows.append([*_tested(run, "accuracy", test), *counts])
    first = tested[0][1]
    note = joined(
        "Against ",
        name(first.run),
        f". Accuracy by McNemar’s exact test, two-sided, alpha {first.alpha:g}: it counts reviews "
        "that only one of the two has right. Other metrics by a paired bootstrap.",
    )
    head = ["run", *(tag("th", title, class_="text") for title in ("metric", "verdict")), "gained"]
    head += [f"{1 - first.alpha:.0%} interval", "p", "only it right", "only the other"]
    return section("Is the difference more than chance?", table(head, rows), note=note)


def _tested(run: str, metric: str, test: PairedTest | MetricDifference) -> list[object]:
    texts = (tag("td", each, class_="text") for each in (metric_name(metric), verdict(test)))
    gained = f"{test.difference:+.4f}", ends(test.interval, "+.4f")
    return [name(run), *texts, *(each.replace("-", "−") for each in gained)]


def labels(evaluation: Evaluation) -> Html:
    """Return precision, recall and F1 of each label; with many labels of the weakest."""
    present = [label for label, each in evaluation.by_label.items() if each.reviews]
    many = len(present) > WORST
    counts = evaluation.confusion_matrix
    errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    order = np.argsort(-errors.astype(np.int64), kind="stable")[:WORST].tolist()
    worst = [evaluation.labels[nth] for nth in order] if many else present
    note = f"Of {len(present):,} labels, the {len(worst)} with the most reviews missed or added."
    rows, all_rows = [], []
    for label in dict.fromkeys([*worst, *evaluation.labels[:ALL_LABELS]]):
        values, intervals = asdict(evaluation.by_label[label]), evaluation.label_intervals[label]
        first = name(label), values["reviews"]
        if label in worst:
            rows.append([*first, *(bar(values[key]) for key in intervals)])
        shown = (f"{values[key]:.4f} ({ends(each)})" for key, each in intervals.items())
        all_rows.append([*first, *shown])
    head = ["label", "reviews", "precision", "recall", "F1"]
    everything = folded("All labels, with intervals", table(head, all_rows))
    bars = tag("div", table(head, rows), class_="bars")
    return section("Each label", bars, everything, note=note if many else None)


def compared_labels(evaluations: Sequence[Evaluation]) -> Html:
    """Return each label's F1 by run; with many labels of those in which the runs differ most."""
    f1 = np.array([[each.f1 for each in run.by_label.values()] for run in evaluations])
    names, many = evaluations[0].labels, f1.shape[1] > WORST
    order = np.argsort(-np.ptp(f1, axis=0), kind="stable")[:WORST].tolist() if many else range(len(names))
    rows = [
        [name(names[nth]), evaluations[0].by_label[names[nth]].reviews, *map(bar, f1[:, nth].tolist())]
        for nth in order
    ]
    note = f"Of {len(names):,} labels, the {len(rows)} whose F1 differs most." if many else None
    head = ["label", "reviews", *(name(each.run) for each in evaluations)]
    return section("F1 of each label", tag("div", table(head, rows), class_="bars"), note=note)

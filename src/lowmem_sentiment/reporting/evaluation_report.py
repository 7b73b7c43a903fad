"""The report of one run on labelled reviews, the most important first."""

import contextlib
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import datetime

import numpy as np

from ..decisions.significance import MetricDifference, PairedTest
from ..evaluation.predictions import ExplainedMistake
from ..evaluation.results import Evaluation
from ..runs.run_directory import RunDirectory
from ..system.errors import LowmemError, plural
from ..system.settings import plain
from . import curves
from .page import Html, bar, facts, folded, grid, joined, name, section, shortened, table, tag, tiles

MATRIX_LABELS, WORST = 20, 20
"""Labels in the matrix and in charts at most; with more, this many of the worst are shown."""

ALL_LABELS = 1_000
"""Rows of all labels in a page at most: 0.4 KB each."""

_LONG = 700
"""Characters of a mistake's text that is shown whole."""

_NEAR = 20
"""Words and spaces on each side of a marked word that are shown of a longer text."""

_ALONE = "[\u2e80-\u9fff\uf900-\ufaff\U0001f000-\U0003ffff]"  # characters that are words of their own

_WORDS = re.compile(f"({_ALONE}|(?:(?!{_ALONE})[\\w'’])+)")

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


def time_of(evaluation: Evaluation) -> str:
    """Return when the evaluation was made, for people."""
    made = datetime.fromisoformat(evaluation.time)
    return f"{made.day} {made:%B %Y, %H:%M} UTC"


def reviews_of(evaluation: Evaluation) -> str:
    """Return what was evaluated on, and when."""
    split = f" of the {evaluation.split} split" if evaluation.split else ""
    return f"{plural(evaluation.reviews, 'review')}{split} · {evaluation.data} · {time_of(evaluation)}"


def largest_label(evaluation: Evaluation) -> tuple[str, float]:
    """Return the label with the most reviews, and its share of them."""
    counts = {label: each.reviews for label, each in evaluation.by_label.items()}
    largest = max(counts, key=counts.__getitem__)
    return largest, counts[largest] / max(1, evaluation.reviews)


def lead(evaluation: Evaluation) -> Html:
    """Return the result in a sentence."""
    low, high = evaluation.intervals["accuracy"]
    largest, share = largest_label(evaluation)
    return joined(
        [
            tag("b", f"{evaluation.accuracy:.1%}"),
            f" of the reviews get the right label (95% interval {low:.1%} to {high:.1%}). "
            "Always answering “",
            name(largest),
            f"” would be right for {share:.1%}.",
        ]
    )


# --- the sections ---


def checks(*evaluations: Evaluation) -> Html | None:
    """Return the checks that failed; None without one."""
    failed = [(each.run, line) for each in evaluations for line in each.failed]
    runs = [name(run) if len(evaluations) > 1 else "" for run, _ in failed]
    lines = (
        tag("li", tag("b", "Failed: "), run, " ", line)
        for run, (_, line) in zip(runs, failed, strict=True)
    )
    return tag("ul", *lines, class_="failed") if failed else None


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


def confusions(evaluation: Evaluation) -> Html:
    """Return the confusion matrix, or with many labels the worst confusions."""
    labels, counts = evaluation.labels, evaluation.confusion_matrix
    if len(labels) > MATRIX_LABELS:
        return _worst_confusions(evaluation)
    numbered = len(labels) > 5
    titles = [tag("span", nth) if numbered else name(label) for nth, label in enumerate(labels, 1)]
    rows = []
    for nth, (label, row) in enumerate(zip(labels, counts.tolist(), strict=True)):
        total = sum(row)
        title = joined([tag("small", f"{nth + 1} "), name(label, 28)]) if numbered else name(label)
        cells = (
            tag(
                "td",
                f"{count:,}",
                tag("small", f"{count / max(1, total):.1%}") if count else None,
                class_="none" if not count else "right" if column == nth else "wrong",
                style=f"--v:{count / max(1, total):.3f}",
            )
            for column, count in enumerate(row)
        )
        rows.append([title, *cells])
    matrix = table(["true ↓ predicted →", *titles], rows)
    return section(
        "Confusion matrix",
        tag("div", matrix, class_="matrix many" if len(labels) > 10 else "matrix"),
        note="Reviews by true and predicted label, and the share of the true label’s reviews.",
    )


def _worst_confusions(evaluation: Evaluation) -> Html:
    worst = evaluation.confusions(WORST)
    rows = []
    for each in worst:
        share = each.reviews / max(1, evaluation.by_label[each.label].reviews)
        rows.append([name(each.label), tag("td", name(each.predicted), class_="text"),
                     f"{each.reviews:,}", bar(share, f"{share:.1%}", "bar bad")])  # fmt: skip
    return section(
        "Most frequent confusions",
        table(["true label", tag("th", "taken for", class_="text"), "reviews", "of its reviews"], rows),
        note=f"The {len(rows)} most frequent of {len(evaluation.labels):,} labels’ confusions.",
    )


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


def threshold(evaluation: Evaluation) -> Html | None:
    """Return what two labels trade against each other; None for more, or without reviews of both."""
    if not curves.has_both_labels(evaluation):
        return None
    chosen, note = evaluation.threshold_chosen, None
    if chosen:
        note = f"The threshold {chosen.threshold:g} was chosen by {chosen.rule} on the validation split."
    figures = (
        curves.precision_and_recall([evaluation]),
        curves.roc([evaluation]),
        curves.by_threshold(evaluation),
        curves.scores_by_label(evaluation),
    )
    return section("Choosing a threshold", grid(*figures), note=note)


def confidence(evaluation: Evaluation) -> Html | None:
    """Return whether probabilities can be trusted, and what abstaining does; None without the counts."""
    if not evaluation.tally:
        return None
    figures = curves.reliability(evaluation), curves.risk_by_coverage([evaluation])
    parts, correction, answers = [grid(*figures)], evaluation.correction, evaluation.answers
    if correction:
        parts.append(tag("h3", "The temperature"))
        before = correction.before
        rows = [
            [metric_name(key), f"{before[key]:.4f} ({low:.4f} to {high:.4f})",
             f"{evaluation.metrics[key]:.4f} ({{:.4f}} to {{:.4f}})".format(*evaluation.intervals[key])]
            for key, (low, high) in correction.before_intervals.items()
        ]  # fmt: skip
        head = ["", "before", f"after, temperature {correction.temperature:.3f}"]
        parts.append(table(head, rows))
    if answers:
        parts += [tag("h3", "When it abstains"), facts(answers.in_words(evaluation.reviews))]
    return section("Can its probabilities be trusted?", *parts)


def mistakes(evaluation: Evaluation) -> Html | None:
    """Return the surest mistakes with the words behind them; None if they were not asked for."""
    if not evaluation.explained:
        return None
    explained = any(each.effects for each in evaluation.explained)
    legend = joined(
        [
            "Marked words move the model ",
            tag("mark", "towards", class_="for s3"),
            " its wrong label or ",
            tag("mark", "away from", class_="against s3"),
            " it (underlined). A number is how much lower that label’s log-odds are without the word.",
        ]
    )
    return section(
        "Surest mistakes", *map(_mistake, evaluation.explained), note=legend if explained else None
    )


def _mistake(explained: ExplainedMistake) -> Html:
    mistake, effects = explained
    towards = [effect for effect in effects if effect.effect > 0][:8]
    away = [effect for effect in effects if effect.effect < 0][-4:][::-1]
    strongest = [*towards, *away]
    words = (tag("span", name(each.word), f" {each.effect:+.2f}".replace("-", "−")) for each in strongest)
    about = tag("small", f"review {mistake.number:,} · {mistake.probability:.2%}")
    head = tag("h3", name(mistake.label), ", taken for ", name(mistake.predicted), " ", about)
    quoted = marked(mistake.text, {each.word: each.effect for each in strongest})
    listed = tag("p", joined(words, " · "), class_="words") if strongest else None
    return tag("article", head, tag("blockquote", *quoted, dir="auto"), listed)


def marked(text: str, effects: dict[str, float]) -> Iterable[object]:
    """Yield a text with the words that matter marked; of a long text only what is near them."""
    most = max(map(abs, effects.values()), default=1.0) or 1.0
    parts = _WORDS.split(text)  # a word is every second part
    steps = [round(4 * abs(effects.get(part.lower(), 0.0)) / most) for part in parts]
    reach = _NEAR if len(text) > _LONG else len(parts)
    near = [0, *(nth for nth, step in enumerate(steps) if step)]
    shown = sorted(
        {at for nth in near for at in range(nth - reach, nth + reach + 1) if 0 <= at < len(parts)}
    )
    for before, nth in zip([-1, *shown], shown, strict=False):
        if nth > before + 1:
            yield " … "
        kind = "for" if effects.get(parts[nth].lower(), 0.0) > 0 else "against"
        yield tag("mark", parts[nth], class_=f"{kind} s{steps[nth]}") if steps[nth] else parts[nth]
    if shown[-1] < len(parts) - 1:
        yield " …"


def learning(evaluation: Evaluation) -> Html | None:
    """Return the learning curves of the run; None if it has no metrics.jsonl."""
    figures = curves.learning([evaluation])
    return section("How it learnt", grid(*figures)) if figures else None


def about(evaluation: Evaluation, *others: Evaluation) -> Html:
    """Return what was evaluated on what, and with which versions; of several runs the first's."""
    chosen = evaluation.threshold_chosen
    counted = list(evaluation.unknown_labels.items())[:WORST]
    unknown = [f"{count:,} {shortened(label)}" for label, count in counted]
    rows = {
        "run": evaluation.run,
        "dataset": evaluation.dataset,
        "files": plain(evaluation.files) if evaluation.files else None,
        "data": evaluation.data,
        "split": evaluation.split,
        "reviews": f"{evaluation.reviews:,}",
        "labels": f"{len(evaluation.labels):,}",
        "labels renamed": plain(evaluation.label_map),
        "left out, unknown label": ", ".join(unknown),
        "left out, the baseline saw them": f"{evaluation.left_out:,}" if evaluation.left_out else None,
        "bad rows skipped": f"{evaluation.skipped_rows:,}" if evaluation.skipped_rows else None,
        "threshold": evaluation.threshold,
        "chosen by": chosen and chosen.rule,
        "fingerprint of the data": evaluation.fingerprint,
        "evaluated": evaluation.time,
        "versions": ", ".join(f"{key} {value}" for key, value in evaluation.versions.items()),
    }
    settings: dict[str, object] = {}
    with contextlib.suppress(LowmemError):  # weights without the rest of the run are evaluated too
        settings = vars(RunDirectory(evaluation.run).settings())
    trained = facts({key.replace("_", " "): plain(value) for key, value in settings.items()})
    show = settings and not others
    return section(
        "About this evaluation", facts(rows), folded("Settings of training", trained) if show else None
    )


SECTIONS: list[Callable[[Evaluation], Html | None]] = [
    checks, metrics, paired_tests, confusions, labels, threshold, confidence, mistakes, learning, about,
]  # fmt: skip
"""The parts of the report in order; a new part is a function in this list."""


def evaluation_sections(evaluation: Evaluation) -> list[Html]:
    """Return the parts of the report that this evaluation has."""
    return [part for each in SECTIONS if (part := each(evaluation)) is not None]

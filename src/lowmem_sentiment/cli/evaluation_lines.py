"""Format evaluations for people."""

from typing import TYPE_CHECKING

from ..monitoring.run_names import short_names
from ..monitoring.terminal_text import LEAST, MOST, columns, cut, table, text_width
from ..system.errors import listed, plural, printable, quoted
from ..system.settings import plain
from .output import room

if TYPE_CHECKING:  # NumPy takes 0.1 s, and --help does not need it
    from ..evaluation.results import Comparison, Evaluation

ENOUGH, HARDLY = 20, 0.3
"""A label with at least this many reviews is noted if the model finds less than this share of them."""

MATRIX_SHOWN, CONFUSIONS_SHOWN = 10, 20
"""With more labels than this the most frequent confusions are shown instead of the matrix."""

LABEL = 24
"""Columns of a label in a table with more than its metrics, and in a note."""


def shown_metrics(evaluation: "Evaluation") -> dict[str, float]:
    """Return the metrics, and the threshold unless it is the usual one."""
    numbers = dict(evaluation.metrics)
    threshold = evaluation.threshold
    if threshold is not None and (threshold != 0.5 or evaluation.threshold_chosen):
        numbers["threshold"] = threshold
    return numbers


def _reviews(evaluation: "Evaluation") -> str:
    of = f"of the {evaluation.split} split" if evaluation.split else "reviews"
    return f"{evaluation.data}, {evaluation.reviews:,} {of}"


def comparison_lines(comparison: "Comparison") -> list[str]:
    """Return a column for each run: settings that differ, metrics with intervals; and the tests."""
    evaluations = comparison.evaluations
    rows = [["", *short_names([each.run for each in evaluations])]]
    rows += [[name, *map(plain, values)] for name, values in comparison.settings.items()]
    for name in shown_metrics(evaluations[0]):
        rows.append([name, *(f"{shown_metrics(each).get(name, 0.5):.4f}" for each in evaluations)])
        if name in evaluations[0].intervals:
            ends = (each.intervals[name] for each in evaluations)
            rows.append(["", *(f"{low:.4f} to {high:.4f}" for low, high in ends)])
    if len(evaluations[0].labels) > 2:
        names = [f"f1:{label}" for label in evaluations[0].labels]
        numbers = [each.label_metrics() for each in evaluations]
        rows += [[name, *(f"{each[name]:.4f}" for each in numbers)] for name in names]
    head = [_reviews(evaluations[0]), "95 % intervals below their metrics"]
    tests = (line for each in evaluations for line in _test_lines(each))
    return [*head, *columns(rows, room()), *tests]


def evaluation_lines(evaluation: "Evaluation") -> list[str]:
    rows = {"run": evaluation.run, "data": _reviews(evaluation)}
    if evaluation.label_map:
        rows["labels"] = f"{plain(evaluation.label_map)}: renamed as the run's data was"
    of = f"; precision, recall and f1 for {evaluation.labels[1]}"
    rows["intervals"] = "95 % in brackets" + (of if len(evaluation.labels) == 2 else "")
    for name, value in shown_metrics(evaluation).items():
        ends = evaluation.intervals.get(name)
        rows[name] = f"{value:.4f}" + ("  ({:.4f} to {:.4f})".format(*ends) if ends else "")
    if evaluation.drift:
        rows["later text"] = evaluation.drift.in_words()
    if chosen := evaluation.threshold_chosen:
        rows["threshold"] += f" chosen by {chosen.rule} on the validation split, and recorded"
    if evaluation.correction:
        rows |= evaluation.correction.in_words()
    if evaluation.answers:
        rows |= evaluation.answers.in_words(evaluation.reviews)
    lines = [*table(rows, room()), "", *_label_lines(evaluation)]
    lines += _confusion_lines(evaluation)
    notes = _notes(evaluation)
    lines += ["", *notes] if notes else []
    for mistake in evaluation.mistakes or ():
        lines.append(
            f"review {mistake.number:,}: {cut(printable(mistake.label), MOST)}, taken for "
            f"{cut(printable(mistake.predicted), MOST)} at {mistake.probability:.2%}"
        )
        lines.append(f"  {printable(mistake.text, 300)}")
    return lines + _test_lines(evaluation)


def _label_lines(evaluation: "Evaluation") -> list[str]:
    """Return a row for each label, with intervals if the terminal is wide; "-" for what is undefined."""
    names = ("precision", "recall", "f1")
    widest = max(text_width(printable(label)) for label in evaluation.labels)
    with_intervals = room() >= min(widest, LABEL) + 69  # each of three metrics takes 20 with, 9 without
    rows = [["label", "reviews", *names]]
    predicted = evaluation.confusion_matrix.sum(axis=0).tolist()
    for (label, metrics), predictions in zip(evaluation.by_label.items(), predicted, strict=True):
        defined = predictions, metrics.reviews, predictions + metrics.reviews
        cells = []
        for name, count in zip(names, defined, strict=True):
            cells.append(f"{getattr(metrics, name):.4f}" if count else "-")
            if count and with_intervals:
                ends = evaluation.label_intervals[label][name]
                cells[-1] += " ({}-{})".format(*(f"{end:.3f}".removeprefix("0")[:4] for end in ends))
        rows.append([label, f"{metrics.reviews:,}", *cells])
    undefined = any("-" in row for row in rows)
    return columns(rows, room()) + ["-: never predicted, or without a review"] * undefined


def _confusion_lines(evaluation: "Evaluation") -> list[str]:
    """Return the confusion matrix, numbered if names do not fit; of many labels the worst confusions."""
    labels, counts = [cut(printable(label), LABEL) for label in evaluation.labels], []
    if len(labels) <= MATRIX_SHOWN:
        counts = [[f"{count:,}" for count in row] for row in evaluation.confusion_matrix.tolist()]
    cell = 2 + max((len(count) for row in counts for count in row), default=0)
    if not counts or LEAST + cell * len(labels) > room():
        of = dict(zip(evaluation.labels, evaluation.label_reviews, strict=True))
        rows = [
            [each.label, each.predicted, f"{each.reviews:,}", f"{each.reviews / of[each.label]:.0%}"]
            for each in evaluation.confusions(CONFUSIONS_SHOWN)
        ]
        head = ["label", "is taken for", "reviews", "share"]
        return ["", "most frequent confusions", *columns([head, *rows], room(), left=2)] if rows else []
    heads, names = labels, labels
    if max(map(text_width, labels)) + sum(max(cell, 2 + text_width(each)) for each in labels) > room():
        heads = [str(nth) for nth in range(1, len(labels) + 1)]
        names = [f"{nth} {label}" for nth, label in enumerate(labels, 1)]
    rows = [["label", *heads], *([name, *row] for name, row in zip(names, counts, strict=True))]
    return ["", "confusion matrix: a row per label, a column per prediction", *columns(rows, room())]


def _notes(evaluation: "Evaluation") -> list[str]:
    """Return a note for undefined metrics, and for labels that the model hardly ever finds."""
    from ..runs.diagnosis import no_better_than_one_label

    notes = []
    if len(evaluation.labels) == 2 and "auc" not in evaluation.metrics:
        notes.append("note: auc is not defined for reviews of one label, and no --fail-under checks it")
    if evaluation.files and not evaluation.drift:
        notes.append(
            f"note: lowmem-sentiment evaluate {quoted(evaluation.run)} records the test split's known "
            "words, confidence and labels, to compare later texts with"
        )
    counts = evaluation.label_reviews
    if worse := no_better_than_one_label(evaluation.accuracy, evaluation.labels, counts):
        only = evaluation.confusion_matrix.any(axis=0).sum() == 1
        worse += ", and nothing else is predicted" if only else ""
        mend = "look at each label's recall; train with --recipe ngrams, unless the run did"
        return [*notes, f"note: {worse}; {mend}"]
    hardly = [
        (metrics.recall, metrics.reviews, label)
        for label, metrics in evaluation.by_label.items()
        if metrics.reviews >= ENOUGH and metrics.recall < HARDLY
    ]
    if not hardly:
        return notes
    shown = [f"{cut(printable(label), LABEL)} {recall:.0%}" for recall, _, label in sorted(hardly)]
    rare = [reviews for _, reviews, _ in hardly if reviews < sum(counts) / len(counts) / 2]
    mend = "they are no rarer than others: --mistakes 20 shows what they are taken for"
    if 2 * len(rare) >= len(hardly):
        mend = "train with --class-weight balanced, which costs accuracy, and --best-by f1"
    found = f"of {plural(len(hardly), 'label')} less than {HARDLY:.0%} of the reviews are found"
    return [*notes, f"note: {found} ({listed(shown, 5)}); {mend}"]


def _test_lines(evaluation: "Evaluation") -> list[str]:
    test = evaluation.baseline
    if not test:
        return []
    verdicts = [test.metric.in_words()] if test.metric else []
    return [f"{evaluation.run} against {test.run}: {each}" for each in [*verdicts, test.in_words()]]

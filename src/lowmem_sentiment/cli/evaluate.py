"""``evaluate``."""

import argparse
import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..evaluation.settings import EvaluationSettings
from ..monitoring.markdown import markdown_table
from ..monitoring.run_names import short_names
from ..monitoring.terminal_text import LEAST, columns, cut, table, text_width
from ..sources.settings import FilesSettings
from ..system.errors import CheckFailed, OutputError, SettingsError, listed, plural, printable
from ..system.progress import Bar
from ..system.settings import plain
from .options import add_html, add_settings, given
from .output import for_people, print_text, report, room, warn

if TYPE_CHECKING:  # NumPy takes 0.1 s, which --help does not need
    from ..evaluation.results import Comparison, Evaluation

ENOUGH, HARDLY = 20, 0.3
"""A label with at least this many reviews is noted if the model finds less than this share of them."""

MATRIX_SHOWN, CONFUSIONS_SHOWN = 10, 20
"""With more labels than this the most frequent confusions are shown instead of the matrix."""
LABEL = 24
"""Columns of a label in a table with more than its metrics, and in a note."""
EXPLAINED = 10
"""Mistakes in a report if --mistakes does not say how many."""

_PREPARE_ONLY = ("test", "validation", "test_fraction", "split", "seed", "labels", "follow_links")


def run(options: argparse.Namespace, bar: Bar) -> None:
    from ..evaluation.evaluate import evaluate_runs, save
    from ..evaluation.gates import parse_limit
    from ..evaluation.labelled_texts import TextFiles

    late = [path for path in options.data if (path / "config.json").exists()]  # runs after --data
    runs, datasets = [*options.runs, *late], [path for path in options.data if path not in late]
    if not runs:
        raise SettingsError("no run was given, expected one or more: lowmem-sentiment evaluate RUN ...")
    if options.file and datasets:
        raise SettingsError("files and a dataset were given; expected one of them")
    if options.keep and not (options.file and options.predictions):
        raise SettingsError("--keep names columns of a --file for --predictions; expected both")
    if options.html:
        from ..reporting.page import check_page_path

        check_page_path(options.html)
    reading = given(options, FilesSettings)  # --split is of the dataset here
    reading = {name: value for name, value in reading.items() if name not in _PREPARE_ONLY}
    comparisons = evaluate_runs(
        runs,
        TextFiles(options.file, FilesSettings(**reading), options.keep) if options.file else datasets,
        EvaluationSettings(**given(options, EvaluationSettings), explained=_explained(options)),
        limits=dict(map(parse_limit, options.fail_under)),
        baseline=options.baseline,
        predictions=options.predictions,
        progress=bar,
    )
    bar.clear()
    evaluations = [each for comparison in comparisons for each in comparison.evaluations]
    unsaved = []
    for evaluation in evaluations:
        try:
            save(evaluation)
        except OutputError as error:
            unsaved.append(error)
    if options.html:
        from ..reporting.comparison_report import evaluation_page
        from ..reporting.page import write_page

        try:
            write_page(options.html, evaluation_page(comparisons))
        except OutputError as error:
            unsaved.append(error)
    print_text(_text(options, comparisons, evaluations))
    _finish(evaluations, unsaved)


def _finish(evaluations: "list[Evaluation]", unsaved: list[OutputError]) -> None:
    """Report skipped reviews; raise CheckFailed or OutputError for failures."""
    failed = []
    for evaluation in evaluations:
        where = f"{evaluation.run}: " if len(evaluations) > 1 else ""
        failed += [f"{where}{line}" for line in evaluation.failed]
        for label, count in evaluation.unknown_labels.items():
            warn(
                f"{plural(count, 'review')} with the label '{printable(label)}', which "
                f"{evaluation.run} does not know, left out"
            )
        if evaluation.drift and (warning := evaluation.drift.warning()):
            warn(warning)
        if evaluation.left_out:
            left_out = plural(evaluation.left_out, "test review")
            warn(f"{left_out} left out, which the baseline was trained on")
    for row in evaluations[0].bad_rows if evaluations else ():
        report(f"skipped: {row}")
    if evaluations and evaluations[0].skipped_rows > len(evaluations[0].bad_rows):
        report(f"skipped: {plural(evaluations[0].skipped_rows, 'bad row')} in all")
    if failed:
        for error in unsaved:
            warn(f"the evaluation is not saved: {error}")
        raise CheckFailed("; ".join(printable(line, 1_000) for line in failed))
    if unsaved:
        raise OutputError(f"the evaluation is not saved: {'; '.join(map(str, unsaved))}")


def _explained(options: argparse.Namespace) -> int:
    """Return how many mistakes the report shows: as many as --mistakes, or `EXPLAINED`."""
    return getattr(options, "mistakes", EXPLAINED) if options.html else 0


# --- the answer ---


def _text(
    options: argparse.Namespace, comparisons: "list[Comparison]", evaluations: "list[Evaluation]"
) -> str:
    """Return the evaluations in the requested form."""
    if options.json:
        return "\n".join(json.dumps(evaluation.to_json()) for evaluation in evaluations)
    if options.csv:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(_rows(evaluations, "{:.6f}"))
        return text.getvalue().rstrip("\n")
    if options.markdown:
        head, *rows = [list(map(printable, row)) for row in _rows(evaluations, "{:.4f}")]
        return markdown_table(head, rows)
    if len(evaluations) == 1:
        return for_people(_lines(evaluations[0]))
    blocks = [for_people(_comparison_lines(comparison)) for comparison in comparisons]
    if len(comparisons) > 1 and not options.data:
        blocks.append("Different reviews are not compared; --data DATASET evaluates all runs on one.")
    return "\n\n".join(blocks)


def _rows(evaluations: "list[Evaluation]", number: str) -> list[list[str]]:
    """Return a row of names, and one of values for each evaluation."""
    names = list(dict.fromkeys(name for each in evaluations for name in _metrics(each)))
    rows = [["run", "data", "split", "reviews", *names]]
    for each in evaluations:
        metrics = _metrics(each)
        about = [each.run, each.dataset or each.data, each.split or "", str(each.reviews)]
        rows.append([*about, *(number.format(metrics[n]) if n in metrics else "" for n in names)])
    return rows


def _metrics(evaluation: "Evaluation") -> dict[str, float]:
    """Return the metrics, and the threshold unless it is the usual one."""
    numbers = dict(evaluation.metrics)
    threshold = evaluation.threshold
    if threshold is not None and (threshold != 0.5 or evaluation.threshold_chosen):
        numbers["threshold"] = threshold
    return numbers


def _reviews(evaluation: "Evaluation") -> str:
    of = f"of the {evaluation.split} split" if evaluation.split else "reviews"
    return f"{evaluation.data}, {evaluation.reviews:,} {of}"


def _comparison_lines(comparison: "Comparison") -> list[str]:
    """Return a column for each run: settings that differ, metrics with intervals; and the tests."""
    evaluations = comparison.evaluations
    rows = [["", *short_names([each.run for each in evaluations])]]
    rows += [[name, *map(plain, values)] for name, values in comparison.settings.items()]
    for name in _metrics(evaluations[0]):
        rows.append([name, *(f"{_metrics(each).get(name, 0.5):.4f}" for each in evaluations)])
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


def _lines(evaluation: "Evaluation") -> list[str]:
    rows = {"run": evaluation.run, "data": _reviews(evaluation)}
    if evaluation.label_map:
        rows["labels"] = f"{plain(evaluation.label_map)}: renamed as the run's data was"
    of = f"; precision, recall and f1 for {evaluation.labels[1]}"
    rows["intervals"] = "95 % in brackets" + (of if len(evaluation.labels) == 2 else "")
    for name, value in _metrics(evaluation).items():
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
            f"review {mistake.number:,}: {printable(mistake.label)}, taken for "
            f"{printable(mistake.predicted)} at {mistake.probability:.2%}"
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
                cells[-1] += " ({}-{})".format(*(f"{end:.3f}".removeprefix("0") for end in ends))
        rows.append([label, f"{metrics.reviews:,}", *cells])
    return columns(rows, room())


def _confusion_lines(evaluation: "Evaluation") -> list[str]:
    """Return the confusion matrix, numbered if names do not fit; of many labels the worst confusions."""
    labels, counts = [cut(printable(label), LABEL) for label in evaluation.labels], []
    if len(labels) <= MATRIX_SHOWN:
        counts = [[f"{count:,}" for count in row] for row in evaluation.confusion_matrix.tolist()]
    cell = 2 + max((len(count) for row in counts for count in row), default=0)
    if not counts or LEAST + cell * len(labels) > room():
        reviews = [each.reviews for each in evaluation.by_label.values()]
        of = dict(zip(evaluation.labels, reviews, strict=True))
        rows = [
            [each.label, each.predicted, f"{each.reviews:,}", f"{each.reviews / of[each.label]:.0%}"]
            for each in evaluation.confusions(CONFUSIONS_SHOWN)
        ]
        head = ["label", "is taken for", "reviews", "share"]
        return ["", "most frequent confusions", *columns([head, *rows], room(), left=2)] if rows else []
    heads, names = labels, labels
    if max(map(text_width, labels)) + sum(max(cell, 2 + text_width(each)) for each in labels) > room():
        heads = [str(nth + 1) for nth in range(len(labels))]
        names = [f"{nth} {label}" for nth, label in zip(heads, labels, strict=True)]
    rows = [["label", *heads], *([name, *row] for name, row in zip(names, counts, strict=True))]
    return ["", "confusion matrix: a row per label, a column per prediction", *columns(rows, room())]


def _notes(evaluation: "Evaluation") -> list[str]:
    """Return a note for undefined metrics, and for labels that the model hardly ever finds."""
    from ..runs.diagnosis import no_better_than_one_label

    notes = []
    if len(evaluation.labels) == 2 and "auc" not in evaluation.metrics:
        notes.append("note: auc is not defined for reviews of one label, and no --fail-under checks it")
    counts = [each.reviews for each in evaluation.by_label.values()]
    if worse := no_better_than_one_label(evaluation.accuracy, evaluation.labels, counts):
        only = evaluation.confusion_matrix.any(axis=0).sum() == 1
        worse += ", and nothing else is predicted" if only else ""
        return [*notes, f"note: {worse}; train with --recipe ngrams"]
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


# --- the options ---


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command's parser."""
    add = parser.add_argument
    add(
        "runs",
        type=Path,
        nargs="*",
        metavar="RUN",
        help="run directories; several on the same reviews are compared with the first",
    )
    add(
        "--data",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="DATASET",
        help="dataset directories (default: each run's own)",
    )
    add(
        "--file",
        action="append",
        default=[],
        metavar="FILE",
        help="labelled text, without a dataset: "
        "all that prepare files reads, - for standard input; may be repeated",
    )
    add_settings(parser, EvaluationSettings)
    add(
        "--fail-under",
        action="append",
        default=[],
        metavar="METRIC=X",
        help="exit with 1 when METRIC, such as accuracy or recall:LABEL, is below X (loss, brier and "
        "calibration_error: above it); may be repeated",
    )
    add(
        "--baseline",
        type=Path,
        metavar="RUN",
        help="exit with 1 when a run is significantly worse than "
        "this one on the same reviews (exact McNemar test, two-sided)",
    )
    add(
        "--keep",
        nargs="+",
        default=[],
        metavar="COLUMN",
        help="columns or fields of --file that go with each of --predictions, such as an id",
    )
    add(
        "--predictions",
        type=Path,
        metavar="FILE",
        help="write each review's label, predicted label and probabilities to a .csv or .jsonl file; "
        "import labels that begin with = + - @ into a spreadsheet as text",
    )
    add_html(parser)
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument(
        "--json", action="store_true", help="print one JSON object per run, each on a line"
    )
    forms.add_argument("--csv", action="store_true", help="print one row per run as CSV")
    forms.add_argument(
        "--markdown", action="store_true", help="print one row per run as a Markdown table"
    )
    group = parser.add_argument_group("reading --file")
    add_settings(group, FilesSettings, _PREPARE_ONLY)

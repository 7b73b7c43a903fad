"""``evaluate``."""

import argparse
import csv
import functools
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..evaluation.settings import EvaluationSettings
from ..monitoring.markdown import markdown_table
from ..sources.settings import FilesSettings
from ..system.errors import CheckFailed, OutputError, SettingsError, plural, printable
from ..system.progress import Bar
from .evaluation_lines import comparison_lines, evaluation_lines, shown_metrics
from .options import HTML, add_flags, add_lists, add_paths, add_settings, given
from .output import for_people, print_text, report, warn

if TYPE_CHECKING:  # NumPy takes 0.1 s, and --help does not need it
    from ..evaluation.results import Comparison, Evaluation

EXPLAINED = 10
"""Mistakes in a report if --mistakes does not say how many."""

_PREPARE_ONLY = ("test", "validation", "test_fraction", "split", "seed", "labels", "follow_links")


def run(options: argparse.Namespace, bar: Bar) -> None:
    from ..decisions.gates import parse_limit
    from ..evaluation.evaluate import evaluate_runs, save
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
    reading = FilesSettings(**given(options, FilesSettings, _PREPARE_ONLY))
    explained = getattr(options, "mistakes", EXPLAINED) if options.html else 0
    comparisons = evaluate_runs(
        runs,
        TextFiles(options.file, reading, options.keep, warn) if options.file else datasets,
        EvaluationSettings(**given(options, EvaluationSettings), explained=explained),
        limits=dict(map(parse_limit, options.fail_under)),
        baseline=options.baseline,
        predictions=options.predictions,
        progress=bar,
    )
    bar.clear()
    evaluations = [each for comparison in comparisons for each in comparison.evaluations]
    writes = [functools.partial(save, each) for each in evaluations]
    if options.html:
        from ..reporting.evaluation_report import evaluation_page
        from ..reporting.page import write_page

        writes.append(functools.partial(write_page, options.html, evaluation_page(comparisons)))
    unsaved = []
    for write in writes:
        try:
            write()
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
            warn(str(error))
        raise CheckFailed("; ".join(printable(line, 1_000) for line in failed))
    if unsaved:
        raise OutputError("; ".join(map(str, unsaved)))


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
        return for_people(evaluation_lines(evaluations[0]))
    blocks = [for_people(comparison_lines(comparison)) for comparison in comparisons]
    if len(comparisons) > 1 and not options.data:
        blocks.append("Different reviews are not compared; --data DATASET evaluates all runs on one.")
    return "\n\n".join(blocks)


def _rows(evaluations: "list[Evaluation]", number: str) -> list[list[str]]:
    """Return a row of names, and one of values for each evaluation."""
    shown = [shown_metrics(each) for each in evaluations]
    names = list(dict.fromkeys(name for metrics in shown for name in metrics))
    rows = [["run", "data", "split", "reviews", *names]]
    for each, metrics in zip(evaluations, shown, strict=True):
        about = [each.run, each.dataset or each.data, each.split or "", str(each.reviews)]
        rows.append([*about, *(number.format(metrics[n]) if n in metrics else "" for n in names)])
    return rows


# --- the options ---


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    several = "run directories; several on the same reviews are compared with the first"
    add("runs", type=Path, nargs="*", metavar="RUN", help=several)
    add_lists(parser, "DATASET", Path, data="dataset directories (default: each run's own)")
    file = (
        "labelled text without a dataset, as prepare files reads it; -: standard input; may be repeated"
    )
    add("--file", action="append", default=[], metavar="FILE", help=file)
    add_settings(parser, EvaluationSettings)
    limits = (
        "exit with 1 when METRIC, such as accuracy or recall:LABEL, is below X (loss, brier and "
        "calibration_error: above it); may be repeated"
    )
    add("--fail-under", action="append", default=[], metavar="METRIC=X", help=limits)
    add_paths(
        parser,
        "RUN",
        baseline="exit with 1 when a run is significantly worse than this one on the same reviews (exact "
        "McNemar test, two-sided)",
    )
    add_lists(parser, "COLUMN", keep="columns or fields of --file, such as an id, for --predictions")
    add_paths(
        parser,
        "FILE",
        predictions="write each review's label, predicted label and probabilities to a .csv or .jsonl "
        "file; import labels that begin with = + - @ into a spreadsheet as text",
        html=HTML,
    )
    add_flags(
        parser.add_mutually_exclusive_group(),
        json="print one JSON object per run, each on a line",
        csv="print one row per run as CSV",
        markdown="print one row per run as a Markdown table",
    )
    add_settings(parser.add_argument_group("reading --file"), FilesSettings, _PREPARE_ONLY)

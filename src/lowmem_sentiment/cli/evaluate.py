"""``evaluate``."""

import argparse
import csv
import io
import json
from pathlib import Path
from typing import Any

from ..evaluation.settings import EvaluationSettings
from ..sources.settings import FilesSettings
from ..system.errors import CheckFailed, OutputError, SettingsError, printable
from ..system.progress import Bar
from ..system.settings import plain
from .options import add_settings, given, whole_number
from .output import columns, print_text, table, warn
from .reader_options import add_reader_settings

ENOUGH, HARDLY = 20, 0.3
"""A label with so many reviews, of which the model finds less than this share, is noted."""

_PREPARE_ONLY = ("test", "test_fraction", "split", "seed", "labels", "follow_links")


def _reading(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options on how to read --file; --split is of the dataset here."""
    chosen = given(options, FilesSettings)
    return {name: value for name, value in chosen.items() if name not in _PREPARE_ONLY}


def run(options: argparse.Namespace, bar: Bar) -> None:
    from ..evaluation.evaluate import evaluate_runs

    runs, datasets = _runs_and_datasets(options)
    evaluations = evaluate_runs(
        runs,
        datasets,
        files=options.file,
        files_settings=FilesSettings(**_reading(options)),
        settings=EvaluationSettings(**given(options, EvaluationSettings)),
        limits=dict(options.fail_under),
        baseline=options.baseline,
        predictions=options.predictions,
        progress=bar,
    )
    bar.clear()
    unsaved = _save(evaluations)
    print_text(_text(options, evaluations))
    _finish(evaluations, unsaved)


def _runs_and_datasets(options: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """Return the runs and the datasets; a run that stands after --data is known by its config.json."""
    late = [path for path in options.data if (path / "config.json").exists()]
    runs = [*options.runs, *late]
    if not runs:
        raise SettingsError("no run was given, expected one or more: lowmem-sentiment evaluate RUN ...")
    return runs, [path for path in options.data if path not in late]


def _save(evaluations: list[dict[str, Any]]) -> list[OutputError]:
    """Save each evaluation with its run, and return why some could not be."""
    from ..evaluation.evaluate import save

    unsaved = []
    for evaluation in evaluations:
        try:
            save(evaluation)
        except OutputError as error:
            unsaved.append(error)
    return unsaved


def _finish(evaluations: list[dict[str, Any]], unsaved: list[OutputError]) -> None:
    """Warn of labels that were left out; raise CheckFailed or OutputError for what failed."""
    for evaluation in evaluations:
        for label, count in evaluation.get("unknown_labels", {}).items():
            warn(
                f"{count:,} reviews have the label '{printable(label)}', which "
                f"{evaluation['run']} does not know; they are left out"
            )
    several = len(evaluations) > 1
    failed = [
        f"{evaluation['run']}: {line}" if several else line
        for evaluation in evaluations
        for line in evaluation["failed"]
    ]
    if failed:
        for error in unsaved:
            warn(f"the evaluation is not saved: {error}")
        raise CheckFailed("; ".join(map(printable, failed)))
    if unsaved:
        raise OutputError(f"the evaluation is not saved: {'; '.join(map(str, unsaved))}")


# --- the answer ---


def _text(options: argparse.Namespace, evaluations: list[dict[str, Any]]) -> str:
    """Return the evaluations in the form asked for."""
    if options.json:
        return "\n".join(map(json.dumps, evaluations))
    if options.csv or options.markdown:
        rows = _rows(evaluations, "{:.6f}" if options.csv else "{:.4f}")
        return _csv(rows) if options.csv else "\n".join(_markdown(rows))
    if len(evaluations) == 1:
        return "\n".join(_lines(evaluations[0]))
    verdicts = [line for each in evaluations for line in _baseline_lines(each)]
    shown = [[printable(cell) for cell in row] for row in _rows(evaluations, "{:.4f}")]
    return "\n".join([*columns(shown), *verdicts])


def _rows(evaluations: list[dict[str, Any]], number: str) -> list[list[str]]:
    """Return a row of names, and one of values for each evaluation."""
    names = list(dict.fromkeys(name for each in evaluations for name in _metrics(each)))
    rows = [["run", "data", "split", "reviews", *names]]
    for each in evaluations:
        metrics = _metrics(each)
        about = [each["run"], each["dataset"] or each["data"], each["split"] or "", str(each["reviews"])]
        rows.append([*about, *(number.format(metrics[n]) if n in metrics else "" for n in names)])
    return rows


def _metrics(evaluation: dict[str, Any]) -> dict[str, float]:
    """Return what is one number; the threshold where it is not the usual one."""
    from ..evaluation.scoring import floats

    numbers = floats(evaluation)
    if numbers.get("threshold") == 0.5 and "threshold_chosen" not in evaluation:
        del numbers["threshold"]
    return numbers


def _csv(rows: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().rstrip("\n")


def _markdown(rows: list[list[str]]) -> list[str]:
    cells = [[printable(cell).replace("|", "\\|") for cell in row] for row in rows]
    first, *rest = (f"| {' | '.join(row)} |" for row in cells)
    return [first, f"|{' --- |' * len(rows[0])}", *rest]


def _lines(evaluation: dict[str, Any]) -> list[str]:
    about = f"{evaluation['data']}, {evaluation['reviews']:,}"
    about += f" of the {evaluation['split']} split" if evaluation["split"] else " reviews"
    rows = {"run": evaluation["run"], "data": printable(about)}
    if renamed := evaluation.get("label_map"):
        rows["labels"] = f"{plain(renamed)}: renamed as the run's data was"
    intervals = evaluation["intervals"]
    of = f"; precision, recall, f1 are those of {evaluation['labels'][1]}"
    rows["intervals"] = "95 % in brackets" + (of if len(evaluation["labels"]) == 2 else "")
    for name, value in _metrics(evaluation).items():
        rows[name] = f"{value:.4f}" + _interval(intervals.get(name), "  ({:.4f} to {:.4f})")
    if chosen := evaluation.get("threshold_chosen"):
        rows["threshold"] += f" chosen by {chosen['rule']} on the validation split, and recorded"
    lines = [*table(rows), *_label_lines(evaluation), *_matrix_lines(evaluation), *_notes(evaluation)]
    for mistake in evaluation.get("mistakes", ()):
        lines.append(
            f"review {mistake['number']:,}: {printable(mistake['label'])}, taken for "
            f"{printable(mistake['predicted'])} at {mistake['probability']:.2%}"
        )
        lines.append(f"  {printable(mistake['text'], 300)}")
    return lines + _baseline_lines(evaluation)


def _interval(interval: list[float] | None, form: str) -> str:
    return form.format(*interval) if interval else ""


def _label_lines(evaluation: dict[str, Any]) -> list[str]:
    lines = []
    for label, metrics in evaluation["by_label"].items():
        intervals = evaluation["intervals"]["by_label"][label]
        shown = (
            f"{name} {metrics[name]:.4f}{_interval(intervals[name], ' ({:.4f} to {:.4f})')}"
            for name in ("precision", "recall", "f1")
        )
        lines.append(f"  {printable(label)}: {', '.join(shown)} ({metrics['reviews']:,} reviews)")
    return lines


def _matrix_lines(evaluation: dict[str, Any]) -> list[str]:
    labels = list(map(printable, evaluation["labels"]))
    width = max(10, *(len(label) + 2 for label in labels))
    lines = [f"{'':{width}}" + "".join(f"{label:>{width}}" for label in labels) + "  predicted"]
    for label, row in zip(labels, evaluation["confusion_matrix"], strict=True):
        lines.append(f"{label:{width}}" + "".join(f"{count:>{width},}" for count in row))
    return lines


def _notes(evaluation: dict[str, Any]) -> list[str]:
    """Return a line for each label that the model hardly ever finds, and what may help."""
    return [
        f"note: {printable(label)} is found in {metrics['recall']:.0%} of its reviews; train with "
        "--class-weight balanced, and --best-by f1"
        for label, metrics in evaluation["by_label"].items()
        if metrics["reviews"] >= ENOUGH and metrics["recall"] < HARDLY
    ]


def _baseline_lines(evaluation: dict[str, Any]) -> list[str]:
    from ..evaluation.significance import verdict_in_words

    if "baseline" not in evaluation:
        return []
    test = evaluation["baseline"]
    return [f"{evaluation['run']} against {test['run']}: {verdict_in_words(test)}"]


# --- the options ---


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command's parser."""
    add = parser.add_argument
    add("runs", type=Path, nargs="*", metavar="RUN", help="run directories")
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
    # Of 0.1; it changed no result.
    add("--batch-size", type=whole_number(1), default=32, help=argparse.SUPPRESS)
    add(
        "--fail-under",
        type=_limit,
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
        "this one on the same reviews (exact McNemar test)",
    )
    add(
        "--predictions",
        type=Path,
        metavar="FILE",
        help="write each review's label, predicted label and probabilities to a .csv or .jsonl file",
    )
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument(
        "--json", action="store_true", help="print one JSON object per run, each on a line"
    )
    forms.add_argument("--csv", action="store_true", help="print one row per run as CSV")
    forms.add_argument(
        "--markdown", action="store_true", help="print one row per run as a Markdown table"
    )
    group = parser.add_argument_group("reading --file")
    add_reader_settings(group, FilesSettings, _PREPARE_ONLY)


def _limit(text: str) -> tuple[str, float]:
    from ..evaluation.gates import parse_limit

    try:
        return parse_limit(text)
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None

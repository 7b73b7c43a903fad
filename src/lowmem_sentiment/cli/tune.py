"""``tune``."""

import argparse
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..monitoring.terminal_text import columns, table
from ..search.settings import RANGES, TuneSettings
from ..system.errors import CheckFailed, SettingsError, plural
from ..system.memory import MB
from ..system.progress import Bar, duration
from ..system.settings import plain
from ..system.signals import stop_on_signals
from .options import HTML, add_json, add_lists, add_paths, add_settings, given
from .output import VALIDATION_TOO_GOOD, answer, report, room

if TYPE_CHECKING:  # NumPy takes 0.1 s, and --help does not need it
    from ..search.cross_validation import CrossValidation, Estimate
    from ..search.results import Candidate, TuningResult

SHOWN = 10
"""Rows of the table on a terminal; --csv and --json have them all."""


def run(options: argparse.Namespace, bar: Bar) -> None:
    from ..search.tune import tune
    from ..system.files import check_output

    chosen = given(options, TuneSettings)
    settings = TuneSettings(**{**chosen, "grid": tuple(options.grid)})
    if options.html:
        from ..reporting.page import check_page_path

        check_page_path(options.html)
    if options.csv:
        check_output(options.csv, "rank,candidate,kind,")
    if settings.folds:
        return _cross_validate(options, settings, bar)
    with stop_on_signals() as stop:
        result = tune(options.dataset, options.out, settings, stop=stop, progress=bar, report=report)
    bar.clear()
    answer(options, result.to_json(), lambda: _lines(result))
    if options.csv:
        result.write_csv(options.csv)
    if options.html:
        from ..reporting.page import write_page
        from ..reporting.tuning_report import tuning_page

        write_page(options.html, tuning_page(result))
    if result.failed:
        again = "; the same command tries again" if result.settings.grid else ""
        raise CheckFailed(
            f"{len(result.failed)} of {plural(result.trained, 'run')} failed, the first: "
            f"{result.failed[0].error}{again}"
        )


def _cross_validate(options: argparse.Namespace, settings: TuneSettings, bar: Bar) -> None:
    from ..search.cross_validation import cross_validate

    if options.csv:
        raise SettingsError("--csv is the table of a search; expected --folds with --json or --html")
    with stop_on_signals() as stop:
        result = cross_validate(
            options.dataset, options.out, settings, stop=stop, progress=bar, report=report
        )
    bar.clear()
    answer(options, result.to_json(), lambda: _fold_lines(result))
    if options.html:
        from ..reporting.folds_report import folds_page
        from ..reporting.page import write_page

        write_page(options.html, folds_page(result))


def _fold_lines(result: "CrossValidation") -> list[str]:
    """Return the estimates with all the data, and the learning curve."""
    *_, whole = result.points
    rows = {
        "data": f"{result.data}, {result.reviews:,} training reviews",
        "folds": f"{result.folds}, n-grams chosen anew for each" if result.ngrams else str(result.folds),
        "intervals": "95 % in brackets, corrected for the training reviews that folds share",
    }
    rows |= {name: _estimate(each) for name, each in whole.metrics.items()}
    if result.gain:
        *_, before, _ = result.points
        rows["more data"] = (
            f"{whole.reviews:,} training reviews instead of {before.reviews:,}: accuracy "
            f"{result.gain.mean:+.4f}  ({result.gain.interval[0]:+.4f} to {result.gain.interval[1]:+.4f})"
        )
    lines = table({**rows, "predictions": result.predictions}, room())
    return lines if len(result.points) < 2 else [*_learning_curve(result), "", *lines]


def _estimate(each: "Estimate") -> str:
    low, high = each.interval
    return f"{each.mean:.4f} ± {each.deviation:.4f}  ({low:.4f} to {high:.4f})"


def _learning_curve(result: "CrossValidation") -> list[str]:
    """Return a chart of accuracy by training reviews, and its numbers."""
    from ..monitoring.event_reader import Curve
    from ..monitoring.terminal_chart import Style, characters_for, draw

    points = [(each.reviews, each.metrics["accuracy"]) for each in result.points]
    steps, values = [reviews for reviews, _ in points], [each.mean for _, each in points]
    curves = [Curve("folds", part, "accuracy", steps, values) for part in ("train", "validation")]
    style = Style(width=min(80, room()), characters=characters_for(sys.stdout), unit="reviews")
    title, *chart = draw(curves, ["folds"], style)
    del title  # it tells training from validation
    cells = [["training reviews", "accuracy"], *([f"{n:,}", _estimate(each)] for n, each in points)]
    return ["accuracy by training reviews, on the folds", *chart, "", *columns(cells, room())]


def _lines(result: "TuningResult") -> list[str]:
    metric, rows = result.settings.metric, result.candidates
    if len(metric) > len("accuracy"):  # a label may be long, and the table has 80 columns
        metric = metric.partition(":")[0]
    if result.settings.grid:
        lines = columns(_grid_table(result, metric), room())
    else:
        shown = [row for row in rows if row.rank <= SHOWN or row is result.default]
        weighted = any(row.settings.class_weight != "none" for row in rows)
        head = ["", metric, "ep", "words", "hidden", "drop", "rate", "batch", "adam"]
        head += ["bal."] * weighted + ["peak", "model"]
        lines = columns([head, *(_cells(row, weighted) for row in shown)], room())
        if len(rows) > len(shown):
            lines.append(f"... {len(rows) - len(shown)} more: --csv FILE, or --json")
    return [*lines, "", *table(_summary(result), room())]


def _cells(row: "Candidate", weighted: bool) -> list[str]:
    settings = row.settings
    return [
        str(row.rank),
        f"{row.value:.4f}",
        str(row.epochs),
        str(settings.num_words),
        plain(settings.hidden) or "none",
        f"{settings.dropout[0]:g}" if settings.dropout else "",
        f"{settings.learning_rate:.1e}".replace("e-0", "e-"),
        str(settings.batch_size),
        "lazy" if settings.optimizer == "lazy-adam" else "",
        *["yes" if settings.class_weight == "balanced" else ""] * weighted,
        f"{row.peak_resident_bytes / MB:.0f}M",
        f"{row.model_bytes / MB:.1f}M",
    ]


def _grid_table(result: "TuningResult", metric: str) -> list[list[str]]:
    """Return a row for each combination, with the settings of the grid."""
    names = result.settings.grid_names
    rows = [["", *names, "runs", metric, "loss", "epoch s", "peak", "model"]]
    for row in result.candidates:
        deviation = "" if row.deviation is None else f" ± {row.deviation:.4f}"
        rows.append(
            [
                str(row.rank),
                *(plain(getattr(row.settings, name)) for name in names),
                str(row.runs),
                f"{row.value:.4f}{deviation}",
                f"{row.metrics['loss']:.4f}",
                f"{row.epoch_seconds:.1f}",
                f"{row.peak_resident_bytes / MB:.0f}M",
                f"{row.model_bytes / MB:.1f}M",
            ]
        )
    return rows


def _summary(result: "TuningResult") -> dict[str, str]:
    from ..evaluation.scoring import all_metrics

    settings, test = result.settings, result.test
    winner, cheapest, default = result.winner, result.cheapest, result.default
    of = f" of {duration(60 * settings.minutes)}" if settings.minutes else ""
    lines = {
        "searched": f"{plural(len(result.candidates), 'setting')} in {plural(result.trained, 'run')}, by "
        f"{settings.metric} on {result.validated_on}",
        "time": f"{duration(result.seconds)}{of}",
        "winner": f"{_named(winner)}: {winner.value:.4f} ± {winner.standard_error:.4f}; trained "
        "again on all training reviews",
        "cheapest": "the winner"
        if cheapest is winner
        else f"{_named(cheapest)}, {cheapest.model_bytes / MB:.1f} MB: within one standard error"
        + (" (--prefer cheap)" if winner.rank == 1 else " of rank 1"),
    }
    if default:
        lines["recipe"] = "the winner" if default is winner else f"{_named(default)}: {default.value:.4f}"
    for name, reason in result.not_tried.items():
        lines[f"not {name}"] = reason
    if result.ranked_with_validation:
        lines["note"] = VALIDATION_TOO_GOOD
    values = all_metrics(test.metrics, test.by_label)
    names = dict.fromkeys([settings.metric, "accuracy", "loss"])
    lines["test"] = ", ".join(f"{name} {values[name]:.4f}" for name in names)
    if several := result.test_accuracies:
        lines["seeds"] = (
            f"test accuracy {statistics.fmean(several):.4f} ± {statistics.stdev(several):.4f} of its "
            f"{len(several)} seeds, trained without the validation reviews"
        )
    return {**lines, "run": result.run, "again": result.command}


def _named(row: "Candidate") -> str:
    kind = "" if row.kind in ("random", "grid") else f" ({row.kind})"
    return f"rank {row.rank}{kind}"


def add_options(parser: argparse.ArgumentParser) -> None:
    add_json(parser)
    parser.epilog = RANGES
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="a dataset directory")
    out = "the folder for the runs and the winner; a search in it is resumed"
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help=out)
    add_paths(parser, "FILE", csv="also write the table to FILE", html=HTML)
    add_lists(
        parser,
        "NAME=VALUES",
        grid="train every combination of these values, such as epochs=1,2,3 hidden=50,50,50:32,32, "
        "instead of random settings; a single value applies to all runs. Finished runs are kept, "
        "interrupted ones resumed",
    )
    add_settings(parser, TuneSettings)

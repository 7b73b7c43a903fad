"""``tune``."""

import argparse
from pathlib import Path
from typing import Any

from ..search.settings import TuneSettings
from ..system.errors import CheckFailed, plural
from ..system.memory import MB
from ..system.progress import Bar, duration
from ..system.settings import plain
from ..system.signals import stop_on_signals
from .options import add_json, add_settings, given
from .output import VALIDATION_TOO_GOOD, answer, columns, report, table

SHOWN = 10
"""Rows of the table on a terminal; --csv and --json have them all."""


def run(options: argparse.Namespace, bar: Bar) -> None:
    from ..search.run_tables import write_csv
    from ..search.tune import tune

    settings = TuneSettings(**given(options, TuneSettings))
    with stop_on_signals() as stop:
        result = tune(options.dataset, options.out, settings, stop=stop, progress=bar, report=report)
    bar.clear()
    if options.csv:
        write_csv(result["candidates"], options.csv)
    answer(options, result, lambda: _lines(result))
    if result["failed"]:
        raise CheckFailed(
            f"{len(result['failed'])} of {plural(result['trained'], 'run')} failed, the first: "
            f"{result['failed'][0]['error']}"
        )


def _lines(result: dict[str, Any]) -> list[str]:
    rows = result["candidates"]
    shown = [row for row in rows if row["rank"] <= SHOWN or row["rank"] == result["default"]]
    weighted = any(row["class_weight"] != "none" for row in rows)
    head = ["", _column_name(result["metric"]), "ep", "words", "hidden", "drop", "rate", "batch", "adam"]
    head += ["bal."] * weighted + ["peak", "model"]
    lines = columns([head, *(_cells(row, weighted) for row in shown)])
    if len(rows) > len(shown):
        lines.append(f"... {len(rows) - len(shown)} more: --csv FILE, or --json")
    return [*lines, "", *table(_summary(result))]


def _column_name(metric: str) -> str:
    """Return the head of the metric's column: a label may be long, and the table has 80 columns."""
    return metric if len(metric) <= len("accuracy") else metric.partition(":")[0]


def _cells(row: dict[str, Any], weighted: bool) -> list[str]:
    return [
        str(row["rank"]),
        f"{row['value']:.4f}",
        str(row["epochs"]),
        str(row["num_words"]),
        plain(row["hidden"]) or "none",
        f"{row['dropout'][0]:g}" if row["dropout"] else "",
        f"{row['learning_rate']:.1e}".replace("e-0", "e-"),
        str(row["batch_size"]),
        "lazy" if row["optimizer"] == "lazy-adam" else "",
        *["yes" if row["class_weight"] == "balanced" else ""] * weighted,
        f"{row['peak_resident_bytes'] / MB:.0f}M",
        f"{row['model_bytes'] / MB:.1f}M",
    ]


def _summary(result: dict[str, Any]) -> dict[str, str]:
    rows, test = result["candidates"], result["test"]
    best, winner = rows[0], rows[result["winner"] - 1]
    cheapest = rows[result["cheapest"] - 1]
    default = rows[result["default"] - 1] if result["default"] else None
    of = f" of {duration(60 * result['minutes'])}" if result["minutes"] else ""
    lines = {
        "searched": f"{plural(len(rows), 'setting')} in {plural(result['trained'], 'run')}, by "
        f"{result['metric']} on {result['validation_split']:.0%} of the training reviews",
        "time": f"{duration(result['seconds'])}{of}",
        "winner": f"{_named(winner)}: {winner['value']:.4f} ± {winner['standard_error']:.4f}; trained "
        "again on all training reviews",
        "cheapest": "the winner"
        if cheapest is winner
        else f"{_named(cheapest)}, {_size(cheapest)}: within one standard error"
        + (" (--prefer cheap)" if winner is best else " of rank 1"),
    }
    if default:
        lines["tutorial"] = (
            "the winner" if default is winner else f"{_named(default)}: {default['value']:.4f}"
        )
    for name, reason in result["not_tried"].items():
        lines[f"not {name}"] = reason
    if result["ranked_with_validation"]:
        lines["note"] = VALIDATION_TOO_GOOD
    values = test | {f"f1:{label}": each["f1"] for label, each in test["by_label"].items()}
    names = dict.fromkeys([result["metric"], "accuracy", "loss"])
    metrics = ", ".join(f"{name} {values[name]:.4f}" for name in names)
    return {
        **lines,
        "test": metrics,
        "run": result["run"],
        "again": result["command"],
    }


def _named(row: dict[str, Any]) -> str:
    kind = "" if row["kind"] == "random" else f" ({row['kind']})"
    return f"rank {row['rank']}{kind}"


def _size(row: dict[str, Any]) -> str:
    return f"{row['model_bytes'] / MB:.1f} MB"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command's parser."""
    from ..search.ranges import RANGES

    add_json(parser)
    parser.epilog = RANGES
    add = parser.add_argument
    add("dataset", type=Path, metavar="DATASET", help="a dataset directory")
    add("--out", type=Path, required=True, metavar="DIR", help="the folder of the runs, and of the "
        "winner; a search that is in it is resumed")  # fmt: skip
    add("--csv", type=Path, metavar="FILE", help="also write the table to FILE")
    add_settings(parser, TuneSettings)

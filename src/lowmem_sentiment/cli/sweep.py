"""``sweep``."""

import argparse
from pathlib import Path
from typing import Any

from ..runs.configuration import TrainingSettings
from ..system.errors import CheckFailed, plural
from ..system.memory import parse_size
from ..system.progress import Bar
from ..system.settings import plain
from ..system.signals import stop_on_signals
from .options import add_json, add_settings, given
from .output import answer, columns, report


def run(options: argparse.Namespace, bar: Bar) -> None:
    from ..search.run_tables import write_csv
    from ..search.sweep import parse_grid, sweep

    grid = dict(map(parse_grid, options.grid))
    settings = TrainingSettings(**{"validation_split": 0.1, **given(options, TrainingSettings)})
    with stop_on_signals() as stop:
        result = sweep(
            options.dataset,
            options.out,
            settings,
            grid,
            seeds=options.seeds,
            memory_limit=options.memory_limit,
            stop=stop,
            progress=bar,
            report=report,
        )
    bar.clear()
    if options.csv:
        write_csv(result["combinations"], options.csv)
    answer(options, result, lambda: _sweep_lines(result, list(grid)))
    failed = sum("error" in run for run in result["runs"])
    if failed:
        raise CheckFailed(
            f"{failed} of {plural(len(result['runs']), 'run')} failed; the same command tries again"
        )


def _sweep_lines(result: dict[str, Any], varied: list[str]) -> list[str]:
    rows = [["", *varied, "runs", "validation accuracy", "validation loss", "seconds"]]
    lines = []
    for row in result["combinations"]:
        cells = ["-"] * 3
        if row["runs"]:
            cells = [_over_seeds(row, "val_accuracy"), _over_seeds(row, "val_loss")]
            cells.append(f"{row['seconds_mean']:.1f}")
        runs = f"{row['runs']}" + (f" ({row['failed']} failed)" if row["failed"] else "")
        rows.append(["best" if row.get("best") else "", *(plain(row[n]) for n in varied), runs, *cells])
        if row.get("best"):
            lines = [
                f"test accuracy of the best: {_over_seeds(row, 'test_accuracy')} "
                f"(chosen by validation {result['best_by']})"
            ]
    return [*columns(rows), *lines]


def _over_seeds(row: dict[str, Any], name: str) -> str:
    """Return a metric's mean over the seeds, and its deviation where there are several."""
    mean = f"{row[f'{name}_mean']:.4f}"
    return f"{mean} ± {row[f'{name}_sd']:.4f}" if row["runs"] > 1 else mean


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command's parser."""
    add_json(parser)
    add = parser.add_argument
    add("dataset", type=Path, metavar="DATASET", help="a dataset directory")
    add("--out", type=Path, required=True, metavar="DIR", help="the folder of the runs; finished ones "
        "in it are kept, interrupted ones resumed")  # fmt: skip
    add("--grid", action="append", default=[], metavar="NAME=V,V", help="values of a setting, such as "
        "epochs=1,2,3 or hidden=50,50,50:32,32; may be repeated")  # fmt: skip
    add("--seeds", type=int, default=1, metavar="N", help="runs of each combination")
    add("--memory-limit", type=parse_size, metavar="SIZE", help="train as many at a time as fit into "
        "SIZE, such as 2G, a core each, and none that does not fit (default: one at a time)")  # fmt: skip
    add("--csv", type=Path, metavar="FILE", help="also write the table to FILE")
    add_settings(parser, TrainingSettings, validation_split=0.1)

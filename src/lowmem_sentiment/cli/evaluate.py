"""``evaluate``."""

import argparse
from pathlib import Path
from typing import Any

from ..system.errors import CheckFailed
from ..system.progress import Bar
from .commands import add_command, answer
from .console import table


def _threshold(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(text)
    return name, float(value)


def _evaluate(options: argparse.Namespace, bar: Bar) -> None:
    from ..runs.run_directory import RunDirectory

    RunDirectory(options.run).config()  # a wrong path is told before TensorFlow's 2 s
    from ..training import tensorflow_startup

    tensorflow_startup.start()
    from ..evaluation.evaluate import evaluate, missed

    evaluation = evaluate(
        options.run,
        options.data,
        split=options.split,
        batch_size=options.batch_size,
        progress=bar,
    )
    bar.clear()
    lines = missed(evaluation, dict(options.fail_under))
    answer(options, evaluation, lambda: _evaluation_lines(evaluation))
    if lines:
        raise CheckFailed("; ".join(lines))


def _evaluation_lines(evaluation: dict[str, Any]) -> list[str]:
    labels, counts = evaluation["labels"], evaluation["confusion_matrix"]
    rows = {
        "run": evaluation["run"],
        "data": f"{evaluation['data']}, {evaluation['reviews']:,} of the {evaluation['split']} split",
    }
    rows |= {name: f"{value:.4f}" for name, value in evaluation.items() if isinstance(value, float)}
    lines = table(rows)
    for label, measures in evaluation.get("by_label", {}).items():
        told = (f"{name} {measures[name]:.4f}" for name in ("precision", "recall", "f1"))
        lines.append(f"  {label}: {', '.join(told)} ({measures['reviews']:,} reviews)")
    width = max(10, *(len(label) + 2 for label in labels))
    lines.append(f"{'':{width}}" + "".join(f"{label:>{width}}" for label in labels) + "  predicted")
    for label, row in zip(labels, counts, strict=True):
        lines.append(f"{label:{width}}" + "".join(f"{count:>{width},}" for count in row))
    return lines


def add_evaluate(commands: Any) -> None:
    evaluate = add_command(commands, "evaluate", _evaluate, "measure a trained run on a dataset")
    add = evaluate.add_argument
    add("run", type=Path, metavar="RUN", help="a run directory")
    add("--data", type=Path, metavar="DATASET", help="a dataset directory (default: the run's own)")
    add("--split", choices=("test", "train"), default="test", help="which reviews")
    add("--batch-size", type=int, default=32, help="reviews a step; changes no result")
    add("--fail-under", type=_threshold, action="append", default=[], metavar="METRIC=VALUE",
        help="exit with 1 when METRIC is below VALUE (loss: above it); may be repeated")  # fmt: skip

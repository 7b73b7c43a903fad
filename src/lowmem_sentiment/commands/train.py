"""``train``, ``plan`` and ``verify-resume``."""

import argparse
import contextlib
import shlex
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..cluster import find_cluster
from ..display import table
from ..errors import CheckFailed
from ..memory import MB, Limit, find_limit, parse_size
from ..progress import Bar
from ..settings import (
    BEST_BY,
    CLASS_WEIGHTS,
    DEFAULT_NUM_WORDS,
    SaveEvery,
    TrainingSettings,
)
from . import add_command, answer, numbers, say


def _train(options: argparse.Namespace, bar: Bar) -> None:
    from ..run_directory import RunDirectory
    from ..shards import Dataset

    # A mistake is told before TensorFlow's 2 s.
    cluster = find_cluster()
    dataset = Dataset(options.dataset)
    given = given_settings(options)
    if options.resume:
        given = {**RunDirectory(options.resume).config()["settings"], **given}
        given |= {name: tuple(given[name]) for name in ("hidden", "dropout")}
    settings = TrainingSettings(**given)
    if (warning := dataset.imbalance()) and settings.class_weight == "none":
        say(f"warning: {warning}")
    save_every = SaveEvery.parse(options.save_every)
    limit = None
    if options.memory_limit:
        workers = len(cluster.workers) if cluster else 1
        limit, settings = _fit_to_memory(options, dataset, settings, workers)
    from .. import runtime

    runtime.start()
    from ..distribution import find_distribution
    from ..training import train

    distribution = find_distribution(cluster, options.cluster_timeout, say)
    if distribution.replicas == 1:
        _set_threads(dataset, settings)
    with stop_on_signals() as stop:
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
            say=say,
            distribution=distribution,
        )
    bar.clear()
    answer(options, summary, lambda: _summary_lines(summary))


def _set_threads(dataset: Any, settings: TrainingSettings) -> None:
    from .. import runtime
    from ..planning import count_parameters

    parameters = count_parameters(settings, settings.num_words_for(dataset), len(dataset.labels))
    runtime.set_threads(settings.batch_size * parameters)


def _fit_to_memory(options: argparse.Namespace, dataset: Any, settings: TrainingSettings, workers: int):
    """Give the limit, and the settings that fit it; a run to resume keeps its own."""
    from ..planning import fit_to, plan

    limit = options.memory_limit()
    if not options.resume:
        settings = fit_to(limit, dataset, settings, workers)
    say(
        f"limit {limit.bytes / MB:.0f} MB ({limit.source}); training needs "
        f"{plan(dataset, settings, workers).needed / MB:.0f} MB with a shuffle window of "
        f"{settings.window_bytes / MB:.0f} MB and {settings.prefetch} batches made ahead"
    )
    return limit, settings


def _memory_limit(text: str) -> Callable[[], Limit]:
    """Read "auto" or a size; what it gives is asked when training starts."""
    if text == "auto":
        return find_limit
    size = parse_size(text)
    return lambda: Limit(size, "--memory-limit")


def _seconds(text: str) -> float:
    """Read a number of seconds above 0."""
    if not 0 < (value := float(text)) < float("inf"):
        raise ValueError(text)
    return value


def given_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Give the training settings that were given as options."""
    values = {field.name: getattr(options, field.name) for field in fields(TrainingSettings)}
    return {name: value for name, value in values.items() if value is not None}


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
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
    return table(
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


def _plan(options: argparse.Namespace, bar: Bar) -> None:
    from ..planning import FLOOR, LIBRARIES, count_parameters, plan
    from ..shards import Dataset

    dataset = Dataset(options.dataset)
    settings = TrainingSettings(**given_settings(options))
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
    told = {f"{name}_bytes": size for name, size in parts.items()}
    told |= {"parameters": parameters, "limit_bytes": limit.bytes, "limit_source": limit.source}
    if options.measure:
        told["reviews_per_second"] = _measure(dataset, settings)
        reviews = dataset.num_reviews("train") * settings.epochs
        told["seconds"] = reviews / told["reviews_per_second"]
    answer(options, told, lambda: _plan_lines(told))


def _measure(dataset: Any, settings: TrainingSettings) -> float:
    from .. import runtime

    runtime.start()
    _set_threads(dataset, settings)
    from ..training import measure_speed

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
    return table(rows)


def _verify_resume(options: argparse.Namespace, bar: Bar) -> None:
    from ..verification import verify_resume

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
    answer(
        options,
        result,
        lambda: table(
            {
                "kills": f"{result['kills']} by SIGKILL, in {len(runs)} runs, each resumed to its end",
                "identical": f"{same} of {len(runs)} runs, in weights, history and curves",
                "weights": f"sha256 {result['undisturbed']['weights']}",
            }
        ),
    )
    if not result["identical"]:
        raise CheckFailed(f"{len(runs) - same} of {len(runs)} resumed runs differ")


def add_train(commands: Any) -> None:
    train = add_command(commands, "train", _train, "train the network on a dataset directory")
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
    add("--cluster-timeout", type=_seconds, default=120, metavar="SECONDS", help="with several "
        "workers in TF_CONFIG: how long to wait until all are there")  # fmt: skip
    add_settings(train)


def add_plan(commands: Any) -> None:
    plan = add_command(commands, "plan", _plan, "tell what training will take, before it does")
    plan.add_argument("dataset", type=Path, metavar="DATASET", help="a dataset directory")
    plan.add_argument(
        "--measure", action="store_true", help="train for a second, and tell the time the whole will take"
    )
    add_settings(plan)


def add_settings(parser: argparse.ArgumentParser, **defaults: Any) -> None:
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
    add("--hidden", "N,N,...", numbers(int), "units of each hidden layer")
    add("--dropout", "P,P,...", numbers(float), "rates after the first, second, ... hidden layer")
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


def add_verify_resume(commands: Any) -> None:
    verify = add_command(
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

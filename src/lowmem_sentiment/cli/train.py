"""``train``."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..distributed.tf_config import find_cluster
from ..runs.configuration import SaveEvery, TrainingSettings
from ..system.memory import MB, Limit, find_limit, parse_size
from ..system.progress import Bar
from .commands import add_command, answer, report
from .console import table
from .options import add_settings, given
from .training_options import _set_threads, stop_on_signals


def _train(options: argparse.Namespace, bar: Bar) -> None:
    from ..dataset.reader import Dataset
    from ..runs.run_directory import RunDirectory

    # A mistake is told before TensorFlow's 2 s.
    cluster = find_cluster()
    dataset = Dataset(options.dataset)
    chosen = given(options, TrainingSettings)
    settings = (
        replace(RunDirectory(options.resume).settings(), **chosen)
        if options.resume
        else TrainingSettings(**chosen)
    )
    if (warning := dataset.imbalance()) and settings.class_weight == "none":
        report(f"warning: {warning}")
    save_every = SaveEvery.parse(options.save_every)
    limit = None
    if options.memory_limit:
        workers = len(cluster.workers) if cluster else 1
        limit, settings = _fit_to_memory(options, dataset, settings, workers)
    from ..training import tensorflow_startup

    tensorflow_startup.start()
    from ..distributed.strategy import find_strategy
    from ..training.train import train

    strategy = find_strategy(cluster, options.cluster_timeout, report)
    if strategy.replicas == 1:
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
            report=report,
            strategy=strategy,
        )
    bar.clear()
    answer(options, summary, lambda: _summary_lines(summary))


def _fit_to_memory(options: argparse.Namespace, dataset: Any, settings: TrainingSettings, workers: int):
    """Return the limit, and the settings that fit it; a run to resume keeps its own."""
    from ..runs.memory_plan import fit_to, plan

    limit = options.memory_limit()
    if not options.resume:
        settings = fit_to(limit, dataset, settings, workers)
    report(
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
    add_settings(train, TrainingSettings)

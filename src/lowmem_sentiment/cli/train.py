"""``train``."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..dataset.manifest import RECIPES
from ..runs.configuration import SaveEvery, TrainingSettings
from ..runs.recipes import recipe_settings, settings_by_recipe
from ..system.errors import SettingsError
from ..system.memory import MB, Limit, find_limit
from ..system.progress import Bar
from ..system.settings import SIZE, Settings, parse_size, setting
from ..system.signals import stop_on_signals
from .options import add_flags, add_json, add_paths, add_settings, given
from .output import answer, report, warn

if TYPE_CHECKING:
    from ..runs.summary import TrainingSummary

_OF_PARENT = (
    "num_words", "hidden", "dropout", "learning_rate", "learning_rate_schedule", "batch_size",
    "optimizer", "class_weight", "best_by",
)  # fmt: skip
"""The settings that a run inherits from the run whose weights it starts from."""


def _memory_limit(text: str) -> Limit:
    return find_limit() if text == "auto" else Limit(parse_size(text), "--memory-limit")


@dataclass(frozen=True)
class _Control(Settings):
    """Settings of a training that change no result."""

    save_every: SaveEvery = setting(
        SaveEvery(),
        "save the state every N steps, or every N seconds, and at the end of each epoch (default: 30s)",
        metavar="N|Ns",
        read=(SaveEvery.parse, "steps (500) or seconds (30s)"),
    )
    memory_limit: Limit | None = setting(
        None,
        "fit shuffle window and prefetch to this much memory (700M), refuse what cannot fit, and save "
        "and stop at 92 % of it; auto: free memory or the container's limit, whichever is less",
        metavar="SIZE|auto",
        read=(_memory_limit, f"{SIZE[1]}, or auto"),
    )
    cluster_timeout: float = setting(
        120,
        "with several workers in TF_CONFIG: how long to wait for all to start",
        metavar="SECONDS",
        above=0,
        below=float("inf"),
    )


def run(options: argparse.Namespace, bar: Bar) -> None:
    """Train and print the summary, or print the plan."""
    if options.measure and not options.plan:
        raise SettingsError("--measure needs --plan: lowmem-sentiment train DATASET --plan --measure")
    from ..dataset.splits import ranked_with_held_out
    from ..distributed.tf_config import find_cluster
    from .training_lines import plan_figures, plan_lines, summary_lines

    control = _Control(**given(options, _Control))
    cluster = find_cluster()
    dataset = _dataset(options)
    settings = _settings(options, dataset)
    workers = len(cluster.workers) if cluster else 1
    if options.plan:
        limit = control.memory_limit or find_limit()
        figures = plan_figures(dataset, settings, limit, workers, options.measure)
        answer(options, figures, lambda: plan_lines(figures))
        return
    summary = None
    if not cluster:
        summary = _summary_of_finished(options, dataset, settings)
        _refuse_early(options, dataset, settings)
    if summary:
        report(f"{options.resume} is finished, and nothing was done; --epochs N trains it further")
    if (warning := dataset.imbalance()) and settings.class_weight == "none":
        warn(warning)
    if summary is None:
        if limit := control.memory_limit:
            settings = _fit_to_memory(limit, dataset, settings, workers, resumed=bool(options.resume))
        summary = _train(options, bar, control, cluster, dataset, settings)
    too_good = bool(ranked_with_held_out(dataset, settings.validation_split))
    answer(options, summary.to_json(), lambda: summary_lines(summary, too_good))


def _train(
    options: argparse.Namespace,
    bar: Bar,
    control: _Control,
    cluster: Any,
    dataset: Any,
    settings: TrainingSettings,
) -> "TrainingSummary":
    bar.phase("importing TensorFlow")
    from ..distributed.rendezvous import find_strategy
    from ..training.train import train

    def report_above(line: str) -> None:
        bar.clear()  # or the line would begin after it
        report(line)

    strategy = find_strategy(cluster, control.cluster_timeout, report_above)
    with stop_on_signals() as stop:
        summary = train(
            dataset,
            options.resume or options.run,
            settings,
            start_from=options.start_from,
            resume=bool(options.resume),
            force=options.force,
            overwrite=options.overwrite,
            save_every=control.save_every,
            limit=control.memory_limit,
            stop=stop,
            progress=bar,
            report=report_above,
            strategy=strategy,
        )
    bar.clear()
    return summary


def _summary_of_finished(
    options: argparse.Namespace, dataset: Any, settings: TrainingSettings
) -> "TrainingSummary | None":
    """Return the summary of a run to resume if nothing is left to do; otherwise None."""
    from ..runs.run_directory import RunDirectory

    if not options.resume or not (run := RunDirectory(options.resume)).finished:
        return None
    same = settings == run.settings() and dataset.fingerprint == run.config()["dataset"]["fingerprint"]
    summary = run.summary()
    return summary if same and summary.epochs == settings.epochs else None


def _refuse_early(options: argparse.Namespace, dataset: Any, settings: TrainingSettings) -> None:
    """Raise the errors of training before TensorFlow is imported."""
    from ..model.numpy_model import NumpyModel
    from ..runs.run_directory import RunDirectory

    if options.resume:
        RunDirectory(options.resume).require_own(dataset)
        return
    inputs = [dataset.directory]
    if options.start_from:
        parent = RunDirectory(options.start_from)
        num_words = settings.num_words_for(dataset)
        NumpyModel.load(parent).require_shape(num_words, settings.hidden, parent.path)
        inputs.append(parent.path)
    RunDirectory(options.run).refuse_existing(overwrite=options.overwrite, inputs=inputs)


def _dataset(options: argparse.Namespace) -> Any:
    """Return the named dataset, or the dataset of the run to resume."""
    from ..dataset.reader import Dataset
    from ..runs.run_directory import RunDirectory

    if options.resume:
        return RunDirectory(options.resume).find_dataset(options.dataset)
    if options.dataset is None:
        raise SettingsError("no dataset is given, expected one: lowmem-sentiment train DATASET --run DIR")
    return Dataset(options.dataset)


def _settings(options: argparse.Namespace, dataset: Any) -> TrainingSettings:
    """Return the settings from the options, a recipe, and the run to resume or to start from."""
    from ..dataset.splits import own_validation_split
    from ..runs.run_directory import RunDirectory

    chosen = given(options, TrainingSettings)
    if own := own_validation_split(dataset):
        chosen = {"validation_split": own, **chosen}
    if options.recipe and (options.resume or options.start_from):
        chosen = {**recipe_settings(options.recipe, dataset), **chosen}
    if options.resume:
        return replace(RunDirectory(options.resume).settings(), **chosen)
    if options.start_from:
        run = RunDirectory(options.start_from)
        parent = run.settings()
        # Training compares all words, 70 MB for 500,000 n-grams; here only if there are too few.
        if (parent.num_words or 0) > dataset.num_inputs:
            run.require_words_of(dataset, as_inputs=True)
        return TrainingSettings(**{**{name: getattr(parent, name) for name in _OF_PARENT}, **chosen})
    return settings_by_recipe(dataset, options.recipe, **chosen)


def _fit_to_memory(
    limit: Limit, dataset: Any, settings: TrainingSettings, workers: int, *, resumed: bool
) -> TrainingSettings:
    """Return settings that fit the limit, and report them; a resumed run keeps its own."""
    from ..runs.memory_plan import fit_to, plan, too_large

    if not resumed:
        settings = fit_to(limit, dataset, settings, workers)
    planned = plan(dataset, settings, workers)
    if reason := too_large(planned, limit):  # a run to resume
        raise SettingsError(reason)
    report(
        f"limit {limit.bytes / MB:.0f} MB ({limit.source}); training needs {planned.needed / MB:.0f} MB "
        f"with a shuffle window of {settings.window_bytes / MB:.0f} MB and --prefetch {settings.prefetch}"
    )
    if planned.needed > limit.bytes:
        warn("training will be slow: with so little memory, libraries are read from disk again and again")
    return settings


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.usage = "\n       ".join(
        f"%(prog)s {each} [OPTIONS]" for each in ("DATASET --run DIR", "--resume RUN", "DATASET --plan")
    )
    add_json(parser)
    dataset = "a dataset directory (default with --resume: the dataset of the run)"
    parser.add_argument("dataset", type=Path, nargs="?", metavar="DATASET", help=dataset)
    where = parser.add_mutually_exclusive_group(required=True)
    add_paths(where, "DIR", run="train, and make this run directory")
    add_paths(
        where,
        "RUN",
        resume="resume this run from its last saved state, with its own settings; with more --epochs, "
        "train a finished run further",
    )
    add_flags(where, plan="show how much memory and disk training takes, and do not train")
    start_from = (
        "start from the weights of this finished run, on data with the same words (prepare --vocabulary "
        "RUN) and labels; words, layers, dropout, learning rate, batch size, optimizer, class weight and "
        "--best-by default to that run's"
    )
    parser.add_argument("--from", dest="start_from", type=Path, metavar="RUN", help=start_from)
    add_flags(
        parser,
        measure="with --plan: train for one second, and show how long training takes",
        overwrite="replace the run directory if it exists",
        force="resume although TensorFlow or the processor has changed, or with a different --optimizer; "
        "the result is then not bit-identical",
    )
    add_settings(parser, _Control)
    recipe = (
        "the settings to start from; the options below override them (default: the dataset's). "
        "tutorial: the defaults below. ngrams: one hidden layer, and a learning rate that falls to zero "
        "over as many steps as the length of the texts and the number of labels need"
    )
    parser.add_argument("--recipe", choices=RECIPES, help=recipe)
    add_settings(parser, TrainingSettings)

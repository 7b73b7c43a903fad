"""Runs side by side: settings that differ, metrics, and whether the difference is more than chance.

NumPy alone, from each run's weights.npz, in one pass over the reviews.
"""

from pathlib import Path
from typing import Any

from ..dataset.reader import Dataset
from ..model.numpy_model import NumpyModel
from ..runs.run_directory import RunDirectory
from ..system.errors import SettingsError
from ..system.progress import Progress, no_progress
from .scoring import ReportProgress, Tally, dataset_batches, floats, score
from .significance import Pairs, mcnemar


def compare(
    runs: list[str | Path],
    dataset: Dataset | str | Path | None = None,
    *,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Return settings that differ, metrics on the same test reviews, and each run against the first.

    Without `dataset` the test reviews are those of the dataset that the first run was trained on, or
    where some runs read n-grams the first of these: it has the words, too. Raises SettingsError for less
    than two runs, InputMissing and DataError for a run without weights, and DataError for one with other
    words or labels than the dataset's.
    """
    if len(runs) < 2:
        raise SettingsError(f"{len(runs)} run is given, expected two or more to compare")
    directories = [RunDirectory(run) for run in runs]
    configs = [run.config() for run in directories]
    with_ngrams = [run for run in directories if run.ngrams()]
    dataset = [*with_ngrams, *directories][0].find_dataset(dataset)
    for run in directories:
        run.require_words_of(dataset)
    models = [NumpyModel.load(run) for run in directories]
    pairs = [Pairs(0, nth) for nth in range(1, len(models))]
    report = ReportProgress("compare", dataset.num_reviews("test"), progress)
    tallies = score(models, dataset_batches(dataset), observers=[report, *pairs])
    return {
        "data": dataset.source["description"],
        "dataset": str(dataset.directory),
        "reviews": dataset.num_reviews("test"),
        "settings": _differing_settings(configs),
        "metrics": [
            {"run": str(run.path), **_metrics(tally)}
            for run, tally in zip(directories, tallies, strict=True)
        ],
        "against_first": [
            {"run": str(run.path), **mcnemar(pair.only_first, pair.only_second)}
            for run, pair in zip(directories[1:], pairs, strict=True)
        ],
    }


def _metrics(tally: Tally) -> dict[str, float]:
    """Return what is one number; of more than two labels the F1 of each, too."""
    metrics = tally.metrics()
    by_label = metrics["by_label"] if len(tally.labels) > 2 else {}
    return {**floats(metrics), **{f"f1:{label}": each["f1"] for label, each in by_label.items()}}


def _differing_settings(configs: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return each setting that is not the same in all runs, with each run's value."""
    every = [
        {**config["settings"], "dataset": config["dataset"]["fingerprint"][:12]} for config in configs
    ]
    names = dict.fromkeys(name for settings in every for name in settings)
    values = {name: [settings.get(name) for settings in every] for name in names}
    return {name: each for name, each in values.items() if each != each[:1] * len(configs)}

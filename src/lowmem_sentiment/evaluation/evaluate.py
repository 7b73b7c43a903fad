"""Evaluate trained runs on labelled reviews, in one streaming pass of NumPy: no TensorFlow, 70 MB.

Only a run whose model NumPy cannot run (`weights.npz` is not there) goes through TensorFlow.
"""

import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..dataset.reader import Dataset
from ..runs.run_directory import RunDirectory
from ..sources.settings import FilesSettings
from ..system.errors import DataError, SettingsError
from ..system.progress import Progress, no_progress
from . import thresholds
from .candidates import (
    Candidate,
    ReviewGroup,
    group_by_dataset,
    group_of_texts,
)
from .gates import check_metrics, missed
from .intervals import intervals
from .predict import check_threshold
from .predictions import SurestMistakes, predictions_format, write_predictions
from .scoring import Model, Observer, ReportProgress, Tally, score
from .settings import EvaluationSettings
from .significance import Pairs, worse_than


def evaluate(
    run: str | Path,
    dataset: Dataset | str | Path | None = None,
    *,
    split: str = "test",
    batch_size: int | None = None,
    progress: Progress = no_progress,
    **settings: Any,
) -> dict[str, Any]:
    """Return the metrics of a run on a dataset's split, and save them in the run as evaluation.json.

    `split` is "test", "train" or "validation". Loss, accuracy, confusion matrix, precision, recall and
    F1 (of the second of two labels; of more, each label's and their means), with two labels the area
    under the ROC curve, Brier score, calibration error, and 95 % intervals. Without `dataset`, it is
    the one that the run was trained on. `settings` are further ones of `EvaluationSettings`;
    `batch_size` changes nothing.

    Raises InputMissing, and DataError when the dataset's vocabulary or labels are not the run's.
    """
    datasets = [] if dataset is None else [dataset]
    chosen = EvaluationSettings(split=split, **settings)
    (report,) = evaluate_runs([run], datasets, settings=chosen, progress=progress)
    save(report)
    return report


def evaluate_runs(
    runs: Sequence[str | Path],
    datasets: Sequence[Dataset | str | Path] = (),
    *,
    files: Sequence[str] = (),
    files_settings: FilesSettings | None = None,
    settings: EvaluationSettings | None = None,
    limits: Mapping[str, float] | None = None,
    baseline: str | Path | None = None,
    predictions: Path | None = None,
    progress: Progress = no_progress,
) -> list[dict[str, Any]]:
    """Return a report of each run on each dataset, or on labelled text in `files`; `save` saves one.

    Runs on the same reviews are scored in one pass. `limits` are the least values of metrics (of
    losses the greatest), `baseline` is a run that none may be significantly worse than: what fails
    stands in a report's "failed". `predictions` is a file for every prediction of one run on
    one dataset.

    Raises SettingsError (also for an unknown metric, before anything runs), InputMissing, DataError, and
    CheckFailed when no threshold does what `choose_threshold` asks for.
    """
    settings, limits = settings or EvaluationSettings(), dict(limits or {})
    if files and (datasets or settings.split != "test"):
        raise SettingsError("files were given, and a dataset or split too; expected one of them")
    if predictions:
        predictions_format(predictions)
        if len(runs) * max(1, len(datasets)) != 1:
            raise SettingsError("predictions are written of one run on one dataset; more were given")
    candidates = [Candidate(RunDirectory(path)) for path in dict.fromkeys(map(Path, runs))]
    live = None if baseline is None else Candidate(RunDirectory(baseline))
    if files:
        groups = [group_of_texts(candidates, live, files, files_settings or FilesSettings())]
    else:
        groups = group_by_dataset(candidates, live, datasets, settings.split)
    for candidate in candidates:
        check_metrics(limits, candidate.labels)
    _set_thresholds(candidates, live, settings, progress)
    reports: list[dict[str, Any]] = []
    for group in groups:
        reports += _evaluate_group(group, live, settings, predictions, progress)
    for report in reports:
        report["failed"] += missed(report, limits)
    return reports


def save(report: dict[str, Any]) -> None:
    """Write a report to its run's evaluation.json, and a threshold that was chosen to threshold.json."""
    run = RunDirectory(report["run"])
    run.write_evaluation(report)
    if "threshold_chosen" in report:
        thresholds.record(run, report["threshold_chosen"])


# --- thresholds ---


def _set_thresholds(
    candidates: list[Candidate],
    baseline: Candidate | None,
    settings: EvaluationSettings,
    progress: Progress,
) -> None:
    """Set each run's threshold; where one is chosen, the baseline's is the recorded one, if any."""
    rule = thresholds.Rule.parse(settings.choose_threshold) if settings.choose_threshold else None
    for candidate in [*candidates, baseline] if baseline else candidates:
        recorded = bool(rule) and (candidate.run.path / thresholds.FILE).exists()
        if rule and candidate is not baseline:
            _choose(candidate, rule, progress)
        elif recorded or isinstance(settings.threshold, str):  # RECORDED
            candidate.threshold = thresholds.recorded_threshold(candidate.run.path)
        else:
            candidate.threshold = settings.threshold
        check_threshold(candidate.threshold, candidate.labels)


def _choose(candidate: Candidate, rule: thresholds.Rule, progress: Progress) -> None:
    """Set the threshold that is best by `rule` on the validation split of the run's own dataset."""
    check_threshold(0.5, candidate.labels)
    dataset = candidate.run.find_dataset()
    (group,) = group_by_dataset([candidate], None, [dataset], "validation")
    report = ReportProgress("choose the threshold", group.total, progress)
    (tally,) = score([candidate.model], group.batches(), observers=[report])
    if tally.bins is None:  # `check_threshold` has refused more than two labels
        return
    candidate.threshold, metrics = thresholds.choose(rule, tally.bins)
    candidate.chosen = {
        "threshold": candidate.threshold,
        "rule": str(rule),
        "label": candidate.labels[1],
        "metrics": metrics,
        "dataset": str(dataset.directory),
        "fingerprint": dataset.fingerprint,
    }


# --- the pass and its report ---


def _evaluate_group(
    group: ReviewGroup,
    baseline: Candidate | None,
    settings: EvaluationSettings,
    predictions: Path | None,
    progress: Progress,
) -> Iterator[dict[str, Any]]:
    """Score candidates, and the baseline with them, in one pass, and yield a report of each candidate."""
    scored = [*group.candidates, baseline] if baseline else group.candidates
    labels, places = scored[0].labels, range(len(group.candidates))
    pairs = [Pairs(len(places), nth) for nth in places] if baseline else []
    mistakes = [SurestMistakes(nth, labels, settings.mistakes) for nth in places if settings.mistakes]
    report = ReportProgress("evaluate", group.total, progress)
    with write_predictions(predictions, labels, 0) as written:
        observers: list[Observer] = [report, *pairs, *mistakes, *written]
        models, at = [each.model for each in scored], [each.threshold for each in scored]
        tallies = score(models, group.batches(), at, observers)
        _require_reviews(group, tallies[0])
    for nth in places:
        shown = {"mistakes": mistakes[nth].surest()} if mistakes else {}
        against = _against(baseline, tallies[-1], pairs[nth], settings.alpha) if baseline else {}
        yield {**_report(scored[nth], tallies[nth], group), **shown, "failed": [], **against}


def _against(baseline: Candidate, tally: Tally, pair: Pairs, alpha: float) -> dict[str, Any]:
    """Return what a report holds of a comparison with the baseline, and "failed" if it is worse."""
    test = worse_than(pair.only_first, pair.only_second, pair.reviews, alpha)
    live = str(baseline.run.path)
    failed = [f"significantly worse than {live}"] if test["significantly_worse"] else []
    accuracy = tally.metrics()["accuracy"]
    return {"failed": failed, "baseline": {"run": live, "accuracy": accuracy, **test}}


def _require_reviews(group: ReviewGroup, tally: Tally) -> None:
    if not tally.reviews:
        unknown = ", ".join(sorted(group.texts.unknown_labels)) if group.texts else ""
        found = f"its labels are {unknown}" if unknown else "it is empty"
        raise DataError(
            f"{group.about['data']} has no review to evaluate on: {found}; expected the labels "
            f"{', '.join(tally.labels)} (--label-map OLD=NEW,... renames them)"
        )


def _report(candidate: Candidate, tally: Tally, group: ReviewGroup) -> dict[str, Any]:
    texts: dict[str, Any] = {}
    if group.texts:
        texts["fingerprint"] = group.texts.fingerprint
        texts["unknown_labels"] = dict(group.texts.unknown_labels)
    threshold: dict[str, Any] = {"threshold": tally.threshold} if tally.bins is not None else {}
    if candidate.chosen:
        threshold["threshold_chosen"] = candidate.chosen
    return {
        "run": str(candidate.run.path),
        **group.about,
        **texts,
        "reviews": tally.reviews,
        "labels": tally.labels,
        **tally.metrics(),
        "intervals": intervals(tally),
        **threshold,
        "versions": _versions(candidate.model),
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _versions(model: Model) -> dict[str, str]:
    versions = {
        "lowmem-sentiment": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    if type(model).__name__ == "KerasModel":
        modules = ("tensorflow", "keras")
        versions |= {name: sys.modules[name].__version__ for name in modules}
    return versions

"""Evaluate trained runs on labelled reviews, in one streaming pass of NumPy: no TensorFlow, 70 MB.

Only a model that NumPy cannot run (the run has no `weights.npz`) uses TensorFlow.
"""

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..dataset.reader import Dataset
from ..model.numpy_model import NumpyModel
from ..runs.run_directory import RunDirectory
from ..system.errors import DataError, SettingsError
from ..system.progress import Progress, no_progress
from . import thresholds
from .gates import check_metrics, missed
from .intervals import intervals
from .labelled_texts import TextFiles
from .predict import check_threshold
from .predictions import SurestMistakes, predictions_format, write_predictions
from .results import Comparison, Evaluation
from .scored_runs import ReviewGroup, ScoredRun, group_by_dataset, group_of_texts
from .scoring import Batch, Observer, Scores, Tally, score, with_progress
from .settings import EvaluationSettings
from .significance import paired_test


def evaluate(
    run: str | Path,
    dataset: Dataset | str | Path | None = None,
    *,
    split: str = "test",
    threshold: float | str | None = None,
    choose_threshold: str | None = None,
    mistakes: int = 0,
    progress: Progress = no_progress,
) -> Evaluation:
    """Return the metrics of a run on a dataset's split, and save them in the run as evaluation.json.

    `split` is "test", "train" or "validation". The metrics are loss, accuracy, precision, recall and F1
    (of the second of two labels; with more labels each label's, and their means), with two labels the
    area under the ROC curve, Brier score and calibration error, with 95 % intervals. Without `dataset`
    the run is evaluated on the dataset that it was trained on. See `EvaluationSettings` for the others.

    Raises InputMissing, and DataError if the dataset's vocabulary or labels differ from the run's.
    """
    settings = EvaluationSettings(split, threshold, choose_threshold, mistakes=mistakes)
    datasets = [] if dataset is None else [dataset]
    (comparison,) = evaluate_runs([run], datasets, settings, progress=progress)
    (evaluation,) = comparison.evaluations
    save(evaluation)
    return evaluation


def evaluate_runs(
    runs: Sequence[str | Path],
    reviews: Sequence[Dataset | str | Path] | TextFiles = (),
    settings: EvaluationSettings | None = None,
    *,
    limits: Mapping[str, float] | None = None,
    baseline: str | Path | None = None,
    predictions: Path | None = None,
    progress: Progress = no_progress,
) -> list[Comparison]:
    """Evaluate runs on datasets, or on labelled text in files; `save` saves an evaluation.

    Runs on the same reviews are scored in one pass, form a `Comparison`, and are tested against
    `baseline` or else the first of them. `limits` are the minima of metrics (for losses the maxima). An
    evaluation's `failed` lists missed limits, and why the run is not to replace `baseline`
    (`settings.promote`). `predictions` is a file for every prediction of one run on one dataset.

    Raises SettingsError (also for an unknown metric, before anything runs), InputMissing, DataError, and
    CheckFailed when no threshold satisfies `choose_threshold`.
    """
    settings, limits = settings or EvaluationSettings(), dict(limits or {})
    if settings.promote and baseline is None:
        raise SettingsError(f"promote is {settings.promote!r}, and no baseline was given; expected both")
    if isinstance(reviews, TextFiles) and settings.split != "test":
        raise SettingsError("files were given, and a split too; expected one of them")
    if predictions:
        predictions_format(predictions)
        if len(runs) > 1 or (len(reviews) > 1 and not isinstance(reviews, TextFiles)):
            raise SettingsError("predictions are written for one run on one dataset; more were given")
    scored = [ScoredRun(RunDirectory(path)) for path in dict.fromkeys(map(Path, runs))]
    live = None if baseline is None else ScoredRun(RunDirectory(baseline))
    if isinstance(reviews, TextFiles):
        groups = [group_of_texts(scored, live, reviews, settings.skip_bad_rows)]
    else:
        groups = group_by_dataset(scored, live, reviews, settings.split)
    for run in scored if limits else ():
        check_metrics(limits, run.labels)
    _set_thresholds(scored, live, settings, progress)
    return [_evaluate_group(each, live, settings, limits, predictions, progress) for each in groups]


def save(evaluation: Evaluation) -> None:
    """Write an evaluation to its run's evaluation.json, and a threshold chosen to threshold.json."""
    run = RunDirectory(evaluation.run)
    run.write_evaluation(evaluation.to_json())
    if evaluation.threshold_chosen:
        thresholds.record(run, evaluation.threshold_chosen)


# --- thresholds ---


def _set_thresholds(
    runs: list[ScoredRun],
    baseline: ScoredRun | None,
    settings: EvaluationSettings,
    progress: Progress,
) -> None:
    """Set each run's threshold; if one is chosen, the baseline has its recorded one, if any."""
    rule = settings.choose_threshold
    if rule is not None:
        thresholds.parse_rule(rule)
    for scored in [*runs, baseline] if baseline else runs:
        recorded = (scored.run.path / thresholds.FILE).exists()
        if rule and scored is not baseline:
            _choose(scored, rule, progress)
        elif isinstance(settings.threshold, str) or (rule and recorded):
            scored.threshold = thresholds.recorded_threshold(scored.run.path)
        else:
            scored.threshold = settings.threshold
        check_threshold(scored.threshold, scored.labels)


def _choose(scored: ScoredRun, rule: str, progress: Progress) -> None:
    """Set the threshold that is best by `rule` on the validation split of the run's own dataset."""
    check_threshold(0.5, scored.labels)
    dataset = scored.run.find_dataset()
    (group,) = group_by_dataset([scored], None, [dataset], "validation")
    batches = with_progress(group.batches(), "choose the threshold", group.total, progress)
    (tally,) = score([scored.model], batches)
    assert tally.bins is not None  # `check_threshold` refuses more than two labels
    scored.threshold, metrics = thresholds.choose(rule, tally.bins)
    scored.threshold_chosen = thresholds.ChosenThreshold(
        threshold=scored.threshold,
        rule=rule,
        label=scored.labels[1],
        metrics=metrics,
        dataset=str(dataset.directory),
        fingerprint=dataset.fingerprint,
    )


# --- the pass ---


def _evaluate_group(
    group: ReviewGroup,
    baseline: ScoredRun | None,
    settings: EvaluationSettings,
    limits: Mapping[str, float],
    predictions: Path | None,
    progress: Progress,
) -> Comparison:
    """Score a group's runs, and the baseline with them, in one pass, and evaluate each run."""
    scored = [*group.runs, baseline] if baseline else group.runs
    reference = len(group.runs) if baseline else 0
    labels, places = scored[0].labels, range(len(group.runs))
    pairs = np.zeros((len(places), 2), np.int64)  # reviews that only the baseline, or the run, has right

    def count_pairs(batch: Batch, scores: list[Scores]) -> None:
        theirs = scores[reference].right
        for nth in places:
            mine = scores[nth].right
            pairs[nth] += np.count_nonzero(theirs & ~mine), np.count_nonzero(mine & ~theirs)

    wanted, keep_ids = max(settings.mistakes, settings.explained), bool(settings.explained)
    mistakes = [
        SurestMistakes(nth, scored[nth].model, wanted, keep_ids=keep_ids) for nth in places if wanted
    ]
    with write_predictions(predictions, labels) as written:
        observers: list[Observer] = [count_pairs, *mistakes, *written]
        batches = with_progress(group.batches(), "evaluate", group.total, progress)
        models, at = [each.model for each in scored], [each.threshold for each in scored]
        tallies = score(models, batches, at, observers)
        reviews = tallies[0].reviews
        if not reviews:
            raise _no_reviews(group, labels)
    evaluations = []
    for nth, (run, tally) in enumerate(zip(group.runs, tallies, strict=False)):
        evaluation, test, failed = _evaluation(run, tally, group), None, []
        if nth != reference:
            path, accuracy = str(scored[reference].run.path), tallies[reference].accuracy
            one, other = pairs[nth].tolist()
            test = paired_test(path, accuracy, one, other, reviews, settings.alpha)
            if baseline and (refusal := test.refusal(settings.promote, settings.margin)):
                failed = [refusal]
        failed += missed(evaluation.metrics | evaluation.label_metrics(), limits)
        surest = mistakes[nth].surest[: settings.mistakes] if settings.mistakes else None
        explained = mistakes[nth].explain(run.vocabulary) if settings.explained else []
        evaluation = replace(evaluation, mistakes=surest, explained=explained)
        evaluations.append(replace(evaluation, failed=failed, baseline=test))
    return Comparison(evaluations, _differing_settings([each.settings() for each in group.runs]))


def _evaluation(scored: ScoredRun, tally: Tally, group: ReviewGroup) -> Evaluation:
    metrics, by_label = tally.metrics()
    of_metrics, of_labels = intervals(tally)
    texts = group.texts
    return Evaluation(
        run=str(scored.run.path),
        data=group.data,
        dataset=str(group.dataset.directory) if group.dataset else None,
        split=group.split,
        fingerprint=group.fingerprint,
        reviews=tally.reviews,
        labels=tally.labels,
        metrics=metrics,
        by_label=by_label,
        confusion_matrix=tally.counts,
        intervals=of_metrics,
        label_intervals=of_labels,
        versions=_versions(scored),
        time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        threshold=None if tally.bins is None else tally.threshold,
        threshold_chosen=scored.threshold_chosen,
        score_bins=tally.bins,
        confidence=tally.confidence,
        files=texts.paths if texts else None,
        label_map=texts.label_map if texts else {},
        unknown_labels=dict(texts.unknown_labels) if texts else {},
        left_out=0 if group.left_out is None else len(group.left_out),
        skipped_rows=texts.num_bad_rows if texts else 0,
        bad_rows=list(map(str, texts.bad_rows)) if texts else [],
    )


def _no_reviews(group: ReviewGroup, labels: list[str]) -> DataError:
    unknown = ", ".join(sorted(group.texts.unknown_labels)) if group.texts else ""
    found = f"its labels are {unknown}" if unknown else "it is empty"
    return DataError(
        f"{group.data} has no review to evaluate on: {found}; expected the labels "
        f"{', '.join(labels)} (--label-map OLD=NEW,... renames them)"
    )


def _differing_settings(settings: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the settings that differ between the runs, with each run's value."""
    names = dict.fromkeys(name for each in settings for name in each)
    values = {name: [each.get(name) for each in settings] for name in names}
    return {name: each for name, each in values.items() if each != each[:1] * len(settings)}


def _versions(run: ScoredRun) -> dict[str, str]:
    modules = ["numpy"] if isinstance(run.model, NumpyModel) else ["numpy", "tensorflow", "keras"]
    versions = {name: sys.modules[name].__version__ for name in modules}
    return {"lowmem-sentiment": __version__, "python": platform.python_version(), **versions}

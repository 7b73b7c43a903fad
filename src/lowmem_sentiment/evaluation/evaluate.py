"""Evaluate trained runs on labelled reviews, in one streaming pass of NumPy: no TensorFlow, 70 MB.

Only a model that NumPy cannot run (the run has no `weights.npz`) uses TensorFlow.
"""

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..dataset.reader import Dataset
from ..decisions.gates import check_metrics, missed
from ..decisions.records import write_record
from ..decisions.significance import default_margin, paired_test
from ..model.numpy_model import NumpyModel
from ..runs.run_directory import RunDirectory
from ..system.errors import DataError, SettingsError
from ..system.progress import Progress, no_progress
from . import drift
from .choices import AnswerCount, BeforeTemperature, decide, reasons
from .intervals import intervals, reliability
from .labelled_texts import TextFiles
from .paired_bootstrap import PairedBootstrap, split_metric
from .predictions import SurestMistakes, check_predictions_path, write_predictions
from .results import Comparison, Evaluation
from .scored_runs import ReviewGroup, ScoredRun, group_by_dataset, group_of_texts
from .scoring import Batch, Observer, Scores, Tally, all_metrics, metric_names, score, with_progress
from .settings import EvaluationSettings


def evaluate(
    run: str | Path,
    dataset: Dataset | str | Path | None = None,
    *,
    progress: Progress = no_progress,
    **settings: Any,
) -> Evaluation:
    """Return the metrics of a run on a dataset's split, and save them in the run as evaluation.json.

    The metrics are loss, accuracy, precision, recall and F1 (of the second of two labels; with more
    labels each label's, and their means), with two labels the area under the ROC curve, Brier score and
    calibration error, with 95 % intervals. Without `dataset` the run is evaluated on the dataset that it
    was trained on. `settings` are those of `EvaluationSettings`, such as `split="validation"`.

    Raises InputMissing, and DataError if the dataset's vocabulary or labels differ from the run's.
    """
    datasets = [] if dataset is None else [dataset]
    (comparison,) = evaluate_runs([run], datasets, EvaluationSettings(**settings), progress=progress)
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
    CheckFailed when nothing satisfies `choose_threshold`, `abstain` or `calibrate`.
    """
    settings, limits = settings or EvaluationSettings(), dict(limits or {})
    if settings.promote and baseline is None:
        raise SettingsError(f"promote is {settings.promote!r}, and no baseline was given; expected both")
    if isinstance(reviews, TextFiles) and settings.split != "test":
        raise SettingsError("files were given, and a split too; expected one of them")
    if predictions:
        check_predictions_path(predictions)
        if len(runs) > 1 or (len(reviews) > 1 and not isinstance(reviews, TextFiles)):
            raise SettingsError("predictions are written for one run on one dataset; more were given")
    scored = [ScoredRun(RunDirectory(path)) for path in dict.fromkeys(map(Path, runs))]
    live = None if baseline is None else ScoredRun(RunDirectory(baseline))
    if isinstance(reviews, TextFiles):
        groups = [group_of_texts(scored, live, reviews, settings.skip_bad_rows)]
    else:
        groups = group_by_dataset(scored, live, reviews, settings.split)
    for run in scored if limits else ():
        check_metrics(limits, metric_names(run.labels))
    if settings.metric:
        split_metric(settings.metric, scored[0].labels)
    decide(scored, live, settings, progress)
    return [_evaluate_group(each, live, settings, limits, predictions, progress) for each in groups]


def save(evaluation: Evaluation) -> None:
    """Write an evaluation to its run's evaluation.json, and what it chose to a file each."""
    run = RunDirectory(evaluation.run)
    run.write_evaluation(evaluation.to_json())
    for chosen in evaluation.chosen:
        write_record(run, chosen)
    if evaluation.profile and evaluation.dataset:
        drift.record(run, evaluation.profile, evaluation.dataset, evaluation.fingerprint)


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
    labels = scored[0].labels
    pairs = np.zeros((len(group.runs), 2), np.int64)  # that only the baseline, or the run, has right

    def count_pairs(batch: Batch, scores: list[Scores]) -> None:
        theirs = scores[reference].right
        for pair, mine in zip(pairs, scores, strict=False):
            pair += np.count_nonzero(theirs & ~mine.right), np.count_nonzero(mine.right & ~theirs)

    counted = [_Observers(nth, run, group, reference, settings) for nth, run in enumerate(group.runs)]
    keep = group.texts.keep if group.texts else ()
    why = partial(reasons, 0, scored[0]) if scored[0].decision.abstains else None
    with write_predictions(predictions, labels, keep, why) as written:
        observers: list[Observer] = [count_pairs, *written]
        observers += [each for some in counted for each in some.wanted()]
        batches = with_progress(group.batches(), "evaluate", group.total, progress)
        models, at = [each.model for each in scored], [each.decision.threshold for each in scored]
        tallies = score(models, batches, at, observers)
        reviews = tallies[0].reviews
        if not reviews:
            raise _nothing_to_evaluate(group, labels)
    evaluations = []
    for nth, (tally, more) in enumerate(zip(tallies, counted, strict=False)):
        evaluation, test, failed = more.evaluation(tally, group), None, []
        if nth != reference:
            path, accuracy = str(scored[reference].run.path), tallies[reference].accuracy
            one, other = pairs[nth].tolist()
            test = paired_test(path, accuracy, one, other, reviews, settings.alpha)
            if more.bootstrap:
                test = replace(test, metric=more.bootstrap.difference(settings.alpha))
            margin = settings.margin or default_margin(reviews, settings.alpha)
            if baseline and (refusal := test.refusal(settings.promote, margin)):
                failed = [refusal]
        failed += missed(all_metrics(evaluation.metrics, evaluation.by_label), limits)
        evaluations.append(replace(evaluation, failed=failed, baseline=test))
    return Comparison(evaluations, _differing_settings([each.settings() for each in group.runs]))


def _nothing_to_evaluate(group: ReviewGroup, labels: Sequence[str]) -> DataError:
    unknown = ", ".join(sorted(group.texts.unknown_labels)) if group.texts else ""
    found = f"its labels are {unknown}" if unknown else "it is empty"
    return DataError(
        f"{group.data} has no review to evaluate on: {found}; expected the labels {', '.join(labels)} "
        "(--label-map OLD=NEW,... renames them)"
    )


class _Observers:
    """The observers of one run in the pass, as the settings ask."""

    def __init__(
        self, nth: int, run: ScoredRun, group: ReviewGroup, reference: int, settings: EvaluationSettings
    ):
        self._nth, self._run, self._settings = nth, run, settings
        self.profile = self.bootstrap = self.answers = self.before = self.mistakes = None
        if group.texts or group.is_test_split_of(run):
            self.profile = drift.Profile(run.labels, run.encoder)
        if settings.metric and nth != reference:
            self.bootstrap = PairedBootstrap(settings.metric, run.labels, nth, reference)
        if run.limits:
            self.answers = AnswerCount(nth, run, run.limits)
        if run.decision.temperature != 1:
            self.before = BeforeTemperature(nth, run)
        if count := max(settings.mistakes, settings.explained):
            self.mistakes = SurestMistakes(nth, run.model, count)

    def wanted(self) -> list[Observer]:
        profiled = self._add_to_profile if self.profile else None
        each = profiled, self.bootstrap, self.answers, self.before, self.mistakes
        return [observer for observer in each if observer]

    def _add_to_profile(self, batch: Batch, scores: list[Scores]) -> None:
        assert self.profile
        mine, counts = scores[self._nth], batch.counts(self._nth, self._run.encoder)
        self.profile.add(counts, mine.ids, mine.probabilities, self._run.decision.temperature)

    def evaluation(self, tally: Tally, group: ReviewGroup) -> Evaluation:
        run, texts, before, mistakes = self._run, group.texts, self.before, self.mistakes
        metrics, by_label = tally.metrics()
        of_metrics, of_labels = intervals(tally)
        explained = mistakes.explain(run.vocabulary) if mistakes and self._settings.explained else []
        surest = mistakes.surest[: self._settings.mistakes] if mistakes else []
        return Evaluation(
            run=str(run.run.path),
            data=group.data,
            dataset=str(group.dataset.directory) if group.dataset else None,
            split=group.split,
            fingerprint=group.fingerprint,
            reviews=tally.reviews,
            labels=tally.labels,
            metrics=metrics,
            by_label=by_label,
            confusion_matrix=tally.counts,
            intervals=of_metrics | reliability(tally)[1] if before else of_metrics,
            label_intervals=of_labels,
            versions=_versions(run),
            time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            threshold=None if tally.bins is None else tally.threshold,
            tally=tally,
            chosen=run.chosen,
            answers=self.answers.answers() if self.answers else None,
            correction=before.correction() if before else None,
            uncorrected=before.tally if before else None,
            files=texts.paths if texts else None,
            label_map=texts.label_map if texts else {},
            unknown_labels=dict(texts.unknown_labels) if texts else {},
            profile=None if texts else self.profile,
            drift=drift.compare(run.run, self.profile) if texts and self.profile else None,
            left_out=0 if group.left_out is None else len(group.left_out),
            skipped_rows=texts.num_bad_rows if texts else 0,
            bad_rows=list(map(str, texts.bad_rows)) if texts else [],
            mistakes=surest if self._settings.mistakes else None,
            explained=explained,
        )


def _differing_settings(settings: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for each in settings for name in each)
    values = {name: [each.get(name) for each in settings] for name in names}
    return {name: each for name, each in values.items() if each != each[:1] * len(settings)}


def _versions(run: ScoredRun) -> dict[str, str]:
    modules = ["numpy"] if isinstance(run.model, NumpyModel) else ["numpy", "tensorflow", "keras"]
    versions = {name: sys.modules[name].__version__ for name in modules}
    return {"lowmem-sentiment": __version__, "python": platform.python_version(), **versions}

"""Curves of one evaluation, or of several on the same reviews: by score, and by epoch."""

from collections.abc import Sequence

import numpy as np

from ..evaluation.intervals import wilson
from ..evaluation.results import Evaluation
from ..evaluation.scoring import Tally
from ..model.metrics import precision_recall, ratio
from ..monitoring.run_names import short_names
from ..monitoring.terminal_text import cut
from ..runs.run_directory import RunDirectory
from ..runs.summary import best_epoch, kept_epoch
from ..system.errors import DataError, InputMissing
from .charts import MOST_LINES, Axis, Series, figure, guide, point
from .page import LABEL, Html, tag

_GROUPS = 16  # of probabilities in the reliability curve: as in the calibration error
_SHARES = 50  # points of the curve of errors by share answered


def _lines(
    evaluations: Sequence[Evaluation], alone: str, curves: Sequence[tuple[np.ndarray, np.ndarray]]
) -> list[Series]:
    """Return a line for each of the first runs; a single run's line is called `alone`."""
    if len(evaluations) == 1:
        return [Series(alone, *curves[0], "curve")]
    pairs = zip(short_names([each.run for each in evaluations]), curves, strict=True)
    return [Series(cut(name, LABEL), *curve) for name, curve in pairs][:MOST_LINES]


def _positive(evaluation: Evaluation) -> str:
    return f"“{cut(evaluation.labels[1], 24)}”"


# --- two labels ---


def has_both_labels(evaluation: Evaluation) -> bool:
    """Return whether there are two labels, and reviews of both."""
    bins = evaluation.tally.bins if evaluation.tally else None
    return bins is not None and bool(bins.any(axis=1).all())


def trade_offs(evaluations: Sequence[Evaluation]) -> list[Html]:
    """Return precision by recall, and the receiver operating characteristic."""
    first, alone = evaluations[0], len(evaluations) == 1
    metrics, positive = first.metrics, _positive(first)
    found = [precision_recall(_bins(each)) for each in evaluations]
    recall_precision = [(each["recall"], each["precision"]) for each in found]
    rates = [(each["false_positives"] / each["false_positives"][0], each["recall"]) for each in found]
    right, false = first.confusion_matrix[0].tolist()
    share = first.by_label[first.labels[1]].reviews / max(1, first.reviews)
    one = [
        *_lines(evaluations, "precision", recall_precision),
        guide(f"share of {positive}", share, share),
    ]
    other = [*_lines(evaluations, "model", rates), guide("chance", 0, 1)]
    if alone and first.threshold is not None:
        chosen = f"threshold {first.threshold:.4g}"
        one.append(point(chosen, metrics["recall"], metrics["precision"]))
        other.append(point(chosen, false / max(1, right + false), metrics["recall"]))
    about = f"How many of those predicted {positive} are right, for each share of them found."
    area = f" Area {metrics['auc']:.4f}." if alone else ""
    note = f"Share of {positive} found, and of the others taken for it.{area}"
    x, y = Axis("false positive rate", 0, 1), Axis("true positive rate", 0, 1)
    return [
        figure("Precision and recall", about, one, Axis("recall", 0, 1), Axis("precision", None, 1)),
        figure("ROC", note, other, x, y),
    ]


def by_threshold(evaluation: Evaluation) -> Html:
    """Return precision, recall and F1 by threshold."""
    curve = precision_recall(_bins(evaluation))
    either = 2 * curve["true_positives"] + curve["false_positives"] + curve["false_negatives"]
    thresholds = np.linspace(0, 1, len(either))
    values = {
        "precision": curve["precision"],
        "recall": curve["recall"],
        "F1": ratio(2 * curve["true_positives"], either),
    }
    lines = [Series(each, thresholds, value) for each, value in values.items()]
    at = evaluation.threshold if evaluation.threshold is not None else 0.5
    lines.append(Series(f"threshold {at:.4g}", np.array([at, at]), np.array([0, 1]), "guide"))
    note = f"{_positive(evaluation)} is predicted above the threshold."
    return figure("Threshold", note, lines, Axis("threshold", 0, 1), Axis("share", 0, 1))


def scores_by_label(evaluation: Evaluation) -> Html:
    """Return how many reviews of each label have a probability."""
    centres = (np.arange(_GROUPS) + 0.5) / _GROUPS
    rows = zip(evaluation.labels, _bins(evaluation), strict=True)
    lines = [Series(cut(label, LABEL), centres, _grouped(counts)) for label, counts in rows]
    x = Axis(f"probability of {_positive(evaluation)}", 0, 1)
    return figure("How far apart the labels are", "Reviews by true label.", lines, x, Axis("reviews", 0))


def _bins(evaluation: Evaluation) -> np.ndarray:
    assert evaluation.tally and evaluation.tally.bins is not None  # `has_both_labels`
    return evaluation.tally.bins


# --- any labels ---


def reliability(evaluation: Evaluation) -> Html:
    """Return how often the label is right, by its probability; with a temperature also without it."""
    tallies = {"observed": evaluation.tally}
    if correction := evaluation.correction:
        tallies = {f"temperature {correction.temperature:.3f}": evaluation.tally}
        tallies["without it"] = evaluation.uncorrected
    lines = [_observed(shown, tally) for shown, tally in tallies.items() if tally]
    lines.append(guide("perfectly calibrated", 0, 1))
    two = len(evaluation.labels) == 2
    what = f"probability of {_positive(evaluation)}" if two else "probability of the predicted label"
    error = evaluation.metrics["calibration_error"]
    note = f"How often that is the label, with 95% intervals. Calibration error {error:.4f}."
    return figure("Reliability", note, lines, Axis(what, 0, 1), Axis("observed share", 0, 1))


def _observed(shown: str, tally: Tally) -> Series:
    counts = tally.confidence if tally.bins is None else tally.bins
    middles = (np.arange(counts.shape[1]) + 0.5) / counts.shape[1]
    right, reviews = _grouped(counts[1]), _grouped(counts.sum(axis=0))
    some = np.flatnonzero(reviews)
    mean = ratio(_grouped(counts.sum(axis=0) * middles), reviews)[some]
    intervals = np.array([wilson(int(right[nth]), int(reviews[nth])) for nth in some])
    return Series(shown, mean, ratio(right, reviews)[some], intervals=intervals)


def _grouped(counts: np.ndarray) -> np.ndarray:
    return np.asarray(counts.reshape(_GROUPS, -1).sum(axis=1))


def risk_by_coverage(evaluations: Sequence[Evaluation]) -> Html:
    """Return the share of errors among the surest reviews, by how many of these are answered."""
    curves = []
    for each in evaluations:
        assert each.tally
        wrong, right = each.tally.confidence[:, ::-1].cumsum(axis=1)
        both = wrong + right
        wanted = np.linspace(1 / _SHARES, 1, _SHARES) * both[-1]
        at = np.unique(np.searchsorted(both, wanted - 0.5))
        curves.append((both[at] / both[-1], wrong[at] / both[at]))
    first, lines = evaluations[0], _lines(evaluations, "all reviews", curves)
    if len(evaluations) == 1 and (answers := first.answers):
        lines.append(point("when it abstains", answers.answered / max(1, first.reviews), answers.error))
        lines.append(guide(f"at most {answers.limits.error:g}", *[answers.limits.error] * 2))
    note = "Error rate if the model answers only the share of reviews that it is surest of."
    x, y = Axis("share of reviews answered", 0, 1), Axis("error rate", 0)
    return figure("Errors by coverage", note, lines, x, y)


# --- learning ---


def learning(evaluations: Sequence[Evaluation]) -> list[Html]:
    """Return loss and accuracy by epoch: of training and validation, of several runs of validation."""
    several = len(evaluations) > 1
    lines: dict[str, list[Series]] = {"loss": [], "accuracy": []}
    note = "By epoch, of the validation reviews."
    for name, evaluation in zip(
        short_names([each.run for each in evaluations]), evaluations, strict=True
    ):
        run = RunDirectory(evaluation.run)
        try:
            epochs, settings = run.metrics(), run.settings()
        except InputMissing:  # weights without the rest of the run are evaluated too
            continue
        except DataError as error:
            return [tag("p", f"Not shown: {error}", class_="note")]
        x = np.array([each["epoch"] for each in epochs])
        best, kept = best_epoch(epochs, settings.best_by), kept_epoch(settings, epochs)
        shown = {"val_": cut(name, LABEL) if several else settings.validated_on}
        for metric, found in lines.items():
            for prefix, of in (shown if several else {"": "training", **shown}).items():
                if (key := f"{prefix}{metric}") in best:
                    found.append(Series(of, x, np.array([each[key] for each in epochs])))
            if not several and f"val_{metric}" in best:
                found.append(point(f"best epoch: {best['epoch']}", best["epoch"], best[f"val_{metric}"]))
                note = f"By epoch. Evaluated here: epoch {kept['epoch']} of {len(epochs)}."
    return [
        figure(metric.capitalize(), note, found[:MOST_LINES], Axis("epoch", whole=True), Axis(metric))
        for metric, found in lines.items()
        if found
    ]

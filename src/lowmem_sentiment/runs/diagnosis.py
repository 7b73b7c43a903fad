"""Diagnose a trained model, with commands that fix the problems."""

from collections.abc import Sequence
from typing import Any

from ..dataset.manifest import NGRAMS
from ..dataset.reader import Dataset
from ..system.errors import printable, quoted
from .configuration import TrainingSettings
from .recipes import settings_by_recipe
from .summary import best_epoch

STILL_FALLING = 0.85
"""A validation loss below this share of the previous epoch's is still falling."""

RISEN = 1.02
"""A validation loss above this multiple of the smallest has risen again."""

FEW_STEPS = 300
"""After fewer steps a model has hardly begun to learn: IMDb's 2 epochs have 2,500."""


def largest_label(labels: Sequence[str], counts: Sequence[int]) -> tuple[str, float]:
    """Return the label with the most reviews, and its share of them, from each label's `counts`."""
    largest = max(range(len(counts)), key=counts.__getitem__)
    return labels[largest], counts[largest] / max(1, sum(counts))


def no_better_than_one_label(accuracy: float, labels: Sequence[str], counts: Sequence[int]) -> str | None:
    """Return a line if a model is right no more often than always answering the largest label.

    `counts` are the reviews of each label in the split on which `accuracy` was measured.
    """
    largest, share = largest_label(labels, counts)
    if accuracy > share or share == 1:
        return None
    return (
        f"accuracy {accuracy:.4f} is no better than always answering '{printable(largest, 60)}', "
        f"{share:.4f}"
    )


def diagnose(
    dataset: Dataset, settings: TrainingSettings, epochs: Sequence[dict[str, Any]], kept: int, steps: int
) -> list[str]:
    """Return a line for each problem of a run.

    `epochs` are the lines of metrics.jsonl, `kept` the number of the kept epoch, from 1, and `steps` the
    steps per epoch.
    """
    by_recipe = settings_by_recipe(dataset, NGRAMS)
    if settings.learning_rate_schedule == "constant":
        mend = f"lowmem-sentiment train {quoted(dataset.directory)} --run NEW --recipe {NGRAMS}"
    else:
        most = max(by_recipe.epochs, 2 * settings.epochs)  # other options, and --from, are kept
        mend = f"the same command with --epochs {most} and a new --run"
    split = "test" if settings.validated_on == "test" else "train"  # its labels are known, as are theirs
    accuracy = epochs[kept - 1].get("val_accuracy", 1.0)  # a model of the caller's may not measure it
    lines = []
    if worse := no_better_than_one_label(accuracy, dataset.labels, dataset.label_counts(split)):
        show = f"lowmem-sentiment explore {quoted(dataset.directory)} --show 0"
        lines.append(f"{worse} ({mend}; if that is no better, look at the labels: {show})")
    if (least := _turning_epoch(settings, epochs)) is not None:
        split = "" if settings.validation_split else "--validation-split 0.1 "  # never choose by test
        keep = f"the same command with {split}--keep-best --best-by loss and a new --run"
        lines.append(f"{settings.validated_on} loss has risen since epoch {least} ({keep})")
    elif steps * settings.epochs < min(FEW_STEPS, steps * by_recipe.epochs):
        lines.append(f"training had only {steps * settings.epochs:,} steps ({mend})")
    elif len(epochs) > 1 and epochs[-1]["val_loss"] < STILL_FALLING * epochs[-2]["val_loss"]:
        fell = 1 - epochs[-1]["val_loss"] / epochs[-2]["val_loss"]
        lines.append(f"the loss still fell by {fell:.0%} in the last epoch ({mend})")
    return lines


def _turning_epoch(settings: TrainingSettings, epochs: Sequence[dict[str, Any]]) -> int | None:
    """Return the epoch with the least validation loss, if training went on for too long after it.

    With a learning rate that falls to zero, the last epochs often improve accuracy while the model gets
    overconfident: a loss that rises then costs nothing.
    """
    least, last = best_epoch(epochs, "loss"), epochs[-1]
    if settings.keep_best or last["val_loss"] <= RISEN * least["val_loss"]:
        return None
    improved = last.get("val_accuracy", 0) > least.get("val_accuracy", 0)
    constant = settings.learning_rate_schedule == "constant"
    return int(least["epoch"]) if constant or not improved else None

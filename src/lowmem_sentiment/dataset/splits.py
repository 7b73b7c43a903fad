"""The sizes of splits, and the training reviews that are held out."""

from fractions import Fraction
from typing import Any

from ..system.errors import listed, plural, printable
from .manifest import EVIDENCE, VALIDATION
from .reader import FEW_REVIEWS, Dataset

FEW_HELD_OUT = 100
"""With fewer reviews each is more than a point of accuracy."""


def num_reviews(dataset: Dataset, split: str, validation_split: float = 0.0) -> int:
    """Return how many reviews `batches` yields of "train", "validation" or "test"."""
    on_disk, share = split_on_disk(dataset, split, validation_split)
    count = dataset.num_reviews(on_disk)
    held_out = count * share.numerator // share.denominator
    return count - held_out if split == on_disk else held_out


def split_on_disk(dataset: Dataset, split: str, validation_split: float) -> tuple[str, Fraction]:
    """Return the split on disk that holds "train", "validation" or "test", and the share held out of it.

    If the dataset has a validation split, nothing is held out.
    """
    if split == "test" or VALIDATION in dataset.splits:
        return split, Fraction(0)
    return "train", validation_share(validation_split)


def own_validation_split(dataset: Dataset) -> float:
    """Return the share of a dataset's own validation split; 0.0 if it has none."""
    if VALIDATION not in dataset.splits:
        return 0.0
    held_out = dataset.num_reviews(VALIDATION)
    return held_out / (held_out + dataset.num_reviews("train"))


def is_held_out(index: Any, share: Fraction) -> Any:
    """Return bool[n], which of the reviews at int64[n] `index` of the training split are held out.

    `index` is an array or a tensor. A `share` of 1/10 holds out every tenth review.
    """
    top, bottom = share.numerator, share.denominator
    return (index + 1) * top // bottom > index * top // bottom


def validation_warnings(dataset: Dataset, validation_split: float) -> list[str]:
    """Return a line for each reason why validation says less than it seems to."""
    few, known = few_held_out(dataset, validation_split), ranked_with_held_out(dataset, validation_split)
    return [line for line in (few, known) if line]


def ranked_with_held_out(dataset: Dataset, validation_split: float) -> str | None:
    """Return a warning if the held-out reviews had a part in choosing the n-grams."""
    features = dataset.features
    if not validation_split or not features or features.rank != EVIDENCE:
        return None
    if VALIDATION in dataset.splits:
        return None
    if validation_share(features.validation_split) == validation_share(validation_split):
        return None
    return (
        "the n-grams were chosen by the labels of the validation reviews too, so that validation looks "
        "better than test will, more so with more n-grams; to validate on others prepare with "
        f"--validation-split {validation_split:g}"
    )


def few_held_out(dataset: Dataset, validation_split: float) -> str | None:
    """Return a warning if there are too few validation reviews, in all or of a label.

    How many of a label are held out is estimated by its share of the training reviews.
    """
    split, about, mend = "test", "", "prepare with a larger --test-fraction, or --split stratified"
    share = Fraction(1)
    if validation_split:
        split, about, mend = "validation", "about ", "choose a larger --validation-split"
        share = validation_share(validation_split)
    on_disk, _ = split_on_disk(dataset, split, validation_split)
    if on_disk == VALIDATION:
        share, about, mend = Fraction(1), "", "prepare with more validation reviews"
    counts = dataset.label_counts(on_disk)
    rare = [
        f"{about}{round(share * count)} of '{printable(label, 60)}'"
        for label, count in zip(dataset.labels, counts, strict=True)
        if share * count < FEW_REVIEWS
    ]
    held_out = num_reviews(dataset, split, validation_split)
    if held_out >= FEW_HELD_OUT and not rare:
        return None
    has = ", ".join([plural(held_out, "review"), *([listed(rare, 5)] if rare else [])])
    has += " labels" if len(rare) > 5 else ""
    return (
        f"the {split} split has {has}: metrics on so few are mostly chance; expected {FEW_HELD_OUT} or "
        f"more, {FEW_REVIEWS} of each label ({mend})"
    )


def number_in_split(number: int, validation_split: float) -> int:
    """Return the place in the training split of the `number`-th review (from 0) of "validation"."""
    share = validation_share(validation_split)
    return -(-(number + 1) * share.denominator // share.numerator) - 1


def validation_share(validation_split: float) -> Fraction:
    """Return the share of the training split that is held out, as a fraction of small numbers."""
    return Fraction(validation_split).limit_denominator(1000)

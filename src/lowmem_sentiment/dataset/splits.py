"""How many reviews a split has, and which of the training split are held out."""

from fractions import Fraction

from .reader import Dataset


def num_reviews(dataset: Dataset, split: str, validation_split: float = 0.0) -> int:
    """Return how many reviews `batches` yields of "train", "validation" or "test"."""
    if split == "test":
        return dataset.num_reviews("test")
    count = dataset.num_reviews("train")
    share = validation_share(validation_split)
    held_out = count * share.numerator // share.denominator
    return held_out if split == "validation" else count - held_out


def number_in_split(number: int, validation_split: float) -> int:
    """Return the place in the training split of the `number`-th review (from 0) of "validation"."""
    share = validation_share(validation_split)
    return -(-(number + 1) * share.denominator // share.numerator) - 1


def validation_share(validation_split: float) -> Fraction:
    """Return the share of the training split that is held out, as a fraction of small numbers."""
    return Fraction(validation_split).limit_denominator(1000)

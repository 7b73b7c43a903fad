"""Prepare any number of random reviews, to measure time and memory. They are in no language.

python scripts/synthetic.py --reviews 1000000 --out data/synthetic
"""

import argparse
import functools
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.preparation.settings import PreparationSettings
from lowmem_sentiment.sources.chunks import Review, ReviewRules
from lowmem_sentiment.text.rows import BadRow, Row
from lowmem_sentiment.text.vocabulary import KERAS


@dataclass(frozen=True)
class SyntheticSettings:
    """How to make random reviews."""

    reviews: int
    seed: int = 0
    num_labels: int = 2
    leaning: float = 0.15
    """Share of the words that lean to the review's label."""
    test_fraction: float = 0.2

    def label_names(self) -> list[str]:
        """Return the labels."""
        if self.num_labels == 2:
            return ["negative", "positive"]
        return [f"label-{nth}" for nth in range(1, self.num_labels + 1)]


WORDS = 100_000

_EXPONENT, _SHIFT = 1.07, 2.7  # Zipf-Mandelbrot: the word of rank r has weight 1 / (r + 2.7) ** 1.07

_REVIEWS = 500  # in a chunk: 0.7 MB of text

# Lengths are log-normal with IMDb's mean and standard deviation, kept within IMDb's extremes
_MEAN, _DEVIATION, _SHORTEST, _LONGEST = 233.76, 172.91, 10, 2493


@functools.cache
def words() -> list[bytes]:
    """Return the words by rank, each of one or more syllables: shorter ones are more frequent."""
    syllables = [(c + v).encode() for c in "bcdfghjklmnpqrstvwxz" for v in "aeiou"]
    by_length = (itertools.product(syllables, repeat=length) for length in itertools.count(1))
    made = itertools.chain.from_iterable(by_length)
    return [b"".join(parts) for parts in itertools.islice(made, WORDS)]


@functools.cache
def _cumulative() -> np.ndarray:
    """Return float64[WORDS]: the probability of a word of this rank or a smaller one."""
    weights = (np.arange(1, WORDS + 1) + _SHIFT) ** -_EXPONENT
    return np.asarray(np.cumsum(weights) / weights.sum())


@dataclass(frozen=True)
class _Synthetic:
    """A chunk: the seed and a range of reviews, which are made in the worker process."""

    nth: int
    count: int
    settings: SyntheticSettings

    def reviews(self) -> Iterator[Review | BadRow]:
        settings, vocabulary = self.settings, words()
        generator = np.random.default_rng([settings.seed, self.nth])
        spread = np.log1p((_DEVIATION / _MEAN) ** 2)
        drawn = generator.lognormal(np.log(_MEAN) - spread / 2, np.sqrt(spread), self.count)
        lengths = np.clip(np.rint(drawn), _SHORTEST, _LONGEST).astype(np.int64)
        labels = generator.integers(settings.num_labels, size=self.count)
        total = int(lengths.sum())
        ranks = np.searchsorted(_cumulative(), generator.random(total))
        # A leaning word is the nearest one whose rank belongs to the label.
        leaning = generator.random(total) < settings.leaning
        belonging = ranks - ranks % settings.num_labels + np.repeat(labels, lengths)
        ranks = np.minimum(np.where(leaning, belonging, ranks), WORDS - 1)
        rules, names = ReviewRules(settings.test_fraction), settings.label_names()
        start = 0
        ends = np.cumsum(lengths).tolist()
        for nth, (end, label) in enumerate(zip(ends, labels.tolist(), strict=True)):
            text = b" ".join([vocabulary[rank] for rank in ranks[start:end].tolist()])
            yield rules.review(Row(text, names[label], f"synthetic:{self.nth * _REVIEWS + nth + 1}"))
            start = end


class SyntheticSource:
    """`settings.reviews` random reviews: the same settings make the same reviews."""

    name = "synthetic"
    tokenizer, stratified = KERAS, None

    def __init__(self, settings: SyntheticSettings):
        self._settings = settings
        self.labels: list[str] | None = settings.label_names()
        self._made = 0

    def describe(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "description": f"{settings.reviews:,} synthetic reviews (random words, no real text)",
            "kind": "synthetic",
            "synthetic": True,
            "reviews": settings.reviews,
            "seed": settings.seed,
            "leaning": settings.leaning,
            "test_fraction": settings.test_fraction,
        }

    def chunks(self) -> Iterator[_Synthetic]:
        for nth, first in enumerate(range(0, self._settings.reviews, _REVIEWS)):
            count = min(_REVIEWS, self._settings.reviews - first)
            self._made = first + count
            yield _Synthetic(nth, count, self._settings)

    def share(self) -> float:
        return self._made / self._settings.reviews


def main() -> None:
    """Prepare random reviews, and print the manifest as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add, default = parser.add_argument, SyntheticSettings
    add("--reviews", type=int, required=True, metavar="N", help="how many")
    add("--out", type=Path, required=True, metavar="DIR", help="the dataset directory to make")
    add("--seed", type=int, default=default.seed, metavar="N")
    add("--num-labels", type=int, default=default.num_labels, metavar="N")
    add("--leaning", type=float, default=default.leaning, metavar="SHARE",
        help="share of the words that lean to the review's label")  # fmt: skip
    add("--test-fraction", type=float, default=default.test_fraction, metavar="SHARE")
    add("--workers", type=int, metavar="N")
    add("--vocabulary-memory", type=int, default=PreparationSettings.vocabulary_memory, metavar="BYTES")
    options = vars(parser.parse_args())
    out = options.pop("out")
    chosen = {name: options.pop(name) for name in ("workers", "vocabulary_memory")}
    source = SyntheticSource(SyntheticSettings(**options))
    print(json.dumps(prepare(source, out, PreparationSettings(**chosen)).manifest))


if __name__ == "__main__":
    main()

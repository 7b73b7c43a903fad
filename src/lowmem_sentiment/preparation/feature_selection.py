"""Choose n-grams as features: count them in the training reviews, rank them, keep the first.

There is one pass over the training shards per length. A pass counts an n-gram only if both of its parts
one word shorter were kept (Agrawal & Srikant, VLDB 1994, "Apriori"): it is never more frequent than its
parts, so nothing is lost that would be kept, and IMDb has 3.1 million candidates of three words instead
of 5.6 million.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ..dataset.counts import review_evidence
from ..dataset.manifest import FREQUENCY, FeaturesFile
from ..dataset.reader import Dataset
from ..dataset.splits import is_held_out, validation_share
from ..system import workers
from ..system.errors import SettingsError
from ..system.memory import trim_heap
from ..system.progress import Progress, no_progress
from ..text.encoders import Keys, continuing, extend, first_of_each
from ..text.reviews import Reviews
from ..text.vocabulary import FIRST_WORD_ID, Vocabulary
from .lossy_counting import DocumentCounts, label_bits
from .settings import MANY_TOKENS, PreparationSettings

MIN_REVIEWS = 2
"""In large data an n-gram of several words in fewer reviews is not a candidate: 1.4 million of IMDb's 1.9
million pairs occur in a single review, and only show that review's label."""

_LINES = 1 << 13  # features made at a time: as Python numbers they take ten times their arrays


class _Candidates(NamedTuple):
    keys: np.ndarray
    """int64[n], ascending: token ids of words, keys of `ngrams.Level` for longer ones."""
    scores: np.ndarray
    """float64[n]"""


def select_features(
    dataset: Dataset, settings: PreparationSettings, progress: Progress = no_progress
) -> tuple[Vocabulary, FeaturesFile]:
    """Return the first n-grams of the training reviews by rank, and the manifest's record of them.

    "evidence" ranks by the largest |z| over the labels (`review_evidence`), "frequency" by the
    number of reviews. Counting takes `vocabulary_memory` bytes at most, and keeps 16 for each candidate.
    Test reviews, training reviews that `validation_split` holds out, and the number of processes do not
    change the result. Raises SettingsError if there is nothing to rank.
    """
    found: list[_Candidates] = []
    error_bound = 0
    ngrams = settings.ngrams_of(dataset.num_tokens("train"))
    for _ in range(ngrams):
        candidates, bound = _count(dataset, [each.keys for each in found], settings, progress)
        found.append(candidates)
        error_bound = max(error_bound, bound)
        trim_heap()  # 30 MB that glibc would keep
    scores = np.concatenate([each.scores for each in found])
    # ties: fewer words, then frequent words
    order = np.argsort(-scores, kind="stable")[: settings.num_features]
    num_candidates = len(scores)
    if not num_candidates:
        raise SettingsError("no n-gram stands in the training reviews; expected one at least")
    del scores
    features = Vocabulary(_lines(found, order, dataset.vocabulary()))
    return features, FeaturesFile(
        len(features),
        features.sha256,
        ngrams,
        settings.ranked_by,
        num_candidates,
        error_bound,
        settings.validation_split,
    )


def _count(
    dataset: Dataset, shorter: list[np.ndarray], settings: PreparationSettings, progress: Progress
) -> tuple[_Candidates, int]:
    """Return the n-grams one word longer than `shorter`, and the error bound of their frequencies."""
    size = len(shorter) + 1
    task = CountTask(dataset, shorter, validation_share(settings.validation_split))
    counts = DocumentCounts(len(dataset.labels), settings.vocabulary_memory)
    done, shards = 0, dataset.shards("train")
    counted = workers.in_order(task, range(len(shards)), settings.workers or workers.available())
    for shard, blocks in zip(shards, counted, strict=True):
        while blocks:
            labels, keys = blocks.pop(0)
            counts.reviews += labels
            counts.add(keys)
        done += shard.records
        progress(f"count {size}-grams", done, dataset.num_reviews("train"))
    few = size == 1 or dataset.num_tokens("train") < MANY_TOKENS
    least = max(settings.min_count, 1 if few else MIN_REVIEWS)
    totals = counts.reviews

    def evidence(here: np.ndarray, whole: np.ndarray, label: int) -> np.ndarray:
        return review_evidence(here, whole, totals[label], totals.sum())[1]

    if settings.ranked_by == FREQUENCY:
        keys, scores = counts.scores(least, [0], lambda here, whole, label: whole)
    else:
        # two labels have the same evidence
        keys, scores = counts.scores(least, range(0 if len(totals) > 2 else 1, len(totals)), evidence)
    # the last bits of a logarithm differ between processors; rounded, they decide no order
    return _Candidates(task.unpack(keys), np.round(scores, 6)), counts.error_bound


def blocks_to_count(
    dataset: Dataset, split: str, shard: int, held_out: Fraction
) -> Iterator[tuple[Reviews, np.ndarray]]:
    """Yield the reviews of a shard in blocks, and bool[reviews], which are not held out."""
    first = sum(each.records for each in dataset.shards(split)[:shard])
    for reviews in dataset.read_shard(split, shard, check=False):
        index = np.arange(first, first + len(reviews.lengths))
        first += len(index)
        yield reviews, ~is_held_out(index, held_out)


class CountTask:
    """Count the n-grams of one length in a shard; runs in a worker process.

    Instances hold the tables of the shorter ones (24 bytes each), which forks share; a single word is
    found by its id.
    """

    def __init__(self, dataset: Dataset, shorter: list[np.ndarray], held_out: Fraction):
        self._dataset, self._held_out = dataset, held_out
        self._words_before, self._shorter = len(shorter), [*map(Keys, shorter[1:])]
        self._label_bits = label_bits(len(dataset.labels))
        self._word_bits = (dataset.num_ids - 1).bit_length()
        self._node_bits = 0
        if shorter:
            nodes = dataset.num_ids if len(shorter) == 1 else len(shorter[-1])
            self._node_bits = max(1, nodes - 1).bit_length()

    def unpack(self, keys: np.ndarray) -> np.ndarray:
        """Convert counted keys to the keys of `ngrams.Level`."""
        if not self._words_before:
            return keys
        return keys >> self._word_bits << 32 | keys & ((1 << self._word_bits) - 1)

    def __call__(self, shard: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return int64[labels] reviews, and their `keys`, for each block."""
        blocks = []
        for reviews, chosen in blocks_to_count(self._dataset, "train", shard, self._held_out):
            ranked = reviews.select(chosen) if self._held_out else reviews
            labels = np.bincount(ranked.labels, minlength=len(self._dataset.labels))
            blocks.append((labels, self.keys(ranked)))
        return blocks

    def keys(self, reviews: Reviews) -> np.ndarray:
        """Return int64[n] ascending keys, each once for every one of `reviews` in which it occurs."""
        text, ngrams = self._ngrams(reviews)
        text_bits = max(1, len(reviews.lengths) - 1).bit_length()
        if self._node_bits + self._word_bits + self._label_bits + text_bits > 63:
            raise SettingsError(
                "there are too many n-grams, words and labels to number; expected a higher min_count, or "
                "fewer ngrams"
            )
        # one sort of whole numbers finds what is distinct in a review
        ngrams <<= self._label_bits + text_bits
        ngrams |= (reviews.labels << text_bits | np.arange(len(reviews.labels)))[text]
        ngrams.sort()
        return np.asarray(ngrams[first_of_each(ngrams)] >> text_bits)

    def _ngrams(self, reviews: Reviews) -> tuple[np.ndarray, np.ndarray]:
        """Return int64 review and key of every n-gram in the reviews."""
        text = np.repeat(np.arange(len(reviews.lengths)), reviews.lengths)
        numbers = np.where(reviews.token_ids >= FIRST_WORD_ID, reviews.token_ids, -1)
        at = np.flatnonzero(numbers >= 0)
        nodes = numbers[at].astype(np.int64)
        if not self._words_before:
            return text[at], nodes
        follows = continuing(numbers, text)
        for size, keys in enumerate(self._shorter, 2):
            at, nodes = extend(at, nodes, numbers, follows, size, keys)
        if self._shorter:
            follows = np.zeros(len(numbers) + 1, bool)
            follows[at] = True
        # where a shorter one begins and the next one begins at its second word
        both = np.flatnonzero(follows[at + 1])
        at, nodes = at[both], nodes[both]
        return text[at], nodes << self._word_bits | numbers[at + self._words_before]


def _lines(found: list[_Candidates], order: np.ndarray, vocabulary: Vocabulary) -> list[bytes]:
    """Return the n-grams at places `order` of all candidates, in words."""
    firsts = np.cumsum([0, *(len(each.keys) for each in found)])
    lines: list[bytes] = [b""] * len(order)
    words = vocabulary.words
    for nth in range(len(found)):
        mine = np.flatnonzero((order >= firsts[nth]) & (order < firsts[nth + 1]))
        place = order[mine] - firsts[nth]
        ids = np.empty((len(mine), nth + 1), np.int64)
        for column in range(nth, 0, -1):
            keys = found[column].keys[place]
            ids[:, column], place = keys & 0xFFFFFFFF, keys >> 32
        # the first word is a token id: at level 0 in the keys, above it in the keys of two words
        ids[:, 0] = found[0].keys[place] if nth == 0 else place
        ids -= FIRST_WORD_ID
        for first in range(0, len(mine), _LINES):
            some = slice(first, first + _LINES)
            for line, row in zip(mine[some].tolist(), ids[some].tolist(), strict=True):
                lines[line] = b" ".join([words[id_] for id_ in row])
    return lines

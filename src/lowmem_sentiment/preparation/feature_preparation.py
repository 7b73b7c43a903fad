"""Features for the reviews of a dataset: choose them, then write each shard again with them."""

import hashlib
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..dataset import records
from ..dataset.evidence import log_count_ratios
from ..dataset.manifest import (
    FEATURES,
    GIVEN,
    MANIFEST,
    SCALES,
    VERSION_WITH_FEATURES,
    FeaturesFile,
    Shard,
)
from ..dataset.reader import Dataset
from ..dataset.splits import is_held_out, validation_share
from ..system import workers
from ..system.files import replace_file
from ..system.progress import Progress, no_progress
from ..system.schema import write_json
from ..text.ngrams import FeatureTable
from ..text.vocabulary import FIRST_WORD_ID, Vocabulary
from .feature_selection import counts_by_label, select_features
from .given_vocabulary import GivenVocabulary
from .lossy_counting import DocumentCounts
from .settings import PreparationSettings


def add_features(
    dataset: Dataset,
    settings: PreparationSettings,
    progress: Progress = no_progress,
    given: GivenVocabulary | None = None,
) -> Dataset:
    """Write features into each record of a dataset that nobody else reads yet, and return it.

    Without `given` n-grams they are chosen: shards are read once for each length. They are read once more
    to be written; the records keep their order and the rest of what they hold. Raises DataError,
    SettingsError (there is nothing to rank), OutputError.
    """
    processes = settings.workers or workers.available()
    if given and given.features:
        features = given.features
        described = FeaturesFile(len(features), features.sha256, given.ngrams, GIVEN, len(features), 0)
    else:
        features, described = select_features(dataset, settings, progress)
    features.save(dataset.directory / FEATURES)
    held_out = validation_share(settings.validation_split)
    encoder = FeatureEncoder(dataset, features, held_out)
    counts = DocumentCounts(encoder.label_bits, settings.vocabulary_memory)
    splits, labels = _write_shards(dataset, encoder, counts, processes, progress)
    scales_sha256 = _write_scales(dataset.directory / SCALES, len(features), counts, labels)
    described = replace(described, scales_sha256=scales_sha256)
    manifest = {key: value for key, value in dataset.manifest.items() if key != "checksum"}
    for split, shards in splits.items():
        manifest["splits"][split]["shards"] = [asdict(shard) for shard in shards]
    write_json(
        dataset.directory / MANIFEST,
        {**manifest, "version": VERSION_WITH_FEATURES, "features": asdict(described)},
    )
    return Dataset(dataset.directory)


class EncodedShard(NamedTuple):
    """A shard's records with their features."""

    blocks: list[bytes]
    counts: list[tuple[np.ndarray, np.ndarray]]
    """Of each block of training reviews, what `DocumentCounts.add` takes."""
    labels: np.ndarray
    """int64[labels]: how many reviews of each label were counted."""


class FeatureEncoder:
    """What a worker does: encode the reviews of a shard again, with their features, and count these."""

    def __init__(self, dataset: Dataset, features: Vocabulary, held_out: Fraction):
        """Take the features that are to be found; the table is made here, so that forks share it.

        Training reviews that are `held_out` are not counted.
        """
        self._dataset, self._table, self._held_out = dataset, FeatureTable(features.words), held_out
        self.label_bits = max(1, (len(dataset.labels) - 1).bit_length())
        numbers = self._table.numbers_of(dataset.vocabulary().words)
        # ids that are no words, such as the start, are in no feature
        self._numbers = np.concatenate([np.full(FIRST_WORD_ID, -1, np.int32), numbers])

    def __call__(self, place: tuple[str, int]) -> EncodedShard:
        """Return the records of a split's shard, in blocks."""
        split, nth = place
        encoded = EncodedShard([], [], np.zeros(len(self._dataset.labels), np.int64))
        first = sum(shard.records for shard in self._dataset.shards(split)[:nth])
        for reviews in self._dataset.read_shard(split, nth):
            found = self._table.find(self._numbers[reviews.token_ids], reviews.lengths)
            encoded.blocks.append(records.encode(reviews, found)[0])
            if split == "train":
                index = np.arange(first, first + len(reviews.lengths))
                first += len(index)
                counted = ~is_held_out(index, self._held_out)
                encoded.labels[:] += np.bincount(reviews.labels[counted], minlength=len(encoded.labels))
                keys = found.ids.astype(np.int64) << self.label_bits
                keys |= np.repeat(reviews.labels, found.counts)
                keys, counts = np.unique(keys[np.repeat(counted, found.counts)], return_counts=True)
                encoded.counts.append((keys, counts.astype(np.int32)))
        return encoded


def _write_shards(
    dataset: Dataset,
    encoder: FeatureEncoder,
    counts: DocumentCounts,
    processes: int,
    progress: Progress,
) -> tuple[dict[str, list[Shard]], np.ndarray]:
    """Replace each shard by one with features, and count these in `counts`.

    Returns what the manifest lists, and int64[labels], how many reviews of each label were counted.
    """
    places = [(split, nth) for split in dataset.splits for nth in range(len(dataset.shards(split)))]
    written: dict[str, list[Shard]] = {split: [] for split in dataset.splits}
    encoded = workers.in_order(encoder, places, processes)
    done, total = 0, sum(map(dataset.num_reviews, dataset.splits))
    labels = np.zeros(len(dataset.labels), np.int64)
    for (split, nth), (blocks, counted, counted_labels) in zip(places, encoded, strict=True):
        shard, path = dataset.shards(split)[nth], dataset.paths(split)[nth]
        written[split].append(_replace(path, shard, blocks))
        labels += counted_labels
        for each in counted:
            counts.add(*each)
        done += shard.records
        progress("write features", done, total)
    return written, labels


def _write_scales(path: Path, num_features: int, counts: DocumentCounts, labels: np.ndarray) -> str:
    """Write how far each feature leans to a label, and return the file's SHA-256.

    It is the largest absolute log-count ratio over the labels; 1 for a feature that no training review
    holds. Rounded, as the last bits of a logarithm differ between processors.
    """
    ids, rows, label, count = counts.finish(1)
    shares = labels / labels.sum()
    told_apart = [nth for nth, share in enumerate(shares) if 0 < share < 1][
        -1 if len(labels) == 2 else 0 :
    ]
    scales = np.ones(num_features, "<f4")
    for some, dense in counts_by_label(rows, label, count, len(labels)):
        whole = dense.sum(axis=0)
        ratios = [np.abs(log_count_ratios(dense[nth], whole, shares[nth])) for nth in told_apart]
        scales[ids[some] - FIRST_WORD_ID] = np.max(ratios, axis=0, initial=0).round(4)
    content = scales.tobytes()
    with replace_file(path) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def _replace(path: Path, shard: Shard, blocks: list[bytes]) -> Shard:
    """Write a shard in place of the one that holds the same reviews."""
    digest, size = hashlib.sha256(), 0
    with replace_file(path) as file:
        for block in blocks:
            file.write(block)
            digest.update(block)
            size += len(block)
    return replace(shard, bytes=size, sha256=digest.hexdigest())

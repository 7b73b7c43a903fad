"""Features for the reviews of a dataset: choose them, then write each shard again with them."""

import hashlib
import os
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from ..dataset import records
from ..dataset.counts import log_count_ratios
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
from ..dataset.splits import validation_share
from ..dataset.writer import OpenShard
from ..system import workers
from ..system.files import UNFINISHED, replace_file
from ..system.progress import Progress, no_progress
from ..system.schema import write_json
from ..text.encoders import FeatureTable
from ..text.vocabulary import FIRST_WORD_ID, Vocabulary
from .feature_selection import blocks_to_count, select_features
from .given_vocabulary import GivenVocabulary
from .lossy_counting import DocumentCounts, label_bits
from .settings import PreparationSettings


def add_features(
    dataset: Dataset,
    settings: PreparationSettings,
    progress: Progress = no_progress,
    given: GivenVocabulary | None = None,
) -> Dataset:
    """Write features into each record of a dataset that nobody else reads yet, and return it.

    Without `given` n-grams they are chosen, which reads the shards once per length. The shards are then
    rewritten; records keep their order and other content. Raises DataError, SettingsError (no n-gram to
    rank), OutputError.
    """
    processes = settings.workers or workers.available()
    if given and given.features:
        features = given.features
        described = FeaturesFile(len(features), features.sha256, given.ngrams, GIVEN, len(features), 0)
    else:
        features, described = select_features(dataset, settings, progress)
    features.save(dataset.directory / FEATURES)
    encoder = FeatureEncoder(dataset, features, validation_share(settings.validation_split))
    counts = DocumentCounts(len(dataset.labels), settings.vocabulary_memory)
    splits = _write_shards(dataset, encoder, counts, processes, progress)
    scales_sha256 = _write_scales(dataset.directory / SCALES, len(features), counts)
    described = replace(described, scales_sha256=scales_sha256)
    manifest = {key: value for key, value in dataset.manifest.items() if key != "checksum"}
    for split, shards in splits.items():
        manifest["splits"][split]["shards"] = [asdict(shard) for shard in shards]
    write_json(
        dataset.directory / MANIFEST,
        {**manifest, "version": VERSION_WITH_FEATURES, "features": asdict(described)},
    )
    return Dataset(dataset.directory)


_EncodedBlock = tuple[bytes, int, np.ndarray, np.ndarray]


class FeatureEncoder:
    """A worker's task: encode the reviews of a shard again with their features, and count these."""

    def __init__(self, dataset: Dataset, features: Vocabulary, held_out: Fraction):
        """Take the features to find; the table is built here so that forks share it.

        Training reviews that are `held_out` are not counted.
        """
        self._dataset, self._table, self._held_out = dataset, FeatureTable(features.words), held_out
        self._label_bits = label_bits(len(dataset.labels))
        # ids such as the start are not words, and not in any feature
        words, unknown = [b""] * FIRST_WORD_ID + dataset.vocabulary().words, self._table.UNKNOWN
        self._numbers = np.array([self._table.numbers.get(word, unknown) for word in words], np.int32)

    def __call__(self, place: tuple[str, int]) -> list[_EncodedBlock]:
        """Return a split's shard in blocks: records, their number, and the counts of training reviews.

        The counts are int64[labels] reviews, and the argument of `DocumentCounts.add`.
        """
        blocks = []
        for reviews, counted in blocks_to_count(self._dataset, *place, self._held_out):
            found = self._table.find(self._numbers[reviews.token_ids], reviews.lengths)
            counted &= place[0] == "train"
            labels = np.bincount(reviews.labels[counted], minlength=len(self._dataset.labels))
            keys = found.ids.astype(np.int64) << self._label_bits
            keys |= np.repeat(reviews.labels, found.counts)
            data, sizes = records.encode(reviews, found)
            blocks.append((data, len(sizes), labels, keys[np.repeat(counted, found.counts)]))
        return blocks


def _write_shards(
    dataset: Dataset,
    encoder: FeatureEncoder,
    counts: DocumentCounts,
    processes: int,
    progress: Progress,
) -> dict[str, list[Shard]]:
    """Replace each shard by one with features, and count these; return the manifest's entries."""
    places = [(split, nth) for split in dataset.splits for nth in range(len(dataset.shards(split)))]
    written: dict[str, list[Shard]] = {split: [] for split in dataset.splits}
    encoded = workers.in_order(encoder, places, processes)
    done, total = 0, sum(map(dataset.num_reviews, dataset.splits))
    for (split, nth), blocks in zip(places, encoded, strict=True):
        path = dataset.paths(split)[nth]
        shard = OpenShard(path.with_suffix(UNFINISHED))
        for data, number, labels, keys in blocks:
            shard.append(data, number)
            counts.reviews += labels
            counts.add(keys)
        written[split].append(replace(shard.finish(), file=path.name))
        os.replace(path.with_suffix(UNFINISHED), path)
        done += shard.records
        progress("write features", done, total)
    return written


def _write_scales(path: Path, num_features: int, counts: DocumentCounts) -> str:
    """Write how far each feature leans towards a label, and return the file's SHA-256.

    It is the largest absolute log-count ratio over the labels, or 1 for a feature in no training review,
    rounded because the last bits of a logarithm differ between processors.
    """
    shares = counts.reviews / counts.reviews.sum()
    told_apart = [nth for nth, share in enumerate(shares) if 0 < share < 1]
    if len(shares) == 2:
        told_apart = told_apart[-1:]  # both labels have the same absolute ratios
    scales = np.ones(num_features, "<f4")
    ids, ratios = counts.scores(
        1, told_apart, lambda here, whole, label: log_count_ratios(here, whole, shares[label])
    )
    scales[ids - FIRST_WORD_ID] = ratios.round(4)
    content = scales.tobytes()
    with replace_file(path) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()

"""Features for the reviews of a dataset: choose them, then write each shard again with them."""

import hashlib
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from ..dataset import records
from ..dataset.manifest import (
    FEATURES,
    GIVEN,
    MANIFEST,
    SPLITS,
    VERSION_WITH_FEATURES,
    FeaturesFile,
    Shard,
)
from ..dataset.reader import Dataset
from ..system import workers
from ..system.files import replace_file
from ..system.progress import Progress, no_progress
from ..system.schema import write_json
from ..text.ngrams import FeatureTable
from ..text.vocabulary import FIRST_WORD_ID, Vocabulary
from .feature_selection import select_features
from .given_vocabulary import GivenVocabulary
from .settings import FeatureSettings


def add_features(
    dataset: Dataset,
    settings: FeatureSettings,
    progress: Progress = no_progress,
    given: GivenVocabulary | None = None,
) -> Dataset:
    """Write features into each record of a dataset that is not in use yet, and return it.

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
    splits = _write_shards(dataset, features, processes, progress)
    manifest = {key: value for key, value in dataset.manifest.items() if key != "checksum"}
    for split, shards in splits.items():
        manifest["splits"][split]["shards"] = [asdict(shard) for shard in shards]
    write_json(
        dataset.directory / MANIFEST,
        {**manifest, "version": VERSION_WITH_FEATURES, "features": asdict(described)},
    )
    return Dataset(dataset.directory)


class FeatureEncoder:
    """Encode the reviews of a shard again, with their features; runs in a worker process."""

    def __init__(self, dataset: Dataset, features: Vocabulary):
        """Take the features that are to be found; the table is made here, so that forks share it."""
        self._dataset, self._table = dataset, FeatureTable(features.words)
        numbers = self._table.numbers_of(dataset.vocabulary().words)
        # ids that are no words, such as the start, are in no feature
        self._numbers = np.concatenate([np.full(FIRST_WORD_ID, -1, np.int32), numbers])

    def __call__(self, place: tuple[str, int]) -> list[bytes]:
        """Return the records of a split's shard, in blocks."""
        blocks = []
        for reviews in self._dataset.read_shard(*place):
            found = self._table.find(self._numbers[reviews.token_ids], reviews.lengths)
            blocks.append(records.encode(reviews, found)[0])
        return blocks


def _write_shards(
    dataset: Dataset, features: Vocabulary, processes: int, progress: Progress
) -> dict[str, list[Shard]]:
    """Replace each shard by one with features, and return what the manifest lists."""
    encoder = FeatureEncoder(dataset, features)
    places = [(split, nth) for split in SPLITS for nth in range(len(dataset.shards(split)))]
    written: dict[str, list[Shard]] = {split: [] for split in SPLITS}
    encoded = workers.in_order(encoder, places, processes)
    done, total = 0, sum(map(dataset.num_reviews, SPLITS))
    for (split, nth), blocks in zip(places, encoded, strict=True):
        shard, path = dataset.shards(split)[nth], dataset.paths(split)[nth]
        written[split].append(_replace(path, shard, blocks))
        done += shard.records
        progress("write features", done, total)
    return written


def _replace(path: Path, shard: Shard, blocks: list[bytes]) -> Shard:
    """Replace a shard by one with the same reviews."""
    digest, size = hashlib.sha256(), 0
    with replace_file(path) as file:
        for block in blocks:
            file.write(block)
            digest.update(block)
            size += len(block)
    return replace(shard, bytes=size, sha256=digest.hexdigest())

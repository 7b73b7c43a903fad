"""Take the words and n-grams of a dataset or a run, or a file of words."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from ..dataset.manifest import FEATURES, MANIFEST, VOCABULARY, read_manifest
from ..system.errors import DataError, SettingsError, printable
from ..system.npz import read_with_metadata
from ..system.schema import parse, read_json
from ..system.settings import Settings, setting
from ..text.tokenizers import tokenise
from ..text.vocabulary import KERAS, MAX_NGRAM, TOKENIZERS, Vocabulary
from .settings import PreparationSettings

CONFIG, WEIGHTS = "config.json", "weights.npz"
"""Of a run directory; an export has the second."""


class GivenVocabulary(NamedTuple):
    """Words used instead of counting them, and n-grams used instead of ranking them."""

    words: Vocabulary
    tokenizer: str
    """The tokenizer that the words belong to."""
    features: Vocabulary | None = None
    """The n-grams, if the dataset or the run has any."""
    ngrams: int = 1
    """The most words in an n-gram."""


@dataclass(frozen=True, kw_only=True)
class _Recorded(Settings):
    ignores_unknown_keys: ClassVar[bool] = True
    tokenizer: str = setting(KERAS, choices=TOKENIZERS)
    ngrams: int | None = setting(None, at_least=1, at_most=MAX_NGRAM)


@dataclass(frozen=True, kw_only=True)
class _RecordedByRun(_Recorded):
    sha256: str


@dataclass(frozen=True, kw_only=True)
class _RecordedByExport(_Recorded):
    vocabulary_sha256: str


def load_vocabulary(settings: PreparationSettings) -> GivenVocabulary:
    """Return the words and n-grams of a dataset, a run or an export, or the words of a vocabulary.txt.

    The tokenizer is recorded beside the words; for a separate file it is the settings' or Keras'. A run
    on n-grams keeps only their words. Raises InputMissing, SettingsError for settings that contradict the
    record, and DataError for a line that cannot be a word.
    """
    path = Path(settings.vocabulary or "")
    file = _file(path)
    given = _load_recorded(file) if file.name == VOCABULARY else None
    tokenizer = None
    if given is None:
        tokenizer = settings.tokenizer or KERAS
        given = GivenVocabulary(Vocabulary.load(file), tokenizer)
    if settings.tokenizer not in (None, given.tokenizer):
        raise SettingsError(
            f"tokenizer is {settings.tokenizer!r}, but {path} has words of {given.tokenizer!r}; "
            "expected no --tokenizer"
        )
    if given.features:
        _check_ngrams(given.features, file.parent, given.ngrams)
        if settings.ngrams not in (None, 1, given.ngrams) or settings.rank:
            raise SettingsError(
                f"ngrams is {settings.ngrams} and rank is {settings.rank}, but {path} has "
                f"{len(given.features):,} n-grams of 1 to {given.ngrams} words; expected no --ngrams and "
                "no --rank"
            )
    _check_words(given.words, file, tokenizer)
    return given


def _file(path: Path) -> Path:
    return path / VOCABULARY if path.is_dir() else path


def source_of(path: Path) -> dict[str, Any]:
    """Return the record of how a dataset's or a run's data was read; empty if there is none."""
    file = _file(path)
    directory, source = file.parent, None
    if file.name == VOCABULARY and os.path.lexists(directory / MANIFEST):
        source = read_manifest(directory)[0].source
    elif file.name == VOCABULARY and os.path.lexists(directory / CONFIG):
        dataset = read_json(directory / CONFIG).get("dataset")
        source = dataset.get("source") if isinstance(dataset, dict) else None
    return source if isinstance(source, dict) else {}


def _load_recorded(file: Path) -> GivenVocabulary | None:
    """Return a vocabulary.txt with the record beside it; None without one."""
    directory = file.parent
    recorded: _Recorded
    if os.path.lexists(directory / MANIFEST):
        manifest, _ = read_manifest(directory)
        words = Vocabulary.load(file, manifest.vocabulary.sha256)
        if not (chosen := manifest.features):
            return GivenVocabulary(words, manifest.tokenizer)
        features = Vocabulary.load(directory / FEATURES, chosen.sha256)
        return GivenVocabulary(words, manifest.tokenizer, features, chosen.ngrams)
    if os.path.lexists(config := directory / CONFIG):
        content = read_json(config).get("vocabulary")
        recorded = by_run = parse(_RecordedByRun, content, f"{config}: vocabulary")
        sha256 = by_run.sha256
    elif os.path.lexists(weights := directory / WEIGHTS):
        by_export, _ = read_with_metadata(weights, str(weights), _RecordedByExport, 1)
        recorded, sha256 = by_export, by_export.vocabulary_sha256
    else:
        return None
    words = Vocabulary.load(file, sha256)
    if not recorded.ngrams:
        return GivenVocabulary(words, recorded.tokenizer)
    single = Vocabulary(dict.fromkeys(b" ".join(words.words).split(b" ")))
    return GivenVocabulary(single, recorded.tokenizer, words, recorded.ngrams)


def _check_ngrams(features: Vocabulary, directory: Path, ngrams: int) -> None:
    """Raise DataError unless the lines are n-grams of `ngrams` words at most, each once."""
    split = (line.split(b" ") for line in features.words)
    well_formed = all(len(words) <= ngrams and all(words) for words in split)
    if not len(features) or not well_formed or len(set(features.words)) < len(features):
        raise DataError(
            f"the n-grams of {directory} are damaged: expected each once, of 1 to {ngrams} words"
        )


def _check_words(vocabulary: Vocabulary, path: Path, tokenizer: str | None) -> None:
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

"""Take the words that a dataset or a run has, and its n-grams, or a file of words."""

from pathlib import Path
from typing import Any, NamedTuple

from ..dataset.manifest import FEATURES, MANIFEST, VOCABULARY
from ..system.errors import DataError, SettingsError, printable
from ..system.schema import read_json
from ..text.tokenizer import tokenise
from ..text.tokenizer_names import KERAS, check_tokenizer
from ..text.vocabulary import MAX_NGRAM, Vocabulary

CONFIG = "config.json"
"""Of a run directory."""


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
    recorded, ngrams = _recorded(file.parent)
    if recorded and tokenizer not in (None, recorded):
        raise SettingsError(
            f"tokenizer is {tokenizer!r}, but {path} has words of {recorded!r}; expected no --tokenizer"
        )
    tokenizer = recorded or tokenizer or KERAS
    vocabulary, features = Vocabulary.load(file), None
    if ngrams and (file.parent / MANIFEST).is_file():
        features = Vocabulary.load(file.parent / FEATURES)
    elif ngrams:
        features = vocabulary
        vocabulary = Vocabulary(dict.fromkeys(b" ".join(features.words).split(b" ")))
    if features:
        _check_ngrams(features, file.parent, ngrams)
    _check(vocabulary, file, None if recorded else tokenizer)
    return GivenVocabulary(vocabulary, tokenizer, features, ngrams)


def _recorded(directory: Path) -> tuple[str | None, int]:
    """Return what a dataset or a run records: its tokenizer, and the most words of an n-gram (0: none).

    Where there is neither, the tokenizer is None.
    """
    for name in (MANIFEST, CONFIG):
        if (directory / name).is_file():
            content = read_json(directory / name)
            if name == MANIFEST:
                entry, holder = content, content.get("features")
            else:
                entry = holder = content.get("vocabulary")
            found = _entry(entry).get("tokenizer", KERAS)
            check_tokenizer(found, f"{directory / name}: the tokenizer")
            ngrams = _entry(holder).get("ngrams") or 0
            if type(ngrams) is not int or not 0 <= ngrams <= MAX_NGRAM:
                shown = printable(repr(ngrams), 60)
                raise DataError(f"{directory / name}: ngrams is {shown}, expected 1 to {MAX_NGRAM}")
            return found, ngrams
    return None, 0


def _entry(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


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

"""A vocabulary that the user gives, in place of one that is counted."""

from pathlib import Path

from ..system.errors import DataError, SettingsError, printable
from ..system.schema import read_json
from ..text.tokenizer import KERAS, check_tokenizer, tokenise
from ..text.vocabulary import Vocabulary
from .manifest import MANIFEST, VOCABULARY

CONFIG = "config.json"
"""Of a run directory."""


def load_vocabulary(path: Path, tokenizer: str | None) -> tuple[Vocabulary, str]:
    """Return the words of a dataset, a run, or a vocabulary.txt, and the tokenizer that they are for.

    It is recorded beside a dataset's and a run's words; of a file alone it is `tokenizer`, or Keras'.
    Raises InputMissing, SettingsError for another `tokenizer` than the recorded one or a run on n-grams,
    and DataError for a line that no text can have as a word.
    """
    file = path / VOCABULARY if path.is_dir() else path
    recorded = _recorded_tokenizer(file.parent)
    if recorded and tokenizer not in (None, recorded):
        raise SettingsError(
            f"tokenizer is {tokenizer!r}, but {path} has words of {recorded!r}; expected no --tokenizer"
        )
    tokenizer = recorded or tokenizer or KERAS
    vocabulary = Vocabulary.load(file)
    _check(vocabulary, file, None if recorded else tokenizer)
    return vocabulary, tokenizer


def _recorded_tokenizer(directory: Path) -> str | None:
    """Return the tokenizer that a dataset or a run records; None where there is neither."""
    for name in (MANIFEST, CONFIG):
        if (directory / name).is_file():
            content = read_json(directory / name)
            entry = content.get("vocabulary") if name == CONFIG else content
            entry = entry if isinstance(entry, dict) else {}
            if entry.get("ngrams"):
                raise SettingsError(
                    f"{directory} was trained on n-grams, so that its words are not all there; expected "
                    "the dataset that it was trained on"
                )
            found = entry.get("tokenizer", KERAS)
            check_tokenizer(found, f"{directory / name}: the tokenizer")
            return found
    return None


def _check(vocabulary: Vocabulary, path: Path, tokenizer: str | None) -> None:
    """Raise DataError for what is no vocabulary; of a tokenizer's own words (None) no word is wrong."""
    if not len(vocabulary):
        raise DataError(f"{path} has no words; expected a word a line")
    seen = set()
    for line, word in enumerate(vocabulary.words, 1):
        if (tokenizer and tokenise(word, tokenizer) != [word]) or word in seen:
            shown = printable(word.decode("utf-8", "replace"))
            raise DataError(
                f"{path}:{line}: '{shown}' is no word, or is there twice; expected a word a line, "
                "in lower case, as in the vocabulary.txt of a dataset"
            )
        seen.add(word)

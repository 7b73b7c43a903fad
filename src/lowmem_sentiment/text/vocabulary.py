"""Words and their ids, as Keras' ``imdb.load_data`` numbers them.

Id 0 is padding, 1 the start of a review, 2 a word outside the vocabulary, 3 is never used,
and the word of rank r (1: the most frequent) has id r + 3. A vocabulary belongs to a tokenizer, which is
recorded by its name; help lists the names, and does without NumPy, which `tokenizer.py` needs.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ..system.errors import DataError
from ..system.files import read_regular, replace_file

KERAS, UNICODE, PUNCTUATION, CHARACTERS = TOKENIZERS = (
    "keras", "unicode", "unicode-punctuation", "characters",
)  # fmt: skip

START_ID = 1

OUT_OF_VOCABULARY_ID = 2

FIRST_WORD_ID = 4

MIN_NUM_WORDS = 4  # the ids that are not words

MAX_NGRAM = 5  # words of an entry of a vocabulary of n-grams

_MAX_BYTES = 256 << 20  # of vocabulary.txt: some 20 million words


class Vocabulary:
    """The words in order of rank, most frequent first.

    A word costs about 150 bytes once `ids` is used (88,584 words: 13 MB), and half of that before.
    """

    def __init__(self, words: Iterable[bytes]):
        self.words = list(words)
        self._ids: dict[bytes, int] | None = None

    def __len__(self) -> int:
        return len(self.words)

    @property
    def num_ids(self) -> int:
        """One more than the largest id: the largest `num_words` that makes a difference."""
        return len(self.words) + FIRST_WORD_ID

    @property
    def ids(self) -> dict[bytes, int]:
        """Map from word to id."""
        if self._ids is None:
            self._ids = {word: id_ for id_, word in enumerate(self.words, FIRST_WORD_ID)}
        return self._ids

    def decode(self, ids: Iterable[int], unknown: str = "#") -> str:
        """Return the text of token ids, with `unknown` for every id that is not a word."""
        words, first, end = self.words, FIRST_WORD_ID, self.num_ids
        return " ".join(
            words[id_ - first].decode("utf-8", "replace") if first <= id_ < end else unknown
            for id_ in ids
        )

    def truncate(self, num_words: int) -> "Vocabulary":
        """Return the vocabulary of the words whose ids are below `num_words`."""
        return Vocabulary(self.words[: max(0, num_words - FIRST_WORD_ID)])

    def to_bytes(self) -> bytes:
        """Return the content of ``vocabulary.txt``: one word per line, UTF-8, by rank."""
        return b"\n".join([*self.words, b""])

    @property
    def sha256(self) -> str:
        """SHA-256 of ``vocabulary.txt``, in hexadecimal."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def save(self, path: Path) -> None:
        """Write ``vocabulary.txt`` atomically."""
        with replace_file(path) as file:
            file.write(self.to_bytes())

    @classmethod
    def load(cls, path: Path, expected_sha256: str | None = None) -> "Vocabulary":
        """Read ``vocabulary.txt``; InputMissing or DataError if it is not the expected one.

        Lines end only with "\\n": a word may hold other line ends of Unicode.
        """
        content = read_regular(path, _MAX_BYTES)
        if expected_sha256 and hashlib.sha256(content).hexdigest() != expected_sha256:
            raise DataError(f"{path} is damaged: its SHA-256 is not the one recorded beside it")
        if content and not content.endswith(b"\n"):
            raise DataError(f"{path} is cut short: its last line has no end")
        return cls(content.split(b"\n")[:-1])


DEFAULT_NUM_WORDS = 10_000

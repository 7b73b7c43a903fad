"""Split a text into words, by the same rule for prepare, explore, predict and export.

"keras" is the rule behind Keras' ``imdb.npz`` (``text_to_word_sequence`` as Python 2 ran it on bytes):
make ASCII letters lower-case, replace each of ``FILTERS`` by a space, split at ASCII white space. Texts
are UTF-8 bytes: ``bytes.translate`` and ``bytes.split`` do it in two passes of C, and a word costs a
third of the memory of a ``str``. The others are for text in any language (`unicode_words.py`).
"""

from collections.abc import Iterator

from . import unicode_words
from .vocabulary import KERAS

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'

_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_TABLE = bytes.maketrans(_UPPER + FILTERS.encode(), _UPPER.lower() + b" " * len(FILTERS))


def tokenise(text: bytes, tokenizer: str = KERAS) -> list[bytes]:
    """Return the words of a UTF-8 text, in order, by one of `TOKENIZERS`.

    >>> tokenise(b"Don't miss it!<br />A 10/10.")
    [b"don't", b'miss', b'it', b'br', b'a', b'10', b'10']
    """
    if tokenizer == KERAS:
        return text.translate(_TABLE).split()
    return unicode_words.split(text, tokenizer)


PIECE_BYTES = 1 << 20  # 9 MB of words as Python objects


def tokenise_in_pieces(text: bytes, tokenizer: str = KERAS) -> Iterator[list[bytes]]:
    """Yield the words of a text, about `PIECE_BYTES` at a time.

    A word costs eight times its bytes as an object: a text of 100 MB would take 900 MB at once. Pieces
    end at ASCII white space. A piece without any ends between two characters, which also ends a word, but
    not a word of "keras".
    """
    start = 0
    while start < len(text):
        end = _piece_end(text, start, whole_words=tokenizer == KERAS)
        yield tokenise(text[start:end], tokenizer)
        start = end


def _piece_end(text: bytes, start: int, whole_words: bool) -> int:
    """Return the end of a piece: after the last white space, or between two characters."""
    end = start + PIECE_BYTES
    if end >= len(text):
        return len(text)
    if space := max(text.rfind(each, start, end) for each in _WHITE_SPACE) + 1:
        return space
    if whole_words:
        return min((at for each in _WHITE_SPACE if (at := text.find(each, end)) >= 0), default=len(text))
    while end > start + PIECE_BYTES - 4 and text[end] & 0xC0 == 0x80:
        end -= 1
    return end


_WHITE_SPACE = (b" ", b"\n", b"\t")

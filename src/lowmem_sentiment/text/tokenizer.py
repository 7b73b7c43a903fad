"""Split a text into words, by the one rule of prepare, explore, predict and export.

It is the rule behind Keras' ``imdb.npz`` (``text_to_word_sequence`` as Python 2 ran it on bytes): make
ASCII letters lower-case, replace each of ``FILTERS`` by a space, split at ASCII white space. Texts are
UTF-8 bytes: ``bytes.translate`` and ``bytes.split`` do it in two passes of C, and a word costs a third
of the memory of a ``str``.
"""

from collections.abc import Iterator

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'

_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_TABLE = bytes.maketrans(_UPPER + FILTERS.encode(), _UPPER.lower() + b" " * len(FILTERS))


def tokenise(text: bytes) -> list[bytes]:
    """Return the words of a UTF-8 text, in order.

    >>> tokenise(b"Don't miss it!<br />A 10/10.")
    [b"don't", b'miss', b'it', b'br', b'a', b'10', b'10']
    """
    return text.translate(_TABLE).split()


PIECE_BYTES = 1 << 20  # 9 MB of words while they are Python objects


def tokenise_in_pieces(text: bytes) -> Iterator[list[bytes]]:
    """Yield the words of a long text, those of about `PIECE_BYTES` at a time.

    A word costs eight times its bytes as an object: a text of 100 MB would take 900 MB at once.
    """
    rest = b""
    for at in range(0, len(text), PIECE_BYTES):
        piece = rest + text[at : at + PIECE_BYTES].translate(_TABLE)
        words = piece.split()
        rest = words.pop() if words and not piece[-1:].isspace() else b""
        yield words
    if rest:
        yield [rest]

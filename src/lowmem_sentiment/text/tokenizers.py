"""Split a text into words, by the same rule for prepare, explore, predict and export.

"keras" is the rule behind Keras' ``imdb.npz`` (``text_to_word_sequence`` as Python 2 ran it on bytes):
make ASCII letters lower-case, replace each of ``FILTERS`` by a space, split at ASCII white space. Texts
are UTF-8 bytes: ``bytes.translate`` and ``bytes.split`` do it in two passes of C, and a word costs a
third of the memory of a ``str``.

The others are for text in any language, with one table each, from character to characters.

A character is looked up in a table of 131,072 entries (`character_table`, 512 KB); nothing depends on its
neighbours, so that NumPy here and the graph of a SavedModel (`model/export.py`), which holds the same
table, split a text alike. By the table a character

- separates words: white space, punctuation, dashes, quotes and guillemets, symbols, U+FFFD;
- is left out: soft hyphens, joiners and other format characters, tatweel, variation selectors, skin
  tones;
- is a word of its own: pictographs; for "unicode-punctuation" punctuation and symbols, such as "!"; for
  "characters" every letter and digit, with the accents that follow it;
- or is part of a word, in lower case. Special cases are the same wherever the character stands: `İ`
  is `i`, `ß` stays and `ẞ` becomes it. Every sigma is `σ`, but `ς` at the end of a word.

Apostrophes (', ’, ‘, ´ and others) are one character. One between two letters stays in its word, as in
"don't"; all others are quotes and separate words. An elision is split: "l’été" is "l" and "été".

Categories come from Unicode 3.2, which every Python includes, and lower case only covers blocks that were
complete before Python 3.10 (Unicode 13): no table changes with the version of Python. Scripts newer than
3.2 are split at spaces and known punctuation.

Before that, a letter and its accent as two characters (NFD) become one character (NFC).
"""

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterator

import numpy as np

from .vocabulary import CHARACTERS, KERAS, PUNCTUATION

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
    return _unicode_words(text, tokenizer)


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


# --- text in any language ---

TABLE_SIZE = 1 << 17
"""Characters from here on, most of them rare ideographs, belong to words as they are."""

DROPPED = -1

SPACE_BEFORE, SPACE_AFTER = 1 << 24, 1 << 25
"""Flags of an entry, beside the character in its lower 24 bits."""

_APOSTROPHES = "'\u2018\u2019\u201b\u00b4\u02bc\u055a\uff07"

_DROPPED = ["\u00ad\u034f\u0640", *map(chr, [*range(0xFE00, 0xFE10), *range(0x1F3FB, 0x1F400)])]

_ADDED_SEPARATORS = ((0x2000, 0x200C), (0x20A0, 0x20D0), (0x2E00, 0x2E80))
"""Spaces, currency signs and punctuation, including some newer than Unicode 3.2."""

_PICTOGRAPHS = (0x1F000, 0x1FB00)

_CASED = (
    (0x0000, 0x0600), (0x10A0, 0x1100), (0x13A0, 0x1400), (0x1C90, 0x1CC0), (0x1E00, 0x2000),
    (0x2100, 0x2190), (0x24B6, 0x24D0), (0x2C00, 0x2C2F), (0x2C60, 0x2D00), (0xA640, 0xA6A0),
    (0xFF21, 0xFF3B), (0x10400, 0x10450),
)  # fmt: skip
"""Blocks with capitals that have long been complete."""

_OTHER_LOWER_CASE = {"İ": "i", "ς": "σ"}

_CLASSED = ((0x0000, 0x3400), (0xA000, 0xAC00), (0xF900, 0x10450), (0x1D000, 0x1D800))
"""Characters other than ideographs and syllables: the only ones that need a check."""

# From here on, the text has a space at either end, and spaces for separators. RE2 and Python read these
# patterns alike.
QUOTES = "'*[ ][ ']*|'{2,}[ ']*"
"""Spaces, and apostrophes outside a word; they become one space."""

_ELIDED = (  # noqa: SIM905
    "l d j m t s n c v qu jusqu lorsqu puisqu quoiqu quelqu presqu un all dall dell nell sull coll pell "
    "gl agl dagl degl negl sugl bell quell quest"
).split()

ELISIONS = f" ({'|'.join(_ELIDED)})'([^ st]|[st][^ ])"
"""French, Italian and Catalan (as in Lucene's ElisionFilter); not "d's", "t's"."""

FINAL_SIGMA = ("σ ".encode(), "ς ".encode())


@functools.cache
def character_table(tokenizer: str) -> np.ndarray:
    """Return int32[TABLE_SIZE], made in some 20 ms: the entry of each character, as above."""
    table = np.arange(TABLE_SIZE, dtype=np.int32)
    alone = SPACE_BEFORE | SPACE_AFTER
    marks = "PS" if tokenizer == PUNCTUATION else ""
    table |= letter_flags(tokenizer)
    for code in itertools.chain.from_iterable(itertools.starmap(range, _CLASSED)):
        category = unicodedata.ucd_3_2_0.category(chr(code))
        if category == "Cf":
            table[code] = DROPPED
        elif (category == "So" and code >= 0x2190) or category[0] in marks:
            table[code] = code | alone
        elif category[0] in "PSZ" or category == "Cc":
            table[code] = ord(" ")
        elif category[0] == "M":
            table[code] = code
    for first, last in _ADDED_SEPARATORS:
        table[first:last][table[first:last] & SPACE_AFTER == 0] = ord(" ")
    table[0xFFFD] = ord(" ")
    table[slice(*_PICTOGRAPHS)] |= alone
    for code in itertools.chain.from_iterable(itertools.starmap(range, _CASED)):
        lower = chr(code).lower()
        if len(lower) == 1 and lower != chr(code):
            table[code] = ord(lower) | (table[code] & alone)
    for upper, lower in _OTHER_LOWER_CASE.items():
        table[ord(upper)] = ord(lower) | letter_flags(tokenizer)
    table[[ord(each) for each in "".join(_DROPPED)]] = DROPPED
    table[[ord(each) for each in _APOSTROPHES]] = ord(" " if tokenizer == CHARACTERS else "'")
    return table


def letter_flags(tokenizer: str) -> int:
    """Return the flags of a letter, including letters beyond the table."""
    return SPACE_BEFORE if tokenizer == CHARACTERS else 0


@functools.cache
def compositions() -> tuple[np.ndarray, np.ndarray]:
    """Return the composition of each character and accent, as in Unicode's NFC.

    int64[pairs], ascending: character << 32 | accent; and int32[pairs], the one character for both.
    """
    found = []
    for code in itertools.chain.from_iterable(itertools.starmap(range, _CLASSED)):
        parts = unicodedata.ucd_3_2_0.decomposition(chr(code)).split()
        if len(parts) != 2 or parts[0].startswith("<"):
            continue
        if unicodedata.ucd_3_2_0.normalize("NFC", chr(code)) == chr(code):  # some stay two characters
            found.append((int(parts[0], 16) << 32 | int(parts[1], 16), code))
    pairs, composed = zip(*sorted(found), strict=True)
    return np.array(pairs, np.int64), np.array(composed, np.int32)


COMPOSITION_ROUNDS = 3
"""Accents on one character, composed one after the other: Vietnamese has two."""


@functools.cache
def _accents() -> np.ndarray:
    """Return bool[TABLE_SIZE]: the characters that compose with the one before them."""
    accents = np.zeros(TABLE_SIZE, bool)
    accents[compositions()[0] & 0xFFFFFFFF] = True
    return accents


def _composed(codes: np.ndarray) -> np.ndarray:
    pairs, composed = compositions()
    for _ in range(COMPOSITION_ROUNDS):
        if not _accents().take(codes, mode="clip")[1:].any():
            break
        wanted = codes[:-1].astype(np.int64) << 32 | codes[1:]
        place = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
        found = np.flatnonzero(pairs[place] == wanted)
        codes = codes.copy()
        codes[found] = composed[place[found]]
        codes = np.delete(codes, found + 1)
    return codes


@functools.cache
def _ascii_table(tokenizer: str) -> bytes:
    return bytes((character_table(tokenizer)[:128] & 0x7F).tolist()) + bytes(128)


_BEFORE = "|".join(
    f"(?<= (?:{'|'.join(words)})')" for _, words in itertools.groupby(sorted(_ELIDED, key=len), len)
)

_ELIDED_APOSTROPHE = re.compile(f"'(?:{_BEFORE})(?=[^ st]|[st][^ ])".encode())
"""The apostrophes of `ELISIONS`: fast, as it begins with a character."""

_ASCII_MARKS = [bytes([code]) for code in range(ord("!"), 127) if not chr(code).isalnum() and code != 39]


def _unicode_words(text: bytes, tokenizer: str) -> list[bytes]:
    """Return the words of a UTF-8 text, in order; invalid bytes separate words.

    >>> [word.decode() for word in tokenise("L’été — «ÉPATANT» 👍🏽!".encode(), "unicode")]
    ['l', 'été', 'épatant', '👍']
    """
    if tokenizer == CHARACTERS or not text.isascii():
        mapped = _mapped(text, tokenizer)
    else:
        mapped = text.translate(_ascii_table(tokenizer))
        if tokenizer == PUNCTUATION:
            for mark in _ASCII_MARKS:
                mapped = mapped.replace(mark, b" %b " % mark)
    if b"'" in mapped:
        # as QUOTES does, but for the number of spaces, without visiting every space
        mapped = b" %b " % mapped
        mapped = mapped.replace(b"''", b" ").replace(b" '", b" ").replace(b"' ", b" ")
        mapped = _ELIDED_APOSTROPHE.sub(b" ", mapped)
    if tokenizer != CHARACTERS and not mapped.isascii() and FINAL_SIGMA[0][:2] in mapped:
        mapped = (mapped + b" ").replace(*FINAL_SIGMA)
    return mapped.split()


def _mapped(text: bytes, tokenizer: str) -> bytes:
    """Return the text with each character replaced by its entry in the table; 16 bytes per character."""
    codes = np.frombuffer(text.decode("utf-8", "replace").encode("utf-32-le"), np.int32)
    codes = _composed(codes)
    entries: np.ndarray = character_table(tokenizer).take(codes, mode="clip")
    if codes.max(initial=0) >= TABLE_SIZE:
        entries = np.where(codes < TABLE_SIZE, entries, codes | letter_flags(tokenizer))
    entries = entries[entries != DROPPED]
    before, after = entries & SPACE_BEFORE, entries & SPACE_AFTER
    if before.any() or after.any():
        spaced = np.stack([before, entries & (SPACE_BEFORE - 1), after], axis=1)
        kept = np.stack([before > 0, np.ones(len(entries), bool), after > 0], axis=1)
        spaced[:, ::2] = ord(" ")
        entries = spaced[kept]
    return entries.tobytes().decode("utf-32-le").encode()

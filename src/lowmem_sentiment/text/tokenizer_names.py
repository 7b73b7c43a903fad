"""The names of the tokenizers, apart from `tokenizer.py`, which needs NumPy."""

from ..system.errors import DataError, printable

KERAS, UNICODE, PUNCTUATION, CHARACTERS = TOKENIZERS = (
    "keras", "unicode", "unicode-punctuation", "characters",
)  # fmt: skip


def check_tokenizer(name: str, where: str) -> None:
    """Raise DataError unless `name`, found at `where`, is one of `TOKENIZERS`."""
    if name not in TOKENIZERS:
        shown = printable(repr(name), 60)
        raise DataError(f"{where} is {shown}, expected one of {', '.join(TOKENIZERS)}")

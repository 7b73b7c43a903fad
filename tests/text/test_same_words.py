"""Training and prediction read the same words out of the same bytes, in every format."""

import json

import pytest
from helpers import ids_of

from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.preparation.settings import PreparationSettings
from lowmem_sentiment.sources.files import FilesSource
from lowmem_sentiment.sources.settings import FilesSettings
from lowmem_sentiment.system.errors import DataError
from lowmem_sentiment.text.reader_settings import ReaderSettings
from lowmem_sentiment.text.readers.formats import read_rows
from lowmem_sentiment.text.tokenizers import tokenise

ODD = [
    b"a\0b c",
    b"x\xffy z",
    b"caf\xc3\xa9 \xc3 end",
    b"\xef\xbb\xbfmark",
    b"cut \xf0\x9f",
    b"plain",
]


def files_of(format_: str) -> bytes:
    """Return a file of `ODD` texts, each behind a word of its own, with a byte-order mark."""
    rows = [b"w%d %s" % (nth, text) for nth, text in enumerate(ODD)]
    if format_ == "jsonl":
        escaped = ["\ud800 half", "other \udc80 half", "pair \U0001f600", "nul \0 there", "raw \udce9"]
        lines = [
            json.dumps({"text": f"e{nth} {text}", "label": "ab"[nth % 2]})
            for nth, text in enumerate(escaped)
        ]
        raw = [
            b'{"text": "%s", "label": "a"}' % row for row in rows if b"\0" not in row and b"\r" not in row
        ]
        return b"\xef\xbb\xbf" + b"\n".join([*(line.encode() for line in lines), *raw])
    if format_ == "fasttext":
        lines = [b"__label__%c %s" % (b"ab"[nth % 2], row) for nth, row in enumerate(rows)]
        return b"\xef\xbb\xbf" + b"\r\n".join(lines)
    delimiter = {"csv": b",", "tsv": b"\t"}[format_]
    lines = [b"text" + delimiter + b"label"]
    lines += [b'"%s"%s%c' % (row, delimiter, b"ab"[nth % 2]) for nth, row in enumerate(rows)]
    return b"\xef\xbb\xbf" + b"\r\n".join(lines)


@pytest.mark.parametrize("errors", ["replace", "ignore"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
@pytest.mark.parametrize("format_", ["csv", "tsv", "jsonl", "fasttext"])
def test_prepare_and_predict_see_the_same_ids(tmp_path, format_, encoding, errors):
    path = tmp_path / "odd.any"
    path.write_bytes(files_of(format_) if encoding == "utf-8" else files_of(format_)[3:])
    options = {"format": format_, "errors": errors, "encoding": encoding}
    settings = FilesSettings(**options, test=(str(path),))
    copy = tmp_path / "train.any"
    copy.write_bytes(path.read_bytes())
    source = FilesSource([copy], settings)
    dataset = prepare(source, tmp_path / "out", PreparationSettings(workers=1))
    prepared = [ids.tolist() for block in dataset.read("test") for ids in block.split()]
    vocabulary = dataset.vocabulary()
    texts = [row.text for rows in read_rows(path, ReaderSettings(**options)) for row in rows]
    assert [ids_of(vocabulary, tokenise(text, dataset.tokenizer)) for text in texts] == prepared
    assert len(texts) >= 6


@pytest.mark.parametrize("format_", ["csv", "jsonl", "fasttext"])
def test_both_refuse_the_same_row_when_strict(tmp_path, format_):
    path = tmp_path / "odd.any"
    path.write_bytes(files_of(format_))
    messages = []
    for read in (
        lambda: prepare(FilesSource([path], FilesSettings(format=format_)), tmp_path / "out"),
        lambda: list(read_rows(path, ReaderSettings(format=format_))),
    ):
        with pytest.raises(DataError) as error:
            read()
        messages.append(str(error.value).split(" (--skip")[0])
    assert messages[0] == messages[1]

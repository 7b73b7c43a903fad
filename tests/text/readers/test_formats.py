import gzip
import io
import json
import os

import pytest

from lowmem_sentiment.system.errors import DataError, InputMissing, SettingsError
from lowmem_sentiment.text.reader_settings import ReaderSettings
from lowmem_sentiment.text.readers.formats import read_rows


def read_texts(source, settings=None):
    """Yield the texts of each list of rows."""
    for rows in read_rows(source, settings):
        yield [row.text for row in rows]


def read(content: bytes, **settings) -> list[bytes]:
    return [
        text for block in read_texts(io.BytesIO(content), ReaderSettings(**settings)) for text in block
    ]


def read_until_error(content: bytes, **settings) -> tuple[list[bytes], str]:
    got = []
    with pytest.raises(DataError) as error:
        for block in read_texts(io.BytesIO(content), ReaderSettings(**settings)):
            got += block
    return got, str(error.value)


CAFE, TABLE = "café\nnaïve", b'id,text\n1,"Great, and ""moving"""\n\n2,dull\n'


@pytest.mark.parametrize(
    ("content", "settings", "texts"),
    [
        (b"one\n\ntwo\r\nthree", {}, ["one", "", "two", "three"]),
        (b"", {}, []), (b"", {"format": "csv"}, []), (b"", {"format": "jsonl"}, []),
        (b"\xef\xbb\xbfgood", {}, ["good"]),  # a byte-order mark
        (b"\xef\xbb\xbftext,id\ngood,1\n", {"format": "csv"}, ["good"]),
        (CAFE.encode("latin-1"), {"encoding": "latin-1"}, ["café", "naïve"]),
        (CAFE.encode("utf-16"), {"encoding": "utf-16"}, ["café", "naïve"]),
        (b"b\xe9d", {"errors": "replace"}, ["b\ufffdd"]), (b"b\xe9d", {"errors": "ignore"}, ["bd"]),
        (TABLE, {"format": "csv"}, ['Great, and "moving"', "dull"]),
        (b"1,good\n2,bad\n", {"format": "csv", "text_column": "2"}, ["good", "bad"]),
        (b"id\treview\n1\tgood\n", {"format": "tsv", "text_column": "review"}, ["good"]),
        (b'text\n"one\ntwo"\nthree\n', {"format": "csv"}, ["one\ntwo", "three"]),
    ],
)  # fmt: skip
def test_texts_are_read(content, settings, texts):
    assert read(content, **settings) == [text.encode() for text in texts]


class Slow(io.BytesIO):
    """A stream that has three bytes at a time."""

    def read1(self, size=-1):
        return super().read1(3)

    def peek(self, size=0):
        return self.getvalue()[self.tell() :][:3]


def test_a_line_that_comes_in_many_reads_is_one_text():
    def read_slowly(content, **settings):
        blocks = read_texts(Slow(content), ReaderSettings(**settings))
        return [text for block in blocks for text in block]

    assert read_slowly(b"a long line\nand\nanother one") == [b"a long line", b"and", b"another one"]
    assert read_slowly(b'text\n"a,\nb"\nc\n', format="csv") == [b"a,\nb", b"c"]


@pytest.mark.parametrize(
    ("format_", "line"),
    [("text", b"good\n"), ("jsonl", b'{"text": "good"}\n\n'), ("csv", b'"good"\n')],
)
def test_texts_are_given_as_soon_as_they_are_there(format_, line):
    reading, writing = os.pipe()
    with open(reading, "rb") as stream, open(writing, "wb", buffering=0) as out:
        blocks = read_texts(
            stream, ReaderSettings(format=format_, text_column="1" if format_ == "csv" else None)
        )
        for _ in range(3):
            out.write(line + line[:4])  # and a part of the next, which must not be waited for
            assert next(blocks) == [b"good"]
            out.write(line[4:])
            assert next(blocks) == [b"good"]


def test_a_bad_row_is_named_by_its_line_and_keeps_what_was_before():
    got, error = read_until_error(b"good\nfine\nb\xe9d\nmore\n")
    assert got == [b"good", b"fine"]
    assert "input:3: is not UTF-8 (byte 0xe9 at character 2); pass its --encoding, such as" in error
    got, error = read_until_error(b"id,text\n1,good\n2\n", format="csv")
    assert got == [b"good"] and "input:3: has 1 column, expected 2" in error
    _, error = read_until_error("a\nb".encode("utf-16-le") + b"\x00", encoding="utf-16-le")
    assert "input:2: is not utf-16-le" in error
    _, error = read_until_error("a\nb".encode("utf-16-le"), encoding="utf-16")
    assert error == "input is not utf-16: UTF-16 stream does not start with BOM; pass its --encoding"


def test_json_lines_give_a_field():
    lines = [json.dumps({"review": "Café"}), "", '{"review": "half \\ud83d a pair"}']
    content = "\n".join(lines).encode()
    for column in (None, "review"):
        assert read(content, format="jsonl", text_column=column, errors="replace") == [
            "Café".encode(),
            "half \ufffd a pair".encode(),
        ]
    got, error = read_until_error(content, format="jsonl")
    assert got == ["Café".encode()] and "input:3: is not UTF-8: it holds half a surrogate pair" in error


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"{", "input:2: is not JSON"),
        (b'{"txt": 1, "id": 2}', "input:2: has no field 'text'; it has txt, id"),
        (b'{"text": 5}', "input:2: has no text: its field 'text' is 5"),
        (b"[1]", "input:2: is not a JSON object but an array"),
        (b"[" * 100_000, "input:2: is not JSON"),
    ],
)
def test_broken_json_lines_name_the_line(line, error):
    got, message = read_until_error(b'{"text": "good"}\n' + line + b"\n", format="jsonl")
    assert got == [b"good"] and error in message


def test_the_format_follows_the_files_name_and_gz_is_unpacked(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"text\ngood\n"))
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "good"}\n')
    (tmp_path / "a.log").write_bytes(b"good\n")
    for path in tmp_path.iterdir():
        assert list(read_texts(path)) == [[b"good"]]
        assert list(read_texts(path, ReaderSettings(format="auto"))) == [[b"good"]]


def test_a_gz_cut_short_is_refused_after_what_it_holds(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"".join(b"text %d\n" % n for n in range(50_000)))[:-40_000])
    got = []
    with pytest.raises(DataError, match=r"a\.txt\.gz is damaged or cut short: gzip"):
        for block in read_texts(path):
            got += block
    assert got == [b"text %d" % n for n in range(len(got))] and got


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(InputMissing, match="cannot read"):
            list(read_texts(path))


def test_a_line_without_end_is_refused_before_it_fills_the_memory():
    with pytest.raises(DataError, match="input:2: is longer than 16 MiB"):
        read(b"good\n" + b"x" * (20 << 20))


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"encoding": "klingon"}, "encoding is 'klingon'"),
        ({"encoding": "hex"}, "encoding is 'hex'"),
        ({"encoding": "idna"}, "encoding is 'idna'"),
        ({"encoding": "punycode"}, "encoding is 'punycode'"),
        ({"errors": "panic"}, "expected one of strict, replace, ignore"),
        ({"format": "xml"}, "expected one of auto, csv, tsv, jsonl, fasttext, text, tar, zip"),
        ({"table": "a", "query": "select 1"}, "table and query were given"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, error):
    with pytest.raises(SettingsError, match=error):
        ReaderSettings(**settings)

"""Every form of labelled text, and everything that can be wrong with it."""

import bz2
import gzip
import io
import itertools
import json
import lzma
import os
import random
import tarfile
import threading
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from helpers import run_cli, write

from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.preparation.settings import SKIPPED_ROWS, PreparationSettings
from lowmem_sentiment.sources.chunks import Review
from lowmem_sentiment.sources.files import FilesSource
from lowmem_sentiment.sources.settings import FilesSettings
from lowmem_sentiment.system.errors import DataError, InputMissing, SettingsError
from lowmem_sentiment.text.reader_settings import ReaderSettings, Reading
from lowmem_sentiment.text.readers import csv_tsv
from lowmem_sentiment.text.readers.csv_rows import CsvBlock, RowParser
from lowmem_sentiment.text.rows import BLOCK_BYTES, BadRow, ParsedRows, PassedOver, Row

REVIEWS = [
    ("A great film", "pos"),
    ("a dull, dull film", "neg"),
    ('It was "great",\nreally', "pos"),
    ("worst mess", "neg"),
    ("moving", "pos"),
    ("boring", "neg"),
]
CSV = """\
text,label
A great film,pos
"a dull, dull film",neg
"It was ""great"",
really",pos
worst mess,neg
moving,pos
boring,neg
"""


def read(path: Path | str, **settings) -> list[Review | BadRow]:
    chunks = FilesSource([path], FilesSettings(**settings)).chunks()
    rows = [review for chunk in chunks for review in chunk.reviews()]
    return [row for row in rows if not isinstance(row, PassedOver)]


def texts(rows: list[Review | BadRow]) -> list[tuple[str, str]]:
    return [(row.text.decode(), row.label) for row in rows]


def prepared(path, out: Path, *, settings: PreparationSettings | None = None, **options) -> Dataset:
    paths = path if isinstance(path, list) else [path]
    return prepare(FilesSource(paths, FilesSettings(**options)), out, settings)


def decoded(dataset: Dataset, split: str) -> list[tuple[str, str]]:
    vocabulary = dataset.vocabulary()
    return [
        (vocabulary.decode(ids[1:]), dataset.labels[label])
        for block in dataset.read(split)
        for ids, label in zip(block.split(), block.labels, strict=True)
    ]


# --- forms ---


def test_csv_with_quoted_line_ends(tmp_path):
    rows = read(write(tmp_path / "r.csv", CSV))
    assert texts(rows) == REVIEWS
    assert read(tmp_path / "r.csv", format="auto") == rows
    assert rows[3].place == f"{tmp_path}/r.csv:6"


@pytest.mark.parametrize(
    "content, settings",
    [
        ("A great film,pos\nboring,neg\n", {"text_column": "1", "label_column": "2"}),
        ("x,y\nA great film,pos\nboring,neg\n", {"text_column": "1", "label_column": "y"}),
        (
            "x,y\nA great film,pos\nboring,neg\n",
            {"text_column": "1", "label_column": "2", "header": True},
        ),
        ("Review,id,Sentiment\nA great film,1,pos\n\nboring,2,neg\n", {}),
        ("stars,comment\npos,A great film\nneg,boring", {}),
    ],
)
def test_csv_columns_by_name_and_number(tmp_path, content, settings):
    rows = read(write(tmp_path / "r.csv", content), **settings)
    assert texts(rows) == [("A great film", "pos"), ("boring", "neg")]


def serially_parsed(content: bytes, format_: str = "csv", **settings) -> list[Row | BadRow]:
    """Return what the parser makes of a whole file, read at once and never cut."""
    rest = csv_tsv.Unread(io.BytesIO(content).read)
    while not rest.at_end:
        rest.more(b"")
    rest.data = rest.data.removeprefix(b"\xef\xbb\xbf")
    file = csv_tsv._open(rest, "r.csv", Reading(ReaderSettings(**settings)), format_)
    return [] if file is None else list(RowParser(rest.data, rest.line, file, True).rows())


def cut(
    content: bytes, size: int, format_: str = "csv", **settings
) -> tuple[list[Row | BadRow], set[type]]:
    """Return what the tool makes of a file read `size` bytes at a time, and the kinds of its blocks."""
    stream, reading = io.BytesIO(content), Reading(ReaderSettings(**settings))
    blocks = list(csv_tsv.csv_blocks(lambda: stream.read(size), "r.csv", reading, format_))
    return [row for block in blocks for row in block.rows()], {type(block) for block in blocks}


REGULAR_CSV = [
    CSV.encode(),
    CSV.encode().removesuffix(b"\n"),
    b"\xef\xbb\xbf" + CSV.encode().replace(b"\n", b"\r\n"),
    'text,label\n"über, ""größer""\n\n",ä\n"""",x\n"","",""\n""\n,\n\n\r\ncafé,é'.encode(),
    b'\n\r\n"text","label"\r\n"a\r\nb","x\n"\r\ncaf\xe9,neg\r\n"\xe2\x82,",\xff\r\n',
]
IRREGULAR_CSV = [
    b'text,label\n5" disk,pos\n"a\nb",neg\n"never closed,neg\nc,d\n',
    b'text,label\na,b\n"bad"quote,neg\n"c\nd",e\n',
    b"text,label\na,b\rc,d\re,f\n",
    b'text,label\na,b\n"x""\n"y,z\nc,d\n',
]


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1 << 20])
def test_cut_csv_gives_what_the_serial_parser_gives(size):
    for content in REGULAR_CSV:
        rows, kinds = cut(content, size)
        assert rows == serially_parsed(content)
        assert CsvBlock in kinds
    for content in IRREGULAR_CSV:
        rows, kinds = cut(content, size)
        assert rows == serially_parsed(content)
        assert ParsedRows in kinds
    for content in REGULAR_CSV + IRREGULAR_CSV[:2]:
        columns = {"text_column": "1", "label_column": "1", "quotes": False}
        rows, kinds = cut(content, size, **columns)
        assert rows == serially_parsed(content, **columns)


@pytest.mark.slow
@pytest.mark.parametrize("format_", ["csv", "tsv"])
def test_cut_csv_gives_what_the_serial_parser_gives_for_random_bytes(format_):
    chance, kinds = random.Random(5), Counter()
    regular = ["word", ",", "\n", "\r\n", '"a"', '"b,""c""\n"', '"é\r\n"', "ü", '""', "\n\n"]
    for _ in range(1_500):
        pieces = regular if chance.random() < 0.5 else [*regular, '"', "\r", "\0", "\udcff"]
        row = chance.choices(pieces, k=chance.randrange(40))
        content = ("text,label\n" + "".join(row)).encode("utf-8", "surrogateescape")
        content = content.replace(b",", b"\t") if format_ == "tsv" else content
        errors = chance.choice(["strict", "replace", "ignore"])
        options = {"quotes": chance.random() < 0.8, "errors": errors}
        rows, used = cut(content, chance.choice([1, 3, 10, 30, 1000]), format_, **options)
        assert rows == serially_parsed(content, format_, **options), content
        kinds.update(used)
    assert min(kinds[kind] for kind in (CsvBlock, ParsedRows)) > 100


@pytest.mark.slow
@pytest.mark.parametrize("size", [1 << 10, 1 << 23])
def test_a_quote_that_is_never_closed_costs_its_line_alone(size):
    content = b'text,label\na,b\n"' + b"%s,d\n" % (b"c" * 97) * 180_000  # 18 MB
    stream = io.BytesIO(content)
    blocks = csv_tsv.csv_blocks(lambda: stream.read(size), "r.csv", Reading())
    rows = [row for block in itertools.islice(blocks, 3) for row in block.rows()]
    [bad] = [str(row) for row in rows if isinstance(row, BadRow)]
    assert bad.startswith("r.csv:3: is not CSV: the quote that begins a field here")
    assert len(rows) > 20_000


def test_blocks_after_a_quote_that_is_never_closed_stay_small():
    content = b'text,label\n"open ' + b"%s,d\n" % (b"c" * 997) * 9_000  # 9 MB, whole before it is refused
    blocks = list(csv_tsv.csv_blocks(io.BytesIO(content).read, "r.csv", Reading()))
    assert sum(1 for block in blocks for _ in block.rows()) == 9_000
    assert max(len(block.data) for block in blocks if isinstance(block, CsvBlock)) <= 2 * BLOCK_BYTES


def test_one_open_quote_loses_one_review_and_not_the_file(tmp_path):
    lines = [f"film {nth},{'pos' if nth % 2 else 'neg'}" for nth in range(200)]
    lines[50] = '"' + lines[50]
    path = write(tmp_path / "r.csv", "text,label\n" + "\n".join(lines))
    dataset = prepared(path, tmp_path / "out", settings=PreparationSettings(skip_bad_rows=1))
    assert dataset.num_reviews("train") + dataset.num_reviews("test") == 199
    assert (dataset.directory / SKIPPED_ROWS).read_text().startswith(f"{path}:52: is not CSV: the quote")


def test_quotes_in_tsv_are_characters_where_they_hold_whole_rows(tmp_path):
    content = 'text\tlabel\n"Hello...\tpos\nbye\tneg\n"\tneg\nso "so"\tpos\n"in ""quotes"""\tpos\n'
    path = write(tmp_path / "r.tsv", content)
    assert texts(read(path)) == [
        ('"Hello...', "pos"), ("bye", "neg"), ('"', "neg"), ('so "so"', "pos"), ('in "quotes"', "pos"),
    ]  # fmt: skip
    path = write(tmp_path / "s.tsv", 'label\ttext\npos\t"two\nlines"\nneg\t"one"\n')
    assert texts(read(path)) == [("two\nlines", "pos"), ("one", "neg")]
    path = write(tmp_path / "t.tsv", 'text\tlabel\n"two\nlines"\tpos\n"one"\tneg\n')
    assert texts(read(path)) == [("two\nlines", "pos"), ("one", "neg")]


def test_json_lines(tmp_path):
    lines = [{"text": text, "label": label} for text, label in REVIEWS]
    lines += [{"text": "fünf", "label": 5}, {"text": "ja", "label": True}]
    path = write(tmp_path / "r.jsonl", "\n".join(map(json.dumps, lines)))
    assert texts(read(path)) == [*REVIEWS, ("fünf", "5"), ("ja", "true")]
    path = write(tmp_path / "s.jsonl", '{"body": "x", "stars": "1"}\n')
    assert texts(read(path, text_column="body", label_column="stars")) == [("x", "1")]


def test_fasttext(tmp_path):
    path = write(tmp_path / "r.txt", "__label__pos A great film\n\n__label__neg\tboring  \r\n")
    rows = read(path)
    assert texts(rows) == [("A great film", "pos"), ("boring  ", "neg")]
    assert rows[1].place.endswith("r.txt:3")


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_files_are_known_by_their_first_bytes(tmp_path, compress):
    path = write(tmp_path / "r.csv", compress(CSV.encode()))
    assert texts(read(path)) == REVIEWS


def folder(root: Path) -> Path:
    for nth, (text, label) in enumerate(REVIEWS):
        for split in ("train", "test"):
            write(root / split / label / f"{nth}.txt", f"{text} {split}")
    write(root / "train" / "urls_pos.txt", "http://")
    write(root / "train" / "pos" / "._0.txt", "AppleDouble")
    write(root / "train" / "pos" / "labels.feat", "1:1")
    write(root / "README", "read me")
    return root


def tar_of(root: Path, path: Path, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for file in sorted(root.rglob("*")):
            archive.add(file, f"{root.name}/{file.relative_to(root)}", recursive=False)
    return path


def test_folder_and_tar_of_it_give_the_same(tmp_path):
    root = folder(tmp_path / "texts")
    rows = read(root)
    assert [row.split for row in rows] == ["test"] * 6 + ["train"] * 6
    assert [row.label for row in rows] == (["neg"] * 3 + ["pos"] * 3) * 2
    assert rows[0].text == b"a dull, dull film test"
    archived = read(tar_of(root, tmp_path / "texts.tar.gz"))
    assert [row[:3] for row in archived] == [row[:3] for row in rows]
    assert archived[0].place == f"{tmp_path}/texts.tar.gz:texts/test/neg/1.txt"


def test_folder_without_a_split_is_split_by_hash(tmp_path):
    root = folder(tmp_path / "texts")
    rows = read(root / "train", test_fraction=0.5)
    assert {row.split for row in rows} == {"train", "test"}
    assert {row.split for row in read(root / "train", test_fraction=0)} == {"train"}


def test_several_files_globs_and_test_files(tmp_path):
    for name in ("b", "a"):
        write(tmp_path / f"{name}.csv", f"text,label\n{name} one,pos\n{name} two,neg\n")
    test = write(tmp_path / "held" / "t.jsonl", '{"text": "a test", "label": "pos"}\n')
    dataset = prepared(f"{tmp_path}/*.csv", tmp_path / "out", test=(str(test),))
    expected = [("a one", "pos"), ("a two", "neg"), ("b one", "pos"), ("b two", "neg")]
    assert decoded(dataset, "train") == expected
    assert dataset.num_reviews("test") == 1


def test_standard_input(tmp_path):
    command = ["prepare", "files", "-", "--format", "csv", "--test-fraction", "0.5", "--out"]
    done = run_cli(*command, tmp_path / "out", input=CSV)
    assert done.returncode == 0, done.stderr
    assert Dataset(tmp_path / "out").name == "stdin"
    done = run_cli("prepare", "files", "-", "--out", tmp_path / "other", input=CSV)
    assert done.returncode == 2
    assert "the format of standard input is not known" in done.stderr


def test_a_pipe_with_a_name(tmp_path):
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(CSV,))
    writer.start()
    assert texts(read(pipe)) == REVIEWS
    writer.join()


# --- splits, labels, vocabulary ---


def test_the_hash_puts_a_text_on_the_same_side_in_every_form(tmp_path):
    lines = [f"word{nth} film" for nth in range(400)]
    csv = write(tmp_path / "r.csv", "text,label\n" + "".join(f"{line},pos\n" for line in lines))
    fasttext = write(tmp_path / "r.txt", "".join(f"__label__neg {line}\n" for line in lines))
    sides = [row.split for row in read(csv)]
    assert sides == [row.split for row in read(fasttext)]
    assert [nth for nth, side in enumerate(sides) if side == "test"][:5] == [1, 13, 16, 18, 20]
    assert 50 < sides.count("test") < 110


def test_a_duplicate_is_not_on_both_sides(tmp_path):
    path = write(tmp_path / "r.csv", "text,label\n" + "same text,pos\nsame text,neg\n" * 50)
    assert len({row.split for row in read(path)}) == 1


def test_label_map_renames_merges_and_drops(tmp_path):
    rows = [f"film {star} {nth},{star}\n" for nth in range(20) for star in range(1, 6)]
    path = write(tmp_path / "r.csv", "text,label\n" + "".join(rows))
    stars = {"1": "negative", "2": "negative", "3": "", "4": "positive", "5": "positive"}
    dataset = prepared(path, tmp_path / "out", label_map=stars)
    assert dataset.labels == ["negative", "positive"]
    assert dataset.source["dropped_reviews"] == 20
    assert dataset.num_reviews("train") + dataset.num_reviews("test") == 80


def test_labels_are_sorted_numbers_as_numbers_or_as_given(tmp_path):
    rows = [f"film {nth},{label}\n" for nth in range(30) for label in ("10", "9", "x")]
    path = write(tmp_path / "r.csv", "text,label\n" + "".join(rows))
    assert prepared(path, tmp_path / "a").labels == ["9", "10", "x"]
    assert prepared(path, tmp_path / "b", labels=("x", "9", "10")).labels == ["x", "9", "10"]
    with pytest.raises(DataError, match=r"r.csv:4: the label is 'x', expected one of 9, 10"):
        prepared(path, tmp_path / "c", labels=("9", "10"))
    with pytest.raises(DataError, match="no review has the label 'y'; there are 9, 10, x"):
        prepared(path, tmp_path / "c", labels=("9", "10", "x", "y"))


def test_vocabulary_is_of_the_training_split_alone(tmp_path):
    train = write(tmp_path / "a.csv", "text,label\nb a b,pos\nb rare,neg\n")
    test = write(tmp_path / "t.csv", "text,label\nunseen a,pos\n")
    dataset = prepared(train, tmp_path / "out", test=(str(test),))
    assert dataset.vocabulary().words == [b"b", b"a", b"rare"]
    assert decoded(dataset, "test") == [("# a", "pos")]
    settings = PreparationSettings(min_count=3, recipe="tutorial")
    dataset = prepared(train, tmp_path / "two", test=(str(test),), settings=settings)
    assert dataset.vocabulary().words == [b"b"]


def test_a_given_vocabulary_is_used(tmp_path):
    words = write(tmp_path / "words.txt", "film\ngreat\n")
    path = write(tmp_path / "r.csv", CSV)
    settings = PreparationSettings(vocabulary=words)
    dataset = prepared(path, tmp_path / "out", settings=settings, test_fraction=0.5)
    assert dataset.vocabulary().words == [b"film", b"great"]
    assert dataset.source["vocabulary"] == {"file": str(words)}


@pytest.mark.parametrize("content, line", [("film\nFilm\n", 2), ("film\r\n", 1), ("a\nb\na\n", 3)])
def test_a_given_vocabulary_is_checked(tmp_path, content, line):
    settings = PreparationSettings(vocabulary=write(tmp_path / "words.txt", content))
    with pytest.raises(DataError, match=rf"words.txt:{line}: .* is not a word, or is there twice"):
        prepared(write(tmp_path / "r.csv", CSV), tmp_path / "out", settings=settings)


# --- bad input ---

BAD_ROWS = [
    ("csv", "text,label\ngood,pos\n ,neg\n", ":3: has no text"),
    ("csv", "text,label\ngood,pos\nbad,\n", ":3: has no label"),
    ("csv", 'text,label\n"two\nlines",pos\nbad,neg,more\n', ":4: has 3 columns, expected 2"),
    ("csv", "text,label\ngood,pos\nbad\n", ":3: has 1 column, expected 2"),
    ("csv", b"text,label\ngood,pos\ncaf\xe9,neg\n", ":3: is not UTF-8"),
    ("csv", "text,label\nä,pos\n".encode() + "ä,neg\n".encode("latin-1"), ":3: is not UTF-8"),
    ("csv", "text,label\ngood,pos\nb\0d,neg\n", ":3: (holds a NUL byte|is not CSV: line contains NUL)"),
    (
        "csv",
        'text,label\ngood,pos\n"never closed,neg\n',
        ":3: is not CSV: the quote that .* never closed",
    ),
    ("csv", 'text,label\ngood,pos\n"bad"quote,neg\n', ":3: is not CSV"),
    ("csv", "text,label\ngood,pos\n" + "x" * (17 << 20) + ",neg\n", ":3: is longer than 16 MiB"),
    ("jsonl", '{"text": "a", "label": "b"}\n{"text": \n', ":2: is not JSON"),
    ("jsonl", "[1]\n", ": item 1: is not a JSON object but a number"),
    ("jsonl", '{"label": "b"}\n', ":1: has no field 'text'; it has label"),
    ("jsonl", '{"text": null, "label": "b"}\n', ":1: has no text"),
    ("jsonl", '{"text": "a", "label": null}\n', ":1: has no label"),
    ("jsonl", '{"text": "a\\u0000", "label": "b"}\n', ":1: holds a NUL byte"),
    ("jsonl", '{"text": "\\ud800", "label": "b"}\n', ":1: is not UTF-8"),
    ("jsonl", b'{"text": "caf\xe9", "label": "b"}\n', ":1: is not UTF-8"),
    ("txt", "__label__a good\nno label\n", ":2: does not have a word __label__NAME"),
    ("txt", "__label__a __label__b text\n", ":1: has 2 labels, expected one"),
    ("txt", b"__label__a caf\xe9\n", ":1: is not UTF-8"),
]


@pytest.mark.parametrize("suffix, content, expected", BAD_ROWS)
def test_a_bad_row_is_named_by_file_and_line(tmp_path, suffix, content, expected):
    path = write(tmp_path / f"r.{suffix}", content)
    with pytest.raises(DataError, match=f"^{path}{expected}"):
        prepared(path, tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def test_bad_rows_up_to_a_number_are_skipped_and_listed(tmp_path):
    content = "text,label\n" + "".join(f"film {nth},{'pos' if nth % 2 else 'neg'}\n" for nth in range(40))
    path = write(tmp_path / "r.csv", content + "bad,\none\n")
    dataset = prepared(path, tmp_path / "out", settings=PreparationSettings(skip_bad_rows=2))
    assert (dataset.directory / SKIPPED_ROWS).read_text() == (
        f"{path}:42: has no label\n{path}:43: has 1 column, expected 2 as in the first row\n"
    )
    assert dataset.source["skipped_rows"] == 2
    with pytest.raises(DataError, match=r"r.csv:43: .*1 bad row was skipped before it"):
        prepared(path, tmp_path / "other", settings=PreparationSettings(skip_bad_rows=1))


def test_undecodable_bytes_are_replaced_when_asked(tmp_path):
    for suffix, content in {
        "csv": b"text,label\ncaf\xe9,pos\n",
        "jsonl": b'{"text": "caf\xe9", "label": "pos"}\n',
        "txt": b"__label__pos caf\xe9\n",
    }.items():
        path = write(tmp_path / f"r.{suffix}", content)
        assert texts(read(path, errors="replace")) == [("caf�", "pos")]
    path = write(tmp_path / "s.jsonl", '{"text": "x\\ud800y", "label": "pos"}\n')
    assert read(path, errors="replace")[0].label == "pos"


def test_unknown_columns_are_told_with_those_there_are(tmp_path):
    path = write(tmp_path / "r.csv", "foo,bar\na,b\n")
    with pytest.raises(DataError, match=r"no column is named text or .* the first row has 'foo', 'bar'"):
        read(path)
    path = write(tmp_path / "r.csv", "foo;body\na;b\n")
    with pytest.raises(DataError, match=r"no column is named rating; the first row has 'foo', 'body'"):
        read(path, text_column="body", label_column="rating")
    with pytest.raises(DataError, match=r"r.csv:1: there is no column 3; expected 1 to 2"):
        read(path, text_column="3", label_column="1")


def test_a_tar_cut_short_or_no_tar(tmp_path):
    path = tar_of(folder(tmp_path / "texts"), tmp_path / "r.tar", "w")
    write(path, path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"r.tar is damaged or cut short"):
        read(path)
    with pytest.raises(DataError, match=r"s.tar is damaged or cut short"):
        read(write(tmp_path / "s.tar", "no tar at all" * 1000))


def test_a_tar_is_never_followed_outside(tmp_path):
    path = tmp_path / "r.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("../pos/a.txt", "/pos/b.txt", "x/../../pos/c.txt"):
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"evil"))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, b"M", tarfile.DIRTYPE, b"V"):
            info = tarfile.TarInfo("pos/link.txt")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    reasons = [row.reason for row in read(path)]
    assert reasons[:3] == ["names no file inside the archive"] * 3
    assert reasons[3:5] == ["is a link, which is not followed"] * 2
    assert (
        reasons[5:] == ["is not a regular file"] * 2
    )  # a pipe, and the rest of a file of another volume
    with pytest.raises(DataError, match=r"r.tar:../pos/a.txt: names no file inside the archive"):
        prepared(path, tmp_path / "out")


def test_a_file_that_changes_while_it_is_read(tmp_path):
    path = write(tmp_path / "r.txt", "__label__a film\n" * 10)
    chunks = FilesSource([path]).chunks()
    next(chunks)
    write(path, "__label__a film\n" * 11)
    with pytest.raises(DataError, match=r"r.txt changed while it was read"):
        list(chunks)


def test_labels_only_in_test_and_a_single_label(tmp_path):
    train = write(tmp_path / "a.csv", "text,label\none,pos\ntwo,neg\n")
    test = write(tmp_path / "t.csv", "text,label\nthree,pos\nfour,other\n")
    with pytest.raises(DataError, match=r"t.csv:3: the label 'other' is in the test split only"):
        prepared(train, tmp_path / "out", test=(str(test),))
    single = write(tmp_path / "s.csv", "text,label\n" + "".join(f"film {n},pos\n" for n in range(40)))
    with pytest.raises(DataError, match="every training review has the label 'pos'"):
        prepared(single, tmp_path / "out")


def test_missing_and_empty_input(tmp_path):
    with pytest.raises(InputMissing, match=r"nowhere.csv is missing"):
        FilesSource([tmp_path / "nowhere.csv"])
    with pytest.raises(SettingsError, match=r"format of .*r.dat is not known from its name"):
        FilesSource([write(tmp_path / "r.dat", "x")])
    with pytest.raises(SettingsError, match=r"or '.*/a b.dat'=LABEL for one text per line"):
        FilesSource([write(tmp_path / "a b.dat", "x")])
    with pytest.raises(SettingsError, match="or /dev/stdin=LABEL for one text per line"):
        FilesSource(["-"])
    with pytest.raises(DataError, match="no reviews"):
        prepared(write(tmp_path / "r.csv", ""), tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no reviews"):
        prepared(tmp_path / "empty", tmp_path / "out")


def test_a_format_that_the_first_bytes_contradict_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "r.csv", "w") as archive:  # stored, not compressed
        archive.writestr("r.csv", "text,label\ngood,pos\nbad,neg\n")
    with pytest.raises(DataError, match=r"r.csv is zip by its first bytes, but --format is csv"):
        FilesSource([tmp_path / "r.csv"], FilesSettings(format="csv"))
    assert texts(read(tmp_path / "r.csv")) == [("good", "pos"), ("bad", "neg")]

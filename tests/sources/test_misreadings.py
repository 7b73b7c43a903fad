"""Files as people have them: read right where there is one right reading, else refused or warned of.

Every dataset that is prepared here accounts for each row that was read.
"""

import contextlib
import csv
import gzip
import io
import json
import re
import shlex
import sqlite3
import tarfile
import tracemalloc
import zipfile

import pytest
from helpers import write

from lowmem_sentiment.cli import main
from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.preparation.settings import PreparationSettings
from lowmem_sentiment.sources.files import FilesSettings, FilesSource
from lowmem_sentiment.sources.labels import label_warnings, normalised
from lowmem_sentiment.system.errors import DataError, SettingsError, Unavailable
from lowmem_sentiment.text.reader_settings import ReaderSettings
from lowmem_sentiment.text.readers.formats import read_rows

ROWS = [
    (f"The {'dull' if nth % 2 else 'fine'} thing {nth}", "neg" if nth % 2 else "pos") for nth in range(80)
]
TEXTS = [text for text, _ in ROWS]
TABLE = "text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS)


def csv_of(path, rows=ROWS, header="text,label\n"):
    return write(path, header + "".join(f"{text},{label}\n" for text, label in rows))


def prepared(paths, out, *, skip_bad_rows=0, **options) -> Dataset:
    """Prepare files, and check that the ledger adds up."""
    warned: list[str] = []
    paths = paths if isinstance(paths, list) else [paths]
    source = FilesSource(paths, FilesSettings(**options), warn=warned.append)
    settings = PreparationSettings(skip_bad_rows=skip_bad_rows, recipe="tutorial", workers=1)
    dataset = prepare(source, out, settings)
    assert_accounted(dataset)
    dataset.warned = [*warned, *dataset.warnings()]
    return dataset


def assert_accounted(dataset: Dataset) -> None:
    source, reviews = dataset.source, sum(counts(dataset).values())
    assert source["rows_read"] == reviews + source["skipped_rows"] + source["dropped_reviews"]


def counts(dataset: Dataset) -> dict[str, int]:
    return {split: dataset.num_reviews(split) for split in dataset.splits}


def error_of(paths, out, **options) -> str:
    with pytest.raises((DataError, SettingsError)) as error:
        prepared(paths, out, **options)
    assert str(error.value).isprintable()
    return str(error.value)


def texts_of(path, **settings) -> list[str]:
    return [row.text.decode() for rows in read_rows(path, ReaderSettings(**settings)) for row in rows]


def folder(root, name="{split}/{label}/{nth}.txt", splits=("train", "train", "train", "test")):
    for nth, (text, label) in enumerate(ROWS):
        where = name.format(split=splits[nth // 2 % len(splits)], label=label, nth=nth, part=nth // 4 % 2)
        write(root / where, text)
    return root


# --- folders and archives ---


def packed(root, kind: str):
    """Return a folder as it is, or the same texts in a tar or zip."""
    if kind == "folder":
        return root
    path = root.with_suffix(f".{kind}")
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(root.rglob("*.*")):
                archive.write(file, file.relative_to(root.parent))
    else:
        with tarfile.open(path, "w") as archive:
            archive.add(root, root.name)
    return path


@pytest.mark.parametrize("kind", ["folder", "tar", "zip"])
def test_a_folder_below_the_labels_is_refused_until_the_label_is_chosen(tmp_path, kind):
    for name in ("{label}/{part}/{nth}.txt", "{split}/{label}/part{part}/{nth}.txt"):
        root = packed(folder(tmp_path / f"t{len(name)}", name), kind)
        error = error_of(root, tmp_path / "out")
        assert "which folder is the label? --label-folder 1 reads" in error
        assert "--label-folder 2 reads" in error
        dataset = prepared(root, tmp_path / f"o{len(name)}", label_folder=2)
        assert dataset.labels == ["neg", "pos"]
        assert counts(dataset)["test"] == 20 or "split" not in name


@pytest.mark.parametrize("kind", ["folder", "tar", "zip"])
@pytest.mark.parametrize(
    "names", [("Train", "Train", "Test", "dev"), ("training", "training", "TEST", "validation")]
)
def test_folders_named_for_a_split_are_that_split(tmp_path, kind, names):
    root = packed(folder(tmp_path / "texts", splits=names), kind)
    assert counts(prepared(root, tmp_path / "out")) == {"train": 40, "test": 20, "validation": 20}


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_tables_in_an_archive_are_in_their_folders_split(tmp_path, kind):
    csv_of(tmp_path / "x" / "train" / "a.csv", ROWS[:60])
    csv_of(tmp_path / "x" / "test" / "b.csv", ROWS[60:])
    dataset = prepared(packed(tmp_path / "x", kind), tmp_path / "out")
    assert counts(dataset) == {"train": 60, "test": 20}
    csv_of(tmp_path / "x" / "c.csv")
    assert "x/c.csv in none; expected all" in error_of(packed(tmp_path / "x", kind), tmp_path / "b")


def test_folders_of_a_split_keep_it_beside_test_files(tmp_path):
    root = folder(tmp_path / "texts", splits=("train", "dev", "test", "train"))
    test = csv_of(tmp_path / "t.csv", [("other", "pos"), ("more", "neg")])
    dataset = prepared(root, tmp_path / "out", test=(str(test),))
    assert counts(dataset) == {"train": 40, "test": 22, "validation": 20}


def test_a_split_that_the_data_do_not_have_is_not_blamed_on_chance(tmp_path):
    error = error_of(folder(tmp_path / "texts", splits=("train", "dev")), tmp_path / "out")
    assert "no reviews for the test split" in error and error.endswith("--test FILE names others")


def test_texts_in_and_out_of_a_split_are_refused(tmp_path):
    root = folder(tmp_path / "texts")
    write(root / "pos" / "x.txt", "one more")
    assert "pos/x.txt in none; expected all texts in train/, test/" in error_of(root, tmp_path / "out")


def test_files_that_are_passed_over_are_counted_and_named(tmp_path):
    root = folder(tmp_path / "texts")
    for name in ("pos/a.md", "pos/b.html", ".git/pos/c.txt", "train/urls.txt", "pos/.d.txt"):
        write(root / name, "other")
    passed = prepared(root, tmp_path / "out").source["passed_over"]
    assert {reason: each["count"] for reason, each in passed.items()} == {
        "hidden": 2, "not *.txt": 2, "not in the folder of a label": 1,
    }  # fmt: skip
    assert passed["not *.txt"]["first"] == f"{root}/pos/a.md"
    assert main(["prepare", "files", str(root), "--out", str(tmp_path / "b"), "--file-names", "*"]) == 65


def test_texts_of_other_names_and_compressed_ones_are_read(tmp_path):
    for nth, (text, label) in enumerate(ROWS):
        write(tmp_path / "news" / label / f"{50_000 + nth}", text)
        write(tmp_path / "packed" / label / f"{nth}.txt.gz", gzip.compress(text.encode()))
    error = error_of(tmp_path / "news", tmp_path / "out")
    assert "expected texts named *.txt in a folder for each label; --file-names '*' reads files" in error
    assert sum(counts(prepared(tmp_path / "news", tmp_path / "a", file_names="*")).values()) == 80
    assert sum(counts(prepared(tmp_path / "packed", tmp_path / "b")).values()) == 80


def test_a_folder_of_tables_says_how_to_read_them(tmp_path, capsys):
    csv_of(tmp_path / "csvs" / "a.csv", ROWS[:60])
    error = error_of(tmp_path / "csvs", tmp_path / "out")
    assert error.endswith(f"; of tables, give the files themselves: '{tmp_path}/csvs/**/*.csv'")
    follow(error.rpartition("themselves: ")[2], tmp_path)
    (tmp_path / "csvs").rename(tmp_path / "train")
    csv_of(tmp_path / "x" / "test" / "b.csv", ROWS[60:])
    (tmp_path / "train").rename(tmp_path / "x" / "train")
    error = error_of(tmp_path / "x", tmp_path / "out")
    follow(error.rpartition("themselves: ")[2] + " --overwrite", tmp_path)
    assert counts(Dataset(tmp_path / "followed")) == {"train": 60, "test": 20}
    (tmp_path / "empty").mkdir()
    assert error_of(tmp_path / "empty", tmp_path / "out", file_names="*").endswith("for each label")


def follow(advice: str, tmp_path, *others: str) -> None:
    """Run `prepare files` with the arguments that a message advises, as a shell would take them."""
    command = ["prepare", "files", *others, *shlex.split(advice), "--out", str(tmp_path / "followed")]
    assert main(command) == 0
    assert_accounted(Dataset(tmp_path / "followed"))


# --- lines ---


@pytest.mark.parametrize(("mark", "end"), [("", "\n"), ("\ufeff", "\r\n"), ("", "\r")])
def test_every_line_end_ends_a_line_in_every_format(tmp_path, mark, end):
    files = {
        "a.txt": [f"__label__{label} {text}" for text, label in ROWS],
        "a.jsonl": [json.dumps({"text": text, "label": label}) for text, label in ROWS],
        "a.csv": ["text,label", *(f"{text},{label}" for text, label in ROWS)],
        "a.tsv": ["text\tlabel", *(f"{text}\t{label}" for text, label in ROWS)],
    }
    for name, lines in files.items():
        path = write(tmp_path / name, mark + end.join(lines) + end)
        assert sum(counts(prepared(path, tmp_path / f"out-{name}")).values()) == 80, name
        assert texts_of(path) == TEXTS, name
    path = write(tmp_path / "pos.log", end.join(text for text, _ in ROWS))
    assert texts_of(path) == TEXTS
    for size in (1, 2, 3):  # a return at the end of what has arrived
        assert texts_of(io.BufferedReader(Slow(path.read_bytes(), size))) == TEXTS


class Slow(io.RawIOBase):
    """A stream that has a few bytes at a time."""

    def __init__(self, data: bytes, size: int):
        self._stream, self._size = io.BytesIO(data), size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._stream.read(min(self._size, len(buffer)))
        buffer[: len(data)] = data
        return len(data)


# --- fastText ---


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("__label__a,The thing", "with ',' in it"),
        ("__label__a__label__b The thing", "with '__label__' in it"),
        ("__label__a,__label__b The thing", "in it; expected one __label__NAME"),
        ("__label__a\u00a0The thing", r"with '\xa0' in it"),
        ("__label__a The thing __label__b", "has 2 labels, expected one"),
        ("__label__a __label__b The thing", "has 2 labels, expected one"),
        ("The thing", "does not have a word __label__NAME"),
    ],
)
def test_a_line_without_exactly_one_label_of_fasttext_is_a_bad_row(tmp_path, line, reason):
    path = write(tmp_path / "a.txt", "__label__a one\n__label__b two\n" + line + "\n")
    assert f"{path}:3: " in (error := error_of(path, tmp_path / "out")) and reason in error


def test_a_label_of_fasttext_may_stand_at_the_end(tmp_path):
    path = write(tmp_path / "a.txt", "".join(f"{text} __label__{label}\n" for text, label in ROWS))
    dataset = prepared([path], tmp_path / "out", format="fasttext")
    assert dataset.labels == ["neg", "pos"] and b"label" not in dataset.vocabulary().words


def test_predict_does_not_read_the_label_of_fasttext_as_words(tmp_path):
    path = write(tmp_path / "a.txt", "__label__good a film\nno label\n__label__a __label__b two\n")
    assert texts_of(path) == ["a film", "no label", "two"]


# --- CSV ---


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
@pytest.mark.parametrize("second", [10, 49])
def test_two_stray_quotes_swallow_no_row(tmp_path, suffix, second):
    delimiter = "," if suffix == "csv" else "\t"
    lines = [f"{text}{delimiter}{label}" for text, label in ROWS]
    lines[9] = '"' + lines[9]
    lines[second] = lines[second].replace(delimiter, '"' + delimiter)
    path = write(tmp_path / f"a.{suffix}", f"text{delimiter}label\n" + "\n".join(lines) + "\n")
    dataset = prepared(path, tmp_path / "out")
    assert sum(counts(dataset).values()) == 80 and dataset.length.max == 5
    assert len(texts_of(path)) == 80 or second == 10  # see the test below


@pytest.mark.parametrize("columns", [1, 2])
def test_without_labels_two_rows_between_stray_quotes_are_warned_of(tmp_path, columns):
    lines = [f"{nth},{text}" if columns == 2 else text for nth, text in enumerate(TEXTS)]
    lines[9] = lines[9].replace("The", '"The', 1)
    lines[10] += '"'
    path = write(tmp_path / "a.csv", "id,text\n"[6 - 3 * columns :] + "\n".join(lines) + "\n")
    warned = []
    assert sum(map(len, read_rows(path, warn=warned.append))) == 79
    [line] = warned
    assert line.startswith(
        f"1 text spans several lines that each look like a row, the first at {path}:11;"
    )
    assert len(texts_of(path, quotes=False)) == 80


def test_texts_that_span_lines_are_not_warned_of(tmp_path):
    """Neither lines that are no rows, however few, nor lines that could be, where they are many."""
    few = [(nth, text) for nth, text in enumerate(TEXTS)] + [(80, "One line,\nand, well, another\n\nend")]
    many = [(nth, f"{text}\nand, well" if nth % 3 else text) for nth, text in enumerate(TEXTS)]
    for rows in (few, many):
        with open(tmp_path / "a.csv", "w", newline="") as file:
            csv.writer(file).writerows([("id", "text"), *rows])
        warned = []
        assert sum(map(len, read_rows(tmp_path / "a.csv", warn=warned.append))) == len(rows)
        assert warned == []


@pytest.mark.parametrize("first", [39, 70])
def test_rows_between_stray_quotes_are_found_though_a_file_is_sorted_by_label(tmp_path, first):
    """Its first rows have one label. Two rows of another are known by theirs, two labels warned of."""
    lines = [
        f"{text} {'and so on' * 400},{label}" for text, label in sorted(ROWS, key=lambda row: row[1])
    ]
    lines[first], lines[first + 1] = f'"{lines[first]}', lines[first + 1].replace(",", '",')
    path = write(tmp_path / "a.csv", "text,label\n" + "\n".join(lines) + "\n")
    dataset = prepared(path, tmp_path / "out")
    warning = f"1 text spans several lines that each look like a row, the first at {path}:41"
    joined = first == 39
    assert sum(counts(dataset).values()) == 80 - joined
    assert any(line.startswith(warning) for line in dataset.warned) == joined


def test_lines_taken_for_rows_are_the_same_with_and_without_labels_and_warned_of(tmp_path):
    rows = "".join(f"5,love {nth}\n1,poor {nth}\n" for nth in range(30))
    quoted = '"I ordered:\n5, maybe 6 pens\n1, perhaps 2 inks"'
    path = write(tmp_path / "a.csv", f"stars,text\n{rows}1,{quoted}\n5,last\n")
    dataset, warned = prepared(path, tmp_path / "out"), []
    assert sum(counts(dataset).values()) == sum(map(len, read_rows(path, warn=warned.append))) == 64
    warning = (
        "1 text spans several lines that each look like a row and were read as rows, the first at "
        f"{path}:62;"
    )
    for lines in (warned, dataset.warned):
        assert sum(line.startswith(warning) for line in lines) == 1
    with open(path, "w", newline="") as file:
        lines = [row.split(",") for row in rows.splitlines()] + [["1", quoted[1:-1]], ["5", "last"]]
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("stars", "text"), *lines])
    assert sum(counts(prepared(path, tmp_path / "b")).values()) == len(texts_of(path)) == 62


@pytest.mark.parametrize("header", ["text,label\n", '"text", "label"\n', "text, label\n"])
def test_a_space_before_quotes_is_skipped(tmp_path, header):
    path = csv_of(tmp_path / "a.csv", [(f'"{text}, too"', f' "{label}"') for text, label in ROWS], header)
    dataset = prepared(path, tmp_path / "out")
    assert dataset.labels == ["neg", "pos"] and sum(counts(dataset).values()) == 80
    assert texts_of(path) == [f"{text}, too" for text in TEXTS]


def test_a_quoted_text_of_lines_with_commas_is_one_text(tmp_path):
    letter = "Dear all,\nthanks, really\nbye, now\nyours, me"
    rows = [*ROWS, (f'"{letter}"', "pos"), ('"1,5\n2,7\n3,8"', "neg"), ('"yes,no\nwell"', "neg")]
    path = csv_of(tmp_path / "a.csv", rows)
    assert letter in texts_of(path) and "1,5\n2,7\n3,8" in texts_of(path)
    assert sum(counts(prepared(path, tmp_path / "out")).values()) == 83


def test_a_quoted_text_whose_lines_look_like_rows_is_a_bad_row(tmp_path):
    rows = "".join(f"thing {nth},label{nth}\n" for nth in range(8))
    content = f'text,label\n"thing,first\n{rows}thing",last\n' + "good,a\nbad,b\n" * 9
    path = write(tmp_path / "a.csv", content)
    error = error_of(path, tmp_path / "out")
    assert f"{path}:2: has a quoted text of 10 lines that look like rows; is a quote missing?" in error


def test_a_repeated_header_is_passed_over_and_another_order_is_refused(tmp_path, capsys):
    path = write(tmp_path / "six.csv", TABLE * 6)
    dataset = prepared(path, tmp_path / "out")
    assert dataset.labels == ["neg", "pos"] and dataset.source["passed_over"] == {
        "a repeated header": {"count": 5, "first": f"{path}:82"}
    }
    assert len(texts_of(path)) == 480
    path = write(tmp_path / "swap.csv", TABLE + "label,text\nneg,Another\n")
    error = error_of(path, tmp_path / "b")
    assert "swap.csv:82: a second header has the columns in another order" in error


def test_columns_that_differ_between_files_are_warned_of_and_recorded(tmp_path):
    first = csv_of(tmp_path / "1.csv")
    rows = [(f"{text} too", label) for text, label in ROWS]
    second = csv_of(tmp_path / "2.csv", rows, "review,stars\n")
    rows = [(f"shop {nth},x", "pos") for nth in range(9)]
    third = csv_of(tmp_path / "3.csv", rows, "text,review,label\n")
    dataset = prepared([first, second, third], tmp_path / "out")
    assert dataset.warned[:2] == [
        f"{second} has other columns than the files before: text: review, label: stars",
        f"{third} has other columns than the files before: text: text, label: label; not read: review",
    ]
    found = [each["text"] for each in dataset.source["columns_by_file"].values()]
    assert found == ["text", "review", "text"]
    dataset = prepared([first, first, tmp_path / ".." / tmp_path.name / "1.csv"], tmp_path / "b")
    assert sum(counts(dataset).values()) == 80 and "is given twice, and is read once" in dataset.warned[0]


@pytest.mark.parametrize(("suffix", "mark"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
def test_a_row_of_more_than_100000_columns_is_refused(tmp_path, suffix, mark):
    for count in (100_000, 100_001):
        columns = mark.join(["text", "label", *map(str, range(count - 2))])
        path = write(tmp_path / f"a.{suffix}", f"{columns}\n{mark.join(['good'] * count)}\n")
        if count == 100_000:
            assert texts_of(path) == ["good"]
    assert error_of(path, tmp_path / "out") == f"{path}:1: has more than 100,000 columns"


def test_columns_named_by_numbers_can_be_chosen(tmp_path):
    path = csv_of(tmp_path / "a.csv", header="0,1\n")
    for columns in ({"text_column": "0", "label_column": "1"}, {"text_column": "1", "label_column": "2"}):
        dataset = prepared(path, tmp_path / f"out-{columns['text_column']}", **columns)
        assert dataset.labels == ["neg", "pos"] and sum(counts(dataset).values()) == 80
    path = csv_of(tmp_path / "b.csv", [(label, text) for text, label in ROWS], header="0,1\n")
    assert prepared(path, tmp_path / "b", text_column="1", label_column="0").labels == ["neg", "pos"]


def test_several_text_columns_are_joined_and_recorded(tmp_path):
    rows = "".join(f'"{label}, {nth}",x,Title {nth},{label}\n' for nth, (_, label) in enumerate(ROWS))
    path = write(tmp_path / "a.csv", "body,id,title,label\n" + rows)
    dataset = prepared(path, tmp_path / "out", text_column="title,body")
    assert dataset.source["columns"]["text"] == "title,body"
    assert texts_of(path, text_column="title,body")[0] == "Title 0 pos, 0"
    assert texts_of(path, text_column="3,1")[0] == "body" or texts_of(path, text_column="3,1")[1]
    recorded = read_rows(path, text_names=("title,body", "text"))
    assert next(iter(recorded))[0].text == b"Title 0 pos, 0"
    path = write(tmp_path / "b.csv", "body,title\nmore,\n,Only\n")
    assert texts_of(path, text_column="title,body") == ["more", "Only"]


# --- JSON ---


def test_numbers_stay_as_written_and_what_is_no_json_is_refused(tmp_path):
    lines = [f'{{"text": "thing {nth}", "label": {("1", "1.50")[nth % 2]}}}\n' for nth in range(80)]
    path = write(tmp_path / "a.jsonl", "".join(lines))
    assert prepared(path, tmp_path / "out").labels == ["1", "1.50"]
    for constant in ("NaN", "Infinity", "-Infinity"):
        path = write(tmp_path / "b.jsonl", lines[0] + f'{{"text": "a", "label": {constant}}}\n')
        assert f"b.jsonl:2: is not JSON: {constant} is not JSON" in error_of(path, tmp_path / "b")


def kept_of(path) -> list:
    return [row.kept[0] for rows in read_rows(path, keep=["id"]) for row in rows]


@pytest.mark.parametrize("form", ["%s", "[%s]"])
def test_kept_numbers_stay_as_written(tmp_path, form):
    for number in ("1e999", "1.10", "12345678901234567890.5", "1.5", "-0", "7", "9" * 5_000):
        path = write(tmp_path / "a.json", form % f'{{"text": "good", "id": [{number}]}}')
        assert kept_of(path) == [[{"1.5": 1.5, "7": 7}.get(number, number)]]
    nested = '{"a":' * 600 + "1" + "}" * 600
    path = write(tmp_path / "a.json", form % f'{{"text": "good", "id": {nested}}}')
    with pytest.raises(DataError, match="has a field to keep that is nested too deeply"):
        kept_of(path)


def test_numbers_that_are_not_read_take_little_memory(tmp_path):
    numbers = ",".join(str(nth % 100) for nth in range(1 << 20))
    path = write(tmp_path / "a.jsonl", f'{{"text": "good", "ids": [{numbers}]}}\n')
    tracemalloc.start()
    assert texts_of(path) == ["good"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 << 20


def test_fields_are_found_in_any_case_and_reported(tmp_path):
    items = ({"id": nth, "Text": text, "Label": label} for nth, (text, label) in enumerate(ROWS))
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, items)))
    dataset = prepared(path, tmp_path / "out")
    assert dataset.source["columns"] == {"text": "Text", "label": "Label", "others": ["id"]}


ITEMS = [{"review": {"text": text, "by": {"name": "x"}}, "title": f"T {nth}", "label": label}
         for nth, (text, label) in enumerate(ROWS)]  # fmt: skip


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ITEMS),
        json.dumps(ITEMS, indent=2),
        "\ufeff\n" + json.dumps(ITEMS, separators=(",", ":")) + "\n\n",
        "\n".join(json.dumps(item, indent=1) for item in ITEMS),
        "\r\n".join(map(json.dumps, ITEMS)),
    ],
)
def test_json_arrays_and_lines_are_read_item_by_item(tmp_path, content, size):
    path = write(tmp_path / "a.json", content)
    stream = io.BufferedReader(Slow(content.encode(), size))
    options = ReaderSettings(format="jsonl", text_column="title,review.text")
    read = [row.text.decode() for rows in read_rows(stream, options) for row in rows]
    assert read == [f"T {nth} {text}" for nth, text in enumerate(TEXTS)]
    if size > 7:
        dataset = prepared(path, tmp_path / "out", text_column="review.text")
        assert sum(counts(dataset).values()) == 80
        assert dataset.source["columns"] == {"text": "review.text", "label": "label", "others": ["title"]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('[{"text": "a", "label": "b"}', "is cut short: its JSON array does not end"),
        ('[{"text": "a", "label": "b"}, {"text": ', "item 2 is not JSON"),
        ('[{"text": "a", "label": "b"}] x', "something follows the JSON array after item 1"),
        ('[{"text": "a", "label": "b"}, 5]', "item 2: is not a JSON object but a number"),
        ('[{"text": "a", "label": "b"}, {"text": "c"}]', "item 2: has no field 'label'; it has text"),
        ("[" * 100_000, "item 1 is nested too deeply"),
    ],
)
def test_a_json_array_that_is_none_names_the_item(tmp_path, content, reason):
    assert reason in error_of(write(tmp_path / "a.json", content), tmp_path / "out")


# --- labels ---


@pytest.mark.parametrize(
    "alike",
    [
        ["1", "1.0", "01", "1."], ["True", "true", "TRUE"], ["pos", "pos\u200b", "\ufeffpos", "p\u043es"],
        ["positivit\u00e9", "positivite\u0301"], ["very good", "very\u00a0good", "very  good"],
    ],
)  # fmt: skip
def test_labels_that_look_alike_are_named_and_merged_on_request(tmp_path, alike):
    rows = [
        (text, label if label == "neg" else alike[nth // 2 % len(alike)])
        for nth, (text, label) in enumerate(ROWS)
    ]
    path = csv_of(tmp_path / "a.csv", [(text, f'"{label}"') for text, label in rows])
    dataset = prepared(path, tmp_path / "out", split="stratified")
    [line] = [line for line in dataset.warned if "look alike" in line]
    assert line.endswith("look alike; --normalise-labels merges them") and line.isascii()
    merged = prepared(path, tmp_path / "b", normalise_labels=True)
    assert len(merged.labels) == 2 and not label_warnings(merged.labels)
    assert merged.source["normalise_labels"] is True


def test_labels_that_do_not_look_alike_are_not_merged():
    labels = ["1", "2", "-1", "1e3", "a", "b", "Ω", "о", "x y", "10", "да", "нет"]
    assert len({normalised(label) for label in labels}) == len(labels)
    assert label_warnings(labels) == []


def test_labels_that_mean_none_are_named_with_an_option_that_leaves_them_out(tmp_path):
    none = ["nan", "NA", "None", "\\N", "?"]
    rows = [*ROWS, *((f"other {nth}", none[nth % 5]) for nth in range(50))]
    path = csv_of(tmp_path / "a.csv", rows)
    [line] = [line for line in prepared(path, tmp_path / "out").warned if "missing labels" in line]
    follow(line.partition("drop their reviews: ")[2], tmp_path, str(path))
    dataset = Dataset(tmp_path / "followed")
    assert dataset.labels == ["neg", "pos"] and dataset.source["dropped_reviews"] == 50


# --- advice ---


def test_advice_to_leave_a_label_out_works_as_it_is_printed(tmp_path):
    train = csv_of(tmp_path / "a.csv", [(text, str(nth % 2)) for nth, (text, _) in enumerate(ROWS)])
    for label in ("-1", "it's", "a b", "-x", "Money, virtual", "a=b"):
        test = csv_of(tmp_path / "t.csv", [("other", f'"{label}"'), ("more", "0"), ("most", "1")])
        error = error_of(train, tmp_path / "out", test=(str(test),))
        advice = error.partition("leave it out: ")[2]
        follow(f"{advice} --overwrite", tmp_path, str(train), "--test", str(test))
    test = csv_of(tmp_path / "t.csv", [("other", "-1"), ("more", "0"), ("most", "1")])
    spaced = "--label-map -1=,0=-2 --labels -2,1 --overwrite"
    follow(spaced, tmp_path, str(train), "--test", str(test))
    assert Dataset(tmp_path / "followed").labels == ["-2", "1"]


def test_labels_with_commas_are_named_in_quotes(tmp_path):
    rows = [(text, ('"a ""b"", c"', "d=e")[nth % 2]) for nth, (text, _) in enumerate(ROWS)]
    path = csv_of(tmp_path / "a.csv", rows)
    follow("""--labels 'd=e, "a ""b"", c"'""", tmp_path, str(path))
    assert Dataset(tmp_path / "followed").labels == ["d=e", 'a "b", c']
    renamed = """--overwrite --label-map '"a ""b"", c"="x, y", "d=e"=z' --labels 'z,"x, y"'"""
    follow(renamed, tmp_path, str(path))
    assert Dataset(tmp_path / "followed").labels == ["z", "x, y"]


def test_where_chance_chose_the_split_stratified_is_advised(tmp_path):
    rows = [(f"wine number {nth} of {nth % 7}", f"Estate {nth // 3}") for nth in range(300)]
    path = csv_of(tmp_path / "a.csv", rows)
    assert "--split stratified gives each label its share" in error_of(path, tmp_path / "out")
    follow("--split stratified", tmp_path, str(path))
    path = csv_of(tmp_path / "b.csv", [("good one", "pos"), ("bad one", "neg"), ("fine one", "pos")])
    assert "--split stratified gives it a share" in error_of(path, tmp_path / "b")


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r", "cp1253", "shift_jis", "gb18030", "cp1252"])
def test_encodings_are_advised_and_read(tmp_path, encoding):
    others = {"cp1253": "ταινία", "shift_jis": "映画でした", "gb18030": "电影很好", "cp1252": "déçu café"}
    word = others.get(encoding, "Фильм")
    rows = "".join(f"{word} {nth},{label}\n" for nth, (_, label) in enumerate(ROWS))
    path = write(tmp_path / "a.csv", b"text,label\n" + rows.encode(encoding))
    error = error_of(path, tmp_path / "out")
    assert "pass its --encoding, such as cp1252 (Western Europe), cp1251, koi8-r, gb18030 or" in error
    dataset = prepared(path, tmp_path / "b", encoding=encoding)
    assert word.split()[0].lower().encode() in dataset.vocabulary().words


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-be", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt"])
def test_unicode_in_other_forms_is_named_with_the_encoding_that_reads_it(tmp_path, encoding, name):
    text = {
        "a.csv": TABLE,
        "a.jsonl": "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS),
        "a.txt": "".join(f"__label__{label} {text}\n" for text, label in ROWS),
    }[name]
    mark = {"utf-32-be": "\ufeff"}.get(encoding, "")
    path = write(tmp_path / name, (mark + text).encode(encoding))
    error = error_of(path, tmp_path / "out")
    advised = re.search(r"pass (--encoding utf-[\w-]+)$", error)
    assert advised, error
    follow(advised.group(1), tmp_path, str(path))
    assert sum(map(Dataset(tmp_path / "followed").num_reviews, ("train", "test"))) == 80


# --- kinds of files ---


def test_files_that_are_not_read_say_what_they_are(tmp_path):
    kinds = {
        "a.arrow": (b"ARROW1\0\0" + bytes(20), "an Arrow file, which is not read; write it as Parquet"),
        "a.pkl": (b"\x80\x04\x95" + bytes(20), "is a pickle, which is not read; as it could run code"),
        "a.lz4": (b"\x04\x22\x4d\x18" + bytes(20), "is lz4, which is not read; unpack it"),
        "a.xls": (b"\xd0\xcf\x11\xe0" + bytes(20), "is an old Excel or Word file"),
        "a.pdf": (b"%PDF-1.7", "is a PDF"),
        "a.parquet": (b"PAR1" + bytes(40) + b"PAR1", "Parquet"),
        "a.db": (b"SQLite format 3\0" + b"\x10\0" * 50, "SQLite says: "),
        "a.zip": (b"PK\x03\x04" + bytes(30), "is damaged, or not a zip"),
    }
    for name, (content, reason) in kinds.items():
        for given in (name, f"{name}.csv"):
            path = write(tmp_path / given, content)
            with pytest.raises((DataError, SettingsError, Unavailable), match=re.escape(reason)):
                prepared(path, tmp_path / "out")
    for member, reason in {"xl/workbook.xml": "an Excel workbook", "mimetype": "an OpenDocument"}.items():
        with zipfile.ZipFile(tmp_path / "book.xlsx", "w") as archive:
            archive.writestr(member, "<x/>")
        assert f"is {reason}" in error_of(tmp_path / "book.xlsx", tmp_path / "out")


def test_an_empty_part_is_named_and_skipped_on_request(tmp_path):
    contents = {"0.csv": TABLE, "1.csv": "", "2.csv": "text,label\n"}
    parts = [write(tmp_path / name, content) for name, content in contents.items()]
    for empty in parts[1:]:
        assert f"{empty}: holds no reviews" in error_of([parts[0], empty], tmp_path / "out")
    dataset = prepared(parts, tmp_path / "out", skip_bad_rows=2)
    assert sum(counts(dataset).values()) == 80 and dataset.source["skipped_rows"] == 2


def test_a_file_that_is_removed_while_it_is_read_is_read_to_its_end(tmp_path):
    path = csv_of(tmp_path / "a.csv", ROWS)
    source = FilesSource([path])
    chunks = source.chunks()
    first = next(chunks)
    path.unlink()
    assert len(list(first.reviews())) + sum(len(list(chunk.reviews())) for chunk in chunks) == 80


def test_a_text_in_both_splits_is_warned_of(tmp_path):
    train = csv_of(tmp_path / "a.csv")
    test = csv_of(tmp_path / "t.csv", [*ROWS[:3], ("other", "pos"), ("more", "neg")])
    warned = prepared(train, tmp_path / "out", test=(str(test),)).warned
    [line] = [line for line in warned if "texts" in line]
    assert line.startswith("3 texts of the training split are in the test or validation split too")


def test_files_are_given_as_the_validation_split(tmp_path):
    train = csv_of(tmp_path / "a.csv")
    held = csv_of(tmp_path / "v.csv", [("held", "pos"), ("out", "neg")])
    dataset = prepared(train, tmp_path / "out", validation=(str(held),))
    assert counts(dataset)["validation"] == 2 and sum(counts(dataset).values()) == 82
    with pytest.raises(SettingsError, match="is given for training and as --validation too"):
        FilesSource([train], FilesSettings(validation=(str(train),)))


# --- SQLite, zip ---


def database(path, names=("reviews",)):
    with sqlite3.connect(path) as connection:
        for name in names:
            connection.execute(f'create table "{name}" (id integer, text text, label integer, blob blob)')
            rows = [(nth, text, nth % 2, b"\xff" * 9) for nth, (text, _) in enumerate(ROWS)]
            connection.executemany(f'insert into "{name}" values (?, ?, ?, ?)', rows)
    connection.close()
    return path


def test_tables_and_queries_of_sqlite_are_read(tmp_path):
    path = database(tmp_path / "shop.db")
    assert prepared(path, tmp_path / "a").labels == ["0", "1"]
    assert texts_of(path) == TEXTS
    query = "select text as body, iif(label, 'neg', 'pos') as mood from reviews where id < 40"
    dataset = prepared(path, tmp_path / "b", query=query, label_column="mood")
    assert dataset.labels == ["neg", "pos"] and sum(counts(dataset).values()) == 40
    path = database(tmp_path / "two.sqlite", ("odd name", "b"))
    assert "has b, odd name; expected --table NAME or --query SQL" in error_of(path, tmp_path / "c")
    assert sum(counts(prepared(path, tmp_path / "d", table="odd name")).values()) == 80
    assert "SQLite says: no such table" in error_of(path, tmp_path / "e", query="select * from none")
    before = path.read_bytes()
    for query in (f"attach '{tmp_path}/new.db' as x", f"vacuum into '{tmp_path}/new.db'"):
        assert "authoriz" in error_of(path, tmp_path / "e", query=query)
        assert not (tmp_path / "new.db").exists()
    for query in ("delete from b", "update b set label = 3 returning text, label", "drop table b"):
        assert "two.sqlite" in error_of(path, tmp_path / "e", query=query) or "SELECT" in query
    assert path.read_bytes() == before


def test_null_texts_and_labels_of_sqlite_are_bad_rows(tmp_path):
    path = database(tmp_path / "a.db")
    with sqlite3.connect(path) as connection:
        rows = [(None, 1), ("a", None), (b"\xff", 1)]
        connection.executemany("insert into reviews values (1, ?, ?, null)", rows)
    connection.close()
    dataset = prepared(path, tmp_path / "out", skip_bad_rows=3)
    assert dataset.source["skipped_rows"] == 3 and dataset.source["rows_read"] == 83


def test_tables_in_a_zip_or_tar_are_read_and_others_are_counted(tmp_path):
    lines = "".join(json.dumps({"text": f"{text} too", "label": label}) + "\n" for text, label in ROWS)
    members = {
        "a.csv": TABLE,
        "sub/b.jsonl.gz": gzip.compress(lines.encode()),
        "README": "read me",
        "__MACOSX/._a.csv": "x",
    }
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    for nth, name in enumerate(("a.zip", "a.tar.gz")):
        dataset = prepared(tmp_path / name, tmp_path / f"out{nth}")
        assert sum(counts(dataset).values()) == 160
        assert sum(each["count"] for each in dataset.source["passed_over"].values()) == 2
        assert len(texts_of(tmp_path / name)) == 160


def test_members_without_a_name_are_bad_rows(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        nameless = zipfile.ZipInfo("x")
        nameless.filename = ""
        archive.writestr(nameless, "x")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("."))
    for name in ("a.zip", "a.tar"):
        assert "names no file inside the archive" in error_of(tmp_path / name, tmp_path / "out")


def test_a_column_of_sqlite_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "a.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("create table t (text, label, Zcol)")
    path.write_bytes(path.read_bytes().replace(b"Zcol", b"\xe9col"))
    assert "has names that are not UTF-8; name the columns by --query" in error_of(path, tmp_path / "out")
    assert texts_of(path, query="select text, label from t") == []


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_member_of_a_zip_is_refused(tmp_path, kind):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", kind) as archive:
        archive.writestr("a.csv", TABLE)
    whole = (tmp_path / "a.zip").read_bytes()
    for at in range(30, len(whole), 7):
        path = tmp_path / "b.zip"
        path.write_bytes(whole[:at] + b"\xff" * 4 + whole[at + 4 :])
        try:
            assert texts_of(path) == TEXTS
        except (DataError, SettingsError):
            continue


def test_no_flipped_bit_in_a_zip_changes_what_is_read(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", TABLE[:200])
    whole, expected = path.read_bytes(), texts_of(path)
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        try:
            assert texts_of(path) == expected, at
        except (DataError, SettingsError):
            continue
    for end in range(0, len(whole), 20):
        path.write_bytes(whole[:end])
        with pytest.raises((DataError, SettingsError)):
            assert texts_of(path, format="zip") == expected


# --- optional packages ---


def test_zstd_is_read_or_refused_with_what_reads_it(tmp_path):
    zstandard = pytest.importorskip("zstandard", reason="the extra zstd is not installed")
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(TABLE.encode())
    path = write(tmp_path / "a.csv.zst", packed)
    assert texts_of(path) == TEXTS
    path.write_bytes(packed + packed[: len(packed)])
    assert len(texts_of(path)) == 160
    for at in range(0, len(packed), 5):
        path.write_bytes(packed[:at] + bytes([packed[at] ^ 0x10]) + packed[at + 1 :])
        with pytest.raises(DataError):
            assert texts_of(path) == TEXTS
            raise DataError("unchanged")
        path.write_bytes(packed[:at])
        if at > 4:
            with pytest.raises(DataError, match="damaged or cut short"):
                texts_of(path)
    path.write_bytes(zstandard.ZstdCompressor().compress(bytes(200 << 20)))
    with pytest.raises(DataError, match="longer than 16 MiB"):
        texts_of(path, format="text")


def test_parquet_is_read_by_its_wanted_columns(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({
        "id": range(80), "text": [text for text, _ in ROWS], "label": [nth % 2 for nth in range(80)],
        "tags": [["a"]] * 80,
    })  # fmt: skip
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=7, compression="zstd")
    dataset = prepared(tmp_path / "a.parquet", tmp_path / "out")
    assert dataset.labels == ["0", "1"] and sum(counts(dataset).values()) == 80
    assert dataset.source["columns"] == {"text": "text", "label": "label", "others": ["id", "tags"]}
    rows = read_rows(tmp_path / "a.parquet", keep=("id",))
    assert [row.kept for block in rows for row in block] == [(nth,) for nth in range(80)]
    error = error_of(tmp_path / "a.parquet", tmp_path / "b", text_column="tags")
    assert "the column 'tags' is list<" in error
    data = (tmp_path / "a.parquet").read_bytes()
    for end in range(4, len(data), 200):
        write(tmp_path / "c.parquet", data[:end])
        assert "is damaged, or not Parquet" in error_of(tmp_path / "c.parquet", tmp_path / "c")


def test_a_csv_writer_and_this_reader_agree(tmp_path):
    texts = ['a "quoted" word', "two\nlines", "comma, semicolon; tab\t", "", "ünï", "'", '"', "\\"]
    path = tmp_path / "a.csv"
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text in texts if text)])
    assert texts_of(path) == [text for text in texts if text]


def test_a_row_group_of_parquet_that_is_too_large_is_refused(tmp_path, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"id": ["x" * 5_000] * 9, "text": ["a film"] * 9, "label": ["a"] * 9})
    parquet.write_table(table, tmp_path / "a.parquet", use_dictionary=False)
    monkeypatch.setattr("lowmem_sentiment.text.readers.databases._MAX_COLUMN_BYTES", 200)
    assert list(read_rows(tmp_path / "a.parquet"))  # the id's size does not count
    with pytest.raises(DataError, match=r"row group 1 has [\d,]+ bytes of the column 'id'"):
        list(read_rows(tmp_path / "a.parquet", keep=("id",)))

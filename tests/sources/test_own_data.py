"""Faults in the user's own data are reported, and shown escaped."""

import io
import tarfile
import tracemalloc

import pytest

from lowmem_sentiment.cli import main
from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.preparation.settings import SKIPPED_ROWS, PreparationSettings
from lowmem_sentiment.sources.files import FilesSource
from lowmem_sentiment.sources.settings import FilesSettings
from lowmem_sentiment.system.errors import DataError, InputMissing, SettingsError

ROWS = [f"film {nth},{'pos' if nth % 2 else 'neg'}" for nth in range(40)]
EVIL = "a\x1b[2J\nb"
ESCAPED = r"a\x1b[2J\nb"


def write(path, *lines: str | bytes):
    encoded = (each.encode() if isinstance(each, str) else each for each in lines)
    path.write_bytes(b"".join(each + b"\n" for each in encoded))
    return path


def prepared(paths, out, settings: PreparationSettings | None = None, labelled=(), **options) -> Dataset:
    warnings: list[str] = []
    source = FilesSource(paths, FilesSettings(**options), labelled=labelled, warn=warnings.append)
    dataset = prepare(source, out, settings)
    dataset.warned = warnings
    return dataset


def message(function, *arguments, **options) -> str:
    """Return the message of the DataError that a call raises: one printable line."""
    with pytest.raises(DataError) as error:
        function(*arguments, **options)
    assert str(error.value).isprintable()
    return str(error.value)


# --- labels ---


def test_a_label_map_with_a_name_that_no_review_has_lists_those_there_are(tmp_path):
    path = write(tmp_path / "r.csv", "text,label", *ROWS)
    error = message(prepared, [path], tmp_path / "out", label_map={"pos": "positive", "ngative": "x"})
    assert error == "--label-map names 'ngative', but no review has that label; expected one of neg, pos"
    dataset = prepared([path], tmp_path / "out", label_map={"pos": "positive", "neg": "pos"})
    assert dataset.labels == ["pos", "positive"]


def test_an_id_column_taken_for_the_label_is_named_with_the_other_columns(tmp_path):
    rows = [f"film {nth},{'pos' if nth % 2 else 'neg'},id{nth}" for nth in range(12)]
    path = write(tmp_path / "r.csv", "text,mood,class", *rows)
    assert message(prepared, [path], tmp_path / "out") == (
        "there are 12 labels, each seen once: are these (column 'class') ids and not labels? "
        "the other columns are mood (--label-column); --labels NAME,... accepts them"
    )
    assert prepared([path], tmp_path / "out", label_column="mood").labels == ["neg", "pos"]
    path = write(tmp_path / "n.csv", *rows)
    error = message(prepared, [path], tmp_path / "n", text_column="1", label_column="3")
    assert "(column '3')" in error and "the other columns are 2 (" in error


def test_more_than_a_thousand_labels_are_an_id_column_too(tmp_path):
    path = write(tmp_path / "r.csv", "text,label,mood", *(f"film,{nth},a" for nth in range(1_100)))
    error = message(prepared, [path], tmp_path / "out")
    assert "r.csv:1002: there are more than 1,000 labels: are these (column 'label') ids" in error
    assert "the other columns are mood" in error


def test_labels_that_are_given_may_be_seen_once(tmp_path):
    train = write(tmp_path / "a.csv", "text,label", *(f"film {label},{label}" for label in "12345"))
    test = write(tmp_path / "t.csv", "text,label", "other,1")
    dataset = prepared([train], tmp_path / "out", test=(str(test),), labels=tuple("12345"))
    assert dataset.labels == list("12345")


def test_prepare_warns_of_labels_with_few_reviews(tmp_path, capsys):
    path = write(tmp_path / "r.csv", *ROWS, "a film,rare", "the film,rare")
    test = write(tmp_path / "t.csv", *ROWS)
    command = ["prepare", "files", str(path), "--test", str(test), "--out", str(tmp_path / "out")]
    assert main([*command, "--text-column", "1", "--label-column", "2"]) == 0
    error = capsys.readouterr().err
    assert "warning: 1 label with fewer than 5 reviews: 'rare' (2)" in error


def test_a_file_of_each_label_is_labelled_by_its_argument_or_by_an_option(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, words, count in (("pos", "Très réussi", 20), ("neg", "Pâle, déçu", 21)):
        write(tmp_path / f"{name}.txt", *(f"{words} {nth}".encode("latin-1") for nth in range(count)))
    command = ["prepare", "files", "pos.txt=positive", "neg.txt=negative", "--encoding", "latin-1"]
    assert main([*command, "--out", "a"]) == 0
    options = ["--label", "positive", "pos.txt", "--label", "negative", "neg.txt"]
    assert main(["prepare", "files", *options, "--encoding", "latin-1", "--out", "b"]) == 0
    for name in "ab":
        dataset = Dataset(name)
        assert dataset.labels == ["negative", "positive"]
        assert sum(map(dataset.num_reviews, dataset.splits)) == 41
        words = [word.decode() for word in dataset.vocabulary().words]
        assert {"très", "réussi", "pâle", "déçu"} <= set(words)
    capsys.readouterr()
    assert main(["prepare", "files", "pos.txt=", "--out", "c"]) == 2
    assert "expected FILE=LABEL" in capsys.readouterr().err


# --- columns ---


def test_a_header_taken_as_data_is_warned_of(tmp_path):
    path = write(tmp_path / "r.csv", "text,label", *ROWS)
    columns = {"text_column": "1", "label_column": "2"}
    dataset = prepared([path], tmp_path / "out", **columns, label_map={"label": ""})
    assert dataset.warned == [
        f"{path}:1: text, label looks like a header, but is read as a row; pass --header if it is one"
    ]
    dataset = prepared([path], tmp_path / "b", **columns, header=True)
    assert dataset.warned == [] and dataset.labels == ["neg", "pos"]


def test_columns_of_one_name_are_chosen_by_number(tmp_path):
    rows = (f"x,{'pos' if nth % 2 else 'neg'},other {nth}" for nth in range(40))
    path = write(tmp_path / "r.csv", "text,label,text", *rows)
    error = message(prepared, [path], tmp_path / "out")
    assert "r.csv:1: 2 columns are named 'text' (1, 3); choose one by its number: --text-col" in error
    dataset = prepared([path], tmp_path / "out", text_column="3", header=True)
    assert dataset.vocabulary().words[0] == b"other"
    assert dataset.source["columns"] == {"text": "text", "label": "label", "others": ["text"]}


def test_a_semicolon_csv_with_a_byte_order_mark_is_recognised(tmp_path):
    rows = (row.replace(",", ";") for row in ROWS)
    path = write(tmp_path / "r.csv", b"\xef\xbb\xbftext;label", *rows, '"one; two, three";pos')
    dataset = prepared([path], tmp_path / "out")
    assert dataset.labels == ["neg", "pos"]
    assert dataset.num_reviews("train") + dataset.num_reviews("test") == 41
    assert dataset.source["columns"] == {"text": "text", "label": "label", "others": []}


# --- files ---


def test_the_training_file_as_test_file_is_refused(tmp_path):
    path = write(tmp_path / "r.csv", "text,label", *ROWS)
    (tmp_path / "link.csv").hardlink_to(path)
    for test in (path, tmp_path / "link.csv"):
        with pytest.raises(SettingsError, match="is given for training and as --test too"):
            FilesSource([path], FilesSettings(test=(str(test),)))


# --- bad rows ---


def test_all_bad_rows_are_skipped_and_their_lines_counted(tmp_path, capsys):
    bad = ["bad,", '"two\nlines\nand three",pos,extra']
    path = write(tmp_path / "r.csv", "text,label", *ROWS, *bad, "last film,pos")
    out = tmp_path / "out"
    assert main(["prepare", "files", str(path), "--skip-bad-rows", "all", "--out", str(out)]) == 0
    assert f"2 bad rows of 4 lines were skipped: see {out / SKIPPED_ROWS}" in capsys.readouterr().err
    dataset = Dataset(out)
    assert dataset.source["skipped_rows"] == 2 and dataset.source["skipped_lines"] == 4
    assert dataset.num_reviews("train") + dataset.num_reviews("test") == 41
    assert (out / SKIPPED_ROWS).read_text().splitlines() == [
        f"{path}:42: has no label",
        f"{path}:43: has 3 columns, expected 2 as in the first row (this row takes up 3 lines)",
    ]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_bad_rows(tmp_path):
    def peak(blocks: int) -> int:
        tracemalloc.start()
        path = tmp_path / f"{blocks}.csv"
        with open(path, "w") as file:
            file.write("text,label\n" + "".join(f"{row}\n" for row in ROWS))
            for nth in range(blocks * 12_500):
                file.write(f"only one column {nth:070}\n")
        tracemalloc.reset_peak()
        settings = PreparationSettings(skip_bad_rows=10**9, workers=1)
        dataset = prepared([path], tmp_path / f"out{blocks}", settings)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert dataset.source["skipped_rows"] == blocks * 12_500
        with open(tmp_path / f"out{blocks}" / SKIPPED_ROWS) as file:
            assert sum(1 for _ in file) == blocks * 12_500
        return size

    peak(1)  # includes what is made once
    assert peak(8) < 1.3 * peak(4)


# --- what is printed ---


def test_what_came_from_data_is_one_line_without_escapes_in_errors(tmp_path):
    path = tmp_path / "r.tar"
    with tarfile.open(path, "w") as archive:
        for name in (f"{EVIL}/x.txt", f"pos/{EVIL}.txt"):
            info = tarfile.TarInfo(name)
            info.size = 2
            archive.addfile(info, io.BytesIO(b"\xff\xff"))
    error = message(prepared, [path], tmp_path / "out")
    assert error.startswith(f"{path}:{ESCAPED}/x.txt: is not UTF-8")

    folder = tmp_path / "texts"
    (folder / EVIL).mkdir(parents=True)
    (folder / EVIL / f"{EVIL}.txt").write_bytes(b"\xff")
    error = message(prepared, [folder], tmp_path / "out")
    assert error.startswith(f"{folder}/{ESCAPED}/{ESCAPED}.txt: is not UTF-8")

    path = write(tmp_path / "c.csv", f'"{EVIL}",b', "x,y")
    assert ESCAPED in message(prepared, [path], tmp_path / "out")
    path = write(tmp_path / "j.jsonl", r'{"a\u001b[2J\nb": 1}')
    assert f"it has {ESCAPED}" in message(prepared, [path], tmp_path / "out")
    path = write(tmp_path / "l.csv", "text,label", *ROWS, f'film,"{EVIL}"')
    error = message(prepared, [path], tmp_path / "out", labels=("pos", "neg"))
    assert f"the label is '{ESCAPED}', expected one of neg, pos" in error
    error = message(prepared, [path], tmp_path / "out", label_map={"none": ""})
    assert f"expected one of {ESCAPED}, neg, pos" in error
    name = tmp_path / f"{EVIL}.csv"
    assert ESCAPED in message(prepared, [write(name, "foo,bar", "x,y")], tmp_path / "out")
    with pytest.raises(InputMissing) as missing:
        FilesSource([tmp_path / f"none{EVIL}"])
    assert str(missing.value).isprintable()


def test_skipped_rows_and_answers_are_escaped(tmp_path, capsys):
    rows = [*(f"{row},x" for row in ROWS), *[f'film,"{EVIL}",x'] * 9]
    path = write(tmp_path / "r.csv", f'text,label,"{EVIL}"', *rows)
    tar = tmp_path / "r.tar"
    with tarfile.open(tar, "w") as archive:
        archive.addfile(tarfile.TarInfo(f"pos/{EVIL}.txt"))
    out = tmp_path / "out"
    command = ["prepare", "files", str(path), str(tar), "--skip-bad-rows", "1", "--out", str(out)]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err and f"{ESCAPED} (9)" in captured.out
    assert f"columns     text: text, label: label; not read: {ESCAPED}" in captured.out
    assert (out / SKIPPED_ROWS).read_text() == f"{tar}:pos/{ESCAPED}.txt: has no text\n"

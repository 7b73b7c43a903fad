from types import SimpleNamespace

import numpy as np
import pytest

from lowmem_sentiment.preparation.chunk_tasks import Spill, TokenisedChunk, tokenise_chunk
from lowmem_sentiment.preparation.corpus_summary import CorpusSummary
from lowmem_sentiment.preparation.settings import PreparationSettings
from lowmem_sentiment.sources.chunks import LabelledBlock, ReviewRules
from lowmem_sentiment.system.errors import DataError
from lowmem_sentiment.text.rows import BadRow, ParsedRows, Row


def chunk(*rows: tuple[str, str, str] | BadRow) -> TokenisedChunk:
    """Tokenise rows of (text, label, split)."""
    placed = [
        row if isinstance(row, BadRow) else Row(row[0].encode(), row[1], f"r:{nth}", row[2])
        for nth, row in enumerate(rows, 1)
    ]
    return tokenise_chunk(LabelledBlock(ParsedRows(placed), ReviewRules(label_map={"left out": ""})))


@pytest.fixture
def summary(tmp_path):
    """Return a function that adds up chunks."""

    def add(*chunks: TokenisedChunk, skip: int = 0, labels: list[str] | None = None) -> CorpusSummary:
        source = SimpleNamespace(labels=labels, stratified=None, describe=dict)
        found = CorpusSummary(source, PreparationSettings(skip_bad_rows=skip), tmp_path)
        for each in chunks:
            found.add(each)
        return found

    return add


def test_words_are_counted_in_training_reviews_only(summary):
    found = summary(
        chunk(("a b b", "x", "train"), ("c", "y", "test")),
        chunk(("b", "y", "train"), ("a", "x", "train")),
    )
    assert found.reviews == [3, 1, 0] and found.training_bytes == 2 * 5 + 48 * 3
    assert found.take_vocabulary().words == [b"b", b"a"]


def test_a_chunk_ends_at_the_bad_row_that_is_one_too_many():
    bad = (BadRow(f"r:{nth}", "has no label", lines=nth) for nth in range(1, 1_000_000))
    rows = SimpleNamespace(reviews=lambda: bad)
    assert [row.lines for row in tokenise_chunk(rows, skip_bad_rows=3).others] == [1, 2, 3]
    assert next(bad).lines == 4  # the others were not read


def test_labels_are_sorted_numbers_as_numbers(summary):
    rows = [("a", label, "train") for label in ("b", "10", "-1.5", "9", "a")]
    assert summary(chunk(*rows, *rows)).ordered_labels() == ["-1.5", "9", "10", "a", "b"]
    assert summary(chunk(*rows[1:3]), labels=["10", "-1.5"]).ordered_labels() == ["10", "-1.5"]


@pytest.mark.parametrize(
    ("rows", "wanted", "message"),
    [
        ([("a", "x", "train"), ("a", "y", "test")], None, "r:2: the label 'y' is in the test split only"),
        ([("a", "x", "train"), ("a", "y", "train")], ["x"], "r:2: the label is 'y', expected one of x"),
        ([("a", "x", "train")], ["x", "z"], "no review has the label 'z'; there are x"),
        ([("a", "x\n\x1b[2J", "test")], None, r"'x\\n\\x1b\[2J' is in the test split only"),
    ],
)
def test_labels_that_cannot_be_are_refused(summary, rows, wanted, message):
    with pytest.raises(DataError, match=message):
        summary(chunk(*rows), labels=wanted).ordered_labels()


def test_reviews_that_the_label_map_leaves_out_are_counted(summary):
    found = summary(chunk(("a", "x", "train"), ("b", "left out", "train")))
    assert found.describe()["dropped_reviews"] == 1 and found.reviews == [1, 0, 0]


def test_one_bad_row_too_many_ends_it(summary):
    bad = BadRow("r:9", "has no label")
    assert summary(chunk(bad), skip=1).describe()["skipped_rows"] == 1
    with pytest.raises(DataError, match=r"r:9: has no label; 1 bad row was skipped before it"):
        summary(chunk(bad), chunk(bad), skip=1)
    with pytest.raises(DataError, match=r"r:9: has no label \(--skip-bad-rows N"):
        summary(chunk(bad))


def test_more_than_a_thousand_labels_are_refused_over_chunks(summary):
    chunks = [chunk(*[("a", f"{nth}-{k}", "train") for k in range(600)]) for nth in range(2)]
    with pytest.raises(DataError, match="there are more than 1,000 labels"):
        summary(*chunks)


def test_tokens_become_numbers_by_first_appearance():
    found = chunk(("b a b", "x", "train"), ("a c", "y", "test")).numbered
    assert found.words == b"b a c" and found.labels == ["x", "y"]
    np.testing.assert_array_equal(found.of_split(0).token_ids, [0, 1, 0])
    np.testing.assert_array_equal(found.of_split(1).token_ids, [1, 2])


@pytest.mark.parametrize(("num_words", "size"), [(65_536, 2), (65_537, 4)])
def test_words_up_to_65536_take_two_bytes_a_token(num_words, size):
    words = " ".join(f"w{nth}" for nth in range(num_words))
    found = chunk((words, "x", "train")).numbered
    assert found.reviews.token_ids.itemsize == size
    np.testing.assert_array_equal(found.reviews.token_ids, np.arange(num_words))


def test_chunks_of_the_spill_are_read_in_any_order(tmp_path):
    with open(tmp_path / "spill", "wb+") as file:
        spill = Spill(file)
        for nth in range(3):
            spill.append(chunk(("a b", f"{nth}", "train")).numbered)
        spill.flush()
        assert [spill.read(nth).labels for nth in (2, 0, 1)] == [["2"], ["0"], ["1"]]

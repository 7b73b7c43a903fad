import numpy as np
import pytest

from lowmem_sentiment.preparation.chunk_tasks import TokenisedChunk, tokenise_chunk
from lowmem_sentiment.preparation.corpus_summary import CorpusSummary
from lowmem_sentiment.preparation.lossy_counting import WordCounts
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


def summary(*chunks: TokenisedChunk, skip: int = 0) -> CorpusSummary:
    found = CorpusSummary(WordCounts(1_000_000), skip)
    for each in chunks:
        found.add(each)
    return found


def test_words_are_counted_in_training_reviews_only():
    found = summary(
        chunk(("a b b", "x", "train"), ("c", "y", "test")),
        chunk(("b", "y", "train"), ("a", "x", "train")),
    )
    assert found.reviews == [3, 1, 0] and found.training_tokens == 5
    assert found.take_vocabulary(1, None).words == [b"b", b"a"]


def test_labels_are_sorted_numbers_as_numbers():
    rows = [("a", label, "train") for label in ("b", "10", "-1.5", "9", "a")]
    assert summary(chunk(*rows)).order_labels(None) == ["-1.5", "9", "10", "a", "b"]
    assert summary(chunk(*rows[1:3])).order_labels(["10", "-1.5"]) == ["10", "-1.5"]


@pytest.mark.parametrize(
    ("rows", "wanted", "message"),
    [
        ([("a", "x", "train"), ("a", "y", "test")], None, "r:2: the label 'y' is in the test split only"),
        ([("a", "x", "train"), ("a", "y", "train")], ["x"], "r:2: the label is 'y', expected one of x"),
        ([("a", "x", "train")], ["x", "z"], "no review has the label 'z'; there are x"),
        ([("a", "x\n\x1b[2J", "test")], None, r"'x\\n\\x1b\[2J' is in the test split only"),
    ],
)
def test_labels_that_cannot_be_are_refused(rows, wanted, message):
    with pytest.raises(DataError, match=message):
        summary(chunk(*rows)).order_labels(wanted)


def test_reviews_that_the_label_map_leaves_out_are_counted():
    found = summary(chunk(("a", "x", "train"), ("b", "left out", "train")))
    assert found.describe()["dropped_reviews"] == 1 and found.reviews == [1, 0, 0]


def test_one_bad_row_too_many_ends_it():
    bad = BadRow("r:9", "has no label")
    assert summary(chunk(bad), skip=1).describe()["skipped_rows"] == 1
    with pytest.raises(DataError, match=r"r:9: has no label; 1 bad row was skipped before it"):
        summary(chunk(bad), chunk(bad), skip=1)
    with pytest.raises(DataError, match=r"r:9: has no label \(--skip-bad-rows N"):
        summary(chunk(bad))


def test_more_than_a_thousand_labels_are_refused_over_chunks():
    chunks = [chunk(*[("a", f"{nth}-{k}", "train") for k in range(600)]) for nth in range(2)]
    with pytest.raises(DataError, match="there are more than 1,000 labels"):
        summary(*chunks)


def test_tokens_become_numbers_by_first_appearance():
    from lowmem_sentiment.preparation.spill import unpack

    packed = unpack(chunk(("b a b", "x", "train"), ("a c", "y", "test")).packed)
    assert packed.words == [b"b", b"a", b"c"] and packed.labels == ["x", "y"]
    np.testing.assert_array_equal(packed.splits[0].numbers, [0, 1, 0])
    np.testing.assert_array_equal(packed.splits[1].numbers, [1, 2])

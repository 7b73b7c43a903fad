import numpy as np
import pytest

from lowmem_sentiment.preparation.spill import (
    NumberedReviews,
    Spill,
    number_type,
    pack,
    packed_words,
    unpack,
)


def numbered(num_words: int, lengths: list[int], labels: list[int]) -> NumberedReviews:
    numbers = np.arange(sum(lengths)) % max(1, num_words)
    return NumberedReviews(
        numbers.astype(number_type(num_words)), np.array(lengths, np.int32), np.array(labels, np.uint16)
    )


@pytest.mark.parametrize("num_words", [0, 3, 65_536, 65_537])
def test_a_chunk_comes_back_as_it_was_packed(num_words):
    words = [b"w%d" % nth for nth in range(num_words)]
    lengths = [num_words, 0, 7] if num_words else [0, 0, 0]
    splits = [
        numbered(num_words, lengths, [2, 0, 1]),
        numbered(num_words, [], []),
        numbered(num_words, [], []),
        numbered(num_words, [1], [1]),
    ]
    labels = ["café", "a b", "\n"]
    chunk = pack(b" ".join(words), labels, splits)
    back = unpack(chunk)
    assert back.words == packed_words(chunk) == words
    assert back.labels == labels
    for one, other in zip(back.splits, splits, strict=True):
        for read, written in zip(one, other, strict=True):
            np.testing.assert_array_equal(read, written)


def test_words_up_to_65536_take_two_bytes_a_token():
    sizes = {}
    for num_words in (65_536, 65_537):
        words = b" ".join(b"w" for _ in range(num_words))
        sizes[num_words] = len(
            pack(words, [], [numbered(num_words, [100_000], [0]), *[numbered(1, [], [])] * 3])
        ) - len(words)
    assert sizes[65_536] < 200_100 and sizes[65_537] > 400_000


def test_chunks_are_read_in_any_order(tmp_path):
    with open(tmp_path / "spill", "wb+") as file:
        spill = Spill(file)
        for nth in range(3):
            spill.append(
                pack(
                    b"w " * nth,
                    [str(nth)],
                    [numbered(1, [nth], [0]), *[numbered(1, [], [])] * 3],
                )
            )
        spill.flush()
        places = list(spill.places())
        assert [spill.read(place).labels for place in reversed(places)] == [["2"], ["1"], ["0"]]
        assert sum(size for _, size in places) == (tmp_path / "spill").stat().st_size

import random
from collections import Counter

import numpy as np
import pytest

from lowmem_sentiment.preparation.lossy_counting import (
    ROW_BYTES,
    WORD_BYTES,
    DocumentCounts,
    WordCounts,
    least_bound,
)


def count(words: list[bytes], memory: int, block: int = 50) -> WordCounts:
    counts = WordCounts(memory)
    for start in range(0, len(words), block):
        some = Counter(words[start : start + block])
        counts.add(list(some), list(some.values()))
    return counts


def zipf_words(total: int, seed: int) -> list[bytes]:
    generator = random.Random(seed)
    return [b"%d" % int(2 ** (generator.random() * 12)) for _ in range(total)]


def test_counts_are_exact_below_the_memory():
    words = zipf_words(20_000, 1)
    counts = count(words, memory=10_000_000)
    assert counts.counts == Counter(words)
    assert counts.error_bound == 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("room", [20, 200, 1000])
def test_lossy_counts_keep_what_the_rule_promises(seed, room):
    words = zipf_words(20_000, seed)
    memory = room * (WORD_BYTES + 4)
    counts, exact = count(words, memory), Counter(words)
    bound = counts.error_bound
    assert bound > 0
    for word, found in counts.counts.items():
        assert exact[word] - bound <= found <= exact[word]
    assert {word for word, n in exact.items() if n > bound} <= counts.counts.keys()
    # with errors a word takes two slots, so there is room for half as many
    assert bound <= 4 / 3 * len(words) / (room / 2) + 1


def test_memory_stays_below_the_limit():
    memory = 100 * WORD_BYTES
    counts = WordCounts(memory)
    for nth in range(50_000):
        counts.add([b"word%d" % nth], [1])
        assert len(counts.counts) <= 101


def test_a_frequent_word_survives_a_flood_of_rare_ones():
    counts = WordCounts(50 * WORD_BYTES)
    for nth in range(5_000):
        counts.add([b"often", b"rare%d" % nth], [3, 1])
    assert 15_000 - counts.error_bound <= counts.counts[b"often"] <= 15_000


def test_a_word_longer_than_the_memory_is_no_trouble():
    counts = WordCounts(10 * WORD_BYTES)
    counts.add([b"a", b"x" * 10_000, b"b"], [2, 1, 3])
    counts.add([b"a", b"c"], [1, 1])
    assert b"x" * 10_000 not in counts.counts


def test_vocabulary_is_by_count_then_by_bytes():
    counts = WordCounts(1_000_000)
    counts.add([b"b", b"a", b"c", b"rare", b"never"], [2, 2, 5, 1, 0])
    assert counts.vocabulary().words == [b"c", b"a", b"b", b"rare"]
    assert counts.vocabulary(min_count=2).words == [b"c", b"a", b"b"]
    assert counts.vocabulary(max_words=2).words == [b"c", b"a"]


def test_the_bound_is_the_least_that_leaves_room():
    generator = np.random.default_rng(0)
    for _ in range(50):
        upper, costs = generator.zipf(1.5, 40) % 5_000 + 1, generator.integers(1, 9, 40)
        room = costs.sum() * generator.random()
        fitting = [t for t in range(5_001) if costs[upper > t].sum() <= room]
        assert least_bound(upper, costs, room) == fitting[0]


NUM_LABELS, LABEL_BITS = 4, 2


def add_rows(counts: DocumentCounts, rows: list[tuple[int, int]]) -> None:
    counts.add(np.array([ngram << LABEL_BITS | label for ngram, label in rows], np.int64))


def finish(counts: DocumentCounts, frequency: int) -> dict[int, dict[int, int]]:
    found = {}
    for ngrams, by_label in counts.by_label(frequency):
        for ngram, numbers in zip(ngrams.tolist(), by_label.T.astype(int).tolist(), strict=True):
            found[ngram] = {label: number for label, number in enumerate(numbers) if number}
    assert list(found) == sorted(found)
    return found


def random_rows(seed: int, count: int) -> list[tuple[int, int]]:
    generator = np.random.default_rng(seed)
    ngrams = generator.zipf(1.2, count) % 10_000
    return list(zip(ngrams.tolist(), generator.integers(0, 3, count).tolist(), strict=True))


def test_reviews_are_counted_exactly_while_there_is_room():
    counts, exact = DocumentCounts(NUM_LABELS, 1 << 20), Counter()
    for seed in range(5):
        rows = random_rows(seed, 500)
        add_rows(counts, rows)
        exact.update(rows)
    whole = Counter()
    for (ngram, _), number in exact.items():
        whole[ngram] += number
    for frequency in (1, 3):
        again = DocumentCounts(NUM_LABELS, 1 << 20)
        add_rows(again, list(exact.elements()))
        found = finish(again, frequency)
        assert {n for n, number in whole.items() if number >= frequency} == set(found)
        assert all(exact[ngram, label] == n for ngram, by in found.items() for label, n in by.items())
    assert counts.error_bound == 0
    assert finish(counts, 1) == {
        ngram: {label: exact[ngram, label] for label in range(4) if exact[ngram, label]}
        for ngram in whole
    }


@pytest.mark.parametrize("rows", [50, 500])
def test_full_memory_drops_rare_ngrams_only_and_bounds_what_is_missing(rows):
    counts, exact = DocumentCounts(NUM_LABELS, rows * ROW_BYTES), Counter()
    for seed in range(40):
        some = random_rows(seed, 300)
        add_rows(counts, some)
        exact.update(ngram for ngram, _ in some)
        assert len(counts._keys) <= rows
    bound = counts.error_bound
    assert bound > 0
    found = {ngram: sum(by.values()) for ngram, by in finish(counts, 1).items()}
    assert all(exact[ngram] - bound <= number <= exact[ngram] for ngram, number in found.items())
    assert all(ngram in found for ngram, number in exact.items() if number > bound)


def test_an_empty_table_has_no_ngrams():
    assert finish(DocumentCounts(NUM_LABELS, 1), 1) == {}

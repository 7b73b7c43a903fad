import random
from collections import Counter

import pytest

from lowmem_sentiment.text.lossy_counting import WORD_BYTES, WordCounts


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
    assert counts.total == 50_000


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

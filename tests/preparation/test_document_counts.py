"""Counting reviews by n-gram and label: exact while there is room, bounded when there is none."""

from collections import Counter

import numpy as np
import pytest

from lowmem_sentiment.preparation.document_counts import ROW_BYTES, DocumentCounts

LABEL_BITS = 2


def add(counts: DocumentCounts, rows: list[tuple[int, int]]) -> None:
    keys, numbers = np.unique([ngram << LABEL_BITS | label for ngram, label in rows], return_counts=True)
    counts.add(keys.astype(np.int64), numbers.astype(np.int32))


def finish(counts: DocumentCounts, frequency: int) -> dict[int, dict[int, int]]:
    ngrams, rows, labels, numbers = counts.finish(frequency)
    ends = np.cumsum(rows)
    return {
        ngram: dict(
            zip(labels[end - size : end].tolist(), numbers[end - size : end].tolist(), strict=True)
        )
        for ngram, size, end in zip(ngrams.tolist(), rows.tolist(), ends.tolist(), strict=True)
    }


def random_rows(seed: int, count: int) -> list[tuple[int, int]]:
    generator = np.random.default_rng(seed)
    ngrams = generator.zipf(1.2, count) % 10_000
    return list(zip(ngrams.tolist(), generator.integers(0, 3, count).tolist(), strict=True))


def test_counts_are_exact_while_there_is_room():
    counts, exact = DocumentCounts(LABEL_BITS, 1 << 20), Counter()
    for seed in range(5):
        rows = random_rows(seed, 500)
        add(counts, rows)
        exact.update(rows)
    whole = Counter()
    for (ngram, _), number in exact.items():
        whole[ngram] += number
    for frequency in (1, 3):
        again = DocumentCounts(LABEL_BITS, 1 << 20)
        add(again, list(exact.elements()))
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
    counts, exact = DocumentCounts(LABEL_BITS, rows * ROW_BYTES), Counter()
    for seed in range(40):
        some = random_rows(seed, 300)
        add(counts, some)
        exact.update(ngram for ngram, _ in some)
        assert len(counts) <= rows
    bound = counts.error_bound
    assert bound > 0
    found = {ngram: sum(by.values()) for ngram, by in finish(counts, 1).items()}
    assert all(exact[ngram] - bound <= number <= exact[ngram] for ngram, number in found.items())
    assert all(ngram in found for ngram, number in exact.items() if number > bound)


def test_an_empty_table_gives_nothing():
    assert finish(DocumentCounts(LABEL_BITS, 1), 1) == {}

"""N-grams found in texts, against sets made word by word."""

import numpy as np
import pytest
from helpers import ngrams_of, random_texts

from lowmem_sentiment.text.encoders import FeatureTable, TextEncoder
from lowmem_sentiment.text.tokenizers import tokenise
from lowmem_sentiment.text.vocabulary import FIRST_WORD_ID, Vocabulary


def expected_ids(features: list[bytes], text: bytes, longest: int) -> list[int]:
    held = ngrams_of(tokenise(text), longest)
    return [nth + FIRST_WORD_ID for nth, feature in enumerate(features) if feature in held]


def some_features(texts: list[bytes], longest: int, seed: int) -> list[bytes]:
    """Return half of the n-grams that the texts hold, in any order, and some that none holds."""
    every = sorted(set().union(*(ngrams_of(tokenise(text), longest) for text in texts)))
    generator = np.random.default_rng(seed)
    chosen = [every[nth] for nth in generator.permutation(len(every))[: len(every) // 2]]
    return [*chosen, b"never", b"never seen", b"great never"]


@pytest.mark.parametrize("longest", [1, 2, 3, 5])
def test_features_found_are_the_ngrams_of_each_text_in_order_of_rank(longest):
    texts = [text.encode() for text in random_texts(200)]
    features = some_features(texts, longest, seed=longest)
    found = TextEncoder(Vocabulary(features), 3).encode(texts)
    assert [ids.tolist() for ids in found] == [expected_ids(features, text, longest) for text in texts]


def test_a_feature_may_be_longer_than_any_text_and_begin_with_no_other_feature():
    encoder = TextEncoder(Vocabulary([b"a b c d", b"c d"]), 4)
    found = encoder.encode([b"a b c", b"a b c d", b"x c d", b""])
    assert [ids.tolist() for ids in found] == [[], [4, 5], [5], []]


def test_no_ngram_reaches_over_the_edge_of_a_text_or_over_an_unknown_word():
    table = FeatureTable([b"not good", b"good", b"not"])
    numbers = np.array(
        [table.numbers[word] for word in (b"not", b"good", b"not")] + [-1, table.numbers[b"good"]]
    )
    found = table.find(numbers, np.array([1, 1, 3]))
    assert [ids.tolist() for ids in found.split()] == [[6], [5], [5, 6]]


def test_texts_without_words_and_blocks_without_texts_have_no_features():
    encoder = TextEncoder(Vocabulary([b"good film"]), 2)
    assert encoder.encode([]) == []
    assert [len(ids) for ids in encoder.encode([b"", b" \n", b"film"])] == [0, 0, 0]


@pytest.mark.parametrize("block", [1, 7, 1 << 16])
def test_long_texts_and_small_blocks_give_the_same_features(monkeypatch, block):
    texts = [text.encode() for text in random_texts(50)]
    features = some_features(texts, 3, seed=1)
    texts.insert(20, b" ".join(texts))
    whole = TextEncoder(Vocabulary(features), 3).encode(texts)
    monkeypatch.setattr("lowmem_sentiment.text.encoders._BLOCK_WORDS", block)
    monkeypatch.setattr("lowmem_sentiment.text.tokenizers.PIECE_BYTES", 100)
    pieces = TextEncoder(Vocabulary(features), 3).encode(texts)
    assert [ids.tolist() for ids in pieces] == [ids.tolist() for ids in whole]


def test_a_vocabulary_of_words_and_one_of_ngrams_have_encoders_of_their_own():
    vocabulary = Vocabulary([b"good", b"film"])
    (words,), (ngrams,) = (
        TextEncoder(vocabulary, longest).encode([b"a good good film"]) for longest in (None, 1)
    )
    assert sorted(words.tolist()) == [1, 2, 4, 5]  # the start, an unknown word
    assert ngrams.tolist() == [4, 5]

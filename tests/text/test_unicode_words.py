"""The tokenizers "unicode", "unicode-punctuation" and "characters", in ten scripts."""

import hashlib
import itertools
import unicodedata
from collections import defaultdict

import numpy as np
import pytest

from lowmem_sentiment.text import unicode_words
from lowmem_sentiment.text.tokenizer import PIECE_BYTES, WordNumbers, distinct_words, tokenise
from lowmem_sentiment.text.tokenizer_names import KERAS, TOKENIZERS, UNICODE

SPLITS = {
    "L’été — «ÉPATANT»… aujourd'hui, qu'il": "l été épatant aujourd'hui qu il",
    "C’est l’École d'Alsace, dell'arte": "c est l école d alsace dell arte",
    "Straße, GROẞE „Größe“ STRASSE": "straße große größe strasse",
    "ΟΔΟΣ οδός· Σίσυφος; ΣΊΣΥΦΟΣ!": "οδος οδός σίσυφος σίσυφος",
    "«ЁЖ» п’ять—ОБ'ЄКТ": "ёж п'ять об'єкт",
    "İSTANBUL ısı IŞIK": "istanbul ısı işik",
    "great—movie “Great” don’t 'don't'": "great movie great don't don't",
    "the dogs' it´s 10/10": "the dogs it's 10 10",
    "d'abord it's l's I'd rock'n'roll ''quoted''": "d abord it's l's i'd rock'n'roll quoted",
    "LOVE😀😀👍🏽 ❤️!": "love 😀 😀 👍 ❤",
    "电影。太好了！ Ｆｕｌｌ": "电影 太好了 ｆｕｌｌ",
    "हिन्दी में। अच्छा": "हिन्दी में अच्छा",
    "می\u200cخواهم، کتاب؟ شلـــوم": "میخواهم کتاب شلوم",
    "ש״ס־שלום": "ש ס שלום",
    "Երևան։ ՀԱՅ": "երևան հայ",
    "co\u00adopera\u00a0te\u3000x\x00y": "coopera te x y",
}


@pytest.mark.parametrize("text", SPLITS)
def test_a_text_is_split_as_a_person_would(text):
    assert b" ".join(tokenise(text.encode(), "unicode")).decode() == SPLITS[text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("我喜欢 Ab1, don't", "我 喜 欢 a b 1 d o n t"),
        ("วัสดี नि e\u0301", "วั ส ดี नि é"),
        ("😀𠮷𠮷.", "😀 𠮷 𠮷"),
    ],
)
def test_characters_are_words_with_the_marks_that_follow_them(text, expected):
    assert b" ".join(tokenise(text.encode(), "characters")).decode() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't!! 10/10 (it's \"fine\")", "don't ! ! 10 / 10 ( it's \" fine \" )"),
        ("C’est «ÉPATANT»… 5€, 'oui'", "c est « épatant » … 5 € , oui"),
        ("电影。太好了！", "电影 。 太好了 ！"),
    ],
)
def test_punctuation_marks_are_words(text, expected):
    assert b" ".join(tokenise(text.encode(), "unicode-punctuation")).decode() == expected


def test_what_is_not_utf8_separates_words():
    assert tokenise(b"good\xff\xfefilm \xe2\x82", "unicode") == [b"good", b"film"]


@pytest.mark.parametrize("tokenizer", ["unicode", "unicode-punctuation"])
def test_ascii_text_is_split_alike_with_and_without_other_characters_in_it(tokenizer):
    text = "".join(map(chr, range(128))) * 2 + " it's 'quoted' l'ecole THE end'"
    assert [*tokenise(text.encode(), tokenizer), "é".encode()] == tokenise(
        f"{text} é".encode(), tokenizer
    )


def test_english_text_without_quotes_has_the_words_that_it_has_by_the_rule_of_keras():
    text = b"Don't miss it!<br />A 10/10; well-made, e.g. THE end_of (it)."
    assert tokenise(text, "unicode") == tokenise(text, KERAS)


@pytest.mark.parametrize(
    ("tokenizer", "digest"),
    [
        ("unicode", "359a8e5187188ba1"),
        ("unicode-punctuation", "15b9cb46bfae79d2"),
        ("characters", "75fce1c604ab2a1f"),
    ],
)
def test_the_table_is_the_same_with_every_version_of_python(tokenizer, digest):
    table = unicode_words.character_table(tokenizer).astype("<i4")
    assert hashlib.sha256(table.tobytes()).hexdigest()[:16] == digest


def numbered(texts: list[bytes], tokenizer: str) -> list[list[bytes]]:
    """Return the words of texts by way of their numbers."""
    known: defaultdict[bytes, int] = defaultdict(itertools.count().__next__)
    texts_to_number = WordNumbers(known, tokenizer)
    for text in texts:
        texts_to_number.add(text)
    numbers, lengths = texts_to_number.take()
    words = list(known)
    return [[words[each] for each in some] for some in np.split(numbers, np.cumsum(lengths)[:-1])]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_texts_of_any_length_are_numbered_by_their_words(tokenizer):
    text = "L’été «ÉPATANT» 我喜欢 don’t ΟΔΟΣ 😀. ".encode()
    random = np.random.default_rng(1)
    letters = [bytes(random.choice(list(b"abc'!. "), size).tolist()) for size in range(0, 900, 3)]
    texts = [b"", text, b" ", *letters, text * (PIECE_BYTES // 20), b"a" * 70_000, b"", text * 9_000]
    assert numbered(texts, tokenizer) == [tokenise(each, tokenizer) for each in texts]


@pytest.mark.parametrize("tokenizer", TOKENIZERS[1:])
def test_a_long_text_without_spaces_is_cut_between_characters(tokenizer):
    text = "电影".encode() * PIECE_BYTES
    [words] = numbered([text], tokenizer)
    assert len(words) > 1
    assert b"".join(words) == text


def test_words_whose_hashes_are_equal_are_told_apart():
    modulus, factor = 1 << 64, 0x9E3779B97F4A7C15
    first, second = b"aaaaaaaa", b"bbbbbbbb"
    ends = [int.from_bytes(begin, "little") * factor % modulus for begin in (first, second)]
    # two words of 16 bytes: what follows the first eight cancels their difference
    tail = int.from_bytes(b"cccccccc", "little")
    other = (tail ^ ends[0] ^ ends[1]).to_bytes(8, "little")
    data = b" ".join([b"", first + b"cccccccc", second + other, first + b"cccccccc", b""])
    words, places, _ = distinct_words(data)
    assert (words, places.tolist()) == ([first + b"cccccccc", second + other], [0, 1, 0])


def test_accents_of_their_own_are_composed():
    text = "Phở việt: ếếế, positivité, Ǖ, ガギ, क़ की, Ёлка, ΐ"
    for form in ("NFC", "NFD"):
        assert tokenise(unicodedata.normalize(form, text).encode(), UNICODE) == tokenise(
            unicodedata.normalize("NFC", text).encode(), UNICODE
        )
    assert tokenise("positivite\u0301 e\u0301\u0301".encode(), UNICODE) == [
        "positivité".encode(),
        "é\u0301".encode(),
    ]


SCRIPTS = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "àâçéèêëîïôùûüœÀÂÇÉÈÊËÎÏÔÙÛÜŒßẞſİıŁøÞĲǅŉ",
    "αβγδεσςΑΒΓΔΕΣάέήώΆΈΏΐΪᾳᾼὝ", "абвгдеёжзийАБВГДЕЁЖЗИЙґЇєІЀҐԱԲևֆ", "אבגדהשלוםךףץ׳״־",
    "ابتثجحخدلمنوهيىآأةـ\u200c\u200d،؟", "अआकखगनिीुूे्ं।", "ไทยสวัสดีครับๆ",
    "我喜欢这个电影太好了。，！《》", "あいうえおアイウエオー・ｱＡａ",
    "한국어영화재미있다", "აბგდᲐᲑႠႡ", "😀😂👍🏽❤️🇫🇷👩\u200d👧☺™°½²Ⅷⓐ Ⓐ", "𠮷𐐀𐐨𝐀𝒳𞤀𞤢",
)  # fmt: skip
SIGNS = " '’‘“”«»„—–-…!?.,;:/()\t\n\u00a0\u2009\u3000\u200b\u00ad\ufeff\x85\x00\u2028´`ʼ＇₽€"
SIGNS += "\u0301\u0302\u0308\u0323\u3099\u093c"  # accents


def texts_in_ten_scripts(count: int, seed: int = 5) -> list[bytes]:
    """Return texts of random characters, half of them in one script, with signs; a few are not UTF-8."""
    generator = np.random.default_rng(seed)
    texts = []
    for nth in range(count):
        letters = SCRIPTS[nth % len(SCRIPTS)] if nth % 2 else "".join(SCRIPTS)
        pool = list(letters) + list("lds'’σΣ") + list(SIGNS) * (1 + nth % 3)
        text = "".join(generator.choice(pool, generator.integers(0, 60))).encode()
        texts.append(text[:-1] + b"\xe2\x82 \xff\xc3(\xed\xa0\x80" if nth % 50 == 49 else text)
    return [*texts, *(text.encode() for text in SPLITS), b"", b" ", b"'"]


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_the_graph_of_a_saved_model_splits_as_python_does(tokenizer):
    import tensorflow as tf

    from lowmem_sentiment.model.export import graph_tokenizer

    texts = texts_in_ten_scripts(4_000)
    split = tf.function(graph_tokenizer(tokenizer), input_signature=[tf.TensorSpec([None], tf.string)])
    assert split(tf.constant(texts)).to_list() == [tokenise(text, tokenizer) for text in texts]
    assert split(tf.constant([], tf.string)).to_list() == []


@pytest.mark.slow
def test_the_graph_maps_every_character_as_python_does():
    import tensorflow as tf

    from lowmem_sentiment.model.export import graph_tokenizer

    texts = [f"a{chr(code)}B".encode("utf-8", "replace") for code in range(0x11000)]
    for tokenizer in TOKENIZERS[1:]:
        found = graph_tokenizer(tokenizer)(tf.constant(texts)).to_list()
        assert found == [tokenise(text, tokenizer) for text in texts]

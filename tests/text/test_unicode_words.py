"""The tokenizers "unicode", "unicode-punctuation" and "characters", in ten scripts."""

import hashlib
import re
import unicodedata

import numpy as np
import pytest

from lowmem_sentiment.text import tokenizers
from lowmem_sentiment.text.tokenizers import PIECE_BYTES, tokenise, tokenise_in_pieces
from lowmem_sentiment.text.vocabulary import KERAS, TOKENIZERS, UNICODE

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


@pytest.mark.parametrize(
    ("tokenizer", "text", "expected"),
    [
        *(("unicode", text, expected) for text, expected in SPLITS.items()),
        ("characters", "我喜欢 Ab1, don't", "我 喜 欢 a b 1 d o n t"),
        ("characters", "วัสดี नि e\u0301", "วั ส ดี नि é"),
        ("characters", "😀𠮷𠮷.", "😀 𠮷 𠮷"),
        ("unicode-punctuation", "Don't!! 10/10 (it's \"fine\")", "don't ! ! 10 / 10 ( it's \" fine \" )"),
        ("unicode-punctuation", "C’est «ÉPATANT»… 5€, 'oui'", "c est « épatant » … 5 € , oui"),
        ("unicode-punctuation", "电影。太好了！", "电影 。 太好了 ！"),
    ],
)
def test_a_text_is_split_as_a_person_would(tokenizer, text, expected):
    assert b" ".join(tokenise(text.encode(), tokenizer)).decode() == expected


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
    table = tokenizers.character_table(tokenizer).astype("<i4")
    assert hashlib.sha256(table.tobytes()).hexdigest()[:16] == digest


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_a_long_text_has_the_same_words_in_pieces(tokenizer):
    text = "L’été «ÉPATANT» 我喜欢 don’t ΟΔΟΣ 😀. ".encode() * (PIECE_BYTES // 20)
    pieces = list(tokenise_in_pieces(text, tokenizer))
    assert len(pieces) > 2
    assert [word for piece in pieces for word in piece] == tokenise(text, tokenizer)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_a_long_text_without_spaces_is_cut_between_characters(tokenizer):
    text = "电影".encode() * PIECE_BYTES
    pieces = list(tokenise_in_pieces(text + b" end", tokenizer))
    assert b"".join(word for piece in pieces for word in piece) == text + b"end"
    assert tokenizer != "keras" or pieces == [[text], [b"end"]]


def test_quotes_and_elisions_are_those_of_the_patterns_in_the_graph():
    random = np.random.default_rng(1)
    for size in range(300):
        text = bytes(random.choice(list(b"dls'' '"), size % 30).tolist())
        spaced = re.sub(tokenizers.QUOTES, " ", f" {text.decode()} ")
        expected = re.sub(tokenizers.ELISIONS, r" \1 \2", spaced).split()
        assert [word.decode() for word in tokenise(text, "unicode")] == expected


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

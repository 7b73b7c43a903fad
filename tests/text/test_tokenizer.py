from lowmem_sentiment.text.tokenizers import FILTERS, tokenise


def test_only_ascii_letters_are_lowered():
    assert tokenise("ÀLA Carte ÉTÉ".encode()) == ["Àla".encode(), b"carte", "ÉtÉ".encode()]


def test_every_filter_and_ascii_white_space_separates_words():
    for character in FILTERS + " \t\n\r\v\f":
        assert tokenise(f"a{character}b".encode()) == [b"a", b"b"], character


def test_an_apostrophe_stays_in_its_word():
    assert tokenise(b"Don't miss 'it'!<br />") == [b"don't", b"miss", b"'it'", b"br"]


def test_a_text_without_words_has_none():
    assert tokenise(b" ... ") == tokenise(b"") == []

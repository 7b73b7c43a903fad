import pytest

from lowmem_sentiment.system.errors import DataError, InputMissing
from lowmem_sentiment.text.vocabulary import Vocabulary


def test_ids_are_those_of_keras():
    vocabulary = Vocabulary([b"the", b"film"])
    assert vocabulary.ids == {b"the": 4, b"film": 5}
    assert vocabulary.num_ids == 6
    assert vocabulary.decode([1, 5, 4, 2, 99]) == "# film the # #"


def test_truncated_vocabulary_holds_the_ids_below_num_words():
    vocabulary = Vocabulary([b"a", b"b", b"c"])
    assert vocabulary.truncate(6).words == [b"a", b"b"]
    assert vocabulary.truncate(4).words == []


def test_words_with_odd_characters_survive_the_file(tmp_path):
    words = ["most\x85and".encode(), b"a b", b"\xff\xfe", b"\r"]
    Vocabulary(words).save(tmp_path / "vocabulary.txt")
    assert Vocabulary.load(tmp_path / "vocabulary.txt").words == words


def test_a_changed_or_cut_vocabulary_is_refused(tmp_path):
    path = tmp_path / "vocabulary.txt"
    vocabulary = Vocabulary([b"the", b"film"])
    vocabulary.save(path)
    path.write_bytes(b"the\nfilk\n")
    with pytest.raises(DataError, match="is damaged: its SHA-256"):
        Vocabulary.load(path, vocabulary.sha256)
    path.write_bytes(b"the\nfil")
    with pytest.raises(DataError, match="is cut short"):
        Vocabulary.load(path)
    path.unlink()
    with pytest.raises(InputMissing, match="is missing"):
        Vocabulary.load(path)

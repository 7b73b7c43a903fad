import json

import pytest
from helpers import WORDS, run_cli

from lowmem_sentiment.dataset.show import show
from lowmem_sentiment.system.errors import SettingsError


def test_a_review_is_shown_as_the_tutorial_prints_it(dataset):
    shown = [show(dataset, nth) for nth in range(dataset.num_reviews("test"))]
    blocks = list(dataset.read("test"))
    ids = [review.tolist() for block in blocks for review in block.split()]
    assert [review.ids for review in shown] == ids
    assert [review.label for review in shown] == [
        label for block in blocks for label in block.labels.tolist()
    ]
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

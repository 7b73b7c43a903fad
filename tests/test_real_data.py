"""The numbers that must come out of the 50,000 real reviews."""

import json

import numpy as np
import pytest
from helpers import run_cli

from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.sources.imdb import find_imdb_source

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def real(real_npz, tmp_path_factory):
    return prepare(find_imdb_source("npz", npz=real_npz), tmp_path_factory.mktemp("real") / "imdb")


def test_the_data_is_the_tutorials_to_the_digit(real):
    assert (real.num_reviews("train"), real.num_reviews("test")) == (40_000, 10_000)
    length = real.manifest["length"]
    assert length["mean"] == 234.75892
    assert length["standard_deviation"] == pytest.approx(172.911, abs=5e-4)
    seen = np.zeros(10_000, bool)
    labels = set()
    for split in ("train", "test"):
        for block in real.read(split):
            seen[np.where(block.token_ids < 10_000, block.token_ids, 2)] = True
            labels |= set(block.labels.tolist())
    assert seen.sum() == 9_998
    assert labels == {0, 1}
    first = next(real.read("test"))
    assert (first.labels[0], first.lengths[0]) == (1, 218)
    assert (
        real.vocabulary()
        .decode(first.split()[0])
        .startswith("# this film was just brilliant casting location scenery story direction")
    )


@pytest.mark.slow
def test_the_defaults_reach_the_tutorials_accuracy_in_little_memory(real, tmp_path):
    result = run_cli("train", real.directory, "--run", tmp_path / "run", "--json", own_process=True)
    summary = json.loads(result.stdout)
    assert 0.885 <= summary["val_accuracy"] <= 0.902
    assert summary["parameters"] == 505_201
    assert summary["peak_anonymous_bytes"] <= 350e6  # 286 to 290 MB

import pytest
from helpers import write_noisy_reviews

from lowmem_sentiment.evaluation.evaluate import evaluate
from lowmem_sentiment.preparation.prepare import prepare
from lowmem_sentiment.runs.configuration import TrainingSettings
from lowmem_sentiment.sources.files import FilesSource
from lowmem_sentiment.sources.settings import FilesSettings


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory):
    """A run on n-grams with its test split recorded, and the file that its data was prepared from."""
    from lowmem_sentiment.training.train import train

    folder = tmp_path_factory.mktemp("evaluated")
    write_noisy_reviews(folder / "texts.tsv", ["bad", "good"], 600)
    train(prepare(FilesSource([folder / "texts.tsv"], FilesSettings()), folder / "data"), folder / "run",
          TrainingSettings(epochs=2))  # fmt: skip
    evaluate(folder / "run")
    return folder / "run", folder / "texts.tsv"

import numpy as np
from google.protobuf import text_format
from helpers import VOCABULARY, write_run
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from lowmem_sentiment.model.numpy_model import NumpyModel
from lowmem_sentiment.monitoring.projector import Leanings, words_that_matter, write_projector


def written(run):
    """Return the words' lines, and the vectors that the config names for them."""
    write_projector(run, NumpyModel.load(run), VOCABULARY)
    config = text_format.Parse(
        (run.tensorboard / "projector_config.pbtxt").read_text(), ProjectorConfig()
    )
    (embedding,) = config.embeddings
    head, *lines = (run.tensorboard / embedding.metadata_path).read_text().splitlines()
    vectors = np.loadtxt(run.tensorboard / embedding.tensor_path, delimiter="\t", ndmin=2)
    assert head == "word\tleans to\tlog-odds"
    return [line.split("\t") for line in lines], vectors


def test_each_word_has_its_vector_and_the_label_that_it_leans_to(tmp_path):
    run = write_run(tmp_path / "run")
    words, vectors = written(run)
    model = NumpyModel.load(run)
    for (word, label, log_odds), vector in zip(words, vectors, strict=True):
        id_ = VOCABULARY.ids[word.encode()]
        np.testing.assert_allclose(vector, model.kernels[0][id_], rtol=1e-5)
        with_word, without = model.logits([np.array([1, id_]), np.array([1])])
        moved = (with_word - without)[1]  # of two labels, the second's logit is its log-odds
        assert abs(float(log_odds) - moved) < 1e-3
        assert label == ("positive" if moved > 0 else "negative")


def test_with_many_labels_each_word_has_the_log_odds_of_its_own(tmp_path):
    words, _ = written(write_run(tmp_path / "run", labels=("a", "b", "c")))
    assert {label for _, label, _ in words} <= {"a", "b", "c"}
    assert all(float(log_odds) > 0 for _, _, log_odds in words)


def test_each_label_has_as_many_of_the_words_that_matter():
    labels = np.array([0, 0, 0, 1, 1, 0])
    rises = np.array([9, 7, 8, 1, 2, 6], np.float32)
    assert words_that_matter(Leanings(labels, rises), 2, 4).tolist() == [0, 2, 3, 4]


def test_writing_it_again_replaces_it_whole(tmp_path):
    run = write_run(tmp_path / "run")
    written(run)
    before = {file.name: file.read_bytes() for file in run.tensorboard.iterdir()}
    written(run)
    assert {file.name: file.read_bytes() for file in run.tensorboard.iterdir()} == before
    assert len(before) == 3

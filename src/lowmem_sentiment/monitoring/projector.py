"""TensorBoard's projector of the first layer's word vectors: which words the model has learned to use.

Three files beside a run's event files, in the format of TensorBoard's projector plugin
(tensorboard/plugins/projector/projector_plugin.py, projector_config.proto):

    projector_vectors.tsv    float32[words, units]: a line for each word
    projector_words.tsv      word, the label that it leans to, and how far
    projector_config.pbtxt   names the other two; written last

The protocol buffer's own module is not imported: 20 ms and 4 MB for four lines of text.
"""

from typing import NamedTuple

import numpy as np

from ..model.numpy_model import NumpyModel, log_odds
from ..runs.run_directory import RunDirectory
from ..system.errors import printable
from ..system.files import cannot_write, replace_file
from ..text.vocabulary import FIRST_WORD_ID, START_ID, Vocabulary

MAX_WORDS = 2000
"""The page computes the main axes of as many on a laptop at once. The files are 1.2 MB with 50 units."""

CONFIG, VECTORS, WORDS = "projector_config.pbtxt", "projector_vectors.tsv", "projector_words.tsv"

_CHUNK = 4096  # words at a time: 2 MB with 50 units


class Leanings(NamedTuple):
    """Where each word or n-gram alone moves a model, from the first id of a word on."""

    labels: np.ndarray
    """int64[words], the label that becomes more probable by the most."""
    log_odds: np.ndarray
    """float32[words], by how much that label's log-odds rise."""


def leanings(model: NumpyModel) -> Leanings:
    """Return what a review of one word is to a model, against a review of none."""
    start = [START_ID] if model.metadata.ngrams is None else []
    labels, rises = [], []
    nothing = _log_odds(model, [start])
    for first in range(FIRST_WORD_ID, model.num_words, _CHUNK):
        ids = range(first, min(first + _CHUNK, model.num_words))
        moved = _log_odds(model, [[*start, id_] for id_ in ids]) - nothing
        labels.append(moved.argmax(axis=1))
        rises.append(moved.max(axis=1))
    return Leanings(np.concatenate(labels), np.concatenate(rises))


def _log_odds(model: NumpyModel, reviews: list[list[int]]) -> np.ndarray:
    """Return float32[reviews, labels]."""
    logits = model.logits([np.array(ids, np.int64) for ids in reviews])
    return np.stack([log_odds(logits, label) for label in range(len(model.labels))], axis=1)


def words_that_matter(found: Leanings, num_labels: int, count: int = MAX_WORDS) -> np.ndarray:
    """Return int64[up to count], the words that lean furthest, as many for each label; ascending.

    The furthest of all would be of one label mostly: of IMDb's, most are negative.
    """
    chosen = []
    for label in range(num_labels):
        words = np.flatnonzero(found.labels == label)
        chosen.append(words[np.argsort(-found.log_odds[words], kind="stable")][: count // num_labels])
    return np.sort(np.concatenate(chosen))


def write_projector(run: RunDirectory, model: NumpyModel, vocabulary: Vocabulary) -> None:
    """Write the projector's files of a run, in place of earlier ones. Raises OutputError."""
    found = leanings(model)
    chosen = words_that_matter(found, len(model.labels))
    config = run.tensorboard / CONFIG
    # Vectors of one training are never shown with the words of another.
    try:
        run.tensorboard.mkdir(exist_ok=True)
        config.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(error, config) from error
    with replace_file(run.tensorboard / VECTORS) as file:
        np.savetxt(file, model.kernels[0][chosen + FIRST_WORD_ID], "%.6g", delimiter="\t")
    with replace_file(run.tensorboard / WORDS) as file:
        file.write(b"word\tleans to\tlog-odds\n")
        for word in chosen.tolist():
            shown = printable(vocabulary.words[word].decode("utf-8", "replace"))
            label = int(found.labels[word])
            # With two labels one scale has both, from the first label's words to the second's.
            sign = -1 if len(model.labels) == 2 and label == 0 else 1
            line = f"{shown}\t{printable(model.labels[label])}\t{sign * found.log_odds[word]:.3f}\n"
            file.write(line.encode())
    with replace_file(config) as file:
        file.write(_CONFIG.encode())


_CONFIG = f"""embeddings {{
  tensor_name: "words of the first layer"
  tensor_path: "{VECTORS}"
  metadata_path: "{WORDS}"
}}
"""

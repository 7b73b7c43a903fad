"""Shared by the contenders' programs: options, reviews, the timing of an epoch, the answer."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from lowmem_sentiment import TrainingSettings
from lowmem_sentiment.runs.memory_plan import count_parameters
from lowmem_sentiment.sources.imdb import find_imdb_source
from lowmem_sentiment.sources.keras_datasets import ImdbSource
from lowmem_sentiment.text.vocabulary import OUT_OF_VOCABULARY_ID

NUM_WORDS = 10_000
BATCH_SIZE = 32
EPOCHS = 2


def options(description: str, *more: str) -> argparse.Namespace:
    """Read --work and --seed, and `more` options of whole numbers or text."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="directory for what it writes")
    parser.add_argument("--seed", type=int, default=0)
    for name in more:
        parser.add_argument(name)
    return parser.parse_args()


def source() -> ImdbSource:
    """Return the 50,000 reviews, from the files that `prepare imdb` would take.

    Its reader is only NumPy, faster than `np.load` and with a sixth of the memory of Keras' `load_data`:
    no contender is slower or larger because of how it reads the reviews.
    """
    return find_imdb_source("npz")


def word_sets() -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return for "train" and "test": int32 ids, int64[n + 1] row splits, int64[n] labels.

    A review's ids are its multi-hot row's columns: each known word once, in ascending order.
    """
    parts: dict[str, list] = {"train": [], "test": []}
    for split, block in source().blocks():
        rows = np.repeat(np.arange(len(block.lengths)), block.lengths)
        known = np.where(block.token_ids < NUM_WORDS, block.token_ids, OUT_OF_VOCABULARY_ID)
        distinct = np.unique(rows * NUM_WORDS + known)
        counts = np.bincount(distinct // NUM_WORDS, minlength=len(block.lengths))
        parts[split].append(((distinct % NUM_WORDS).astype(np.int32), counts, block.labels))
    sets = {}
    for split, blocks in parts.items():
        ids, counts, labels = (np.concatenate(column) for column in zip(*blocks, strict=True))
        sets[split] = ids, np.concatenate([[0], np.cumsum(counts)]), labels
    return sets


def texts(path: Path) -> tuple[list[str], np.ndarray]:
    """Return the texts that `write_text.py --format fasttext` wrote, and bool[texts], positive."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    labels, found = zip(*(line.split(" ", 1) for line in lines), strict=True)
    return list(found), np.array([label == "__label__1" for label in labels])


def multiplications() -> int:
    """Return the multiplications of a step's forward pass, by which `train` chooses its threads."""
    return BATCH_SIZE * count_parameters(TrainingSettings(), NUM_WORDS, num_labels=2)


def epoch_clock() -> Any:
    """Return a Keras callback whose `seconds` are each epoch's training time, without validation.

    From the epoch's beginning to its last step's end, as `lowmem-sentiment train` counts it.
    """
    import keras

    class EpochClock(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seconds = []

        def on_epoch_begin(self, epoch, logs=None):
            self.seconds.append(0.0)
            self._begun = time.monotonic()

        def on_train_batch_end(self, batch, logs=None):
            self.seconds[-1] = time.monotonic() - self._begun

    return EpochClock()


def answer(**result: Any) -> None:
    """Print what the benchmark reads."""
    print(json.dumps(result))
